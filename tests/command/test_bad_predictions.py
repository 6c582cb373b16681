"""`mke audit` with bad input: a clear line, and no answer of a person lost; or the exact answer."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mke_theory.command.main import main
from tests.audit.made_pools import fill, made, rows_of

POOL = made(40, 5, 5)
NAMES = np.array(["cat", "dog", "owl"])
CALL = ["audit", "compare", "predictions.csv", "--batch", "5"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, with a table of predictions."""
    monkeypatch.chdir(tmp_path)
    write("predictions.csv", NAMES[POOL.student], NAMES[POOL.teacher])


def write(name: str, student: np.ndarray, teacher: np.ndarray) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "student", "teacher"])
        table.writerows(zip(range(len(student)), student, teacher, strict=True))


def named(row: dict[str, str]) -> str:
    return str(NAMES[POOL.truth[int(row["id"])]])


def text_of(lines: str) -> Callable[[], list[str]]:
    def written() -> list[str]:
        Path("bad.csv").write_text(lines, encoding="utf-8")
        return ["bad.csv"]

    return written


def arrays(**given: np.ndarray) -> Callable[[], list[str]]:
    def written() -> list[str]:
        np.savez("bad.npz", **given)  # type: ignore[arg-type]  # its stub has no keywords
        return ["bad.npz"]

    return written


def two_files(first: str, second: str) -> Callable[[], list[str]]:
    def written() -> list[str]:
        Path("a.csv").write_text(first, encoding="utf-8")
        Path("b.csv").write_text(second, encoding="utf-8")
        return ["a.csv", "b.csv"]

    return written


ONE_HOT = np.eye(3, dtype=int)[[0, 1, 2, 0]]
CHANCES = np.array([[0.7, 0.2, 0.2], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0], [0.2, 0.6, 0.2]])
LABELS = np.array([0, 1, 2, 0])
BAD = {
    "lengths": (two_files("student\n0\n1\n0\n", "teacher\n1\n0\n"), "has 3 samples and b.csv 2"),
    "ids": (two_files("id,student\n1,0\n2,1\n", "id,teacher\n1,0\n3,1\n"), "not about the same"),
    "an id twice": (text_of("id,student,teacher\n1,0,1\n1,1,0\n"), "has id '1' twice"),
    "classes": (text_of("student,teacher\n0,cat\n1,dog\n"), "no class in common (0, 1; cat, dog)"),
    "case": (text_of("student,teacher\nCat,cat\ndog,Dog\n"), "differ in case alone"),
    "NaN": (text_of("student,teacher\n0,1\n,0\n"), "no prediction for sample"),
    "NaN in arrays": (arrays(student=np.array([0, np.nan]), teacher=LABELS[:2]), "is NaN"),
    "probabilities": (text_of("student,teacher\n0.9,0.2\n0.1,0.5\n"), "not its probability"),
    "do not sum to 1": (arrays(student=CHANCES, teacher=LABELS), "argmax(axis=1)"),
    "logits": (arrays(student=4 * CHANCES - 2, teacher=LABELS), "argmax(axis=1)"),
    "one-hot": (arrays(student=ONE_HOT, teacher=LABELS), "one-hot labels; give class numbers"),
    "one class": (text_of("student,teacher\n1,1\n1,1\n"), "name all classes by --classes"),
}


@pytest.mark.parametrize("name", BAD)
def test_predictions_that_cannot_be_audited(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    files, message = BAD[name]
    assert main(["audit", "compare", *files()]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and len(line.splitlines()) == 1 and message in line
    assert not Path("to_label.csv").exists()


def test_they_never_differ(capsys: pytest.CaptureFixture[str]) -> None:
    write("same.csv", NAMES[POOL.student], NAMES[POOL.student])
    assert main(["audit", "compare", "same.csv"]) == 0
    found = capsys.readouterr().out
    assert "exactly 0.0 points" in found and "after 0 labels" in found
    assert not Path("to_label.csv").exists()


def test_all_looked_up_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    call = [*CALL[:3], "--batch", "50"]
    assert main(call) == 3
    fill(Path("to_label.csv"), named)
    assert main(call) == 0
    gain = 100 * POOL.gain
    assert f"exactly +{gain:.1f} points" in capsys.readouterr().out


def spreadsheet(change: Callable[[str], str], mark: str = "utf-8-sig") -> bytes:
    """Fill the table in, save it as a spreadsheet would, and return its bytes."""
    path = Path("to_label.csv")
    fill(path, named)
    path.write_bytes(change(path.read_text(encoding="utf-8-sig")).encode(mark))
    return path.read_bytes()


EDITS: dict[str, Callable[[str], str]] = {
    "semicolons": lambda text: text.replace(",", ";"),
    "tabs": lambda text: text.replace(",", "\t"),
    "decimal commas": lambda text: "\n".join(map(decimal, text.splitlines())),
    "trailing rows": lambda text: text + ",,,\n,,,\nlabelled by Ann,,,\n",
    "returns": lambda text: text.replace("\r\n", "\r"),
    "sorted": lambda text: "\n".join(
        [text.splitlines()[0], *sorted(text.splitlines()[1:], reverse=True)]
    ),
}


def decimal(line: str) -> str:
    """The row's number with a decimal comma, cells between semicolons."""
    number, *cells = line.split(",")
    return ";".join([f"{number},0" if number.isdecimal() else number, *cells])


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-8", "utf-16"])
def test_edited_in_a_spreadsheet(name: str, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CALL) == 3
    spreadsheet(EDITS[name], mark)
    capsys.readouterr()
    assert main(CALL) in (0, 3)
    assert "of 5 looked up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("cat", "03.04.26").replace("owl", "03.04.26"), "into a date"),
        (lambda text: text.replace(",dog,", ",wolf,").replace(",cat,", ",wolf,"), "is 'wolf'"),
        (lambda text: text.replace("\n2,", "\n9,"), "do not belong together"),
        (lambda text: "\n".join(text.splitlines()[1:]), "has no column"),
        (lambda text: text.replace("check", "chk"), "has no column check"),
        (lambda text: "PK" + text, "is a workbook"),
    ],
)
def test_a_table_that_was_spoilt_is_left_as_it_is(
    change: Callable[[str], str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(CALL) == 3
    before = spreadsheet(change, "utf-8")
    assert main(CALL) == 2
    line = capsys.readouterr().err
    assert message in line and len(line.splitlines()) == 1
    assert Path("to_label.csv").read_bytes() == before


def test_answers_of_another_pool_are_left_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CALL) == 3
    before = spreadsheet(lambda text: text)
    other = made(40, 5, 5, seed=1)
    write("predictions.csv", NAMES[other.student], NAMES[other.teacher])
    assert main(CALL) == 2
    assert "belongs to another pool" in capsys.readouterr().err
    assert Path("to_label.csv").read_bytes() == before
    assert len(rows_of(Path("to_label.csv"))) == 5
