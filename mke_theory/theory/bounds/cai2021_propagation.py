"""Labels propagate from where the teacher works to where it may not: Cai et al., Theorem 2.1.

S is the source, where the teacher labels, T the target, S_i and T_i their points of class i, and
every class counts P_i = ½ P(· | S_i) + ½ P(· | T_i). The margin γ is the smallest over classes i
and wrong labels k of P(ỹ = i | S_i) − P(ỹ = k | S_i); r is the largest P_T(T_i) / P_S(S_i). R_B is
taken over ½ (P_S + P_T). If every class expands with (½, c), c > 1, the truth has R_B(y) ≤ μ, and f
is the classifier with R_B(f) ≤ μ that is closest to the teacher on S, then

    P_T(f ≠ y) ≤ max{(c+1)/(c−1), 3} · 8 r μ / γ.

Where f is further from the teacher than the truth by τ at most, the bound grows by r τ / γ. In the
proof f is constant on every class but for a mass m, and a class that it gets wrong costs γ times
its mass in L_S(f, ỹ): γ P_S(wrong classes) ≤ m_S + τ, where the theorem has τ = 0, and the error
on T is at most m_T + r P_S(wrong classes).

Instead of "closest" it is asked that f is no further from the teacher on S than the truth is, which
can be measured; no enumerated world refutes the theorem so. Where the teacher labels the whole
pool, S = T is the pool and r = 1. The constant is generous: on enumerated small worlds the error
was at most an eighth of the value, and only μ = 0 is tight. Ref: cai2021theory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.bounds.bound import (
    Bound,
    Hypothesis,
    Mask,
    Measured,
    checked_share,
    compared,
    covered_points,
    exceeds,
    lower_end,
    number,
    student_error_on,
    trivial_error,
)
from mke_theory.theory.bounds.wei2021_pseudolabels import small_sets
from mke_theory.theory.graph import Floats, Graph, inconsistent
from mke_theory.theory.labelled_pool import LabelledPool


def propagated_error_bound(
    expansion: float, margin: float, inconsistency: float, ratio: float = 1.0
) -> float:
    """At least P_T(f ≠ y): max{(c+1)/(c−1), 3} · 8rμ/γ, for c, γ, μ and r.

    Raises ValueError for c or γ that does not exceed 1 or 0 clearly, γ above 1, μ outside [0, 1] or
    r below 1 (the largest of ratios of two distributions cannot be smaller).
    Ref: cai2021theory, Theorem 2.1.
    """
    if not exceeds(expansion, 1):
        raise ValueError(f"expansion is {expansion}; the formula needs more than 1, clearly")
    if not exceeds(checked_share("margin", margin), 0):
        raise ValueError(f"margin is {margin}; the formula divides by it")
    mu = checked_share("inconsistency", inconsistency)
    if not (1 - 1e-9 <= ratio < math.inf):
        raise ValueError(f"ratio is {ratio}; the largest P_T(T_i) / P_S(S_i) is at least 1")
    return max(1 + 2 / (expansion - 1), 3.0) * 8 * ratio * mu / margin


def for_student(
    pool: LabelledPool,
    *,
    covered: ArrayLike | None = None,
    expansion: Measured = None,
    margin: float | None = None,
    inconsistency: float | None = None,
    tolerance: float = 0.0,
) -> Bound:
    """The bound on the student's error on T, for μ as given or the smallest that y and f allow.

    `covered` [n] is true on S, and T is the rest; without it both are the whole pool. `expansion`
    is c for sets up to half of a class, by default `half_sets`. Where the truth is not known,
    γ and μ may be assumed (r is then 1, so only without `covered`), and hypotheses about them are
    at best not checkable. The student may be further from the teacher than the truth is by
    `tolerance` (τ), a share; what it is further by is charged for.

    Raises ValueError where S or T weighs nothing. Ref: cai2021theory, Theorem 2.1; τ derived here.
    """
    allowed = checked_share("tolerance", tolerance)
    whole, (source, target) = covered is None, _sides(pool, covered)
    if inconsistency is not None:
        checked_share("inconsistency", inconsistency)
    if pool.truth is None:
        found = _assumed(pool, whole, margin, inconsistency)
    elif margin is not None:
        raise ValueError("the truth is known, so the margin is measured; give none")
    else:
        found = _measured(pool, source, target, inconsistency)
    if expansion is None and found.measured and found.ratio < math.inf:
        expansion = half_sets(pool, covered)
    constants = {"c": lower_end(expansion), "γ": found.margin, "μ": found.limit, "r": found.ratio}
    return Bound(
        "Cai 2.1, propagation",
        "cai2021theory, Theorem 2.1",
        "pool" if whole else "unlabelled points",
        "student error",
        _value(found, lower_end(expansion), allowed),
        _hypotheses(found, expansion, allowed),
        {name: given for name, given in constants.items() if given is not None},
        trivial_error(found.teacher_error if whole else None, pool.disagreement),
        student_error_on(pool, target),
    )


def half_sets(
    pool: LabelledPool, covered: ArrayLike | None = None, *, seconds: float = 10.0
) -> Measured:
    """The c of all sets up to half of a class, by `class_measure`; as `small_sets` of Wei et al.

    Raises ValueError where the truth is not known, or a class lies on one side only.
    """
    graph = pool.graph
    if covered is not None:
        graph = Graph(graph.adjacency, class_measure(pool, covered))
    return small_sets(replace(pool, graph=graph), 0.5, seconds=seconds)


def class_measure(pool: LabelledPool, covered: ArrayLike) -> Floats:
    """Weights [n] under which the points of class i are distributed as P_i, all classes alike.

    Raises ValueError where the truth is not known, or a class lies on one side only.
    """
    source, target = _sides(pool, covered)
    p, measure = pool.graph.weights, np.zeros(pool.graph.n)
    for label in _present(pool):
        for side in (source, target):
            here = (pool.known_truth == label) & side
            if not p[here].sum() > 0:
                raise ValueError(f"class {label} lies on one side only; P_i needs it on both")
            measure[here] += p[here] / p[here].sum()
    return measure / measure.sum()


@dataclass(frozen=True)
class _Found:
    """γ, r and μ; R_B of truth and student over U; L_S(f, ỹ) less L_S(y, ỹ)."""

    margin: float | None
    ratio: float
    limit: float | None
    truth_rough: float | None
    student_rough: float | None
    excess: float | None
    teacher_error: float | None
    measured: bool


def _assumed(
    pool: LabelledPool, whole: bool, margin: float | None, inconsistency: float | None
) -> _Found:
    rough = pool.share(pool.student_inconsistent()) if whole else None
    ratio = 1.0 if whole else math.inf
    return _Found(margin, ratio, inconsistency, None, rough, None, None, False)


def _measured(
    pool: LabelledPool, source: Mask, target: Mask, inconsistency: float | None
) -> _Found:
    y, share = pool.known_truth, pool.share

    def on(side: Mask, where: Mask) -> float:
        return share(side & where) / share(side)

    margins, ratios = [], []
    for label in _present(pool):
        inside = y == label
        here, there = on(source, inside), on(target, inside)
        ratios.append(there / here if here > 0 and there > 0 else math.inf)
        if here > 0:
            labels = [on(source & inside, pool.pseudo == k) for k in range(pool.classes)]
            margins.append(labels[label] - max(x for k, x in enumerate(labels) if k != label))
    of_truth, of_student = (
        (on(source, rough) + on(target, rough)) / 2
        for rough in (inconsistent(pool.graph, f) for f in (y, pool.student))
    )
    excess = on(source, pool.student != pool.pseudo) - on(source, y != pool.pseudo)
    mu = max(of_truth, of_student) if inconsistency is None else inconsistency
    error = pool.teacher_error
    return _Found(min(margins), max(ratios), mu, of_truth, of_student, excess, error, True)


def _value(found: _Found, c: float | None, tolerance: float) -> float | None:
    if c is None or found.margin is None or found.limit is None:
        return None
    if not (exceeds(c, 1) and exceeds(found.margin, 0) and found.ratio < math.inf):
        return None
    further = min(max(found.excess or 0.0, 0.0), tolerance)
    at_none = propagated_error_bound(c, found.margin, found.limit, found.ratio)
    return at_none + found.ratio * further / found.margin


def _hypotheses(found: _Found, expansion: Measured, tolerance: float) -> tuple[Hypothesis, ...]:
    checked, mu = found.measured, found.limit
    rough = None if mu is None else found.student_rough
    within = "μ" if mu is None else f"μ = {number(mu)}"
    two_sided = compared(
        "classes on both sides", found.ratio, "<", 1e9, required="all, so that r is finite"
    )
    unknown = compared("classes on both sides", None, "<", 0, required="all, so that r is finite")
    return (
        compared("teacher's margin γ", found.margin, ">", 0, checked=checked),
        compared("expansion c (sets up to 1/2)", expansion, ">", 1, checked=checked),
        two_sided if checked or found.ratio < math.inf else unknown,
        compared("R_B(y)", found.truth_rough, "≤", mu or 0.0, label=within),
        compared("R_B(f)", rough, "≤", mu or 0.0, label=within),
        compared("L01(f, ỹ) less Err(ỹ), on labelled points", found.excess, "≤", tolerance),
    )


def _sides(pool: LabelledPool, covered: ArrayLike | None) -> tuple[Mask, Mask]:
    if covered is None:
        every = np.ones(pool.graph.n, np.bool_)
        return every, every
    source = covered_points(pool, covered)
    for name, side in (("true", source), ("false", ~source)):
        if pool.share(side) == 0:
            raise ValueError(f"the points where covered is {name} weigh nothing; leave it out")
    return source, ~source


def _present(pool: LabelledPool) -> list[int]:
    return [k for k, share in enumerate(pool.class_weights()) if share > 0]
