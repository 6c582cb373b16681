"""A gain is called better or worse only where its interval leaves out zero."""

from __future__ import annotations

import pytest

from mke_theory.report.cautions import by_student, by_task, cautions, gain_of_student, verdict
from mke_theory.study.records import Record
from tests.report.made_records import record


def runs(arm: str, *tests: float) -> list[Record]:
    return [record("digits", arm, seed, test) for seed, test in enumerate(tests)]


TEACHER = runs("um_teacher", 0.50, 0.51, 0.52, 0.53, 0.54)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.1, 0.3, "better"),
        (-0.3, -0.1, "worse"),
        (-0.1, 0.3, "no clear difference"),
        (0.0, 0.3, "no clear difference"),
        (None, None, "too few seeds to tell"),
    ],
)
def test_the_word_on_a_gain(low: float | None, high: float | None, word: str) -> None:
    assert verdict({"low": low, "high": high}) == word


def test_a_gain_that_was_not_measured_is_not_available() -> None:
    assert verdict(None) == "not available"


def test_what_holds_as_hoped_needs_no_caution() -> None:
    student = runs("mm_student", 0.60, 0.62, 0.61, 0.64, 0.63)
    assert cautions([*TEACHER, *student]) == []


def test_every_caution_by_hand() -> None:
    own = [
        *TEACHER[:3],
        *runs("um_student", 0.80, 0.82, 0.81),
        *runs("mm_student", 0.60, 0.62, 0.61),
        *runs("mm_student_noreg", 0.30, 0.32, 0.31),
        *runs("mm_student_shuffled", 0.60, 0.62, 0.61),
        *runs("mm_student_flips", 0.90, 0.92, 0.91),
    ]
    # Gains 0.10, 0.11, 0.09 have sd 0.01: reach 4.303 · 0.01/√3 = 2.5 points. The placebo of random
    # errors is meant to gain and is no caution.
    assert cautions(own) == [
        "Worse than the teacher: MM student (no reg).",
        "placebo: β shuffled gains as well: +10.0 [7.5, 12.5] (3).",
        "MKE over UM student: -20.0 (3), too few seeds to tell.",
        "3 seeds: intervals over so few are wide.",
    ]


def test_the_gain_of_a_student_is_that_of_the_arm_asked_for() -> None:
    own = [
        *TEACHER[:2],
        *runs("mm_student", 0.60, 0.61),
        *runs("mm_student_evidence", 0.80, 0.81),
    ]
    gains = {
        None: gain_of_student(own),
        "evidence": gain_of_student(own, arm="mm_student_evidence"),
        "over MKE": gain_of_student(own, "mm_student", "mm_student_evidence"),
        "of nobody": gain_of_student(own, arm="mm_student_sup"),
    }
    means = {name: None if row is None else row["mean"] for name, row in gains.items()}
    assert means == {
        None: pytest.approx(0.1),
        "evidence": pytest.approx(0.3),
        "over MKE": pytest.approx(0.2),
        "of nobody": None,
    }


def test_verdicts_are_given_on_the_evidence_student_where_it_was_run() -> None:
    student = runs("mm_student", 0.60, 0.62, 0.61, 0.64, 0.63)
    evidence = runs("mm_student_evidence", 0.40, 0.42, 0.41, 0.44, 0.43)
    alone, both = [*TEACHER, *student], [*TEACHER, *student, *evidence]
    assert by_student(alone) == ["The MM student beside its teacher: better."]
    assert by_student(both) == [
        "The MM student beside its teacher: better.",
        "The evidence student beside its teacher: worse.",
    ]
    assert by_task([alone, TEACHER]) == [
        "The MM student beside its teacher, by task: better on 1; not available on 1."
    ]
    assert by_task([alone, both, both]) == [
        "The MM student beside its teacher, by task: better on 3.",
        "The evidence student beside its teacher, by task: worse on 2.",
    ]


def test_placebos_of_the_evidence_student_are_watched_too() -> None:
    own = [
        *TEACHER,
        *runs("mm_student", 0.60, 0.62, 0.61, 0.64, 0.63),
        *runs("mm_student_evidence_again", 0.60, 0.62, 0.61, 0.64, 0.63),
        *runs("mm_student_evidence_flips", 0.60, 0.62, 0.61, 0.64, 0.63),
    ]
    (told,) = cautions(own)
    assert told.startswith("placebo: evidence, α again for β gains as well: +10.0")


def test_a_small_test_part_is_warned_of() -> None:
    small = [record(seed=seed, counts={"test": 2 + seed}) for seed in range(2)]
    assert "The test part has 2 samples: accuracies over so few say little." in cautions(small)
    large = [record(seed=seed, counts={"test": 30}) for seed in range(2)]
    assert not any("test part" in line for line in cautions(large))
