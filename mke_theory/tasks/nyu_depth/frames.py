"""Frames of NYU Depth V2 as compact numbers, whichever files they come from, and their classes.

1,449 frames of a Kinect in 464 rooms, each with colours, depth and the class of nearly every pixel.
Ref: silberman2012indoor (the data), gupta2013perceptual (40 classes), couprie2013indoor (13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mke_theory.data.optional_imports import library
from mke_theory.tasks.files.depth import Array, metres, picked

CLASSES: Path = Path(__file__).parent / "manifests" / "nyu_depth_classes.csv"
"""The 40 classes, 0 for unlabelled, and the 13 that they are merged to."""

OTHERPROP = 40


@dataclass(frozen=True)
class Frames:
    """n frames of h × w pixels, in the order of their numbers, and then those from elsewhere.

    number: [n], from 1; 0 for a frame that is none of the 1,449.
    part: [n], "train", "test", or "extra" for a frame from elsewhere.
    group: [n], the scene, or where its name is unknown the block of consecutive frames.
    block: [n], the block within the part, for the split by fixed blocks.
    image: uint8 [n, 3, h, w]. depth: float16 [n, h, w] in metres, 0 where missing.
    label: int8 [n, h, w], 1 to 40, and 0 where the class is unknown.
    bad: one line for each frame that was left out.
    """

    number: NDArray[np.int64]
    part: NDArray[np.str_]
    group: NDArray[np.str_]
    block: NDArray[np.int64]
    image: NDArray[np.uint8]
    depth: NDArray[np.float16]
    label: NDArray[np.int8]
    bad: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.number)


def stacked(
    number: NDArray[np.int64],
    part: NDArray[np.str_],
    group: NDArray[np.str_],
    block: NDArray[np.int64],
    pictures: Sequence[Mapping[str, Array]],
    bad: tuple[str, ...],
) -> Frames:
    """The frames of these columns and of the `small` pictures that belong to them."""
    image, depth, label = (
        np.stack([one[name] for one in pictures]) for name in ("image", "depth", "label")
    )
    return Frames(number, part, group, block, image, depth, label, np.array(bad, dtype=str))


def joined(first: Frames, second: Frames) -> Frames:
    """The frames of both, first those of `first`."""
    names = [field.name for field in fields(Frames)]
    return Frames(*(np.concatenate([getattr(first, n), getattr(second, n)]) for n in names))


def small(
    image: NDArray[np.uint8],
    depth: NDArray[np.floating],
    label: NDArray[np.integer],
    size: tuple[int, int],
    where: str,
) -> dict[str, Array]:
    """One frame at `size`: colours averaged over areas, depth in metres and labels picked.

    image: [height, width, 3]; depth and label: [height, width], depth in metres. Raises ValueError,
    naming `where`, where shapes differ or are below `size`, a class is unknown, or depth absurd.
    """
    shape = image.shape[:2]
    if depth.shape != shape or label.shape != shape:
        raise ValueError(
            f"{where}: colours are {shape}, depth is {depth.shape} and labels are {label.shape}; "
            "all three need the same height and width"
        )
    if shape[0] < size[0] or shape[1] < size[1]:
        raise ValueError(
            f"{where}: is {shape} (height, width), smaller than size {size}; choose a smaller size"
        )
    if label.min() < 0 or label.max() > OTHERPROP:
        raise ValueError(
            f"{where}: labels run from {label.min()} to {label.max()}; allowed are 0 to {OTHERPROP}"
        )
    return {
        "image": averaged(image, size).transpose(2, 0, 1),
        "depth": metres(picked(depth, size), where),
        "label": picked(label, size).astype(np.int8),
    }


def averaged(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture [height, width, 3] at `size`, each pixel the mean over the area it covers."""
    pictures = library("PIL.Image", "reading pictures needs")
    resized = pictures.fromarray(image).resize((size[1], size[0]), pictures.Resampling.BOX)
    return np.asarray(resized, dtype=np.uint8)


@dataclass(frozen=True)
class ClassMap:
    """names [k], and the class [41] int8 of the labels 0 to 40, −1 where a pixel does not count."""

    names: tuple[str, ...]
    of_label: NDArray[np.int8]


def class_map(classes: int, *, otherprop_is_void: bool) -> ClassMap:
    """The 40 classes in their order, or the 13 that they are merged to (couprie2013indoor).

    With `otherprop_is_void` pixels of class 40 do not count, so that of 40 classes 39 are left.
    """
    table = class_table()
    if classes not in (13, 40):
        raise ValueError(f"classes is {classes}; allowed are 13 and 40")
    merged = table[f"id{classes}"].to_numpy()
    names = dict(zip(merged, table[f"name{classes}"], strict=True))
    if otherprop_is_void:
        merged = np.where(table["id40"] == OTHERPROP, 0, merged)
    kept = sorted(set(merged.tolist()) - {0})
    if kept != list(range(1, len(kept) + 1)):
        raise ValueError(f"{CLASSES}: the {classes} classes are numbered {kept}")
    return ClassMap(tuple(names[number] for number in kept), (merged - 1).astype(np.int8))


@lru_cache(maxsize=1)
def class_table() -> pd.DataFrame:
    """Columns id40, name40, id13, name13; row i is label i, row 0 the unlabelled pixels."""
    return pd.read_csv(CLASSES, encoding="utf-8")
