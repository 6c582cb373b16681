"""FixMatch: where the weakly perturbed view is sure, the strongly perturbed one learns its class.

    mean l_cls(y, f(T'(x))) + γ mean 1[max f(T'(x)) ≥ τ] · −log f(T(x))[argmax f(T'(x))]

T' is weak, T strong; samples below the certainty τ count in the mean as 0. Labelled samples are
among the unlabelled, as in the paper. The paper reports the running average of the weights: set
`answers`. Ref: sohn2020fixmatch, equations 3 and 4.
"""

from __future__ import annotations

from mke_theory.method.objective import Anchor, Consistency, Objective, PseudoLabelTerm
from mke_theory.method.relatives.method import STRONG, WEAK, Method, Steps
from mke_theory.training.loop import Weights


def method(
    weak: Steps = WEAK,
    strong: Steps = STRONG,
    *,
    certainty: float = 0.95,
    gamma: float = 1.0,
    answers: Weights = "student",
) -> Method:
    """FixMatch; L_pl sees the weakly perturbed view."""
    objective = Objective(
        transform=strong,
        anchor=Anchor(transform=weak, source="stopped"),
        pseudo_labels=PseudoLabelTerm(view="other"),
        consistency=Consistency(gamma=gamma, distance="hard", certainty=certainty),
        answers=answers,
    )
    return Method("fixmatch", "FixMatch", objective, "labels and unlabelled", "sohn2020fixmatch")
