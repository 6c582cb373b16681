"""Entropy minimisation: the student is to be sure of its answers, whatever they are.

    mean l_cls(y, f(x)) + γ mean H(f(x)),    H(p) = −Σ p log p

The entropy is the cross-entropy of a view to itself, with gradients into both. In the paper the
second mean runs over the samples without a label, here over all.
Ref: grandvalet2005entropy.
"""

from __future__ import annotations

from mke_theory.method.objective import Anchor, Consistency, Objective
from mke_theory.method.relatives.method import Method, Steps


def method(transform: Steps = (), *, gamma: float = 0.1) -> Method:
    """Entropy minimisation; both terms see the same T(x)."""
    objective = Objective(
        transform=transform,
        anchor=Anchor(transform="same"),
        consistency=Consistency(gamma=gamma, distance="cross_entropy"),
    )
    return Method(
        "entropy_minimisation",
        "Entropy minimisation",
        objective,
        "labels and unlabelled",
        "grandvalet2005entropy",
    )
