"""Labels as scikit-learn has them, of any kind, some of them unknown, as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from mke_theory.data.pool import UNKNOWN


def unknown(y: Any) -> NDArray[np.bool_]:
    """True [n] for −1, NaN, None and pandas' NA: the labels that nobody knows."""
    values = _labels(y)
    if values.dtype.kind in "iuf":
        return np.asarray((values == UNKNOWN) | np.isnan(values.astype(np.float64)))
    if values.dtype.kind in "US":
        return np.asarray(values == str(UNKNOWN))
    return np.array([_is_unknown(one) for one in values], dtype=bool)


def _is_unknown(label: Any) -> bool:
    return label is None or bool(pd.isna(label)) or label == UNKNOWN or label == str(UNKNOWN)


def _labels(y: Any) -> NDArray[Any]:
    if y is None:
        raise ValueError("MKEClassifier requires y to be passed, but the target y is None")
    # NumPy would make text of a list's numbers where there is text beside them.
    values = np.asarray(y, dtype=object) if isinstance(y, list | tuple) else np.asarray(y)
    return np.asarray(column_or_1d(values, warn=True))


def coded(y: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The sorted known classes [k], and the number of each row's class [n], −1 where unknown.

    Raises ValueError where fewer than two classes are known, or labels are no classes.
    """
    values = _labels(y)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("y has inf; a label is a class, or −1, NaN or None where it is not known")
    known = ~unknown(values)
    if not known.any():
        raise ValueError("no label is known; give the class of some rows of each class")
    found = values[known]
    if found.dtype == object:
        found = _of_one_kind(found)
    if found.dtype.kind in "OUS" and any(not str(one).strip() for one in found):
        raise ValueError(
            "y has an empty text, which is no class; a label that is not known is −1, NaN or None"
        )
    check_classification_targets(found)
    classes, numbers = np.unique(found, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"every known label is {classes[0]!r}, one class; two are needed at least"
            " (−1 means that a label is not known)"
        )
    result = np.full(len(values), UNKNOWN, dtype=np.int64)
    result[known] = numbers
    return classes, result


def _of_one_kind(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels from an array of objects, in the type that they share."""
    plain = np.array(labels.tolist())
    if plain.dtype.kind in "US" and not all(isinstance(one, str | bytes) for one in labels):
        kinds = sorted({type(one).__name__ for one in labels})
        raise ValueError(f"labels are of several kinds ({', '.join(kinds)}); make them all one")
    return labels if plain.dtype.kind in "US" else plain
