"""Google's speech embedding as a frozen encoder: 16 kHz waveforms in, 96 numbers a window out.

Two ONNX files that the package openwakeword 0.4.0 carries: a log-mel spectrogram (32 bands, a frame
every 10 ms) and a small convolutional network trained to tell 5,000 keywords apart.
Ref: lin2020training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mke_theory.models.frozen import FrozenEncoder, content_of_words, in_pieces
from mke_theory.models.onnx_encoder import from_onnx
from mke_theory.models.packaged_weights import MELSPECTROGRAM, SPEECH_EMBEDDING, located

RATE = 16_000
"""Samples a second."""
WIDTH = 96
"""Numbers of a window's embedding."""
WINDOW, STEP = 76, 8
"""Frames of a window and from one window to the next: 0.78 s every 80 ms."""
SHORTEST = 512 + (WINDOW - 1) * 160
"""Samples of one window; shorter sounds get silence on both sides."""

Tap = Literal["mean", "max", "sd", "windows"]

_MEL, _EMBEDDING = "output", "conv2d_19"  # what the two networks call their outputs
_SCALE = 32768.0  # the network was trained on samples of 16 bits
_AT_ONCE = 128  # windows that the network takes at once; each needs about a megabyte
_VERSION = "1"  # raise it when the same sound comes to give other numbers


def frozen_speech_embedding(taps: Sequence[Tap] = ("mean", "max")) -> FrozenEncoder:
    """The embedding of sounds, float32 [b, samples] in [−1, 1] at 16 kHz.

    The taps "mean", "max" and "sd" are taken over windows, [b, 96]; "windows" are all w of them,
    [b, w, 96], with w = 1 + (f − 76) // 8 for f = 1 + (samples − 512) // 160 frames; an end shorter
    than 80 ms is not heard. Sounds below 12,512 samples are put in the middle of so much silence.
    Loudness counts: ten times the amplitude adds 2 to the log-mel spectrogram, so bring
    recordings to one level first. Their quietest cells are cut 80 dB below the loudest.

    Raises as `packaged_weights.located` and `onnx_encoder.from_onnx`, and ValueError for taps that
    there are not; the encoder raises ValueError for sounds of another shape, type or range.
    """
    odd = [tap for tap in taps if tap not in get_args(Tap)]
    if odd:
        raise ValueError(f"taps are {list(taps)}; choose from {get_args(Tap)}")
    mel = from_onnx(located(MELSPECTROGRAM), [_MEL], raw="float32 [b, samples]")
    net = from_onnx(located(SPEECH_EMBEDDING), [_EMBEDDING], raw="float32 [b, 76, 32, 1]")
    # The spectrogram is cut below the loudest cell of the whole batch: a sound has to come alone.
    alone = in_pieces(mel.compute, 1)

    def compute(waves: Tensor) -> dict[str, Tensor]:
        _refuse_waves(waves)
        frames = alone(_SCALE * padded(waves))[_MEL][:, 0] / 10 + 2
        windows = _embedded(net.compute, frames.unfold(1, WINDOW, STEP).transpose(2, 3))
        return {tap: _pooled(windows, tap) for tap in taps}

    content = content_of_words("speech_embedding", _VERSION, mel.content, net.content)
    raw = f"float32 [b, samples] in [-1, 1] at {RATE} Hz"
    return FrozenEncoder("speech_embedding", content, tuple(taps), compute, raw)


def padded(waves: Tensor) -> Tensor:
    """Sounds [b, samples] of at least one window, with zeros on both sides; an odd one behind."""
    missing = max(SHORTEST - waves.shape[1], 0)
    return F.pad(waves, (missing // 2, missing - missing // 2))


def _embedded(net: Callable[[Tensor], dict[str, Tensor]], windows: Tensor) -> Tensor:
    """[b, w, 96] of windows [b, w, 76, 32]."""
    flat = windows.reshape(-1, WINDOW, windows.shape[3], 1)
    found = [net(piece)[_EMBEDDING] for piece in flat.split(_AT_ONCE)]
    return torch.cat(found).reshape(*windows.shape[:2], WIDTH)


def _pooled(windows: Tensor, tap: str) -> Tensor:
    if tap == "mean":
        return windows.mean(dim=1)
    if tap == "max":
        return windows.amax(dim=1)
    if tap == "sd":
        return windows.std(dim=1, correction=0)
    return windows


def _refuse_waves(waves: Tensor) -> None:
    if waves.dim() != 2 or waves.dtype != torch.float32:
        raise ValueError(
            f"sounds have to be float32 [b, samples]; got {waves.dtype} {list(waves.shape)}"
        )
    peak = float(waves.abs().max())
    if peak > 1 + 1e-3:  # resampling may overshoot a little
        raise ValueError(
            f"sounds have to lie in [-1, 1]; the largest |sample| is {peak:.3g}: divide samples of "
            "16 bits by 32768"
        )
