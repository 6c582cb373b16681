"""Recordings that are as they should be become spectrograms; the others are refused by name."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.files.audio import (
    FLOOR,
    FrontEnd,
    fixed_length,
    one_channel,
    read_wav,
)
from mke_theory.tasks.files.media import read_sound

soundfile = pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")
pytest.importorskip("transformers", reason="needs the extra mke_theory[data]")


def tone(frequency: float = 440.0, seconds: float = 0.5, rate: int = 8000) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype, format="WAV")
    return path


def wav_bytes(samples: list[int]) -> bytes:
    """A wav file by hand: 8 kHz, mono, 16 bit."""
    data = struct.pack(f"<{len(samples)}h", *samples)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


# reading


def test_samples_of_a_file_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes([0, 16384, -32768, 8192]))
    wave = read_wav(path)
    assert wave.dtype == np.float32
    np.testing.assert_array_equal(wave, [0.0, 0.5, -1.0, 0.25])


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.array([[0.5, 0.25], [-0.5, 0.0]]), subtype="FLOAT")
    np.testing.assert_array_equal(read_wav(path), [0.375, -0.25])


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole, path = wav_bytes([1000] * 20), tmp_path / "cut.wav"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.wav"):
            read_wav(path)
    path.write_bytes(whole)
    assert len(read_wav(path)) == 20


def test_truncation_is_seen_behind_other_chunks(tmp_path: Path) -> None:
    whole = wav_bytes([1000] * 20)
    note = struct.pack("<4sI4s", b"LIST", 3, b"abc\0")  # odd lengths are padded by one byte
    path = tmp_path / "a.wav"
    path.write_bytes(whole[:36] + note + whole[36:])
    assert len(read_wav(path)) == 20
    path.write_bytes(whole[:36] + note + whole[36:-1])
    with pytest.raises(ValueError, match="truncated, 1 bytes are missing"):
        read_wav(path)


@pytest.mark.parametrize(
    "size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB]
)
def test_a_wav_that_was_written_into_a_pipe_is_read_to_its_end(size: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone())
    whole = path.read_bytes()
    start = whole.index(b"data") + 8
    path.write_bytes(whole[: start - 4] + size.to_bytes(4, "little") + whole[start:])
    np.testing.assert_array_equal(read_wav(path), read_wav(write(tmp_path / "b.wav", tone())))
    assert len(read_sound(path, rate=8000)) == len(tone())


def test_a_size_that_no_program_writes_for_an_unknown_one_is_a_truncation(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone())
    whole = path.read_bytes()
    start = whole.index(b"data") + 8
    for size in (len(whole), 0x7FFF0000, 0x90000000):
        path.write_bytes(whole[: start - 4] + size.to_bytes(4, "little") + whole[start:])
        with pytest.raises(ValueError, match="truncated"):
            read_sound(path, rate=8000)


def test_a_streamed_file_of_unknown_length_is_read(tmp_path: Path) -> None:
    whole = bytearray(wav_bytes([1000] * 20))
    whole[4:8] = whole[40:44] = b"\xff" * 4
    path = tmp_path / "a.wav"
    path.write_bytes(whole)
    assert len(read_wav(path)) == 20


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(4000), 8000, "is silent"),
        (np.full(4000, 9e-5), 8000, "is silent"),
        (np.zeros(0), 8000, "no samples"),
        (tone(rate=16000), 16000, "sample rate is 16000 Hz, 8000 Hz is wanted"),
        (np.array([0.1, np.nan, 0.2]), 8000, "NaN or infinite"),
        (np.array([0.1, np.inf, 0.2]), 8000, "NaN or infinite"),
    ],
)
def test_unusable_recordings_are_refused_by_name(
    tmp_path: Path, samples: np.ndarray, rate: int, message: str
) -> None:
    path = write(tmp_path / "3_theo_7.wav", samples, rate, "FLOAT")
    with pytest.raises(ValueError, match=message) as caught:
        read_wav(path)
    assert "3_theo_7.wav" in str(caught.value)


def test_garbage_and_absence_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(np.random.default_rng(0).bytes(2000))
    with pytest.raises(ValueError, match=r"a\.wav: not a readable wav"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(FileNotFoundError, match=r"b\.wav"):
        read_wav(tmp_path / "b.wav")
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.aiff"])
def test_what_is_no_wav_is_refused(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, tone(), 8000)
    (tmp_path / name).rename(tmp_path / "a.wav")
    with pytest.raises(ValueError, match=r"a\.wav: is \w+, a wav file is wanted; convert it"):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("soundfile", lambda path: read_wav(path)),
        ("transformers", lambda path: FrontEnd(bands=39).log_mel(tone(frequency=441.5))),
    ],
)
def test_a_missing_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, use: object
) -> None:
    for loaded in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)  # by a test before
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"mke_theory\[data\]"):
        use(tmp_path / "a.wav")  # type: ignore[operator]


# the spectrogram


def by_definition(wave: np.ndarray, bands: int = 40) -> np.ndarray:
    """The same front end from its formulas: a Fourier sum for each frame, triangles on mel."""
    padded = np.pad(wave.astype(np.float64), 128, mode="reflect")
    frames = np.stack([padded[at : at + 256] for at in range(0, len(padded) - 255, 128)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    phase = np.exp(-2j * np.pi * np.outer(np.arange(256), np.arange(129)) / 256)
    power = np.abs((frames * hann) @ phase) ** 2
    low, high = 2595 * np.log10(1 + np.array([50.0, 4000.0]) / 700)
    corner = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    hertz = np.arange(129) * 8000 / 256
    energy = np.zeros((bands, len(frames)))
    for band in range(bands):
        left, middle, right = corner[band : band + 3]
        rising, falling = (hertz - left) / (middle - left), (right - hertz) / (right - middle)
        energy[band] = power @ np.clip(np.minimum(rising, falling), 0, None)
    return np.maximum(10 * np.log10(np.maximum(energy, 1e-30) / energy.max()), -60.0)


def test_log_mel_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    wave = (tone(700.0) + 0.05 * rng.standard_normal(4000)).astype(np.float32)
    np.testing.assert_allclose(FrontEnd().log_mel(wave), by_definition(wave), atol=1e-3)


@given(
    frequency=st.floats(150.0, 3800.0),
    gain=st.floats(1e-3, 1.0),
    samples=st.integers(256, 3000),
    seed=st.integers(0, 99),
)
def test_log_mel_in_general(frequency: float, gain: float, samples: int, seed: int) -> None:
    noise = 0.01 * np.random.default_rng(seed).standard_normal(samples)
    wave = tone(frequency, seconds=samples / 8000) + noise
    result = FrontEnd().log_mel(wave)
    assert result.shape == (40, 1 + samples // 128) and result.dtype == np.float32
    assert result.max() == 0.0 and result.min() >= FLOOR
    np.testing.assert_allclose(FrontEnd().log_mel(gain * wave), result, atol=1e-3)


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_its_band(frequency: float) -> None:
    def mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    place = (mel(frequency) - mel(50.0)) / (mel(4000.0) - mel(50.0)) * 41 - 1
    loudest = FrontEnd().log_mel(tone(frequency))[:, 5:-5].mean(axis=1).argmax()
    assert abs(loudest - place) <= 1.0


@pytest.mark.parametrize(
    ("wave", "settings", "message"),
    [
        (np.ones((2, 4000)), {}, "has to be"),
        (tone(seconds=0.03), {}, "at least 256"),
        (np.zeros(4000), {}, "peak"),
        (np.full(4000, np.nan), {}, "peak"),
        (np.full(4000, np.inf), {}, "peak"),
        (np.full(4000, 0.5), {}, "no sound between"),
        (tone(), {"rate": 0}, "at least 1"),
        (tone(), {"bands": 0}, "at least 1"),
        (tone(), {"frames": 0}, "at least 1"),
        (tone(), {"hop": 0.0}, "a hop 1"),
        (tone(), {"high": 4001.0}, "half the rate"),
        (tone(), {"low": 4000.0}, "half the rate"),
        (tone(), {"floor": 0.0}, "below 0 dB"),
        (tone(), {"bands": 120}, "too many"),
    ],
)
def test_log_mel_refuses(wave: np.ndarray, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrontEnd(**settings).log_mel(wave)  # type: ignore[arg-type]


def test_fixed_length_by_hand() -> None:
    there = np.arange(1.0, 6.0, dtype=np.float32)[None]
    np.testing.assert_array_equal(fixed_length(there, 5), there)
    np.testing.assert_array_equal(fixed_length(there, 3), [[2, 3, 4]])
    np.testing.assert_array_equal(fixed_length(there, 2), [[2, 3]])
    np.testing.assert_array_equal(fixed_length(there, 7, fill=0), [[0, 1, 2, 3, 4, 5, 0]])
    padded = fixed_length(there, 8)
    np.testing.assert_array_equal(padded, [[FLOOR, 1, 2, 3, 4, 5, FLOOR, FLOOR]])
    assert padded.dtype == np.float32
    with pytest.raises(ValueError, match="frames"):
        fixed_length(there, 0)
    with pytest.raises(ValueError, match="bands"):
        fixed_length(there[0], 3)


@pytest.mark.parametrize("loud", [1.0, -1.0, -0.8])
def test_channels_that_cancel_give_the_loudest(loud: float, tmp_path: Path) -> None:
    wave = 0.4 * tone()
    both = np.stack([wave, loud * wave], axis=1)
    found = read_wav(write(tmp_path / "a.wav", both))
    expected = both.mean(axis=1) if loud > 0 else wave
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(st.integers(1, 7), st.integers(0, 1000))
def test_channels_that_have_nothing_in_common_do_not_cancel(many: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=(many, 4000)).astype(np.float32)
    assert np.array_equal(one_channel(samples, axis=0), samples.mean(axis=0))
    samples[1:] = 0  # nor does one that is alone
    assert np.array_equal(one_channel(samples, axis=0), samples.mean(axis=0))


def test_floats_in_the_range_of_integers_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", 32767 * tone(), subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: has samples up to .* full scale is 1"):
        read_wav(path)
    assert len(read_wav(write(tmp_path / "b.wav", 1.5 * tone(), subtype="FLOAT")))
