"""The tables that are made of the two archives, what is left out, and the commands."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.tasks.files.media import read_sound
from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.ravdess import prepare as commands
from mke_theory.tasks.ravdess.archives import SOURCES
from mke_theory.tasks.ravdess.prepare import check, prepare
from mke_theory.tasks.ravdess.speech import RATE, statistics
from mke_theory.tasks.ravdess.tables import INDEX, read_tables
from mke_theory.tasks.ravdess.tracking import GEOMETRY, UNITS
from tests.tasks.files.clips import sine
from tests.tasks.ravdess.made_archives import (
    COLUMNS,
    FIRST,
    LAST,
    SPLIT,
    TEXTS,
    THIRD,
    archives,
    csv_of,
    faces,
    frame,
    frames_of,
    sounds,
    write_archives,
)

for library in ("av", "soundfile", "transformers"):
    pytest.importorskip(library, reason="needs the extra mke_theory[data]")

FACE, SOUND = f"01-{FIRST}.csv", f"Actor_01/03-{FIRST}.wav"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A folder that has both archives."""
    write_archives(tmp_path / "web")
    return tmp_path / "web"


def made(web: Path, **settings: Any) -> list[str]:
    """The lines of `prepare` beside `web`, in the folder `root`."""
    given = archives(web)
    return prepare(web.parent / "root", SPLIT, archives=given, progress=False, **settings)


def test_the_tables_are_those_of_the_archives(web: Path) -> None:
    lines = made(web)
    folder = web.parent / "root" / "ravdess"
    assert lines == [
        f"{folder}: 4 recordings of 3 actors, 12 frames",
        "left out: 1 songs of sound and 2 of tracking; the task is speech",
        "left out: 0 frames without a face or with damaged cells, of 0 recordings",
        "left out: 0 rows of a second face",
    ]
    clips = read_tables(folder, SPLIT, geometry=True)
    assert clips.recordings == tuple(SPLIT) and clips.face.shape == (4, 35 + 41)
    face = dict(zip((*UNITS, *GEOMETRY), clips.face.T.tolist(), strict=True))
    assert face["AU01_r"] == [0.375, 0.625, 0.375, 0.375]
    assert face["AU01_c"] == pytest.approx([2 / 3] * 4, rel=1e-5)  # six digits are written
    assert face["pose_Rx_mean"] == pytest.approx([0.2] * 4)
    assert face["pose_Rx_sd"] == pytest.approx([0.1 * (2 / 3) ** 0.5] * 4, rel=1e-5)


def test_sound_is_8_khz_without_silence_and_its_bands_are_stored(web: Path) -> None:
    made(web)
    folder = web.parent / "root" / "ravdess"
    clips = read_tables(folder, SPLIT)
    for row, one in enumerate(SPLIT):
        wave = read_sound(folder / "audio_8k" / f"03-{one}.flac", rate=RATE)
        # A tone of 0.6 s between two seconds of silence, of which 0.1 s at each end are left.
        assert 6400 <= len(wave) <= 6400 + 2 * 128
        tone = sine(200.0 * one.emotion, 0.6, RATE)
        inside = wave[1600:4800]
        assert np.abs(np.fft.rfft(inside)).argmax() == np.abs(np.fft.rfft(tone[:3200])).argmax()
        assert np.abs(inside).max() == pytest.approx(0.5, abs=0.01)
        loudest = clips.speech[row].reshape(6, 3, 40)[2, 0].argmax()
        assert 0 < loudest < 40 and clips.speech.shape == (4, 720)
    assert statistics(np.zeros((12, 40))).shape == (720,)


def test_a_second_run_makes_the_same_and_needs_no_address(web: Path) -> None:
    made(web)
    folder = web.parent / "root" / "ravdess"
    before = {path.name: path.read_bytes() for path in folder.rglob("*.csv")}
    for archive in web.glob("*.zip"):
        archive.unlink()
    (folder / "unfinished").mkdir()  # of a run that was stopped
    (folder / "unfinished" / "index.csv").touch()
    made(web)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.csv")} == before
    (line,) = check(web.parent / "root", SPLIT)
    assert "4 recordings, all readable; 8 files are those of SHA256SUMS" in line
    assert not (folder / "unfinished").exists()


def test_hashes_and_counts_are_recorded(web: Path) -> None:
    made(web)
    found = json.loads((web.parent / "root" / "ravdess" / SOURCES).read_text())
    for name in ("sound.zip", "face.zip"):
        content = (web / name).read_bytes()
        assert found["archives"][name]["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(found["left_out"]) == 3 and found["skipped"] == []


def test_another_archive_is_refused_before_anything_is_read(web: Path) -> None:
    made(web)
    folder = web.parent / "root" / "ravdess"
    before = (folder / INDEX).read_bytes()
    changed = faces() | {FACE: csv_of([frame(1, AU01_r=5.0)]).encode()}
    write_archives(folder, face=changed, sound=sounds())
    with pytest.raises(ValueError, match=r"face\.zip: has hash .* when it was first used"):
        made(web)
    assert (folder / INDEX).read_bytes() == before
    made(web, accept_other=True)
    assert read_tables(folder, SPLIT).face[0, 0] == 5.0


def test_what_openface_could_not_see_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        *frames_of(FIRST),
        frame(4, success=0, AU01_r=5.0),
        frame(5, confidence=0, AU01_r=5.0),
        frame(5, face_id=1, AU01_r=5.0),
    ]
    columns = sorted(COLUMNS)
    other = faces() | {FACE: csv_of(rows, columns, ",  ").encode()}
    write_archives(tmp_path / "web", face=other)
    lines = made(tmp_path / "web")
    assert lines[2:] == [
        "left out: 2 frames without a face or with damaged cells, of 1 recordings",
        "left out: 1 rows of a second face",
    ]
    face = read_tables(tmp_path / "root" / "ravdess", SPLIT).face
    assert face[:, 0].tolist() == [0.375, 0.625, 0.375, 0.375]


