"""The tables of evidence students, from records whose differences are known by hand."""

from __future__ import annotations

import pytest

from mke_theory.study.records import Record
from tests.experiments.synthetic_calls import sibling
from tests.report.made_records import record

tables = sibling("evidence_tables")


def runs(arm: str, *tests: float, task: str = "digits") -> list[Record]:
    return [record(task, arm, seed, test) for seed, test in enumerate(tests)]


def cells(markdown: str) -> list[dict[str, str]]:
    """The rows of a table in Markdown by their head."""
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()
    )
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_differences_beside_mke_by_hand() -> None:
    rows = [
        *runs("um_teacher", 0.5, 0.5, 0.5),
        *runs("mm_student", 0.6, 0.7, 0.8),
        *runs("mm_student_evidence", 0.8, 0.8, 0.8),
        *runs("um_teacher", 0.5, task="maps"),  # no evidence student: no line
    ]
    (line,) = cells(tables.beside_mke(rows))
    assert line["task"] == "digits" and line["MM student (MKE)"] == "70.0 ± 10.0 (3)"
    # Differences .2, .1, 0: mean .1, sd .1, so 10 ± 4.303 · 10/√3.
    assert line["evidence over MKE"] == "+10.0 [-14.8, 34.8] (3)"
    assert line["gain of evidence"].startswith("+30.0")


def test_a_task_of_another_metric_is_named_with_it() -> None:
    arms = ("um_teacher", "mm_student", "mm_student_evidence")
    rows = [record("nyu", arm, seed, 0.1, metric="mIoU") for arm in arms for seed in range(2)]
    assert cells(tables.beside_mke(rows))[0]["task"] == "nyu, mIoU"


def test_the_best_rival_is_the_one_of_the_greatest_mean_at_each_budget() -> None:
    rows = [
        *runs("um_teacher", 0.5, 0.5),
        *runs("noisy_student_both", 0.9, 0.5),
        *runs("co_training_both", 0.6, 0.6),
        *runs("co_training_more_both", 0.6, 0.6),
        *runs("experts_rounds_both", 0.8, 0.7),
        *runs("experts_rounds_more_both", 0.8, 0.7),
    ]
    (line,) = cells(tables.among_methods(rows))
    assert line["best rival"] == "70.0 ± 28.3 (2), noisy_student_both"
    assert line["experts_rounds_both"].startswith("+5.0")
    assert line["best, more updates"] == "60.0 ± 0.0 (2), co_training_more_both"
    assert line["experts_rounds_more_both"].startswith("+15.0")


@pytest.mark.parametrize("arm", ["experts_rounds_both", "co_training_more_both"])
def test_a_problem_without_a_rival_of_that_budget_has_no_difference(arm: str) -> None:
    (line,) = cells(tables.among_methods([*runs("um_teacher", 0.5), *runs(arm, 0.6)]))
    assert "experts_rounds_both" not in line and "best rival" not in line
