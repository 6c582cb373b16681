"""The files of tables hold the tables, for people, programs and papers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mke_theory.report import table_files, tables
from mke_theory.study.records import Record
from tests.report.made_records import record
from tests.report.test_tables import REACH, example

COUNTS = {"labelled": 3, "unlabelled": 5, "test": 7, "parameters": 1234}


def counted() -> list[Record]:
    """The example with its sizes, as runs record them."""
    return [Record.of(one.to_dict() | {"counts": COUNTS, "varies": "weights"}) for one in example()]


def test_the_written_tables(tmp_path: Path) -> None:
    paths = table_files.write_tables(counted(), tmp_path / "tables")
    stems = ("results_digits", "results_two_moons")
    names = [f"{stem}.{ending}" for stem in stems for ending in ("md", "csv", "tex")]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(names)

    text = paths[0].read_text(encoding="utf-8")
    assert tables.table(example(), "digits").to_markdown() in text
    assert "D_l 3, D_u 5, test 7 samples; 3 seeds, 0 to 2. Between seeds vary: weights." in text
    assert "| MM student (MKE) | nothing" in text and "1,234" in text

    with paths[1].open(encoding="utf-8", newline="") as file:
        teacher, student, _ = csv.DictReader(file)
    assert (student["arm"], student["test_n"], student["gain_n"]) == ("mm_student", "3", "3")
    assert float(student["gain_low"]) == pytest.approx(0.2 - REACH)
    assert teacher["gain_mean"] == "" and teacher["test_n"] == "3"

    latex = paths[2].read_text(encoding="utf-8")
    assert r"mm\_student & 80.0 $\pm$ 20.0 (3) & not available &" in latex
    assert r"+20.0 [$-$4.8, 44.8] (3) \\" in latex
    assert latex.count(r"\\") == 4 and latex.startswith(r"\begin{tabular}{lllllll}")


def test_samples_left_out_are_counted_and_named() -> None:
    own = [record(skipped=["b.wav", "a.wav"]), record(seed=1, skipped=["a.wav"])]
    assert table_files.left_out(own) == "Left out as damaged, 2: a.wav; b.wav."
    assert table_files.left_out([record()]) == ""


def test_a_teacher_that_is_its_answers_is_named() -> None:
    counts = {"labelled": 4, "unlabelled": 5, "test": 6}
    for honest, ending in (
        (True, "alone."),
        (False, "without any on D_l that could calibrate it."),
    ):
        teacher = {"answers": "0" * 16, "cross_fitted": honest}
        said = table_files.samples([record(counts=counts, extra={"teacher": teacher})])
        assert "The teacher is its answers alone" in said and said.endswith(ending)
    assert "answers" not in table_files.samples([record(counts=counts)])


def test_a_task_of_several_metrics_has_two_tables() -> None:
    one = record("maps", scores={"test": {"mAP": 0.5, "mAUC": 0.6}})
    text = table_files.markdown([one], "maps")
    assert text.count("| arm") == 2 and "mAUC" in text
    assert table_files.markdown([record("maps")], "maps").count("| arm") == 1


def test_the_written_summary_is_the_summary(tmp_path: Path) -> None:
    path = table_files.write_summary(example(), tmp_path / "summary.json")
    assert json.loads(path.read_text(encoding="utf-8")) == tables.summary(example())
