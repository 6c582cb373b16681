"""The films and recordings of RAVDESS as their authors publish them, found and read.

Layout of the folder, `<data root>/ravdess`:

    Actor_01/01-01-03-02-01-01-01.mp4     picture and sound
    Actor_01/02-01-03-02-01-01-01.mp4     the same recording, picture alone
    Actor_01/03-01-03-02-01-01-01.wav     the same recording, sound alone
    ... to Actor_24

The face of a recording is read from its 01 file, or else from its 02 file, and the sound from its
03 file, or else from its 01 file: a recording is one sample, however many files it is kept in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np

from mke_theory.data.file_hashes import stamp_of
from mke_theory.tasks.files.cache import collect, key_of, prepared
from mke_theory.tasks.files.media import read_frames, read_sound
from mke_theory.tasks.ravdess.clips import Clips, absent, in_order, listed, song_note
from mke_theory.tasks.ravdess.names import (
    BOTH,
    FACE,
    SONG,
    SOUND,
    SPEECH,
    Clip,
    Recording,
    parse_name,
    parse_recording,
)
from mke_theory.tasks.ravdess.speech import RATE, log_mel, statistics, trimmed
from mke_theory.tasks.ravdess.split import Part

ACTORS = "Actor_[0-9][0-9]/"
"""The names of the actors' folders; the slash keeps files out."""

_VERSION = 3  # raise it when the same files and settings come to give other numbers
_EVERY = 0.5  # seconds between two frames
_ASPECT = 16 / 9  # of the films; the actor stands in the middle
_FILES_A_WORKER = 50  # fewer are read faster by one process than others are started


@dataclass(frozen=True)
class Reading:
    """A reader of `frames` pictures of `side` × `side` of a recording, and of its sound.

    Calling it with the files of one recording gives ([frames, 3, side, side] uint8, [d] float32).
    The pictures are the middle square, `frames` of those that come every half second, evenly
    spread; a shorter film repeats some.
    """

    frames: int = 6
    side: int = 64

    def __post_init__(self) -> None:
        if self.frames < 1 or self.side < 1:
            raise ValueError(f"frames and side must be at least 1; got {self.frames}, {self.side}")

    def __call__(self, files: Files) -> tuple[np.ndarray, np.ndarray]:
        width = round(self.side * _ASPECT)
        pictures = read_frames(files.face, every=_EVERY, size=(self.side, width))
        at = np.linspace(0, len(pictures) - 1, self.frames).round().astype(int)
        left = (width - self.side) // 2
        face = pictures[at, :, left : left + self.side].transpose(0, 3, 1, 2)
        wave = read_sound(files.sound, rate=RATE)
        try:
            speech = statistics(log_mel(trimmed(wave)))
        except ValueError as error:
            raise ValueError(f"{files.sound}: {error}") from error
        return np.ascontiguousarray(face), speech


@dataclass(frozen=True)
class Files:
    """The files that the face and the sound of one recording are read from."""

    face: Path
    sound: Path


@dataclass(frozen=True)
class Found:
    """Complete recordings of speech in a folder, lines on wrong files, and the number of songs."""

    recordings: dict[Recording, Files]
    wrong: list[str] = field(default_factory=list)
    songs: int = 0


def find(folder: Path) -> Found:
    """The recordings under `folder`, by names and folders alone; contents are not read.

    Files that are neither mp4 nor wav do not count, nor does what is hidden.
    """
    clips: dict[Clip, Path] = {}
    wrong: list[str] = []
    for path in sorted(folder.glob("Actor_*/*")):
        if path.suffix.lower() not in (".mp4", ".wav") or path.name.startswith("."):
            continue
        try:
            clip = parse_name(path.name)
        except ValueError as error:
            wrong.append(f"{path}: {error}")
            continue
        if path.parent.name != f"Actor_{clip.recording.actor:02}":
            wrong.append(f"{path}: is a clip of actor {clip.recording.actor:02} in another folder")
        elif clip in clips:
            wrong.append(f"{path}: is there twice, see {clips[clip].name}")
        else:
            clips[clip] = path
    songs = sum(clip.recording.channel == SONG for clip in clips)
    complete: dict[Recording, Files] = {}
    for recording in sorted({clip.recording for clip in clips}):
        if recording.channel != SPEECH:
            continue
        there = {m: clips[Clip(recording, m)] for m in (1, 2, 3) if Clip(recording, m) in clips}
        face, sound = there.get(BOTH, there.get(FACE)), there.get(SOUND, there.get(BOTH))
        if face is not None and sound is not None:
            complete[recording] = Files(face, sound)
        else:
            wrong.append(_half(recording, next(iter(there.values())), face is None))
    return Found(complete, wrong, songs)


