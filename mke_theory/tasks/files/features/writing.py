"""Features written chunk by chunk: killed at any moment, the next call goes on from there.

A chunk of samples is written to the arrays first, and then its hash to the manifest, which is
replaced as a whole. So a chunk that the manifest lists is all there, or its hash does not fit and
it is computed anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mke_theory.data.lazy_arrays import Raw
from mke_theory.data.optional_imports import versions_of
from mke_theory.tasks.files.cache import quick_hash
from mke_theory.tasks.files.features.computing import Encoder, Job
from mke_theory.tasks.files.features.disk import exclusive, file_name, put_rows, room_for
from mke_theory.tasks.files.features.manifest import (
    KEYS,
    MANIFEST,
    PART,
    Manifest,
    Origin,
    Tap,
    read_keys,
    read_manifest,
    write_keys,
    write_manifest,
)
from mke_theory.tasks.files.features.reading import (
    Features,
    chunk_hash,
    maps,
    open_features,
    refuse_changed_files,
    refuse_other_origin,
)

_LIBRARIES = ("PIL", "av", "h5py", "numpy", "onnxruntime", "soundfile", "torch", "transformers")


def write_features(
    folder: Path | str,
    encoder: Encoder,
    samples: Raw,
    *,
    data_set: str,
    data_hash: str,
    modality: str,
    keys: Sequence[str],
    settings: Mapping[str, Any] | None = None,
    batch: int = 8,
    chunk: int = 64,
    whole: bool = False,
    progress: bool = True,
) -> Features:
    """The features of all samples, computed as far as they are not in `folder` already.

    `samples` [n, ...] are read by slices, `batch` at a time; `keys` are their n names, in order.
    `settings` say how they were read (see `Origin`). `chunk` samples are finished at a time, and
    are lost no more; a folder that was begun keeps its own. Room for all of them is taken on the
    disk before the second is computed. Chunks of a folder that was stopped are trusted only if
    their hash fits; in one that was finished, only beginnings and ends of the arrays are looked at,
    and every byte with `whole`.

    Raises ValueError where the folder holds features of another origin, or other files; where the
    encoder gives other taps or shapes than before, or a number that is NaN or beyond ±65504, with
    the sample's key; BlockingIOError where another process writes to the folder; OSError where it
    cannot be written or the disk is full. What was finished stays, and the next call goes on.
    """
    folder = Path(folder)
    if min(batch, chunk) < 1:
        raise ValueError(f"batch is {batch} and chunk is {chunk}; both have to be at least 1")
    job = Job(folder, encoder, samples, tuple(keys), batch)
    origin = job.origin(data_set, data_hash, modality, settings or {})
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder):
        if (folder / MANIFEST).exists():
            manifest = _resumed(job, origin, whole=whole)
        else:
            manifest = _begun(job, origin, chunk)
        if not manifest.whole:
            _complete(job, manifest, progress=progress)
    return open_features(folder, encoder=encoder, data_hash=data_hash, keys=keys)


def _begun(job: Job, origin: Origin, chunk: int) -> Manifest:
    """The manifest of a folder in which nothing is finished."""
    left = sorted(path.name for path in job.folder.iterdir() if path.name != KEYS)
    strange = [name for name in left if not name.endswith(PART)]
    if strange:
        raise ValueError(
            f"{job.folder}: holds {strange[0]} and no {MANIFEST}; name a folder that is empty or "
            "not there yet"
        )
    first = job.computed(0, 1)
    taps = {
        name: Tap(file_name(number, name), tuple(x.shape[1:]))
        for number, (name, x) in enumerate(first.items())
    }
    chunks = -(-origin.samples // chunk)
    manifest = Manifest(origin, taps, chunk, ("",) * chunks, versions_of(*_LIBRARIES))
    with _explained(job.folder):
        write_keys(job.folder, job.keys)
        write_manifest(job.folder, manifest)
    return manifest


def _resumed(job: Job, origin: Origin, *, whole: bool) -> Manifest:
    """The manifest of a folder that was begun, without the chunks that are damaged."""
    manifest = read_manifest(job.folder)
    refuse_other_origin(
        job.folder,
        manifest,
        asdict(origin),
        keys=job.keys,
        remedy="write to another folder, or remove this one to make its features anew",
    )
    if tuple(manifest.taps) != tuple(job.encoder.taps):
        raise ValueError(
            f"{job.folder}: holds other features: taps: {tuple(manifest.taps)} there, "
            f"{tuple(job.encoder.taps)} asked for; write to another folder, or remove this one "
            "to make its features anew"
        )
    if manifest.whole and not whole and _looks_sound(job.folder, manifest):
        return manifest
    with _explained(job.folder):
        write_keys(job.folder, job.keys)  # in case they were lost: their hash is the manifest's
        room_for(job.folder, manifest)
    arrays = maps(job.folder, manifest)
    kept = tuple(
        known if known and chunk_hash(arrays, start, stop) == known else ""
        for (start, stop), known in zip(manifest.chunks, manifest.finished, strict=True)
    )
    taps = {name: replace(tap, quick="") for name, tap in manifest.taps.items()}
    return replace(manifest, taps=taps, finished=kept, libraries=_libraries(manifest, kept))


def _complete(job: Job, manifest: Manifest, *, progress: bool) -> None:
    """Compute and write every chunk that is not finished, and then the hashes of the arrays."""
    with _explained(job.folder):
        room_for(job.folder, manifest)
    n, title = manifest.origin.samples, f"{job.encoder.name}, {manifest.origin.data_set}"
    chunks = manifest.chunks
    todo = [number for number, known in enumerate(manifest.finished) if not known]
    with tqdm(
        total=n, initial=manifest.done, desc=title, unit="sample", disable=not progress
    ) as bar:
        for number in todo:
            start, stop = chunks[number]
            found = _chunk(job, manifest, start, stop, bar)
            done = list(manifest.finished)
            done[number] = chunk_hash(found, 0, stop - start)
            manifest = replace(manifest, finished=tuple(done))
            with _explained(job.folder):
                put_rows(job.folder, manifest, found, start)
                write_manifest(job.folder, manifest)
    taps = {
        name: replace(tap, quick=quick_hash(job.folder / tap.file))
        for name, tap in manifest.taps.items()
    }
    with _explained(job.folder):
        write_manifest(job.folder, replace(manifest, taps=taps))


def _chunk(
    job: Job, manifest: Manifest, start: int, stop: int, bar: tqdm[Any]
) -> dict[str, np.ndarray]:
    """The features of one chunk by tap, in float16."""
    found = {
        name: np.empty((stop - start, *tap.shape), np.float16)
        for name, tap in manifest.taps.items()
    }
    for first in range(start, stop, job.batch):
        last = min(stop, first + job.batch)
        for name, x in job.computed(first, last).items():
            if x.shape[1:] != manifest.taps[name].shape:
                raise ValueError(
                    f"tap {name!r} of sample {job.keys[first]!r} is {x.shape[1:]}, others are "
                    f"{manifest.taps[name].shape}; all samples need features of one shape"
                )
            found[name][first - start : last - start] = x
        bar.update(last - first)
    return found


def _looks_sound(folder: Path, manifest: Manifest) -> bool:
    try:
        refuse_changed_files(folder, manifest)
        read_keys(folder, manifest.origin.keys)
    except ValueError:
        return False
    return True


def _libraries(manifest: Manifest, kept: Sequence[str]) -> dict[str, str]:
    """The versions of the libraries so far and now; a RuntimeWarning where both will be there."""
    before, now = manifest.libraries, versions_of(*_LIBRARIES)
    if not any(kept):
        return now
    both = {}
    for name, found in now.items():
        was = before.get(name, found)
        both[name] = was if was.split(", ")[-1] == found else f"{was}, {found}"
    changed = [f"{name} {both[name]}" for name in both if both[name] != before.get(name)]
    if changed and not all(kept):
        warnings.warn(
            f"some of these features are made with other libraries than the rest "
            f"({'; '.join(changed)}); remove the folder to make all of them with one",
            RuntimeWarning,
            stacklevel=4,
        )
    return both


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Give errors of the disk the folder, the part that is finished, and the remedy."""
    try:
        yield
    except OSError as error:
        done = _finished(folder)
        raise type(error)(
            f"{folder}: cannot be written ({error.strerror or error}); {done}: make room, or let "
            "the folder be written to, and run this again"
        ) from error


def _finished(folder: Path) -> str:
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError):
        return "no sample is finished"
    if not manifest.done:
        return "no sample is finished"
    return f"{manifest.done} of {manifest.origin.samples} samples are finished, and stay"
