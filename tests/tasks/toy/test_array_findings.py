"""The table of what was found in arrays, by hand, and what is repaired on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.toy.array_findings import CAUTION, tells_the_class
from mke_theory.tasks.toy.array_reading import row_numbers
from tests.tasks.toy.own_arrays import Content, content, given_parts, saved


def cautions(folder: Path, arrays: Content) -> str:
    return "\n".join(text for what, text in saved(folder, arrays).found(0) if what == CAUTION)


def test_the_table_by_hand(tmp_path: Path) -> None:
    arrays = given_parts()
    arrays["sound"][:21, 1] = 7.0  # a constant in training
    arrays["image"][[2, 25]] = np.nan
    arrays["labels"][9:15] = -1
    table = dict(saved(tmp_path, arrays).found(0))
    assert table["rows"] == "9 labelled, 12 unlabelled, 9 test"
    assert table["alpha (the teacher's): sound"] == (
        "[n, 3] float64, missing in 0 rows, 1 of 3 columns constant in training (the first is 1): "
        "they count as 0 everywhere"
    )
    assert table["beta: image"].startswith("[n, 2, 2] float64, missing in 2 rows, no column")
    assert table["classes"] == (
        "labelled 0: 3, 1: 3, 2: 3; unlabelled 0: 2, 1: 2, 2: 2, unknown: 6; test 0: 3, 1: 3, 2: 3"
    )
    assert table["groups"] == "none; rows were taken one by one"
    assert table["copies across parts"].startswith("0 of 9 test rows are in training too; 0 of 30")


def test_a_constant_column_says_nothing_in_test(tmp_path: Path) -> None:
    arrays = given_parts()
    arrays["sound"][:, 1] = np.where(np.arange(30) < 21, 0.0, 250.0)
    problem = saved(tmp_path, arrays).problem(0)
    assert bool((problem.test.inputs["sound"][:, 1] == 0).all())


def test_equal_rows_stay_on_one_side_of_the_split(tmp_path: Path) -> None:
    arrays = content()
    for name in ("sound", "image"):
        arrays[name][[3, 8, 25]] = arrays[name][0]  # three labelled rows and one of D_u are equal
    task = saved(tmp_path, arrays)
    copies = row_numbers(tmp_path / "own.npz", arrays)  # the first equal row's, in any process
    assert copies[[0, 3, 8, 25]].tolist() == [0, 0, 0, 0] and len(set(copies.tolist())) == 27
    sides = set()
    for seed in range(12):
        part = task._parts(arrays, seed)
        sides.add(part[0])
        assert part[3] == part[8] == part[0]
        assert part[25] == ("left out" if part[0] == "test" else "unlabelled")
        assert dict(task.found(seed))["copies across parts"].startswith("0 of")
    assert sides == {"test", "labelled"}


def test_copies_across_given_parts_are_counted(tmp_path: Path) -> None:
    arrays = given_parts()
    for name in ("sound", "image"):
        arrays[name][[22, 29]] = arrays[name][[1, 12]]
    assert "2 of 9 test rows are in training number for number" in cautions(tmp_path, arrays)


def test_a_modality_made_from_labels_is_pointed_out(tmp_path: Path) -> None:
    y = np.arange(90) % 3
    arrays = {
        "sound": np.random.default_rng(0).normal(size=(90, 3)),
        "answer": np.eye(3)[y],
        "row": np.arange(90.0)[:, None],
        "labels": np.where(np.arange(90) < 60, y, -1),
    }
    found = cautions(tmp_path, arrays)
    assert "answer alone tells every class (3 different rows, each of one class)" in found
    assert "row numbers the rows" in found and "sound" not in found


def test_what_tells_the_class_and_what_does_not() -> None:
    y = np.arange(60) % 3
    noise = np.random.default_rng(0).normal(size=(60, 1))
    assert tells_the_class(np.c_[noise, y[:, None] + 0.1 * np.tanh(noise)], y).startswith(
        "column 1 has"
    )
    assert tells_the_class(y[:, None] // 2, y) == ""
    assert tells_the_class(noise, y) == ""
    assert tells_the_class(y[:9, None], y[:9]) == ""  # too few rows to tell


def test_parts_in_another_unit_and_groups_by_two_spellings(tmp_path: Path) -> None:
    arrays = given_parts() | {"groups": np.repeat(["Ana", "ana ", "Bo"], [9, 12, 9])}
    arrays["image"][21:] += 1000.0
    found = cautions(tmp_path, arrays)
    assert "4 columns of image hold other numbers in test than in training" in found
    assert "1 groups differ from another by spaces or capitals alone" in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {
                "labels": np.where(
                    np.arange(30) < 20, np.array([0, 1, 2**40])[np.arange(30) % 3], -1
                )
            },
            "no labelled row has class 2; .* If 1099511627776 stands for unknown",
        ),
        ({"labels": np.where(np.arange(30) < 20, np.arange(30), -1)}, "a class of its own"),
        (
            {"labels": np.where(np.arange(30) < 20, np.arange(30) % 3, 255).astype(np.uint8)},
            "class 255 in 10 of 30 rows, which is what -1",
        ),
        ({"label": np.zeros((30, 1))}, "called 'label'; it would be a modality"),
        ({"type": np.zeros((30, 1))}, "called 'type', which torch allows"),
        ({"image": np.full((30, 2), 1e31)}, "a number beyond ±1e\\+30 in sample 0"),
        ({"groups": np.where(np.arange(30) == 4, np.nan, 1.0)}, "no id in 1 of 30 samples"),
    ],
)
def test_what_makes_no_sense_is_refused(change: Content, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, content() | change).problem(0)
