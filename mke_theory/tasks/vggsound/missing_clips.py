"""Exact bounds on a metric over all clips where some are missing, from arrays alone.

Clips vanish from their host, so a metric is known on the clips at hand. The labels of the missing
ones are in the lists, a model's scores for them are not; each bound here is the least or greatest
value that the metric over all clips can take, whatever those scores are. Both are attained as long
as a missing clip may be ranked above and below all others.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma, ndtri
from scipy.stats import rankdata


class Bounds(NamedTuple):
    """The least and the greatest value that a metric can have over all clips."""

    low: float
    high: float


def average_precision_bounds(
    score: np.ndarray, truth: np.ndarray, positives: int, negatives: int
) -> Bounds:
    """Bounds on the average precision of one class with `positives` and `negatives` missing.

    score: [n] at hand, truth: [n] of 0 and 1. Average precision is the mean over all positives of
    T/(T + F), T and F being the positives and negatives that score at least as much: each depends
    on T upwards and on F downwards. So it is greatest with the missing positives above everything
    and the missing negatives below, and least with the negatives above everything. The positives
    then go to the bottom, unless scores are tied: see `_least_sum`.

    Raises ValueError where there is no positive at all.
    """
    score, truth = _one_class(score, truth, positives, negatives)
    at_hand = int(truth.sum())
    if at_hand + positives == 0:
        raise ValueError("the class has no positive, so no average precision; leave it out")
    of_group, above, false = _groups(score, truth)
    high = positives + (of_group * (above + positives) / (above + positives + false)).sum()
    low = _least_sum(of_group, above, false + negatives, negatives, positives)
    return Bounds(low / (at_hand + positives), float(high) / (at_hand + positives))


def auc_bounds(score: np.ndarray, truth: np.ndarray, positives: int, negatives: int) -> Bounds:
    """Bounds on the area under the ROC curve of one class with so many clips missing.

    The area is the share of pairs of a positive and a negative that are in order, ties counting
    half. Pairs with a missing clip can all be in order at once, or all be out of order.

    Raises ValueError where there is no such pair.
    """
    score, truth = _one_class(score, truth, positives, negatives)
    p, n = int(truth.sum()), int((~truth).sum())
    pairs = (p + positives) * (n + negatives)
    if pairs == 0:
        raise ValueError("the class needs a positive and a negative for an area; leave it out")
    in_order = float(rankdata(score)[truth].sum()) - p * (p + 1) / 2
    return Bounds(in_order / pairs, (in_order + pairs - p * n) / pairs)


def multilabel_bounds(
    score: np.ndarray, truth: np.ndarray, missing_truth: np.ndarray
) -> dict[str, Bounds]:
    """Bounds on the mAP, mAUC and d′ of `metrics.multilabel` over all clips, at hand and missing.

    score, truth: [n, k] at hand; missing_truth: [m, k]. mAP is over the classes with a positive
    among all n + m clips, mAUC over those with a negative as well: the scores of a missing clip for
    two classes are free of each other, so all classes can be at their worst together. d′ grows with
    mAUC, and stays finite as it does there.

    Raises ValueError where shapes do not fit, a truth is neither 0 nor 1, or no class has a
    positive and a negative.
    """
    score, truth, missing = np.asarray(score), np.asarray(truth), np.asarray(missing_truth)
    if score.ndim != 2 or score.shape != truth.shape or missing.shape[1:] != truth.shape[1:]:
        raise ValueError(
            f"needs score and truth [n, k] and missing_truth [m, k]; got {score.shape}, "
            f"{truth.shape} and {missing.shape}"
        )
    if not np.isin(missing, (0, 1)).all():
        raise ValueError("missing_truth has to be 0 or 1 throughout; leave out the unknown")
    precisions, areas, pairs = [], [], []
    for at_hand, known, absent in zip(score.T, truth.T, missing.T, strict=True):
        counts = int((absent == 1).sum()), int((absent != 1).sum())
        positives = int((known == 1).sum()) + counts[0]
        negatives = len(known) + len(absent) - positives
        if positives:
            precisions.append(average_precision_bounds(at_hand, known, *counts))
        if positives and negatives:
            areas.append(auc_bounds(at_hand, known, *counts))
            pairs.append(positives * negatives)
    if not areas:
        raise ValueError("no class has both a positive and a negative clip")
    area, least = _mean(areas), 1 / (2 * len(pairs) * max(pairs))
    detection = (math.sqrt(2) * float(ndtri(min(max(x, least), 1 - least))) for x in area)
    return {"mAP": _mean(precisions), "mAUC": area, "d′": Bounds(*detection)}


def _groups(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By falling distinct score: its positives, and the positives and negatives down to it."""
    values, where = np.unique(-score, return_inverse=True)
    of_group = np.bincount(where[truth], minlength=len(values)).astype(np.float64)
    false = np.bincount(where[~truth], minlength=len(values)).astype(np.float64)
    return of_group, np.cumsum(of_group), np.cumsum(false)


