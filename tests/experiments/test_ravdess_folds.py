"""The study over four folds of actors: its table by hand, and calls that are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.ravdess_folds import Options, chosen_tasks, main, markdown, table
from mke_theory.study.records import Record
from tests.report.made_records import record

TEACHER = (40, 50, 60, 70, 42, 52, 62, 72)
"""Test accuracies in percent at seeds 0 to 7: folds at 41, 51, 61, 71."""
GAINS = (10, 12, 14, 16, 12, 14, 16, 18)
"""Those of the student: 11, 13, 15, 17 by fold, and 1 to either side of it by draw."""


def made_up(seeds: int = 8) -> list[Record]:
    rows = []
    for seed in range(seeds):
        rows.append(record("ravdess", "um_teacher", seed, TEACHER[seed] / 100))
        rows.append(record("ravdess", "mm_student", seed, (TEACHER[seed] + GAINS[seed]) / 100))
    return rows


def test_the_table_by_hand() -> None:
    teacher, student = table(made_up()).to_dict("records")
    assert [teacher[f"actors {a} to {a + 5}"] for a in (1, 7, 13, 19)] == [
        "41.0",
        "51.0",
        "61.0",
        "71.0",
    ]
    assert teacher["all actors"] == "56.0 ± 12.9 (4)" and teacher["gain by fold"] == "reference"
    assert student["actors 1 to 6"] == "52.0"
    assert student["gain by fold"] == "+11.0, +13.0, +15.0, +17.0"
    # Mean 14, sd 2.582, t(3) = 3.182: reach 4.108. Draws of a fold differ by 2: sd √2.
    assert student["gain"] == "+14.0 [9.9, 18.1] (4)"
    assert student["sd between folds, draws"] == "2.6, 1.4"


def test_the_page_names_folds_and_draws() -> None:
    text = markdown(made_up())
    assert "(ravdess)\n" in text and "4 folds, 2 draws each." in text
    assert "1.4" not in markdown(made_up(4)) and "2.6, nan" in markdown(made_up(4))


def test_folds_that_are_not_drawn_equally_often_are_refused() -> None:
    with pytest.raises(ValueError, match="are not every fold equally often"):
        table(made_up(6))
    with pytest.raises(ValueError, match="other seeds than the teacher"):
        table([row for row in made_up() if row.arm == "um_teacher" or row.seed < 4])


def test_every_setting_is_run_in_four_folds(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ravdess: no index\.csv"):
        chosen_tasks(Options(data_root=tmp_path))
    folder = tmp_path / "ravdess"
    folder.mkdir()
    for name in ("index.csv", "face_au.csv", "logmel40.npz"):
        (folder / name).touch()
    tasks = chosen_tasks(Options(data_root=tmp_path))
    assert [task.name for task in tasks] == [
        "ravdess",
        "ravdess_audio",
        "ravdess_actors",
        "ravdess_audio_actors",
    ]
    assert {task.test_actors for task in tasks} == {"four folds"}
    (one,) = chosen_tasks(replace(Options(data_root=tmp_path), tasks=("ravdess_audio",)))
    assert "test actors in four folds" in one.title


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--first-seed", "2"], "first_seed is 2; it has to be 0 or a multiple of 4"),
        (["--draws", "0"], "draws is 0"),
        (["--arms", "best"], "there is no arm 'best'"),
        (["--tasks", "digits"], "there is no task 'digits'"),
        ([], "ravdess: no index.csv"),
    ],
)
def test_calls_that_cannot_be_right_end_with_2(
    argv: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--data-root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.data("ravdess")
def test_a_short_run_writes_its_table(data_root: Path, tmp_path: Path) -> None:
    options = ["--tasks", "ravdess", "--arms", "um_student", "--draws", "1", "--workers", "1"]
    assert main([*options, "--data-root", str(data_root), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "folds.md").read_text()
    assert "RAVDESS, face → face + speech, test actors in four folds (ravdess)" in text
    assert text.count("(4) |") >= 3
