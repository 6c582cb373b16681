"""Two predictors on one pool: where they differ, and what a label says of which is better.

On N samples of which M have different predictions, with y = 1 where the first is right, 0 where the
second is, and ½ where neither is,

    accuracy of the first − accuracy of the second = (2 Σ y − M)/N

exactly: where both predict the same, the difference is 0 whatever the label. Of pixels, a sample
is an image of h·w of them, y = ½ + (better − worse)/(2 d h w), better and worse being the numbers
of labelled pixels that the first, and the second, alone has right, and d the largest share of
pixels on which both differ in one image; the difference is d (2 Σ y − M)/N, the mean over images
of (better − worse)/(h w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.audit.labels import Answer, Classes, Labels, predicted
from mke_theory.data.rng import seed_for


@dataclass(frozen=True, eq=False)
class Pair:
    """Predictions [n] or [n, h, w] of two predictors for the same samples, in the same order."""

    first: Labels
    second: Labels

    @property
    def samples(self) -> int:
        """N, all samples of the pool."""
        return len(self.first)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The positions of samples with different predictions, in the order of the pool."""
        return np.flatnonzero(self._share_of_sample > 0)

    @cached_property
    def scale(self) -> float:
        """d: 1, or the largest share of pixels on which both differ in one image."""
        return float(self._share_of_sample.max())

    @cached_property
    def _share_of_sample(self) -> NDArray[np.float64]:
        return np.asarray((self.first != self.second).reshape(self.samples, -1).mean(axis=1))

    @property
    def step(self) -> float | None:
        """½ where all values of y are 0, ½ or 1; None for images."""
        return 0.5 if self.first.ndim == 1 else None

    def value(self, sample: int, label: Answer) -> tuple[float, float]:
        """The least and the largest y of a sample: equal, but where nobody can tell its class."""
        if label is None:
            return 0.0, 1.0
        right, wrong = self.first[sample] == label, self.second[sample] == label
        better = float(np.mean(right & ~wrong)) - float(np.mean(wrong & ~right))
        y = 0.5 + better / (2 * self.scale)
        return y, y

    def difference(self, total: float) -> float:
        """The difference of accuracies where the values y of all M samples add up to `total`."""
        return self.scale * (2 * total - len(self.rows)) / self.samples

    def total(self, difference: float) -> float:
        """The sum of y at which the accuracies differ by this much: the inverse of `difference`."""
        return (difference * self.samples / (self.scale or 1.0) + len(self.rows)) / 2


def predictions_of(named: Sequence[tuple[str, ArrayLike]], classes: Classes) -> list[Labels]:
    """The predictions of all, as `predicted` finds them; ValueError where their shapes differ."""
    found = [predicted(name, values, classes) for name, values in named]
    for (name, _), one in zip(named, found, strict=True):
        if one.shape != found[0].shape:
            raise ValueError(
                f"{named[0][0]} has predictions of shape {found[0].shape}, {name} {one.shape}; "
                "give the predictions of both for the same samples in the same order"
            )
    return found


def drawn_order(rows: NDArray[np.int64], seed: int) -> list[int]:
    """The positions in the order in which labels are looked up, the same for the same seed."""
    random = np.random.default_rng(seed_for(seed, "audit", "order"))
    return random.permutation(rows).tolist()


def checked(predictions: Labels, classes: Classes, sample: int, value: Any, where: str) -> Answer:
    """The answer for a sample, as `Classes.answer` or, of pixels, `Classes.label_map` finds it."""
    if predictions.ndim == 1:
        return classes.answer(value, where)
    return classes.label_map(value, predictions.shape[1:], where)