def _least_sum(
    of_group: np.ndarray, above: np.ndarray, false: np.ndarray, first: int, positives: int
) -> float:
    """The least sum of T/(T + F) over all positives, for any place of the missing ones.

    Group g has of_group[g] positives at hand; down to it there are above[g] of them and false[g]
    negatives, of which `first` stand before all. Missing positives stand between groups and apart:
    tied with others, all of them would count the same T and more.

    Let t[g] be the missing positives before group g. Those that follow it have precisions
    T/(T + F) for T from above[g] + t[g] + 1 to above[g] + t[g + 1] and F = false[g]: a difference
    of two values of `_series`. So the sum is one of terms in each t[g] alone, and its minimum over
    0 ≤ t[0] ≤ t[1] ≤ … ≤ positives is found group by group. Where no positive at hand is tied,
    each term is constant or grows with t, so that t = 0 is best.
    """
    size = of_group + np.diff(false, prepend=first)
    most = positives if (size[of_group > 0] > 1).any() else 0
    t = np.arange(most + 1, dtype=np.float64)
    if not most:
        sure = of_group > 0
        at_hand = (of_group[sure] * above[sure] / (above[sure] + false[sure])).sum()
        done, passed = float(of_group.sum()), float(false[-1]) if len(false) else float(first)
        return float(at_hand + _series(done + positives, passed) - _series(done, passed))
    best, done, passed = np.zeros(most + 1), 0.0, float(first)
    for own, total, negatives in zip(of_group, above, false, strict=True):
        best = np.minimum.accumulate(best)
        best += _series(done + t, passed) - _series(total + t, negatives)
        if own:  # without positives the ratio may be 0/0
            best += own * (total + t) / (total + t + negatives)
        done, passed = total, negatives
    return float(best.min() + _series(done + positives, passed))


def _series(count: Any, false: float) -> Any:
    """Σ T/(T + F) over T = 1 … count, which is count − F (H(count + F) − H(F))."""
    return count - false * (digamma(count + false + 1.0) - digamma(false + 1.0))


def _one_class(
    score: np.ndarray, truth: np.ndarray, positives: int, negatives: int
) -> tuple[np.ndarray, np.ndarray]:
    score, truth = np.asarray(score, dtype=np.float64), np.asarray(truth)
    if score.ndim != 1 or score.shape != truth.shape:
        raise ValueError(f"score and truth need one shape [n]; got {score.shape}, {truth.shape}")
    if not np.isfinite(score).all():
        raise ValueError("a score is NaN or infinite; every clip at hand needs a finite one")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("truth has to be 0 or 1 for every clip at hand; leave out the unknown")
    _refuse_counts(positives=positives, negatives=negatives)
    return score, truth == 1


def _refuse_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{name} is {count}; a count cannot be negative")


def _mean(bounds: list[Bounds]) -> Bounds:
    low, high = np.mean(np.array(bounds), axis=0)
    return Bounds(float(low), float(high))
