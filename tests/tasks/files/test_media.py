"""Films and sounds are read as they were written, or refused by name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.tasks.files.audio import read_wav
from mke_theory.tasks.files.media import read_frames, read_sound
from mke_theory.tasks.files.pictures import read_picture
from tests.tasks.files.clips import (
    brightening,
    cut,
    flat,
    sine,
    write_clip,
    write_picture,
    write_sound,
)

pytest.importorskip("av", reason="needs the extra mke_theory[data]")
pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")
pytest.importorskip("PIL", reason="needs the extra mke_theory[data]")

SIZE = (24, 32)
LOSS = 4  # grey levels that compression may change


def levels(pictures: np.ndarray) -> np.ndarray:
    """The mean grey level of each picture."""
    return pictures.reshape(len(pictures), -1).mean(axis=1)


def patches(index: int) -> np.ndarray:
    """Coloured squares that change every seventh frame: a film of some size that is not smooth."""
    colours = np.random.default_rng(index // 7).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return colours.repeat(8, axis=0).repeat(8, axis=1)


def loudest(wave: np.ndarray, rate: int) -> float:
    """The frequency with the most power, in Hz."""
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.fft.rfftfreq(len(wave), 1 / rate)[power.argmax()])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "film.mp4")


# films


def test_a_picture_for_each_half_second_is_from_its_middle(film: Path) -> None:
    pictures = read_frames(film, size=SIZE)
    assert pictures.shape == (4, 24, 32, 3)
    assert pictures.dtype == np.uint8
    # 0.25, 0.75, 1.25 and 1.75 s at ten frames a second
    wanted = [brightening(index) for index in (2, 7, 12, 17)]
    np.testing.assert_allclose(levels(pictures), wanted, atol=LOSS)


@pytest.mark.parametrize(
    ("every", "shown"),
    [(0.1, range(20)), (0.55, (2, 8, 13, 19)), (1.5, (7,)), (3.1, (15,)), (5.0, (0,))],
)
def test_how_many_pictures_there_are(film: Path, every: float, shown: list[int]) -> None:
    pictures = read_frames(film, every=every, size=SIZE)
    np.testing.assert_allclose(levels(pictures), [brightening(i) for i in shown], atol=LOSS)


@given(st.floats(0.03, 3.0))
@settings(max_examples=20)
def test_picture_k_is_what_the_film_shows_in_the_middle_of_its_time(
    film: Path, every: float
) -> None:
    pictures = levels(read_frames(film, every=every, size=SIZE))
    assert len(pictures) == max(1, np.ceil(2.0 / every - 0.5 - 1e-9))
    for k, level in enumerate(pictures):
        frame = 10 * (k + 0.5) * every  # at ten frames a second; at its end the next one may show
        either = [brightening(int(frame + rounding)) for rounding in (-1e-6, 1e-6)]
        assert min(abs(level - one) for one in either) <= LOSS


@pytest.mark.parametrize(
    ("name", "codec", "sound_codec"),
    [("a.mp4", "mpeg4", "aac"), ("a.mkv", "libx264", "aac"), ("a.webm", "libvpx", "libopus")],
)
def test_other_codecs_and_containers(
    tmp_path: Path, name: str, codec: str, sound_codec: str
) -> None:
    path = write_clip(tmp_path / name, codec=codec, sound_codec=sound_codec, rate=48000)
    wanted = [brightening(index) for index in (2, 7, 12, 17)]
    np.testing.assert_allclose(levels(read_frames(path, size=SIZE)), wanted, atol=2 * LOSS)
    assert loudest(read_sound(path, rate=8000), 8000) == pytest.approx(440, abs=1)


def test_colours_and_sides_are_where_they_were(tmp_path: Path) -> None:
    corner = flat((20, 40, 60))
    corner[:24, :32] = (210, 60, 90)  # above, left
    path = write_clip(tmp_path / "a.mp4", seconds=0.5, picture=corner)
    (picture,) = read_frames(path, size=(40, 20))
    np.testing.assert_allclose(picture[4:16, 2:8].mean((0, 1)), (210, 60, 90), atol=6)
    np.testing.assert_allclose(picture[4:16, 12:18].mean((0, 1)), (20, 40, 60), atol=6)
    np.testing.assert_allclose(picture[24:36, 2:18].mean((0, 1)), (20, 40, 60), atol=6)


def test_making_smaller_averages(tmp_path: Path) -> None:
    stripes = flat(0, (64, 64))
    stripes[:, ::4] = stripes[:, 1::4] = 200
    path = write_clip(tmp_path / "a.mp4", seconds=0.5, size=(64, 64), picture=stripes)
    (picture,) = read_frames(path, size=(8, 8))
    np.testing.assert_allclose(picture[:, 1:-1], 100, atol=20)  # picking columns gives 0 or 200


def test_a_film_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=0.5, picture=patches)
    (lying,) = read_frames(path, size=(48, 64))
    unity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    before, mark, after = path.read_bytes().partition(b"tkhd")
    path.write_bytes(before + mark + after.replace(unity, clockwise, 1))
    (upright,) = read_frames(path, size=(64, 48))
    np.testing.assert_array_equal(upright, np.rot90(lying, -1))


def test_names_with_a_colon_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "a.mp4", seconds=0.5).rename(tmp_path / "-x:10.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read_frames("-x:10.mp4", size=SIZE)) == 1
    assert len(read_sound("-x:10.mp4", rate=8000)) > 0


def test_nothing_is_written_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=1, options={"movflags": "faststart"})
    read_frames(path, size=SIZE)
    for read in (lambda: read_frames(path, size=SIZE), lambda: read_sound(path, rate=8000)):
        with pytest.raises(ValueError, match=r"a\.mp4"):
            (cut(path, 0.9), read())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_times_that_are_none_are_refused(film: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="every must be"):
        read_frames(film, every=seconds, size=SIZE)


def test_sizes_that_are_none_are_refused(film: Path) -> None:
    for size in [(0, 32), (24, -1), (24, 32, 3)]:
        with pytest.raises(ValueError, match="size must be"):
            read_frames(film, size=size)  # type: ignore[arg-type]


# films that are not whole


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("late.mp4", "libx264", {}),
        ("early.mp4", "libx264", {"movflags": "faststart"}),
        ("parts.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "0"}),
        ("a.mkv", "libx264", {}),
        ("a.avi", "mpeg4", {}),
    ],
)
def test_a_film_cut_anywhere_is_refused(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_clip(tmp_path / name, seconds=1, codec=codec, options=options)
    whole = path.read_bytes()
    assert len(read_frames(path, size=SIZE)) == 2
    for length in {*range(0, len(whole), 199), 1, 7, 8, 9, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=name):
            read_frames(path, size=SIZE)
        with pytest.raises(ValueError, match=name):
            read_sound(path, rate=8000)


def test_the_message_says_how_much_is_missing(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=1)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"a\.mp4: truncated, 5 bytes are missing; fetch it again"):
        read_frames(path, size=SIZE)


def test_a_last_box_without_a_length_goes_on_to_the_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=1, options={"movflags": "faststart"})
    whole = path.read_bytes()
    at = whole.index(b"mdat") - 4
    path.write_bytes(whole[:at] + bytes(4) + whole[at + 4 :])
    assert len(read_frames(path, size=SIZE)) == 2


def test_an_early_end_is_seen_where_the_container_has_no_length(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", seconds=4, rate=8000)
    whole = path.read_bytes()
    at = whole.index(bytes.fromhex("18538067")) + 4  # the segment; its size takes eight bytes
    path.write_bytes(whole[:at] + b"\x01" + b"\xff" * 7 + whole[at + 8 :])
    assert len(read_frames(path, size=SIZE)) == 8
    cut(path, 0.6)
    with pytest.raises(ValueError, match=r"its video ends after \d\.\d+ s of 4\.00 s"):
        read_frames(path, size=SIZE)
    with pytest.raises(ValueError, match=r"its audio ends after \d\.\d+ s of 4\.\d+ s"):
        read_sound(path, rate=8000)


def test_damage_that_the_decoder_notices_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=3, picture=patches, tone=None, codec="mpeg4")
    whole = path.read_bytes()
    start, end = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    messages = []
    for at in range(start + 800, end - 32, 197):
        path.write_bytes(whole[:at] + np.random.default_rng(at).bytes(32) + whole[at + 32 :])
        with pytest.raises(ValueError, match=r"a\.mp4: damaged") as caught:
            read_frames(path, size=SIZE)
        messages.append(str(caught.value))
    assert any("a.mp4: damaged at " in message for message in messages)


def test_a_track_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.mp4: has no audio track"):
        read_sound(write_clip(tmp_path / "a.mp4", seconds=0.5, tone=None), rate=8000)
    sound = write_clip(tmp_path / "b.m4a", seconds=0.5, size=None)
    assert loudest(read_sound(sound, rate=8000), 8000) == pytest.approx(440, abs=2)
    with pytest.raises(ValueError, match=r"b\.m4a: has no video track"):
        read_frames(sound, size=SIZE)


def test_a_frame_that_lasts_for_days_is_damage_and_not_copied(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", seconds=1, tone=None)
    content = bytearray(path.read_bytes())
    at = content.index(b"stts") + 16  # the duration of all frames, in the track's own unit
    content[at : at + 4] = b"\x7f\xff\xff\0"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mp4: damaged, one frame lasts"):
        read_frames(path, size=SIZE)


def test_a_track_of_unknown_kind_is_named(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", seconds=0.5)
    content = path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_NEW/KIND/HERE")
    path.write_bytes(content.replace(b"A_AAC", b"A_NEW"))
    with pytest.raises(ValueError, match=r"a\.mkv: its video track is of no known kind"):
        read_frames(path, size=SIZE)
    with pytest.raises(ValueError, match=r"a\.mkv: its audio track is of no known kind"):
        read_sound(path, rate=8000)


@pytest.mark.parametrize(
    ("ending", "tag", "other"),
    [
        (".mp4", b"SoundHandler", b"\xe9coute moi !"),
        (".mp4", b"VideoHandler", b"vid\xe9o Handle"),
        (".mkv", b"00:00:01.", b"00:\xe900:0."),
    ],
)
def test_a_tag_in_another_alphabet_costs_no_film(
    tmp_path: Path, ending: str, tag: bytes, other: bytes
) -> None:
    path = write_clip(tmp_path / f"a{ending}", seconds=1)
    content = path.read_bytes()
    assert tag in content
    path.write_bytes(content.replace(tag, other))
    assert len(read_frames(path, size=SIZE)) == 2
    assert len(read_sound(path, rate=8000)) >= 8000


def test_a_track_without_frames_is_refused(tmp_path: Path) -> None:
    # A film whose sample table says that it has no samples.
    path = write_clip(tmp_path / "a.mp4", seconds=0.5, tone=None)
    content = bytearray(path.read_bytes())
    for box in (b"stsz", b"stts", b"stsc", b"stco", b"stss", b"ctts"):
        at = content.find(box)
        count = at + (12 if box == b"stsz" else 8)
        content[count : count + 4] = bytes(4) if at >= 0 else content[count : count + 4]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mp4: has no frames"):
        read_frames(path, size=SIZE)


READERS: dict[str, Callable[[Path], object]] = {
    "frames": lambda path: read_frames(path, size=SIZE),
    "sound": lambda path: read_sound(path, rate=8000),
    "picture": lambda path: read_picture(path, mode="RGB"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["a.mp4", "a.wav", "a.flac", "a.png", "a"])
@pytest.mark.parametrize(
    "content", [b"", b"not what it says\n" * 40, bytes(3000), b"RIFF", b"OggS"]
)
def test_what_is_something_else_is_refused(
    tmp_path: Path, reader: str, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"/{name}: "):
        READERS[reader](tmp_path / name)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_not_there_is_refused(tmp_path: Path, reader: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.mp4: no such file"):
        READERS[reader](tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError):
        READERS[reader](tmp_path)


def test_contents_count_and_endings_do_not(tmp_path: Path) -> None:
    film = write_clip(tmp_path / "a.mkv", seconds=1).rename(tmp_path / "a.wav")
    assert len(read_frames(film, size=SIZE)) == 2
    assert loudest(read_sound(film, rate=8000), 8000) == pytest.approx(440, abs=2)
    recording = write_sound(tmp_path / "b.wav").rename(tmp_path / "b.mp4")
    assert len(read_sound(recording, rate=8000)) == 8000
    with pytest.raises(ValueError, match=r"b\.mp4: has no video track"):
        read_frames(recording, size=SIZE)
    picture = write_picture(tmp_path / "c.png", flat(9)).rename(tmp_path / "c.mp4")
    for reader in ("frames", "sound"):
        with pytest.raises(ValueError, match=r"c\.mp4: is a picture"):
            READERS[reader](picture)


# sounds


def test_a_rate_that_no_recording_has_is_refused_and_not_converted(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", rate=16000)
    whole = path.read_bytes()
    assert whole[24:28] == (16000).to_bytes(4, "little")
    for rate in (768_001, 2_147_483_629):
        path.write_bytes(whole[:24] + rate.to_bytes(4, "little") + whole[28:])
        with pytest.raises(ValueError, match=rf"a\.wav: states {rate} samples a second"):
            read_sound(path, rate=8000)


def test_samples_are_those_written(tmp_path: Path) -> None:
    stereo = np.array([[0.5, 0.25], [-0.5, 0.0], [0.75, -0.25]], dtype=np.float32)
    for name in ("a.wav", "a.flac"):
        wave = read_sound(write_sound(tmp_path / name, sound=stereo), rate=16000)
        assert wave.dtype == np.float32
        np.testing.assert_array_equal(wave, [0.375, -0.25, 0.25])
    np.testing.assert_array_equal(
        read_sound(tmp_path / "a.wav", rate=16000), read_wav(tmp_path / "a.wav", rate=16000)
    )


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp4", "a.mkv"])
def test_a_tone_is_the_same_from_every_container(tmp_path: Path, name: str) -> None:
    path, rate, seconds = tmp_path / name, 44100, 1.0
    if path.suffix in (".mp4", ".mkv"):
        write_clip(path, seconds=seconds, rate=rate, tone=1000.0)
    else:
        write_sound(path, seconds=seconds, rate=rate, tone=1000.0)
    wave = read_sound(path, rate=16000)
    assert 0 <= len(wave) - 16000 <= 0.07 * 16000  # codecs fill their last frame
    middle = slice(1600, 14400)
    assert loudest(wave, 16000) == pytest.approx(1000, abs=1)
    np.testing.assert_allclose(wave[middle], sine(1000.0, 1.0, 16000)[middle], atol=0.03)


@given(st.integers(1, 400), st.sampled_from([8000, 11025, 16000, 22050, 48000]))
@settings(max_examples=25)
def test_how_many_samples_there_are(
    tmp_path_factory: pytest.TempPathFactory, n: int, rate: int
) -> None:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    write_sound(path, sound=np.full(n, 0.5), rate=16000)
    wave = read_sound(path, rate=rate)
    assert len(wave) == -(-n * rate // 16000)
    assert np.isfinite(wave).all()


def test_what_is_above_half_the_new_rate_is_gone(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone=5000.0)
    assert np.abs(read_sound(path, rate=8000)[400:-400]).max() < 0.01  # not 3 kHz at 0.5


def test_a_stream_that_states_no_length_is_not_truncated(tmp_path: Path) -> None:
    # The length that is guessed from the first frames, which are quiet and small, is too long.
    noise = np.random.default_rng(0).normal(0, 1, (1, 320000))
    noise *= np.where(np.arange(320000) < 240000, 3e-4, 0.3)
    path = write_clip(tmp_path / "a.aac", size=None, sound=noise.astype(np.float32))
    assert len(read_sound(path, rate=8000)) == pytest.approx(160000, abs=1000)


def test_channels_of_a_film_are_averaged(tmp_path: Path) -> None:
    one, other = sine(440, 1, 16000), sine(1000, 1, 16000)
    path = write_clip(tmp_path / "a.mp4", size=None, sound=np.stack([one, other]))
    middle = slice(1600, 14400)
    wave = read_sound(path, rate=16000)
    np.testing.assert_allclose(wave[middle], ((one + other) / 2)[middle], atol=0.05)


def test_silence_is_refused(tmp_path: Path) -> None:
    recording = write_sound(tmp_path / "a.wav", sound=np.zeros(1000))
    film = write_clip(tmp_path / "a.mp4", size=None, sound=np.zeros((1, 16000), np.float32))
    for path in (recording, film):
        with pytest.raises(ValueError, match=rf"{path.name}: is silent"):
            read_sound(path, rate=16000)


def test_recordings_without_a_sample_or_a_number_are_refused(tmp_path: Path) -> None:
    for samples in (np.zeros(0), np.array([0.1, np.nan]), np.array([0.1, np.inf])):
        path = write_sound(tmp_path / "a.wav", sound=samples, subtype="FLOAT")
        with pytest.raises(ValueError, match=r"a\.wav: has (no samples|samples that are NaN)"):
            read_sound(path, rate=8000)
    with pytest.raises(ValueError, match="rate must be"):
        read_sound(path, rate=0)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_recording_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    path = write_sound(tmp_path / name, sound=noise)
    whole = path.read_bytes()
    assert len(read_sound(path, rate=16000)) == 16000
    for length in {*range(0, len(whole), 197), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=name):
            read_sound(path, rate=16000)


@pytest.mark.data("ravdess")
def test_real_recordings(data_root: Path) -> None:
    first = min((data_root / "ravdess" / "audio_8k").rglob("*.flac"))
    wave, faster = read_sound(first, rate=8000), read_sound(first, rate=16000)
    assert len(faster) == 2 * len(wave)
    assert 0.01 < np.abs(wave).max() <= 1
