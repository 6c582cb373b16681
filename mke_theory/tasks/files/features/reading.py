"""Features on disk, opened for reading: checked, and mapped into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from mke_theory.tasks.files.cache import quick_hash
from mke_theory.tasks.files.features.manifest import (
    DTYPE,
    KEYS,
    MANIFEST,
    Manifest,
    first_difference,
    hash_of_keys,
    read_keys,
    read_manifest,
)


class Named(Protocol):
    """The part of an encoder that says which one it is."""

    @property
    def name(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Features:
    """The features in a folder: read-only memory maps [n, ...] float16 by tap, in taps' order.

    `keys` names the n samples, in order. A map reads only what is asked for, so that a folder may
    be larger than memory; `lazy_arrays.Stored` takes one as it is.
    """

    folder: Path
    manifest: Manifest
    keys: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def content(self) -> str:
        """16 hexadecimal digits that change with any feature or their origin, for records."""
        return self.manifest.content

    def rows_of(self, keys: Sequence[str]) -> np.ndarray:
        """The rows [m] of the samples with these names; ValueError where one is not there."""
        at = {key: row for row, key in enumerate(self.keys)}
        absent = [key for key in keys if key not in at]
        if absent:
            raise ValueError(
                f"{self.folder}: has no features of {absent[0]!r} ({len(absent)} of {len(keys)} "
                f"samples are not there; it has {len(self.keys)}); make them of all samples"
            )
        return np.array([at[key] for key in keys], dtype=np.int64)


def open_features(
    folder: Path | str,
    *,
    encoder: Named | str | None = None,
    data_set: str | None = None,
    data_hash: str | None = None,
    modality: str | None = None,
    keys: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    whole: bool = False,
) -> Features:
    """The features in `folder`, if they are those of the given origin; None fits any.

    `encoder` is an encoder, whose name and content have to fit, or a name alone. By default damage
    is looked for in the manifest, the names of samples, and the size, the first and the last MiB of
    each array; with `whole` every byte is read and compared with its hash.

    Raises FileNotFoundError where there are no features; ValueError where they are of another
    origin (with each field that differs and both values), are not finished, or are damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    refuse_other_origin(
        folder,
        manifest,
        wanted(encoder, data_set, data_hash, modality, keys, settings),
        keys=keys,
        remedy="name the folder of these, or make them by `mke features`",
    )
    if not manifest.whole:
        raise ValueError(
            f"{folder}: {manifest.done} of {manifest.origin.samples} samples are finished; run the "
            "command that makes the features once more, it goes on where it was stopped"
        )
    refuse_changed_files(folder, manifest)
    opened = Features(
        folder, manifest, read_keys(folder, manifest.origin.keys), maps(folder, manifest)
    )
    if whole:
        refuse_damaged_chunks(opened)
    return opened


def wanted(
    encoder: Named | str | None,
    data_set: str | None,
    data_hash: str | None,
    modality: str | None,
    keys: Sequence[str] | None,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The fields of an origin that are asked for, without those that may be any."""
    named = encoder if isinstance(encoder, str) or encoder is None else encoder.name
    content = None if isinstance(encoder, str) or encoder is None else encoder.content
    asked = {
        "encoder": named,
        "content": content,
        "modality": modality,
        "data_set": data_set,
        "data_hash": data_hash,
        "samples": None if keys is None else len(keys),
        "keys": None if keys is None else hash_of_keys(keys),
        "settings": None if settings is None else dict(settings),
    }
    return {name: value for name, value in asked.items() if value is not None}


def refuse_other_origin(
    folder: Path,
    manifest: Manifest,
    asked: Mapping[str, Any],
    *,
    keys: Sequence[str] | None,
    remedy: str,
) -> None:
    """Raise ValueError, naming each field that differs and both values, where one does."""
    texts = manifest.origin.differences(asked)
    if not texts:
        return
    if keys is not None and "keys" in asked and asked["keys"] != manifest.origin.keys:
        there = read_keys(folder, manifest.origin.keys) if (folder / KEYS).is_file() else ()
        texts.append(first_difference(there, keys))
    raise ValueError(f"{folder}: holds other features: {'; '.join(texts)}; {remedy}")


def refuse_changed_files(folder: Path, manifest: Manifest) -> None:
    """Raise ValueError where a finished array is missing, or its size, beginning or end changed."""
    for tap in manifest.taps.values():
        path = folder / tap.file
        if not path.is_file():
            raise damage(folder, f"{tap.file} is missing")
        if quick_hash(path) != tap.quick:
            raise damage(folder, f"{tap.file} has changed")


def maps(folder: Path, manifest: Manifest) -> Mapping[str, np.ndarray]:
    """The arrays of a folder, mapped into memory and read-only; ValueError where one is odd."""
    found = {}
    for name, tap in manifest.taps.items():
        shape = (manifest.origin.samples, *tap.shape)
        try:
            array = np.load(folder / tap.file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise damage(folder, f"{tap.file} cannot be read: {error}") from None
        if array.shape != shape or array.dtype.str != DTYPE:
            raise damage(
                folder, f"{tap.file} is {array.dtype} {array.shape}, float16 {shape} is listed"
            )
        found[name] = array
    return MappingProxyType(found)


def chunk_hash(arrays: Mapping[str, np.ndarray], start: int, stop: int) -> str:
    """The SHA-256 of the bytes of some samples, tap after tap."""
    digest = sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array[start:stop]).view(np.uint8).data)
    return digest.hexdigest()


def refuse_damaged_chunks(features: Features) -> None:
    """Raise ValueError, naming the samples, where a chunk has not its hash; every byte is read."""
    manifest = features.manifest
    for (start, stop), hash_ in zip(manifest.chunks, manifest.finished, strict=True):
        if chunk_hash(features.arrays, start, stop) != hash_:
            raise damage(
                features.folder,
                f"the features of samples {start} to {stop - 1} ({features.keys[start]!r} to "
                f"{features.keys[stop - 1]!r}) have changed",
            )


def damage(folder: Path, why: str) -> ValueError:
    """The error on damaged features, with the remedy."""
    return ValueError(
        f"{folder}: damaged ({why}, see {MANIFEST}); run the command that makes the features once "
        "more, with --whole, and it makes anew what has changed"
    )
