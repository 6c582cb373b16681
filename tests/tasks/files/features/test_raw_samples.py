"""Samples are handed over as encoders take them: read when asked for, and named."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.files.features.raw_samples import (
    Computed,
    RawSamples,
    Sound,
    repeated_grey,
    sounds,
)


def recording(path: Path, samples: list[int], rate: int = 8000) -> Path:
    """A wav file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.array(samples, dtype="<i2").tobytes())
    return path


def test_short_sounds_have_silence_on_both_sides_and_a_peak_of_one(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav", [0, 8192, -16384, 4096])
    found = Sound(8000, 8 / 8000)(path)
    assert found.tolist() == [0, 0, 0, 0.5, -1, 0.25, 0, 0] and found.dtype == np.float32
    kept = Sound(8000, 8 / 8000, "as recorded")(path)
    assert kept.tolist() == [0, 0, 0, 0.25, -0.5, 0.125, 0, 0]


def test_the_middle_of_long_sounds_is_taken(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav", [32767, 8192, -8192, 32767])
    found = Sound(8000, 2 / 8000, "as recorded")(path)
    assert found.tolist() == [0.25, -0.25]


def test_sounds_are_brought_to_one_rate(tmp_path: Path) -> None:
    times = np.arange(8000) / 8000
    path = recording(
        tmp_path / "a.wav", (16384 * np.sin(2 * np.pi * 440 * times)).astype(int).tolist()
    )
    found = Sound(16_000, 1.0)(path)
    assert found.shape == (16_000,) and abs(found).max() == 1.0
    assert np.abs(np.fft.rfft(found)).argmax() == 440


def test_samples_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    paths = [recording(tmp_path / f"{i}.wav", [1000 * (i + 1)] * 4) for i in range(3)]
    found = sounds(paths, Sound(8000, 4 / 8000, "as recorded"))
    assert len(found) == 3 and found.shape == (3, 4)
    paths[2].unlink()
    assert found[0:2].shape == (2, 4)
    with pytest.raises(FileNotFoundError, match=r"2\.wav"):
        found[2:3]


def test_grey_pictures_have_three_equal_colours() -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    found = repeated_grey(grey)
    assert found.shape == (2, 3, 3, 4) and found[0:2].dtype == np.uint8
    assert all(np.array_equal(found[0:2][:, colour], grey) for colour in range(3))
    assert np.array_equal(found[np.array([1])][0, 2], grey[1])


@pytest.mark.parametrize("bad", [{"rate": 0}, {"seconds": 0.0}, {"level": "loud"}])
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rate is .* \(at least 1 Hz\), seconds"):
        Sound(**bad)  # type: ignore[arg-type]


def test_every_sample_needs_a_name() -> None:
    with pytest.raises(ValueError, match="d: 2 samples of 'image' have 1 names; each needs one"):
        RawSamples(np.zeros((2, 3, 4, 4)), ("a",), "image", "d", "0")
    with pytest.raises(ValueError, match="at least one sample"):
        Computed(0, lambda row: np.zeros(3))
