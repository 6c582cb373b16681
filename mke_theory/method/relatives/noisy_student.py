"""Noisy Student: a perturbed student learns D_l and its teacher's labels, then teaches in its turn.

    mean l_cls(label, f(T(x)))    on D_l with y and D_u with ỹ, over the union of both

Every round begins with a fresh student, whose teacher is the student before. The paper's algorithm
adds a mean over D_l to one over D_u; its experiments, as here, take one mean over both, in which
the labels weigh as much as they are many. The paper lets the student grow from round to round
(`build` decides that), drops ỹ of low confidence and balances its classes: both are left out.
Ref: xie2020noisy, Algorithm 1.
"""

from __future__ import annotations

from typing import Literal

from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.relatives.method import STRONG, Method, Steps


def method(
    transform: Steps = STRONG,
    *,
    labels: Literal["hard", "soft"] = "soft",
    rounds: int = 3,
) -> Method:
    """Noisy Student; the teacher of the first round sees D_l alone."""
    return Method(
        "noisy_student",
        "Noisy Student",
        Objective(pseudo_labels=PseudoLabelTerm(kind=labels), transform=transform),
        "labels and pseudo labels",
        "xie2020noisy",
        rounds,
    )
