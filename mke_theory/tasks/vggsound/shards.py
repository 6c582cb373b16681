"""The features of many clips on disk, some hundred to a shard: made, listed, and read back.

A shard is a folder of `cache.prepared`, which names it by a hash of the clips' files and of the
settings. So a finished shard is found again, and one with a new clip, or of other settings, is made
anew. `index.json` lists the shards that belong together, and which versions of the libraries that
decode films they were made with: others may give slightly other numbers, but make nothing anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.files.cache import SEAL, collect, key_of, libraries_of, prepared, seal_of
from mke_theory.tasks.vggsound.clips import Reading, read_clip
from mke_theory.tasks.vggsound.lists import Clip, parse_name

PREPARE = "python -m mke_theory.tasks.vggsound prepare --data-root"
PREPARED = "vggsound_prepared"

CLIPS_PER_SHARD = 256
INDEX = "index.json"

Set = Literal["audioset", "vggsound"]
SETS: tuple[Set, ...] = get_args(Set)

_VERSION = 2  # raise it when the same clips and settings come to give other numbers
_SHARD = re.compile(r"(?:audioset|vggsound)-[0-9a-f]{16}(?:\.[0-9a-f]{8}\.part)?")


class Shards:
    """Arrays [n_i, ...] one after the other, read as one array [n, ...] by rows, without copying.

    It stands where `Stored` takes an array.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = [part for part in parts if len(part)]
        if not self.parts:
            raise ValueError("there is no sample in any shard")
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.shape = (int(self.ends[-1]), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The samples [m, ...] at rows [m], in that order."""
        shard = np.searchsorted(self.ends, rows, side="right")
        result = np.empty((len(rows), *self.shape[1:]), self.parts[0].dtype)
        for number in np.unique(shard):
            here = shard == number
            first = self.ends[number] - len(self.parts[number])
            result[here] = self.parts[number][rows[here] - first]
        return result


@dataclass(frozen=True)
class Shelf:
    """The prepared clips of one set, in order, and their numbers.

    audio: [n, 1, bands, frames] float16 and video: [n, pictures, 3, side, side] uint8, in shards;
    AudioSet has no video. moments: by modality the mean and the mean square of each channel of each
    clip, [n, channels, 2] float64, so that any part of the clips can be standardised by.
    """

    clips: tuple[Clip, ...]
    arrays: Mapping[str, tuple[np.ndarray, ...]]
    moments: Mapping[str, np.ndarray]
    bad: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """Both sets as they were prepared, with one reading."""

    reading: Reading
    audioset: Shelf
    vggsound: Shelf

    @property
    def bad(self) -> tuple[str, ...]:
        """A line for each clip whose file could not be read."""
        return self.audioset.bad + self.vggsound.bad


@dataclass(frozen=True)
class Made:
    """The shards of one set: the key of each, the clips in them, and what could not be read."""

    keys: tuple[str, ...]
    clips: int
    bad: tuple[str, ...]


def make_shards(
    which: Set,
    wanted: Sequence[Clip],
    files: Mapping[Clip, Path],
    reading: Reading,
    folder: Path,
    *,
    workers: int = 1,
    size: int = CLIPS_PER_SHARD,
) -> Made:
    """The shards of all wanted clips that have a file, made where they are not there already.

    Wanted clip i is in shard i // size whichever clips have files, so that a clip that is added
    later changes one shard. Bad files are noted, and left out of the shard.
    """
    keys, bad, count = [], [], 0
    groups = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    for number, group in enumerate(groups):
        here = [clip for clip in group if clip in files]
        if not here:
            continue
        paths = [files[clip] for clip in here]
        key = key_of(_VERSION, {"set": which, "reading": asdict(reading)}, paths)
        build = partial(
            _shard,
            here,
            paths,
            partial(_attempt, reading=reading, pictures=which == "vggsound"),
            workers=workers,
            progress=f"{which} {number + 1}/{len(groups)}",
        )
        shard = prepared(which, key, build, cache=folder)
        if not any(isinstance(array, np.memmap) for array in shard.values()):
            raise OSError(f"{folder}: shards cannot be written there; make room, or name another")
        keys.append(key)
        bad += shard["bad"].tolist()
        count += len(shard["clip"])
    return Made(tuple(keys), count, tuple(bad))


def write_index(folder: Path, reading: Reading, made: Mapping[Set, Made]) -> None:
    """`folder` lists these shards, and holds no others."""
    kept = {_open(folder, which, key)[1] for which in SETS for key in made[which].keys}
    libraries = [libraries_of(shard) for shard in sorted(kept)]
    index = {
        "version": _VERSION,
        "reading": asdict(reading),
        "libraries": [one for at, one in enumerate(libraries) if one not in libraries[:at]],
        "shards": {which: list(made[which].keys) for which in SETS},
    }
    new = folder / f"{INDEX}.part"
    new.write_text(json.dumps(index | {SEAL: seal_of(index)}, indent=1) + "\n", encoding="utf-8")
    os.replace(new, folder / INDEX)
    for path in folder.iterdir():
        if _SHARD.fullmatch(path.name) and path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def read_shards(folder: Path) -> Prepared:
    """The clips that the index of `folder` lists, memory-mapped.

    Raises FileNotFoundError where there is no index, and ValueError where it was changed or is of
    another version, or a shard is missing or damaged. A shard that is not listed, as of a
    preparation that was not finished, is left out with a RuntimeWarning.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["version"] != _VERSION:
            raise ValueError(f"has version {index['version']}, {_VERSION} is wanted")
        if index.pop(SEAL) != seal_of(index):
            raise ValueError("was changed after it was written")
        reading = Reading(**index["reading"])
        keys = {which: list(map(str, index["shards"][which])) for which in SETS}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; prepare the clips first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not usable ({error!r}); prepare the clips again") from error
    opened = {which: [_open(folder, which, key) for key in keys[which]] for which in SETS}
    _warn_of_others(folder, {place for shards in opened.values() for _, place in shards})
    shelves = {which: _shelf(which, [shard for shard, _ in opened[which]]) for which in SETS}
    return Prepared(reading, shelves["audioset"], shelves["vggsound"])


def index_hash(folder: Path) -> str:
    """A hash that changes with the clips in the shards, the settings, or any of the numbers."""
    return sha256_of(folder / INDEX)


def _shard(
    clips: Sequence[Clip],
    paths: Sequence[Path],
    read: Callable[[Path], dict[str, np.ndarray] | str],
    *,
    workers: int,
    progress: str,
) -> dict[str, np.ndarray]:
    """The arrays of a shard; the messages of bad files are one of them, so that they last."""
    made = collect(paths, read, skip_bad=False, workers=workers, progress=progress).arrays
    kept = [index for index, one in enumerate(made) if not isinstance(one, str)]
    arrays: dict[str, np.ndarray] = {
        "clip": np.array([str(clips[index]) for index in kept], dtype="U18"),
        "bad": np.array([one for one in made if isinstance(one, str)], dtype=np.str_),
    }
    features = [one for one in made if not isinstance(one, str)]
    for name in features[0] if features else ():
        found = [one[name] for one in features]
        arrays[name] = np.stack(found)
        channels = 0 if name == "audio" else 1
        arrays[f"{name}_moments"] = np.array([_moments(one, channels) for one in found])
    return arrays


def _attempt(path: Path, *, reading: Reading, pictures: bool) -> dict[str, np.ndarray] | str:
    """A clip's arrays, or what is wrong with its file."""
    try:
        features = read_clip(path, reading, pictures=pictures)
    except (ValueError, OSError) as error:
        return str(error)
    video = {} if features.video is None else {"video": features.video}
    return {"audio": features.audio, **video}


def _moments(x: np.ndarray, channels: int) -> np.ndarray:
    """The mean and the mean square of each channel, [channels, 2]."""
    flat = np.moveaxis(x, channels, 0).reshape(x.shape[channels], -1).astype(np.float64)
    return np.stack([flat.mean(axis=1), (flat**2).mean(axis=1)], axis=1)


def _open(folder: Path, which: Set, key: str) -> tuple[dict[str, np.ndarray], Path]:
    """A shard that has to be there, and its folder."""

    def absent() -> dict[str, np.ndarray]:
        raise ValueError(
            f"{folder}: a shard of {which} that {INDEX} lists is missing or damaged; prepare the "
            "clips again"
        )

    arrays = prepared(which, key, absent, cache=folder)
    mapped = next(array for array in arrays.values() if isinstance(array, np.memmap))
    # A mapped file has an absolute name, without links, and `folder` need not.
    return arrays, folder / Path(str(mapped.filename)).parent.name


def _warn_of_others(folder: Path, listed: Collection[Path]) -> None:
    others = [
        path.name
        for path in sorted(folder.iterdir())
        if _SHARD.fullmatch(path.name) and not path.name.endswith(".part") and path not in listed
    ]
    if others:
        warnings.warn(
            f"{folder}: {len(others)} shards are left out, because {INDEX} does not list them (the "
            f"first is {others[0]}); prepare the clips again to have them all",
            RuntimeWarning,
            stacklevel=3,
        )


def _shelf(which: Set, shards: Sequence[Mapping[str, np.ndarray]]) -> Shelf:
    filled = [shard for shard in shards if len(shard["clip"])]
    names = ("audio", "video") if which == "vggsound" else ("audio",)

    def of(column: str) -> tuple[np.ndarray, ...]:
        return tuple(shard[column] for shard in filled)

    clips = [parse_name(str(name)) for shard in filled for name in shard["clip"]]
    return Shelf(
        tuple(clip for clip in clips if clip is not None),
        {name: of(name) for name in names},
        {name: np.concatenate([*of(f"{name}_moments"), _NO_MOMENTS[name]]) for name in names},
        tuple(str(line) for shard in shards for line in shard["bad"]),
    )


_NO_MOMENTS: dict[str, Any] = {"audio": np.zeros((0, 1, 2)), "video": np.zeros((0, 3, 2))}
