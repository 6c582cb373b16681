"""Encoders by the names that they have on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from mke_theory.models.backbones import Kind
from mke_theory.models.exported_encoder import from_exported
from mke_theory.models.frozen import FrozenEncoder
from mke_theory.models.frozen_backbones import (
    PACKAGED,
    frozen_efficientnet,
    pictures_from_transformers,
    sounds_from_transformers,
)
from mke_theory.models.onnx_encoder import from_onnx
from mke_theory.models.picture_scaling import PICTURES, PictureScaling
from mke_theory.models.speech_embedding import frozen_speech_embedding

SOUNDS = "float32 [b, samples] in [-1, 1]"
"""The raw batches of sound encoders, in words."""

_EFFICIENTNET, _SPEECH, _AST = "efficientnet_", "speech_embedding", "ast"
_FILES: dict[str, Callable[..., FrozenEncoder]] = {".onnx": from_onnx, ".pt2": from_exported}

NAMES = (
    *(f"{_EFFICIENTNET}{variant}" for variant in PACKAGED),
    _SPEECH,
    *(f"{kind}:WEIGHTS" for kind in (*get_args(Kind), _AST)),
    "FILE.onnx",
    "FILE.pt2 (of torch.export)",
)
"""The encoders that the command knows; WEIGHTS is a folder or a name on the hub."""


def encoder_called(
    name: str,
    *,
    pictures: bool,
    taps: tuple[str, ...] = (),
    enlarged: tuple[int, int] | None = None,
    rate: int | None = None,
) -> FrozenEncoder:
    """The encoder that a name, or the path of a file, stands for.

    `pictures` says whether samples are pictures or sounds, and `rate` how many of a sound are a
    second. Pictures are scaled as ImageNet's, and brought to `enlarged` (height, width) first where
    that is given. `taps` are the encoder's own where none are named.

    Raises ValueError for an unknown name, an encoder of the other kind of samples or of another
    rate, or `enlarged` for sounds; and what the encoder's own factory raises.
    """
    net = _called(name, pictures=pictures, taps=taps, enlarged=enlarged)
    stated = re.search(r"at (\d+) Hz", net.raw)
    if stated and rate is not None and int(stated[1]) != rate:
        raise ValueError(f"rate is {rate} Hz, but encoder {name} takes {net.raw}")
    return net


def _called(
    name: str, *, pictures: bool, taps: tuple[str, ...], enlarged: tuple[int, int] | None
) -> FrozenEncoder:
    if enlarged is not None and not pictures:
        raise ValueError(f"enlarged is {enlarged}, but the samples are sounds; leave it out")
    scaling = PictureScaling(size=enlarged)
    kind, _, weights = name.partition(":")
    named = {"taps": taps} if taps else {}
    if name == _SPEECH:
        _refuse_pictures(name, pictures)
        return frozen_speech_embedding(**named)  # type: ignore[arg-type]  # it checks the taps
    if kind == _AST and weights:
        _refuse_pictures(name, pictures)
        if taps not in ((), ("features",)):
            raise ValueError(f"taps is {taps}, but {name} has features alone")
        return sounds_from_transformers(weights)
    if Path(name).suffix in _FILES:
        prepare, raw = (scaling, PICTURES) if pictures else (None, SOUNDS)
        return _FILES[Path(name).suffix](name, **named, raw=raw, prepare=prepare)
    if name.removeprefix(_EFFICIENTNET) in PACKAGED:
        _refuse_sounds(name, pictures)
        variant = name.removeprefix(_EFFICIENTNET)
        return frozen_efficientnet(variant, **named, scaling=scaling)
    if kind in get_args(Kind) and weights:
        _refuse_sounds(name, pictures)
        return pictures_from_transformers(kind, weights, **named, scaling=scaling)  # type: ignore[arg-type]
    raise ValueError(f"encoder is {name!r}; known are {', '.join(NAMES)}")


def _refuse_pictures(name: str, pictures: bool) -> None:
    if pictures:
        raise ValueError(f"encoder {name} takes sounds, {SOUNDS}; the samples are pictures")


def _refuse_sounds(name: str, pictures: bool) -> None:
    if not pictures:
        raise ValueError(f"encoder {name} takes pictures, {PICTURES}; the samples are sounds")
