"""Worst cases of many classes, one class against the rest at a time: a minimum cut for each.

Each class k has a flow q^k with |q^k_e| ≤ ν w_e / 2 on the edges, and any such flows prove

    max_y Σ θ[i, y_i] − ν R_E(y) ≤ Σ_i max_k (θ[i, k] + inflow of q^k at i).

With the other classes' flows held fixed, the best flow of one class is that of a minimum cut
between "k" and "the best of the others", so a round over all classes never makes the bound worse.
"""

from __future__ import annotations

import numpy as np

from mke_theory.theory.certificates.cutting_planes import Answer
from mke_theory.theory.certificates.worst_case import Measured, WorstCase
from mke_theory.theory.graph import Floats, Ints
from mke_theory.theory.max_flow import MinCut

ROUNDS = 2


class OneAgainstRest:
    """The oracle of the edge form for any number of classes; its bound is valid, seldom tight.

    `flows` [edges, classes] are those of the last call, from the smaller to the larger point.
    """

    def __init__(self, problem: WorstCase) -> None:
        if problem.form != "edge":
            raise ValueError("one against the rest is for the edge form")
        self._problem, graph = problem, problem.graph
        self._cut = MinCut(graph.n, graph.edges[:, 0], graph.edges[:, 1])
        self.flows = np.zeros((len(graph.edges), problem.classes))

    def __call__(self, theta: Floats, price: float) -> Answer:
        problem = self._problem
        cost = price * problem.graph.edge_weights / 2
        # A class that a point may not have is worth less than anything that flows could bring.
        low = theta.min() - 2 * (cost.sum() + np.abs(theta).max())
        now = np.where(problem.allowed, theta, low)
        self.flows = np.zeros_like(self.flows)
        for _ in range(ROUNDS):
            for k in range(problem.classes):
                own = now[:, k] - self._inflow(k)
                others = np.delete(now, k, axis=1).max(axis=1)
                self.flows[:, k] = self._cut.solve(own - others, cost, cost).flow
                now[:, k] = own + self._inflow(k)
        at_points = np.where(problem.allowed, now, -np.inf)
        labels = at_points.argmax(axis=1)
        return Answer(float(at_points.max(axis=1).sum()), (labels,), (self.measure(labels),))

    def measure(self, labels: Ints) -> Measured:
        return self._problem.measure(labels)

    def _inflow(self, k: int) -> Floats:
        graph, q = self._problem.graph, self.flows[:, k]
        into = np.bincount(graph.edges[:, 1], q, graph.n)
        return np.asarray(into - np.bincount(graph.edges[:, 0], q, graph.n), dtype=np.float64)
