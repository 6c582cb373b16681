"""The trained encoders of a clip: of its sound and of its pictures, one row of features each."""

from __future__ import annotations

import torch
from torch import Tensor

from mke_theory.models.frozen import FrozenEncoder, content_of_words
from mke_theory.tasks.files.features.encoders import encoder_called
from mke_theory.tasks.vggsound.clips import RATE

SOUND, PICTURE = "speech_embedding", "efficientnet_lite2"


def clip_encoders(sound: str = SOUND, picture: str = PICTURE) -> dict[str, FrozenEncoder]:
    """The encoders of "audio" and "video" by name, as `encoder_called` knows them."""
    return {
        "audio": encoder_called(sound, pictures=False, rate=RATE),
        "video": encoder_called(picture, pictures=True),
    }


def pooled(encoder: FrozenEncoder, *, films: bool = False) -> FrozenEncoder:
    """An encoder's taps as one row a sample, {"pooled": [b, d]}, beside each other.

    A tap [b, c] stays, of [b, t, c] it is the mean over time, of [b, c, h, w] over the picture.
    With `films` samples are [b, pictures, ...], and it is also the mean over pictures. Raises
    ValueError where a tap is of another form.
    """

    def row(tap: str, x: Tensor) -> Tensor:
        if x.ndim not in (2, 3, 4):
            raise ValueError(f"{encoder.name}: {tap} is {tuple(x.shape)}, which cannot be pooled")
        return x if x.ndim == 2 else x.mean(dim=1 if x.ndim == 3 else (2, 3))

    def compute(batch: Tensor) -> dict[str, Tensor]:
        found = encoder(batch.flatten(0, 1) if films else batch)
        rows = torch.cat([row(tap, x) for tap, x in found.items()], dim=1)
        return {"pooled": rows.unflatten(0, batch.shape[:2]).mean(dim=1) if films else rows}

    content = content_of_words(encoder.content, *encoder.taps, "of films" if films else "pooled")
    return FrozenEncoder(encoder.name, content, ("pooled",), compute, encoder.raw)
