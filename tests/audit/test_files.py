"""Predictions from files, alone and joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.audit.files import Columns, classes_of, read_columns


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_one_table(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "id;student;teacher\na;1;2,0\n\nb;cat;3.0\n")
    found = read_columns([path])
    assert found == Columns(
        {"student": ["1", "cat"], "teacher": ["2,0", "3.0"]}, ["a", "b"], (), ";"
    )
    assert found.predictions("teacher", "") == ["2", "3"]
    assert found.predictions("student", "") == ["1", "cat"]


def test_without_ids_samples_are_called_by_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "student,teacher\n1,2\n\n1,1\n")
    assert read_columns([path]).ids == ["2", "4"]


def test_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", student=[0, 1], teacher=["a", "b"], id=[7, 8])
    found = read_columns([tmp_path / "p.npz"])
    assert found.columns == {"student": ["0", "1"], "teacher": ["a", "b"]}
    assert found.ids == ["7", "8"]
    for name in ("student", "teacher"):
        np.save(tmp_path / f"{name}.npy", np.array([2, 1], dtype=np.uint8))
    both = read_columns([tmp_path / "student.npy", tmp_path / "teacher.npy"])
    assert both.columns == {"student": ["2", "1"], "teacher": ["2", "1"]}
    assert both.ids == ["0", "1"]


def test_tables_are_joined_by_id_whatever_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "student.csv", "id,prediction\na,1\nb,2\nc,3\n")
    second = write(tmp_path / "teacher.csv", "id,prediction\nc,6\na,4\nb,5\n")
    found = read_columns([first, second])
    assert found.columns == {"prediction": ["1", "2", "3"], "teacher": ["4", "5", "6"]}
    assert found.reordered == (second,)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("id,s\na,1\nb,2\n", "id,t\na,1\nc,2\n", "2 ids are in one of them alone, .* 'b'"),
        ("id,s\na,1\nb,2\n", "id,t\na,1\n", "1 ids are in one of them alone"),
        ("id,s\na,1\nb,2\n", "id,t\na,1\na,2\n", "has id 'a' twice"),
        ("id,s\na,1\na,2\n", "id,t\na,1\nb,2\n", "has id 'a' twice"),
        ("id,s\na,1\nb,2\n", "t\n1\n2\n", "has no column 'id', and another file has"),
        ("s\n1\n2\n", "t\n1\n", "has 2 samples and .* 1; give both for the same samples"),
        ("s,u\n1\n2\n", "u,v\n1\n2\n", "two files have a column 'u'"),
        ("s\n", "t\n", "has no rows"),
    ],
)
def test_files_that_do_not_match(tmp_path: Path, first: str, second: str, message: str) -> None:
    paths = [write(tmp_path / "a.csv", first), write(tmp_path / "b.csv", second)]
    with pytest.raises(ValueError, match=message):
        read_columns(paths)


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        ([[0.5, 0.5]], ValueError, "probabilities; give class numbers"),
        ([[0.5, 1.5]], ValueError, "scores such as logits"),
        (np.eye(2), ValueError, "one-hot"),
        ([0.0, 1.0], TypeError, "student is float64"),
        (np.zeros((2, 3, 3), int), ValueError, r"give classes or names \[n\]"),
        (1, ValueError, "of one length|no predictions|shape"),
    ],
)
def test_arrays_that_are_no_classes(
    tmp_path: Path, array: Any, error: type[Exception], message: str
) -> None:
    np.save(tmp_path / "student.npy", np.asarray(array))
    with pytest.raises(error, match=message):
        read_columns([tmp_path / "student.npy"])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name at least one file"):
        read_columns([])
    with pytest.raises(FileNotFoundError):
        read_columns([tmp_path / "absent.csv"])
    (tmp_path / "p.npz").write_bytes(b"no arrays")
    with pytest.raises(ValueError, match=r"cannot be read as \.npz"):
        read_columns([tmp_path / "p.npz"])
    np.savez(tmp_path / "q.npz", a=[1, 2], b=[1])
    with pytest.raises(ValueError, match="have to be of one length; they have a 2, b 1"):
        read_columns([tmp_path / "q.npz"])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("0.93", "is 0.93 for sample 'b'; give the predicted class, not its probability"),
        ("0,93", "not its probability"),
        ("1e-5", "not its probability"),
        ("", "has no prediction for sample 'b'"),
        ("nan", "has no prediction for sample 'b'"),
    ],
)
def test_cells_that_are_no_class(cell: str, message: str) -> None:
    columns = Columns({"student": ["1", cell]}, ["a", "b"])
    with pytest.raises(ValueError, match=message):
        columns.predictions("student", "")
    with pytest.raises(ValueError, match=r"no column 'x' \(why\); there are student"):
        columns.predictions("x", "why")


def test_classes_by_name_number_or_what_is_predicted() -> None:
    assert classes_of((), [["10", "9"], ["9", "2"]]).names == ("2", "9", "10")
    assert classes_of((), [["b"], ["a"]]).names == ("a", "b")
    assert classes_of(("3",), [["a"]]).names == ("0", "1", "2")
    assert classes_of(("x", "y"), [["a"]]).names == ("x", "y")
    with pytest.raises(ValueError, match="the only class predicted is 'a'; name all classes"):
        classes_of((), [["a"], ["a"]])
