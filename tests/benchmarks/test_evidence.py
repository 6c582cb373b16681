"""The benchmark of evidence students: its updates are those of the trainings that there are."""

from __future__ import annotations

import pytest

from benchmarks import evidence as benchmark
from mke_theory.study.arms import EVIDENCE, MM_STUDENT
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Cell, Failure
from tests.study.toys import Toy


def test_the_row_of_a_task() -> None:
    # β is not trusted: in each of two folds an expert learns, and a network that foretells it.
    found = benchmark.row(Toy(), "one by one", 1, 1)
    assert found["updates"] == "4.0"
    assert list(found) == [f"{MM_STUDENT.title}, s", f"{EVIDENCE.title}, s", "ratio", "updates"]


def test_a_student_that_failed_is_an_error() -> None:
    cell, configuration = Cell(Toy(), 0), RunConfiguration(trainer="one by one")
    teachers = {cell: Failure.of(cell.teacher, ValueError("no data"))}
    with pytest.raises(RuntimeError, match="no data"):
        benchmark.cost(MM_STUDENT, [cell], configuration, teachers)


def test_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seeds is 0"):
        benchmark.Options(seeds=0)
