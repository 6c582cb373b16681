"""The gain in squared loss is at least the misfit, a label-free number: Charikar et al., Theorem 1.

d(f, g) = E ‖f(x) − g(x)‖² over the pool. If the functions that the student can express are a convex
set that holds the truth f*, and the student f is the projection of the teacher f_t on it, then

    d(f, f*) ≤ d(f_t, f*) − d(f, f_t),

with equality for a subspace. The angle at f between teacher and truth is then not acute,
E⟨f_t − f, f* − f⟩ ≤ 0, and this, which is the inequality itself, can be measured where the truth
is known. Squared loss of probabilities is no error rate. Ref: charikar2024quantifying.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.bounds.bound import Bound, Hypothesis, MeasuredError, compared
from mke_theory.theory.graph import Floats, point_weights


def squared_distance(
    first: ArrayLike, second: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """d(f, g) = Σ_i p_i ‖f_i − g_i‖² of outputs [n] or [n, d], with uniform weights by default.

    Raises ValueError where shapes differ, a number is not finite or weights are no distribution.
    """
    f, g = _outputs("first", first), _outputs("second", second)
    refuse_other_shape(f, g)
    p = weights_of(weights, len(f))
    return float(p @ ((f - g) ** 2).sum(axis=1))


def student_loss_bound(teacher_loss: float, misfit: float) -> float:
    """At least d(f, f*), from d(f_t, f*) and d(f, f_t): their difference.

    Raises ValueError where one is negative or not finite. Ref: charikar2024quantifying, Theorem 1.
    """
    for name, given in (("teacher_loss", teacher_loss), ("misfit", misfit)):
        if not 0 <= given < math.inf:
            raise ValueError(f"{name} is {given}; it is a mean square, so at least 0 and finite")
    return teacher_loss - misfit


def for_outputs(
    teacher: ArrayLike,
    student: ArrayLike,
    truth: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    teacher_loss: float | None = None,
) -> Bound:
    """The bound on the student's squared loss, from outputs [n] or [n, d] on the pool.

    `truth` holds f*, for classes one-hot rows or exact posteriors. Without it `teacher_loss`,
    d(f_t, f*), may come from validation data. Convexity is never checkable from a pool; that the
    projection cannot be further from the teacher than the truth is, and the angle, are where the
    truth is known. Ref: charikar2024quantifying, Theorem 1.
    """
    t, f = _outputs("teacher", teacher), _outputs("student", student)
    refuse_other_shape(t, f)
    p = weights_of(weights, len(t))
    misfit = squared_distance(t, f, p)
    angle = measured = value = None
    if truth is not None:
        if teacher_loss is not None:
            raise ValueError("the truth is known, so the teacher's loss is measured; give none")
        y = _outputs("truth", truth)
        refuse_other_shape(t, y)
        teacher_loss, measured = squared_distance(t, y, p), MeasuredError(squared_distance(f, y, p))
        angle = float(p @ ((t - f) * (y - f)).sum(axis=1))
    constants, trivial = {"d(f, f_t)": misfit}, math.inf
    if teacher_loss is not None:
        value = student_loss_bound(teacher_loss, misfit)
        constants["d(f_t, f*)"] = teacher_loss
        trivial = (teacher_loss**0.5 + misfit**0.5) ** 2
    hypotheses = _hypotheses(teacher_loss, misfit, angle, truth is not None)
    name, reference = "Charikar 1, misfit", "charikar2024quantifying, Theorem 1"
    return Bound(
        name, reference, "pool", "squared loss", value, hypotheses, constants, trivial, measured
    )


def _hypotheses(
    teacher_loss: float | None, misfit: float, angle: float | None, known: bool
) -> tuple[Hypothesis, ...]:
    limit = "d(f_t, f*)" if teacher_loss is None else f"d(f_t, f*) = {teacher_loss:.3g}"
    return (
        Hypothesis("the student's class", "not checkable", None, "convex, with the truth in it"),
        compared(
            "misfit d(f, f_t)",
            None if teacher_loss is None else misfit,
            "≤",
            teacher_loss or 0.0,
            label=limit,
            checked=known,
        ),
        compared("E⟨f_t − f, f* − f⟩", angle, "≤", 0),
    )


def _outputs(name: str, given: ArrayLike) -> Floats:
    x = np.asarray(given, dtype=np.float64)
    if x.ndim not in (1, 2) or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; give outputs [n] or [n, d]")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds a number that is not finite; leave out that point")
    return x.reshape(len(x), -1)


def refuse_other_shape(first: Floats, second: Floats) -> None:
    """Raise ValueError where two tables of outputs are not of one shape."""
    if first.shape != second.shape:
        raise ValueError(
            f"outputs have shapes {first.shape} and {second.shape}; they have to agree"
        )


def weights_of(weights: ArrayLike | None, n: int) -> Floats:
    """The weights of n points [n], uniform by default; ValueError where they are none."""
    return np.full(n, 1 / n) if weights is None else point_weights(weights, n)
