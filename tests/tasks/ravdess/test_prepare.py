"""The authors' layout in small: twins are one sample, bad files are named or left out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.files.media import read_sound
from mke_theory.tasks.ravdess import prepare as ravdess_originals
from mke_theory.tasks.ravdess.film_reader import (
    Files,
    Reading,
    content_hash,
    find,
    load_originals,
    read_originals,
)
from mke_theory.tasks.ravdess.prepare import UNVERIFIED, check, prepare
from mke_theory.tasks.ravdess.speech import RATE, log_mel, statistics, trimmed
from mke_theory.tasks.ravdess.split import Part, Recording, parse_recording
from tests.tasks.files.clips import cut, flat, sine, write_clip, write_sound

for library in ("av", "soundfile", "transformers"):
    pytest.importorskip(library, reason="needs the extra mke_theory[data]")

SIZE = (36, 64)
READING = Reading(frames=2, side=36)
TEXTS = ("01-03-01-01-01-01", "01-05-02-01-01-01", "01-03-01-01-01-02", "01-03-01-01-01-19")
SPLIT: dict[Recording, Part] = {
    parse_recording(text): "test" if text.endswith("19") else "train" for text in TEXTS
}
FIRST, SECOND, THIRD, LAST = SPLIT


def halves(colour: tuple[int, int, int]) -> np.ndarray:
    """Black at the sides, `colour` in the middle square."""
    picture = flat(0, SIZE)
    picture[:, 14:50] = colour
    return picture


def write_recording(
    folder: Path, recording: Recording, files: str, colour: tuple[int, int, int] = (200, 50, 50)
) -> None:
    """Some of the files 1 (film), 2 (silent film) and 3 (wav) of a recording."""
    actor = folder / f"Actor_{recording.actor:02}"
    actor.mkdir(parents=True, exist_ok=True)
    kind = {"seconds": 1.6, "fps": 10.0, "size": SIZE, "picture": halves(colour)}
    if "1" in files:
        write_clip(actor / f"01-{recording}.mp4", tone=700.0, **kind)  # type: ignore[arg-type]
    if "2" in files:
        write_clip(actor / f"02-{recording}.mp4", tone=None, **kind)  # type: ignore[arg-type]
    if "3" in files:
        silence = np.zeros(48000, np.float32)
        sound = np.concatenate([silence, sine(300.0, 1.6, 48000), silence])
        write_sound(actor / f"03-{recording}.wav", sound=sound, rate=48000)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording as three files, one as two, one as the two halves, one as a film alone."""
    folder = tmp_path_factory.mktemp("root") / "ravdess"
    write_recording(folder, FIRST, "123")
    write_recording(folder, SECOND, "12", (50, 200, 50))
    write_recording(folder, THIRD, "23")
    write_recording(folder, LAST, "1")
    return folder


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "ravdess"))


def read(folder: Path, *, skip_bad: bool = False) -> list[str]:
    return [
        str(one) for one in read_originals(folder, SPLIT, READING, skip_bad=skip_bad).recordings
    ]


def test_twins_are_one_sample_read_from_the_better_files(corpus: Path) -> None:
    found = find(corpus)
    assert found.wrong == [] and found.songs == 0 and set(found.recordings) == set(SPLIT)
    names = {str(one): (f.face.name[:2], f.sound.name[:2]) for one, f in found.recordings.items()}
    assert list(names.values()) == [("01", "03"), ("02", "03"), ("01", "01"), ("01", "01")]
    assert sorted(names) == sorted(TEXTS)


def test_pictures_and_sound_are_those_of_the_files(corpus: Path) -> None:
    clips = read_originals(corpus, SPLIT, READING)
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
    clips = read_originals(corpus, SPLIT, READING)
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
    clips = read_originals(copy, SPLIT, READING, skip_bad=True)
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
    clips = read_originals(copy, SPLIT, READING)
    assert clips.recordings == tuple(SPLIT)
    assert clips.skipped == ()  # no file is bad
    assert clips.notes == (f"{copy}: 1 clips of song left out; the task is speech",)


