"""Bets on both claims about a pair of predictors, and what they have shown so far."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mke_theory.audit.betting import ROUNDING, Bet, least_total
from mke_theory.audit.pair import Pair
from mke_theory.evaluation.stats import Interval

Verdict = Literal["better", "worse", "equal", "not better", "undecided"]


class Race:
    """The claims "better" and "worse": the first gains more, or less, than `margin`.

    Each is false with probability at most alpha where it is made. sides: 1 makes the second only
    where it is certain.
    """

    def __init__(self, pair: Pair, alpha: float, margin: float = 0.0, sides: int = 1) -> None:
        self.pair, self.alpha, self.sides = pair, alpha, sides
        self._total, self._size = pair.total(margin), len(pair.rows)
        self.better = Bet(self._total, self._size)
        self.worse = Bet(self._size - self._total, self._size)
        self.lows: list[float] = []
        self.highs: list[float] = []
        self.verdict: Verdict = "undecided"
        """The verdict so far: once reached it stays, but for what becomes certain."""
        self.certain = False
        """No probability is in the verdict: what is not looked up cannot change it."""
        self.decided_after: int | None = None
        """The number of labels at which the verdict was reached; None where it was not."""
        self._judge()

    def push(self, low: float, high: float) -> None:
        """Go on with a value between these two: each claim takes the one that speaks against it."""
        self.better.push(low)
        self.worse.push(1 - high)
        self.lows.append(low)
        self.highs.append(high)
        self._judge()

    def interval(self, level: float, alpha: float | None = None) -> Interval:
        """The confidence sequence of the first's gain at the last value, named by `level`.

        Either end is missed with probability at most alpha, by default that of the claims.
        One-sided, its upper end is the largest gain that is still possible.
        """
        alpha = alpha or self.alpha
        lows, highs = np.array(self.lows), np.array(self.highs)
        low = least_total(lows, self._size, alpha, self.pair.step)
        high = self._size - self.worse.sum
        if self.sides == 2:
            high = self._size - least_total(1 - highs, self._size, alpha, self.pair.step)
        return Interval(self.pair.difference(low), self.pair.difference(high), level)

    def counts(self) -> tuple[int, int, int, int]:
        """Values above ½, below ½, of ½, and unknown."""
        lows, highs = np.array(self.lows), np.array(self.highs)
        known = lows == highs
        above, below = int((known & (lows > 0.5)).sum()), int((known & (lows < 0.5)).sum())
        return above, below, int(known.sum()) - above - below, int((~known).sum())

    def _judge(self) -> None:
        verdict, certain = self._found()
        if verdict != "undecided":
            if self.decided_after is None:
                self.decided_after = len(self.lows)
            if certain or self.verdict == "undecided":
                self.verdict, self.certain = verdict, certain

    def _found(self) -> tuple[Verdict, bool]:
        least, most = self.better.sum, self._size - self.worse.sum
        # What is certain first: the total of all values lies between these two.
        if least > self._total + ROUNDING:
            return "better", True
        if most < self._total - ROUNDING:
            return "worse", True
        if most - least <= ROUNDING:
            return "equal", True
        threshold = -math.log(self.alpha)
        if self.better.greatest >= threshold:
            return "better", False
        if self.sides == 2 and self.worse.greatest >= threshold:
            return "worse", False
        if self.sides == 1 and most <= self._total + ROUNDING:
            return "not better", True
        return "undecided", False
