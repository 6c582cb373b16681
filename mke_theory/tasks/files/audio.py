"""Recordings as log-mel spectrograms of one length."""

from __future__ import annotations

import io
import os
import struct
import warnings
from dataclasses import dataclass
from functools import cache as remember
from pathlib import Path

import numpy as np

from mke_theory.data.optional_imports import library

SILENCE = 1e-4
"""A recording whose largest |sample| is below this (−80 dB of full scale) is refused as silent."""

FLOOR = -60.0
"""The value of a spectrogram where it is quietest, in dB below its loudest cell."""

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""The sizes that FFmpeg states of a file whose size it cannot know."""

_ENDLESS = (0x7FFFF024, 0x80000024, 0xFFFFFFFF)
_HEAD = 128  # bytes: some programs take their header, or half a sample, off an endless size
LOUDEST = 4.0
"""Full scale is 1, which a mix may exceed a little; a recording beyond this has other units."""

_WAV = ("WAV", "WAVEX", "RF64")
_CANCELLED = 0.1
_NOTHING = 1e-8  # power in a band, of a wave with peak 1; a lone click has about 1


@dataclass(frozen=True)
class FrontEnd:
    """The settings by which a recording becomes a [bands, frames] picture.

    `window` and `hop` are in seconds, `rate`, `low` and `high` in Hz, `floor` in dB below the
    loudest cell.
    """

    rate: int = 8000
    bands: int = 40
    window: float = 0.032
    hop: float = 0.016
    low: float = 50.0
    high: float = 4000.0
    floor: float = FLOOR
    frames: int = 48

    def __post_init__(self) -> None:
        if min(self.rate, self.bands, self.frames) < 1:
            raise ValueError(
                f"rate, bands and frames must be at least 1; got {self.rate}, {self.bands} and "
                f"{self.frames}"
            )
        if round(self.window * self.rate) < 2 or round(self.hop * self.rate) < 1:
            raise ValueError(
                f"a window needs at least 2 samples and a hop 1; got {self.window} s and "
                f"{self.hop} s at {self.rate} Hz"
            )
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise ValueError(
                f"needs 0 ≤ low < high ≤ {self.rate / 2:g} Hz, half the rate; got {self.low} and "
                f"{self.high}"
            )
        if not -np.inf < self.floor < 0:
            raise ValueError(f"floor must be finite and below 0 dB; got {self.floor}")

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """The spectrogram of `wave`, [bands, frames] float32 in [floor, 0]."""
        return fixed_length(self.log_mel(wave), self.frames, fill=self.floor)

    def log_mel(self, wave: np.ndarray) -> np.ndarray:
        """The power in mel bands over time, in dB below the loudest cell: [bands, t] float32.

        max(10 log10(P / max P), floor), with P the power of Hann windows, one every `hop` and
        centred on it, in triangular bands between `low` and `high` on the mel scale. Values do not
        change when the recording is made louder, as the level is that of the microphone. There are
        t = 1 + n // (hop · rate) frames.

        Raises ValueError where the wave is not [n], shorter than one window, silent (between `low`
        and `high`) or not finite, or where there are more bands than a window can tell apart.
        """
        length, stride = round(self.window * self.rate), round(self.hop * self.rate)
        if wave.ndim != 1 or len(wave) < length:
            raise ValueError(
                f"a wave has to be [n] with n at least {length} (one window of {self.window} s at "
                f"{self.rate} Hz); got shape {wave.shape}"
            )
        peak = np.abs(wave).max()
        if not SILENCE <= peak < np.inf:
            raise ValueError(
                f"the peak of a wave has to be finite and at least {SILENCE:g}; got {peak}"
            )
        taper, mel = _window_and_bands(length, self.rate, self.bands, self.low, self.high)
        power = library("transformers.audio_utils", "spectrograms need").spectrogram(
            wave / peak,
            taper,
            length,
            stride,
            fft_length=_fft(length),
            power=2.0,
            mel_filters=mel,
            mel_floor=0.0,
        )
        loudest = power.max()
        if loudest < _NOTHING:
            raise ValueError(f"the wave has no sound between {self.low} and {self.high} Hz")
        relative = np.maximum(power / loudest, 10.0 ** (self.floor / 10.0))
        return (10.0 * np.log10(relative)).astype(np.float32)


def read_wav(path: Path | str, *, rate: int = 8000) -> np.ndarray:
    """The samples of a wav file, [n] float32 in [-1, 1], n ≥ 1; channels as `one_channel` has them.

    Raises FileNotFoundError where there is no such file, and ValueError, with the file's name,
    where it is truncated, not a wav (`media.read_sound` knows other kinds), empty, silent (peak
    below `SILENCE`), in other units (above `LOUDEST`), not finite, or at another sample rate than
    `rate`.
    """
    soundfile = library("soundfile", "reading wav needs")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    refuse_truncated(path)
    try:
        with soundfile.SoundFile(with_true_sizes(path)) as file:
            # Of other kinds the length is what they state, which need not be all there is.
            if file.format not in _WAV:
                raise ValueError(f"{path}: is {file.format}, a wav file is wanted; convert it")
            samples, found = file.read(dtype="float32", always_2d=True), file.samplerate
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path}: not a readable wav file ({error}); fetch it again") from error
    if found != rate:
        raise ValueError(
            f"{path}: sample rate is {found} Hz, {rate} Hz is wanted; resample the file, or ask "
            f"for rate={found} if all recordings have it"
        )
    if len(samples) == 0:
        raise ValueError(f"{path}: has no samples; fetch it again or leave it out")
    if not np.isfinite(samples).all():
        raise ValueError(f"{path}: has samples that are NaN or infinite; fetch it again")
    wave = one_channel(samples, axis=1)
    refuse_level(path, wave)
    return wave


def one_channel(samples: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean [n] of the channels along `axis`, or the loudest one where they cancel.

    They cancel where their sum has less than a tenth of the power that they have together, as
    happens to a channel beside its inverse: the mean is then what the codec left over. Channels
    that have nothing in common have as much power in their sum as together.
    """
    mean: np.ndarray = samples.mean(axis=axis)
    power = np.square(samples, dtype=np.float64).sum(axis=1 - axis)
    in_sum = np.square(mean, dtype=np.float64).sum() * len(power) ** 2
    if len(power) < 2 or in_sum >= _CANCELLED * power.sum():
        return mean
    return np.ascontiguousarray(samples.take(int(power.argmax()), axis=axis))


