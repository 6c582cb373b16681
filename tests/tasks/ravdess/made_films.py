"""Recordings in the authors' layout, in small: three actors of train and one of test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mke_theory.tasks.ravdess.films import Reading
from mke_theory.tasks.ravdess.names import Recording, parse_recording
from mke_theory.tasks.ravdess.split import Part
from tests.tasks.files.clips import flat, sine, write_clip, write_sound

SIZE = (36, 64)
READING = Reading(frames=2, side=36)
TEXTS = ("01-03-01-01-01-01", "01-05-02-01-01-01", "01-03-01-01-01-02", "01-03-01-01-01-19")
SPLIT: dict[Recording, Part] = {
    parse_recording(text): "test" if text.endswith("19") else "train" for text in TEXTS
}
FIRST, SECOND, THIRD, LAST = SPLIT


def halves(colour: tuple[int, int, int]) -> np.ndarray:
    """Black at the sides, `colour` in the middle square."""
    picture = flat(0, SIZE)
    picture[:, 14:50] = colour
    return picture


def write_recording(
    folder: Path, recording: Recording, files: str, colour: tuple[int, int, int] = (200, 50, 50)
) -> None:
    """Some of the files 1 (film), 2 (silent film) and 3 (wav) of a recording."""
    actor = folder / f"Actor_{recording.actor:02}"
    actor.mkdir(parents=True, exist_ok=True)
    kind = {"seconds": 1.6, "fps": 10.0, "size": SIZE, "picture": halves(colour)}
    if "1" in files:
        write_clip(actor / f"01-{recording}.mp4", tone=700.0, **kind)  # type: ignore[arg-type]
    if "2" in files:
        write_clip(actor / f"02-{recording}.mp4", tone=None, **kind)  # type: ignore[arg-type]
    if "3" in files:
        silence = np.zeros(48000, np.float32)
        sound = np.concatenate([silence, sine(300.0, 1.6, 48000), silence])
        write_sound(actor / f"03-{recording}.wav", sound=sound, rate=48000)


def write_corpus(folder: Path) -> Path:
    """One recording as three files, one as two, one as the two halves, one as a film alone."""
    write_recording(folder, FIRST, "123")
    write_recording(folder, SECOND, "12", (50, 200, 50))
    write_recording(folder, THIRD, "23")
    write_recording(folder, LAST, "1")
    return folder
