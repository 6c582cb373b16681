"""Recordings through a pre-trained ear: the speech embedding of each, kept on disk.

Ref: lin2020training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.models.packaged_weights import SPEECH_EMBEDDING, lacking_package
from mke_theory.models.speech_embedding import RATE, Tap, frozen_speech_embedding
from mke_theory.tasks.files.cache import collect, key_of, prepared
from mke_theory.tasks.files.media import read_sound

TAP: Tap = "max"
"""The largest of each number over the windows; all but one recording in fifty have just one."""
LEVEL = 0.5
"""The peak that every recording is brought to, as the level is that of the microphone."""

_VERSION = 1  # raise it when the same files come to give other numbers


def embeddings(paths: Sequence[Path], *, cache: Path | None = None) -> np.ndarray:
    """The speech embeddings of all recordings, [n, 96] float32, brought from 8 to 16 kHz first.

    They are kept in the cache while the recordings and the encoder are the same. Raises one
    ValueError that names every unusable recording (the first ten), and as `pretrained_ear`.
    """
    encoder = pretrained_ear()

    def build() -> dict[str, np.ndarray]:
        found = collect(
            paths, lambda path: _embedding(path, encoder), skip_bad=False, workers=1, progress="ear"
        )
        return {"embedding": np.stack(found.arrays)}

    settings = {"encoder": encoder.content, "tap": TAP, "level": LEVEL}
    key = key_of(_VERSION, settings, paths)
    return prepared("av_digits_ear", key, build, cache=cache)["embedding"]


def pretrained_ear() -> FrozenEncoder:
    """The speech embedding; raises as `packaged_weights.located` where it is not installed."""
    return frozen_speech_embedding((TAP,))


def lacking_ear() -> str | None:
    """The remedy where the embedding's package is not installed; None where it is."""
    return lacking_package(SPEECH_EMBEDDING)


def _embedding(path: Path, encoder: FrozenEncoder) -> np.ndarray:
    wave = read_sound(path, rate=RATE)
    wave = wave * np.float32(LEVEL / np.abs(wave).max())
    found: np.ndarray = encoder(torch.from_numpy(wave)[None])[TAP][0].numpy()
    return found
