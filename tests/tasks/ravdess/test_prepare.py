"""Archives unpacked and verified, and the commands."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mke_theory.tasks.ravdess import prepare as commands
from mke_theory.tasks.ravdess.prepare import UNVERIFIED, check, prepare
from tests.tasks.files.clips import cut
from tests.tasks.ravdess.made_films import SPLIT


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


def test_archives_are_unpacked_and_verified(corpus: Path, tmp_path: Path) -> None:
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


def test_where_nothing_is_there_the_error_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Video_Speech_Actor_01\.zip") as caught:
        prepare(tmp_path)
    for text in ("zenodo.org/record/1188976", "CC BY-NC-SA 4.0", "Audio_Speech_Actors_01-24.zip"):
        assert text in str(caught.value)
    with pytest.raises(FileNotFoundError, match="says what to fetch"):
        check(tmp_path)


def test_a_small_part_of_the_corpus_is_not_the_corpus(corpus: Path) -> None:
    with pytest.raises(ValueError, match="58 of 60 recordings of actor 01 are not there"):
        check(corpus.parent)


def test_the_commands_print_what_they_found(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "read_split", lambda: SPLIT)
    monkeypatch.setenv("MKE_CACHE", str(tmp_path / "cache"))
    for command in ("prepare", "check"):
        monkeypatch.setattr(sys, "argv", ["x", command, "--data-root", str(corpus.parent)])
        commands.main()
        assert UNVERIFIED in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["x", "check", "--data-root", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert "has no folder ravdess" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mke_theory.tasks.ravdess", "prepare"]
    done = subprocess.run(
        [*command, "--data-root", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "zenodo.org/record/1188976" in done.stderr


@pytest.mark.data("ravdess")
def test_the_tables_are_checked(data_root: Path) -> None:
    (line,) = check(data_root)
    assert "1440 recordings, all readable; 1444 files are those of SHA256SUMS" in line
