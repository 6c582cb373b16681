"""The commands `prepare` and `check` of RAVDESS.

`python -m mke_theory.tasks.ravdess prepare --data-root DIR` fetches the two archives into
`DIR/ravdess`, unless they are there, and writes the tables that the task reads; `check` only reads
what is there.

Ref: livingstone2018ravdess; swanson2019ravdess.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mke_theory.data.file_hashes import sha256_of
from mke_theory.data.optional_imports import lacking, library
from mke_theory.tasks.files.cache import collect
from mke_theory.tasks.files.commands import data_set, refuse_root_to_fill, run_command
from mke_theory.tasks.files.media import read_sound
from mke_theory.tasks.ravdess.archives import (
    AUDIO,
    SOURCES,
    TRACKING,
    Archive,
    Members,
    content,
    fetched,
    members,
    verified,
    write_sources,
)
from mke_theory.tasks.ravdess.face_tables import FACE, SHAPE, write_face
from mke_theory.tasks.ravdess.names import SOUND, Clip, Recording
from mke_theory.tasks.ravdess.speech import RATE, log_mel, statistics, trimmed
from mke_theory.tasks.ravdess.split import Part, read_split
from mke_theory.tasks.ravdess.tables import (
    FOLDER,
    INDEX,
    SPEECH,
    SUMS,
    absent,
    check_tables,
    in_order,
    listed,
)
from mke_theory.tasks.ravdess.tables import SOUND as SOUND_FOLDER
from mke_theory.tasks.ravdess.tracking import Tracked, read_tracking

PREPARE = "python -m mke_theory.tasks.ravdess prepare --data-root"
"""The command that makes the tables; the folder above `ravdess` follows it."""

Read = tuple[np.ndarray, np.ndarray, Tracked]
"""A recording: its sound [n] at 8 kHz without silence at the ends, its bands [t, 40], its face."""

_UNFINISHED = "unfinished"
_READERS = ("soundfile", "av", "transformers")


@dataclass(frozen=True)
class _Reading:
    """A reader of one recording from the two archives, which stay as they are."""

    sound: zipfile.ZipFile
    face: zipfile.ZipFile
    names: Mapping[Recording, tuple[str, str]]
    geometry: bool

    def __call__(self, recording: Recording) -> Read:
        sound, face = self.names[recording]
        text = content(self.face, face).decode("utf-8", errors="replace")
        raw = content(self.sound, sound)
        try:
            tracked = read_tracking(text, geometry=self.geometry)
        except ValueError as error:
            raise ValueError(f"{self.face.filename}: {face} {error}") from error
        try:
            wave = trimmed(_wave(raw))
            bands = log_mel(wave)
            statistics(bands)  # which refuses what is too short for the task
        except ValueError as error:
            raise ValueError(f"{self.sound.filename}: {sound}: {error}") from error
        return wave, bands, tracked


def prepare(
    data_root: Path,
    split: Mapping[Recording, Part] | None = None,
    *,
    archives: tuple[Archive, Archive] = (AUDIO, TRACKING),
    geometry: bool = True,
    skip_bad: bool = False,
    accept_other: bool = False,
    progress: bool = True,
) -> list[str]:
    """Write the tables of `<data_root>/ravdess` from the archives of sound and of tracking.

    Returns lines on what was read and what was left out. Archives that are not there are fetched;
    they may be removed afterwards. May be stopped at any moment: a broken transfer goes on, and the
    tables appear when all of them are whole. `geometry=False` asks for action units alone, of
    trackings that hold nothing else.

    Raises WrongRootError where the root cannot be filled; ValueError where an archive is another
    one or damaged, where tables from elsewhere are in the way, and, with the file, where a
    recording is absent or cannot be read, which `skip_bad` leaves out; ModuleNotFoundError where a
    library that reads sound is not installed; OSError as `download` does.
    """
    refuse_root_to_fill(data_root, FOLDER)
    if remedy := lacking(*_READERS):
        raise ModuleNotFoundError(remedy)
    folder, split = data_root / FOLDER, split or read_split()
    if (folder / INDEX).is_file() and not (folder / SOURCES).is_file():
        raise ValueError(
            f"{folder}: has tables that were not made here ({INDEX} without {SOURCES}); use "
            "them as they are, or name another data root"
        )
    paths = [fetched(archive, folder, progress=progress) for archive in archives]
    for archive, path in zip(archives, paths, strict=True):
        verified(archive, path, accept_other=accept_other)
    sounds, faces = (members(*pair) for pair in zip(archives, paths, strict=True))
    made, skipped = _read(paths, split, sounds, faces, geometry=geometry, skip_bad=skip_bad)
    _write(folder, split, made, geometry=geometry)
    lines = _report(made, sounds, faces)
    write_sources(folder, left_out=lines[1:], skipped=skipped)
    return [f"{folder}: {lines[0]}", *lines[1:], *skipped]


def check(data_root: Path, split: Mapping[Recording, Part] | None = None) -> list[str]:
    """Lines on what is verified of `<data_root>/ravdess`; every table is read.

    Raises WrongRootError where there are none, and as `check_tables` does.
    """
    remedy = f"name the folder above {FOLDER}; `{PREPARE} {data_root}` makes them"
    folder = data_set(data_root, FOLDER, (INDEX,), remedy)
    return [check_tables(folder, split or read_split())]


def _read(
    paths: Sequence[Path],
    split: Mapping[Recording, Part],
    sounds: Members,
    faces: Members,
    *,
    geometry: bool,
    skip_bad: bool,
) -> tuple[dict[Recording, Read], list[str]]:
    """The recordings of `split` that both archives hold, and lines on what had to be left out."""
    wrong = [*sounds.wrong, *faces.wrong, *_halves(paths, sounds, faces)]
    if wrong and not skip_bad:
        raise ValueError(
            f"{listed(wrong)}\nFetch the archives again, or leave these out with --skip-bad"
        )
    folder = paths[0].parent
    both = {one: (sounds.names[one], faces.names[one]) for one in {*sounds.names} & {*faces.names}}
    absences = absent(folder, split, both, skip_bad=skip_bad)
    wanted = in_order(folder, split, both)
    with zipfile.ZipFile(paths[0]) as sound, zipfile.ZipFile(paths[1]) as face:
        reading = _Reading(sound, face, both, geometry)
        read = collect(wanted, reading, skip_bad=skip_bad, workers=1, progress="RAVDESS")
    kept = in_order(folder, split, {wanted[at] for at in read.kept})
    return dict(zip(kept, read.arrays, strict=True)), [*wrong, *absences, *read.bad]


def _wave(raw: bytes) -> np.ndarray:
    """The samples [n] of a wav file at `RATE`, channels averaged; ValueError without a name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        path.write_bytes(raw)
        try:
            return read_sound(path, rate=RATE)
        except ValueError as error:
            raise ValueError(str(error).removeprefix(f"{path}: ")) from error


