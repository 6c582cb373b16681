"""Intervals: the least and the largest mean loss that a graph and side information still allow.

A loss is a table ℓ[i, k], what the pool loses at point i if its class is k. Whatever the table,

    min Σ_i p_i ℓ[i, y_i]  ≤  the loss under the truth  ≤  max Σ_i p_i ℓ[i, y_i],

both over the labellings y with L01(y, ỹ) ≤ ε, R(y) ≤ μ and the further facts: one worst case with
the reward p ℓ and one with −p ℓ. Three tables have a name here:

    ℓ[i, k] = 1[f_i ≠ k]                    the error of a student: refuted where the least is high
    ℓ[i, k] = 1[f_i ≠ k] − 1[g_i ≠ k]       two students: f is better whatever the truth if max < 0
    ℓ[i, k] = 1 − q_i[k]                    soft labels: the error of a class drawn from q_i

The interval also holds where the truth is soft, P(y_i = k) = Y_ik, with ½ Σ_e w_e |Y_i − Y_j|₁ ≤ μ
in the edge form: every method but the mixed-integer programme bounds the maximum over such Y.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.certificate import assumptions, worst_truth
from mke_theory.theory.certificates.infeasible import Infeasible, contradiction
from mke_theory.theory.certificates.integer_programme import solve_by_integers
from mke_theory.theory.certificates.methods import every_method
from mke_theory.theory.certificates.side_information import (
    Fact,
    level_of,
    rounded_down,
    rounded_up,
)
from mke_theory.theory.certificates.worst_case import Bounded, Form, WorstCase
from mke_theory.theory.graph import Graph, labels_of
from mke_theory.theory.labelled_pool import LabelledPool

_SUM_DOUBT = 1e-6
"""Probabilities may miss a sum of 1 by this much."""


@dataclass(frozen=True, eq=False)
class Interval:
    """`quantity` of the pool lies in [low, high] under the facts and R(y) ≤ `inconsistency`.

    `low_without_graph` and `high_without_graph` are the ends that facts and known labels give
    alone. `attained_low` and `attained_high` are the quantity of the best and the worst allowed
    labelling met, None where none was: the sharpest ends lie between these and low, high.
    """

    quantity: str
    low: float
    high: float
    low_without_graph: float
    high_without_graph: float
    attained_low: float | None
    attained_high: float | None
    facts: tuple[Fact, ...]
    inconsistency: float
    form: Form
    points: int
    known_labels: int

    @property
    def level(self) -> float:
        """The probability with which all facts hold at least; 1 where they are assumed."""
        return level_of(self.facts)

    def refutes(self, claimed: float) -> bool:
        """True where no allowed truth gives a quantity of at most `claimed`."""
        return self.low > claimed

    @property
    def guarantee(self) -> str:
        """The certified statement in words, with its assumptions and its probability."""
        limit = rounded_down(self.inconsistency)
        return (
            f"On this pool of {self.points} points, {self.quantity} lies in "
            f"[{rounded_down(self.low)}, {rounded_up(self.high)}] (without the graph: "
            f"[{rounded_down(self.low_without_graph)}, {rounded_up(self.high_without_graph)}]). "
            + assumptions(self.facts, limit, self.form, self.known_labels, self.level)
        )

    def __str__(self) -> str:
        return self.guarantee


def error_interval(
    pool: LabelledPool,
    *,
    error: float | Fact,
    inconsistency: float,
    form: Form = "edge",
    facts: tuple[Fact, ...] = (),
    known_labels: ArrayLike | None = None,
    seconds: float = 0.0,
) -> Interval:
    """The least and the largest error of the student; arguments as for `label_free`.

    A student is refuted where the least is above what was claimed of it. In `seconds` above 0 a
    mixed-integer programme sharpens each end, for pools of up to some hundred points.

    Raises Infeasible where no labelling satisfies the assumptions, ValueError as `label_free`.
    """
    problem = worst_truth(pool, error, inconsistency, form, facts, known_labels, gain=False)
    return _interval(problem, "the student's error", pool, seconds)


def difference_interval(
    pool: LabelledPool,
    other: ArrayLike,
    *,
    error: float | Fact,
    inconsistency: float,
    form: Form = "edge",
    facts: tuple[Fact, ...] = (),
    known_labels: ArrayLike | None = None,
    seconds: float = 0.0,
) -> Interval:
    """Err(f) − Err(g) for the student f of the pool and another student g, classes `other` [n].

    Below zero throughout, f errs less than g whatever the truth; arguments as for `label_free`,
    `seconds` as for `error_interval`. It is at most what the difference of two certificates says,
    and lies in [−L01(f, g), L01(f, g)].

    Raises Infeasible where no labelling satisfies the assumptions, ValueError as `label_free` and
    where a class of `other` is outside its range, TypeError where they are no integers.
    """
    g = labels_of("other", other, pool.graph.n, pool.classes)
    wrong = 1 - np.eye(pool.classes)
    problem = worst_truth(pool, error, inconsistency, form, facts, known_labels, gain=False)
    reward = pool.graph.weights[:, None] * (wrong[pool.student] - wrong[g])
    quantity = "the student's error minus the other student's"
    return _interval(replace(problem, reward=reward), quantity, pool, seconds)


def expected_error_interval(
    pool: LabelledPool,
    probabilities: ArrayLike,
    *,
    error: float | Fact,
    inconsistency: float,
    form: Form = "edge",
    facts: tuple[Fact, ...] = (),
    known_labels: ArrayLike | None = None,
    seconds: float = 0.0,
) -> Interval:
    """The expected error Σ_i p_i (1 − q_i[y_i]) of a student with probabilities q [n, classes].

    It is the error of a student that draws its class from q, and half the mean L1 distance between
    q and the one-hot truth. The classes of the pool's own student are not read. Arguments as for
    `label_free`, `seconds` as for `error_interval`.

    Raises Infeasible where no labelling satisfies the assumptions, ValueError as `label_free` and
    where the probabilities have another shape, are negative or do not sum to 1.
    """
    q = np.asarray(probabilities, dtype=np.float64)
    if q.shape != (pool.graph.n, pool.classes):
        raise ValueError(
            f"probabilities have shape {q.shape}; give {pool.classes} for each of the "
            f"{pool.graph.n} points"
        )
    if not ((q >= 0).all() and (np.abs(q.sum(axis=1) - 1) <= _SUM_DOUBT).all()):
        raise ValueError("probabilities have to be at least 0 and sum to 1; apply a softmax first")
    problem = worst_truth(pool, error, inconsistency, form, facts, known_labels, gain=False)
    problem = replace(problem, reward=pool.graph.weights[:, None] * (1 - q))
    return _interval(problem, "the student's expected error", pool, seconds)


def _interval(problem: WorstCase, quantity: str, pool: LabelledPool, seconds: float) -> Interval:
    """Both ends of the quantity whose reward the problem has, with and without the graph."""
    nobody_near = Graph.from_edges(pool.graph.n, [], weights=pool.graph.weights)
    alone = replace(problem, graph=nobody_near, most=0.0, form="edge")
    high, high_alone = _largest(problem, pool, seconds), _largest(alone, pool, 0.0)
    low, low_alone = _largest(_turned(problem), pool, seconds), _largest(_turned(alone), pool, 0.0)
    return Interval(
        quantity,
        max(-low.value, -low_alone.value),
        min(high.value, high_alone.value),
        -low_alone.value,
        high_alone.value,
        None if low.attained is None else -low.attained,
        high.attained,
        problem.facts,
        problem.most,
        problem.form,
        pool.graph.n,
        int((problem.fixed != UNKNOWN).sum()),
    )


def _turned(problem: WorstCase) -> WorstCase:
    return replace(problem, reward=-problem.reward)


def _largest(problem: WorstCase, pool: LabelledPool, seconds: float) -> Bounded:
    """The smallest bound that a method found, with the highest reward that any attained."""
    found = every_method(problem, pool.student, 1)
    if seconds > 0:
        found.append(solve_by_integers(problem, seconds))
    best = min(found, key=lambda one: one.value)
    if best.value == -np.inf:
        raise Infeasible(contradiction(problem, 1))
    met = [one for one in found if one.attained is not None]
    worst = max(met, key=lambda one: one.attained or 0.0, default=best)
    return replace(best, labelling=worst.labelling, attained=worst.attained)
