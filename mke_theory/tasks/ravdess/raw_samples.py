"""Recorded speech of RAVDESS as trained encoders take it."""

from __future__ import annotations

from pathlib import Path

from mke_theory.data.file_hashes import content_of
from mke_theory.tasks.files.commands import data_set
from mke_theory.tasks.files.features.raw_samples import (
    RawSamples,
    Sound,
    refuse_other_modality,
    sounds,
)
from mke_theory.tasks.ravdess.names import SOUND, SPEECH, parse_recording

_FOLDER = "ravdess"
_FIRST = f"{SOUND:02}-{SPEECH:02}-"
_KINDS = (".flac", ".wav")


def speech_samples(
    data_root: Path, modality: str = "speech", rate: int = 16_000, seconds: float = 4.0
) -> RawSamples:
    """All recordings of speech, float32 [n, seconds · rate], in the order of their names.

    They are the wav or flac files 03-01-….* in any folder of the data set; the level is kept, as
    whoever is angry is louder. Raises WrongRootError where there are none, ValueError for another
    modality, a name that is no recording's, a recording that is there twice, or a damaged file.
    """
    refuse_other_modality("ravdess", modality, ("speech",))
    patterns = [f"*/{_FIRST}*{kind}" for kind in _KINDS]
    remedy = "see `python -m mke_theory.tasks.ravdess prepare`"
    folder = data_set(data_root, _FOLDER, patterns, remedy)
    paths = sorted(
        (path for pattern in patterns for path in folder.glob(pattern)), key=lambda path: path.stem
    )
    keys = []
    for path in paths:
        try:
            keys.append(str(parse_recording(path.stem.removeprefix(f"{SOUND:02}-"))))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    for at, key in enumerate(keys[1:], start=1):
        if key == keys[at - 1]:
            raise ValueError(f"{paths[at]}: is there twice, see {paths[at - 1]}; remove one")
    reader, content = Sound(rate, seconds, "as recorded"), content_of(paths, folder)
    waves = sounds(paths, reader)
    return RawSamples(waves, tuple(keys), modality, "ravdess", content, reader.settings)
