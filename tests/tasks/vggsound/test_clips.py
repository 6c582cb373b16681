"""One clip as numbers, and the files of clips in a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.vggsound.clips import FILMS, Reading, find_clips, read_clip
from mke_theory.tasks.vggsound.lists import Clip
from tests.tasks.files.clips import sine, write_clip, write_sound
from tests.tasks.vggsound.made_clips import COLOURS, READING, A


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
    features = read_clip(path, READING, pictures=True)
    assert features.audio.shape == (1, 16, 40) and features.audio.dtype == np.float16
    assert features.audio.min() >= -60 and features.audio.max() == 0
    loudest = set(features.audio[0].argmax(axis=0).tolist())
    assert len(loudest) <= 2  # one steady tone
    assert features.video is not None
    assert features.video.shape == (2, 3, 16, 16) and features.video.dtype == np.uint8
    found = features.video.mean(axis=(2, 3))
    np.testing.assert_allclose(found, [COLOURS[0], COLOURS[2]], atol=12)  # the codec's loss


def test_a_short_film_shows_its_pictures_more_than_once(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mp4", seconds=1, fps=4, size=(32, 32))
    features = read_clip(path, replace(READING, pictures=3), pictures=True)
    assert features.video is not None and len(features.video) == 3
    assert read_clip(path, READING, pictures=False).video is None


def test_a_file_that_is_no_clip_is_refused_by_name(tmp_path: Path) -> None:
    whole_film = write_sound(tmp_path / "film.wav", seconds=13, rate=8000)
    with pytest.raises(ValueError, match=r"film\.wav: lasts 13\.0 s"):
        read_clip(whole_film, READING, pictures=False)
    long = write_clip(
        tmp_path / "long.mp4",
        seconds=14,
        fps=2,
        size=(32, 32),
        sound=sine(440, 10, 8000)[None],
        rate=8000,
    )
    with pytest.raises(ValueError, match=r"long\.mp4: lasts 14\.0 s"):
        read_clip(long, READING, pictures=True)
    sound_alone = write_clip(tmp_path / "sound.mp4", size=None, rate=8000)
    with pytest.raises(ValueError, match=r"sound\.mp4: has no video track"):
        read_clip(sound_alone, READING, pictures=True)
    with pytest.raises(ValueError, match="pictures is 0"):
        Reading(pictures=0)
    with pytest.raises(ValueError, match="bands"):
        Reading(bands=0)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"hop is .* s; it has to lie above 0"):
            Reading(hop=seconds)


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

    read_clip(clip(heard + 0.5), READING, pictures=True)
    apart = rf"a\.mp4: its pictures end after {shown} s and its sound after {heard:g}\.\d s"
    with pytest.raises(ValueError, match=apart):
        read_clip(clip(shown), READING, pictures=True)
    read_clip(clip(shown), READING, pictures=False)  # its sound is whole


def test_clips_are_found_in_any_folder_and_by_the_first_kind_of_file(tmp_path: Path) -> None:
    wanted = [Clip(A, 0), Clip(A, 10), Clip(A, 20)]
    for name in (f"x/y/{A}_000000.mkv", f"{A}_000000.mp4", f"x/{A}_000010.webm", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / f"{A}_000099.mp4").touch()
    found = find_clips(tmp_path, wanted, FILMS)
    assert {str(clip): path.suffix for clip, path in found.files.items()} == {
        f"{A}_000000": ".mp4",
        f"{A}_000010": ".webm",
    }
    assert found.strange == 1
    (tmp_path / "x" / f"{A}_000000.mp4").touch()
    with pytest.raises(ValueError, match="there twice"):
        find_clips(tmp_path, wanted, FILMS)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_clips(tmp_path / "absent", wanted, FILMS)
