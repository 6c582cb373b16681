"""A student corrects its teacher although it is robust at most points only on average.

With weights w on the edges, f is η-robust at x if at most a share η of the edge weight at x leads
to another label. For a set U let N_η(U, A) be the least P(V | A) over sets V of points that take a
share 1 − η of the edge weight of U or more. Let V be the points of S_good that f labels right and
at which it is η-robust, c with N_η(V, S_bad) ≥ c P(V | S_good), and c' = c/(1 − a + ca). Then

    Err(f | S_i) ≤ [L01(f, ỹ | S_i) − a (2c' − 1) + 2c'a P(f not η-robust | S_i)] / (1 − 2c'a).

Proof. Of the edge weight of V at most a share η leads to labels other than y, so the points that f
labels right take 1 − η of it, and of S_bad at least N_η(V, S_bad) is labelled right. From there it
is the proof of `lang2024_correction`, in which only r ≥ a c P(V | S_good) is used of robustness.

The least P(V | A) is a knapsack; its relaxation, which may take a part of a point, is no larger and
is what counts here. At η = 0 both are P(N(V) | A), one step of the graph.
Ref: lang2024theoretical, whose Theorem 4.3 is of this kind. Its text was not at hand: the statement
above is proved here, and its constants need not be theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mke_theory.theory.bounds.bound import (
    Bound,
    Hypothesis,
    Mask,
    checked_share,
    compared,
    exceeds,
    student_error_on,
    trivial_error,
)
from mke_theory.theory.bounds.lang2024_correction import corrected_error_bound
from mke_theory.theory.graph import Floats, Graph, Ints
from mke_theory.theory.labelled_pool import LabelledPool

ETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""The η tried by default; each gives a bound, and the least of them counts."""
_SLACK = 1e-12
"""By so much, relative to the edge weight of U, less has to be taken: sums are rounded."""


def for_class(pool: LabelledPool, label: int, *, etas: Sequence[float] = ETAS) -> Bound:
    """The bound on the student's error in one class for the η with the smallest value.

    Without the truth nobody knows V, and there is no value. Raises ValueError where the class
    weighs nothing, or no η is given or one is outside [0, 1].
    Ref: lang2024theoretical, as in this file's head.
    """
    if not etas:
        raise ValueError("etas is empty; give at least one share, for instance 0")
    half = compared("teacher's error in the class a", None, "<", 0.5, label="1/2")
    if pool.truth is None:
        return _bound(label, None, (half, compared("expansion c of the own set", None, ">", 0)))
    inside = pool.truth == label
    mass = pool.share(inside)
    if mass == 0:
        raise ValueError(f"class {label} weighs nothing in this pool; leave it out")
    a = pool.share(inside & (pool.pseudo != label)) / mass
    apart = pool.share(inside & (pool.pseudo != pool.student)) / mass
    tried = [_at(pool, label, checked_share("eta", eta), a, apart) for eta in etas]
    value, eta, c, rough = min(tried, key=lambda one: one[:2])
    half = compared("teacher's error in the class a", a, "<", 0.5, label="1/2")
    expands = compared(f"expansion c of the own set, η = {eta:g}", c, ">", 0)
    return replace(
        _bound(label, value if np.isfinite(value) else None, (half, expands)[: 1 if a == 0 else 2]),
        constants={"a": a, "L01(f, ỹ)": apart, "η": eta, "c": c, "P(not η-robust)": rough},
        trivial=trivial_error(a, apart),
        measured=student_error_on(pool, inside),
    )


def astray_share(graph: Graph, labels: Ints) -> Floats:
    """The share of each point's edge weight that leads to another label, [n]; 0 without edges."""
    near = graph.adjacency.tocoo()
    apart = labels[near.row] != labels[near.col]
    astray = np.bincount(near.row, near.data * apart, minlength=graph.n)
    degree = np.bincount(near.row, near.data, minlength=graph.n)
    return np.asarray(np.divide(astray, degree, out=np.zeros(graph.n), where=degree > 0))


def robust_reach(graph: Graph, own: Mask, onto: Mask, eta: float) -> float:
    """At most the weight of `onto` that a set takes which has 1 − η of the edge weight of `own`.

    `own` and `onto` are masks [n]; the result is in the units of the graph's point weights. Raises
    ValueError for η outside [0, 1]. Ref: lang2024theoretical, as in this file's head.
    """
    share = checked_share("eta", eta)
    taken = np.asarray(graph.adjacency @ own.astype(np.float64))
    total, there = float(taken.sum()), taken[onto]
    # Points outside `onto` cost nothing, so all that they take is taken.
    needed = float(there.sum()) - (share + _SLACK) * total
    if needed <= 0:
        return 0.0
    reached = there > 0
    weight, mass = there[reached], graph.weights[onto][reached]
    order = np.argsort(mass / weight, kind="stable")
    steps = np.concatenate([[0.0], np.cumsum(weight[order])])
    return float(np.interp(needed, steps, np.concatenate([[0.0], np.cumsum(mass[order])])))


def _at(
    pool: LabelledPool, label: int, eta: float, a: float, apart: float
) -> tuple[float, float, float, float]:
    """The value at one η (∞ for none), η, c and P(f not η-robust | S_i)."""
    inside = pool.known_truth == label
    mass, right = pool.share(inside), inside & (pool.pseudo == label)
    robust = astray_share(pool.graph, pool.student) <= eta + _SLACK / 2
    rough = pool.share(inside & ~robust) / mass
    if a == 0:
        return apart, eta, 0.0, rough
    if not exceeds(0.5, a):
        return np.inf, eta, 0.0, rough
    own = right & (pool.student == label) & robust
    weight, c = pool.share(own), 1.0  # the empty set expands by any ratio
    if weight > 0:
        reached = robust_reach(pool.graph, own, inside & ~right, eta)
        c = (reached / (a * mass)) / (weight / pool.share(right))
    used = c if exceeds(1 - a, a * c) else 1.0
    value = min(corrected_error_bound(apart, rough, a, ratio) for ratio in (0.0, used))
    return value, eta, c, rough


def _bound(label: int, value: float | None, hypotheses: tuple[Hypothesis, ...]) -> Bound:
    return Bound(
        "Lang 4.3, η-robust",
        "lang2024theoretical, Theorem 4.3; as derived here",
        f"class {label}",
        "student error",
        value,
        hypotheses,
    )
