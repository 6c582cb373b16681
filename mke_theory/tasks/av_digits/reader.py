"""Spoken digits (FSDD) with written ones (MNIST): 3,000 recordings, 10,000 images, 6,980 pairs.

Layout of the folder, `<data root>/av_digits`:

    recordings/<digit>_<speaker>_<take>.wav       Free Spoken Digit Dataset, 8 kHz
    mnist/t10k-images-idx3-ubyte.gz               MNIST test images
    mnist/t10k-labels-idx1-ubyte.gz               and their digits
    mnist/t10k-writers.csv                        who wrote them (from QMNIST)
    pairs.csv                                     which image goes with which recording

`python -m mke_theory.tasks.av_digits prepare --data-root DIR` fetches it all; `check` in place of
`prepare` verifies files that were put there by hand. The recordings and the images are real; their
pairing is by a rule (`split.make_pairs`), a pair shares the digit and nothing else. Speakers and
writers of the training pairs are not those of the test pairs.

Ref: jackson2018fsdd, lecun1998gradient, yadav2019qmnist.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mke_theory.tasks.av_digits.speech import embeddings
from mke_theory.tasks.av_digits.split import (
    LISTED,
    PREPARE,
    Pairs,
    make_pairs,
    parse_name,
    read_pairs,
    read_table,
)
from mke_theory.tasks.files.audio import FrontEnd, read_wav
from mke_theory.tasks.files.cache import collect, key_of, prepared

IMAGES = "mnist/t10k-images-idx3-ubyte.gz"
LABELS = "mnist/t10k-labels-idx1-ubyte.gz"
WRITERS = "mnist/t10k-writers.csv"
PAIRS = "pairs.csv"

FRONT_END = FrontEnd()
"""Bands over 0.77 s; one recording in forty is longer, and its middle is taken."""

Ear = Literal["log-mel", "embedding"]
"""Spectrograms of the recordings, or the embedding of a network trained on speech."""

_VERSION = 1  # raise it when the same files come to give other numbers

_IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}


@dataclass(frozen=True)
class DigitData:
    """Recordings, images and their pairs.

    `audio` is [r, 1, bands, frames] float32 in dB below the loudest cell, or by the pre-trained ear
    [r, 96] float32, one row for each of `names`; `images` is [m, 28, 28] uint8.
    """

    names: tuple[str, ...]
    audio: np.ndarray
    images: np.ndarray
    pairs: Pairs


def load(folder: Path, *, ear: Ear = "log-mel", cache: Path | None = None) -> DigitData:
    """The data in `folder`; the pairs are those of `pairs.csv`, or of the rule where it is missing.

    Raises FileNotFoundError where something is missing, with the remedy, and ValueError where a
    file is damaged or files contradict each other. Whether they are the published ones is for
    `manifest.check`. `cache` is the folder of the kept spectrograms or embeddings.
    """
    refuse_missing(folder)
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
    paths = [folder / "recordings" / name for name in names]
    heard = spectrograms if ear == "log-mel" else embeddings
    audio = heard(paths, cache=cache)
    return DigitData(names, audio, images, pairs)


def spectrograms(paths: Sequence[Path], *, cache: Path | None = None) -> np.ndarray:
    """The spectrograms of all recordings, [n, 1, bands, frames] float32 in [floor, 0].

    They are kept in the cache while names and contents of the recordings are the same (see
    `cache.prepared`). Raises one ValueError that names every unusable recording (the first ten).
    """

    def build() -> dict[str, np.ndarray]:
        found = collect(paths, _spectrogram, skip_bad=False, workers=1, progress="av_digits")
        return {"log_mel": np.stack(found.arrays)[:, None]}

    key = key_of(_VERSION, asdict(FRONT_END), paths)
    return prepared("av_digits", key, build, cache=cache)["log_mel"]


def _spectrogram(path: Path) -> np.ndarray:
    wave = read_wav(path, rate=FRONT_END.rate)
    try:
        return FRONT_END(wave)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


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


def refuse_missing(folder: Path) -> None:
    """Raise FileNotFoundError, with the remedy, where recordings or images are not there."""
    missing = [name for name in ("recordings", IMAGES, LABELS) if not (folder / name).exists()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: lacks {', '.join(missing)}; `{PREPARE} {folder.parent}` fetches the "
            "published files. If you have them, name the folder above av_digits as the data root"
        )
