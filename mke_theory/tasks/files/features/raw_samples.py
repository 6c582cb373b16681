"""The samples of one modality as an encoder takes them, handed over by a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.data.lazy_arrays import Raw
from mke_theory.tasks.files.audio import fixed_length
from mke_theory.tasks.files.media import read_sound


@dataclass(frozen=True, eq=False)
class RawSamples:
    """n samples of one modality, read some at a time, and all that says which they are.

    values: [n, ...], read by slices: pictures as uint8 [n, 3, h, w], sounds as float32 [n, samples]
    in [-1, 1]; an array, a memory-mapped one, or `Computed`. keys: the names of the n samples, in
    order, each there once. data_set, data_hash: the data set's name and the hash of its files.
    settings: how the samples were read (size, rate, …); what JSON can hold.

    Raises ValueError where there is not one name a sample.
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

    @property
    def pictures(self) -> bool:
        """True for pictures [n, 3, h, w], False for sounds [n, samples]."""
        return len(self.values.shape) == 4


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


@dataclass(frozen=True)
class Sound:
    """A reader of recordings as waves of one length.

    rate: samples a second. seconds: the length; the middle of longer recordings is taken, shorter
    ones have silence on both sides. level: "peak" divides by the largest |sample|, for recordings
    whose level is that of the microphone; "as recorded" does so only where it exceeds 1.
    """

    rate: int = 16_000
    seconds: float = 1.0
    level: str = "peak"

    def __post_init__(self) -> None:
        if self.rate < 1 or not 0 < self.seconds < np.inf or self.level not in _LEVELS:
            raise ValueError(
                f"rate is {self.rate} (at least 1 Hz), seconds is {self.seconds} (above 0), level "
                f"is {self.level!r} (one of {_LEVELS})"
            )

    def __call__(self, path: Path) -> np.ndarray:
        """The wave of a recording, [seconds · rate] float32 in [−1, 1]; raises as `read_sound`."""
        wave = read_sound(path, rate=self.rate)
        peak = float(np.abs(wave).max())  # not 0: what is silent is refused
        wave = wave / (peak if self.level == "peak" else max(1.0, peak))
        length = max(1, round(self.seconds * self.rate))
        return fixed_length(wave[None], length, fill=0.0)[0].astype(np.float32)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, for a manifest."""
        return asdict(self)


_LEVELS = ("peak", "as recorded")


def sounds(paths: list[Path], reader: Sound) -> Computed:
    """The waves of recordings, each read when it is asked for."""
    return Computed(len(paths), lambda row: reader(paths[row]))


def repeated_grey(pictures: np.ndarray) -> Computed:
    """Grey pictures [n, h, w] as three equal colours [n, 3, h, w]."""
    return Computed(
        len(pictures), lambda row: np.broadcast_to(pictures[row], (3, *pictures.shape[1:]))
    )


def refuse_other_modality(data_set: str, modality: str, known: tuple[str, ...]) -> None:
    """Raise ValueError where a data set hands over no such modality."""
    if modality not in known:
        raise ValueError(f"modality is {modality!r}; {data_set} has {' and '.join(known)}")
