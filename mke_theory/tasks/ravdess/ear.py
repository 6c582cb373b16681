"""Speech through a pre-trained encoder: statistics of its windows, made once and kept.

Ref: lin2020training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mke_theory.data.optional_imports import lacking
from mke_theory.models.frozen import FrozenEncoder
from mke_theory.models.packaged_weights import SPEECH_EMBEDDING, lacking_package
from mke_theory.models.speech_embedding import RATE, WIDTH, frozen_speech_embedding
from mke_theory.tasks.files.cache import collect, key_of, prepared
from mke_theory.tasks.files.media import read_sound
from mke_theory.tasks.ravdess.names import SOUND, Clip, Recording
from mke_theory.tasks.ravdess.tables import SOUND as FOLDER

LIBRARIES = ("av", "onnxruntime", "openwakeword")
"""The modules that decide what is heard, beside torch and numpy."""

PARTS = 3
"""The number of parts of a clip. Among actors 1 to 18, in six folds by actor, a linear probe on the
means of 3 parts and one standard deviation is right on 49.8 ± 2.1% (6 folds), on other statistics
of the windows on 47.1 to 49.9, on those of the log-mel bands on 49.6 ± 3.4, and on both on about
57."""

SIZE = (PARTS + 1) * WIDTH

_VERSION = 1  # raise it when the same sound comes to give other numbers


@dataclass(frozen=True)
class _Listener:
    """A reader of one sound file: its statistics [384] float32."""

    encoder: FrozenEncoder

    def __call__(self, path: Path) -> np.ndarray:
        wave = read_sound(path, rate=RATE)
        wave = wave / max(1.0, float(np.abs(wave).max()))  # resampling may exceed full scale
        return window_statistics(self.encoder(torch.from_numpy(wave)[None])["windows"][0].numpy())


def window_statistics(windows: np.ndarray) -> np.ndarray:
    """The means of `PARTS` equal parts of [w, d], then the standard deviation: [4 d] float32.

    Fewer windows than parts give a part that has none the mean of all.
    """
    parts = np.array_split(windows.astype(np.float64), PARTS)
    whole = windows.mean(axis=0, dtype=np.float64)
    means = [part.mean(axis=0) if len(part) else whole for part in parts]
    sd = windows.std(axis=0, dtype=np.float64)
    return np.concatenate([*means, sd]).astype(np.float32)


def sound_file(recording: Recording) -> str:
    """The name of the sound of a recording, below the folder of the data set."""
    return f"{FOLDER}/{Path(str(Clip(recording, SOUND))).with_suffix('.flac')}"


def lacking_ear() -> str | None:
    """The remedy where a package or the encoder's weights are not installed; None where all are."""
    return lacking_package(SPEECH_EMBEDDING) or lacking(*LIBRARIES)


def heard(
    folder: Path,
    recordings: Sequence[Recording],
    *,
    encoder: FrozenEncoder | None = None,
    skip_bad: bool = False,
    cache: Path | None = None,
) -> tuple[np.ndarray, list[int], tuple[str, ...]]:
    """The statistics [n, 384] of the recordings, which of them could be read, lines on the others.

    They are kept in the cache folder (see `cache.prepared`) for as long as files and encoder are
    the same. `encoder` has a tap "windows", [b, w, 96] of waveforms at 16 kHz; by default it is the
    speech embedding. Raises ValueError, naming the files, where one cannot be read and `skip_bad`
    is off; and as `frozen_speech_embedding`.
    """
    encoder = encoder or frozen_speech_embedding(("windows",))
    paths = [folder / sound_file(recording) for recording in recordings]

    def build() -> Mapping[str, Any]:
        read = collect(
            paths, _Listener(encoder), skip_bad=skip_bad, workers=1, progress="RAVDESS, ear"
        )
        return {
            "speech": np.stack(read.arrays),
            "kept": np.array(read.kept),
            "bad": np.array(read.bad, dtype=str),
        }

    settings = {"encoder": encoder.content, "skip_bad": skip_bad, "parts": PARTS}
    found = prepared("ravdess_ear", key_of(_VERSION, settings, paths), build, cache=cache)
    return found["speech"], found["kept"].tolist(), tuple(str(line) for line in found["bad"])
