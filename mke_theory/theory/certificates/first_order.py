"""Large relaxed labelling problems by a first-order method whose every step is a valid bound.

    max over x  min over low ≤ π ≤ high   gain · x − π · (rows x),
    x = (Y, m): Y [points, classes] with rows on the simplex, m [rest] in [0, 1].

The inner minimum charges x for what `rows x` exceeds zero by. Any π between low and high proves

    max ≤ Σ_i max_k (gain − rowsᵀ π)[i, k] + Σ_j max(0, (gain − rowsᵀ π)[j])

in float64, without trust in convergence. The steps are those of Chambolle and Pock with diagonal
preconditioning, restarted at their average. Ref: chambolle2011first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mke_theory.theory.graph import Floats

_LOOK_EVERY = 25
_SHORTEST_RUN = 50
_MOST_UNEVEN = 1e4
"""Primal and dual steps may drift apart by this factor at most."""


@dataclass(frozen=True, eq=False)
class Programme:
    """The problem of this module; the entries of Y outside `allowed` [points, classes] are zero."""

    gain: Floats
    rows: sparse.csr_array
    columns: sparse.csr_array
    low: Floats
    high: Floats
    allowed: NDArray[np.bool_]

    @property
    def split(self) -> int:
        """The number of variables in Y; the rest lie in [0, 1]."""
        return self.allowed.size

    def bound(self, through: Floats) -> float:
        """The bound that prices π prove, given `through` = rowsᵀ π."""
        left = self.gain - through
        at_points = np.where(self.allowed, left[: self.split].reshape(self.allowed.shape), -np.inf)
        best, rest = at_points.max(axis=1), np.maximum(left[self.split :], 0)
        rounding = 1e-13 * (float(np.abs(best).sum()) + float(rest.sum()))
        return float(best.sum()) + float(rest.sum()) + rounding

    def value(self, x: Floats) -> float:
        """The value that x attains, at most the maximum."""
        over = self.rows @ x
        charged = np.where(over > 0, self.high * over, self.low * over)
        return float(self.gain @ x) - float(charged.sum())


@dataclass(frozen=True, eq=False)
class Solved:
    """The least bound met, the prices that prove it, and the x that attains most."""

    bound: float
    prices: Floats
    value: float
    x: Floats


def solve(programme: Programme, start: Floats, *, tolerance: float, most_steps: int) -> Solved:
    """Bound and attained value within `tolerance` of each other, or as near as the steps came."""
    state = _State(programme, np.clip(start, programme.low, programme.high))
    for step in range(1, most_steps + 1):
        state.advance()
        if step % _LOOK_EVERY and step < most_steps:
            continue
        state.look()
        if state.best.bound - state.best.value <= tolerance:
            break
        if state.count >= max(_SHORTEST_RUN, step // 2):
            state.restart()
    return state.best


class _State:
    """The state of the primal-dual iteration, with running sums since the last restart."""

    def __init__(self, programme: Programme, prices: Floats) -> None:
        self._p = programme
        shape, size = programme.allowed.shape, abs(programme.rows)
        step = 1 / np.maximum(np.asarray(size.sum(axis=0)).ravel(), 1e-12)
        # The projection onto the simplex is Euclidean only if a point's entries share a step.
        step[: programme.split] = np.repeat(
            step[: programme.split].reshape(shape).min(axis=1), shape[1]
        )
        # Gains are about 1/points and x about 1: prices move that much less than x does.
        scale = float(np.abs(programme.gain).max(initial=0)) or 1.0
        self._primal_step = step / scale
        self._dual_step = scale / np.maximum(np.asarray(size.sum(axis=1)).ravel(), 1e-12)
        self._balance = 1.0
        self._prices, self._through = prices, programme.columns @ prices
        self._x = self._project(programme.gain - self._through, sharp=True)
        self.best = Solved(np.inf, prices, -np.inf, self._x)
        self._begin()

    def _begin(self) -> None:
        self._from = (self._x, self._prices)
        self._sums = (np.zeros_like(self._x), np.zeros_like(self._prices))
        self.count = 0

    def advance(self) -> None:
        """One step up in x, one step in the prices against the rows that x exceeds."""
        p = self._p
        ahead = self._x + self._primal_step / self._balance * (p.gain - self._through)
        x = self._project(ahead)
        excess = p.rows @ (2 * x - self._x)
        prices = self._prices + self._dual_step * self._balance * excess
        self._prices = np.minimum(np.maximum(prices, p.low), p.high)
        self._x, self._through = x, p.columns @ self._prices
        for total, now in zip(self._sums, (self._x, self._prices), strict=True):
            total += now
        self.count += 1

    def look(self) -> None:
        """Keep the least bound and the most attained, of the present point and of the average."""
        x, prices = (total / self.count for total in self._sums)
        prices = np.minimum(np.maximum(prices, self._p.low), self._p.high)
        best = self.best
        for one, through in ((self._prices, self._through), (prices, self._p.columns @ prices)):
            found = self._p.bound(through)
            if found < best.bound:
                best = Solved(found, one, best.value, best.x)
        for point in (self._x, x):
            attained = self._p.value(point)
            if attained > best.value:
                best = Solved(best.bound, best.prices, attained, point)
        self.best = best

    def restart(self) -> None:
        """Go on from the averages, with steps balanced by how far each side has come."""
        x, prices = (total / self.count for total in self._sums)
        moved = float(np.sqrt(((x - self._from[0]) ** 2 / self._primal_step).sum()))
        priced = float(np.sqrt(((prices - self._from[1]) ** 2 / self._dual_step).sum()))
        if moved > 1e-12 and priced > 1e-12:
            balance = float(np.sqrt(self._balance * priced / moved))
            self._balance = min(max(balance, 1 / _MOST_UNEVEN), _MOST_UNEVEN)
        self._x, self._prices = x, np.minimum(np.maximum(prices, self._p.low), self._p.high)
        self._through = self._p.columns @ self._prices
        self._begin()

    def _project(self, x: Floats, *, sharp: bool = False) -> Floats:
        """The nearest (Y, m), or with `sharp` the best one for the gains x."""
        split, allowed = self._p.split, self._p.allowed
        on_points = np.where(allowed, x[:split].reshape(allowed.shape), -np.inf)
        if sharp:
            chosen = np.arange(allowed.shape[1]) == on_points.argmax(axis=1)[:, None]
            return np.concatenate([chosen.ravel().astype(np.float64), 1.0 * (x[split:] > 0)])
        return np.concatenate([onto_simplex(on_points).ravel(), np.clip(x[split:], 0, 1)])


def onto_simplex(rows: Floats) -> Floats:
    """The nearest probabilities to each row [n, k]; an entry of −∞ becomes 0."""
    rows = rows - rows.max(axis=1, keepdims=True)  # x − (x − 1) rounds to 0 where x is very large
    ordered = -np.sort(-rows, axis=1)
    finite = np.where(np.isfinite(ordered), ordered, 0)
    over = np.cumsum(finite, axis=1) - 1
    size = np.arange(1, rows.shape[1] + 1)
    last = (ordered - over / size > 0).sum(axis=1) - 1
    shift = over[np.arange(len(rows)), last] / (last + 1)
    return np.maximum(rows - shift[:, None], 0)
