"""Pseudo-Label: where a label is missing, the student's own likeliest class stands for it.

    mean l_cls(y, f(x)) + γ(t) mean −log f(x)[argmax f(x)]

The target is taken anew at every step, in the same pass, and held fixed. Here as in FixMatch the
second mean runs over all samples, in the paper over those without a label; and γ(t) grows as in the
Π-model, in the paper linearly between two epochs. The paper drops features out: give `transform` a
`Dropout`. Ref: lee2013pseudo, equations 15 and 16.
"""

from __future__ import annotations

from mke_theory.method.objective import Anchor, Consistency, Objective
from mke_theory.method.relatives.method import Method, Steps


def method(transform: Steps = (), *, gamma: float = 1.0, ramp: float = 0.3) -> Method:
    """Pseudo-Label; both terms see the same T(x)."""
    objective = Objective(
        transform=transform,
        anchor=Anchor(transform="same", source="stopped"),
        consistency=Consistency(gamma=gamma, distance="hard", ramp=ramp),
    )
    return Method(
        "pseudo_label", "Pseudo-Label", objective, "labels and unlabelled", "lee2013pseudo"
    )
