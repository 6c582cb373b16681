"""Published encoders of pictures and sounds with trained weights, as frozen encoders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mke_theory.models.backbones import Kind, picture_backbone, sound_encoder
from mke_theory.models.efficientnet_lite import SCALES, efficientnet_lite
from mke_theory.models.frozen import (
    OUTPUT,
    FrozenEncoder,
    computed_by,
    content_of_words,
    missing_places,
)
from mke_theory.models.packaged_weights import (
    EFFICIENTNET_LITE0,
    EFFICIENTNET_LITE2,
    PackagedFile,
    weights_of,
)
from mke_theory.models.picture_scaling import PICTURES, PictureScaling
from mke_theory.models.pretrained import transformers, weights_content

PACKAGED: dict[str, PackagedFile] = {"lite0": EFFICIENTNET_LITE0, "lite2": EFFICIENTNET_LITE2}
"""The variants of EfficientNet-Lite whose weights a package carries."""

_VERSION = "1"  # raise it when the same samples come to give other numbers


def frozen_efficientnet(
    variant: str = "lite2",
    taps: Sequence[str] = ("stage3", "stage4", "stage5", "stage6", "stage7"),
    *,
    scaling: PictureScaling | None = None,
) -> FrozenEncoder:
    """EfficientNet-Lite with its ImageNet weights, from an installed package.

    Pictures are uint8 [b, 3, h, w] in RGB. The taps "stage1" to "stage7" are maps at 1/2, 1/4, 1/8,
    1/16, 1/16, 1/32 and 1/32 of the size; of Lite2 they have 16, 24, 48, 88, 120, 208 and 352
    channels. `scaling` is that of ImageNet, with `size` where pictures are to be enlarged first.

    Raises ValueError for a variant or a tap that there is not, and as `packaged_weights.located`.
    Ref: tan2019efficientnet; liu2020efficientnetlite.
    """
    if variant not in PACKAGED:
        raise ValueError(
            f"no package of weights is known for {variant!r}; known are {tuple(PACKAGED)} of "
            f"{tuple(SCALES)}: others go through efficientnet_lite and from_module"
        )
    scaling = scaling or PictureScaling()
    known = [f"stage{i + 1}" for i in range(7)]
    name = f"efficientnet_{variant}"
    places = _stages(name, taps, known)
    file = PACKAGED[variant]
    net = efficientnet_lite("lite0" if variant == "lite0" else "lite2", weights_of(file))
    content = content_of_words(name, _VERSION, file.sha256, repr(scaling))
    return FrozenEncoder(name, content, tuple(taps), computed_by(net, places, scaling), PICTURES)


def pictures_from_transformers(
    kind: Kind,
    weights: str,
    taps: Sequence[str] = ("stage4",),
    *,
    name: str | None = None,
    scaling: PictureScaling | None = None,
) -> FrozenEncoder:
    """A ResNet or ConvNeXt with trained weights, of a folder or the hub, as `picture_backbone`.

    Pictures are uint8 [b, 3, h, w] in RGB; the taps "stage1", … are maps at 1/4, 1/8, … of the
    size. `scaling` is ImageNet's; weights that were trained on another scale need theirs.

    Raises ValueError for a tap that there is not, and as `picture_backbone`.
    """
    scaling = scaling or PictureScaling()
    content = content_of_words(kind, _VERSION, weights_content(weights), repr(scaling))
    net = picture_backbone(kind, weights=weights).eval().requires_grad_(False)
    called = name or f"{kind}_{Path(weights).name}"
    places = _stages(called, taps, [f"stage{i + 1}" for i in range(len(net.channels))])
    return FrozenEncoder(called, content, tuple(taps), computed_by(net, places, scaling), PICTURES)


def sounds_from_transformers(weights: str, *, name: str | None = None) -> FrozenEncoder:
    """An AST with trained weights, of a folder or the hub: features [b, width], tap "features".

    Sounds are float32 [b, samples] in [−1, 1] at 16 kHz. The spectrograms are those of the
    library's own extractor with the settings beside the weights (those of AudioSet where there are
    none): 128 bands, 10.24 s; shorter sounds end in zeros, longer ones are cut.

    Raises as `sound_encoder`. Ref: gong2021ast.
    """
    extract, settings = _extractor(weights)
    bands, frames = int(extract.num_mel_bins), int(extract.max_length)
    net = sound_encoder(bands=bands, frames=frames, weights=weights).eval().requires_grad_(False)
    rate = int(extract.sampling_rate)

    def spectrograms(waves: Tensor) -> Tensor:
        if waves.dim() != 2 or not waves.is_floating_point():
            raise ValueError(
                f"sounds have to be float32 [b, samples] at {rate} Hz; got {waves.dtype} "
                f"{list(waves.shape)}"
            )
        sounds = list(waves.cpu().numpy())
        made = extract(sounds, sampling_rate=rate, return_tensors="np")["input_values"]
        return torch.from_numpy(made).transpose(1, 2).unsqueeze(1).to(waves.device)

    return FrozenEncoder(
        name or f"ast_{Path(weights).name}",
        content_of_words("ast", _VERSION, weights_content(weights), settings),
        ("features",),
        computed_by(net, {"features": OUTPUT}, spectrograms),
        f"float32 [b, samples] in [-1, 1] at {rate} Hz",
    )


def _stages(name: str, taps: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    missing = [tap for tap in taps if tap not in known]
    if missing:
        raise missing_places(name, missing, known)
    return {tap: f"{OUTPUT}[{known.index(tap)}]" for tap in taps}


def _extractor(weights: str) -> tuple[Any, str]:
    """The library's extractor of spectrograms, and its settings in words."""
    library = transformers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its lowest band lies between two frequencies
        try:
            extract = library.ASTFeatureExtractor.from_pretrained(weights.partition("@")[0])
        except OSError:  # a folder of weights without preprocessor_config.json
            extract = library.ASTFeatureExtractor()
    return extract, extract.to_json_string()