def _halves(paths: Sequence[Path], sounds: Members, faces: Members) -> list[str]:
    """Lines on recordings that only one of the archives has."""
    alone = [(one, paths[1]) for one in sorted({*sounds.names} - {*faces.names})]
    alone += [(one, paths[0]) for one in sorted({*faces.names} - {*sounds.names})]
    return [f"{path}: recording {one} is not there" for one, path in alone]


def _report(
    made: Mapping[Recording, Read],
    sounds: Members,
    faces: Members,
) -> list[str]:
    """The number of recordings and of frames, then what was left out by rule."""
    tracked = [each for _, _, each in made.values()]
    frames, failed, others = (
        sum(getattr(each, name) for each in tracked) for name in ("frames", "failed", "others")
    )
    hit = sum(each.failed > 0 for each in tracked)
    return [
        f"{len(made)} recordings of {len({one.actor for one in made})} actors, {frames} frames",
        f"left out: {sounds.songs} songs of sound and {faces.songs} of tracking; the task is "
        "speech",
        f"left out: {failed} frames without a face or with damaged cells, of {hit} recordings",
        f"left out: {others} rows of a second face",
    ]


def _write(
    folder: Path,
    split: Mapping[Recording, Part],
    made: Mapping[Recording, Read],
    *,
    geometry: bool,
) -> None:
    """Write all beside the old tables, then put it into their place, the index last."""
    new = folder / _UNFINISHED
    shutil.rmtree(new, ignore_errors=True)
    (new / SOUND_FOLDER).mkdir(parents=True)
    try:
        write_face(new / FACE, {str(one): made[one][2].units for one in made})
        if geometry:
            write_face(new / SHAPE, {str(one): _present(made[one][2].geometry) for one in made})
        _write_sound(new, made)
        rows = [f"{one},{one.label},{one.actor},{split[one]}\n" for one in made]
        (new / INDEX).write_text("".join(["clip,label,actor,split\n", *rows]), encoding="utf-8")
        files = sorted(path for path in new.rglob("*") if path.is_file())
        sums = [f"{sha256_of(path)}  {path.relative_to(new).as_posix()}\n" for path in files]
        (new / SUMS).write_text("".join(sums), encoding="utf-8")
        for name in (INDEX, SUMS, FACE, SHAPE, SPEECH):  # without an index nothing is read
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / SOUND_FOLDER, ignore_errors=True)
        for path in sorted(new.iterdir(), key=lambda path: path.name == INDEX):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write_sound(folder: Path, made: Mapping[Recording, Read]) -> None:
    """Write the bands of all recordings, and the sound of each as a FLAC file."""
    soundfile = library("soundfile", "writing sound needs")
    for one, (wave, _, _) in made.items():
        name = Path(str(Clip(one, SOUND))).with_suffix(".flac")
        soundfile.write(folder / SOUND_FOLDER / name, wave.clip(-1, 1), RATE)
    bands = [frames for _, frames, _ in made.values()]
    length = np.array([len(frames) for frames in bands])
    np.savez_compressed(
        folder / SPEECH,
        clip=np.array([str(one) for one in made]),
        frames=np.concatenate(bands).astype(np.float16),
        start=np.cumsum(length) - length,
        length=length,
    )


def _present(x: np.ndarray | None) -> np.ndarray:
    assert x is not None
    return x


def _prepare_command(
    data_root: Path,
    skip_bad: bool = False,
    accept_other: bool = False,
    geometry: bool = True,
) -> None:
    """Fetch the two archives into <data-root>/ravdess and write the tables that the task reads.

    Args:
        data_root: folder above ravdess; archives that were put into ravdess by hand are used.
        skip_bad: leave out what is absent or cannot be read.
        accept_other: take archives whose hash is another one, and record it.
        geometry: also write head, gaze and landmarks, beside the action units.
    """
    lines = prepare(data_root, skip_bad=skip_bad, accept_other=accept_other, geometry=geometry)
    print("\n".join([*lines, f"the hashes of the archives are in {SOURCES} beside them"]))


def _check_command(data_root: Path) -> None:
    """Verify the tables in <data-root>/ravdess.

    Args:
        data_root: folder above ravdess.
    """
    print("\n".join(check(data_root)))


def main() -> None:
    """The commands `prepare` and `check`."""
    run_command("ravdess", {"prepare": _prepare_command, "check": _check_command})
