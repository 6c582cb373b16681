"""Train and test frames of NYU Depth V2, and those of train that are labelled.

Frames of one room follow each other and look alike, so the split into labelled and unlabelled
frames goes by blocks of consecutive train frames, or by scenes where their names are known.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mke_theory.data.rng import seed_for

SPLIT: Path = Path(__file__).parent / "manifests" / "nyu_depth_split.json"
"""The authors' split into train and test, and that by fixed blocks, as frame numbers from 1."""

FRAMES = 1449
BLOCK = 15
"""Consecutive train frames in a block."""
EVERY = 8
"""One block in so many is labelled in the split by fixed blocks: 0, 8, 16, …"""

PARTS = ("train", "labelled", "test")
Integers = NDArray[np.int64]


def read_split(path: Path = SPLIT) -> dict[str, Integers]:
    """Frame numbers of "train", "test" and, within train, "labelled", each in order.

    Raises ValueError where the lists are not those whose hashes stand beside them.
    """
    stated = json.loads(path.read_text(encoding="utf-8"))
    found = {part: _numbers(" ".join(stated[part])) for part in PARTS}
    for part, numbers in found.items():
        text = " ".join(map(str, numbers.tolist()))
        if hashlib.sha256(text.encode()).hexdigest() != stated["sha256"][part]:
            raise ValueError(f"{path}: the frames of {part} are not those of the hash beside them")
    return found


def refuse_other_split(where: str, number: Integers, part: NDArray[np.str_]) -> None:
    """Raise ValueError where frames, all or some of the data set, are not split as its authors did.

    number: [n], the frames that there are. part: [n], "train" or "test". ValueError also for a
    number outside the data set.
    """
    outside = number[(number < 1) | (number > FRAMES)]
    if len(outside):
        raise ValueError(
            f"{where}: lists frame {outside[0]}; the data set has frames 1 to {FRAMES}, take the "
            "others out"
        )
    right = np.where(np.isin(number, read_split()["test"]), "test", "train")
    other = np.flatnonzero(part != right)
    if len(other):
        at = other[0]
        raise ValueError(
            f"{where}: {len(other)} frames are not in the part of the authors' split, the first is "
            f"frame {number[at]}, which is {str(right[at])!r} there; correct or fetch the file"
        )


def blocks(count: int, length: int = BLOCK) -> Integers:
    """The block [count] of each of so many frames in order, from 0."""
    return np.arange(count, dtype=np.int64) // length


def fixed(block: Integers) -> NDArray[np.bool_]:
    """True where a frame's block is labelled in the split by fixed blocks."""
    return block % EVERY == 0


def drawn(
    units: NDArray[np.str_], wanted: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks: `wanted` labelled frames in whole units (blocks or scenes), and those left over.

    Units come in an order that belongs to the seed until there are enough frames. Of the last one
    only the first frames may be needed; the others are left over, so that no unit is on both sides.
    """
    names = np.unique(units)
    order = np.random.default_rng(seed_for(seed, "split")).permutation(len(names))
    taken = np.zeros(len(units), dtype=bool)
    labelled = np.zeros(len(units), dtype=bool)
    for name in names[order]:
        rows = np.flatnonzero(units == name)
        labelled[rows[: wanted - int(labelled.sum())]] = True
        taken[rows] = True
        if labelled.sum() == wanted:
            break
    return labelled, taken & ~labelled


def _numbers(runs: str) -> Integers:
    """The whole numbers of "3-5 9": 3, 4, 5 and 9."""
    ends: list[Any] = [[int(end) for end in run.split("-")] for run in runs.split()]
    return np.concatenate([np.arange(run[0], run[-1] + 1) for run in ends])
