"""Samples kept as compact numbers, in memory or on disk, and turned into floats when read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Decode = Callable[[Tensor], Tensor]
"""Raw values [b, ...] of some samples to float32 [b, ...], each sample by itself."""

_AT_A_TIME = 256
_MOST_NUMBERS = 1 << 24  # that are looked at together: 64 MiB in float32
_LARGE_ROW = 4096  # bytes; a loop over such rows costs less than copying them twice


@dataclass(frozen=True)
class Normalise:
    """(x − mean)/sd for each channel, as float32; 0 < sd.

    Channels are along `axis`: 1 for pictures [b, channels, h, w], 2 for frames of films.
    """

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    axis: int = 1

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.sd) or not self.mean or min(self.sd) <= 0:
            raise ValueError(
                f"mean {self.mean} and sd {self.sd} need one number a channel, each sd above 0"
            )

    def __call__(self, raw: Tensor) -> Tensor:
        channels = raw.shape[self.axis]
        if channels != len(self.mean):
            raise ValueError(f"samples have {channels} channels, mean has {len(self.mean)}")
        along = (-1, *[1] * (raw.dim() - self.axis - 1))
        mean, sd = (raw.new_tensor(x, dtype=torch.float32) for x in (self.mean, self.sd))
        return (raw.float() - mean.reshape(along)) / sd.reshape(along)


def as_float(raw: Tensor) -> Tensor:
    """The same numbers in float32."""
    return raw.float()


class Raw(Protocol):
    """The part of an array that `Stored` needs: a memory-mapped one, or one in several files."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any) -> Any: ...


class SideBySide:
    """Arrays [n, ...] in files as the rows [n, d] of all their numbers, read when asked for."""

    ndim = 2

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = tuple(parts)
        self.shape = (len(parts[0]), sum(int(np.prod(part.shape[1:])) for part in parts))
        self.dtype = np.result_type(*parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.concatenate(
            [(x := part[rows]).reshape(len(x), -1) for part in self.parts], axis=1
        )


class Stored:
    """n samples behind which stand raw values of any type; reading some gives float32.

    `values` is a tensor or an array [N, ...], which may be memory-mapped; `rows` picks and orders
    the n samples among the N (default: all). It stands where a tensor of inputs stands: it has
    `shape`, `dtype`, a length, and `stored[index]` for a slice, a list or a tensor of positions.
    """

    def __init__(
        self,
        values: Tensor | Raw,
        decode: Decode = as_float,
        rows: Tensor | None = None,
    ) -> None:
        self.values, self.decode = values, decode
        self.index = torch.arange(len(values)) if rows is None else rows
        self.checked = False
        self._present: Tensor | None = None
        bounds = (int(self.index.min()), int(self.index.max())) if len(self.index) else (0, 0)
        if not 0 <= bounds[0] <= bounds[1] < max(1, len(values)):
            raise ValueError(
                f"rows run from {bounds[0]} to {bounds[1]}; allowed are 0 to {len(values) - 1}"
            )

    dtype = torch.float32

    @cached_property
    def shape(self) -> torch.Size:
        """The shape after decoding."""
        if not len(self):
            return torch.Size((0, *self.values.shape[1:]))
        return torch.Size((len(self), *self[slice(0, 1)].shape[1:]))

    def __len__(self) -> int:
        return len(self.index)

    def dim(self) -> int:
        """The number of axes after decoding."""
        return len(self.shape)

    def numel(self) -> int:
        """The count of numbers after decoding."""
        return self.shape.numel()

    def is_floating_point(self) -> bool:
        """True: samples are decoded to float32."""
        return True

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, int | np.integer):
            return self[[int(index)]][0]
        at = self.index[torch.as_tensor(index) if isinstance(index, np.ndarray) else index]
        return self.decode(self._raw(at))

    def rows(self, index: Tensor) -> Stored:
        """The samples at these positions, still stored."""
        chosen = Stored(self.values, self.decode, self.index[index])
        chosen.checked = self.checked
        chosen._present = None if self._present is None else self._present[index]
        return chosen

    def present(self) -> Tensor:
        """True [n] where a sample's first number is not NaN (a missing modality is NaN throughout).

        All samples are read, but only once.
        """
        if self._present is None:
            first = [part.reshape(len(part), -1)[:, 0] for part in self.parts()]
            self._present = ~torch.isnan(torch.cat([torch.empty(0), *first]))
        return self._present

    def check(self, refuse: Callable[[Tensor, int], None]) -> None:
        """Hand the decoded samples, with the number of the first, to `refuse`; but only once."""
        if not self.checked:
            first = 0
            for part in self.parts():
                refuse(part, first)
                first += len(part)
            self.checked = True

    def parts(self) -> Iterator[Tensor]:
        """The decoded samples, some at a time."""
        size = fitting(self.shape[1:].numel(), _AT_A_TIME)
        for start in range(0, len(self), size):
            yield self[slice(start, start + size)]

    def _raw(self, at: Tensor) -> Tensor:
        if isinstance(self.values, Tensor):
            return self.values[at]
        # Sorted reads go once over the disk; the order asked for is restored in memory.
        order = np.argsort(at.numpy(), kind="stable")
        wanted = at.numpy()[order]
        if isinstance(self.values, np.ndarray):
            return torch.from_numpy(_read(self.values, wanted, order))
        read = torch.from_numpy(np.ascontiguousarray(self.values[wanted]))
        return read[torch.from_numpy(np.argsort(order))]