def read_films(
    folder: Path,
    split: Mapping[Recording, Part],
    reading: Reading | None = None,
    *,
    skip_bad: bool = False,
) -> Clips:
    """The recordings of `split` in `folder`; song is left out.

    Raises ValueError, naming the files, where a name is wrong, a recording has no face or no sound,
    is absent, or cannot be read; with `skip_bad` these are left out and noted. ValueError also
    where nothing is left of a part.
    """
    found = find(folder)
    if found.wrong and not skip_bad:
        raise ValueError(
            f"{len(found.wrong)} files or recordings cannot be used:\n{listed(found.wrong)}\n"
            "Correct them, or leave them out with --skip-bad"
        )
    lacking = absent(folder, split, found.recordings, skip_bad=skip_bad)
    wanted = in_order(folder, split, found.recordings)
    collected = collect(
        [found.recordings[recording] for recording in wanted],
        reading or Reading(),
        skip_bad=skip_bad,
        workers=min(joblib.cpu_count(), 1 + len(wanted) // _FILES_A_WORKER),
        progress="RAVDESS",
    )
    kept = in_order(folder, split, {wanted[at] for at in collected.kept})
    faces, speech = zip(*collected.arrays, strict=True)
    skipped = (*found.wrong, *lacking, *collected.bad)
    notes = song_note(folder, found.songs)
    return Clips(kept, np.stack(faces), np.stack(speech), skipped, notes)


def load_films(
    folder: Path,
    split: Mapping[Recording, Part],
    reading: Reading | None = None,
    *,
    skip_bad: bool = False,
    cache: Path | None = None,
) -> Clips:
    """The clips of `read_films`, kept in the cache folder while files and settings are the same.

    See `cache.prepared`.
    """
    reading = reading or Reading()

    def build() -> dict[str, np.ndarray]:
        clips = read_films(folder, split, reading, skip_bad=skip_bad)
        return {
            "recording": np.array([str(recording) for recording in clips.recordings]),
            "face": clips.face,
            "speech": clips.speech,
            "skipped": np.array(clips.skipped, dtype=str),
            "notes": np.array(clips.notes, dtype=str),
        }

    lines = [f"{part} {recording}" for recording, part in split.items()]
    settings = asdict(reading) | {"skip_bad": skip_bad, "split": lines}
    key = key_of(_VERSION, settings | {"files": content_hash(folder)}, [])
    kept = prepared("ravdess", key, build, cache=cache)
    return Clips(
        tuple(parse_recording(str(name)) for name in kept["recording"]),
        kept["face"],
        kept["speech"],
        tuple(str(line) for line in kept["skipped"]),
        tuple(str(line) for line in kept["notes"]),
    )


def content_hash(folder: Path) -> str:
    """A hash of all names of clips, and of the sizes, beginnings and ends of those that are read.

    See `cache.key_of`. One process reads them again only where a size or a time of change has
    become another.
    """
    return _content_hash(folder, stamp_of(sorted(folder.glob("Actor_*/*"))))


@lru_cache(maxsize=2)
def _content_hash(folder: Path, stamp: str) -> str:
    found = find(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("Actor_*/*"))
    files = [path for both in found.recordings.values() for path in (both.face, both.sound)]
    return key_of(_VERSION, {"names": names}, files)[:16]


def has_films(folder: Path) -> bool:
    """True where `folder` holds at least one folder of an actor."""
    return any(folder.glob(ACTORS))


def _half(recording: Recording, there: Path, no_face: bool) -> str:
    """The line on a recording of which one modality is not there."""
    if no_face:
        others = f"{Clip(recording, BOTH)} and {Clip(recording, FACE)}"
        return f"{there}: its recording has no picture; {others} are missing"
    others = f"{Clip(recording, BOTH)} and {Clip(recording, SOUND)}"
    return f"{there}: its recording has no sound; {others} are missing"
