"""Independent views need no expansion: the student's error follows from its disagreement.

ỹ is a function of α, f a function of β, and α ⟂ β given y, so f ⟂ ỹ given y. In class i, with
a = P(ỹ ≠ y | i) and two classes, they differ exactly where one of them errs:

    L01(f, ỹ | i) = a (1 − e) + (1 − a) e,   so   e = Err(f | i) = (L01(f, ỹ | i) − a) / (1 − 2a).

Whether the teacher labels a point is a function of α as well. So on the points T_i of a class that
it leaves unlabelled f errs as often as on those that it labels:
Err(f | T_i) = Err(f | S_i), and the
right side, over S_i, bounds it too.

For any number of classes let C[i, j] = P(ỹ = j | y = i) be the teacher's confusion matrix and
J[j, k] = P(ỹ = j, f = k). Then Cᵀ X = J for X[i, k] = P(y = i, f = k), and Err(f) = 1 − trace(X):
no label on the pool is needed, only C. Both are equalities, and both fail with the independence: a
student that sees α, or shares an error of the teacher for another reason, is not covered. Where a
is near 1/2, or C has hardly an inverse, a dependence too small to fail is divided by next to
nothing: what passes for independent is therefore added to the value, times what it can do.
Ref: blum1998combining, as stated in lang2024theoretical, Theorem C.1 (two classes, one class of the
truth); the form with a confusion matrix is derived here.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.bounds.bound import (
    Bound,
    Hypothesis,
    Mask,
    checked_share,
    compared,
    covered_points,
    exceeds,
    number,
    student_error_on,
    trivial_error,
)
from mke_theory.theory.graph import Floats, Graph, Ints
from mke_theory.theory.labelled_pool import LabelledPool

_REFERENCE = "blum1998combining, as lang2024theoretical, Theorem C.1"
_WORST_CONDITION = 1e8
"""A confusion matrix beyond it turns the eighth digit of a share into the first of the answer."""


def independent_error(disagreement: float, wrong_share: float) -> float:
    """The error e of a student that errs independently, (L01 − a) / (1 − 2a), for two classes.

    Raises ValueError for a share outside [0, 1] or a that is not clearly below 1/2.
    Ref: lang2024theoretical, Theorem C.1.
    """
    apart = checked_share("disagreement", disagreement)
    a = checked_share("wrong_share", wrong_share)
    if not exceeds(0.5, a):
        raise ValueError(f"wrong_share is {a}; the formula needs less than 1/2, clearly")
    return (apart - a) / (1 - 2 * a)


def error_from_confusion(confusion: ArrayLike, joint: ArrayLike) -> float:
    """Err(f) = 1 − trace(C⁻ᵀ J), both [classes, classes]; rows of C sum to one, all of J does.

    Raises ValueError where shapes differ, sums are off, or C cannot be inverted reliably.
    Ref: derived here, from the independence of blum1998combining.
    """
    c, j = np.asarray(confusion, np.float64), np.asarray(joint, np.float64)
    if c.ndim != 2 or c.shape[0] != c.shape[1] or c.shape != j.shape:
        raise ValueError(f"confusion and joint have shapes {c.shape} and {j.shape}; give squares")
    if not (np.allclose(c.sum(axis=1), 1, atol=1e-9) and (c >= 0).all()):
        raise ValueError("a row of confusion is no distribution; row i is P(ỹ | y = i)")
    if not (np.isclose(j.sum(), 1, atol=1e-9) and (j >= 0).all()):
        raise ValueError("joint is no distribution; it holds P(ỹ = j, f = k) over the pool")
    condition = float(np.linalg.cond(c))
    if not condition < _WORST_CONDITION:
        raise ValueError(f"confusion has condition {condition:.3g}; its classes look alike")
    return float(1 - np.trace(np.linalg.solve(c.T, j)))


def for_class(pool: LabelledPool, label: int, *, tolerance: float = 1e-9) -> Bound:
    """The student's error in one of two classes, if its mistakes are independent of the teacher's.

    The hypothesis measures |P(both wrong) − P(ỹ wrong) P(f wrong)| in the class; `tolerance` is how
    much of it passes for independent. What passes is added to the value, twice over 1 − 2a. A
    sample of n points from independent views shows about √(a(1 − a)e(1 − e)/n).

    Raises ValueError where the class weighs nothing. Ref: lang2024theoretical, Theorem C.1.
    """
    two = compared("number of classes", float(pool.classes), "≤", 2)
    found = Bound(
        "Blum–Mitchell, views",
        _REFERENCE,
        f"class {label}",
        "student error",
        None,
        (two, *_hypotheses(None, None, tolerance)),
    )
    if pool.truth is None:
        return found
    inside = pool.truth == label
    mass = pool.share(inside)
    if mass == 0:
        raise ValueError(f"class {label} weighs nothing in this pool; leave it out")
    wrong, missed = inside & (pool.pseudo != label), inside & (pool.student != label)
    a, e, both = (pool.share(x) / mass for x in (wrong, missed, wrong & missed))
    apart = pool.share(inside & (pool.pseudo != pool.student)) / mass
    error, chance = student_error_on(pool, inside), ""
    if error is not None and error.points:
        spread = (a * (1 - a) * e * (1 - e) / error.points) ** 0.5
        chance = f"a sample of independent views shows about {number(spread)}"
    dependence, value = abs(both - a * e), None
    if exceeds(0.5, a):
        value = independent_error(apart, a) + 2 * min(dependence, tolerance) / (1 - 2 * a)
    return replace(
        found,
        value=value,
        hypotheses=(two, *_hypotheses(a, dependence, tolerance, chance)),
        constants={"a": a, "L01(f, ỹ)": apart},
        trivial=trivial_error(a, apart),
        measured=error,
    )


def for_unlabelled_class(
    pool: LabelledPool, label: int, covered: ArrayLike, *, tolerance: float = 1e-9
) -> Bound:
    """The student's error where the teacher leaves one of two classes unlabelled, T_i.

    `covered` [n] is true where the teacher gave a label. Beside the independence of mistakes on
    S_i, |Err(f | T_i) − Err(f | S_i)| is measured; what passes of either is added to the value.

    Raises ValueError where S_i or T_i weighs nothing. Ref: lang2024theoretical, Theorem C.1.
    """
    mask = covered_points(pool, covered)
    named = replace(for_class(_unknown(pool), label), scope=f"unlabelled class {label}")
    name = "P(f wrong), unlabelled less labelled"
    if pool.truth is None:
        unknown = compared(name, None, "≤", tolerance)
        return replace(named, hypotheses=(*named.hypotheses, unknown))
    inside = pool.truth == label
    if not (pool.share(inside & mask) > 0 and pool.share(inside & ~mask) > 0):
        raise ValueError(f"class {label} is not on both sides of covered; leave it out")
    graph = pool.graph
    p = np.where(mask, graph.weights, 0.0)
    labelled = replace(pool, graph=Graph(graph.adjacency, p / p.sum()))
    on = for_class(labelled, label, tolerance=tolerance)
    missed = pool.student != label
    there, here = (
        pool.share(inside & side & missed) / pool.share(inside & side) for side in (~mask, mask)
    )
    apart = abs(there - here)
    return replace(
        named,
        value=None if on.value is None else on.value + min(apart, tolerance),
        hypotheses=(*on.hypotheses, compared(name, apart, "≤", tolerance)),
        constants=on.constants,
        trivial=1.0,
        measured=student_error_on(pool, inside & ~mask),
    )


def for_pool(
    pool: LabelledPool, *, confusion: ArrayLike | None = None, tolerance: float = 1e-9
) -> Bound:
    """The student's error from the teacher's confusion matrix, if f ⟂ ỹ given y.

    `confusion` [classes, classes] may come from validation data where the truth of the pool is not
    known; the independence is then not checkable. A dependence that passes is added to the value,
    times Σ|C⁻¹|, which is the most that it can do. Ref: derived here, from blum1998combining.
    """
    value = condition = dependence = None
    if pool.truth is not None:
        if confusion is not None:
            raise ValueError("the truth is known, so the confusion is measured; give none")
        confusion, dependence = _confusion(pool)
        condition = math.inf  # where a class weighs nothing
    if confusion is not None:
        condition = float(np.linalg.cond(np.asarray(confusion, np.float64)))
        if condition < _WORST_CONDITION:
            joint = _table(pool.pseudo, pool.student, pool)
            passed = min(dependence or 0.0, tolerance)
            value = error_from_confusion(confusion, joint)
            value += passed * float(np.abs(np.linalg.inv(np.asarray(confusion, np.float64))).sum())
    return Bound(
        "views by confusion",
        "derived here, as blum1998combining",
        "pool",
        "student error",
        value,
        (
            compared("condition of the confusion matrix", condition, "<", _WORST_CONDITION),
            compared("dependence of f and ỹ given y", dependence, "≤", tolerance),
        ),
        {"L01(f, ỹ)": pool.disagreement},
        trivial_error(None if pool.truth is None else pool.teacher_error, pool.disagreement),
        student_error_on(pool),
    )


def _unknown(pool: LabelledPool) -> LabelledPool:
    return replace(pool, truth=None)


def _hypotheses(
    wrong: float | None, dependence: float | None, tolerance: float, chance: str = ""
) -> tuple[Hypothesis, Hypothesis]:
    return (
        compared("teacher's error in the class a", wrong, "<", 0.5, label="1/2"),
        compared("dependence of mistakes given y", dependence, "≤", tolerance, why=chance),
    )


def _table(rows: Ints, columns: Ints, pool: LabelledPool, where: Mask | None = None) -> Floats:
    """The weight of every pair of labels, [classes, classes], over the points in `where`."""
    p = pool.graph.weights if where is None else pool.graph.weights * where
    k = pool.classes
    counted = np.bincount(rows * k + columns, p, minlength=k * k)
    return np.asarray(counted, dtype=np.float64).reshape(k, k)


def _confusion(pool: LabelledPool) -> tuple[Floats | None, float | None]:
    """C, and the largest |P(ỹ, f | y) − P(ỹ | y) P(f | y)|; None where a class weighs nothing."""
    shares = pool.class_weights()
    if (shares == 0).any():
        return None, None
    rows, dependence = [], 0.0
    for label, share in enumerate(shares):
        inside = pool.known_truth == label
        joint = _table(pool.pseudo, pool.student, pool, inside) / share
        rows.append(joint.sum(axis=1))
        apart = np.abs(joint - np.outer(joint.sum(axis=1), joint.sum(axis=0))).max()
        dependence = max(dependence, float(apart))
    return np.array(rows), dependence
