"""Standardising: fitted on training rows, applied to all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mke_theory.data.lazy_arrays import Normalise

Array = np.ndarray


def standardiser(train: Array) -> Callable[[Array], Array]:
    """The map x ↦ (x − mean)/sd, with mean and sd of each column of `train` [n, d].

    A column that is constant in `train` is only centred. NaN rows (a missing modality) do not
    count; ValueError where a column has nothing else.
    """
    _refuse_nothing(train)
    mean = np.nanmean(train, axis=0)
    sd = _spread(train, axis=0)
    return lambda x: (x - mean) / sd


def overall_standardiser(train: Array) -> Callable[[Array], Array]:
    """The same with one mean and one sd for all entries: for images and spectrograms."""
    _refuse_nothing(train.reshape(-1, 1))
    mean, sd = float(np.nanmean(train)), float(_spread(train, axis=None))
    return lambda x: (x - mean) / sd


def colour_normaliser(train: Array, axis: int = 1) -> Normalise:
    """The scaling of each colour of bytes [n, ..., colours, h, w] to mean 0 and sd 1 over `train`.

    A colour that is constant in `train` is only centred. Raises ValueError where `train` is empty
    or holds no bytes.
    """
    if train.dtype != np.uint8 or not train.size:
        raise ValueError(
            f"colours are scaled by uint8 training rows; got {train.dtype} of shape {train.shape}"
        )
    level, means, sds = np.arange(256.0), [], []
    for colour in np.moveaxis(train, axis, 0):
        counts = np.bincount(colour.ravel(), minlength=256)
        means.append(float(np.average(level, weights=counts)))
        sds.append(float(np.average((level - means[-1]) ** 2, weights=counts)) ** 0.5)
    return Normalise(tuple(means), tuple(sd or 1.0 for sd in sds), axis)


def _spread(train: Array, axis: int | None) -> Array:
    """The standard deviation, and 1 where nothing varies (rounding alone can make it 1e-17)."""
    varies = np.nanmax(train, axis=axis) > np.nanmin(train, axis=axis)
    sd = np.nanstd(train, axis=axis)
    return np.where(varies & (sd > 0), sd, 1.0)


def _refuse_nothing(train: Array) -> None:
    """Raise ValueError where a column holds no number at all."""
    empty = np.isnan(train).all(axis=0)
    if empty.any():
        raise ValueError(
            f"{int(empty.sum())} of {empty.size} columns hold no number in the training rows; "
            "leave that modality out"
        )
