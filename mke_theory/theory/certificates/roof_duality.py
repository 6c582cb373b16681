"""Worst cases of many classes in one bit a point, s_i = 1[y_i ≠ f_i], by roof duality.

Whatever the labels y, a point with f_i = ỹ_i costs the teacher an error where s_i = 1, one with
f_i ≠ ỹ_i where s_i = 0; an edge between equal f is cut where s differs, one between different f
where both s are 0. That counts at most what y costs, so the maximum over s is a valid bound. The
last kind of edge is not submodular: the bits are doubled, s̄_i standing for 1 − s_i, and a minimum
cut over both gives the value of the linear programme in s, whose solutions are 0, ½ and 1.

Fast, but blind to which wrong label a point takes. Ref: hammer1984roof.
"""

from __future__ import annotations

import numpy as np

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.cutting_planes import Answer
from mke_theory.theory.certificates.worst_case import Measured, WorstCase
from mke_theory.theory.graph import Floats, Ints
from mke_theory.theory.max_flow import MinCut


def fits(problem: WorstCase, reference: Ints) -> bool:
    """True where one bit a point expresses the problem: edge form, reward p 1[y ≠ f], ε alone."""
    wrong = 1 - np.eye(problem.classes)
    reward = problem.graph.weights[:, None] * wrong[reference]
    return (
        problem.form == "edge"
        and len(problem.facts) == 1
        and np.array_equal(problem.facts[0].table, wrong)
        and np.array_equal(problem.reward, reward)
    )


class Roof:
    """The oracle of the edge form where the reward is p_i 1[y_i ≠ f_i] and ε the only fact.

    Of θ it reads the price of the teacher's error alone; the rest it takes from the problem. Raises
    ValueError for another reward, another form or another fact.
    """

    def __init__(self, problem: WorstCase, reference: Ints) -> None:
        p, n = problem.graph.weights, problem.graph.n
        if not fits(problem, reference):
            raise ValueError("roof duality needs the edge form, Err(f) to bound, and ε alone")
        self._problem, self._p = problem, p
        self._agrees = reference == problem.pseudo
        i, j = problem.graph.edges.T
        same = reference[i] == reference[j]
        w = problem.graph.edge_weights
        # Bit s_i is node i, its complement s̄_i node n + i.
        a, b, c, d = i[same], j[same], i[~same], j[~same]
        self._same, self._other = (a, b, w[same]), (c, d, w[~same])
        tails, heads = np.concatenate([a, n + a, n + d, n + c]), np.concatenate([b, n + b, c, d])
        self._forward = 0.5 * np.concatenate([w[same], w[same], w[~same], w[~same]])
        self._backward = 0.5 * np.concatenate([w[same], w[same], np.zeros(2 * len(c))])
        self._cut = MinCut(2 * n, tails, heads)
        fixed = problem.fixed
        self._fixed = np.where(fixed == UNKNOWN, UNKNOWN, (fixed != reference).astype(np.int64))

    def __call__(self, theta: Floats, price: float) -> Answer:
        # θ at a wrong label of a point that agrees is p (1 − λ): what λ is follows from any point.
        prices = self._price_of_error(theta)
        p, n = self._p, self._problem.graph.n
        gain = np.where(self._agrees, p * (1 - prices), p * (1 + prices))
        constant = -prices * float(p[~self._agrees].sum())
        incident = np.bincount(
            np.concatenate([self._cut.tails, self._cut.heads]),
            price * np.tile(self._forward + self._backward, 2),
            minlength=2 * n,
        )
        both = np.concatenate([gain, -gain]) / 2
        heavy = np.abs(both) + incident
        fixed = np.concatenate([self._fixed, np.where(self._fixed < 0, -1, 1 - self._fixed)])
        pulled = np.select([fixed == 1, fixed == 0], [heavy, -heavy], both)
        cut = self._cut.solve(pulled, price * self._forward, price * self._backward)
        surplus = float((heavy - both)[fixed == 1].sum())
        bound = cut.bound - surplus + float(gain.sum()) / 2 + constant
        halves = [
            (side[:n].astype(np.float64) + 1 - side[n:]) / 2 for side in (cut.chosen, cut.largest)
        ]
        return Answer(bound, (), tuple(self._measure(s) for s in halves))

    def measure(self, labels: Ints) -> Measured:
        return self._problem.measure(labels)

    def _price_of_error(self, theta: Floats) -> float:
        heaviest = int(self._p.argmax())
        other = (self._problem.pseudo[heaviest] + 1) % self._problem.classes
        p, reward = self._p[heaviest], self._problem.reward[heaviest]
        return float((reward[other] - theta[heaviest, other]) / p)

    def _measure(self, s: Floats) -> Measured:
        """The plane of bits s [n], halves allowed."""
        (a, b, same), (c, d, other) = self._same, self._other
        r = same @ np.abs(s[a] - s[b]) + other @ np.maximum(0, 1 - s[c] - s[d])
        error = self._p @ np.where(self._agrees, s, 1 - s)
        return float(self._p @ s), np.array([float(error)]), float(r)
