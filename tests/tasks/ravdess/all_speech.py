"""Every recording of speech, by the rule of the data set."""

from __future__ import annotations

from mke_theory.tasks.ravdess.names import SPEECH, STRONG, Recording


def all_speech() -> list[Recording]:
    """The 1,440 recordings of speech in order."""
    return [
        Recording(SPEECH, emotion, intensity, statement, repetition, actor)
        for actor in range(1, 25)
        for emotion in range(1, 9)
        for intensity in ((1,) if emotion == 1 else (1, STRONG))
        for statement in (1, 2)
        for repetition in (1, 2)
    ]
