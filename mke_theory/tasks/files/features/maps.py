"""Feature maps on disk as the samples of a modality: rows of numbers, each channel scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.lazy_arrays import SideBySide, Stored

EVERY = 8
"""Moments are those of one sample in so many: they differ little from one sample to the next."""


def standardised_maps(maps: Sequence[np.ndarray], fit_on: np.ndarray) -> Stored:
    """The samples of some maps [n, c, h, w] as rows [n, d] of all their numbers, read when needed.

    Each channel of each map loses its mean and is divided by its standard deviation over the
    samples `fit_on`, row numbers, of which every eighth is looked at. The maps have been found
    finite when they were written, and are not looked at again.
    """
    means, sds = [], []
    for each in maps:
        mean, sd = _moments(each, np.asarray(fit_on)[::EVERY])
        pixels = int(np.prod(each.shape[2:]))
        means.append(np.repeat(mean, pixels))
        sds.append(np.repeat(sd, pixels))
    scaling = Scaling(_tensor(means), _tensor(sds))
    stored = Stored(SideBySide(maps), scaling)
    stored.checked = True
    return stored


@dataclass(frozen=True, eq=False)
class Scaling:
    """(x − mean)/sd for each number of a row [b, d], in float32; `mean` and `sd` are [d]."""

    mean: Tensor
    sd: Tensor

    def __call__(self, raw: Tensor) -> Tensor:
        return raw.float().sub_(self.mean).div_(self.sd)


def _moments(maps: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [c] of the channels, in float64; 1 where one is constant."""
    count, total, squares = 0, np.zeros(maps.shape[1]), np.zeros(maps.shape[1])
    for row in rows:  # one by one: in float64 a sample is four times what it is on disk
        x = maps[row].reshape(maps.shape[1], -1).astype(np.float64)
        count += x.shape[1]
        total += x.sum(axis=1)
        squares += np.square(x).sum(axis=1)
    mean = total / count
    sd = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.where(sd > 0, sd, 1)


def _tensor(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))
