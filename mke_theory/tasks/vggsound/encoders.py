"""The trained encoders of a clip: of its sound and of its pictures, one row of features each."""

from __future__ import annotations

import torch
from torch import Tensor

from mke_theory.models.backbones import Kind
from mke_theory.models.frozen import FrozenEncoder, content_of_words
from mke_theory.models.frozen_backbones import (
    frozen_efficientnet,
    pictures_from_transformers,
    sounds_from_transformers,
)
from mke_theory.models.speech_embedding import frozen_speech_embedding


def clip_encoders(
    sound_weights: str | None = None,
    picture_weights: str | None = None,
    picture_kind: Kind = "convnext",
) -> dict[str, FrozenEncoder]:
    """The encoders of "audio" and "video": those of installed packages, or of `transformers`.

    `sound_weights` are an AST's, a folder or a name on the hub; without them it is Google's speech
    embedding. `picture_weights` are those of a `picture_kind`; without them it is
    EfficientNet-Lite2. Raises as `frozen_speech_embedding`, `frozen_efficientnet`,
    `sounds_from_transformers` and `pictures_from_transformers`.
    """
    return {
        "audio": sounds_from_transformers(sound_weights)
        if sound_weights
        else frozen_speech_embedding(),
        "video": pictures_from_transformers(picture_kind, picture_weights)
        if picture_weights
        else frozen_efficientnet("lite2", ("stage5", "stage6", "stage7")),
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
