"""The worst small set of a pool: met on a search, or proved by mixed-integer programmes.

Ref: wei2021theoretical, Definition 3.1; dinkelbach1967nonlinear.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from mke_theory.theory.expansion.small_sets import ROUNDING, SmallSets, smallest_neighbourhood

_FEWEST_STARTS, _EFFORT = 8, 500_000
"""The search starts from this many points at least, from more where a start costs little."""
_TOLERANCE = 1e-6
_INFEASIBLE = 2


def local_search(sets: SmallSets, seed: int = 0) -> tuple[float, NDArray[np.bool_] | None]:
    """The smallest P(N(V)) / P(V) of the sets met while growing and thinning V, with that V.

    V grows from single points, always by the one that leaves the smallest ratio; points that cost
    more than they weigh are then taken out again and V grows on. (∞, None) where no V is allowed.
    """
    light = np.flatnonzero(sets.weights <= sets.a + ROUNDING)
    order = np.random.default_rng(seed).permutation(light)
    best, witness, search = np.inf, None, _Search(sets)
    for v in order[: max(_FEWEST_STARTS, _EFFORT // (sets.near.nnz + sets.n))]:
        _, inside = search.from_point(int(v))
        ratio = sets.ratio(inside)
        if ratio < best:
            best, witness = ratio, inside
    return best, witness


def programme(
    sets: SmallSets, upper: float, witness: NDArray[np.bool_] | None, seconds: float
) -> tuple[float, float, NDArray[np.bool_] | None]:
    """An interval [lower, upper] of the best c, and a V that attains upper.

    It starts from an `upper` that `witness` attains, or from ∞ and None, and ends closed, up to
    1e-6 of a mean weight, or when `seconds` are over.

    At a ratio c already attained, min P(N(V)) − c P(V) is either below 0, and its V has a smaller
    ratio, or c is the best. HiGHS proves a bound d ≤ 0 on that minimum, up to its tolerance of
    1e-6; with δ the smallest P(N(v)), every ratio is then at least c δ / (δ − d), because
    P(N(V)) ≥ max{δ, c P(V) + d}.
    """
    unit, lower = float(sets.weights.mean()), 0.0
    model, least = _Programme(sets, unit), smallest_neighbourhood(sets) * sets.a / unit
    c = min(upper, float(sets.weights.sum() / sets.weights.min()))
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        bound, inside, impossible = model.solve(c, left)
        if impossible:
            return np.inf, np.inf, None
        lower = max(lower, c * least / (least + _TOLERANCE - min(bound, 0.0)))
        ratio = np.inf if inside is None else sets.ratio(inside)
        if not ratio < upper * (1 - ROUNDING):
            break
        upper, witness, c = ratio, inside, ratio
    return min(lower, upper), upper, witness


class _Programme:
    """min P(N(V)) − c P(V) in units of `unit`: x_v = 1 for v in V, z_u ≥ x_v where v reaches u."""

    def __init__(self, sets: SmallSets, unit: float) -> None:
        self._weights, n = sets.weights / unit, sets.n
        v, u = sets.near.nonzero()
        k, zero = np.arange(len(v)), np.zeros(n)
        reach = sparse.csr_array(
            (np.repeat([1.0, -1.0], len(v)), (np.tile(k, 2), np.concatenate([v, n + u]))),
            shape=(len(v), 2 * n),
        )
        light = np.concatenate([self._weights, zero])[None]
        covered = np.concatenate([zero, np.ones(n)])[None]
        self._constraints = [
            LinearConstraint(reach, -np.inf, 0),
            LinearConstraint(light, self._weights.min(), (sets.a + ROUNDING) / unit),
            LinearConstraint(covered, 0, n - 1 if sets.excused else n),
        ]

    def solve(self, c: float, seconds: float) -> tuple[float, NDArray[np.bool_] | None, bool]:
        """A lower bound on the minimum, the best V met, and whether no V is allowed at all."""
        n = len(self._weights)
        answer = milp(
            np.concatenate([-c * self._weights, self._weights]),
            constraints=self._constraints,
            integrality=np.repeat([1, 0], n),
            bounds=Bounds(0, 1),
            options={"time_limit": seconds, "mip_rel_gap": 0.0},
        )
        bound = -np.inf if answer.mip_dual_bound is None else float(answer.mip_dual_bound)
        inside = None if answer.x is None else answer.x[:n] > 0.5
        return bound, inside, answer.status == _INFEASIBLE


class _Search:
    """A set V that grows and shrinks, with its reach and the cost of every further point."""

    def __init__(self, sets: SmallSets) -> None:
        self._sets, self._p = sets, sets.weights
        self._rows = np.split(sets.near.indices, sets.near.indptr[1:-1])
        self._alone = sets.near @ sets.weights
        self._whole = float(sets.weights.sum() - sets.weights.min() / 2)
        self._start(np.zeros(0, np.int64))

    def from_point(self, v: int) -> tuple[float, NDArray[np.bool_]]:
        """The best ratio on the way from {v}, and its set."""
        self._start([v])
        best, witness = self._sets.ratio(self._inside), self._inside.copy()
        while True:
            ratio, grown = self._grow()
            if not ratio < best * (1 - ROUNDING):
                return best, witness
            best, witness = ratio, grown
            self._start(np.flatnonzero(grown))
            self._thin()

    def _start(self, points: ArrayLike) -> None:
        self._inside = np.zeros(self._sets.n, dtype=np.bool_)
        self._times = np.zeros(self._sets.n, dtype=np.int64)
        self._cost, self._weight, self._reached = self._alone.copy(), 0.0, 0.0
        for v in np.asarray(points):
            self._move(int(v), 1)

    def _move(self, v: int, sign: int) -> None:
        """Takes v in (1) or out (−1)."""
        around = self._rows[v]
        self._times[around] += sign
        changed = around[self._times[around] == (1 if sign > 0 else 0)]
        self._inside[v] = sign > 0
        self._weight += sign * self._p[v]
        self._reached += sign * float(self._p[changed].sum())
        # A point near one that is now paid for (or no longer) costs less (or more).
        near = [self._rows[u] for u in changed]
        if near:
            paid = np.repeat(self._p[changed], [len(row) for row in near])
            np.subtract.at(self._cost, np.concatenate(near), sign * paid)

    def _grow(self) -> tuple[float, NDArray[np.bool_]]:
        """Adds what leaves the smallest ratio until nothing fits; the best set on the way."""
        best, grown = self._sets.ratio(self._inside), self._inside.copy()
        while True:
            weight, reached = self._weight + self._p, self._reached + self._cost
            fits = ~self._inside & (weight <= self._sets.a + ROUNDING)
            if self._sets.excused:
                fits &= reached < self._whole
            if not fits.any():
                return best, grown
            v = int(np.where(fits, reached / weight, np.inf).argmin())
            self._move(v, 1)
            if self._reached < best * self._weight:
                best, grown = self._reached / self._weight, self._inside.copy()

    def _thin(self) -> None:
        """Takes points out while that makes the ratio smaller."""
        while self._inside.sum() > 1:
            members = np.flatnonzero(self._inside)
            alone = np.where(self._times == 1, self._p, 0.0)
            freed = np.array([alone[self._rows[v]].sum() for v in members])
            ratio = (self._reached - freed) / (self._weight - self._p[members])
            if not ratio.min() < self._reached / self._weight * (1 - ROUNDING):
                return
            self._move(int(members[ratio.argmin()]), -1)
