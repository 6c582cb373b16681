"""One clip as numbers, and the files of clips in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.vggsound.clips import (
    FILMS,
    SOUNDS,
    clip_named,
    find_clips,
    not_understood,
    read_clip,
    starts_of,
)
from mke_theory.tasks.vggsound.lists import Clip
from tests.tasks.files.clips import sine, write_clip, write_sound
from tests.tasks.vggsound.made_clips import COLOURS, A


def test_a_clip_is_its_tone_and_its_colours(tmp_path: Path) -> None:
    red, blue = (np.full((32, 32, 3), colour, np.uint8) for colour in (COLOURS[0], COLOURS[2]))
    path = write_clip(
        tmp_path / f"{A}_000030.mp4",
        seconds=10,
        fps=2,
        size=(32, 32),
        tone=1000.0,
        rate=8000,
        picture=lambda index: red if index < 10 else blue,
    )
    raw = read_clip(path, films=True)
    assert raw["audio"].shape == (160_000,) and raw["audio"].dtype == np.float32
    assert np.abs(raw["audio"]).max() == 0.5
    assert np.abs(np.fft.rfft(raw["audio"])).argmax() == pytest.approx(10_000, abs=5)  # 0.1 Hz each
    assert raw["video"].shape == (5, 3, 260, 260) and raw["video"].dtype == np.uint8
    found = raw["video"].mean(axis=(2, 3))
    np.testing.assert_allclose(
        found, 2 * [COLOURS[0]] + 3 * [COLOURS[2]], atol=12
    )  # the codec's loss


def test_a_short_film_shows_its_pictures_more_than_once_and_ends_in_silence(
    tmp_path: Path,
) -> None:
    path = write_clip(tmp_path / "short.mp4", seconds=1, fps=4, size=(32, 32))
    raw = read_clip(path, films=True)
    assert len(raw["video"]) == 5
    assert np.abs(raw["audio"][:16_000]).max() == 0.5 and not raw["audio"][20_000:].any()
    assert "video" not in read_clip(path, films=False)


def test_a_file_that_is_no_clip_is_refused_by_name(tmp_path: Path) -> None:
    whole_film = write_sound(tmp_path / "film.wav", seconds=13, rate=8000)
    with pytest.raises(ValueError, match=r"film\.wav: lasts 13\.0 s"):
        read_clip(whole_film, films=False)
    long = write_clip(
        tmp_path / "long.mp4",
        seconds=14,
        fps=2,
        size=(32, 32),
        sound=sine(440, 10, 8000)[None],
        rate=8000,
    )
    with pytest.raises(ValueError, match=r"long\.mp4: lasts 14\.0 s"):
        read_clip(long, films=True)
    sound_alone = write_clip(tmp_path / "sound.mp4", size=None, rate=8000)
    with pytest.raises(ValueError, match=r"sound\.mp4: has no video track"):
        read_clip(sound_alone, films=True)


@pytest.mark.parametrize(("shown", "heard"), [(1.0, 10.0), (8.5, 10.0), (10.0, 4.0)])
def test_pictures_and_sound_have_to_end_together(
    tmp_path: Path, shown: float, heard: float
) -> None:
    def clip(seconds: float) -> Path:
        return write_clip(
            tmp_path / "a.mp4",
            seconds=seconds,
            fps=2,
            size=(32, 32),
            sound=sine(440, heard, 8000)[None],
            rate=8000,
        )

    read_clip(clip(heard + 0.5), films=True)
    apart = rf"a\.mp4: its pictures end after {shown} s and its sound after {heard:g}\.\d s"
    with pytest.raises(ValueError, match=apart):
        read_clip(clip(shown), films=True)
    read_clip(clip(shown), films=False)  # its sound is whole


def test_clips_are_found_in_any_folder_and_by_the_first_kind_of_file(tmp_path: Path) -> None:
    wanted = [Clip(A, 0), Clip(A, 10), Clip(A, 20)]
    for name in (f"x/y/{A}_000000.mkv", f"{A}_000000.mp4", f"x/{A}_000010.webm", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / f"{A}_000099.mp4").touch()
    found = find_clips(tmp_path, wanted, FILMS)
    assert {str(clip): path.suffix for clip, path in found.items()} == {
        f"{A}_000000": ".mp4",
        f"{A}_000010": ".webm",
    }
    (tmp_path / "x" / f"{A}_000000.mp4").touch()
    with pytest.raises(ValueError, match="there twice"):
        find_clips(tmp_path, wanted, FILMS)
    assert find_clips(tmp_path / "absent", wanted, FILMS) == {}


def test_clips_as_common_downloaders_name_them_are_read_and_others_counted(tmp_path: Path) -> None:
    wanted = [Clip(f"-AAAAAAAAA{i}", 30 + i) for i in range(7)]
    names = [
        "-AAAAAAAAA0_000030.wav",
        "Y-AAAAAAAAA1.wav",
        "-AAAAAAAAA2_32.000.wav",
        "-AAAAAAAAA3_33000_43000.flac",
        "Y-AAAAAAAAA4_34.wav",
        "-AAAAAAAAA5_35_45.wav",
        "-AAAAAAAAA6_36_40.wav",  # four seconds are no clip
        "holiday.wav",
        "notes.txt",
    ]
    for name in names:
        (tmp_path / name).touch()
    found = find_clips(tmp_path, wanted, SOUNDS)
    assert {clip: path.name for clip, path in found.items()} == dict(
        zip(wanted[:6], names, strict=False)
    )
    others = not_understood(tmp_path, wanted, SOUNDS)
    assert [path.name for path in others] == ["-AAAAAAAAA6_36_40.wav", "holiday.wav"]


def test_a_film_alone_names_no_clip_where_two_of_its_clips_are_wanted() -> None:
    assert clip_named(f"Y{A}", starts_of([Clip(A, 3)])) == Clip(A, 3)
    assert clip_named(f"Y{A}", starts_of([Clip(A, 3), Clip(A, 9)])) is None
