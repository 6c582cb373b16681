"""Films and recordings: twins are one sample, bad files are named or left out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.files.media import read_sound
from mke_theory.tasks.ravdess.films import (
    Files,
    Reading,
    content_hash,
    find,
    load_films,
    read_films,
)
from mke_theory.tasks.ravdess.speech import RATE, log_mel, statistics, trimmed
from tests.tasks.files.clips import cut, flat, write_clip, write_sound
from tests.tasks.ravdess.made_films import (
    FIRST,
    LAST,
    READING,
    SECOND,
    SIZE,
    SPLIT,
    TEXTS,
    THIRD,
    write_recording,
)

for library in ("av", "soundfile", "transformers"):
    pytest.importorskip(library, reason="needs the extra mke_theory[data]")


def read(folder: Path, *, skip_bad: bool = False) -> list[str]:
    return [str(one) for one in read_films(folder, SPLIT, READING, skip_bad=skip_bad).recordings]


def test_twins_are_one_sample_read_from_the_better_files(corpus: Path) -> None:
    found = find(corpus)
    assert found.wrong == [] and found.songs == 0 and set(found.recordings) == set(SPLIT)
    names = {str(one): (f.face.name[:2], f.sound.name[:2]) for one, f in found.recordings.items()}
    assert list(names.values()) == [("01", "03"), ("02", "03"), ("01", "01"), ("01", "01")]
    assert sorted(names) == sorted(TEXTS)


def test_pictures_and_sound_are_those_of_the_files(corpus: Path) -> None:
    clips = read_films(corpus, SPLIT, READING)
    assert clips.recordings == tuple(SPLIT) and clips.skipped == ()
    assert clips.face.shape == (4, 2, 3, 36, 36) and clips.face.dtype == np.uint8
    # The middle square is of one colour: the black sides are cut off.
    middle = clips.face[:, :, :, :, 4:32].astype(int)
    for row, colour in enumerate([(200, 50, 50), (50, 200, 50), (200, 50, 50), (200, 50, 50)]):
        expected = np.array(colour)[:, None, None]
        assert np.abs(middle[row] - expected).max() < 12
    # 300 Hz where there is a wav, 700 Hz where the film has to do.
    loudest = clips.speech.reshape(4, 6, 3, 40)[:, 2, 0].argmax(axis=1)
    assert loudest[0] == loudest[2] < loudest[1] == loudest[3]


def test_sound_goes_through_the_stages_in_order(corpus: Path) -> None:
    wave = read_sound(corpus / "Actor_01" / f"03-{FIRST}.wav", rate=RATE)
    clips = read_films(corpus, SPLIT, READING)
    assert np.array_equal(clips.speech[0], statistics(log_mel(trimmed(wave))))


@pytest.mark.parametrize(
    ("frames", "levels"), [(1, [16]), (2, [16, 100]), (5, [16, 40, 60, 80, 100])]
)
def test_frames_are_spread_over_the_film(tmp_path: Path, frames: int, levels: list[int]) -> None:
    grey = [16, 40, 60, 80, 100]  # one for each half second

    write_recording(tmp_path, FIRST, "3")
    film = write_clip(
        tmp_path / "film.mp4", seconds=2.5, size=SIZE, picture=lambda i: flat(grey[i // 5], SIZE)
    )
    face, _ = Reading(frames, 36)(Files(film, tmp_path / "Actor_01" / f"03-{FIRST}.wav"))
    assert np.abs(face.mean(axis=(1, 2, 3)) - levels).max() < 4


def rename(folder: Path, name: str, other: str) -> None:
    (folder / name).rename(folder / other)


BAD: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda f: cut(f / "Actor_01" / f"01-{FIRST}.mp4", 0.7), rf"01-{FIRST}\.mp4", TEXTS[0]),
    (lambda f: cut(f / "Actor_01" / f"03-{FIRST}.wav", 0.5), rf"03-{FIRST}\.wav", TEXTS[0]),
    (
        lambda f: write_sound(f / "Actor_01" / f"03-{FIRST}.wav", sound=np.zeros(0)),
        rf"03-{FIRST}\.wav: (truncated, it )?has no samples",
        TEXTS[0],
    ),
    (
        lambda f: write_sound(f / "Actor_01" / f"03-{FIRST}.wav", seconds=0.15),
        rf"03-{FIRST}\.wav: needs \[t, bands\]",
        TEXTS[0],
    ),
    (
        lambda f: (f / "Actor_01" / f"01-{SECOND}.mp4").write_bytes(b"<html>not found</html>"),
        rf"01-{SECOND}\.mp4",
        TEXTS[1],
    ),
    (
        lambda f: (f / "Actor_02" / f"03-{THIRD}.wav").unlink(),
        rf"02-{THIRD}\.mp4: its recording has no sound; 01-.*\.mp4 and 03-.*\.wav are missing",
        TEXTS[2],
    ),
    (
        lambda f: (f / "Actor_02" / f"02-{THIRD}.mp4").unlink(),
        rf"03-{THIRD}\.wav: its recording has no picture; 01-.*\.mp4 and 02-.*\.mp4 are missing",
        TEXTS[2],
    ),
    (
        lambda f: rename(f, f"Actor_01/01-{SECOND}.mp4", "Actor_01/clip.mp4"),
        r"clip\.mp4: a clip is named by seven fields",
        TEXTS[1],
    ),
    (
        lambda f: rename(f, f"Actor_02/03-{THIRD}.wav", f"Actor_01/03-{THIRD}.wav"),
        rf"Actor_01/03-{THIRD}\.wav: is a clip of actor 02 in another folder",
        TEXTS[2],
    ),
    (lambda f: shutil.rmtree(f / "Actor_02"), "1 of 1 recordings of actor 02", TEXTS[2]),
]


@pytest.mark.parametrize(("damage", "why", "lost"), BAD)
def test_bad_files_are_named_or_left_out(
    copy: Path, damage: Callable[[Path], object], why: str, lost: str
) -> None:
    damage(copy)
    with pytest.raises(ValueError, match=why) as caught:
        read(copy)
    assert "--skip-bad" in str(caught.value)
    clips = read_films(copy, SPLIT, READING, skip_bad=True)
    assert [str(one) for one in clips.recordings] == [text for text in TEXTS if text != lost]
    assert len(clips.face) == len(clips.speech) == 3
    assert any(re.search(why, line) for line in clips.skipped)


def test_a_file_in_two_spellings_is_refused(copy: Path) -> None:
    shutil.copy(copy / f"Actor_19/01-{LAST}.mp4", copy / f"Actor_19/01-{LAST}.MP4")
    with pytest.raises(ValueError, match="is there twice"):
        read(copy)


def test_nothing_is_decoded_where_names_are_wrong(copy: Path) -> None:
    (copy / "Actor_01" / "01.mp4").write_bytes(b"")
    cut(copy / "Actor_01" / f"01-{FIRST}.mp4", 0.7)
    with pytest.raises(ValueError, match="1 files or recordings cannot be used"):
        read(copy)


def test_without_a_part_there_is_no_task(copy: Path) -> None:
    cut(copy / "Actor_19" / f"01-{LAST}.mp4", 0.5)
    with pytest.raises(ValueError, match="no recording of a test actor that can be used"):
        read(copy, skip_bad=True)


def test_song_and_strange_files_are_left_out(copy: Path) -> None:
    for path in ("Actor_01/notes.txt", "Actor_01/._x.mp4", "Actor_1/03.wav", "other/03.wav"):
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_bytes(b"")
    # Song need not even be readable.
    (copy / f"Actor_01/01-02{str(FIRST)[2:]}.mp4").write_bytes(b"")
    (copy / "Actor_1/03.wav").unlink()
    clips = read_films(copy, SPLIT, READING)
    assert clips.recordings == tuple(SPLIT)
    assert clips.skipped == ()  # no file is bad
    assert clips.notes == (f"{copy}: 1 clips of song left out; the task is speech",)


def test_what_was_read_is_kept(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cut(copy / "Actor_01" / f"01-{SECOND}.mp4", 0.7)
    first = load_films(copy, SPLIT, READING, skip_bad=True, cache=cache)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("was read again")

    with monkeypatch.context() as patch:
        patch.setattr("mke_theory.tasks.ravdess.films.read_films", never)
        again = load_films(copy, SPLIT, READING, skip_bad=True, cache=cache)
        assert again.recordings == first.recordings == (FIRST, THIRD, LAST)
        assert again.skipped == first.skipped and len(again.skipped) == 1
        assert np.array_equal(again.face, first.face)
        assert np.array_equal(again.speech, first.speech)
        for other in (Reading(3, 36), Reading(2, 32)):
            with pytest.raises(AssertionError):
                load_films(copy, SPLIT, other, skip_bad=True, cache=cache)
        with pytest.raises(AssertionError):
            load_films(copy, SPLIT, READING, cache=cache)
        write_sound(copy / "Actor_01" / f"03-{FIRST}.wav", tone=500.0)
        with pytest.raises(AssertionError):
            load_films(copy, SPLIT, READING, skip_bad=True, cache=cache)


def test_the_hash_changes_with_what_is_read(copy: Path) -> None:
    found = [content_hash(copy)]
    cut(copy / "Actor_19" / f"01-{LAST}.mp4", 0.9)
    found.append(content_hash(copy))
    (copy / "Actor_19" / f"02-{LAST}.mp4").write_bytes(b"")
    found.append(content_hash(copy))
    film = copy / "Actor_01" / f"01-{FIRST}.mp4"
    film.write_bytes(film.read_bytes()[:-1] + b"\xff")  # of the same size
    found.append(content_hash(copy))
    assert len(set(found)) == 4 and len(found[0]) == 16


def test_a_process_hashes_the_files_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = content_hash(copy)
    monkeypatch.setattr("mke_theory.tasks.ravdess.films.key_of", None)
    assert content_hash(copy) == first
