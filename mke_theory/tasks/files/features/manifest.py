"""The description of a folder of features: whose they are, of what, and which are finished.

The folder holds:

    manifest.json       this description, sealed by a hash of all else in it
    keys.json           the names of the samples, in order
    0-<tap>.npy, …      one array [n, ...] of float16 for each tap of the encoder
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from mke_theory.tasks.files.cache import SEAL, seal_of

MANIFEST, KEYS = "manifest.json", "keys.json"
DTYPE = "<f2"
"""The type of features on disk: float16."""

PART = ".part"
"""The ending of a file that is being written."""

_FORMAT = 1  # raise it when the folder is laid out in another way

_WORDS = {
    "encoder": "encoder",
    "content": "content of the encoder",
    "modality": "modality",
    "data_set": "data set",
    "data_hash": "hash of the data set",
    "samples": "number of samples",
    "keys": "order of the samples",
    "shape": "shape of a sample",
    "dtype": "type of a sample",
    "settings": "settings of reading",
}


@dataclass(frozen=True)
class Origin:
    """All that features depend on: two folders of one origin hold the same numbers.

    encoder, content: the encoder's name, and its hash of weights and of what is done to the input.
    modality, data_set, data_hash: the samples' own. samples: n. keys: the hash of their names in
    order. shape, dtype: of one sample as the encoder is handed it. settings: how the samples were
    read, such as the size of a picture or the rate of a sound; what JSON can hold.
    """

    encoder: str
    content: str
    modality: str
    data_set: str
    data_hash: str
    samples: int
    keys: str
    shape: tuple[int, ...]
    dtype: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, wanted: Mapping[str, Any]) -> list[str]:
        """A text for each field that is not as wanted, with both values."""
        return [
            f"{_WORDS[name]}: {_shown(getattr(self, name))} there, {_shown(value)} asked for"
            for name, value in wanted.items()
            if _plain(getattr(self, name)) != _plain(value)
        ]


@dataclass(frozen=True)
class Tap:
    """One array of the folder: `file`, the shape of one sample's features, and a quick hash.

    `quick` is the hash of the file's size, beginning and end, and "" while not all is finished.
    """

    file: str
    shape: tuple[int, ...]
    quick: str = ""


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    `chunk` samples are finished at a time; `finished` has the SHA-256 of each such chunk, over all
    taps in order, and "" for one that is not. `libraries` are the versions that features were made
    with.
    """

    origin: Origin
    taps: Mapping[str, Tap]
    chunk: int
    finished: tuple[str, ...]
    libraries: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """True where every chunk is finished and every file has its hash."""
        return all(self.finished) and all(tap.quick for tap in self.taps.values())

    @property
    def done(self) -> int:
        """The number of finished samples."""
        chunks = zip(self.chunks, self.finished, strict=True)
        return sum(stop - start for (start, stop), has in chunks if has)

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """The first sample of each chunk, and the one after its last."""
        n = self.origin.samples
        return [(start, min(n, start + self.chunk)) for start in range(0, n, self.chunk)]

    @property
    def content(self) -> str:
        """16 hexadecimal digits that change with the origin or any feature, not with versions."""
        taps = {name: list(tap.shape) for name, tap in self.taps.items()}
        return seal_of(
            {"origin": asdict(self.origin), "taps": taps, "chunks": [self.chunk, *self.finished]}
        )[:16]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; the seal is checked.

    Raises FileNotFoundError where there is none, and ValueError where it is damaged, was changed by
    hand, or is of another layout.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{folder}: holds no features, as it has no {MANIFEST}; make them by `mke features`"
        ) from None
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    try:
        if content["format"] != _FORMAT:
            raise ValueError(f"layout {content['format']}, {_FORMAT} is known")
        if content.pop(SEAL) != seal_of(content):
            raise ValueError("it was changed since it was written")
        return _parsed(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, str(error)) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all."""
    content = {"format": _FORMAT, **asdict(manifest)}
    text = json.dumps(content | {SEAL: seal_of(content)}, indent=1, ensure_ascii=False)
    write_whole(folder / MANIFEST, text + "\n")


def hash_of_keys(keys: Sequence[str]) -> str:
    """64 hexadecimal digits of the names of samples in order.

    Raises ValueError where there is none, or one is there twice.
    """
    if not keys:
        raise ValueError("keys is empty; every sample needs a name")
    if len(set(keys)) != len(keys):
        name = next(one for one, other in pairwise(sorted(keys)) if one == other)
        raise ValueError(f"keys has {name!r} twice; every sample needs a name of its own")
    return seal_of({"keys": list(keys)})


def read_keys(folder: Path, wanted: str) -> tuple[str, ...]:
    """The names of the samples in order, which have to have the hash `wanted`."""
    path = folder / KEYS
    try:
        keys = tuple(map(str, json.loads(path.read_text(encoding="utf-8"))))
        found = hash_of_keys(keys)
    except FileNotFoundError:
        raise _damaged(path, "it is missing") from None
    except (ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from None
    if found != wanted:
        raise _damaged(path, f"the names are not those of {MANIFEST}")
    return keys


def write_keys(folder: Path, keys: Sequence[str]) -> None:
    """Write the names of the samples, whole or not at all."""
    write_whole(folder / KEYS, json.dumps(list(keys), indent=0, ensure_ascii=False) + "\n")


def first_difference(found: Sequence[str], wanted: Sequence[str]) -> str:
    """A text on the first place where two orders of samples differ."""
    for at, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return f"the first that differs is sample {at}, {one!r} there and {other!r} asked for"
    return f"there are {len(found)} samples there, {len(wanted)} are asked for"


def write_whole(path: Path, text: str) -> None:
    """Write a text so that the file is there whole, or as it was before."""
    part = path.with_name(path.name + PART)
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _parsed(content: Mapping[str, Any]) -> Manifest:
    origin = {one.name: content["origin"][one.name] for one in fields(Origin)}
    taps = {
        name: Tap(tap["file"], tuple(map(int, tap["shape"])), tap["quick"])
        for name, tap in content["taps"].items()
    }
    manifest = Manifest(
        Origin(**{**origin, "shape": tuple(origin["shape"])}),
        taps,
        int(content["chunk"]),
        tuple(content["finished"]),
        content["libraries"],
    )
    if not taps or manifest.chunk < 1 or len(manifest.chunks) != len(manifest.finished):
        raise ValueError("its chunks are not those of its samples")
    return manifest


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(
        f"{path}: cannot be used ({why}); restore it, or remove {path.parent} to make the features "
        "anew"
    )


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else _plain(value)
