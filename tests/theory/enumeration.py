"""Small pools at random, and properties of all their labellings, found without the solvers.

The linear programmes here are written down variable by variable and solved by HiGHS; they share no
code with the cuts and the first-order method that they check.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from mke_theory.theory.certificates.side_information import (
    Fact,
    class_shares,
    confusion_between,
    teacher_error_at_least,
    teacher_error_at_most,
)
from mke_theory.theory.certificates.worst_case import Form, WorstCase
from mke_theory.theory.graph import Graph, edge_inconsistency, vertex_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FORMS: tuple[Form, Form] = ("edge", "vertex")


def random_graph(rng: np.random.Generator, n: int, edges: int) -> Graph:
    p = rng.random(n) + 0.05
    pairs = rng.integers(0, n, (edges, 2))
    return Graph.from_edges(n, pairs, rng.random(edges) + 0.01, p / p.sum())


def random_pool(
    rng: np.random.Generator, classes: int, points: tuple[int, int] = (2, 8)
) -> LabelledPool:
    """Teacher and student are right on most points, so that their agreement means something."""
    n = int(rng.integers(*points))
    graph = random_graph(rng, n, int(rng.integers(0, 2 * n)))
    truth = rng.integers(0, classes, n)
    noisy = [
        np.where(rng.random(n) < share, rng.integers(0, classes, n), truth) for share in (0.4, 0.3)
    ]
    return LabelledPool(graph, noisy[0], noisy[1], classes, truth)


def inconsistency(graph: Graph, labels: Ints, form: Form) -> float:
    return (edge_inconsistency if form == "edge" else vertex_inconsistency)(graph, labels)


def facts_that_hold(rng: np.random.Generator, pool: LabelledPool) -> tuple[Fact, ...]:
    """Between none and all kinds of side information, each true of this pool."""
    facts: tuple[Fact, ...] = ()
    k, p, truth = pool.classes, pool.graph.weights, pool.known_truth
    if rng.random() < 0.4:
        share = np.bincount(truth, p, k)
        facts += class_shares(np.maximum(share - 0.1, 0), np.minimum(share + 0.1, 1))
    if rng.random() < 0.3:
        cell = np.bincount(pool.pseudo * k + truth, p, k * k).reshape(k, k)
        facts += confusion_between(np.maximum(cell - 0.1, 0), np.minimum(cell + 0.1, 1))
    if rng.random() < 0.3:
        facts += (teacher_error_at_least(max(0.0, pool.teacher_error - 0.05), k),)
    return facts


def some_known(rng: np.random.Generator, pool: LabelledPool, share: float = 0.2) -> Ints:
    return np.where(rng.random(pool.graph.n) < share, pool.known_truth, -1)


def error_problem(
    pool: LabelledPool,
    error: float,
    most: float,
    form: Form,
    facts: tuple[Fact, ...] = (),
    known: Ints | None = None,
    gain: bool = False,
) -> WorstCase:
    """The worst case behind `label_free`, laid out once more."""
    n, classes, graph = pool.graph.n, pool.classes, pool.graph
    reward = np.zeros((n, classes))
    for i, k in product(range(n), range(classes)):
        errs, teacher_errs = int(k != pool.student[i]), int(k != pool.pseudo[i])
        reward[i, k] = graph.weights[i] * (errs - gain * teacher_errs)
    limits = (teacher_error_at_most(error, classes), *facts)
    free = np.full(n, -1) if known is None else known
    return WorstCase(graph, reward, pool.pseudo, limits, most, form, free)


@dataclass(frozen=True, eq=False)
class Labellings:
    """Every labelling of a small pool that agrees with the known labels, and what it measures."""

    problem: WorstCase

    @cached_property
    def labels(self) -> Ints:
        """[labellings, n]."""
        n, known = self.problem.graph.n, self.problem.fixed
        every = np.array(list(product(range(self.problem.classes), repeat=n)), dtype=np.int64)
        fits: NDArray[np.bool_] = ((known < 0) | (every == known)).all(axis=1)
        return every[fits]

    @cached_property
    def reward(self) -> Floats:
        taken = self.problem.reward[np.arange(self.problem.graph.n), self.labels]
        return np.asarray(taken.sum(axis=1), np.float64)

    @cached_property
    def sides(self) -> Floats:
        """[labellings, facts]."""
        p, pseudo = self.problem.graph.weights, self.problem.pseudo
        columns = [(p * f.table[pseudo, self.labels]).sum(axis=1) for f in self.problem.facts]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self.labels), 0))

    @cached_property
    def inconsistency(self) -> Floats:
        graph, y = self.problem.graph, self.labels
        near = graph.adjacency.toarray()
        total = np.zeros(len(y))
        for i in range(graph.n):
            differs = y != y[:, [i]]
            if self.problem.form == "edge":
                total += (differs * near[i]).sum(axis=1) / 2
            else:
                total += graph.weights[i] * (differs & (near[i] > 0)).any(axis=1)
        return total

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        within = self.inconsistency <= self.problem.most + 1e-12
        return within & (self.sides <= self.problem.limits + 1e-12).all(axis=1)

    @property
    def best(self) -> float:
        """The largest reward that is allowed; −∞ where nothing is."""
        return float(self.reward[self.allowed].max(initial=-np.inf))

    def dual(self, prices: Floats, price: float) -> float:
        """D(λ, ν), by going through all labellings."""
        paid = self.reward - self.sides @ prices - price * self.inconsistency
        return float(paid.max() + prices @ self.problem.limits + price * self.problem.most)

    def hull(self) -> float:
        """The least D over all prices: the largest reward of a mixture of labellings."""
        return maximum(
            self.reward,
            np.c_[self.sides, self.inconsistency].T,
            np.append(self.problem.limits, self.problem.most),
            np.ones((1, len(self.labels))),
            np.ones(1),
        )


def probabilities(problem: WorstCase, price: float | None = None) -> float:
    """The linear programme over probabilities Y [n, classes]; −∞ where it is infeasible.

    A further variable per class stands for |Y_ik − Y_jk| of an edge, or for the least Y_jk in B(x).
    With a price, R is paid for instead of limited, and the facts are left out.
    """
    n, classes = problem.reward.shape
    near = problem.graph.adjacency.toarray()
    balls = [np.flatnonzero((near[i] > 0) | (np.arange(n) == i)) for i in range(n)]
    groups = len(problem.graph.edges) if problem.form == "edge" else n
    size = (n + groups) * classes
    rows: list[Floats] = []

    def row(*entries: tuple[int, float]) -> None:
        for k in range(classes):
            rows.append(np.zeros(size))
            for place, value in entries:
                rows[-1][place * classes + k] += value

    charge, constant = np.zeros(size), 0.0
    if problem.form == "edge":
        for e, (i, j) in enumerate(problem.graph.edges.tolist()):
            row((i, 1.0), (j, -1.0), (n + e, -1.0))
            row((i, -1.0), (j, 1.0), (n + e, -1.0))
        charge[n * classes :] = np.repeat(problem.graph.edge_weights / 2, classes)
    else:
        for x, ball in enumerate(balls):
            for j in ball.tolist():
                row((n + x, 1.0), (j, -1.0))
        charge[n * classes :] = -np.repeat(problem.graph.weights, classes)
        constant = float(problem.graph.weights.sum())
    limits = np.zeros(len(rows))
    costs = [
        np.append(
            (problem.graph.weights[:, None] * fact.table[problem.pseudo]).ravel(),
            np.zeros(groups * classes),
        )
        for fact in problem.facts
    ]
    whole = np.zeros((n, size))
    for i in range(n):
        whole[i, i * classes : (i + 1) * classes] = 1
    gain = np.append(problem.reward.ravel(), np.zeros(groups * classes))
    high = np.append(problem.allowed.ravel() * 1.0, np.ones(groups * classes))
    if price is not None:
        paid = maximum(gain - price * charge, np.array(rows), limits, whole, np.ones(n), high)
        return paid - price * constant
    return maximum(
        gain,
        np.array([*rows, charge, *costs]),
        np.concatenate([limits, [problem.most - constant], problem.limits]),
        whole,
        np.ones(n),
        high,
    )


def bits(problem: WorstCase, reference: Ints) -> float:
    """The linear programme in s_i = 1[y_i ≠ f_i], 0 ≤ s ≤ 1, of the edge form with ε alone."""
    graph, pseudo = problem.graph, problem.pseudo
    n, p, edges = graph.n, graph.weights, graph.edges
    agrees = reference == pseudo
    size = n + len(edges)
    rows = []
    for e, (i, j) in enumerate(edges):
        signs = [(1, -1), (-1, 1)] if reference[i] == reference[j] else [(-1, -1)]
        for first, second in signs:  # at least s_i − s_j and s_j − s_i, or 1 − s_i − s_j
            row = np.zeros(size)
            row[i], row[j], row[n + e] = first, second, -1
            rows.append((row, 0.0 if reference[i] == reference[j] else -1.0))
    cut = np.append(np.zeros(n), graph.edge_weights)
    error = np.append(np.where(agrees, p, -p), np.zeros(len(edges)))
    fixed = problem.fixed >= 0
    low = np.where(fixed, problem.fixed != reference, 0.0)
    high = np.where(fixed, problem.fixed != reference, 1.0)
    return maximum(
        np.append(p, np.zeros(len(edges))),
        np.array([*(row for row, _ in rows), cut, error]),
        np.array([*(side for _, side in rows), problem.most, problem.limits[0] - p[~agrees].sum()]),
        np.zeros((0, size)),
        np.zeros(0),
        np.append(high, np.ones(len(edges))),
        np.append(low, np.zeros(len(edges))),
    )


def maximum(
    gain: Floats,
    rows: Floats,
    limits: Floats,
    equal: Floats,
    sides: Floats,
    high: Floats | None = None,
    low: Floats | None = None,
) -> float:
    """max gain·x over rows·x ≤ limits, equal·x = sides, low ≤ x ≤ high; −∞ where infeasible."""
    lowest = np.zeros(len(gain)) if low is None else low
    highest = np.full(len(gain), np.inf) if high is None else high
    solved = linprog(
        -gain,
        A_ub=rows if len(rows) else None,
        b_ub=limits if len(rows) else None,
        A_eq=equal if len(equal) else None,
        b_eq=sides if len(equal) else None,
        bounds=np.stack([lowest, highest], axis=1),
    )
    if solved.status == 2:
        return -np.inf
    assert solved.status == 0, solved.message
    return -float(solved.fun)
