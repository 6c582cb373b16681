"""Several candidates, one of which is to be shipped: labels where they differ, until one is left.

One sequence of labels serves all pairs: a random order, restricted to the samples on which two
candidates differ, is a random order of these. With m candidates each pair is bet on in both
directions, and a claim "a is better than b" is made where W reaches (m − 1)/α. The best of all is
then left out with probability at most α: that takes one of the m − 1 false claims against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.audit.asking import Ask, Asking
from mke_theory.audit.betting import ROUNDING, Bet
from mke_theory.audit.comparison import many, points, refuse_settings
from mke_theory.audit.labels import Answer, Classes, Labels
from mke_theory.audit.pair import Pair, drawn_order, predictions_of
from mke_theory.audit.race import Race
from mke_theory.audit.sheet import Sheet
from mke_theory.evaluation.stats import Interval


@dataclass(frozen=True)
class Selection:
    """The result of `best`.

    best: the candidate that no other exceeds by more than the tolerance; None where that is not
    shown. left: the candidates that are not shown to be below another.
    gains: accuracy of `best` − accuracy of each other candidate; all intervals hold together with
    probability `level`. Empty without a best one.
    samples, differing: of the pool, and those on which any two differ. labels: looked up, and of
    these `cannot_tell` without answer. waiting: rows of the file that wait for a label.
    """

    best: str | None
    left: tuple[str, ...]
    gains: Mapping[str, Interval]
    samples: int
    differing: int
    labels: int
    cannot_tell: int
    level: float
    tolerance: float
    waiting: int = 0

    def __str__(self) -> str:
        """Sentences for people: the choice, the others beside it, and what it rests on."""
        sure, after = f"{100 * self.level:g}%", f"after {many(self.labels, 'label')}"
        close = f" by more than {points(self.tolerance)} points" if self.tolerance else ""
        if self.best is None:
            text = f"Not decided {after}; the best of all is among {', '.join(self.left)} ({sure})."
        else:
            text = f"Ship {self.best}: no other is better{close} ({sure}), {after}."
        gains = "; ".join(
            f"over {name} {points(gain.low, sign=True)} to {points(gain.high, sign=True)} points"
            for name, gain in self.gains.items()
        )
        unsure = f", {self.cannot_tell} of which could not be told" if self.cannot_tell else ""
        return (
            f"{text}\n{f'Gain on these samples: {gains}. ' if gains else ''}"
            "This says nothing of other samples.\n"
            f"Some differ on {self.differing} of {self.samples} samples; "
            f"{self.labels} were looked up{unsure}."
        )


def best(
    candidates: Mapping[str, ArrayLike],
    ask: Ask | Sheet,
    *,
    classes: int | Sequence[str],
    answers: MutableMapping[int, Any] | None = None,
    level: float = 0.95,
    tolerance: float = 0.0,
    budget: int | None = None,
    seed: int = 0,
) -> Selection:
    """Look up labels where candidates differ until one is shown to be as good as every other.

    With probability at least `level`, for every pool and whenever one stops, no candidate exceeds
    the chosen one by more than the tolerance, and the best of all is among those that are left.

    candidates: class numbers (or names) [n], or maps [n, h, w], by name: students and the teacher.
    Of equals the one named first is chosen.
    tolerance: the difference of accuracies that does not matter, in [0, 1). At 0 two that are
    equally good are told apart only by all labels on which they differ.
    ask, classes, answers, level, budget, seed: as in `compare`, which also says of what labels and
    images mean, and of what is raised; ValueError too for fewer than two candidates.
    """
    refuse_settings(level, 1, tolerance, budget)
    if tolerance < 0 or len(candidates) < 2:
        raise ValueError(
            f"tolerance is {tolerance}, and there are {len(candidates)} candidates; at least 0 and "
            "2 are needed"
        )
    named = Classes.of(classes)
    predictions = predictions_of(list(candidates.items()), named)
    contest = _Contest(list(candidates), predictions, level, tolerance)
    order = drawn_order(contest.differing, seed)
    asking = Asking.of(ask, order, predictions, named, answers, "best")

    def goes_on(given: int) -> bool:
        return contest.winner is None and (budget is None or given < budget)

    labels = []
    for sample, label in asking.labels(goes_on, contest.tells_apart):
        contest.push(sample, label)
        labels.append(label)
    waiting = 0
    if contest.winner is None:
        open_ = [i for i in order if contest.tells_apart(i) and i not in asking.known]
        waiting = asking.write(open_[: None if budget is None else max(0, budget - len(labels))])
    winner = contest.winner
    return Selection(
        None if winner is None else contest.names[winner],
        tuple(contest.names[i] for i in contest.left),
        {} if winner is None else contest.gains(winner, level),
        len(predictions[0]),
        len(order),
        len(labels),
        sum(label is None for label in labels),
        level,
        tolerance,
        waiting,
    )


class _Duel:
    """Two candidates: bets that one is better, and that it is not worse by more than tolerance."""

    def __init__(self, pair: Pair, alpha: float, tolerance: float) -> None:
        self.race = Race(pair, alpha, sides=2)
        total, size = pair.total(-tolerance), len(pair.rows)
        self._close = Bet(total, size), Bet(total, size)
        self._threshold = -math.log(alpha)

    def push(self, sample: int, label: Answer) -> None:
        """Go on with a sample, if the two differ on it."""
        pair = self.race.pair
        if np.any(pair.first[sample] != pair.second[sample]):
            low, high = pair.value(sample, label)
            self.race.push(low, high)
            self._close[0].push(low)
            self._close[1].push(1 - high)

    def is_better(self, which: int) -> bool:
        """True where the first (0) or the second (1) is shown to be better than the other."""
        bet = self.race.worse if which else self.race.better
        return bet.greatest >= self._threshold

    def is_close(self, which: int) -> bool:
        """True where this one is shown not to be below the other by more than the tolerance."""
        bet = self._close[which]
        # The total may be known to be no less than that of the claim though it is never above it.
        return bet.greatest >= self._threshold or bet.sum >= bet.total - ROUNDING


class _Contest:
    """All candidates, pair by pair."""

    def __init__(
        self, names: Sequence[str], predictions: Sequence[Labels], level: float, tolerance: float
    ) -> None:
        self.names, self.predictions = names, predictions
        self.left = list(range(len(names)))
        """The candidates that no other is shown to exceed."""
        self.alpha = (1 - level) / (len(names) - 1)
        self.duels = {
            (i, j): _Duel(Pair(predictions[i], predictions[j]), self.alpha, tolerance)
            for i, j in combinations(self.left, 2)
        }

    @property
    def differing(self) -> NDArray[np.int64]:
        """The positions on which any two differ."""
        rows = [duel.race.pair.rows for duel in self.duels.values()]
        return np.unique(np.concatenate(rows))

    @property
    def winner(self) -> int | None:
        """The first candidate that none of the others left exceeds by more than the tolerance."""
        for i in self.left:
            if all(self._asked(_Duel.is_close, i, j) for j in self.left if j != i):
                return i
        return None

    def tells_apart(self, sample: int) -> bool:
        """True where some of the candidates left differ on a sample."""
        first = self.predictions[self.left[0]][sample]
        return any(np.any(self.predictions[i][sample] != first) for i in self.left[1:])

    def push(self, sample: int, label: Answer) -> None:
        """Go on with a sample, and leave out whom it shows to be exceeded."""
        for duel in self.duels.values():
            duel.push(sample, label)
        everyone = range(len(self.names))
        self.left = [
            j
            for j in everyone
            if not any(self._asked(_Duel.is_better, i, j) for i in everyone if i != j)
        ]

    def gains(self, winner: int, level: float) -> dict[str, Interval]:
        """The difference between the winner and each other one, at this level for all together."""
        alpha = self.alpha / len(self.names)
        found = {}
        for (i, j), duel in self.duels.items():
            gain = duel.race.interval(level, alpha)
            if winner == i:
                found[self.names[j]] = gain
            elif winner == j:
                found[self.names[i]] = Interval(-gain.high, -gain.low, level)
        return found

    def _asked(self, question: Callable[[_Duel, int], bool], i: int, j: int) -> bool:
        """The answer for i against j."""
        return question(self.duels[min(i, j), max(i, j)], int(i > j))
