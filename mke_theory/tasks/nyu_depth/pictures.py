"""Frames of NYU Depth V2 from picture files: all labelled ones in a folder, and others without.

The folder of the labelled frames, `<data root>/nyudv2`, is laid out like this (NNNN is the frame's
number in the data set, from 0001):

    index.csv            frame, split ("train" or "test"), mke_split ("labelled", "unlabelled", …)
    rgb/NNNN.jpg         colours
    depth/NNNN.png       8 bit: metres = (value + 0.5) / 25.5, missing depth filled in
    label40/NNNN.png     8 bit: 1 to 40, and 0 for unlabelled

In the train frames of the copy these files come from, unlabelled pixels and those of class 40
("otherprop") carry one number and cannot be told apart.

A folder of frames without labels has `rgb/NAME.jpg` or `.png` and `depth/NAME.png`, whole frames of
a Kinect, depth 16 bit in millimetres (0 where missing) or coded as above. Files in `rgb/SCENE/`
have their depth in `depth/SCENE/`, and SCENE is their scene.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mke_theory.tasks.files.cache import collect
from mke_theory.tasks.files.depth import Array, decoded
from mke_theory.tasks.files.pictures import read_picture
from mke_theory.tasks.nyu_depth.frames import Frames, small, stacked
from mke_theory.tasks.nyu_depth.split import blocks, fixed, refuse_other_split

INDEX = "index.csv"
COLUMNS = ("frame", "split", "mke_split")
ENDINGS = (".jpg", ".jpeg", ".png")

Coding = Literal["millimetres", "8 bit"]


def read_pictures(folder: Path, size: tuple[int, int], *, skip_bad: bool = False) -> Frames:
    """The frames that the folder's index lists, at `size` (height, width).

    Raises FileNotFoundError or ValueError, with the file, where one is missing, damaged, of another
    kind or contradicts the others; with `skip_bad` such a frame is left out and listed in `bad`.
    """
    index = read_index(folder)
    number, part = index["frame"].to_numpy(), index["split"].to_numpy(dtype=str)
    block = np.zeros(len(number), dtype=np.int64)
    for name in ("train", "test"):
        block[part == name] = blocks(int((part == name).sum()))
    _refuse_other_blocks(folder, index, part, block)
    refuse_other_split(str(folder / INDEX), number, part)

    def read(frame: int) -> dict[str, Array]:
        return _labelled(folder, frame, size)

    found = collect(number.tolist(), read, skip_bad=skip_bad, workers=1, progress="nyu_depth")
    kept = np.array(found.kept, dtype=np.int64)
    group = np.array([f"{p} block {b}" for p, b in zip(part, block, strict=True)])
    return stacked(number[kept], part[kept], group[kept], block[kept], found.arrays, found.bad)


def read_index(folder: Path) -> pd.DataFrame:
    """Columns frame, split and mke_split of `index.csv`, in the order of the frames."""
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; it lists the frames and their parts")
    try:
        types = {"frame": "int64", "split": "str", "mke_split": "str"}
        table = pd.read_csv(path, usecols=list(COLUMNS), dtype=types, encoding="utf-8")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: not a table of {', '.join(COLUMNS)}: {error}") from error
    if table.empty or table.isna().any(axis=None):
        raise ValueError(f"{path}: has no rows, or empty cells")
    for wrong, why in (
        (~table["split"].isin(["train", "test"]), "split has to be train or test"),
        (table["frame"].duplicated(), "that frame is listed before"),
        (table["frame"] < 1, "frames count from 1"),
    ):
        if wrong.any():
            line = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"{path}: line {line + 2}, frame {table['frame'][line]}: {why}")
    return table.sort_values("frame", ignore_index=True)


def read_extra(
    folder: Path, size: tuple[int, int], coding: Coding, *, skip_bad: bool = False
) -> Frames:
    """The unlabelled frames of a folder, at `size`, in the order of their names.

    Raises as `read_pictures` does, and FileNotFoundError where there is no picture in `rgb`.
    """
    pictures = sorted(
        path for path in (folder / "rgb").rglob("*") if path.suffix.lower() in ENDINGS
    )
    if not pictures:
        raise FileNotFoundError(f"{folder / 'rgb'}: holds no {', '.join(ENDINGS)} file")
    # Names may hold dots of their own, so that only the known ending is cut off.
    inside = [path.relative_to(folder / "rgb") for path in pictures]
    names = [path.parent / path.name.removesuffix(path.suffix) for path in inside]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{folder / 'rgb'}: {name} is there with {count} endings; keep one")

    def read(at: int) -> dict[str, Array]:
        return _unlabelled(folder, pictures[at], names[at], size, coding)

    at = list(range(len(names)))
    found = collect(at, read, skip_bad=skip_bad, workers=1, progress="extra frames")
    kept = np.array(found.kept, dtype=np.int64)
    scenes = [name.parent.as_posix() for name in names]
    group = np.array(["extra" if scene == "." else scene for scene in scenes])[kept]
    nothing = np.zeros(len(kept), dtype=np.int64)
    part = np.full(len(kept), "extra")
    return stacked(nothing, part, group, nothing, found.arrays, found.bad)


def picture_files(folder: Path) -> list[Path]:
    """The files that `read_pictures` reads, in order."""
    index = read_index(folder)
    kinds = (("rgb", "jpg"), ("depth", "png"), ("label40", "png"))
    names = [f"{kind}/{frame:04d}.{end}" for kind, end in kinds for frame in index["frame"]]
    return [folder / INDEX, *(folder / name for name in names)]


def _labelled(folder: Path, frame: int, size: tuple[int, int]) -> dict[str, Array]:
    image = read_picture(folder / "rgb" / f"{frame:04d}.jpg", mode="RGB")
    depth = folder / "depth" / f"{frame:04d}.png"
    label = folder / "label40" / f"{frame:04d}.png"
    measured = decoded(read_picture(depth, mode="L"))
    labels = read_picture(label, mode="L")
    return small(image, measured, labels, size, f"{folder}: frame {frame:04d}")


def _unlabelled(
    folder: Path, picture: Path, name: Path, size: tuple[int, int], coding: Coding
) -> dict[str, Array]:
    image = read_picture(picture, mode="RGB")
    path = folder / "depth" / name.parent / f"{name.name}.png"
    if coding == "8 bit":
        depth = decoded(read_picture(path, mode="L"))
    else:
        depth = read_picture(path, mode="I;16").astype(np.float32) / np.float32(1000)
    height, width = image.shape[:2]
    if 3 * width != 4 * height:
        raise ValueError(f"{picture}: is {width} by {height}; whole Kinect frames are 4 by 3")
    return small(image, depth, np.zeros(depth.shape, dtype=np.int8), size, str(picture))


def _refuse_other_blocks(
    folder: Path, index: pd.DataFrame, part: np.ndarray, block: np.ndarray
) -> None:
    """Raise ValueError where `mke_split` is not the split by fixed blocks."""
    by_rule = np.where(part == "test", "test", np.where(fixed(block), "labelled", "unlabelled"))
    wrong = np.flatnonzero(index["mke_split"].to_numpy(dtype=str) != by_rule)
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(
            f"{folder / INDEX}: frame {index['frame'][at]} is {index['mke_split'][at]!r} but by "
            f"the rule of the fixed blocks (see split.py) it is {str(by_rule[at])!r}"
        )
