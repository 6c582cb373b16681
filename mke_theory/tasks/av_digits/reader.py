"""Spoken digits (FSDD) with written ones (MNIST): 3,000 recordings, 10,000 images, 6,980 pairs.

Layout of the folder, `<data root>/av_digits`:

    recordings/<digit>_<speaker>_<take>.wav       Free Spoken Digit Dataset, 8 kHz
    mnist/t10k-images-idx3-ubyte.gz               MNIST test images
    mnist/t10k-labels-idx1-ubyte.gz               and their digits
    mnist/t10k-writers.csv                        who wrote them (from QMNIST)
    pairs.csv                                     which image goes with which recording

`python -m mke_theory.tasks.av_digits.prepare prepare --data-root DIR` fetches it all; `check` in
place of `prepare` tells whether files put there by hand are the right ones. The recordings and the
images are real; their pairing is by a rule (`make_pairs`), a pair shares the digit and nothing
else. Speakers and writers of the training pairs are not those of the test pairs.

Ref: jackson2018fsdd, lecun1998gradient, yadav2019qmnist.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.av_digits.split import (
    LISTED,
    PREPARE,
    Pairs,
    make_pairs,
    parse_name,
    read_pairs,
    read_table,
)
from mke_theory.tasks.files.audio import FRONT_END, FrontEnd, features

__all__ = [
    "IMAGES",
    "LABELS",
    "MANIFEST",
    "PAIRS",
    "PREPARE",
    "WRITERS",
    "DigitData",
    "Pairs",
    "check",
    "differences",
    "group_of",
    "load",
    "make_pairs",
    "manifest_of",
    "read_idx",
    "read_labels",
    "read_manifest",
    "read_pairs",
    "read_writers",
    "recording_names",
    "shortened",
    "write_manifest",
]

IMAGES = "mnist/t10k-images-idx3-ubyte.gz"
LABELS = "mnist/t10k-labels-idx1-ubyte.gz"
WRITERS = "mnist/t10k-writers.csv"
PAIRS = "pairs.csv"

MANIFEST: Path = Path(__file__).parent / "manifests" / "av_digits.sha256"
"""Count, SHA-256 and name of what the task needs; `manifest_of` says how they are made."""

_IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}


@dataclass(frozen=True)
class DigitData:
    """Recordings, images and their pairs.

    `audio` is [r, 1, bands, frames] float32 in dB below the loudest cell, one row for each of
    `names`; `images` is [m, 28, 28] uint8.
    """

    names: tuple[str, ...]
    audio: np.ndarray
    images: np.ndarray
    pairs: Pairs


def load(folder: Path, *, front_end: FrontEnd = FRONT_END, cache: Path | None = None) -> DigitData:
    """The data in `folder`; the pairs are those of `pairs.csv`, or of the rule where it is missing.

    Raises FileNotFoundError where something is missing, with the remedy, and ValueError where a
    file is damaged or files contradict each other. That they are the published ones is what
    `check` tells. `cache` is where spectrograms are kept (see `audio.features`).
    """
    _refuse_missing(folder)
    names = recording_names(folder)
    labels, images = read_labels(folder), read_idx(folder / IMAGES)
    if images.shape != (len(labels), 28, 28):
        raise ValueError(
            f"{folder / IMAGES}: shape is {images.shape}, expected is {(len(labels), 28, 28)}"
        )
    if (folder / PAIRS).exists():
        pairs = read_pairs(folder / PAIRS, names, labels)
    else:
        pairs = make_pairs(names, labels, read_writers(folder, labels))
    audio = features([folder / "recordings" / name for name in names], front_end, cache=cache)
    return DigitData(names, audio, images, pairs)


def recording_names(folder: Path) -> tuple[str, ...]:
    """The names of all recordings in `folder`, sorted as text."""
    names = sorted(path.name for path in (folder / "recordings").glob("*.wav"))
    odd = [name for name in names if parse_name(name) is None]
    if odd or not names:
        raise ValueError(
            f"{folder / 'recordings'}: needs wav files named <digit>_<speaker>_<take>.wav; "
            + (f"got {odd[:LISTED]}" if odd else f"there is none; `{PREPARE}` fetches them")
        )
    return tuple(names)


def read_idx(path: Path) -> np.ndarray:
    """The array of a gzipped idx file, uint8 or int32, in the shape that its head declares.

    Raises ValueError where the file is damaged, the magic number unknown, or the length not that
    of the declared shape.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; `{PREPARE}` fetches it") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file ({error}); fetch it again") from error
    magic = content[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES or magic[3] == 0:
        raise ValueError(f"{path}: begins with 0x{magic.hex()}, which is no known idx file")
    dtype, head = _IDX_TYPES[magic[2]], 4 + 4 * magic[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, head, 4))
    declared = head + math.prod(shape) * dtype.itemsize
    if len(content) != declared:
        raise ValueError(
            f"{path}: has {len(content)} bytes, shape {shape} needs {declared}; fetch it again"
        )
    values = np.frombuffer(content, dtype, offset=head).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def read_labels(folder: Path) -> np.ndarray:
    """The digits of the images, [m] int64 in 0..9."""
    labels = read_idx(folder / LABELS)
    if labels.ndim != 1 or len(labels) == 0 or labels.min() < 0 or labels.max() > 9:
        raise ValueError(
            f"{folder / LABELS}: needs one digit from 0 to 9 for each image; got shape "
            f"{labels.shape} with values {labels.min(initial=0)} to {labels.max(initial=0)}"
        )
    return labels.astype(np.int64)


