"""Frames of NYU Depth V2 from the .mat files that its authors publish.

    nyu_depth_v2_labeled.mat   all labelled frames; MATLAB 7.3, which is HDF5
    splits.mat                 trainNdxs and testNdxs, frame numbers from 1
    classMapping40.mat         mapClass [1, 894]: the class, 1 to 40, of each of the 894 labels

The third file is not the authors' own. It belongs to the work that merged the 894 labels to 40
classes (gupta2013perceptual), and is found in the public repository ankurhanda/nyuv2-meta-data. It
is read, never guessed.

MATLAB counts axes from the other end: what is [height, width, 3, n] there is [n, 3, width, height]
when read as HDF5, and is turned here.
Ref: silberman2012indoor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mke_theory.data.optional_imports import library
from mke_theory.tasks.files.advice import advice
from mke_theory.tasks.files.cache import collect
from mke_theory.tasks.files.depth import Array
from mke_theory.tasks.nyu_depth.frames import OTHERPROP, Frames, class_table, small, stacked
from mke_theory.tasks.nyu_depth.matlab5 import Value, read_mat
from mke_theory.tasks.nyu_depth.split import blocks, refuse_other_split

FRAMES_FILE = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"
MAPPING_FILE = "classMapping40.mat"
FILES = (FRAMES_FILE, SPLITS_FILE, MAPPING_FILE)
LABELS = 894

FOLDER = "nyudv2"
"""The folder of the data set under the data root."""

PREPARE = "python -m mke_theory.tasks.nyu_depth prepare --data-root"
"""The command that fetches the files; the folder above `nyudv2` follows it."""

Depth = Literal["in-painted", "measured"]
DEPTHS: dict[Depth, str] = {"in-painted": "depths", "measured": "rawDepths"}
"""The arrays of depth with its holes filled in, and of depth as the sensor gave it."""


def read_matlab(
    folder: Path, size: tuple[int, int], depth: Depth, *, skip_bad: bool = False
) -> Frames:
    """All frames of the .mat files in `folder`, at `size` (height, width).

    Raises FileNotFoundError or ValueError, with the file, where one is missing, damaged, or holds
    something else; with `skip_bad` a frame that cannot be read is left out and listed in `bad`.
    """
    mapping = read_mapping(folder / MAPPING_FILE)
    with opened(folder / FRAMES_FILE) as file:
        count = refuse_other_structure(file)
        part = read_parts(folder / SPLITS_FILE, count)
        number = np.arange(1, count + 1, dtype=np.int64)
        refuse_other_split(str(folder / SPLITS_FILE), number, part)
        scenes = texts(file, "scenes") if "scenes" in file else None
        if scenes is not None and len(scenes) != count:
            raise ValueError(f"{file.filename}: names {len(scenes)} scenes for {count} frames")

        def read(at: int) -> dict[str, Array]:
            return _frame(file, at, size, DEPTHS[depth], mapping)

        found = collect(range(count), read, skip_bad=skip_bad, workers=1, progress="nyu_depth")
    block = np.zeros(count, dtype=np.int64)
    for name in ("train", "test"):
        block[part == name] = blocks(int((part == name).sum()))
    group = np.array(scenes or [f"{p} block {b}" for p, b in zip(part, block, strict=True)])
    kept = np.array(found.kept, dtype=np.int64)
    return stacked(number[kept], part[kept], group[kept], block[kept], found.arrays, found.bad)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The HDF5 file at `path`, open for reading; what HDF5 cannot read inside is a ValueError."""
    h5py = library("h5py", "reading .mat files needs")

    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; `{PREPARE} {path.parent.parent}` fetches it"
        )
    try:
        # It is only read: a lock would fail beside a writer, and on disks that know no locks.
        with path.open("rb"), h5py.File(path, "r", locking=False) as file:
            yield file
    except (FileNotFoundError, PermissionError):  # also of another file that is read meanwhile
        raise
    except (OSError, KeyError, RuntimeError) as error:  # h5py has no error of its own
        raise ValueError(
            f"{path}: cannot be read as a MATLAB 7.3 (HDF5) file ({error}); {advice(error)}"
        ) from error


