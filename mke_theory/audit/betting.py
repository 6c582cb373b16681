"""Bets against a hypothesis on the total of a finite pool, as its values are looked up in turn.

A pool has `size` values in [0, 1] and an unknown total. They are looked up in a random order, none
twice. Whoever doubts that the total is at most C bets before each value, at odds that are fair if
it is C: with

    μ_t = (C − Σ_{s<t} y_s)/(size − t + 1),    W_t = mean over κ of Π_{s≤t} (1 + κ (y_s/μ_s − 1)),

κ the share of the largest bet that cannot lose more than everything, W is nonnegative and, if the
total is at most C, falls on average. So it ever reaches 1/α with probability at most α (Ville),
however often one looks and whenever one stops, for a pool of any size and with no assumption on it.
The doubt is certain as soon as the values looked up exceed C: W is then infinite.

W falls as C grows, whatever the order: totals that are rejected lie below those that are not, and a
bound is found by bisection. It rises with every y: a value known only to be at least z may be
replaced by z.

Ref: waudbysmith2024estimating, section 5; stark2023alpha.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES: Floats = (np.arange(50) + 0.5) / 50
"""The shares κ of the largest bet, mixed evenly: with more of them W hardly changes."""

ROUNDING = 1e-9
"""The part of a value by which sums of values may be off: far above the rounding of 10⁶ of them."""

_BLOCK = 2**13


class Bet:
    """The bet that the total of `size` values in [0, 1] exceeds `total`, value after value."""

    def __init__(self, total: float, size: int) -> None:
        self.total, self.size = float(total), size
        self.seen, self.sum = 0, 0.0
        self._logs = np.zeros(len(SHARES))
        self.now = math.inf if total < -ROUNDING else 0.0
        """log W of the values so far."""
        self.greatest = self.now
        """The largest log W so far: it may be compared with log 1/α at any time."""

    def push(self, value: float) -> None:
        """Go on with the next value; ValueError where it is outside [0, 1] or the pool is used up.

        The next value is that of a sample drawn uniformly from those not looked up yet.
        """
        if not 0 <= value <= 1:
            raise ValueError(f"value is {value}; allowed are numbers from 0 to 1")
        if self.seen == self.size:
            raise ValueError(f"all {self.size} values of the pool have been looked up")
        mean = (self.total - self.sum) / (self.size - self.seen)
        if mean > ROUNDING:
            self._logs += np.log1p(SHARES * (value / mean - 1))
        self.seen, self.sum = self.seen + 1, self.sum + value
        refuted = self.sum > self.total + ROUNDING
        self.now = math.inf if refuted else float(_log_mean(self._logs))
        self.greatest = max(self.greatest, self.now)


def log_evidence(values: Floats, total: float, size: int) -> Floats:
    """The values of log W after each of `values` [t]: those that `Bet` finds, all at once."""
    return np.concatenate([np.empty(0), *_blocks(values, total, size)])


def least_total(values: Floats, size: int, alpha: float, step: float | None = None) -> float:
    """The lower end of the confidence sequence of the total, at the last of `values` [t].

    With probability at least 1 − α the total of the pool is at least this for *every* t: rejected
    is each C at which W has ever reached 1/α. step: the total is known to be a multiple of this
    (0.5 where all values are 0, ½ or 1), so that the bound is one too; by default any number, and
    the bound is then below the exact one by less than size/10⁶.

    Raises ValueError where there are more values than the pool has.
    """
    if len(values) > size:
        raise ValueError(f"{len(values)} values were looked up in a pool of {size}")
    known = float(values.sum())
    most = known + size - len(values)
    grid = step or max(size, 1) / 2**20
    # What is certain goes before what is likely: the total is known up to the values left.
    low, high = math.ceil(known / grid - ROUNDING) - 1, math.ceil(most / grid - ROUNDING)
    while high - low > 1:
        middle = (low + high) // 2
        if ever_rejected(values, middle * grid, size, alpha):
            low = middle
        else:
            high = middle
    return min(max((high if step else low) * grid, known), most)


def ever_rejected(values: Floats, total: float, size: int, alpha: float) -> bool:
    """True where W against "the total is at most `total`" has reached 1/α at one of the values."""
    threshold = -math.log(alpha)
    return any(bool((block >= threshold).any()) for block in _blocks(values, total, size))


def _blocks(values: Floats, total: float, size: int) -> Iterator[Floats]:
    """The values of log W, a block of them at a time: memory does not grow with their number."""
    logs, seen, known = np.zeros((len(SHARES), 1)), 0, 0.0
    while seen < len(values):
        y = values[seen : seen + _BLOCK]
        after = known + np.cumsum(y)
        before = np.concatenate([[known], after[:-1]])
        paths = logs + np.cumsum(
            _log_factors(y, (total - before) / (size - seen - np.arange(len(y)))), axis=1
        )
        yield np.where(
            (after > total + ROUNDING) | (total < -ROUNDING),
            math.inf,
            _log_mean(paths),
        )
        logs, seen, known = paths[:, -1:], seen + len(y), float(after[-1])


def _log_mean(logs: Floats) -> Floats:
    """The logarithm of the mean over the first axis of numbers given by their logarithms."""
    top = logs.max(axis=0)
    return np.asarray(top + np.log(np.exp(logs - top).mean(axis=0)))


def _log_factors(values: Floats, mean: Floats) -> Floats:
    """log(1 + κ (y/μ − 1)) for each share and value [κ, t]; 0 where no value is left to bet on.

    At μ = 0 all values left are 0 if the hypothesis is true; where one is not, it is refuted.
    """
    open_ = mean > ROUNDING
    ratio = np.divide(values, mean, out=np.ones_like(values), where=open_)
    return np.log1p(SHARES[:, None] * (ratio - 1))
