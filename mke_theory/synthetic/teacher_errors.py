"""Teachers of a known kind and rate of error, in place of a trained one.

Each maps the truth and the inputs of a pool to pseudo labels with an exact number of errors:
round(rate · n). A rate at which the truth is no longer the likeliest label, given what the errors
depend on, is refused: (K − 1)/K of the samples concerned for a wrong class drawn evenly from the
others, 1/2 for two classes.

With C[y, ỹ] = P(ỹ | y) where errors know nothing of the input but its class, P(ỹ | x) is the
posterior times C (`noisy_posterior`, `corruptions.even_confusion`). Under independent errors at
rate ε the best classifier of ỹ is the best of y, and a rule with error e disagrees with ỹ on
ε + e(1 − εK/(K − 1)) of the samples (`disagreement`). Errors by region leave the best classifier as
it is, too. Adversarial ones do not: inside their part of the region ỹ is wrong throughout, and only
other inputs can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.data.rng import seed_for
from mke_theory.study.placebos import misled
from mke_theory.synthetic.checks import checked_count, refuse_no_posterior, refuse_strange
from mke_theory.synthetic.world import Floats, Ints


class TeacherErrors(Protocol):
    """A kind of teacher's errors."""

    def labels(self, truth: Ints, inputs: Mapping[str, Floats], *, classes: int, seed: int) -> Ints:
        """Pseudo labels [n] with an exact number of errors.

        Raises ValueError where the pool has too few samples of the kind that is to be wrong.
        """
        ...


@dataclass(frozen=True)
class IndependentErrors:
    """Errors anywhere alike, exactly round(rate · n); the wrong class evenly from the others."""

    rate: float

    def labels(self, truth: Ints, inputs: Mapping[str, Floats], *, classes: int, seed: int) -> Ints:
        y = _checked_truth(truth, classes)
        _refuse_rate("rate", self.rate, 1.0, classes)
        return _spread(y, np.arange(len(y)), round(self.rate * len(y)), classes, seed)


@dataclass(frozen=True)
class ErrorsByClass:
    """Errors in exactly round(rates[k] · n_k) of the n_k samples of class k."""

    rates: tuple[float, ...]

    def labels(self, truth: Ints, inputs: Mapping[str, Floats], *, classes: int, seed: int) -> Ints:
        if len(self.rates) != classes:
            raise ValueError(f"rates are {self.rates}; {classes} classes need {classes} of them")
        for k, rate in enumerate(self.rates):
            _refuse_rate(f"rates[{k}]", rate, 1.0, classes)
        y = _checked_truth(truth, classes)
        said = y.copy()
        for k, rate in enumerate(self.rates):
            rows = np.flatnonzero(y == k)
            wrong = round(rate * len(rows))
            said[rows] = _spread(y, rows, wrong, classes, seed_for(seed, "class", k))[rows]
        return said


@dataclass(frozen=True)
class Region:
    """The side of a half-space: where the first coordinate of a modality is large.

    `share`: the round(share · n) samples of the pool where it is largest (ties: the later sample).
    `above`: the samples where it is greater than that number; how many, the pool decides. Give
    exactly one.
    """

    modality: str
    share: float | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        if (self.share is None) == (self.above is None):
            raise ValueError(
                f"a region has a share or a threshold above; got share {self.share}, above "
                f"{self.above}"
            )
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; it has to lie in (0, 1]")
        if self.above is not None and not np.isfinite(self.above):
            raise ValueError(f"above is {self.above}; it has to be finite")

    def rows(self, inputs: Mapping[str, Floats]) -> Ints:
        """The samples inside, outermost last."""
        refuse_strange([self.modality], tuple(inputs))
        x = np.asarray(inputs[self.modality], dtype=np.float64)
        depth = x.reshape(len(x), -1)[:, 0]
        if np.isnan(depth).any():
            raise ValueError(
                f"modality {self.modality!r} is missing in some samples; a region needs one that "
                "is there in all of them"
            )
        order = np.argsort(depth, kind="stable")
        if self.above is not None:
            return order[depth[order] > self.above]
        assert self.share is not None
        return order[len(order) - round(self.share * len(order)) :]