def _read(values: np.ndarray, wanted: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows `wanted` of an array, each put to its place; large ones are copied once."""
    result = np.empty((len(wanted), *values.shape[1:]), values.dtype)
    if result.nbytes < _LARGE_ROW * len(wanted):
        result[places] = values[wanted]
        return result
    for row, place in zip(wanted, places, strict=True):
        result[place] = values[row]
    return result


def fitting(numbers: int, most: int) -> int:
    """The count of samples of so many numbers that are looked at together: at most `most`."""
    return max(1, min(most, _MOST_NUMBERS // max(1, numbers)))


def taken(x: Tensor | Stored, index: Tensor) -> Tensor | Stored:
    """The samples at these positions; still stored if they were."""
    return x.rows(index) if isinstance(x, Stored) else x[index]


def concatenated(first: Tensor | Stored, second: Tensor | Stored) -> Tensor | Stored:
    """The samples of both, first those of `first`; still stored where both have one store.

    They are also still stored where one of them is read from disk.
    """
    if (
        isinstance(first, Stored)
        and isinstance(second, Stored)
        and first.values is second.values
        and first.decode == second.decode
    ):
        both = Stored(first.values, first.decode, torch.cat([first.index, second.index]))
        both.checked = first.checked and second.checked
        return both
    if on_disk(first) or on_disk(second):
        chained = Stored(_Chain(first, second))
        chained.checked = all(x.checked for x in (first, second) if isinstance(x, Stored))
        return chained
    return torch.cat([x[slice(0, len(x))] for x in (first, second)])


def on_disk(x: Tensor | Stored) -> bool:
    """True where reading samples may read from disk."""
    return isinstance(x, Stored) and not isinstance(x.values, Tensor)


class _Chain:
    """The decoded samples of two stores, one after the other, as an array to read rows of."""

    def __init__(self, first: Tensor | Stored, second: Tensor | Stored) -> None:
        self.first, self.second = first, second
        self.shape = (len(first) + len(second), *first.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The samples [m, ...] at rows [m]."""
        at, cut = torch.from_numpy(rows), len(self.first)
        result = torch.empty((len(at), *self.shape[1:]))
        for store, here, shift in ((self.first, at < cut, 0), (self.second, at >= cut, cut)):
            if bool(here.any()):
                result[here] = store[at[here] - shift]
        return result.numpy()
