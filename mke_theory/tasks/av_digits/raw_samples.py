"""Recordings and images of av_digits as trained encoders take them."""

from __future__ import annotations

from pathlib import Path

from mke_theory.data.file_hashes import content_of
from mke_theory.tasks.av_digits.reader import IMAGES, read_idx, recording_names, refuse_missing
from mke_theory.tasks.av_digits.split import FOLDER
from mke_theory.tasks.files.features.raw_samples import (
    RawSamples,
    Sound,
    refuse_other_modality,
    repeated_grey,
    sounds,
)


def digit_samples(
    data_root: Path, modality: str, rate: int = 16_000, seconds: float = 1.0
) -> RawSamples:
    """All images, uint8 [10000, 3, 28, 28], or all recordings, [3000, seconds · rate].

    Images are in the order of MNIST, recordings in that of their names; `Pairs.image` and
    `Pairs.recording` are rows of them. Recordings have a peak of 1, as speakers were recorded at
    levels of their own.

    Raises FileNotFoundError where the data are not there, ValueError for another modality or files
    that cannot be read.
    """
    refuse_other_modality("av_digits", modality, ("image", "audio"))
    folder = data_root / FOLDER
    refuse_missing(folder)
    content = content_of((path for path in folder.rglob("*") if path.is_file()), folder)
    if modality == "image":
        images = read_idx(folder / IMAGES)
        keys = tuple(f"mnist-t10k-{row}" for row in range(len(images)))
        return RawSamples(repeated_grey(images), keys, modality, "av_digits", content)
    names, reader = recording_names(folder), Sound(rate, seconds)
    waves = sounds([folder / "recordings" / name for name in names], reader)
    return RawSamples(waves, names, modality, "av_digits", content, reader.settings)
