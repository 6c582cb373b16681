"""Thirteen real data sets cut into modalities, as somebody with arrays of his own would have them.

Each set is a function from the data root to `Views`: arrays by modality, the teacher's first, and
the class of every sample. The teacher's modality is the first by the data's own order (upper, left,
low, first columns), not the one that does best. `npz_tasks.py` splits the views and makes tasks of
them.

Ref: alpaydin1998optical, jackson2018fsdd, lecun1998gradient, livingstone2018ravdess,
silberman2012indoor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from mke_theory.study.task import Task
from mke_theory.tasks.av_digits import AVDigits
from mke_theory.tasks.av_digits.reader import DigitData
from mke_theory.tasks.av_digits.reader import load as load_digit_data
from mke_theory.tasks.av_digits.split import FOLDER as AV_DIGITS
from mke_theory.tasks.nyu_depth import NYUDepth
from mke_theory.tasks.nyu_depth.frames import class_map
from mke_theory.tasks.nyu_depth.reader import Files
from mke_theory.tasks.nyu_depth.reader import load as load_frames
from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.ravdess.speech import BANDS, PARTS
from mke_theory.tasks.ravdess.split import read_split
from mke_theory.tasks.ravdess.tables import FOLDER as RAVDESS
from mke_theory.tasks.ravdess.tables import Clips, read_tables

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Views:
    """Samples before they are split.

    inputs: a modality to [n, ...], the teacher's first. labels: [n] int, 0 to k − 1. groups: [n],
    what must not be on both sides of a split, or None. test: [n] bool, where the data have a test
    part of their own, or None.
    """

    inputs: Mapping[str, Array]
    labels: Array
    groups: Array | None = None
    test: Array | None = None


# Sets that ship inside scikit-learn


def digits_halves(root: Path) -> Views:
    """Images of 8 × 8 pixels: the upper half, and the lower one."""
    images, labels = _images()
    return Views({"upper": images[:, :4], "lower": images[:, 4:]}, labels)


def digits_quarters(root: Path) -> Views:
    """The same images: the upper left quarter, and each of the other three."""
    images, labels = _images()
    rows = {"upper": slice(0, 4), "lower": slice(4, 8)}
    columns = {"left": slice(0, 4), "right": slice(4, 8)}
    quarters = {f"{a}_{b}": images[:, rows[a], columns[b]] for a in rows for b in columns}
    return Views(quarters, labels)


def wine(root: Path) -> Views:
    """Chemical analyses of wines of three growers: the first six columns, and the last seven."""
    x, labels = datasets.load_wine(return_X_y=True)
    return Views({"first_six": x[:, :6], "last_seven": x[:, 6:]}, labels)


def breast_cancer(root: Path) -> Views:
    """Cell nuclei of a biopsy: size and grey values of the nuclei, and the form of their outlines.

    The table's mean, error and worst of one feature are near copies and stay together: the cut runs
    between features 0 to 3 (radius, texture, perimeter, area) and 4 to 9 (smoothness, …).
    """
    x, labels = datasets.load_breast_cancer(return_X_y=True)
    features = x.reshape(len(x), 3, 10)
    return Views({"size": features[:, :, :4], "outline": features[:, :, 4:]}, labels)


def iris(root: Path) -> Views:
    """Length and width of an iris's sepals, and of its petals: the smallest set."""
    x, labels = datasets.load_iris(return_X_y=True)
    return Views({"sepal": x[:, :2], "petal": x[:, 2:]}, labels)


def _images() -> tuple[Array, Array]:
    x, labels = datasets.load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8), labels


# Spoken and written digits


def written_halves(root: Path) -> Views:
    """Images of 28 × 28 pixels, by writer: the left half, and the right one."""
    data = _digit_data(root)
    pairs = data.pairs
    images = data.images[pairs.image]
    halves = {"left": images[:, :, :14], "right": images[:, :, 14:]}
    return Views(halves, pairs.digit, pairs.writer)


def spoken_bands(root: Path) -> Views:
    """Log-mel spectrograms in steps of 64 ms, by speaker: the lower 20 bands, and the upper 20."""
    audio, labels, speakers = _recordings(root)
    coarse = audio.reshape(*audio.shape[:2], -1, 4).mean(axis=3)
    return Views({"low": coarse[:, :20], "high": coarse[:, 20:]}, labels, speakers)


def spoken_statistics(root: Path) -> Views:
    """The same: each band's mean over time, and its standard deviation over time."""
    audio, labels, speakers = _recordings(root)
    return Views({"mean": audio.mean(axis=2), "deviation": audio.std(axis=2)}, labels, speakers)


def spoken_and_written(root: Path) -> Views:
    """Each band's mean over time, and an image of the same digit. Only the digit is in common.

    Pairs were made within the data's own split of speakers and writers, which is therefore kept.
    """
    data = _digit_data(root)
    pairs = data.pairs.rows(data.pairs.rank == 0)
    inputs = {
        "sound": data.audio[pairs.recording, 0].mean(axis=2),
        "picture": data.images[pairs.image],
    }
    return Views(inputs, pairs.digit, pairs.speaker, pairs.split == "test")


def _digit_data(root: Path) -> DigitData:
    return load_digit_data(root / AV_DIGITS)


