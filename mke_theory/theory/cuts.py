"""Worst cases solved by minimum cuts: exact at every price for two classes, prices by planes.

At fixed prices (λ, ν) the inner maximum over two-class labellings is one minimum cut. Every
labelling y that comes back is a plane below the convex function D,

    D(λ, ν) ≥ reward(y) − Σ_m λ_m (side_m(y) − limit_m) − ν (R(y) − most),

and a linear programme over the planes so far proposes the next prices, until the least D met and
the least that the planes allow agree. Ref: kelley1960cutting, kolmogorov2004energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import linprog

from mke_theory.theory.flow import MinCut
from mke_theory.theory.graph import Floats, Graph, Ints
from mke_theory.theory.hypergraph import neighbour_sets
from mke_theory.theory.worst_case import NOT_KNOWN, Bounded, WorstCase, better_labelling

TOLERANCE = 1e-7
"""The gap between the bound and what the planes allow at which the search for prices ends."""
MOST_STEPS = 200
_HIGHEST_PRICE = 1e8


@dataclass(frozen=True, eq=False)
class Answer:
    """Labellings [n] that (nearly) maximise Σ θ − ν R, and a bound on that maximum."""

    labellings: tuple[Ints, ...]
    bound: float


class Oracle(Protocol):
    """max_y Σ_i θ[i, y_i] − ν R(y), for any θ [n, classes] and ν ≥ 0."""

    def __call__(self, theta: Floats, price: float) -> Answer: ...


class Cuts:
    """The oracle for two classes: one minimum cut, over the points and what the vertex form adds.

    The edge form needs nothing but the points. The vertex form charges p_i where B(x_i) holds both
    labels; equal sets B(x) are charged together. A set of two is an edge, one of three a triangle
    of half edges; a larger one takes two helpers, for "some 1" and "all 1" (no single helper does:
    see the tests). Ref: kohli2009robust.
    """

    def __init__(self, problem: WorstCase) -> None:
        if problem.classes != 2:
            raise ValueError(f"cuts solve two classes; the problem has {problem.classes}")
        self._problem, n = problem, problem.graph.n
        if problem.form == "edge":
            self._layout = _Layout.of_edges(problem.graph)
        else:
            self._layout = _Layout.of_sets(problem.graph)
        self._cut = MinCut(n + len(self._layout.helper_gain), *self._layout.ends)
        touched = np.concatenate(self._layout.ends)
        cost = np.concatenate([self._layout.cost, self._layout.cost])
        both = cost + np.concatenate([self._layout.back, self._layout.back])
        self._incident = np.bincount(touched, both, minlength=self._cut.n)[:n]

    def __call__(self, theta: Floats, price: float) -> Answer:
        known, n = self._problem.known, self._problem.graph.n
        gain = theta[:, 1] - theta[:, 0]
        # A fixed point gets a gain that outweighs all it could save by giving in.
        heavy = np.abs(gain) + price * self._incident + np.finfo(np.float64).tiny
        pulled = np.select([known == 1, known == 0], [heavy, -heavy], gain)
        helpers = price * self._layout.helper_gain
        found = self._cut.solve(
            np.concatenate([pulled, helpers]), price * self._layout.cost, price * self._layout.back
        )
        surplus = float((heavy - gain)[known == 1].sum())
        constant = float(theta[:, 0].sum())
        sides = tuple(side[:n].astype(np.int64) for side in (found.chosen, found.largest))
        return Answer(sides, constant + found.bound - surplus)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Nodes and edges of a network at ν = 1: R(z) = Σ costs − Σ helper_gain·helper."""

    ends: tuple[Ints, Ints]
    cost: Floats
    back: Floats
    helper_gain: Floats

    @classmethod
    def of_edges(cls, graph: Graph) -> _Layout:
        w = graph.edge_weights
        return cls((graph.edges[:, 0], graph.edges[:, 1]), w, w, np.zeros(0))

    @classmethod
    def of_sets(cls, graph: Graph) -> _Layout:
        sets = neighbour_sets(graph)
        tails, heads, weight = sets.small_edges()
        member, owner, of_set = sets.large()
        large = len(of_set)
        # Helper n + s of set s is 1 where some member is, helper n + large + s where all are.
        some, every = graph.n + owner, graph.n + large + owner
        through = of_set[owner]
        none = np.zeros(2 * len(member))
        return cls(
            (np.concatenate([tails, member, every]), np.concatenate([heads, some, member])),
            np.concatenate([weight, through, through]),
            np.concatenate([weight, none]),
            np.concatenate([-of_set, of_set]),
        )


