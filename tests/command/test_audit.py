"""The command line: from a table of predictions to a verdict, round by round."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mke_theory.audit import compare
from mke_theory.command.audit import main
from tests.audit.made_pools import Oracle, fill, made, rows_of

POOL = made(60, 25, 10)
NAMES = np.array(["cat", "dog", "owl"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a table of predictions."""
    monkeypatch.chdir(tmp_path)
    lines = ["id;student;teacher;clip"] + [
        f"clip {i};{NAMES[s]};{NAMES[t]};{i}.wav"
        for i, (s, t) in enumerate(zip(POOL.student, POOL.teacher, strict=True))
    ]
    (tmp_path / "predictions.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def named(row: dict[str, str]) -> str:
    return str(NAMES[POOL.truth[int(row["id"].split()[1])]])


def rounds(*call: str, path: str = "to_label.csv") -> int:
    """Call and fill in until there is an answer: how many calls that took."""
    for calls in range(1, 60):
        code = main([*call])
        if code != 3:
            assert code == 0
            return calls
        fill(Path(path), named, delimiter=";")
    raise AssertionError("no answer")


def test_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("compare", "predictions.csv", "--sides", "2", "--batch", "5", "--show", "clip")
    assert main(call) == 3
    printed = capsys.readouterr().out
    assert "Fill in the column 'label' of to_label.csv (5 rows to go" in printed
    assert printed.isascii()
    assert list(rows_of(folder / "to_label.csv")[0]) == ["row", "id", "clip", "label", "check"]
    rounds(*call)
    printed = capsys.readouterr().out.splitlines()[-3]
    beside = compare(POOL.student, POOL.teacher, Oracle(POOL.truth), classes=3, sides=2)
    assert f"({'certain' if beside.certain else '95%'}), after {beside.decided_after}" in printed


def test_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rounds("error", "predictions.csv", "--count", "30", "--batch", "30") == 2
    assert "after 30 labels of 115 samples" in capsys.readouterr().out


def test_best(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds("best", "predictions.csv", "--columns", "teacher", "student", "--tolerance", "0.02")
    assert "Ship student: no other is better by more than 2.0 points" in capsys.readouterr().out


def test_all_columns_but_those_shown_are_candidates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["best", "predictions.csv", "--show", "clip"]) == 3
    assert "among student, teacher" in capsys.readouterr().out


def test_files_with_rows_in_another_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.csv").write_text("id,student\n1,cat\n2,dog\n")
    (folder / "b.csv").write_text("id,teacher\n2,cat\n1,cat\n")
    assert main(["compare", "a.csv", "b.csv"]) == 3
    printed = capsys.readouterr().out
    assert "b.csv has its rows in another order; they were matched by their ids." in printed
    assert "They differ on 1 of 2 samples" in printed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["compare", "absent.csv"], "absent.csv"),
        (["compare"], "name at least one file"),
        (["compare", "predictions.csv", "--student", "x"], "no column 'x' (of the student;"),
        (["compare", "predictions.csv", "--level", "2"], "level is 2"),
        (["compare", "predictions.csv", "--show", "x"], "no column 'x' (to show)"),
        (["compare", "predictions.csv", "--classes", "cat", "dog"], "is 'owl'; the classes"),
        (["error", "predictions.csv", "--count", "0"], "labels is 0"),
    ],
)
def test_a_bad_call_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], call: list[str], message: str
) -> None:
    assert main(call) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and len(line.splitlines()) == 1
    assert message in line
    assert not (folder / "to_label.csv").exists()


def test_a_label_that_is_no_class_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", "predictions.csv"])
    fill(folder / "to_label.csv", lambda row: "cow", delimiter=";")
    before = (folder / "to_label.csv").read_bytes()
    assert main(["compare", "predictions.csv"]) == 2
    assert "line 2: label is 'cow'" in capsys.readouterr().err
    assert (folder / "to_label.csv").read_bytes() == before


def test_the_module_runs(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "mke_theory.command", "audit", "compare", "predictions.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "Fill in" in ran.stdout