def _recordings(root: Path) -> tuple[Array, Array, Array]:
    """Spectrograms [n, bands, frames], digits and speakers of all recordings, each once."""
    data = _digit_data(root)
    first = data.pairs.rows(data.pairs.rank == 0)
    return data.audio[first.recording, 0], first.digit, first.speaker


# Emotions of actors


def ravdess_face(root: Path) -> Views:
    """Action units of the face, by actor: brows, eyes and cheeks, and nose and mouth."""
    clips = _clips(root)
    return Views(_regions(clips), _emotions(clips), _actors(clips))


def ravdess_speech(root: Path) -> Views:
    """Statistics of the log-mel bands of the speech, by actor: lower half, and upper one."""
    clips = _clips(root)
    bands = clips.speech.reshape(len(clips.speech), 3 * PARTS, BANDS)
    low, high = bands[:, :, : BANDS // 2], bands[:, :, BANDS // 2 :]
    return Views({"low": low, "high": high}, _emotions(clips), _actors(clips))


def ravdess_regions(root: Path) -> Views:
    """Three modalities: the speech, and the face in two regions."""
    clips = _clips(root)
    return Views({"speech": clips.speech} | _regions(clips), _emotions(clips), _actors(clips))


def _clips(root: Path) -> Clips:
    return read_tables(root / RAVDESS, read_split())


def _emotions(clips: Clips) -> Array:
    return np.array([recording.label for recording in clips.recordings])


def _actors(clips: Clips) -> Array:
    return np.array([recording.actor for recording in clips.recordings])


INTENSITIES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
PRESENCES = (*INTENSITIES[:-1], 28, 45)
"""The numbers of the action units, in the order of the table's columns."""
UPPER_FACE = (1, 2, 4, 5, 6, 7, 45)


def _regions(clips: Clips) -> dict[str, Array]:
    upper = np.isin((*INTENSITIES, *PRESENCES), UPPER_FACE)
    return {"upper_face": clips.face[:, upper], "lower_face": clips.face[:, ~upper]}


# Rooms

CELL = 10
"""Cells of 10 × 10 pixels, of frames at 60 × 80."""
LARGE = ("bed", "floor", "furniture", "objects", "wall", "window")
"""The classes of which at least a thousand cells are pure: nine pixels of ten."""


def nyu_cells(root: Path) -> Views:
    """Pieces of indoor frames, by block of frames: statistics of colour, and of depth.

    The data at hand name no type of scene; the class is that of nine in ten of a cell's pixels. Its
    place in the frame is no part of either modality.
    """
    frames = load_frames(Files(root / "nyudv2", "pictures", (60, 80)))
    classes = class_map(13, otherprop_is_void=True)
    pixels = _cells(classes.of_label[frames.label])
    shares = np.stack(
        [(pixels == classes.names.index(name)).mean(axis=(1, 2)) for name in LARGE], axis=1
    )
    pure = np.flatnonzero(shares.max(axis=1) >= 0.9)
    per_frame = len(pixels) // len(frames)
    colours = [_cells(frames.image[:, channel])[pure].astype(np.float64) for channel in range(3)]
    inputs = {
        "colour": np.concatenate([_statistics(channel) for channel in colours], axis=1),
        "depth": _statistics(_cells(frames.depth)[pure].astype(np.float64)),
    }
    return Views(inputs, shares[pure].argmax(axis=1), frames.group[pure // per_frame])


def _cells(x: Array) -> Array:
    """Pictures [n, h, w] as cells [n · h/10 · w/10, 10, 10], frame by frame."""
    n, height, width = x.shape
    cut = x.reshape(n, height // CELL, CELL, width // CELL, CELL)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, CELL, CELL)


def _statistics(x: Array) -> Array:
    """Of cells [m, 10, 10]: mean, deviation, and mean and mean size of the steps down and across.

    [m, 6]. For depth the means of the steps are the slope of the surface.
    """
    down, across = np.diff(x, axis=1), np.diff(x, axis=2)
    found = [x.mean(axis=(1, 2)), x.std(axis=(1, 2))]
    found += [step.mean(axis=(1, 2)) for step in (down, across)]
    found += [np.abs(step).mean(axis=(1, 2)) for step in (down, across)]
    return np.stack(found, axis=1)


SETS: tuple[tuple[Callable[[Path], Views], str, int, Task | None], ...] = (
    (digits_halves, "digits, upper half → + lower half", 8, None),
    (digits_quarters, "digits, a quarter → + three quarters", 8, None),
    (wine, "wine, six columns → + seven columns", 5, None),
    (breast_cancer, "breast cancer, size → + outline", 10, None),
    (iris, "iris, sepal → + petal", 5, None),
    (written_halves, "written digits, left half → + right half", 10, AVDigits()),
    (spoken_bands, "spoken digits, low bands → + high bands", 15, AVDigits()),
    (spoken_statistics, "spoken digits, means → + deviations", 15, AVDigits()),
    (spoken_and_written, "digits, spoken → + written", 15, AVDigits()),
    (ravdess_face, "RAVDESS, upper face → + lower face", 20, Ravdess()),
    (ravdess_speech, "RAVDESS, low bands → + high bands", 20, Ravdess()),
    (ravdess_regions, "RAVDESS, speech → + face in two regions", 20, Ravdess()),
    (nyu_cells, "NYU Depth V2, cells, colour → + depth", 20, NYUDepth()),
)
"""Function, title, labelled samples a class (as a mean), and the task that knows if the data
are at hand; in the order of the tables."""
