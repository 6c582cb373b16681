"""Metrics of predictions: a confusion matrix and the scores read off it; multi-label ranking.

A class that never occurs in the truth of what is evaluated has no part in any mean over classes.
Its false positives still count, against the classes they were taken from. torchmetrics,
scikit-learn (`average="macro"`) and much code for segmentation give such a class the value 0 as
soon as one prediction names it. The two agree where every class occurs, as it should in a test set.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from mke_theory.data.pool import UNKNOWN

Numbers = Tensor | NDArray[Any]

_AT_A_TIME = 2**22  # predictions; their int64 copies then stay small beside a pool of pixels


def confusion(predictions: Numbers, truth: Numbers, classes: int) -> Tensor:
    """Counts [k, k], int64: row = true class, column = predicted, over all entries of known truth.

    `predictions` and `truth` hold class numbers in any one shape: samples, pixels, frames. Matrices
    of parts add up to that of the whole; where no truth is known (−1) all counts are 0, and the
    functions below refuse them.

    Raises TypeError where class numbers are no integers, and ValueError where the shapes differ,
    a truth is outside −1..k−1, or a prediction is outside 0..k−1 where the truth is known.
    """
    if classes < 1:
        raise ValueError(f"classes is {classes}; there has to be at least one")
    found, truth = _integers("predictions", predictions), _integers("truth", truth)
    if found.shape != truth.shape:
        raise ValueError(
            f"predictions has shape {found.shape} but truth has {truth.shape}; give one class "
            "number for each (argmax over the class axis turns scores into them)"
        )
    found, truth = found.reshape(-1), truth.reshape(-1)
    counts = np.zeros(classes * classes, dtype=np.int64)
    for start in range(0, len(truth), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        known = truth[part] != UNKNOWN
        row, column = (x[part][known].astype(np.int64) for x in (truth, found))
        _refuse_outside("truth", row, classes, f", and {UNKNOWN} for unknown")
        _refuse_outside("predictions", column, classes, " where the truth is known")
        counts += np.bincount(row * classes + column, minlength=len(counts))
    return torch.from_numpy(counts.reshape(classes, classes))


def accuracy(matrix: Numbers) -> float:
    """The share of predictions that are right, in [0, 1]; for dense tasks, pixel accuracy."""
    counts = _counts(matrix)
    return float(np.trace(counts) / counts.sum())


def mean_accuracy(matrix: Numbers) -> float:
    """TP/(TP + FN) averaged over the classes that occur in the truth, in [0, 1]: mean recall."""
    counts = _counts(matrix)
    return _mean_over_classes(np.diag(counts), counts.sum(1), counts)


def mean_iou(matrix: Numbers) -> float:
    """TP/(TP + FP + FN) averaged over the classes that occur in the truth, in [0, 1].

    The counts are those of all evaluated pixels together, not of one image at a time.
    """
    counts = _counts(matrix)
    right = np.diag(counts)
    return _mean_over_classes(right, counts.sum(0) + counts.sum(1) - right, counts)


def macro_f1(matrix: Numbers) -> float:
    """2 TP/(2 TP + FP + FN) averaged over the classes that occur in the truth, in [0, 1]."""
    counts = _counts(matrix)
    return _mean_over_classes(2 * np.diag(counts), counts.sum(0) + counts.sum(1), counts)


def multilabel(probability: Numbers, truth: Numbers) -> dict[str, float]:
    """mAP, mAUC and d′ of k yes/no questions: how well each class ranks the samples.

    probability: [n, k] in [0, 1]. truth: [n, k], 0 or 1, −1 where it is unknown; such entries are
    left out of their class. mAP is the mean average precision of the classes with a positive;
    mAUC the mean area under the ROC curve of those with a positive and a negative; both weigh
    classes alike. d′ = √2 Φ⁻¹(mAUC) is that of the mean, as for AudioSet and VGGSound, and not the
    mean over classes. An mAUC of 1 would make it infinite: there, d′ is that of one tied pair in
    the class with most pairs (mAUC = 1 − 1/(2 k P) for k classes of at most P pairs); alike at 0.

    Raises ValueError where shapes or values do not fit or no class has both.
    Ref: hershey2017cnn; chen2020vggsound, published evaluation code.
    """
    scores, known = _questions(probability, truth)
    from sklearn.metrics import average_precision_score, roc_auc_score

    precisions, areas, pairs = [], [], []
    for ranked, labels in zip(scores.T, known.T, strict=True):
        there = labels != UNKNOWN
        ranked, labels = ranked[there], labels[there]
        positives = int(labels.sum())
        if positives:
            precisions.append(average_precision_score(labels, ranked))
        if 0 < positives < len(labels):
            areas.append(roc_auc_score(labels, ranked))
            pairs.append(positives * (len(labels) - positives))
    if not areas:
        raise ValueError(
            "no class has a positive and a negative among the samples of known truth; "
            "evaluate more samples"
        )
    area, least = float(np.mean(areas)), 1 / (2 * len(pairs) * max(pairs))
    d_prime = math.sqrt(2) * float(special.ndtri(min(max(area, least), 1 - least)))
    return {"mAP": float(np.mean(precisions)), "mAUC": area, "d′": d_prime}


def _array(x: Numbers) -> NDArray[Any]:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _integers(name: str, x: Numbers) -> NDArray[Any]:
    array = _array(x)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} is {array.dtype}; give class numbers as integers")
    return array


def _refuse_outside(name: str, x: NDArray[np.int64], classes: int, also: str) -> None:
    outside = x[(x < 0) | (x >= classes)]
    if outside.size:
        raise ValueError(f"{name} holds {outside[0]}; allowed are 0 to {classes - 1}{also}")


def _counts(matrix: Numbers) -> NDArray[np.float64]:
    counts = _array(matrix).astype(np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"the matrix has shape {counts.shape}; it has to be [k, k]: confusion(…)")
    if not ((counts >= 0) & np.isfinite(counts)).all():
        raise ValueError("the matrix holds negative or unbounded numbers; it has to hold counts")
    if counts.sum() == 0:
        raise ValueError("the matrix is empty: no truth is known, so nothing can be evaluated")
    return counts


def _mean_over_classes(
    part: NDArray[np.float64], whole: NDArray[np.float64], counts: NDArray[np.float64]
) -> float:
    occurs = counts.sum(1) > 0
    return float(np.mean(part[occurs] / whole[occurs]))


def _questions(
    probability: Numbers, truth: Numbers
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Checked probabilities, and truth in {−1, 0, 1}."""
    scores, known = _array(probability).astype(np.float64), _array(truth)
    if scores.ndim != 2 or scores.shape != known.shape:
        raise ValueError(
            f"probability has shape {scores.shape} and truth {known.shape}; both have to be [n, k]"
        )
    outside = scores[~((scores >= 0) & (scores <= 1))]
    if outside.size:
        raise ValueError(
            f"probability holds {outside[0]}; allowed is [0, 1]: sigmoid of the logits"
        )
    strange = known[~np.isin(known, (UNKNOWN, 0, 1))]
    if strange.size:
        raise ValueError(f"truth holds {strange[0]}; allowed are 0, 1, and {UNKNOWN} for unknown")
    return scores, known.astype(np.int64)
