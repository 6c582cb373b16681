"""Recordings through the pre-trained ear: the same as by hand, at any level, and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from mke_theory.models import frozen_speech_embedding
from mke_theory.tasks.av_digits import speech
from mke_theory.tasks.av_digits.reader import load, recording_names
from mke_theory.tasks.av_digits.speech import embeddings, lacking_ear

soundfile = pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")
pytest.importorskip("onnxruntime", reason="needs the extra mke_theory[pretrained]")
if absent := lacking_ear():
    pytest.skip(absent, allow_module_level=True)


def some(folder: Path, n: int = 3) -> list[Path]:
    return [folder / "recordings" / name for name in recording_names(folder)[:n]]


def test_an_embedding_by_hand(folder: Path, tmp_path: Path) -> None:
    (path,) = some(folder, 1)
    wave, rate = soundfile.read(path, dtype="float32")
    assert rate == 8000
    loud = resample_poly(wave, 2, 1)
    loud = (loud / np.abs(loud).max() / 2).astype(np.float32)
    windows = frozen_speech_embedding(("windows",))(torch.from_numpy(loud)[None])["windows"][0]
    found = embeddings([path], cache=tmp_path)
    assert found.shape == (1, 96) and found.dtype == np.float32
    np.testing.assert_allclose(found[0], windows.max(dim=0).values, atol=1e-3)


def test_a_louder_recording_has_the_same_embedding(folder: Path, tmp_path: Path) -> None:
    (path,) = some(folder, 1)
    wave, rate = soundfile.read(path, dtype="float32")
    soundfile.write(tmp_path / "quiet.wav", wave / 20, rate, subtype="FLOAT")
    first, second = embeddings([path, tmp_path / "quiet.wav"], cache=tmp_path / "cache")
    np.testing.assert_allclose(first, second, atol=1e-2)


def test_embeddings_are_kept_for_recordings_and_encoder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, heard = some(folder), []
    once = speech._embedding

    def counted(path: Path, encoder: object) -> np.ndarray:
        heard.append(path.name)
        return once(path, encoder)  # type: ignore[arg-type]

    monkeypatch.setattr(speech, "_embedding", counted)
    first = embeddings(paths, cache=tmp_path)
    assert np.array_equal(embeddings(paths, cache=tmp_path), first)
    assert heard == [path.name for path in paths]
    embeddings(paths[:2], cache=tmp_path)
    monkeypatch.setattr(speech, "LEVEL", 0.25)
    embeddings(paths, cache=tmp_path)
    assert len(heard) == 3 + 2 + 3


def test_an_unusable_recording_is_named(copy: Path, tmp_path: Path) -> None:
    paths = some(copy)
    soundfile.write(paths[1], np.zeros(4000), 8000)
    with pytest.raises(
        ValueError, match=rf"1 of 3 files cannot be used:\n.*{paths[1].name}.*silent"
    ):
        embeddings(paths, cache=tmp_path)


def test_the_data_have_one_embedding_a_recording(folder: Path, tmp_path: Path) -> None:
    found = load(folder, ear="embedding", cache=tmp_path)
    assert found.audio.shape == (len(found.names), 96)
    plain = load(folder, cache=tmp_path)
    assert plain.names == found.names and plain.audio.ndim == 4
