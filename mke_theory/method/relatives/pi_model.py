"""Π-model: two perturbed views of a sample, and one answer to both.

    mean l_cls(y, f(T(x))) + γ(t) mean ‖f(T'(x)) − f(T(x))‖²

T' is another draw of the same perturbation, and gradients flow into both views. With a clean T' the
second term is L_reg of MKE. The paper divides the square by the number of classes: its weight w is
γ k here. Ref: laine2017temporal, Algorithm 1.
"""

from __future__ import annotations

from mke_theory.method.objective import Anchor, Consistency, Objective
from mke_theory.method.relatives.method import STRONG, Method, Steps


def method(
    transform: Steps = STRONG,
    *,
    other: Steps | None = None,
    gamma: float = 1.0,
    ramp: float = 0.3,
) -> Method:
    """The Π-model; `other` is T', by default the same perturbation drawn again."""
    objective = Objective(
        transform=transform,
        anchor=Anchor(transform=transform if other is None else other),
        consistency=Consistency(gamma=gamma, ramp=ramp),
    )
    return Method("pi_model", "Π-model", objective, "labels and unlabelled", "laine2017temporal")
