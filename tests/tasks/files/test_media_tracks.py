"""Sound and pictures stay on one time axis, upright, at one rate and whole, or are refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.tasks.files.media import LATE, frames_and_end, read_frames, read_sound
from tests.tasks.files.clips import brightening, flat, sine, write_clip, write_sound

av = pytest.importorskip("av", reason="needs the extra mke_theory[data]")
soundfile = pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")

RATE, FPS, SIZE = 16000, 10, (24, 32)
LOSS = 4  # grey levels that compression may change


def film_of(
    path: Path,
    *,
    sound_at: Sequence[float] = (0.0,),
    picture_at: float = 0.0,
    seconds: float = 2.0,
) -> Path:
    """A film whose pictures begin at one moment, and its sound, in parts, at others.

    The tone is cut into as many equal parts as there are moments.
    """
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", FPS)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        video.codec_context.thread_count = 1
        audio = film.add_stream("aac", RATE, layout="mono")
        packets: list[Any] = []
        for index in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(flat(brightening(index)), format="rgb24")
            frame.pts, frame.time_base = index + round(picture_at * FPS), Fraction(1, FPS)
            packets += video.encode(frame)
        tone = sine(440, seconds, RATE)[: 1024 * int(seconds * RATE / 1024)]
        for part, moment in zip(np.split(tone, len(sound_at)), sound_at, strict=True):
            for at in range(0, len(part), 1024):
                block = np.ascontiguousarray(part[None, at : at + 1024])
                sound = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                sound.sample_rate, sound.time_base = RATE, Fraction(1, RATE)
                sound.pts = round(moment * RATE) + at
                packets += audio.encode(sound)
        packets += [*video.encode(), *audio.encode()]
        film.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def onset(wave: np.ndarray) -> float:
    """The second at which the tone begins."""
    return float(np.flatnonzero(np.abs(wave) > 0.1)[0] / RATE)


def levels(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).mean(axis=1)


# One time axis


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
def test_sound_that_begins_after_the_picture_is_preceded_by_silence(
    tmp_path: Path, name: str
) -> None:
    path = film_of(tmp_path / name, sound_at=(0.7,))
    wave = read_sound(path, rate=RATE)
    assert onset(wave) == pytest.approx(0.7, abs=0.07)  # a block of the codec
    assert np.abs(wave[: round(0.6 * RATE)]).max() < 1e-3
    assert len(wave) / RATE == pytest.approx(2.7, abs=0.15)
    np.testing.assert_allclose(
        levels(read_frames(path, size=SIZE)), [brightening(i) for i in (2, 7, 12, 17)], atol=LOSS
    )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_the_first_frame_stands_where_the_sound_begins_first(tmp_path: Path, name: str) -> None:
    path = film_of(tmp_path / name, picture_at=0.7)
    pictures, end = frames_and_end(path, every=0.5, size=SIZE)
    # At 0.25 s nothing is shown yet; then 0.75, 1.25, 1.75, 2.25 s are frames 0, 5, 10 and 15.
    wanted = [brightening(i) for i in (0, 0, 5, 10, 15)]
    np.testing.assert_allclose(levels(pictures), wanted, atol=LOSS)
    assert end == pytest.approx(2.7, abs=0.07)
    assert onset(read_sound(path, rate=RATE)) == pytest.approx(0, abs=0.07)
    # At 0.15, 0.45 and 0.75 s the first frame, then one more every three.
    finer, _ = frames_and_end(path, every=0.3, size=SIZE)
    wanted = [brightening(i) for i in (0, 0, 0, 3, 6, 9, 12, 15, 18)]
    np.testing.assert_allclose(levels(finer), wanted, atol=LOSS)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_film_whose_clock_does_not_begin_at_zero_is_the_same(tmp_path: Path, name: str) -> None:
    path = film_of(tmp_path / name, sound_at=(5.0,), picture_at=5.0)
    pictures, end = frames_and_end(path, every=0.5, size=SIZE)
    np.testing.assert_allclose(
        levels(pictures), [brightening(i) for i in (2, 7, 12, 17)], atol=LOSS
    )
    assert end == pytest.approx(2.0, abs=0.01)
    wave = read_sound(path, rate=RATE)
    assert onset(wave) == pytest.approx(0, abs=0.07)
    assert len(wave) / RATE == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_what_is_hardly_late_is_not_late(tmp_path: Path, name: str) -> None:
    assert LATE == 0.1
    path = film_of(tmp_path / name, sound_at=(0.05,))
    assert len(read_sound(path, rate=RATE)) == pytest.approx(2 * RATE, abs=0.13 * RATE)
    plain = write_clip(tmp_path / f"plain-{name}")
    assert frames_and_end(plain, every=0.5, size=SIZE)[1] == pytest.approx(2.0, abs=1e-6)


def test_a_pause_in_the_sound_is_silence(tmp_path: Path) -> None:
    path = film_of(tmp_path / "a.mkv", sound_at=(0.0, 1.6))
    wave = read_sound(path, rate=RATE)
    loud = np.abs(wave[: len(wave) // 160 * 160]).reshape(-1, 160).max(axis=1) > 0.1
    assert loud[5:90].all() and not loud[115:150].any() and loud[175:250].all()


# Upright


ONE = 1 << 16
PICTURE = np.zeros((48, 64, 3), np.uint8)
PICTURE[:24, :32], PICTURE[24:, 32:] = (220, 40, 40), (40, 40, 220)
PICTURE[:24, 32:] = (40, 200, 40)


def shown(tmp_path: Path, matrix: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """The picture of a film with this display matrix (a, b, c, d)."""
    path = write_clip(tmp_path / "a.mp4", seconds=0.5, picture=PICTURE)
    unity = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    a, b, c, d = matrix
    other = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    before, mark, after = path.read_bytes().partition(b"tkhd")
    assert unity in after
    path.write_bytes(before + mark + after.replace(unity, other, 1))
    return read_frames(path, size=size)[0]


@pytest.mark.parametrize(
    ("matrix", "corners"),
    [
        # left above, right above, left below, right below; as r, g, k (black) and b
        ((ONE, 0, 0, ONE), "rgkb"),
        ((-ONE, 0, 0, ONE), "grbk"),  # mirrored left to right
        ((ONE, 0, 0, -ONE), "kbrg"),  # mirrored upside down
        ((-ONE, 0, 0, -ONE), "bkgr"),  # turned by 180°
        ((0, ONE, -ONE, 0), "krbg"),  # turned by 90° clockwise
        ((0, -ONE, ONE, 0), "gbrk"),  # turned by 90° counterclockwise
        ((0, ONE, ONE, 0), "rkgb"),  # mirrored at the diagonal
        ((0, -ONE, -ONE, 0), "bgkr"),  # mirrored at the other one
        ((-ONE, ONE // 50, 0, ONE // 2), "grbk"),  # wide pixels, and off by a degree
    ],
)
def test_a_film_is_turned_and_mirrored_as_it_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], corners: str
) -> None:
    size = (24, 32) if matrix[0] else (32, 24)
    picture = shown(tmp_path, matrix, size)
    assert picture.shape == (*size, 3)
    height, width = size[0] // 2, size[1] // 2
    colours = {"r": (220, 40, 40), "g": (40, 200, 40), "b": (40, 40, 220), "k": (0, 0, 0)}
    for index, corner in enumerate(corners):
        top, left = index // 2 * height, index % 2 * width
        middle = picture[top + 3 : top + height - 3, left + 3 : left + width - 3]
        np.testing.assert_allclose(middle.mean((0, 1)), colours[corner], atol=12, err_msg=corner)


@pytest.mark.parametrize(
    "matrix", [(46341, 46341, -46341, 46341), (ONE, ONE, 0, ONE), (ONE, 0, 0, 0), (0, 0, 0, 0)]
)
def test_a_film_that_is_shown_askew_is_refused(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    with pytest.raises(ValueError, match=r"a\.mp4: is shown askew .*; .* convert it"):
        shown(tmp_path, matrix, SIZE)


# At one rate


def adts(path: Path, *sounds: tuple[int, str]) -> Path:
    """AAC tracks of a second, one after the other in one stream: (rate, layout) each."""
    parts = []
    for index, (rate, layout) in enumerate(sounds):
        part = path.with_name(f"{index}-{path.stem}.aac")
        tone = sine(440, 1, rate)[None].repeat(2 if layout == "stereo" else 1, axis=0)
        parts.append(write_clip(part, size=None, sound=tone, rate=rate).read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def test_a_rate_that_changes_on_the_way_is_refused(tmp_path: Path) -> None:
    path = adts(tmp_path / "a.aac", (16000, "mono"), (8000, "mono"))
    with pytest.raises(
        ValueError, match=r"a\.aac: its sample rate changes from 16000 to 8000 Hz after 1\.\d+ s"
    ):
        read_sound(path, rate=8000)


def test_channels_that_change_on_the_way_are_read(tmp_path: Path) -> None:
    path = adts(tmp_path / "a.aac", (16000, "mono"), (16000, "stereo"))
    wave = read_sound(path, rate=16000)
    assert len(wave) == pytest.approx(2 * RATE, abs=0.3 * RATE)
    for second in (wave[2000:14000], wave[20000:32000]):
        assert np.abs(second).max() == pytest.approx(0.5, abs=0.05)


def test_recordings_in_a_row_are_refused(tmp_path: Path) -> None:
    for ending in ("ogg", "flac"):
        one = write_sound(tmp_path / f"one.{ending}")
        other = write_sound(tmp_path / f"other.{ending}", rate=8000)
        path = tmp_path / f"a.{ending}"
        path.write_bytes(one.read_bytes() + one.read_bytes())
        with pytest.raises(ValueError, match=rf"a\.{ending}: holds several recordings"):
            read_sound(path, rate=16000)
        path.write_bytes(one.read_bytes() + other.read_bytes())
        with pytest.raises(ValueError, match=rf"a\.{ending}: (holds several|its sample rate)"):
            read_sound(path, rate=16000)


# A flac to its end


NOISE = np.random.default_rng(0).normal(0, 0.1, 20000).astype(np.float32)


def flac(path: Path, states: int, *, subtype: str = "PCM_16") -> Path:
    """A flac of 20,000 samples at 16 kHz whose head states another number of them."""
    write_sound(path, sound=NOISE, subtype=subtype)
    content = path.read_bytes()
    head = int.from_bytes(content[18:26], "big")
    assert head & ((1 << 36) - 1) == 20000
    path.write_bytes(content[:18] + (head - 20000 + states).to_bytes(8, "big") + content[26:])
    return path


@pytest.mark.parametrize("states", [0, 1, 5000, 19999, 20000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_is_read_to_its_end_whatever_it_states(
    tmp_path: Path, states: int, subtype: str
) -> None:
    wave = read_sound(flac(tmp_path / "a.flac", states, subtype=subtype), rate=16000)
    whole = flac(tmp_path / "whole.flac", 20000, subtype=subtype)
    np.testing.assert_array_equal(wave, soundfile.read(whole, dtype="float32")[0])


def test_a_flac_that_has_less_than_it_states_is_refused(tmp_path: Path) -> None:
    for states in (20001, 30000, (1 << 36) - 1):
        with pytest.raises(ValueError, match=r"a\.flac: truncated"):
            read_sound(flac(tmp_path / "a.flac", states), rate=16000)


def test_a_flac_of_unknown_length_is_refused_where_it_is_cut_or_changed(tmp_path: Path) -> None:
    path = flac(tmp_path / "a.flac", 0)
    whole = path.read_bytes()
    for length in {*range(1000, len(whole), 1999), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.flac: cannot be read as"):
            read_sound(path, rate=16000)
        path.write_bytes(whole[: length - 1] + bytes([whole[length - 1] ^ 16]) + whole[length:])
        with pytest.raises(ValueError, match=r"a\.flac: cannot be read as"):
            read_sound(path, rate=16000)


def test_a_flac_inside_an_ogg_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.oga"
    with av.open(str(path), "w", format="ogg") as film:
        track = film.add_stream("flac", RATE, layout="mono", format="s16")
        sound = (NOISE[None] * 32768).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        film.mux([*track.encode(frame), *track.encode()])
    assert len(read_sound(path, rate=RATE)) == 20000


def test_a_track_whose_channels_cancel_gives_one_of_them(tmp_path: Path) -> None:
    # Rain twice a second, its inverse on the right: the mean is what the codec left over.
    rate, draw = 16000, np.random.default_rng(0)
    time = np.arange(2 * rate) / rate
    rain = (0.1 * draw.normal(size=len(time)) * (np.sin(4 * np.pi * time) > 0)).astype(np.float32)
    path = write_clip(
        tmp_path / "a.mp4",
        seconds=2,
        fps=4,
        size=(32, 32),
        sound=np.stack([rain, -rain]),
        rate=rate,
    )
    found = read_sound(path, rate=rate)
    n = min(len(found), len(rain))
    lags = (np.corrcoef(found[lag:n], rain[: n - lag])[0, 1] for lag in (0, 1024, 2048))
    assert max(map(abs, lags)) > 0.5


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_both_byte_orders_are_one_sound(subtype: str, tmp_path: Path) -> None:
    found = []
    for endian in ("LITTLE", "BIG"):
        path = tmp_path / f"{endian}.wav"
        soundfile.write(path, sine(440, 0.5, RATE), RATE, subtype, endian, "WAV")
        found.append(read_sound(path, rate=RATE))
    np.testing.assert_allclose(found[0], found[1], atol=1e-7)
