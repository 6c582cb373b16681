"""The file names of RAVDESS, which say all about a clip, and the committed split by actor.

A name such as `03-01-06-02-01-02-12.wav` has seven fields: modality, vocal channel, emotion,
intensity, statement, repetition, actor. One recording comes as up to three files: with picture and
sound, with the picture alone, and with the sound alone. They differ by the first field, so that a
`Recording`, the other six, is what a split must not cut, and an actor what train and test must not
share.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The classes in order; the file name counts them from 1."""

BOTH, FACE, SOUND = 1, 2, 3
"""The modalities of a file: picture and sound, picture alone, sound alone."""

SPEECH, SONG = 1, 2
STRONG = 2

ACTORS = 24
OF_ACTOR = 60
"""The recordings of speech by each actor: 4 neutral ones and 8 of each other emotion."""

SPLIT: Path = Path(__file__).parent / "manifests" / "ravdess_split.txt"
SPLIT_SHA256 = "ebf8a3a8d19a8381a7ea43fa1d24bed3ddb8f339d403ede6d33e5d644afaaab1"
"""Of the lines of `SPLIT`, each ended by one newline."""

_RANGES = {
    "vocal channel": 2,
    "emotion": len(EMOTIONS),
    "intensity": 2,
    "statement": 2,
    "repetition": 2,
    "actor": ACTORS,
}
_NAME = re.compile(r"([0-9]{2})-((?:[0-9]{2}-){5}[0-9]{2})\.([A-Za-z0-9]+)")
_SUFFIX = {BOTH: "mp4", FACE: "mp4", SOUND: "wav"}
_PARTS = ("train", "test")

Part = Literal["train", "test"]


@dataclass(frozen=True, order=True)
class Recording:
    """One performance, whatever files it is kept in. All fields count from 1.

    channel: 1 speech, 2 song. emotion: see `EMOTIONS`. intensity: 1 normal, 2 strong, which
    neutral recordings are not. Odd actors are male. Raises ValueError outside the ranges.
    """

    channel: int
    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    def __post_init__(self) -> None:
        for (name, most), value in zip(_RANGES.items(), astuple(self), strict=True):
            if not 1 <= value <= most:
                raise ValueError(f"{self}: {name} is {value:02}; allowed are 01 to {most:02}")
        if self.emotion == 1 and self.intensity == STRONG:
            raise ValueError(f"{self}: neutral is never strong, so that intensity has to be 01")

    def __str__(self) -> str:
        """The name of its files, without modality and suffix."""
        return "-".join(f"{value:02}" for value in astuple(self))

    @property
    def label(self) -> int:
        """The class, 0 to 7."""
        return self.emotion - 1


@dataclass(frozen=True, order=True)
class Clip:
    """One file of a recording: `modality` 1 is picture and sound, 2 the picture, 3 the sound."""

    recording: Recording
    modality: int

    def __str__(self) -> str:
        """Its file name."""
        return f"{self.modality:02}-{self.recording}.{_SUFFIX[self.modality]}"


def parse_recording(text: str) -> Recording:
    """The recording that six fields name, as in "01-06-02-01-02-12"; ValueError for other text."""
    fields = text.split("-")
    if len(fields) != len(_RANGES) or not all(re.fullmatch("[0-9]{2}", one) for one in fields):
        raise ValueError(
            f"{text!r} does not name a recording; that takes {', '.join(_RANGES)}, two digits each"
        )
    return Recording(*map(int, fields))


def parse_name(name: str) -> Clip:
    """The clip that a file name tells of; the suffix may be in capitals.

    Raises ValueError, with the name, where it is not of the form, a field is out of its range, or
    the suffix is not that of the modality.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"{name}: a clip is named by seven fields of two digits and mp4 or wav, as in "
            "03-01-06-02-01-02-12.wav"
        )
    modality, suffix = int(match[1]), match[3].lower()
    if modality not in _SUFFIX:
        raise ValueError(f"{name}: modality is {match[1]}; allowed are 01 to 03")
    try:
        recording = parse_recording(match[2])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if suffix != _SUFFIX[modality]:
        raise ValueError(
            f"{name}: a clip of modality {match[1]} is a file of type {_SUFFIX[modality]}"
        )
    return Clip(recording, modality)


def read_split(path: Path | None = None, *, sha256: str | None = None) -> dict[Recording, Part]:
    """Every recording of speech and its part, in the order of the list: "train" or "test".

    Lines are "<part> <recording>". Without a path it is the committed split, whose hash has to be
    `SPLIT_SHA256`. Raises ValueError where the hash is another one, a line is none of these, a
    recording comes twice, a part is empty or an actor is in both.
    """
    if path is None:
        path, sha256 = SPLIT, SPLIT_SHA256
    lines = path.read_text(encoding="utf-8").splitlines()
    found = hash_of(lines)
    if sha256 is not None and found != sha256:
        raise ValueError(
            f"{path}: SHA-256 of the lines is {found}, {sha256} is expected; the split has been "
            "changed: install the package again"
        )
    split: dict[Recording, Part] = {}
    for number, line in enumerate(lines, 1):
        try:
            part, recording = _parsed(line)
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from error
        if recording in split:
            raise ValueError(f"{path}: line {number}: {recording} is listed twice")
        split[recording] = part
    _refuse_shared_actors(path, split)
    return split


def hash_of(lines: list[str]) -> str:
    """The SHA-256 of the lines, each ended by one newline."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def all_speech() -> list[Recording]:
    """The 1,440 recordings of speech in order, by the rule of the data set."""
    return [
        Recording(SPEECH, emotion, intensity, statement, repetition, actor)
        for actor in range(1, ACTORS + 1)
        for emotion in range(1, len(EMOTIONS) + 1)
        for intensity in ((1,) if emotion == 1 else (1, STRONG))
        for statement in (1, 2)
        for repetition in (1, 2)
    ]


def _parsed(line: str) -> tuple[Part, Recording]:
    part, _, text = line.partition(" ")
    if part not in _PARTS:
        raise ValueError(f"the part is {part!r}; known are {', '.join(_PARTS)}")
    return "train" if part == "train" else "test", parse_recording(text)


def _refuse_shared_actors(path: Path, split: Mapping[Recording, Part]) -> None:
    actors = {part: {one.actor for one in split if split[one] == part} for part in _PARTS}
    empty = [part for part in _PARTS if not actors[part]]
    if empty:
        raise ValueError(f"{path}: no recording is in {empty[0]}")
    both = sorted(actors["train"] & actors["test"])
    if both:
        raise ValueError(f"{path}: actor {both[0]:02} is in train and in test; keep it in one")