def refuse_level(path: Path, wave: np.ndarray) -> None:
    """Raise ValueError where a wave [n] is silent, in other units than ±1, or not finite."""
    peak = float(np.abs(wave).max())
    if not np.isfinite(peak):
        raise ValueError(f"{path}: has samples that are NaN or infinite; fetch it again")
    if peak < SILENCE:
        raise ValueError(
            f"{path}: is silent (peak {peak:.2g}, at least {SILENCE:g} of full scale is wanted); "
            "leave it out"
        )
    if peak > LOUDEST:
        raise ValueError(
            f"{path}: has samples up to {peak:.6g}, where full scale is 1 (at most {LOUDEST:g} is "
            "allowed); it holds integers as floats: divide by 32768 (of 16 bits), or write them as "
            "integers"
        )


def fixed_length(spectrogram: np.ndarray, frames: int, *, fill: float = FLOOR) -> np.ndarray:
    """The middle `frames` frames of [bands, t], or all t of them with `fill` on both sides.

    Where the difference is odd the extra frame is cut, or filled, at the end.
    """
    if spectrogram.ndim != 2 or frames < 1:
        raise ValueError(
            f"needs a [bands, t] array and frames ≥ 1; got {spectrogram.shape} and {frames}"
        )
    there = spectrogram.shape[1]
    start = abs(there - frames) // 2
    if there >= frames:
        return spectrogram[:, start : start + frames]
    result = np.full((len(spectrogram), frames), fill, dtype=spectrogram.dtype)
    result[:, start : start + there] = spectrogram
    return result


def refuse_truncated(path: Path) -> None:
    """Raise ValueError where a RIFF or RIFX ends before its data do (libsndfile would not mind)."""
    found = _data_of(path)
    if found is None:
        return
    start, stated, _ = found
    missing = start + stated - path.stat().st_size
    if missing > 0 and not _is_unknown(stated):
        raise ValueError(f"{path}: truncated, {missing} bytes are missing; fetch it again")


def with_true_sizes(path: Path) -> Path | io.BytesIO:
    """The path; where its wav was written into a pipe, the content with its size filled in.

    A program that writes into a pipe does not know the size when it writes the header: it states
    none or nearly 2 or 4 GiB (sox, arecord, libsndfile). All that follows is sound then.
    """
    found = _data_of(path)
    if found is None or not _is_unknown(found[1]) or found[1] == 0xFFFFFFFF:
        return path  # libsndfile knows the last one
    start, stated, order = found
    size = path.stat().st_size
    if start + stated <= size and stated:  # it is as large as it says
        return path
    content = bytearray(path.read_bytes())
    struct.pack_into(f"{order}I", content, start - 4, size - start)
    struct.pack_into(f"{order}I", content, 4, size - 8)
    return io.BytesIO(content)


def _is_unknown(size: int) -> bool:
    return size == 0 or any(0 <= limit - size <= _HEAD for limit in _ENDLESS)


def _data_of(path: Path) -> tuple[int, int, str] | None:
    """The place of a wav's samples, their size as stated, and its byte order; None of other files.

    Raises ValueError where the file ends before them.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if kind not in (b"RIFF", b"RIFX") or form != b"WAVE":
            return None
        order = "<" if kind == b"RIFF" else ">"
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack(f"{order}4sI", head)
            if name == b"data":
                return file.tell(), length, order
            if missing := max(0, file.tell() + length - size):
                raise ValueError(f"{path}: truncated, {missing} bytes are missing; fetch it again")
            file.seek(length + length % 2, os.SEEK_CUR)
    raise ValueError(f"{path}: truncated, it has no samples; fetch it again")


def _fft(length: int) -> int:
    return 1 << (length - 1).bit_length()


@remember
def _window_and_bands(
    length: int, rate: int, bands: int, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    audio = library("transformers.audio_utils", "spectrograms need")
    bins = _fft(length) // 2 + 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            mel = audio.mel_filter_bank(bins, bands, low, high, rate)
        except UserWarning as error:
            raise ValueError(
                f"{bands} bands are too many for a window of {length} samples: some would be "
                "empty; take fewer bands or a longer window"
            ) from error
    return audio.window_function(length, "hann"), mel
