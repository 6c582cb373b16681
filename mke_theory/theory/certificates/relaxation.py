"""Worst cases of any number of classes, relaxed: labels become probabilities Y [n, classes].

    edge form     R(Y) = ½ Σ_e w_e Σ_k |Y_ik − Y_jk|
    vertex form   R(Y) = Σ_s weight_s (1 − Σ_k min_{j in s} Y_jk),  s the distinct sets B(x)

Both agree with the inconsistency of a labelling where Y is one, so the maximum over Y is at least
the maximum over labellings. Ref: kleinberg2002approximation, kohli2009robust.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from scipy import sparse

from mke_theory.theory.certificates.cutting_planes import Answer
from mke_theory.theory.certificates.first_order import Programme, solve
from mke_theory.theory.certificates.worst_case import Measured, WorstCase
from mke_theory.theory.graph import Floats, Ints
from mke_theory.theory.neighbour_sets import neighbour_sets

STEPS = 150
"""First-order steps at each prices; the next prices go on from where the last ones ended."""


class Relaxed:
    """The oracle for any number of classes: the linear programme over probabilities.

    `start` [rows] are prices to begin with, for instance the flows of minimum cuts.
    """

    def __init__(self, problem: WorstCase, start: Floats | None = None) -> None:
        self._problem = problem
        classes, graph = problem.classes, problem.graph
        if problem.form == "edge":
            rows, own = difference_rows(problem), graph.edge_weights / 2
            self._rest, self._constant = np.zeros(0), 0.0
            self._high = np.repeat(own, classes)
            self._low = -self._high
        else:
            rows, self._high, self._rest, self._constant = set_rows(problem)
            self._low = np.zeros_like(self._high)
        self._rows, self._columns = rows, sparse.csr_array(rows.T)
        self._prices = np.zeros(rows.shape[0]) if start is None else start
        self._last_price = 1.0

    def __call__(self, theta: Floats, price: float) -> Answer:
        programme = Programme(
            np.concatenate([theta.ravel(), price * self._rest]),
            self._rows,
            self._columns,
            price * self._low,
            price * self._high,
            self._problem.allowed,
        )
        begin = self._prices * (price / self._last_price)
        solved = solve(programme, begin, tolerance=1e-5, most_steps=STEPS)
        if price > 0:
            self._prices, self._last_price = solved.prices, price
        y = solved.x[: theta.size].reshape(theta.shape)
        labels = y.argmax(axis=1)
        planes = (self._problem.measure(labels), self._measure(y))
        return Answer(solved.bound - price * self._constant, (labels,), planes)

    def begin(self, prices: Floats, price: float) -> None:
        """Start the next call from these prices of the rows, found at the price ν."""
        if price > 0:  # at ν = 0 they are all zero and of no use
            self._prices, self._last_price = prices, price

    def about(self, problem: WorstCase) -> Relaxed:
        """The same oracle, going on from here, for a problem that differs in its facts alone."""
        other = copy(self)
        other._problem = problem
        return other

    def measure(self, labels: Ints) -> Measured:
        return self._problem.measure(labels)

    def _measure(self, y: Floats) -> Measured:
        """The plane of probabilities [n, classes]."""
        problem = self._problem
        weighted = problem.graph.weights[:, None] * y
        joint = np.zeros((problem.classes, problem.classes))
        np.add.at(joint, problem.pseudo, weighted)
        sides = np.array([float((fact.table * joint).sum()) for fact in problem.facts])
        if problem.form == "edge":
            r = float(self._high @ np.abs(self._rows @ y.ravel()))
        else:
            r = self._set_inconsistency(y)
        return float((problem.reward * y).sum()), sides, r

    def _set_inconsistency(self, y: Floats) -> float:
        sets = neighbour_sets(self._problem.graph)
        if not len(sets.weights):
            return 0.0
        least = np.minimum.reduceat(y[sets.members], sets.starts[:-1], axis=0).sum(axis=1)
        return float(sets.weights @ (1 - least))


def difference_rows(problem: WorstCase) -> sparse.csr_array:
    """Y_ik − Y_jk for every edge and class, [edges · classes, n · classes]."""
    graph = problem.graph
    m = len(graph.edges)
    at = np.tile(np.arange(m), 2)
    apart = sparse.csr_array(
        (np.repeat([1.0, -1.0], m), (at, graph.edges.T.ravel())), shape=(m, graph.n)
    )
    return sparse.csr_array(sparse.kron(apart, sparse.eye_array(problem.classes)))


def set_rows(problem: WorstCase) -> tuple[sparse.csr_array, Floats, Floats, float]:
    """(m_sk − Y_jk for every set, member and class; its highest price; the gain of m; Σ weight).

    Both price and gain are those at ν = 1: R = Σ_s weight_s − Σ_sk weight_s m_sk.
    """
    sets, classes = neighbour_sets(problem.graph), problem.classes
    count, members = len(sets.weights), len(sets.members)
    every, owner = np.arange(members), np.repeat(np.arange(count), sets.sizes)
    n = problem.graph.n
    picks = sparse.csr_array((np.ones(members), (every, sets.members)), shape=(members, n))
    owns = sparse.csr_array((np.ones(members), (every, owner)), shape=(members, count))
    each = sparse.eye_array(classes)
    rows = sparse.hstack([-sparse.kron(picks, each), sparse.kron(owns, each)])
    highest = np.repeat(sets.weights[owner], classes)
    return sparse.csr_array(rows), highest, np.repeat(sets.weights, classes), sets.weights.sum()