def refuse_other_structure(file: Any) -> int:
    """The number n of frames, where all arrays are there with fitting shapes and types.

    images [n, 3, w, h] uint8; depths, rawDepths and labels [n, w, h], with w : h = 4 : 3, so that
    a file whose axes were turned is noticed.
    """
    where = file.filename
    for name in ("images", "depths", "rawDepths", "labels"):
        if not hasattr(file.get(name), "shape"):  # absent, or a folder of others
            raise ValueError(f"{where}: has no {name}; it is not the labelled part of the data set")
    shape = file["images"].shape
    if len(shape) != 4 or shape[1] != 3 or 3 * shape[2] != 4 * shape[3]:
        raise ValueError(
            f"{where}: images are {shape}; expected is (n, 3, w, h) with w : h = 4 : 3, as MATLAB "
            "writes it"
        )
    kinds = {"images": np.uint8, "depths": np.floating, "rawDepths": np.floating}
    for name, kind in (kinds | {"labels": np.unsignedinteger}).items():
        wanted = shape if name == "images" else (shape[0], *shape[2:])
        found = file[name]
        if found.shape != wanted or not np.issubdtype(found.dtype, kind):
            raise ValueError(
                f"{where}: {name} is {found.dtype} {found.shape}; expected is {kind.__name__} "
                f"{wanted}; fetch the file again"
            )
    return int(shape[0])


def read_parts(path: Path, count: int) -> NDArray[np.str_]:
    """The part, "train" or "test", of each of `count` frames, from `trainNdxs` and `testNdxs`."""
    content = _loaded(path, ("trainNdxs", "testNdxs"))
    train, test = (_whole(path, content, name, count) for name in ("trainNdxs", "testNdxs"))
    times = np.bincount(np.concatenate([train, test]), minlength=count + 1)[1:]
    wrong = np.flatnonzero(times != 1)
    if len(wrong):
        raise ValueError(
            f"{path}: frame {wrong[0] + 1} is listed {times[wrong[0]]} times in train and test; "
            "once is expected"
        )
    return np.where(np.isin(np.arange(1, count + 1), train), "train", "test")


@dataclass(frozen=True)
class Mapping40:
    """classes: [895] int8, the class 0 to 40 of label 0 (none) to 894; labels: [894] their names.

    `labels` is empty where the file has no names.
    """

    classes: NDArray[np.int8]
    labels: tuple[str, ...]


def read_mapping(path: Path) -> Mapping40:
    """The merging of the 894 labels to 40 classes, from `classMapping40.mat`.

    Raises ValueError where it is none, or names other classes than `class_table` does.
    """
    content = _loaded(path, ("mapClass",), ("className", "allClassName"))
    classes = _whole(path, content, "mapClass", OTHERPROP)
    if len(classes) != LABELS:
        raise ValueError(f"{path}: mapClass has {len(classes)} numbers; expected are {LABELS}")
    ours = class_table()["name40"].to_list()[1:]
    for mine, theirs in zip(ours, content.get("className", ()), strict=False):
        if _letters(mine) != _letters(theirs):
            raise ValueError(f"{path}: calls a class {theirs!r} where {mine!r} is expected")
    labels = tuple(map(str, content.get("allClassName", ())))
    return Mapping40(np.concatenate([[0], classes]).astype(np.int8), labels)


def texts(file: Any, name: str) -> list[str]:
    """The texts of a MATLAB cell array in an HDF5 file."""
    return ["".join(map(chr, file[at][()].ravel().tolist())) for at in file[name][()].ravel()]


def _frame(
    file: Any, at: int, size: tuple[int, int], depths: str, mapping: Mapping40
) -> dict[str, Array]:
    where = f"{file.filename}: frame {at + 1}"
    try:
        image, depth, label = (file[name][at] for name in ("images", depths, "labels"))
    except OSError as error:
        raise ValueError(f"{where}: cannot be read ({error}); {advice(error)}") from error
    if label.max() > LABELS:
        raise ValueError(f"{where}: has label {label.max()}; the map has 0 to {LABELS}")
    turned = np.ascontiguousarray(image.transpose(2, 1, 0))
    return small(turned, depth.T, mapping.classes[label.T], size, where)


def _loaded(path: Path, names: tuple[str, ...], more: tuple[str, ...] = ()) -> dict[str, Value]:
    """The variables called `names`, which have to be there, and `more`, which need not."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; `{PREPARE} {path.parent.parent}` fetches it"
        )
    content = read_mat(path, (*names, *more))
    for name in names:
        if name not in content:
            raise ValueError(f"{path}: has no {name}; remove it and fetch it again")
    return content


def _whole(path: Path, content: dict[str, Value], name: str, most: int) -> NDArray[np.int64]:
    """The numbers called `name`, in one line; ValueError where one is not among 1, 2, …, `most`."""
    values = np.ravel(content[name])
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path}: {name} holds texts; numbers are expected")
    wrong = values[~((values >= 1) & (values <= most) & (values == np.floor(values)))]
    if len(wrong):
        raise ValueError(
            f"{path}: {name} lists {wrong[0]:g}; allowed are whole numbers from 1 to {most}"
        )
    return values.astype(np.int64)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalpha())
