"""The files of clips: where they are, and one of them as the raw samples of trained encoders.

Clips are files of ten seconds, called `YTID_SSSSSS` with the start in whole seconds, six digits
(`glLQrEijrKg_000300.mp4` starts at second 300), in any folders under the one that is named. Names
that common downloaders give are understood too (`clip_named`). Clips are not fetched here: the
terms of the site that hosts the films do not allow it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from mke_theory.tasks.files.media import frames_and_end, read_sound
from mke_theory.tasks.vggsound.lists import Clip

RATE = 16_000
"""Samples a second of the waveforms that encoders take."""

SECONDS = 10
"""The length of a clip in both sets."""

PICTURES, SIDE = 5, 260
"""The pictures of a clip that are shown to an encoder, and their height and width."""

MOST_SECONDS = 12.0
"""A longer file is more than the clip, and its beginning would be another part of the film."""

MOST_APART = 1.0
"""Seconds that sound and pictures of a clip may end apart; files end within some tenths."""

_NAME = re.compile(r"Y?([A-Za-z0-9_-]{11})(?:_([0-9]+)(?:\.0+)?(?:_([0-9]+)(?:\.0+)?)?)?")

FILMS = (".mp4", ".mkv", ".webm", ".mov")
SOUNDS = (".wav", ".flac", ".ogg", ".m4a", *FILMS)
"""The files of a clip by ending; where there are several of one clip, the first kind is read."""


def find_clips(
    folder: Path, wanted: Collection[Clip], endings: tuple[str, ...]
) -> dict[Clip, Path]:
    """The files in `folder` and the folders in it that hold wanted clips; none where it is absent.

    Raises ValueError where a clip has two files of one kind.
    """
    files: dict[Clip, Path] = {}
    starts = starts_of(wanted)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in endings or not path.is_file():
            continue
        clip, rank = clip_named(path.stem, starts), endings.index(path.suffix.lower())
        if clip is None or clip not in wanted:
            continue
        there = files.get(clip)
        other = len(endings) if there is None else endings.index(there.suffix.lower())
        if rank == other:
            raise ValueError(f"{clip} is there twice, as {there} and as {path}; remove one of them")
        files[clip] = path if rank < other or there is None else there
    return files


def starts_of(wanted: Collection[Clip]) -> dict[str, set[int]]:
    """The starts of wanted clips by their film's id."""
    starts: dict[str, set[int]] = {}
    for clip in wanted:
        starts.setdefault(clip.ytid, set()).add(clip.start)
    return starts


def clip_named(stem: str, starts: Mapping[str, Collection[int]]) -> Clip | None:
    """The clip that a file name (without its ending) means; None where it means none.

    Beside `YTID_SSSSSS` these are understood, each also with a Y before it: YTID_S and YTID_S.000,
    in seconds; YTID_S_E, start and end 10 seconds apart, in seconds or milliseconds; and YTID
    alone where `starts`, those of wanted clips, has one start of that film.
    """
    found = _NAME.fullmatch(stem)
    if found is None:
        return None
    ytid, first, last = found[1], found[2], found[3]
    if first is None:
        known = list(starts.get(ytid, ()))
        return Clip(ytid, known[0]) if len(known) == 1 else None
    start = int(first)
    if last is None:
        return Clip(ytid, start)
    length = int(last) - start
    if length == 1000 * SECONDS and start % 1000 == 0:
        return Clip(ytid, start // 1000)
    return Clip(ytid, start) if length == SECONDS else None


def not_understood(folder: Path, wanted: Collection[Clip], endings: tuple[str, ...]) -> list[Path]:
    """The files of these endings whose names mean no clip; nothing reads them."""
    starts = starts_of(wanted)
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in endings
        and path.is_file()
        and clip_named(path.stem, starts) is None
    ]


def read_clip(path: Path, *, films: bool) -> Mapping[str, np.ndarray]:
    """The clip in a file: audio, and with `films` video.

    audio: [160000] float32 at `RATE`, with silence after a short clip; its peak is ½, as the level
    is that of the microphone. video: [PICTURES, 3, SIDE, SIDE] uint8, evenly over the clip.

    Raises ValueError or FileNotFoundError, with the file's name, where it cannot be read, is
    silent, its sound or its pictures last longer than `MOST_SECONDS`, or they end more than
    `MOST_APART` from each other (half of the film is missing, or another part of it is shown than
    is heard).
    """
    wave = read_sound(path, rate=RATE)
    seconds = len(wave) / RATE
    _refuse_long(path, seconds)
    audio = np.zeros(SECONDS * RATE, np.float32)
    audio[: len(wave)] = wave[: len(audio)] / (2.0 * np.abs(wave).max())
    if not films:
        return {"audio": audio}
    shown, end = frames_and_end(path, every=SECONDS / PICTURES, size=(SIDE, SIDE))
    _refuse_long(path, end)
    if abs(end - seconds) > MOST_APART:
        raise ValueError(
            f"{path}: its pictures end after {end:.1f} s and its sound after {seconds:.1f} s; at "
            f"most {MOST_APART:g} s apart are allowed; fetch it again or leave it out"
        )
    middle = (np.arange(PICTURES) + 0.5) * len(shown) / PICTURES
    return {"audio": audio, "video": np.moveaxis(shown[middle.astype(int)], -1, 1)}


def _refuse_long(path: Path, seconds: float) -> None:
    if seconds > MOST_SECONDS:
        raise ValueError(f"{path}: lasts {seconds:.1f} s; cut the {SECONDS} s of its name first")
