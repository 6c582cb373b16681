"""The figure of confusion sums over seeds, and passes over what has no matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mke_theory.report.plots.confusion import confusion_by_arm, tables_of
from mke_theory.study.records import Record
from tests.report.made_records import record

ARMS = ("um_teacher", "mm_student")


def counted(task: str, arm: str, seed: int, counts: Any) -> Record:
    names = ["calm", "angry"] if task == "emotions" else []
    return record(task, arm, seed, confusion=counts, class_names=names)


RECORDS = [
    counted("emotions", "um_teacher", 0, [[3, 1], [2, 2]]),
    counted("emotions", "um_teacher", 1, [[4, 0], [1, 3]]),
    counted("emotions", "mm_student", 0, [[4, 0], [0, 4]]),
    counted("emotions", "mm_student", 1, [[3, 1], [0, 4]]),
    counted("maps", "um_teacher", 0, [[1, 0], [0, 1]]),
    counted("maps", "mm_student", 0, None),
]


def test_counts_are_summed_over_seeds() -> None:
    tables = tables_of(RECORDS, ARMS)
    assert list(tables) == ["emotions"]
    names, runs, counts = tables["emotions"]
    assert names == ["calm", "angry"] and runs == {"um_teacher": 2, "mm_student": 2}
    fewer = tables_of([one for one in RECORDS if one.seed == 0 or one.arm == ARMS[0]], ARMS)
    assert fewer["emotions"][1] == {"um_teacher": 2, "mm_student": 1}
    assert np.array_equal(counts["um_teacher"], [[7, 1], [3, 5]])
    assert np.array_equal(counts["mm_student"], [[7, 1], [0, 8]])


def test_shares_of_each_true_class_are_drawn() -> None:
    figure = confusion_by_arm(RECORDS)
    teacher, student = figure.axes
    assert teacher.get_title() == "emotions: UM teacher\n2 seeds"
    np.testing.assert_allclose(teacher.images[0].get_array(), [[87.5, 12.5], [37.5, 62.5]])
    np.testing.assert_allclose(student.images[0].get_array(), [[87.5, 12.5], [0, 100]])
    assert [text.get_text() for text in student.texts] == ["88", "12", "0", "100"]
    assert [tick.get_text() for tick in student.get_xticklabels()] == ["calm", "angry"]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no task has a confusion matrix"):
        confusion_by_arm(RECORDS[4:])
