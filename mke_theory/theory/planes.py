"""The prices of a worst case by cutting planes, given the inner maximum at fixed prices.

Whatever an oracle answers at prices (λ, ν), labellings or fractions of such, is a plane below the
convex function D,

    D(λ, ν) ≥ reward(y) − Σ_m λ_m (side_m(y) − limit_m) − ν (R(y) − most),

and a linear programme over the planes so far proposes the next prices, until the least D met and
the least that the planes allow agree. Ref: kelley1960cutting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import linprog

from mke_theory.theory.graph import Floats, Ints
from mke_theory.theory.worst_case import NOT_KNOWN, Bounded, WorstCase, better_labelling

TOLERANCE = 1e-7
"""The gap between the bound and what the planes allow at which the search for prices ends."""
MOST_STEPS = 200
_HIGHEST_PRICE = 1e8
_STEP_UP = 0.1


Measured = tuple[float, Floats, float]
"""(reward, the left side of every fact, R) of a labelling, or of a fraction of labellings."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A bound on max_y Σ θ − ν R, labellings [n] that come near it, and the planes they give."""

    bound: float
    labellings: tuple[Ints, ...]
    planes: tuple[Measured, ...]


class Oracle(Protocol):
    """max_y Σ_i θ[i, y_i] − ν R(y), for any θ [n, classes] and ν ≥ 0."""

    def __call__(self, theta: Floats, price: float) -> Answer: ...

    def measure(self, labels: Ints) -> Measured:
        """The plane of a labelling, as the oracle counts inconsistency."""
        ...


def solve_by_planes(
    problem: WorstCase,
    oracle: Oracle,
    method: str,
    *,
    start: Floats | None = None,
    tolerance: float = TOLERANCE,
    most_steps: int = MOST_STEPS,
) -> Bounded:
    """The least D over all prices that the planes lead to; a valid bound wherever it stops.

    With `start` [facts + 1], prices to begin at (ν last), every step stays within a factor of two
    of the best prices so far: for oracles that go on from where they were.
    """
    begin = starting_labellings(problem)
    planes = _Planes(problem)
    planes.add([oracle.measure(labels) for labels in begin])
    worst: tuple[Ints | None, float | None] = (None, None)
    for labels in begin:
        worst = better_labelling(problem, labels, worst)
    floor = float(np.where(problem.allowed, problem.reward, np.inf).min(axis=1).sum())
    best, prices, step = np.inf, np.zeros(len(problem.facts) + 1), 0
    while step < most_steps:
        if start is not None and step == 0:
            tried = start
        elif best - planes.lowest()[0] <= tolerance:
            break
        else:
            tried = planes.lowest(None if start is None else prices)[1:]
        step += 1
        answer = oracle(problem.theta(tried[:-1]), float(tried[-1]))
        found = answer.bound + float(tried[:-1] @ problem.limits) + tried[-1] * problem.most
        if found < best:
            best, prices = found, tried
        if best < floor - tolerance:  # an allowed labelling would have at least this reward
            return Bounded(-np.inf, prices[:-1], float(prices[-1]), None, None, method, step)
        for labels in answer.labellings:
            worst = better_labelling(problem, labels, worst)
        if not planes.add(answer.planes):
            break
    return Bounded(float(best), prices[:-1], float(prices[-1]), *worst, method, step)


def starting_labellings(problem: WorstCase) -> list[Ints]:
    """Labellings to start from: the pseudo labels, each class alone, the best and the worst."""
    everywhere = [np.full(problem.graph.n, k) for k in range(problem.classes)]
    ends = [problem.reward.argmax(axis=1), problem.reward.argmin(axis=1)]
    fixed = problem.known != NOT_KNOWN
    return [np.where(fixed, problem.known, y) for y in (problem.said, *everywhere, *ends)]


class _Planes:
    """The planes met so far, and the prices at which the highest of them is lowest."""

    def __init__(self, problem: WorstCase) -> None:
        self._limits = np.append(problem.limits, problem.most)
        self._rows: list[Floats] = []
        self._seen: set[tuple[float, ...]] = set()

    def add(self, planes: Iterable[Measured]) -> bool:
        """Whether any of the planes was not there before."""
        before = len(self._rows)
        for reward, sides, inconsistency in planes:
            row = np.append(reward, np.append(sides, inconsistency) - self._limits)
            key = tuple(np.round(row, 13))
            if key not in self._seen:
                self._seen.add(key)
                self._rows.append(row)
        return len(self._rows) > before

    def lowest(self, near: Floats | None = None) -> Floats:
        """(value, λ…, ν) where the highest plane is lowest, prices in [0, 10⁸] or near others."""
        rows = np.array(self._rows)
        box = [(0.0, _HIGHEST_PRICE)] * len(self._limits)
        if near is not None:
            box = [(price / 2, 2 * price + _STEP_UP) for price in near.tolist()]
        solved = linprog(
            np.r_[1.0, np.zeros(len(box))],
            A_ub=np.c_[-np.ones(len(rows)), -rows[:, 1:]],
            b_ub=-rows[:, 0],
            bounds=[(None, None), *box],
        )
        if solved.x is None:
            raise ArithmeticError(f"the linear programme over the planes failed: {solved.message}")
        return np.asarray(solved.x, dtype=np.float64)