def test_action_units_alone_can_be_asked_for(tmp_path: Path) -> None:
    least = ["confidence", *UNITS]
    other = {f"01-{one}.csv": csv_of(frames_of(one), least).encode() for one in SPLIT}
    write_archives(tmp_path / "web", face=other)
    with pytest.raises(ValueError, match=r"lacks the columns pose_Rx, .* and \d+ more"):
        made(tmp_path / "web")
    made(tmp_path / "web", geometry=False)
    folder = tmp_path / "root" / "ravdess"
    assert read_tables(folder, SPLIT).face.shape == (4, 35)
    task = Ravdess(face="action units, landmarks and pose").at(tmp_path / "root")
    assert "no face_geometry.csv in the folder ravdess" in str(task.missing())
    assert Ravdess().at(tmp_path / "root").missing() is None


Damage = Callable[[dict[str, bytes], dict[str, bytes]], object]
BAD: list[tuple[Damage, str, str]] = [
    (lambda f, s: f.update({FACE: b""}), rf"face\.zip: {FACE} lacks the columns AU01_r", TEXTS[0]),
    (lambda f, s: f.update({FACE: csv_of([]).encode()}), rf"{FACE} has no rows", TEXTS[0]),
    (
        lambda f, s: f.update({FACE: csv_of([frame(1, success=0)]).encode()}),
        rf"{FACE} in none of 1 frames a face was found",
        TEXTS[0],
    ),
    (
        lambda f, s: f.update({FACE: csv_of([frame(1, AU01_r=7)]).encode()}),
        rf"{FACE} AU01_r is 7; allowed are 0 to 5",
        TEXTS[0],
    ),
    (lambda f, s: s.update({SOUND: b""}), rf"sound\.zip: {SOUND}: ", TEXTS[0]),
    (lambda f, s: s.update({SOUND: s[SOUND][:9000]}), rf"{SOUND}: truncated", TEXTS[0]),
    (lambda f, s: s.update({SOUND: b"<html></html>"}), rf"{SOUND}: ", TEXTS[0]),
    (lambda f, s: s.pop(SOUND), rf"sound\.zip: recording {FIRST} is not there", TEXTS[0]),
    (lambda f, s: f.pop(FACE), rf"face\.zip: recording {FIRST} is not there", TEXTS[0]),
    (
        lambda f, s: f.update({"Actor_01/clip.csv": f.pop(FACE)}),
        r"clip\.csv: a clip is named by seven fields",
        TEXTS[0],
    ),
    (
        lambda f, s: (f.pop(f"01-{THIRD}.csv"), s.pop(f"Actor_02/03-{THIRD}.wav")),
        "1 of 1 recordings of actor 02 are not there",
        TEXTS[2],
    ),
]


@pytest.mark.parametrize(("damage", "why", "lost"), BAD)
def test_bad_recordings_are_named_or_left_out(
    tmp_path: Path, damage: Damage, why: str, lost: str
) -> None:
    face, sound = faces(), sounds()
    damage(face, sound)
    write_archives(tmp_path / "web", face=face, sound=sound)
    folder = tmp_path / "root" / "ravdess"
    with pytest.raises(ValueError, match=why) as caught:
        made(tmp_path / "web")
    assert "--skip-bad" in str(caught.value) and not (folder / INDEX).exists()
    lines = made(tmp_path / "web", skip_bad=True)
    assert any(re.search(why, line) for line in lines)
    clips = read_tables(folder, SPLIT, skip_bad=True)
    assert [str(one) for one in clips.recordings] == [text for text in TEXTS if text != lost]


def test_without_a_part_there_is_no_task(tmp_path: Path) -> None:
    write_archives(tmp_path / "web", face=faces() | {f"01-{LAST}.csv": b""})
    with pytest.raises(ValueError, match="no recording of a test actor that can be used"):
        made(tmp_path / "web", skip_bad=True)


def test_tables_from_elsewhere_stay(web: Path) -> None:
    folder = web.parent / "root" / "ravdess"
    folder.mkdir(parents=True)
    (folder / INDEX).write_text("clip,label,actor\n")
    with pytest.raises(ValueError, match=r"tables that were not made here \(index\.csv without"):
        made(web)
    assert [path.name for path in folder.iterdir()] == [INDEX]


def test_nothing_is_fetched_without_the_libraries(
    web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "lacking", lambda *_: "pip install it")
    with pytest.raises(ModuleNotFoundError, match="pip install it"):
        made(web)
    assert not (web.parent / "root").exists()


def test_the_commands_print_what_they_found(
    web: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = web.parent / "root"
    monkeypatch.setattr(commands, "read_split", lambda: SPLIT)
    made_of = (lambda given: lambda *a, **k: prepare(*a, archives=given, **k))(archives(web))
    monkeypatch.setattr(commands, "prepare", made_of)
    for command in ("prepare", "check"):
        monkeypatch.setattr(sys, "argv", ["x", command, "--data-root", str(root)])
        commands.main()
        assert "4 recordings" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["x", "check", "--data-root", str(web)])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert "has no folder ravdess" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mke_theory.tasks.ravdess", "check"]
    done = subprocess.run(
        [*command, "--data-root", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "prepare --data-root" in done.stderr


@pytest.mark.data("ravdess")
def test_the_tables_are_checked(data_root: Path) -> None:
    (line,) = check(data_root)
    assert "1440 recordings, all readable; 1444 files are those of SHA256SUMS" in line
