"""An encoder's features of some samples, refused where they cannot be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.lazy_arrays import Raw
from mke_theory.tasks.files.features.manifest import Origin, hash_of_keys

LARGEST = float(np.finfo(np.float16).max)
"""The largest number that float16 holds, 65504."""

SMALLEST = float(np.finfo(np.float16).smallest_normal)
"""The smallest number of which float16 keeps all its digits, 6.1e-5."""


class Encoder(Protocol):
    """The part of `models.frozen.FrozenEncoder` that is needed here."""

    @property
    def name(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def taps(self) -> tuple[str, ...]: ...
    def __call__(self, batch: Tensor) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Job:
    """Samples by name, and the encoder that computes their features, `batch` at a time."""

    folder: Path
    encoder: Encoder
    samples: Raw
    keys: tuple[str, ...]
    batch: int

    def origin(
        self, data_set: str, data_hash: str, modality: str, settings: Mapping[str, Any]
    ) -> Origin:
        """The origin of the features; the first sample is read for its shape."""
        if len(self.samples) != len(self.keys):
            raise ValueError(
                f"there are {len(self.samples)} samples and {len(self.keys)} keys; each sample "
                "needs one"
            )
        keys, one = hash_of_keys(self.keys), self._raw(0, 1)
        return Origin(
            self.encoder.name,
            self.encoder.content,
            modality,
            data_set,
            data_hash,
            len(self.keys),
            keys,
            tuple(one.shape[1:]),
            str(one.dtype).removeprefix("torch."),
            dict(settings),
        )

    def computed(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The features of some samples by tap, [stop − start, ...] float32.

        Raises ValueError where the taps are not the encoder's, a tap has not one row a sample, or
        float16 cannot hold a number, or all are so small that it would round most of them off.
        """
        found = self._encoded(start, stop)
        if tuple(found) != tuple(self.encoder.taps):
            raise ValueError(
                f"encoder {self.encoder.name} gives taps {tuple(found)}, its list has "
                f"{tuple(self.encoder.taps)}"
            )
        arrays = {name: x.detach().float().cpu().numpy() for name, x in found.items()}
        for name, x in arrays.items():
            if x.ndim < 2 or len(x) != stop - start or not x.size:
                raise ValueError(
                    f"tap {name!r} of encoder {self.encoder.name} is {x.shape} for {stop - start} "
                    f"samples; it has to be ({stop - start}, …), with numbers in every sample"
                )
            _refuse_unfit(name, x, self.keys[start:stop])
        return arrays

    def _encoded(self, start: int, stop: int) -> dict[str, Tensor]:
        """The encoder's answer, or its error with the name of the first sample that it refuses."""
        try:
            return self.encoder(self._raw(start, stop))
        except ValueError as error:
            for at in range(start, stop):
                try:
                    self.encoder(self._raw(at, at + 1))
                except ValueError as own:
                    raise ValueError(f"sample {self.keys[at]!r}: {own}") from error
            raise

    def _raw(self, start: int, stop: int) -> Tensor:
        """Some samples as the encoder takes them, in memory of their own."""
        return torch.from_numpy(np.array(self.samples[start:stop]))


def _refuse_unfit(tap: str, x: np.ndarray, keys: Sequence[str]) -> None:
    """Raise ValueError, with a sample's key, where float16 cannot hold a number, or hardly any."""
    low, high = float(x.min()), float(x.max())
    if 0 < max(-low, high) < SMALLEST:
        raise ValueError(
            f"tap {tap!r} of sample {keys[0]!r} and those after it holds numbers from {low:.2g} to "
            f"{high:.2g}; features are kept as float16, which rounds what is below {SMALLEST:.1g}: "
            "take another tap of the encoder, or multiply this one in the network"
        )
    if low >= -LARGEST and high <= LARGEST:  # false where one is NaN
        return
    flat = x.reshape(len(x), -1)
    bad = ~(np.abs(flat) <= LARGEST)
    row = int(bad.any(axis=1).argmax())
    value = float(flat[row][bad[row]][0])
    raise ValueError(
        f"tap {tap!r} of sample {keys[row]!r} holds {value:g}; features are kept as float16, from "
        f"−{LARGEST:g} to {LARGEST:g}: look at that sample, or take another tap of the encoder"
    )
