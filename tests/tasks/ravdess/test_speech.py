"""Speech: what is cut off, what a tone looks like, and statistics worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.ravdess.speech import BANDS, FLOOR, RATE, log_mel, statistics, trimmed
from tests.tasks.files.clips import sine

pytest.importorskip("transformers", reason="needs the extra mke_theory[data]")


def test_silence_goes_but_for_a_margin() -> None:
    tone = sine(400.0, 1.0, RATE)  # 8000 samples, which are 62 whole blocks and a half
    wave = np.concatenate([np.zeros(12800, np.float32), tone, np.zeros(16000, np.float32)])
    cut = trimmed(wave)
    # 0.1 s are 800 samples; the block in which the tone ends is whole.
    assert len(cut) == 800 + 63 * 128 + 800
    assert np.array_equal(cut, wave[12000 : 12000 + len(cut)])


@pytest.mark.parametrize(("level", "kept"), [(1.1, True), (0.9, False)])
def test_what_is_35_db_below_the_loudest_is_silence(level: float, kept: bool) -> None:
    quiet = level * 10 ** (-35 / 20) * np.ones(12800, np.float32)
    wave = np.concatenate([quiet, np.ones(1280, np.float32)])
    assert len(trimmed(wave)) == (len(wave) if kept else 800 + 1280)


@given(seed=st.integers(0, 99), samples=st.integers(1, 4000))
def test_trimming_keeps_the_middle_and_never_lengthens(seed: int, samples: int) -> None:
    wave = np.random.default_rng(seed).normal(size=samples).astype(np.float32)
    cut = trimmed(wave)
    assert len(cut) <= samples and wave.tobytes().find(cut.tobytes()) % 4 == 0


def test_log_mel_is_that_of_the_formula() -> None:
    wave = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    frames = np.stack([wave[at : at + 256] for at in range(0, 1000 - 255, 128)])
    power = np.abs(np.fft.rfft(frames * np.hanning(256), axis=1)) ** 2
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (50, 4000))
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    bins = np.arange(129) * RATE / 256
    low, centre, high = (edges[at : at + BANDS, None] for at in range(3))
    bands = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0)
    expected = np.log(np.maximum(power @ bands.T, FLOOR))
    assert np.allclose(log_mel(wave), expected, atol=1e-4)
    assert log_mel(wave).dtype == np.float32


def test_twice_as_loud_is_ln_4_more_and_silence_is_the_floor() -> None:
    tone = sine(1000.0, 0.5, RATE)
    inside = log_mel(tone) > np.log(FLOOR) + 2
    assert np.allclose((log_mel(2 * tone) - log_mel(tone))[inside], np.log(4), atol=1e-3)
    assert np.allclose(log_mel(np.zeros(512, np.float32)), np.log(FLOOR))


@pytest.mark.parametrize("samples", [0, 255])
def test_less_than_a_window_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match="at least 256"):
        log_mel(np.ones(samples, np.float32))


def test_statistics_worked_out_by_hand() -> None:
    first = [[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]  # sd √(8/3), changes 2 and 2; nothing moves
    second = [[6.0, 0.0], [10.0, 3.0], [2.0, 0.0]]  # changes 4 and −8, 3 and −3
    expected = [
        *([2.0, 1.0], [np.sqrt(8 / 3), 0.0], [0.0, 0.0]),
        *([6.0, 1.0], [np.sqrt(32 / 3), np.sqrt(2.0)], [6.0, 3.0]),
    ]
    assert np.allclose(statistics(np.array(first + second), parts=2), np.concatenate(expected))


@given(length=st.integers(12, 40), seed=st.integers(0, 99))
def test_any_length_gives_720_numbers(length: int, seed: int) -> None:
    found = statistics(np.random.default_rng(seed).normal(size=(length, BANDS)))
    assert found.shape == (6 * 3 * BANDS,) and np.isfinite(found).all()


def test_too_short_or_broken_spectrograms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"t at least 12 \(0\.19 s\)"):
        statistics(np.zeros((11, BANDS)))
    broken = np.zeros((20, BANDS))
    broken[3, 5] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        statistics(broken)


@pytest.mark.data("ravdess")
def test_the_tables_bands_are_those_of_the_sound(data_root: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")
    folder = data_root / "ravdess"
    with np.load(folder / "logmel40.npz") as stored:
        rows = range(0, 1440, 144)
        clips, frames = stored["clip"], stored["frames"].astype(np.float32)
        pieces = [frames[stored["start"][r] :][: stored["length"][r]] for r in rows]
    for row, piece in zip(rows, pieces, strict=True):
        wave, rate = soundfile.read(folder / "audio_8k" / f"03-{clips[row]}.flac", dtype="float32")
        mine = log_mel(wave)
        assert rate == RATE and mine.shape == piece.shape
        # Sound near 16 bits' own noise was lost when it was written.
        loud = piece > piece.max() - 10
        assert np.abs(mine - piece)[loud].mean() < 0.01
