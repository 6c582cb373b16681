"""The samples of one modality as an encoder takes them, handed over by a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mke_theory.data.lazy_arrays import Raw


@dataclass(frozen=True, eq=False)
class RawSamples:
    """n samples of one modality, read some at a time, and all that says which they are.

    values: [n, ...], read by slices: pictures as uint8 [n, 3, h, w], sounds as float32 [n, samples]
    in [-1, 1]; an array, a memory-mapped one, or `Computed`. keys: the names of the n samples, in
    order, each there once. data_set, data_hash: the data set's name and the hash of its files.
    settings: how the samples were read (size, rate, …); what JSON can hold.
    """

    values: Raw
    keys: tuple[str, ...]
    modality: str
    data_set: str
    data_hash: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.values) != len(self.keys):
            raise ValueError(
                f"{self.data_set}: {len(self.values)} samples of {self.modality!r} have "
                f"{len(self.keys)} names; each needs one"
            )


class Computed:
    """n samples [n, ...] of which each is computed when it is read: decoded, resampled, padded."""

    def __init__(self, n: int, read: Callable[[int], np.ndarray]) -> None:
        if n < 1:
            raise ValueError(f"n is {n}; at least one sample is needed")
        self._n, self._read = n, read
        self.shape = (n, *read(0).shape)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The samples at a slice or an array of rows."""
        return np.stack([self._read(int(row)) for row in np.arange(self._n)[rows]])


def repeated_grey(pictures: np.ndarray) -> Computed:
    """Grey pictures [n, h, w] as three equal colours [n, 3, h, w]."""

    def read(row: int) -> np.ndarray:
        return np.broadcast_to(pictures[row], (3, *pictures.shape[1:]))

    return Computed(len(pictures), read)
