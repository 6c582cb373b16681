"""The error of one predictor on a pool, from labels of samples drawn uniformly."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import hypergeom

from mke_theory.audit.asking import Ask, Asking
from mke_theory.audit.betting import Floats, least_total
from mke_theory.audit.comparison import many, points, refuse_settings
from mke_theory.audit.labels import Answer, Classes, Labels
from mke_theory.audit.pair import drawn_order, predictions_of
from mke_theory.audit.sheet import Sheet
from mke_theory.data.pool import UNKNOWN
from mke_theory.evaluation.stats import Interval


@dataclass(frozen=True)
class ErrorRate:
    """The result of `error`.

    error: an interval of the share of the pool that is predicted wrongly; one-sided, its lower end
    is what has been seen. samples: N. labels: looked up. wrong: of these; of images the sum of
    their shares of wrong pixels. cannot_tell: labels that nobody could tell.
    rests_on: "hypergeometric" where all the labels that were planned are there, "betting" before
    that (and for images): a wider interval, valid whenever one stops; "all labels" is exact.
    waiting: rows of the file that wait for a label.
    """

    error: Interval
    samples: int
    labels: int
    wrong: float
    cannot_tell: int
    rests_on: Literal["hypergeometric", "betting", "all labels"]
    waiting: int = 0

    def __str__(self) -> str:
        """Sentences for people: the interval, what it rests on, and what it does not speak of."""
        unsure = f"; {self.cannot_tell} could not be told" if self.cannot_tell else ""
        sure = "certain" if self.rests_on == "all labels" else f"{100 * self.error.level:g}%"
        stopped = self.rests_on == "betting"
        valid = " The interval is valid whenever one stops." if stopped else ""
        return (
            f"Error {points(self.error.low)}% to {points(self.error.high)}% ({sure}), after "
            f"{many(self.labels, 'label')} of {self.samples} samples: {self.wrong:g} "
            f"wrong{unsure}.{valid}\nThis says nothing of other samples."
        )


def error(
    predictions: ArrayLike,
    ask: Ask | Sheet,
    *,
    classes: int | Sequence[str],
    labels: int = 100,
    answers: MutableMapping[int, Any] | None = None,
    level: float = 0.95,
    sides: int = 2,
    seed: int = 0,
) -> ErrorRate:
    """Look up labels of samples drawn uniformly, and bound the share of wrong predictions.

    With all of them there, the ends are those numbers of wrong samples in the pool at which what
    was seen, or less (more), has probability (1 − level)/sides: exact for every pool. Before that,
    for instance because a file is not filled in yet, the ends are those of a confidence sequence.

    predictions: class numbers (or names) [n], or maps [n, h, w]; of these the error is the mean
    over images of the share of wrong pixels among those labelled.
    ask, classes, answers, level, seed: as in `compare`.
    labels: planned before the first is looked up, of which n at most count.
    sides: 1 asks for an upper limit alone.

    "Cannot tell" counts as wrong for the upper end, as right for the lower one.

    Raises what `compare` raises, and ValueError for labels < 1.
    """
    refuse_settings(level, sides, 0.0, None)
    if labels < 1:
        raise ValueError(f"labels is {labels}; at least 1 has to be looked up")
    named = Classes.of(classes)
    (found,) = predictions_of([("predictions", predictions)], named)
    n, order = len(found), drawn_order(np.arange(len(found)), seed)
    planned = min(labels, n)
    asking = Asking.of(ask, order, (found,), named, answers, "error")
    given = list(islice(asking.labels(lambda so_far: so_far < planned), planned))
    values = np.array([_wrong(found[i], label) for i, label in given]).reshape(-1, 2)
    waiting = asking.write(order[:planned])
    whole = found.ndim == 1
    done = whole and not waiting and len(given) == planned
    low, high = _numbers(values, n, (1 - level) / sides, whole=whole, done=done)
    if sides == 1:
        low = float(values[:, 0].sum())
    return ErrorRate(
        Interval(low / n, high / n, level),
        n,
        len(given),
        float(values[:, 0].sum()),
        int((values[:, 0] != values[:, 1]).sum()),
        "all labels" if len(given) == n else "hypergeometric" if done else "betting",
        waiting,
    )


def least_wrong(wrong: int, labels: int, samples: int, alpha: float) -> int:
    """The smallest number of wrong samples in a pool that leaves what was seen likely enough.

    That is the smallest E with P(X ≥ wrong) > alpha where X is hypergeometric: the wrong ones among
    `labels` of `samples` samples, E of which are wrong. The true number is at least this with
    probability at least 1 − alpha.
    """
    low, high = wrong - 1, samples - labels + wrong
    while high - low > 1:
        middle = (low + high) // 2
        if hypergeom.sf(wrong - 1, samples, middle, labels) > alpha:
            high = middle
        else:
            low = middle
    return high


def _numbers(
    values: Floats, n: int, alpha: float, *, whole: bool, done: bool
) -> tuple[float, float]:
    """The least and the largest number of wrong samples that `values` [t, 2] leave."""
    lows, rights = values[:, 0], 1 - values[:, 1]
    if done:
        t = len(values)
        low = least_wrong(round(lows.sum()), t, n, alpha)
        return float(low), float(n - least_wrong(round(rights.sum()), t, n, alpha))
    step = 1.0 if whole else None
    return least_total(lows, n, alpha, step), n - least_total(rights, n, alpha, step)


def _wrong(prediction: Labels, label: Answer) -> tuple[float, float]:
    """The least and the largest share of a sample that is wrong."""
    if label is None:
        return 0.0, 1.0
    known = np.asarray(label) != UNKNOWN
    wrong = float(np.mean((prediction != label)[known]))
    return wrong, wrong
