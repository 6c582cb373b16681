"""The prepared clips of AudioSet and VGGSound as pools of scaled samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mke_theory.data.lazy_arrays import Normalise, Stored
from mke_theory.data.pool import Pool
from mke_theory.tasks.vggsound.lists import Clip
from mke_theory.tasks.vggsound.shards import Prepared, Shards
from mke_theory.tasks.vggsound.split import Wanted

Input = tuple[Any, Any, int]
"""The numbers of all clips in one modality, how they are scaled, and the row of the first."""


def row_of(prepared: Prepared) -> dict[tuple[str, Clip], int]:
    """The row of each clip: those of AudioSet first, then those of VGGSound."""
    named = [("audioset", clip) for clip in prepared.audioset.clips]
    named += [("vggsound", clip) for clip in prepared.vggsound.clips]
    return {name: row for row, name in enumerate(named)}


def present(
    wanted: Wanted, which: str, place: Mapping[tuple[str, Clip], int]
) -> tuple[Wanted, np.ndarray]:
    """The clips at hand, and their rows."""
    rows = np.array([place.get((which, clip), -1) for clip in wanted.clips], dtype=np.int64)
    return wanted.rows(np.flatnonzero(rows >= 0)), rows[rows >= 0]


def inputs_of(prepared: Prepared, training: np.ndarray) -> dict[str, Input]:
    """By modality the numbers of all clips, how they are scaled, and the row of the first.

    The scale is that of the training rows alone.
    """
    first = len(prepared.audioset.clips)
    heard = np.concatenate([prepared.audioset.moments["audio"], prepared.vggsound.moments["audio"]])
    seen = prepared.vggsound.moments["video"][training[training >= first] - first]
    audio = (*prepared.audioset.arrays["audio"], *prepared.vggsound.arrays["audio"])
    return {
        "audio": (Shards(audio), _scale(heard[training]), 0),
        "video": (Shards(prepared.vggsound.arrays["video"]), _scale(seen, axis=2), first),
    }


def _scale(moments: np.ndarray, axis: int = 1) -> Normalise:
    """Mean and standard deviation of each channel from those of the clips, [n, channels, 2]."""
    mean, square = moments.mean(axis=0).T
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    return Normalise(tuple(mean.tolist()), tuple(np.where(sd > 0, sd, 1.0).tolist()), axis)


def pool_of(
    inputs: Mapping[str, Input],
    wanted: Wanted,
    rows: np.ndarray,
    *,
    modalities: tuple[str, ...],
) -> Pool:
    """The samples at these rows, in groups by film."""
    stored = {}
    for name in modalities:
        values, decode, first = inputs[name]
        stored[name] = Stored(values, decode, torch.from_numpy(rows - first))
    films = np.array([clip.ytid for clip in wanted.clips])
    return Pool(stored, torch.from_numpy(wanted.truth.astype(np.float32)), films)
