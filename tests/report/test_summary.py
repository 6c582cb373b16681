"""The end of a study: one table and one line a task, and every figure that its records allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from mke_theory.report import evidence, summary, tables
from mke_theory.study.records import Record
from tests.report.made_records import evidence as evidence_run
from tests.report.made_records import example, record, sure, tally


def counted(found: list[Record]) -> list[Record]:
    counts = {"labelled": 1, "unlabelled": 2, "test": 3, "parameters": 4}
    return [
        replace(one, counts=counts, metrics={**one.metrics, "unlabelled": None}) for one in found
    ]


def test_a_task_is_one_table_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    own = example(("digits",))
    summary.show(own)
    printed = capsys.readouterr().out
    table = tables.table(own, "digits").to_markdown()
    assert printed.startswith(f"\n## the task digits (digits)\n\n{table}\n\n")
    assert len(printed.split(table)[1].strip().splitlines()) == 1


def test_the_evidence_student_is_told_of_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [*example(("digits",)), *(sure(tmp_path, evidence_run(seed)) for seed in range(3))]
    summary.show(own, tmp_path)
    printed = capsys.readouterr().out
    told = evidence.sentences(own, tmp_path)
    assert printed.endswith(
        "\n".join(["\nThe evidence student:", *(f"- {one}" for one in told), ""])
    )
    assert len(told) == 6 and "calibration" in printed
    summary.show(own)  # without the folder nothing is read from it
    assert "calibration" not in capsys.readouterr().out


def test_the_overview_is_printed_once_for_all_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    summary.show_overview(example())
    printed = capsys.readouterr().out
    assert printed.endswith(f"\n\n{tables.overview(example()).T.to_markdown()}\n\n")


def test_the_files_of_a_study(tmp_path: Path) -> None:
    paths = summary.write(counted(example(("digits",))), tmp_path)
    names = ["summary.json", "overview.md", *(f"results_digits.{e}" for e in ("md", "csv", "tex"))]
    assert [path.name for path in paths] == names
    assert all(path.stat().st_size for path in paths)


def drawable(folder: Path, arm: str, seed: int = 0) -> Record:
    """A run with regions over a plane, as artifacts keep them."""
    name = f"{arm}{seed}.npz"
    np.savez(
        folder / name,
        x=np.linspace(-1, 1, 3),
        y=np.linspace(-1, 1, 3),
        prediction=np.zeros((3, 3), np.uint8),
        points=np.zeros((2, 2)),
        labels=np.array([0, 1]),
    )
    return record(
        "moons", arm, seed, artifacts={"regions": name}, metrics={"test": 0.5, "unlabelled": None}
    )


def test_figures_are_those_that_the_records_allow(tmp_path: Path) -> None:
    arms = ("um_teacher", "mm_student")
    own = [drawable(tmp_path, arm, seed) for seed in (0, 1) for arm in arms]
    paths = summary.figures(own, tmp_path).files
    assert [path.name for path in paths] == ["gain_by_arm.png", "regions_moons.png"]
    accounted = [replace(one, metrics={"test": 0.5, "unlabelled": 0.6}) for one in example()]
    paths = summary.figures(accounted, tmp_path).files
    assert [path.name for path in paths] == ["gain_by_arm.png", "account_by_class.png"]
    assert (
        summary.figures([record(metrics={"test": 0.5, "unlabelled": None})], tmp_path).files == []
    )


def test_calibration_is_drawn_where_confidence_was_kept(tmp_path: Path) -> None:
    own = [sure(tmp_path, evidence_run(seed, task)) for task in ("a", "b") for seed in (0, 1)]
    other = [replace(one, metrics={"test": 0.5, "unlabelled": None}) for one in example(("c",), 1)]
    names = [path.name for path in summary.figures([*own, *other], tmp_path).files]
    assert names == ["gain_by_arm.png", "reliability.png"]
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_array_is_named_and_costs_no_other_figure(tmp_path: Path) -> None:
    own = [drawable(tmp_path, arm) for arm in ("um_teacher", "mm_student")]
    (tmp_path / own[1].artifacts["regions"]).write_bytes(b"PK no array")
    made = summary.figures(own, tmp_path)
    assert [path.name for path in made.files] == ["gain_by_arm.png"]
    (line,) = made.troubles
    assert line.startswith("figure regions_moons.png could not be written: ")
    assert "mm_student0.npz is damaged" in line


def test_a_damaged_file_of_confidences_leaves_the_other_sentences(tmp_path: Path) -> None:
    own = [sure(tmp_path, evidence_run(seed)) for seed in (0, 1)]
    whole = evidence.sentences(own, tmp_path)
    (tmp_path / own[0].artifacts["confidence"]).write_bytes(b"PK no array")
    found = evidence.sentences(own, tmp_path)
    (changed,) = set(found) - set(whole)
    assert len(found) == len(whole) and "is damaged" in changed


@pytest.mark.parametrize(("classes", "drawn"), [(40, True), (41, False)])
def test_an_account_of_more_classes_than_can_be_told_apart_is_not_drawn(
    classes: int, drawn: bool, tmp_path: Path
) -> None:
    by_class = [tally(2, 1, 1, 0)] * classes
    own = [
        record(arm=arm, by_class=by_class, metrics={"test": 0.5, "unlabelled": 0.5})
        for arm in ("um_teacher", "mm_student")
    ]
    made = summary.figures(own, tmp_path)
    assert made.troubles == []
    assert ("account_by_class.png" in [path.name for path in made.files]) is drawn


@pytest.mark.parametrize("setting", ["text.usetex", "text.parse_math"])
def test_the_users_matplotlibrc_does_not_apply(setting: str, tmp_path: Path) -> None:
    own = [replace(one, task="100% of $a_b$ & $c") for one in example(("digits",), 2)]
    plain = summary.figures(own, tmp_path).files[0].read_bytes()
    with matplotlib.rc_context({setting: True, "font.size": 30, "axes.grid": True}):
        made = summary.figures(own, tmp_path)
    assert made.troubles == []
    assert made.files[0].read_bytes() == plain