def read_writers(folder: Path, labels: np.ndarray) -> np.ndarray:
    """The writer of each image, [m] int64, from the table, whose digits have to be `labels`."""
    path = folder / WRITERS
    table = read_table(path, {"mnist_index": "int64", "digit": "int64", "writer": "int64"})
    if not np.array_equal(table.mnist_index, np.arange(len(labels))):
        raise ValueError(f"{path}: needs one row for each of the {len(labels)} images, in order")
    wrong = np.flatnonzero(table.digit != labels)
    if len(wrong):
        raise ValueError(
            f"{path}: image {wrong[0]} has digit {table.digit[wrong[0]]}, MNIST says "
            f"{labels[wrong[0]]}; fetch it again"
        )
    return table.writer.to_numpy()


def check(folder: Path, manifest: Path = MANIFEST) -> None:
    """Return if `folder` holds exactly the files that the published numbers were made from.

    Raises FileNotFoundError where the folder lacks the main parts and ValueError where it differs,
    naming the files (recordings by digit and speaker). `pairs.csv` may be missing, the rule gives
    it; other recordings may not be there, other files may.
    """
    _refuse_missing(folder)
    found = manifest_of(folder)
    wanted = read_manifest(manifest)
    if PAIRS not in found:
        del wanted[PAIRS]
    wrong = differences(wanted, found)
    if wrong:
        raise ValueError(
            f"{folder} is not the published data: {shortened(wrong)}. Remove these files and run "
            f"`{PREPARE} {folder.parent}`, or put the right ones there"
        )


def manifest_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Number of files and SHA-256, by name, of what the task needs and `folder` has.

    The recordings of one digit and speaker are one entry: the SHA-256 of the lines
    "<SHA-256>  <name>", sorted by name.
    """
    entries = {
        name: (1, sha256_of(folder / name))
        for name in (IMAGES, LABELS, WRITERS, PAIRS)
        if (folder / name).is_file()
    }
    groups: dict[str, list[str]] = {}
    for path in sorted((folder / "recordings").glob("*.wav")):
        groups.setdefault(group_of(path.name), []).append(f"{sha256_of(path)}  {path.name}\n")
    for group, lines in groups.items():
        entries[group] = (len(lines), hashlib.sha256("".join(lines).encode()).hexdigest())
    return entries


def group_of(name: str) -> str:
    """The manifest's name for all takes of one digit by one speaker."""
    return f"recordings/{name.rpartition('_')[0]}_*.wav"


def write_manifest(path: Path, entries: Mapping[str, tuple[int, str]]) -> None:
    """Write `entries` as lines "<count> <SHA-256>  <name>"."""
    lines = [f"{count:>2} {sha256}  {name}\n" for name, (count, sha256) in entries.items()]
    path.write_text("".join(lines), encoding="utf-8")


def read_manifest(path: Path = MANIFEST) -> dict[str, tuple[int, str]]:
    """What `write_manifest` wrote."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: (int(count), sha256) for count, sha256, name in lines}


def differences(
    wanted: Mapping[str, tuple[int, str]], found: Mapping[str, tuple[int, str]]
) -> list[str]:
    """What is missing, too much or other in `found`, one short text for each name."""
    texts = []
    for name in sorted({*wanted, *found}):
        if wanted.get(name) == found.get(name):
            continue
        if name not in wanted:
            texts.append(f"{name} (not part of it)")
        elif name not in found:
            texts.append(f"{name} (missing)")
        elif wanted[name][0] != found[name][0]:
            texts.append(f"{name} ({found[name][0]} files instead of {wanted[name][0]})")
        else:
            texts.append(f"{name} (other content)")
    return texts


def shortened(texts: list[str]) -> str:
    """The first ten texts in one line, and how many more there are."""
    more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return ", ".join(texts[:LISTED]) + more


def _refuse_missing(folder: Path) -> None:
    missing = [name for name in ("recordings", IMAGES, LABELS) if not (folder / name).exists()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: lacks {', '.join(missing)}; `{PREPARE} {folder.parent}` fetches the public "
            "originals. If you have them, name the folder above av_digits as the data root"
        )
