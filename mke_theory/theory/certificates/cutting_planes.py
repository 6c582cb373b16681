"""The prices of a worst case by cutting planes, given the inner maximum at fixed prices.

An oracle's answer at prices (λ, ν), labellings or fractions of such, gives planes below the convex
function D,

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

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.worst_case import Bounded, Measured, WorstCase
from mke_theory.theory.graph import Floats, Ints

TOLERANCE = 1e-7
"""The gap between the bound and what the planes allow at which the search for prices ends."""
MOST_STEPS = 200
_HIGHEST_PRICE = 1e6
_ROUNDING = 32 * float(np.finfo(np.float64).eps)
"""Times the size of all terms of D: more than float64 can lose in summing them."""
_STEP_UP = 0.1


@dataclass(frozen=True, eq=False)
class Answer:
    """A bound on max_y Σ θ − ν R, labellings [n] that come near it, and planes.

    The first planes are those of the labellings, in their order; others may follow.
    """

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
    planes, worst = _Planes(problem), _Worst(problem)
    for labels in starting_labellings(problem):
        measured = oracle.measure(labels)
        planes.add([measured])
        worst.meet(labels, measured)
    floor = float(np.where(problem.allowed, problem.reward, np.inf).min(axis=1).sum())
    best, prices, step = np.inf, np.zeros(len(problem.facts) + 1), 0
    while step < most_steps:
        lower, *lowest = planes.lowest()
        if best - lower <= tolerance:
            break
        tried = np.array(lowest)
        if start is not None:
            tried = start if step == 0 else planes.lowest(prices)[1:]
        step += 1
        theta = problem.theta(tried[:-1])
        answer = oracle(theta, float(tried[-1]))
        if answer.bound == -np.inf:  # the assumptions contradict each other
            return Bounded(-np.inf, tried[:-1], float(tried[-1]), None, None, method, step)
        charged = np.append(tried[:-1] * problem.limits, tried[-1] * problem.most)
        size = np.abs(theta).sum() + np.abs(charged).sum() + abs(answer.bound)
        found = answer.bound + float(charged.sum() + _ROUNDING * size)
        better = found < best
        if better:
            best, prices = found, tried
        if best < floor - tolerance:  # an allowed labelling would have at least this reward
            return Bounded(-np.inf, prices[:-1], float(prices[-1]), None, None, method, step)
        for labels, measured in zip(answer.labellings, answer.planes, strict=False):
            worst.meet(labels, measured)
        # Near better prices than before even a plane that was there shows where to look next.
        if not planes.add(answer.planes) and not better:
            break
    price = float(prices[-1])
    return Bounded(float(best), prices[:-1], price, worst.labelling, worst.attained, method, step)


def starting_labellings(problem: WorstCase) -> list[Ints]:
    """Labellings to start from: the pseudo labels, each class alone, the best and the worst."""
    everywhere = [np.full(problem.graph.n, k) for k in range(problem.classes)]
    ends = [problem.reward.argmax(axis=1), problem.reward.argmin(axis=1)]
    free = problem.fixed == UNKNOWN
    return [np.where(free, y, problem.fixed) for y in (problem.pseudo, *everywhere, *ends)]


class _Worst:
    """The allowed labelling of the highest reward that was met, None where none was."""

    def __init__(self, problem: WorstCase) -> None:
        self._problem = problem
        self.labelling: Ints | None = None
        self.attained: float | None = None

    def meet(self, labels: Ints, measured: Measured) -> None:
        """Keep the labelling if it is allowed and better than what was kept."""
        if self.attained is not None and measured[0] <= self.attained:
            return
        if self._problem.allows(labels, measured):
            self.labelling, self.attained = labels, measured[0]


class _Planes:
    """The planes met so far, and the prices at which the highest of them is lowest."""

    def __init__(self, problem: WorstCase) -> None:
        self._limits = np.append(problem.limits, problem.most)
        self._rows: list[Floats] = []
        self._seen: set[tuple[float, ...]] = set()

    def add(self, planes: Iterable[Measured]) -> bool:
        """Add the planes that were not there before; True where there was one."""
        before = len(self._rows)
        for reward, sides, inconsistency in planes:
            row = np.append(reward, np.append(sides, inconsistency) - self._limits)
            key = tuple(np.round(row, 13))
            if key not in self._seen:
                self._seen.add(key)
                self._rows.append(row)
        return len(self._rows) > before

    def lowest(self, near: Floats | None = None) -> Floats:
        """(value, λ…, ν) where the highest plane is lowest, prices in [0, 10⁶] or near others."""
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
        # The solver keeps its bounds up to 10⁻⁷ only, and a price below zero proves nothing.
        return np.append(solved.x[0], np.maximum(solved.x[1:], 0))
