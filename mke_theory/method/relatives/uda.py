"""Unsupervised data augmentation: the perturbed view follows the sharpened answer to the clean one.

    mean l_cls(y, f(x)) + γ mean 1[max f(x) ≥ β] · KL(f(x)^{1/τ}/Z ‖ f(T(x)))

The clean view is held fixed; β is the certainty and τ the temperature of the anchor. As τ falls to
0 the target becomes the likeliest class: FixMatch's, with a clean T'. The second mean runs over all
samples, in the paper over those without a label. The schedule by which the paper lets labelled
samples in (TSA) and its choice of data by domain are left out.
Ref: xie2020uda, sections 2.2 and 2.4.
"""

from __future__ import annotations

from mke_theory.method.objective import Anchor, Consistency, Objective, PseudoLabelTerm
from mke_theory.method.relatives.method import STRONG, Method, Steps


def method(
    transform: Steps = STRONG,
    *,
    gamma: float = 1.0,
    certainty: float = 0.8,
    sharpening: float = 0.4,
) -> Method:
    """UDA; L_pl sees the clean view, and `sharpening` is τ."""
    objective = Objective(
        transform=transform,
        pseudo_labels=PseudoLabelTerm(view="clean"),
        consistency=Consistency(gamma=gamma, distance="kl", certainty=certainty),
        anchor=Anchor(source="stopped", temperature=sharpening),
    )
    return Method("uda", "UDA", objective, "labels and unlabelled", "xie2020uda")