class Components:
    """The oracle where no inconsistency is allowed: one label for every connected component."""

    def __init__(self, problem: WorstCase) -> None:
        self._of = problem.graph.components
        self._count = int(self._of.max()) + 1
        forbidden = np.stack([self._sums(~column) for column in problem.allowed.T], axis=1)
        self._allowed = forbidden == 0

    def __call__(self, theta: Floats, price: float) -> Answer:
        total = np.stack([self._sums(column) for column in theta.T], axis=1)
        total = np.where(self._allowed, total, -np.inf)
        return Answer((total.argmax(axis=1)[self._of],), float(total.max(axis=1).sum()))

    def _sums(self, values: np.ndarray) -> Floats:
        counted = np.bincount(self._of, values.astype(np.float64), minlength=self._count)
        return np.asarray(counted, dtype=np.float64)


def solve_by_planes(
    problem: WorstCase, oracle: Oracle, method: str, *, tolerance: float = TOLERANCE
) -> Bounded:
    """The least D over all prices that the planes lead to; a valid bound wherever it stops."""
    planes = _Planes(problem)
    best, prices = np.inf, planes.lowest()[1:]
    worst: tuple[Ints | None, float | None] = (None, None)
    floor = float(np.where(problem.allowed, problem.reward, np.inf).min(axis=1).sum())
    for labels in planes.begin():
        worst = better_labelling(problem, labels, worst)
    step = 0
    for step in range(1, MOST_STEPS + 1):
        lower, *point = planes.lowest()
        if best - lower <= tolerance:
            break
        tried = np.array(point)
        answer = oracle(problem.theta(tried[:-1]), float(tried[-1]))
        found = answer.bound + float(tried[:-1] @ problem.limits) + tried[-1] * problem.most
        if found < best:
            best, prices = found, tried
        if best < floor - tolerance:  # an allowed labelling would have at least this reward
            return Bounded(-np.inf, prices[:-1], float(prices[-1]), None, None, method, step)
        for labels in answer.labellings:
            worst = better_labelling(problem, labels, worst)
        if not planes.add(answer.labellings):
            break
    return Bounded(float(best), prices[:-1], float(prices[-1]), *worst, method, step)


class _Planes:
    """The planes met so far, and the prices at which the highest of them is lowest."""

    def __init__(self, problem: WorstCase) -> None:
        self._problem = problem
        self._rows: list[tuple[float, ...]] = []
        self._seen: set[tuple[float, ...]] = set()
        self.add(self.begin())

    def begin(self) -> list[Ints]:
        """Labellings to start from: the pseudo labels, each class alone, the best and the worst."""
        problem = self._problem
        everywhere = [np.full(problem.graph.n, k) for k in range(problem.classes)]
        ends = [problem.reward.argmax(axis=1), problem.reward.argmin(axis=1)]
        fixed = problem.known != NOT_KNOWN
        return [np.where(fixed, problem.known, y) for y in (problem.said, *everywhere, *ends)]

    def add(self, labellings: list[Ints] | tuple[Ints, ...]) -> bool:
        """Whether any of the labellings gave a plane that was not there before."""
        before = len(self._rows)
        for labels in labellings:
            reward, sides, inconsistency = self._problem.measure(labels)
            row = (reward, *(sides - self._problem.limits), inconsistency - self._problem.most)
            key = tuple(np.round(row, 13))
            if key not in self._seen:
                self._seen.add(key)
                self._rows.append(row)
        return len(self._rows) > before

    def lowest(self) -> Floats:
        """(value, λ…, ν) where the highest plane is lowest, prices within [0, 10⁸]."""
        rows = np.array(self._rows)
        count = rows.shape[1] - 1
        solved = linprog(
            np.r_[1.0, np.zeros(count)],
            A_ub=np.c_[-np.ones(len(rows)), -rows[:, 1:]],
            b_ub=-rows[:, 0],
            bounds=[(None, None), *[(0, _HIGHEST_PRICE)] * count],
        )
        if solved.x is None:
            raise ArithmeticError(f"the linear programme over the planes failed: {solved.message}")
        return np.asarray(solved.x, dtype=np.float64)
