"""Calibration: whether answers given with a confidence of 80% are right 80% of the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers with low < confidence ≤ high; 0 belongs to the first bin.

    confidence: their mean. right: the share of them that are right. Both are None where count is 0.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    right: float | None


def reliability(
    confidence: ArrayLike | Tensor, right: ArrayLike | Tensor, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """The answers by their confidence, in `bins` bins of equal width over [0, 1].

    confidence: [n], the probability that a model gives to its own answer. right: [n], whether the
    answer is right, as booleans or 0 and 1.

    Raises ValueError where there is no answer, shapes differ, a confidence is outside [0, 1], a
    value of `right` is neither 0 nor 1, or there is no bin. Ref: guo2017calibration.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; there has to be at least one")
    given, hits = _answers(confidence, right)
    edges = [b / bins for b in range(bins + 1)]
    place = np.searchsorted(edges[1:-1], given, side="left")
    return tuple(
        _bin(edges[b], edges[b + 1], given[place == b], hits[place == b]) for b in range(bins)
    )


def expected_calibration_error(
    confidence: ArrayLike | Tensor, right: ArrayLike | Tensor, bins: int = 10
) -> float:
    """Σ_b n_b/n |mean confidence − share right| over the bins of `reliability`, in [0, 1].

    Arguments and errors are those of `reliability`. Ref: guo2017calibration, equation 3.
    """
    found = reliability(confidence, right, bins)
    apart = [
        one.count * abs(one.confidence - one.right)
        for one in found
        if one.confidence is not None and one.right is not None
    ]
    return sum(apart) / sum(one.count for one in found)


def _bin(
    low: float, high: float, confidence: NDArray[np.float64], right: NDArray[np.float64]
) -> ReliabilityBin:
    if len(confidence) == 0:
        return ReliabilityBin(low, high, 0, None, None)
    return ReliabilityBin(low, high, len(confidence), float(confidence.mean()), float(right.mean()))


def _answers(
    confidence: ArrayLike | Tensor, right: ArrayLike | Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    given, hits = (_array(x).astype(np.float64) for x in (confidence, right))
    if given.ndim != 1 or given.shape != hits.shape:
        raise ValueError(
            f"confidence has shape {given.shape} and right {hits.shape}; both have to be [n]"
        )
    if len(given) == 0:
        raise ValueError("there is no answer; calibration needs at least one")
    outside = given[~((given >= 0) & (given <= 1))]
    if outside.size:
        raise ValueError(f"confidence holds {outside[0]}; allowed is [0, 1]: softmax of the logits")
    strange = hits[~np.isin(hits, (0.0, 1.0))]
    if strange.size:
        raise ValueError(f"right holds {strange[0]}; allowed are 0 and 1")
    return given, hits


def _array(x: ArrayLike | Tensor) -> NDArray[Any]:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
