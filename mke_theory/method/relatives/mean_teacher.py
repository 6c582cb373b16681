"""Mean Teacher: the other view is answered by the running average of the student's weights.

    mean l_cls(y, f(T(x))) + γ(t) mean ‖f̄(T'(x)) − f(T(x))‖²

f̄ has the averaged weights and no gradient, and it is the result. Its decay is constant here; some
experiments of the paper raise it after the ramp. With decay 0 it is the stopped student itself.
Ref: tarvainen2017mean, section 2.
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
    average_decay: float = 0.999,
) -> Method:
    """Mean Teacher; `other` is T', by default the same perturbation drawn again."""
    objective = Objective(
        transform=transform,
        anchor=Anchor(
            transform=transform if other is None else other, source="average", decay=average_decay
        ),
        consistency=Consistency(gamma=gamma, ramp=ramp),
        answers="average",
    )
    return Method(
        "mean_teacher", "Mean Teacher", objective, "labels and unlabelled", "tarvainen2017mean"
    )
