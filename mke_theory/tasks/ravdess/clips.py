"""Recordings of RAVDESS as numbers, from whatever files, and messages on those that lack some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mke_theory.tasks.ravdess.names import Recording
from mke_theory.tasks.ravdess.split import Part

FOLDER = "ravdess"
"""The folder of the data set under the data root."""

PREPARE = "python -m mke_theory.tasks.ravdess prepare --data-root"
"""The command that unpacks the authors' archives; the folder above `ravdess` follows it."""

RECORD = "https://zenodo.org/record/1188976"
"""The authors' own publication of the data, under CC BY-NC-SA 4.0."""

WANTED = (
    f"the archives Video_Speech_Actor_01.zip to Video_Speech_Actor_24.zip and "
    f"Audio_Speech_Actors_01-24.zip of {RECORD} (CC BY-NC-SA 4.0)"
)

LISTED = 10
"""The most files, clips or actors that one message names."""


@dataclass(frozen=True)
class Clips:
    """n recordings of speech in the order of the split, whatever they were read from.

    face: [n, 35] float32 action units, or [n, f, 3, h, w] uint8 frames.
    speech: [n, d] float32, see `speech.statistics`. skipped: a line for each that is absent or bad
    and was left out because that was asked for. notes: lines on what was left out by rule.
    """

    recordings: tuple[Recording, ...]
    face: np.ndarray
    speech: np.ndarray
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def in_order(
    folder: Path, split: Mapping[Recording, Part], there: Container[Recording]
) -> tuple[Recording, ...]:
    """The recordings of `split` that are there, in its order; ValueError where a part has none."""
    for part in ("train", "test"):
        if not any(found == part and recording in there for recording, found in split.items()):
            raise ValueError(f"{folder}: has no recording of a {part} actor that can be used")
    return tuple(recording for recording in split if recording in there)


def absent(
    folder: Path,
    split: Mapping[Recording, Part],
    there: Container[Recording],
    *,
    skip_bad: bool,
) -> list[str]:
    """A line for each actor of whom recordings are not there; ValueError without `skip_bad`."""
    wanted = Counter(recording.actor for recording in split)
    lacking = Counter(recording.actor for recording in split if recording not in there)
    lines = [
        f"{folder}: {count} of {wanted[actor]} recordings of actor {actor:02} are not there"
        for actor, count in sorted(lacking.items())
    ]
    if lines and not skip_bad:
        raise ValueError(
            f"{listed(lines)}\nAdd them, or go on without them by --skip-bad; all numbers are then "
            "of the others alone"
        )
    return lines


def song_note(place: Path, count: int) -> tuple[str, ...]:
    """One line on clips of song, or none."""
    return (f"{place}: {count} clips of song left out; the task is speech",) if count else ()


def listed(lines: list[str]) -> str:
    """The first ten lines, and how many more there are."""
    more = f"\n... and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return "\n".join(lines[:LISTED]) + more
