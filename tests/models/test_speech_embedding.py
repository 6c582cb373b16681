"""The speech embedding: the same by another path, each sound by itself, and its sense of time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.models.onnx_encoder import from_onnx
from mke_theory.models.packaged_weights import (
    MELSPECTROGRAM,
    SPEECH_EMBEDDING,
    lacking_package,
    located,
)
from mke_theory.models.speech_embedding import RATE, SHORTEST, frozen_speech_embedding, padded

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra mke_theory[pretrained]")
if absent := lacking_package(SPEECH_EMBEDDING):
    pytest.skip(absent, allow_module_level=True)

EVERY = ("mean", "max", "sd", "windows")


def sounds(n: int, samples: int, seed: int = 0) -> Tensor:
    """Gliding tones with a little noise, of one level and another."""
    draw = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / RATE
    low = 200 + 800 * torch.rand(n, 1, generator=draw)
    tones = torch.sin(2 * math.pi * low * time * (1 + time))
    level = torch.tensor([0.5, 0.004]).repeat(n)[:n, None]
    return level * tones + 1e-5 * torch.randn(n, samples, generator=draw)


def by_hand(wave: np.ndarray) -> np.ndarray:
    """The windows of one sound by onnxruntime alone, as the package's authors compute them."""
    mel = onnxruntime.InferenceSession(located(MELSPECTROGRAM))
    net = onnxruntime.InferenceSession(located(SPEECH_EMBEDDING))
    frames = np.squeeze(mel.run(None, {"input": 32768 * wave[None]})[0]) / 10 + 2
    windows = [frames[i : i + 76] for i in range(0, len(frames) - 75, 8)]
    return np.stack([net.run(None, {"input_1": w[None, :, :, None]})[0].ravel() for w in windows])


def test_another_path_through_the_same_files_agrees() -> None:
    waves = sounds(3, 2 * RATE)
    found = frozen_speech_embedding(EVERY)(waves)
    expected = torch.from_numpy(np.stack([by_hand(wave) for wave in waves.numpy()]))
    assert expected.shape == (3, 1 + (197 - 76) // 8, 96)
    torch.testing.assert_close(found["windows"], expected, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(found["mean"], found["windows"].mean(dim=1))
    torch.testing.assert_close(found["max"], found["windows"].max(dim=1).values)
    spread = found["windows"].numpy().std(axis=1)
    torch.testing.assert_close(found["sd"], torch.from_numpy(spread), atol=1e-4, rtol=1e-4)


def test_a_sound_does_not_depend_on_louder_ones_beside_it() -> None:
    waves = sounds(4, RATE)
    waves[:, RATE // 2 :] = 0  # silence is cut 80 dB below the loudest cell
    encoder = frozen_speech_embedding(("windows",))
    together = encoder(waves)["windows"]
    for i in range(4):
        torch.testing.assert_close(encoder(waves[i : i + 1])["windows"], together[i : i + 1])
    # The spectrogram's own file cuts below the loudest of the batch, so this is no idle check.
    mel = from_onnx(located(MELSPECTROGRAM), {"cut": "output"}, raw="float32 [b, samples]")
    batch, alone = mel(32768 * waves)["cut"][1], mel(32768 * waves[1:2])["cut"][0]
    assert float((batch - alone).abs().max()) > 1


def test_a_spectrogram_uncut_and_then_cut_by_sound_is_that_of_the_file() -> None:
    waves = sounds(2, RATE)
    waves[:, : RATE // 4] = 0
    names = {"whole": "onnx::ReduceMax_31", "cut": "output"}
    mel = from_onnx(located(MELSPECTROGRAM), names, raw="float32 [b, samples]")
    whole = mel(32768 * waves)["whole"]
    loudest = whole.amax(dim=(1, 2, 3), keepdim=True)
    alone = torch.cat([mel(32768 * wave[None])["cut"] for wave in waves])
    torch.testing.assert_close(torch.maximum(whole, loudest - 80), alone, atol=1e-4, rtol=0)


def test_a_sound_eight_frames_later_gives_the_windows_one_later() -> None:
    wave = sounds(1, 2 * RATE)
    later = torch.cat([wave[:, 1280:], torch.zeros(1, 1280)], dim=1)
    encoder = frozen_speech_embedding(("windows",))
    first, second = encoder(wave)["windows"][0], encoder(later)["windows"][0]
    unmoved = len(first) - 2  # the last windows hear the silence that came in
    torch.testing.assert_close(second[: unmoved - 1], first[1:unmoved], atol=1e-3, rtol=1e-3)
    assert float((first[1:] - first[:-1]).abs().max()) > 1


def test_short_sounds_lie_in_the_middle_of_silence() -> None:
    wave = sounds(1, 4001)
    assert padded(wave).shape == (1, SHORTEST)
    before = (SHORTEST - 4001) // 2
    assert torch.equal(padded(wave)[:, before : before + 4001], wave)
    assert not padded(wave)[:, :before].any() and not padded(wave)[:, before + 4001 :].any()
    encoder = frozen_speech_embedding(EVERY)
    found = encoder(wave)
    assert found["windows"].shape == (1, 1, 96)
    assert torch.equal(found["windows"][:, 0], found["max"]) and not found["sd"].any()
    assert torch.equal(encoder(padded(wave))["mean"], found["mean"])
    assert encoder(sounds(1, SHORTEST + 8 * 160 - 1))["windows"].shape[1] == 1
    assert encoder(sounds(1, SHORTEST + 8 * 160))["windows"].shape[1] == 2


def test_silence_has_an_embedding_too() -> None:
    assert bool(frozen_speech_embedding()(torch.zeros(1, RATE))["mean"].isfinite().all())


def test_what_is_no_sound_is_refused() -> None:
    encoder = frozen_speech_embedding()
    with pytest.raises(ValueError, match=r"largest \|sample\| is 1.64e\+04: divide samples of 16"):
        encoder(sounds(1, RATE) * 32768)
    with pytest.raises(ValueError, match=r"float32 \[b, samples\]; got torch.float64 \[1, 16000\]"):
        encoder(sounds(1, RATE).double())
    with pytest.raises(ValueError, match=r"float32 \[b, samples\]; got torch.float32 \[1, 1, 160"):
        encoder(sounds(1, RATE)[None])
    with pytest.raises(ValueError, match=r"taps are \['median'\]; choose from \('mean', 'max'"):
        frozen_speech_embedding(("median",))  # type: ignore[arg-type]


def test_content_is_one_whatever_the_taps() -> None:
    assert frozen_speech_embedding().content == frozen_speech_embedding(("windows",)).content
