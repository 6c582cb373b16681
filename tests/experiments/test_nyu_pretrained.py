"""The study of NYU Depth V2 with a pre-trained encoder: its tables by hand, refused calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.nyu_pretrained import (
    FULL,
    Options,
    best_rival,
    chosen_tasks,
    compact,
    is_usual,
    main,
    markdown,
    table,
)
from mke_theory.study.records import Record
from tests.report.made_records import record

PERCENT = {
    "um_teacher": (36.0, 40.0, 38.0),
    "um_teacher_adjusted": (37.0, 40.0, 37.0),
    "um_student": (37.0, 41.0, 39.0),
    "mm_student_evidence": (40.0, 43.0, 42.0),
}


def row(arm: str, seed: int, percent: float, labelled: int = 105) -> Record:
    scores = {"mIoU": percent / 100, "pixel accuracy": 0.6}
    made = record("nyu_depth_pretrained", arm, seed, percent / 100, metric="mIoU")
    return replace(
        made,
        scores={"test": scores, FULL: {**scores, "mIoU": percent / 100 + 0.01}},
        config={"task": {"split": "random blocks", "classes": 13}},
        counts={"labelled": labelled, "unlabelled": 690, "test": 654},
        class_names=[f"class {i}" for i in range(13)],
    )


def made_up(labelled: int = 105) -> list[Record]:
    return [
        row(arm, seed, percent, labelled)
        for arm, values in PERCENT.items()
        for seed, percent in enumerate(values)
    ]


def test_the_table_by_hand() -> None:
    teacher, student, evidence, adjusted = table(made_up()).to_dict("records")
    assert teacher["mIoU"] == "38.0 ± 2.0 (3)" and teacher["at 240 × 320"] == "39.0 ± 2.0 (3)"
    assert teacher["over the teacher"] == ""
    # +1, 0, −1: mean 0, sd 1, t(2) = 4.303: reach 2.484.
    assert adjusted["over the teacher"] == "+0.0 [-2.5, 2.5] (3)"
    # +4, +3, +4 over the teacher; +3, +2, +3 over the best of RGB alone, which is the student.
    assert evidence["over the teacher"] == "+3.7 [2.2, 5.1] (3)"
    assert evidence["over UM student"] == "+2.7 [1.2, 4.1] (3)"
    assert student["over UM student"] == "" and adjusted["over UM student"] == ""


def test_the_best_rival_has_the_highest_mean() -> None:
    rows = made_up()
    by_arm = {arm: {r.seed: r for r in rows if r.arm == arm} for arm in PERCENT}
    assert best_rival(by_arm) == "um_student"
    assert best_rival({"um_teacher": by_arm["um_teacher"]}) is None


def test_the_page_has_a_table_for_each_setting() -> None:
    text = markdown([*made_up(), *made_up(398)])
    assert "### 13 classes, 105 frames labelled\n" in text
    assert text.index("105 frames") < text.index("398 frames")
    assert [is_usual(r) for r in (made_up()[0], made_up(398)[0])] == [True, False]


def test_a_compact_record_makes_the_same_page() -> None:
    rows = made_up()
    assert markdown([compact(r) for r in rows]) == markdown(rows)


def test_calls_without_data_or_with_unknown_arms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nyu_depth_pretrained: "):
        chosen_tasks(Options(data_root=tmp_path))
    out = ["--out", str(tmp_path / "out"), "--data-root", str(tmp_path)]
    assert main(["--arms", "no_such_arm", *out]) == 2
    assert main(["--seeds", "0", *out]) == 2
