"""Standardising: fitted on training rows, applied to all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from mke_theory.data.lazy_arrays import Normalise

Array = np.ndarray

ROUNDING = 2.0**-20
"""A column whose values differ by at most this share of the largest is constant but for rounding:
a constant that was computed in single precision in another order differs by 2⁻²³ or so."""


def standardiser(train: Array) -> Callable[[Array], Array]:
    """The map x ↦ (x − mean)/sd, with mean and sd of each column of `train` [n, d].

    A column that is constant in `train` (but for `ROUNDING`) has no scale, and becomes 0 in every
    row: a border pixel that is 0 in training and 250 later would drown all others. NaN rows (a
    missing modality) do not count; ValueError where a column has nothing else.
    """
    mean, sd = moments(train)
    return lambda x: (x - mean) / sd


def moments(train: Array) -> tuple[Array, Array]:
    """The mean and sd [d] of each column of `train` [n, d]; sd is infinite where it is constant.

    Raises ValueError as `standardiser` does.
    """
    _refuse_nothing(train)
    return np.nanmean(train, axis=0), _spread(train, axis=0)


def column_moments(blocks: Callable[[], Iterable[Array]]) -> tuple[Array, Array]:
    """The same mean and sd [d] of each column, found block by block.

    `blocks()` gives the training rows in order, as parts [m, d] of float64 with m ≥ 1, and is
    called anew for each pass. Rows are added up in the order in which NumPy adds those of one
    array, so that both ways agree to the last bit. Raises ValueError as `standardiser` does.
    """
    if next(iter(blocks())).shape[1] == 1:  # one column is small, and added up in another order
        column = np.concatenate(list(blocks()))
        return moments(column)
    total = count = low = high = squares = None
    for block in blocks():
        known = ~np.isnan(block)
        total = _over_rows(np.add, total, np.where(known, block, 0.0))
        count = _over_rows(np.add, count, known.astype(np.int64))
        low = _over_rows(np.fmin, low, block)
        high = _over_rows(np.fmax, high, block)
    assert total is not None and count is not None and low is not None and high is not None
    _refuse_empty_columns(count == 0)
    mean = total / count
    for block in blocks():
        away = np.where(np.isnan(block), 0.0, block - mean)
        squares = _over_rows(np.add, squares, away * away)
    assert squares is not None
    sd = np.sqrt(squares / count)
    return mean, np.where(_varies(low, high) & (sd > 0), sd, np.inf)


def overall_standardiser(train: Array) -> Callable[[Array], Array]:
    """The same with one mean and one sd for all entries: for images and spectrograms."""
    _refuse_nothing(train.reshape(-1, 1))
    mean, sd = float(np.nanmean(train)), float(_spread(train, axis=None))
    return lambda x: (x - mean) / sd


def colour_normaliser(train: Array, axis: int = 1) -> Normalise:
    """The scaling of each colour of bytes [n, ..., colours, h, w] to mean 0 and sd 1 over `train`.

    A colour that is constant in `train` becomes 0 everywhere. Raises ValueError where `train` is
    empty or holds no bytes.
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
    return Normalise(tuple(means), tuple(sd or np.inf for sd in sds), axis)


def _spread(train: Array, axis: int | None) -> Array:
    """The standard deviation, infinite where nothing varies (rounding can make it 1e-17)."""
    varies = _varies(np.nanmin(train, axis=axis), np.nanmax(train, axis=axis))
    sd = np.nanstd(train, axis=axis)
    return np.where(varies & (sd > 0), sd, np.inf)


def _varies(low: Array, high: Array) -> Array:
    """True where values from `low` to `high` differ by more than rounding."""
    return high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high))


def _refuse_nothing(train: Array) -> None:
    """Raise ValueError where a column holds no number at all."""
    _refuse_empty_columns(np.isnan(train).all(axis=0))


def _refuse_empty_columns(empty: Array) -> None:
    if empty.any():
        raise ValueError(
            f"{int(empty.sum())} of {empty.size} columns hold no number in the training rows; "
            "leave that modality out"
        )


def _over_rows(combine: np.ufunc, so_far: Array | None, block: Array) -> Array:
    """The rows so far and the next ones [m, d], combined one after the other to [d]."""
    result: Array = block[0].copy() if so_far is None else combine(so_far, block[0])
    for row in block[1:]:
        combine(result, row, out=result)
    return result
