"""The arrays of a file or folder of one's own, read and checked: nonsense is refused."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mke_theory.data.file_hashes import stamp_of
from mke_theory.data.label_checks import marker_without_sign
from mke_theory.data.lazy_arrays import SideBySide
from mke_theory.data.npz_files import read_npz
from mke_theory.data.pool import UNKNOWN, refuse_bad_values, refuse_missing_groups
from mke_theory.tasks.toy.array_answers import TEACHER
from mke_theory.tasks.toy.stored_arrays import blocks_of, folder_arrays, folder_files

RESERVED = ("labels", "groups", "part", TEACHER)
"""Names of arrays that are no modality."""

LARGEST = 1e30
"""Numbers of a modality are at most as large; squares of larger ones have no place in a float."""

NUMBERED = (
    "numbers = np.full(len(labels), -1); "
    "numbers[known] = np.unique(labels[known], return_inverse=True)[1]"
)
"""The way from classes of any kind to numbers, in which unknown stays −1."""


def read_arrays(path: Path) -> dict[str, Any]:
    """The checked content of the file or folder; ValueError names what is wrong and expected.

    Modalities of a folder stay on disk; a process looks through them once, until a file changes.
    """
    if path.is_dir():
        return dict(_read_folder(path, stamp_of(folder_files(path))))
    return _checked(path, read_npz(path, "write it by np.savez"))


def classes_in(labels: np.ndarray, counted: np.ndarray) -> int:
    """The number of classes among the counted rows, which have to be 0, 1, … without a gap.

    Raises ValueError where they are not, where another row has a class beyond them, or where no
    two rows have one class: such labels number the samples.
    """
    found, times = np.unique(labels[counted & (labels != UNKNOWN)], return_counts=True)
    if len(found) == 0:
        raise ValueError("no row has a known class; the teacher needs labelled rows")
    if int(found[-1]) >= len(found):  # without making a list of 2**40 classes
        absent = int(np.flatnonzero(np.arange(len(found)) != found)[0])
        raise ValueError(
            f"no labelled row has class {absent}; number the classes 0, 1, … without a gap: "
            f"with known = labels != {UNKNOWN}, {NUMBERED}. If {found[-1]} stands for unknown, "
            f"make it {UNKNOWN} first"
        )
    if len(found) > 2 and times.max() == 1:
        raise ValueError(
            f"each of the {len(found)} labelled rows has a class of its own; labels are classes, "
            "not numbers of samples"
        )
    classes = max(2, len(found))
    if labels.max() >= classes:
        raise ValueError(
            f"labels has class {labels.max()}, of which D_l has no row; label one, or leave the "
            "rows of that class out"
        )
    return classes


def row_numbers(path: Path, arrays: dict[str, Any]) -> np.ndarray:
    """The number of the first row that is equal in every modality, for each row [n]."""
    if path.is_dir():
        return _numbers_of_folder(path, stamp_of(folder_files(path)))
    return _numbers_of(arrays)


def passed_over(path: Path) -> list[str]:
    """The names of what is in a folder and no array: nothing reads it. Of a file, none."""
    if not path.is_dir():
        return []
    return [
        item.name
        for item in sorted(path.iterdir())
        if item.is_file() and item.suffix != ".npy" and not item.name.startswith(".")
    ]


@lru_cache(maxsize=2)
def _numbers_of_folder(path: Path, stamp: str) -> np.ndarray:
    return _numbers_of(_read_folder(path, stamp))


def _numbers_of(arrays: dict[str, Any]) -> np.ndarray:
    hashes = [
        [
            hashlib.blake2b(row.tobytes(), digest_size=16).digest()  # the same in every process
            for block in blocks_of(x)
            for row in _positive_zeros(block)
        ]
        for name, x in arrays.items()
        if name not in RESERVED
    ]
    first: dict[tuple[bytes, ...], int] = {}
    return np.array([first.setdefault(row, i) for i, row in enumerate(zip(*hashes, strict=True))])


def _positive_zeros(block: np.ndarray) -> np.ndarray:
    return block + block.dtype.type(0) if block.dtype.kind == "f" else block  # −0 is 0


@lru_cache(maxsize=2)
def _read_folder(path: Path, stamp: str) -> dict[str, Any]:
    return _checked(path, folder_arrays(path, whole=RESERVED))


def _checked(path: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays, if they are what is expected of them."""
    _refuse_labels(path, arrays)
    modalities = [name for name in arrays if name not in RESERVED]
    if len(modalities) < 2:
        raise ValueError(f"{path} has modalities {modalities}; a student needs at least two")
    for name in modalities:
        _refuse_modality(name, arrays[name], len(arrays["labels"]))
        _refuse_name(name)
    for name in ("groups", "part", TEACHER):
        if name in arrays:
            _refuse_length(name, arrays[name], len(arrays["labels"]))
            if arrays[name].ndim != 1 and name != TEACHER:
                raise ValueError(f"{name} is {arrays[name].shape}; it has to be [n], as labels")
    if "groups" in arrays:
        refuse_missing_groups(arrays["groups"])
    return arrays