def test_what_was_read_is_kept(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cut(copy / "Actor_01" / f"01-{SECOND}.mp4", 0.7)
    first = load_originals(copy, SPLIT, READING, skip_bad=True, cache=cache)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("was read again")

    with monkeypatch.context() as patch:
        patch.setattr("mke_theory.tasks.ravdess.film_reader.read_originals", never)
        again = load_originals(copy, SPLIT, READING, skip_bad=True, cache=cache)
        assert again.recordings == first.recordings == (FIRST, THIRD, LAST)
        assert again.skipped == first.skipped and len(again.skipped) == 1
        assert np.array_equal(again.face, first.face)
        assert np.array_equal(again.speech, first.speech)
        for other in (Reading(3, 36), Reading(2, 32)):
            with pytest.raises(AssertionError):
                load_originals(copy, SPLIT, other, skip_bad=True, cache=cache)
        with pytest.raises(AssertionError):
            load_originals(copy, SPLIT, READING, cache=cache)
        write_sound(copy / "Actor_01" / f"03-{FIRST}.wav", tone=500.0)
        with pytest.raises(AssertionError):
            load_originals(copy, SPLIT, READING, skip_bad=True, cache=cache)


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
    monkeypatch.setattr("mke_theory.tasks.ravdess.film_reader.key_of", None)
    assert content_hash(copy) == first


# Archives


def archives(corpus: Path, folder: Path) -> None:
    """The corpus as the authors' archives, with a copy deeper down as some mirrors have it."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "Audio_Speech_Actors_01-24.zip", "w") as archive:
        for path in sorted(corpus.glob("*/*.wav")):
            archive.write(path, f"{path.parent.name}/{path.name}")
            archive.write(path, f"audio_speech_actors_01-24/{path.parent.name}/{path.name}")
        archive.writestr("Actor_01/03-02-03-01-01-01-01.wav", b"a song")
    for actor in ("01", "02", "19"):
        with zipfile.ZipFile(folder / f"Video_Speech_Actor_{actor}.zip", "w") as archive:
            for path in sorted(corpus.glob(f"Actor_{actor}/*.mp4")):
                archive.write(path, f"{path.parent.name}/{path.name}")


def test_archives_are_unpacked_and_looked_through(corpus: Path, tmp_path: Path) -> None:
    archives(corpus, tmp_path / "ravdess")
    for _ in range(2):
        assert prepare(tmp_path, SPLIT, cache=tmp_path / "cache") == tmp_path / "ravdess"
        names = [path.relative_to(tmp_path / "ravdess") for path in tmp_path.glob("ravdess/*/*")]
        assert sorted(names) == sorted(path.relative_to(corpus) for path in corpus.glob("*/*"))
    whole, honest = check(tmp_path, SPLIT)
    assert whole.endswith("4 recordings of 3 actors, all there and readable")
    assert honest == UNVERIFIED and "No hash" in honest


def test_damaged_archives_are_refused(corpus: Path, tmp_path: Path) -> None:
    archives(corpus, tmp_path / "ravdess")
    archive = cut(tmp_path / "ravdess" / "Video_Speech_Actor_02.zip", 0.6)
    with pytest.raises(ValueError, match=r"Video_Speech_Actor_02\.zip: damaged"):
        prepare(tmp_path, SPLIT, cache=tmp_path / "cache")
    archive.unlink()
    with pytest.raises(ValueError, match="its recording has no picture"):
        prepare(tmp_path, SPLIT, cache=tmp_path / "cache")
    assert not (tmp_path / "ravdess" / "unpacked").exists()


def test_where_nothing_is_there_it_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Video_Speech_Actor_01\.zip") as caught:
        prepare(tmp_path)
    for said in ("zenodo.org/record/1188976", "CC BY-NC-SA 4.0", "Audio_Speech_Actors_01-24.zip"):
        assert said in str(caught.value)
    with pytest.raises(FileNotFoundError, match="says what to fetch"):
        check(tmp_path)


def test_a_small_part_of_the_corpus_is_not_the_corpus(corpus: Path) -> None:
    with pytest.raises(ValueError, match="58 of 60 recordings of actor 01 are not there"):
        check(corpus.parent)


def test_the_commands_say_what_they_found(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ravdess_originals, "read_split", lambda: SPLIT)
    monkeypatch.setenv("MKE_CACHE", str(tmp_path / "cache"))
    for command in ("prepare", "check"):
        monkeypatch.setattr(sys, "argv", ["x", command, "--data-root", str(corpus.parent)])
        ravdess_originals.main()
        assert UNVERIFIED in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["x", "check", "--data-root", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        ravdess_originals.main()
    assert "has no folder ravdess" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mke_theory.tasks.ravdess.prepare", "prepare"]
    done = subprocess.run(
        [*command, "--data-root", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "zenodo.org/record/1188976" in done.stderr


@pytest.mark.data("ravdess")
def test_the_pack_is_checked(data_root: Path) -> None:
    (line,) = check(data_root)
    assert "1440 recordings, all readable; 1444 files are those of SHA256SUMS" in line
