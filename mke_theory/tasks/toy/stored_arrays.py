"""Your own data too large for memory: a folder with a file for each array, read as needed.

The folder holds:

    audio.npy, …      [n, ...] a modality, as in the .npz file; on disk its type stays as it is
    image/            or the features of one, as `tasks.files.features` writes them
    labels.npy        and groups.npy, part.npy and teacher.npy, as in the .npz file
    keys.npy          [n], optional: the names of the samples; those of features have to be the same

The modalities are in the order of their names. What is computed from a folder is what would be
computed from an .npz file of the same numbers, to the last bit.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.file_hashes import content_of, stamp_of
from mke_theory.data.lazy_arrays import SideBySide, Stored
from mke_theory.data.npz_files import DAMAGE, read_npy
from mke_theory.tasks.files.features import Features, open_features
from mke_theory.tasks.files.features.manifest import first_difference
from mke_theory.tasks.files.standardise import column_moments

KEYS = "keys"
"""The array of samples' names; it is no modality."""

_IN_STORES = "[!.]*/*.{}"
_COLUMNS = 1 << 16
_AT_A_TIME = 1 << 25  # bytes, as float64, that are looked at together


_KEPT = (np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int16))
_MUCH = 1 << 26  # bytes as float32


OnDisk = np.memmap | SideBySide


def folder_files(folder: Path) -> list[Path]:
    """All files of a folder of arrays that decide what is in it, in order."""
    patterns = ("*.npy", _IN_STORES.format("npy"), _IN_STORES.format("json"))
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def folder_hash(folder: Path) -> str:
    """16 hexadecimal digits of the names and contents of all arrays.

    Of features the manifest counts, which has the hash of every chunk.
    """
    stores = {path.parent for path in folder.glob(_IN_STORES.format("json"))}
    counted = (p for p in folder_files(folder) if p.suffix == ".json" or p.parent not in stores)
    return content_of(counted, folder)


def folder_arrays(folder: Path, *, whole: Container[str]) -> dict[str, Any]:
    """The arrays of a folder by name: those of `whole` in memory, the others as they lie on disk.

    Raises ValueError where a file is damaged, holds objects or numbers that cannot be mapped, or a
    modality is there twice; as `open_features` where features are not whole; and where the names of
    their samples are not those of keys.npy, or not those of each other.
    """
    arrays: dict[str, Any] = {}
    for path in sorted(folder.glob("*.npy")):
        arrays[path.stem] = loaded(path, mapped=path.stem not in whole and path.stem != KEYS)
    arrays.pop(KEYS, None)
    for name, opened in _opened(folder).items():
        if name in arrays:
            raise ValueError(f"{folder}: has {name}.npy and {name}/; keep one of them")
        parts = list(opened.arrays.values())
        arrays[name] = parts[0] if len(parts) == 1 else SideBySide(parts)
    return {name: arrays[name] for name in sorted(arrays)}


def _opened(folder: Path) -> dict[str, Features]:
    """The features in a folder by modality; ValueError where samples have not the same names."""
    keys, found = read_keys(folder), dict[str, Features]()
    for path in sorted(path for path in folder.glob("[!.]*") if path.is_dir()):
        found[path.name] = opened = open_features(path, keys=keys)
        other, first = next(iter(found.items()))
        if opened.keys != first.keys:
            raise ValueError(
                f"{folder}: {other}/ and {path.name}/ are features of samples with other names, or "
                f"in another order: {first_difference(first.keys, opened.keys)}, but a row has to "
                "be one sample; make them in one order, or save the arrays of one of them, in that "
                f"of the other, as {path.name}.npy"
            )
    return found


def read_keys(path: Path) -> tuple[str, ...] | None:
    """The names of the samples of a folder; None where it has none, or is a file."""
    file = path / f"{KEYS}.npy"
    if not file.is_file():
        return None
    return tuple(str(key) for key in np.ravel(loaded(file, mapped=False)))


