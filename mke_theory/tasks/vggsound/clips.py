"""One clip of AudioSet or VGGSound as numbers: a log-mel spectrogram, and a few small pictures.

Clips are files of ten seconds, called `YTID_SSSSSS` with the start in whole seconds, six digits
(`glLQrEijrKg_000300.mp4` starts at second 300), in any folders under the one that is named. They
are not fetched here: the terms of the site that hosts the films do not allow it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mke_theory.tasks.files.audio import FrontEnd
from mke_theory.tasks.files.media import frames_and_end, read_sound
from mke_theory.tasks.vggsound.lists import Clip, parse_name

SECONDS = 10.0
"""The length of a clip in both sets."""

MOST_SECONDS = 12.0
"""A longer file is more than the clip, and its middle would be another part of the film."""

MOST_APART = 1.0
"""Seconds that sound and pictures of a clip may end apart; files end within some tenths."""

FILMS = (".mp4", ".mkv", ".webm", ".mov")
SOUNDS = (".wav", ".flac", ".ogg", ".m4a", *FILMS)
"""The files of a clip by ending; where there are several of one clip, the first kind is read."""


@dataclass(frozen=True)
class Reading:
    """The features of a clip: `bands` over time of its sound, and pictures, side × side.

    Sound is at `rate` Hz, with `hop` seconds between the windows, each `window` seconds long.
    """

    rate: int = 16_000
    bands: int = 64
    window: float = 0.032
    hop: float = 0.02
    pictures: int = 5
    side: int = 64

    def __post_init__(self) -> None:
        for name, least in (("pictures", 1), ("side", 8)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least {least}")
        for name in ("window", "hop"):
            if not 0 < getattr(self, name) <= SECONDS:
                raise ValueError(
                    f"{name} is {getattr(self, name)} s; it has to lie above 0, up to {SECONDS:g}"
                )
        self.front_end()

    def front_end(self) -> FrontEnd:
        """The spectrogram of ten seconds."""
        return FrontEnd(
            self.rate,
            self.bands,
            self.window,
            self.hop,
            high=min(8000.0, self.rate / 2),
            frames=max(1, round(SECONDS / self.hop)),
        )


@dataclass(frozen=True)
class Features:
    """A clip as it is kept; `video` is None where only its sound was asked for.

    audio: [1, bands, frames] float16 in dB below the loudest cell. video: [pictures, 3, side, side]
    uint8, evenly over the clip.
    """

    audio: np.ndarray
    video: np.ndarray | None


@dataclass(frozen=True)
class Found:
    """The file of each clip that is there; `strange` are files of clips that no list wants."""

    files: dict[Clip, Path]
    strange: int


def find_clips(folder: Path, wanted: Collection[Clip], endings: tuple[str, ...]) -> Found:
    """The files in `folder` and the folders in it that hold the wanted clips.

    Raises FileNotFoundError where there is no such folder, and ValueError where a clip has two
    files of one kind.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder of clips; put files called YTID_SSSSSS there, or name "
            "another folder"
        )

    def rank(path: Path) -> int:
        return endings.index(path.suffix.lower())

    files: dict[Clip, Path] = {}
    strange, known = 0, frozenset(wanted)
    for path in sorted(folder.rglob("*")):
        clip = parse_name(path.stem)
        if clip is None or path.suffix.lower() not in endings or not path.is_file():
            continue
        if clip not in known:
            strange += 1
            continue
        there = files.get(clip)
        if there is not None and rank(there) == rank(path):
            raise ValueError(f"{clip} is there twice, as {there} and as {path}; remove one of them")
        if there is None or rank(path) < rank(there):
            files[clip] = path
    return Found(files, strange)


def read_clip(path: Path, reading: Reading, *, pictures: bool) -> Features:
    """The features of the clip in a file.

    Raises ValueError or FileNotFoundError, with the file's name, where it cannot be read, its sound
    or its pictures last longer than `MOST_SECONDS`, they end more than `MOST_APART` from each other
    (half of the film is missing, or another part of it is shown than is heard), or there is no
    sound between 50 Hz and the highest band.
    """
    wave = read_sound(path, rate=reading.rate)
    seconds = len(wave) / reading.rate
    _refuse_long(path, seconds)
    try:
        audio = reading.front_end()(wave)[None].astype(np.float16)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not pictures:
        return Features(audio, None)
    side = (reading.side, reading.side)
    shown, end = frames_and_end(path, every=SECONDS / reading.pictures, size=side)
    _refuse_long(path, end)
    if abs(end - seconds) > MOST_APART:
        raise ValueError(
            f"{path}: its pictures end after {end:.1f} s and its sound after {seconds:.1f} s; at "
            f"most {MOST_APART:g} s apart are allowed; fetch it again or leave it out"
        )
    middle = (np.arange(reading.pictures) + 0.5) * len(shown) / reading.pictures
    return Features(audio, np.moveaxis(shown[middle.astype(int)], -1, 1))


def _refuse_long(path: Path, seconds: float) -> None:
    if seconds > MOST_SECONDS:
        raise ValueError(f"{path}: lasts {seconds:.1f} s; cut the {SECONDS:g} s of its name first")
