"""The commands `prepare` and `check` of RAVDESS.

`python -m mke_theory.tasks.ravdess prepare --data-root DIR` unpacks the authors' archives that were
put into `DIR/ravdess` by hand, reads all clips and keeps them as the task uses them; `check` only
reads what is there.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mke_theory.tasks.files.commands import data_set, run_command
from mke_theory.tasks.files.download import unpack
from mke_theory.tasks.ravdess.clips import FOLDER, PREPARE, WANTED
from mke_theory.tasks.ravdess.films import ACTORS, has_films, load_films, read_films
from mke_theory.tasks.ravdess.names import SPEECH, Recording, parse_name
from mke_theory.tasks.ravdess.split import Part, read_split
from mke_theory.tasks.ravdess.tables import INDEX, check_tables

UNVERIFIED = (
    "not verified: that the files are the authors', bit for bit. No hash of the public archives is "
    "known here, so that they are judged by number, names and whether they can be read"
)

_LIMIT = 8 << 30  # bytes that one archive may unpack to


def prepare(
    data_root: Path,
    split: Mapping[Recording, Part] | None = None,
    *,
    skip_bad: bool = False,
    cache: Path | None = None,
) -> Path:
    """Unpack the archives in `<data_root>/ravdess`, read all clips and keep what was read.

    Returns that folder. The archives have to be put there by hand; they may be removed afterwards.
    May be stopped at any moment, the next call goes on. Raises WrongRootError, with what to fetch,
    where there are neither archives nor clips, and as `download.unpack` and `read_films` do.
    """
    remedy = f"fetch {WANTED}, put them into {data_root / FOLDER} as they are, and run this again"
    folder = data_set(data_root, FOLDER, ("*.zip", ACTORS), remedy)
    for archive in sorted(folder.glob("*.zip")):
        _unpack(archive, folder)
    load_films(folder, split or read_split(), skip_bad=skip_bad, cache=cache)
    return folder


def check(data_root: Path, split: Mapping[Recording, Part] | None = None) -> list[str]:
    """Lines on what is verified of `<data_root>/ravdess`; every file that the task reads is read.

    Raises WrongRootError where there are neither tables nor films, and as `check_tables` and
    `read_films` do.
    """
    remedy = f"name the folder above {FOLDER}; `{PREPARE} {data_root}` says what to fetch"
    folder, split = data_set(data_root, FOLDER, (INDEX, ACTORS), remedy), split or read_split()
    lines = [check_tables(folder, split)] if (folder / INDEX).is_file() else []
    if has_films(folder):
        clips = read_films(folder, split)
        actors = Counter(recording.actor for recording in clips.recordings)
        lines += [
            f"{folder}: {len(clips.recordings)} recordings of {len(actors)} actors, all there and "
            "readable",
            *clips.notes,
            UNVERIFIED,
        ]
    return lines


def _unpack(archive: Path, folder: Path) -> None:
    """Put the archive's clips of speech that are not there yet into the folders of their actors."""

    def target(member: str) -> Path | None:
        path = PurePosixPath(member)
        try:
            clip = parse_name(path.name)
        except ValueError:
            return None
        if clip.recording.channel != SPEECH:
            return None
        return folder / f"Actor_{clip.recording.actor:02}" / path.name

    def lacking(member: str) -> bool:
        path = target(member)
        return path is not None and not path.exists()

    aside = folder / "unpacked"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        for path in unpack(archive, aside, members=lacking, limit=_LIMIT):
            place = target(path.name)
            assert place is not None
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _prepare_command(data_root: Path, skip_bad: bool = False) -> None:
    """Unpack the authors' archives in <data-root>/ravdess, read all clips, keep what was read.

    Args:
        data_root: folder above ravdess, into which the archives are put by hand.
        skip_bad: leave out what is absent or cannot be read.
    """
    folder = prepare(data_root, skip_bad=skip_bad)
    clips = load_films(folder, read_split(), skip_bad=skip_bad)
    print(f"{folder}: {len(clips.recordings)} recordings are ready")
    print("\n".join([*clips.skipped, *clips.notes, UNVERIFIED]))


def _check_command(data_root: Path) -> None:
    """Verify the files in <data-root>/ravdess, be they films and recordings or tables.

    Args:
        data_root: folder above ravdess.
    """
    print("\n".join(check(data_root)))


def main() -> None:
    """The commands `prepare` and `check`."""
    run_command("ravdess", {"prepare": _prepare_command, "check": _check_command})