def blocks_of(x: np.ndarray | SideBySide, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Some rows of an array after the other (default: all), as parts [m, d] of its own type."""
    d = max(1, int(np.prod(x.shape[1:])))
    size = max(1, _AT_A_TIME // (8 * d))
    for start in range(0, len(x) if rows is None else len(rows), size):
        here = slice(start, start + size)
        yield _flat(np.asarray(x[here if rows is None else rows[here]]))


def standardised(x: OnDisk, fit_on: np.ndarray) -> Stored:
    """The samples of an array, each column scaled by its mean and sd over the rows `fit_on` [n].

    They stay on disk; `standardise.standardiser` would give the same numbers.
    """
    files = tuple(Path(str(part.filename)) for part in _parts(x))
    mean, sd = _moments(files, stamp_of(files), np.packbits(fit_on).tobytes())
    stored = Stored(x, Columns(mean, sd))
    # Their values were looked at when they were opened, and in so few bits none can overflow.
    stored.checked = x.dtype.itemsize <= 2
    return stored


def standardised_in_memory(x: np.ndarray, fit_on: np.ndarray) -> Tensor | Stored:
    """The same of an array in memory, without a second one of its size in float64.

    Floats become a tensor of float32. Whole numbers of one or two bytes, such as pictures, stay as
    they are and are scaled when they are read, if as float32 they would take much.
    """
    rows = np.flatnonzero(fit_on)
    mean, sd = column_moments(lambda: (part.astype(np.float64) for part in blocks_of(x, rows)))
    columns = Columns(mean, sd)
    if x.dtype in _KEPT and 4 * x.size > _MUCH:
        stored = Stored(torch.from_numpy(np.ascontiguousarray(x)), columns)
        stored.checked = True  # in so few bits nothing is infinite or missing
        return stored
    result = torch.empty(len(x), max(1, int(np.prod(x.shape[1:]))))
    first = 0
    for part in blocks_of(x):
        result[first : first + len(part)] = columns(torch.from_numpy(part.astype(np.float64)))
        first += len(part)
    return result


@dataclass(frozen=True, eq=False)
class Columns:
    """(x − mean)/sd for each column of samples [b, ...] as rows [b, d], computed in float64."""

    mean: np.ndarray
    sd: np.ndarray

    def __call__(self, raw: Tensor) -> Tensor:
        raw = raw.flatten(1)
        result = torch.empty(raw.shape)
        mean, sd = torch.from_numpy(self.mean), torch.from_numpy(self.sd)
        for start in range(0, raw.shape[1], _COLUMNS):  # so that what is between stays in the cache
            at = slice(start, start + _COLUMNS)
            result[:, at] = raw[:, at].double().sub_(mean[at]).div_(sd[at])
        return result


@lru_cache(maxsize=16)
def _moments(files: tuple[Path, ...], stamp: str, fit: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The moments of the columns; `stamp` changes with the files, and `fit` has a bit for a row."""
    parts = [loaded(path, mapped=True) for path in files]
    x = parts[0] if len(parts) == 1 else SideBySide(parts)
    rows = np.flatnonzero(np.unpackbits(np.frombuffer(fit, np.uint8), count=len(x)))
    return column_moments(lambda: (block.astype(np.float64) for block in blocks_of(x, rows)))


def loaded(path: Path, *, mapped: bool) -> Any:
    """The array of a file, in memory or mapped; ValueError where it cannot be, with the remedy."""
    if not mapped:
        return read_npy(path, "write it by np.save")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, *DAMAGE) as problem:
        raise ValueError(
            f"{path} cannot be read as .npy without objects ({problem}); write it by np.save"
        ) from None
    if not found.dtype.isnative or found.dtype == np.longdouble:
        raise ValueError(
            f"{path} is {found.dtype.str}, which cannot be mapped; save x.astype(np.float32)"
        )
    return found


def _parts(x: OnDisk) -> tuple[Any, ...]:
    return x.parts if isinstance(x, SideBySide) else (x,)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)