def _refuse_name(name: str) -> None:
    """Raise ValueError where a model could not have an encoder of this name."""
    if not name or "." in name or hasattr(torch.nn.ModuleDict, name) or name == "training":
        raise ValueError(
            f"a modality is called {name!r}, which torch allows no part of a model; rename the "
            "array: letters and _, but no dot, and no word of torch such as float, type or keys"
        )
    near = [known for known in RESERVED if known in (name.lower(), f"{name.lower()}s")]
    if near:
        raise ValueError(
            f"an array is called {name!r}; it would be a modality that students read. If it is "
            f"{near[0]!r}, call it that, else rename it"
        )


def _refuse_labels(path: Path, arrays: dict[str, Any]) -> None:
    if "labels" not in arrays:
        raise ValueError(f"{path} has no array 'labels'; it has {', '.join(arrays) or 'nothing'}")
    labels = arrays["labels"]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels is {labels.dtype} {labels.shape}; it has to be whole numbers [n], and "
            f"{UNKNOWN} where the class is unknown: {_remedy(labels)}"
        )
    if len(labels) == 0:
        raise ValueError("labels has no rows; every part needs at least one")
    marker = marker_without_sign(labels)
    if marker is not None:
        raise ValueError(
            f"labels is {labels.dtype} and has class {marker} in {int((labels == marker).sum())} "
            f"of {len(labels)} rows, which is what {UNKNOWN} (unknown) becomes there: if it is, "
            f"np.where(labels == {marker}, {UNKNOWN}, labels.astype(int)); if it is a class, "
            "labels.astype(int)"
        )
    if labels.min() < UNKNOWN:
        raise ValueError(
            f"labels has {labels.min()}; allowed are 0, 1, … and −1 for unknown: "
            f"np.where(labels < 0, {UNKNOWN}, labels), if that is unknown too"
        )


def _remedy(labels: np.ndarray) -> str:
    """The way from labels of another kind to whole numbers."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "labels[:, 0]"
    if labels.ndim != 1:
        return "one class a row, such as scores.argmax(1)"
    if labels.dtype.kind == "b":
        return "labels.astype(int)"
    if labels.dtype.kind == "f":
        return "np.where(np.isnan(labels), -1, labels).astype(int), if all others are whole"
    return f"with `known` True where it is known, {NUMBERED}"


def _refuse_modality(name: str, x: np.ndarray | SideBySide, n: int) -> None:
    plain = np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating)
    if not (plain or x.dtype == bool):
        raise ValueError(f"modality {name!r} is {x.dtype}; it has to be real numbers")
    if x.ndim < 2 or x[:1].size == 0:
        raise ValueError(
            f"modality {name!r} is {x.shape}; it has to be [n, …] with at least one number a row; "
            "if it is none (a number or name of the sample), leave it out of the file"
        )
    _refuse_length(name, x, n)
    if not np.issubdtype(x.dtype, np.floating):
        return
    first = 0
    for block in blocks_of(x):
        numbers = torch.from_numpy(block.astype(np.float64))
        refuse_bad_values(name, numbers, first)
        if bool((numbers.abs() > LARGEST).any()):
            row = first + int((numbers.abs() > LARGEST).any(dim=1).nonzero()[0])
            raise ValueError(
                f"modality {name!r} has a number beyond ±{LARGEST:g} in sample {row}; is it a sign "
                "for missing (then NaN throughout the row), or in another unit?"
            )
        first += len(block)


def _refuse_length(name: str, x: np.ndarray | SideBySide, n: int) -> None:
    rows = len(x) if x.ndim else 0
    if rows != n:
        raise ValueError(f"{name} has {rows} rows but labels has {n}; give each a row a sample")