@dataclass(frozen=True)
class ErrorsByRegion:
    """Errors inside a region alone, in random places: exactly round(rate · n) of the pool's n."""

    rate: float
    region: Region

    def labels(self, truth: Ints, inputs: Mapping[str, Floats], *, classes: int, seed: int) -> Ints:
        y, rows = _checked_truth(truth, classes), self.region.rows(inputs)
        _refuse_length(y, inputs[self.region.modality])
        _refuse_rate("rate", self.rate, len(rows) / len(y), classes)
        return _spread(y, rows, round(self.rate * len(y)), classes, seed)


@dataclass(frozen=True)
class AdversarialErrors:
    """The round(rate · n) outermost samples of a region all take the next class, (y + 1) mod K.

    Nothing is drawn. The rate is below 1/2, as it is in every theorem on correcting a teacher.
    """

    rate: float
    region: Region

    def labels(self, truth: Ints, inputs: Mapping[str, Floats], *, classes: int, seed: int) -> Ints:
        if not 0 <= self.rate < 0.5:
            raise ValueError(
                f"rate is {self.rate}; a teacher who errs in one direction has to be right on more "
                "than half: [0, 1/2)"
            )
        y, rows = _checked_truth(truth, classes), self.region.rows(inputs)
        _refuse_length(y, inputs[self.region.modality])
        wrong = round(self.rate * len(y))
        if wrong > len(rows):
            raise ValueError(
                f"rate {self.rate} asks for {wrong} errors and the region has {len(rows)} samples; "
                "enlarge it"
            )
        said = y.copy()
        outermost = rows[len(rows) - wrong :]
        said[outermost] = (said[outermost] + 1) % classes
        return said


def noisy_posterior(posterior: Floats, confusion: ArrayLike) -> Floats:
    """P(ỹ | x) = Σ_y P(y | x) C[y, ỹ], [n, classes], for errors that depend on the class alone.

    Raises ValueError where `confusion` is no [classes, classes] table of rows that sum to 1, or
    rows of the posterior do not.
    """
    refuse_no_posterior(posterior)
    c = np.asarray(confusion, dtype=np.float64)
    k = posterior.shape[1]
    if c.shape != (k, k) or (c < 0).any() or not np.allclose(c.sum(axis=1), 1, rtol=0, atol=1e-9):
        raise ValueError(
            f"confusion has shape {c.shape}; it needs ({k}, {k}), no negative entry and rows that "
            "sum to 1"
        )
    return posterior @ c


def disagreement(error: float, rate: float, classes: int) -> float:
    """P(f ≠ ỹ) = ε + e(1 − εK/(K − 1)) for a rule with error e and independent errors at rate ε.

    With f the Bayes classifier this is the Bayes error of ỹ itself, in a world of pseudo labels.
    """
    _refuse_rate("rate", rate, 1.0, classes)
    if not 0 <= error <= 1:
        raise ValueError(f"error is {error}; it has to lie in [0, 1]")
    return rate + error * (1 - rate * classes / (classes - 1))


def _spread(truth: Ints, rows: Ints, wrong: int, classes: int, seed: int) -> Ints:
    """The truth with `wrong` errors in random places among `rows`."""
    said = truth.copy()
    said[rows] = misled(truth[rows], wrong, classes, seed)
    return said


def _checked_truth(truth: Ints, classes: int) -> Ints:
    y = np.asarray(truth)
    checked_count("classes", classes, 2)
    if y.ndim != 1 or len(y) == 0 or y.dtype.kind not in "iu":
        raise ValueError(f"truth is {y.dtype} of shape {y.shape}; give whole numbers [n], n ≥ 1")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"truth runs from {y.min()} to {y.max()}; allowed are 0 to {classes - 1}")
    return y.astype(np.int64)


def _refuse_length(truth: Ints, x: Floats) -> None:
    if len(x) != len(truth):
        raise ValueError(f"there are {len(truth)} labels and {len(x)} samples; give one for each")


def _refuse_rate(name: str, rate: float, share: float, classes: int) -> None:
    """Raise ValueError unless 0 ≤ rate < share · (K − 1)/K."""
    limit = share * (classes - 1) / classes
    if not 0 <= rate < limit and rate != 0:
        where = "" if share == 1 else f" of the {share:.3f} of the samples inside the region"
        raise ValueError(
            f"{name} is {rate}; with {classes} classes it has to be below {classes - 1}/{classes}"
            f"{where}, that is below {limit:.4g}, or the truth is no longer the likeliest label"
        )
