"""Recordings of RAVDESS by their file names, which hold all there is to know about a clip.

A name such as `03-01-06-02-01-02-12.wav` has seven fields: modality, vocal channel, emotion,
intensity, statement, repetition, actor. One recording comes as several files: its sound (wav), and
the tracking (csv) of its film with sound or without. They differ by the first field, so that a
`Recording`, the other six, is what a split must not cut, and an actor what train and test must not
share.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The classes in order; the file name counts them from 1."""

BOTH, FACE, SOUND = 1, 2, 3
"""The modalities: picture and sound, picture alone, sound alone."""

SPEECH, SONG = 1, 2
STRONG = 2

_RANGES = {
    "vocal channel": 2,
    "emotion": len(EMOTIONS),
    "intensity": 2,
    "statement": 2,
    "repetition": 2,
    "actor": 24,
}
_NAME = re.compile(r"([0-9]{2})-((?:[0-9]{2}-){5}[0-9]{2})\.([A-Za-z0-9]+)")
_SUFFIX = {BOTH: "csv", FACE: "csv", SOUND: "wav"}


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
    """One file of a recording: of modality 1 and 2 the tracking of a film, of 3 the sound."""

    recording: Recording
    modality: int

    def __str__(self) -> str:
        """Its file name."""
        return f"{self.modality:02}-{self.recording}.{_SUFFIX[self.modality]}"


def parse_recording(text: str) -> Recording:
    """The recording of six fields, as in "01-06-02-01-02-12"; ValueError for other text."""
    fields = text.split("-")
    if len(fields) != len(_RANGES) or not all(re.fullmatch("[0-9]{2}", one) for one in fields):
        raise ValueError(
            f"{text!r} does not name a recording; that takes {', '.join(_RANGES)}, two digits each"
        )
    return Recording(*map(int, fields))


def parse_name(name: str) -> Clip:
    """The clip of a file name, whose suffix may be in capitals.

    Raises ValueError, with the name, where it is not of the form, a field is out of its range, or
    the suffix is not that of the modality.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"{name}: a clip is named by seven fields of two digits and csv or wav, as in "
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
