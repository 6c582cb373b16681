"""The gain in KL divergence is at least the misfit, a label-free number: Mulgund and Pabbaraju.

It is the theorem of `charikar2024_misfit` with a Bregman divergence in place of the square. For
distributions over classes and D(g, h) = E Σ_k g_k log(g_k / h_k), if the functions that the student
can express are a convex set that holds the truth f*, and the student f has the least D(f, f_t)
among them, then

    D(f*, f) ≤ D(f*, f_t) − D(f, f_t).

The left side, for one-hot f*, is the student's cross-entropy. The inequality is equivalent to
E Σ_k (f*_k − f_k) (log f_k − log f_t,k) ≥ 0: the three-point identity of D, by which it can be
measured where the truth is known.

The misfit has the student in the first place. A student trained on soft labels minimises D(f_t, f),
the student in the second; it is that projection only where the two agree, and the measured
inequality says whether the bound stands all the same. Read with the places exchanged the theorem
bounds D(f, f*), which is infinite for a one-hot truth.
Ref: mulgund2025relating. Its text was not at hand: the proof is the three-point identity and the
first-order condition of the projection, derived here, and no number of a theorem is quoted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.bounds.bound import Bound, Hypothesis, MeasuredError, compared
from mke_theory.theory.bounds.charikar2024_misfit import (
    refuse_other_shape,
    student_loss_bound,
    weights_of,
)
from mke_theory.theory.graph import Floats


def divergence(first: ArrayLike, second: ArrayLike, weights: ArrayLike | None = None) -> float:
    """D(g, h) = Σ_i p_i Σ_k g_ik log(g_ik / h_ik) of probabilities [n, classes], in nats.

    Weights are uniform by default; 0 log 0 is 0, and the result ∞ where h is 0 and g is not.

    Raises ValueError where shapes differ or rows are no distributions, or weights are none.
    """
    g, h = _probabilities("first", first), _probabilities("second", second)
    refuse_other_shape(g, h)
    p = weights_of(weights, len(g))
    return max(0.0, float(p @ _per_point(g, h)))


def for_probabilities(
    teacher: ArrayLike,
    student: ArrayLike,
    truth: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    teacher_loss: float | None = None,
) -> Bound:
    """The bound on the student's KL divergence from the truth, from probabilities [n, classes].

    `truth` holds f*: one-hot rows, or exact posteriors. Without it `teacher_loss`, D(f*, f_t), may
    come from validation data; with one-hot truth it is the teacher's cross-entropy. Convexity is
    never checkable from a pool. The value is None where the misfit or the teacher's loss is
    infinite.

    Raises ValueError where shapes differ or rows are no distributions. Ref: mulgund2025relating.
    """
    t, f = _probabilities("teacher", teacher), _probabilities("student", student)
    refuse_other_shape(t, f)
    p = weights_of(weights, len(t))
    misfit, gap, measured = divergence(f, t, p), None, None
    if truth is not None:
        if teacher_loss is not None:
            raise ValueError("the truth is known, so the teacher's loss is measured; give none")
        y = _probabilities("truth", truth)
        refuse_other_shape(t, y)
        teacher_loss, own = divergence(y, t, p), divergence(y, f, p)
        measured = MeasuredError(own) if own < math.inf else None
        if max(teacher_loss, own, misfit) < math.inf:
            gap = teacher_loss - own - misfit
    constants, value = {"D(f, f_t)": misfit}, None
    if teacher_loss is not None:
        constants["D(f*, f_t)"] = teacher_loss
        if max(teacher_loss, misfit) < math.inf:
            value = student_loss_bound(teacher_loss, misfit)
    return Bound(
        "Mulgund, KL misfit",
        "mulgund2025relating",
        "pool",
        "KL divergence",
        value,
        (
            Hypothesis(
                "the student's class", "not checkable", None, "convex, with the truth in it"
            ),
            compared("D(f*, f_t) − D(f*, f) − D(f, f_t)", gap, "≥", 0),
        ),
        constants,
        math.inf,
        measured,
    )


def _per_point(g: Floats, h: Floats) -> Floats:
    """The divergence of every row, ∞ where h leaves out what g has."""
    ratio = np.divide(g, h, out=np.full(g.shape, np.inf), where=h > 0)
    logs = np.log(ratio, out=np.zeros(g.shape), where=g > 0)
    return np.asarray((g * logs).sum(axis=1))


def _probabilities(name: str, given: ArrayLike) -> Floats:
    x = np.asarray(given, dtype=np.float64)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; give probabilities [n, classes]")
    if not (np.isfinite(x).all() and (x >= 0).all() and np.allclose(x.sum(axis=1), 1, atol=1e-6)):
        raise ValueError(f"a row of {name} is no distribution; give probabilities, not logits")
    return np.asarray(x / x.sum(axis=1, keepdims=True))
