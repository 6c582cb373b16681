"""Sentences on an evidence student, each by hand from records made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mke_theory.report.evidence import confidences, of_student, sentences
from tests.report.made_records import evidence, record, sure

OTHER = [record("digits", "mm_student"), record("digits", "um_teacher")]


def test_where_the_arm_was_not_run_nothing_is_told(tmp_path: Path) -> None:
    assert sentences([]) == sentences(OTHER, tmp_path) == []
    bare = record("digits", "mm_student_evidence")  # of a version that took no notes
    assert sentences([bare]) == [] and of_student([*OTHER, bare]) == []


def test_placebos_are_no_part_of_what_is_told() -> None:
    own = evidence()
    placebo = replace(own, arm="mm_student_evidence_shuffled", seed=1)
    assert sentences([*OTHER, own, placebo]) == sentences([own])


def test_every_sentence_of_one_seed_by_hand() -> None:
    own = evidence(messages=["it has copied its teacher"])
    assert sentences([*OTHER, own]) == [
        "Of 100 unlabelled samples it gave 20 another class than the teacher did: 20.0% (1).",
        # Every class of which samples changed is named, the largest number first.
        "Before, the teacher had called them class 2 (12 of 20), class 0 (5 of 40), class 3 "
        "(3 of 10).",
        "Its mean confidence, by models that did not train on the sample, is 70.0% (1) where it "
        "changed the class and 90.0% (1) where it kept it.",
        "“sound” is trusted at 1 of 1 seed (its expert took part in every round); usefulness "
        "z = 9.00 (1), weak below 2.",
        "The teacher's temperature is 2.00 (1); above 1 it is surer than it is right. Of labels of "
        "D_l that it was not trained on it knows 60.0% (1).",
        "At 1 of 1 seed: it has copied its teacher.",
    ]


def test_numbers_are_means_over_seeds_and_counts_their_sums() -> None:
    other = {
        "n": 200,
        "changed": 60,
        "by_class": [[50, 20], [50, 30], [50, 0], [50, 10]],
        "confidence_changed": 0.9,
    }
    own = [
        replace(one, class_names=["cat", "dog", "ape", "owl"])
        for one in (evidence(0), evidence(1, labels=other, temperature=4.0))
    ]
    told = sentences(own)
    # Shares 0.2 and 0.3: mean 0.25, sd 0.05 √2 = 0.0707. Means of 100 and 200, of 20 and 60.
    assert told[0] == (
        "Of 150 unlabelled samples it gave 40 another class than the teacher did: 25.0 ± 7.1% (2)."
    )
    assert told[1] == (
        "Most often the teacher had called them dog (30 of 80), cat (25 of 90), owl (13 of 60); "
        "samples of 2 seeds together."
    )
    assert "80.0 ± 14.1% (2) where it changed the class and 90.0 ± 0.0% (2)" in told[2]
    assert told[4].startswith("The teacher's temperature is 3.00 ± 1.41 (2);")


def test_a_student_that_changed_nothing_has_no_confidence_there() -> None:
    nothing = {
        "changed": 0,
        "by_class": [[40, 0], [30, 0], [20, 0], [10, 0]],
        "confidence_changed": None,
    }
    told = sentences([evidence(labels=nothing)])
    assert told[0].endswith("it gave 0 another class than the teacher did: 0.0% (1).")
    assert told[1] == (
        "Its mean confidence, by models that did not train on the sample, is 90.0% (1) where it "
        "kept it."
    )
    # At one of two seeds it changed something: the mean there is over that seed alone.
    assert "70.0% (1) where it changed" in sentences([evidence(labels=nothing), evidence(1)])[2]


def test_verdicts_are_counted_by_modality() -> None:
    own = [
        evidence(
            0, verdicts={"sound": "trusted", "face": "weak"}, usefulness={"sound": 8, "face": 1}
        ),
        evidence(
            1, verdicts={"sound": "redundant", "face": "weak"}, usefulness={"sound": 6, "face": 0}
        ),
        evidence(2, verdicts={"sound": "trusted"}, usefulness={"sound": 7}),
    ]
    told = [line for line in sentences(own) if line.startswith("“")]
    assert told == [
        "“sound” is trusted at 2 of 3 seeds (its expert took part in every round); redundant at 1 "
        "of 3 seeds (it mostly repeats what the teacher reads); usefulness z = 7.00 ± 1.00 (3), "
        "weak below 2.",
        "“face” is weak at 2 of 2 seeds (it says too little of the teacher's answers); usefulness "
        "z = 0.50 ± 0.71 (2), weak below 2.",
    ]


def test_without_answers_that_were_not_trained_on_nothing_is_honest() -> None:
    told = sentences([evidence(honest_accuracy=None)])
    assert told[-1].endswith("Nobody answered labels of D_l that were not trained on.")


def test_messages_are_told_once_and_counted() -> None:
    own = [
        evidence(0, messages=["sound repeats (z = -2.5) 18% of it", "no round names class 3"]),
        evidence(1, messages=["sound repeats (z = 1.0) 20% of it", "no round names class 5"]),
        evidence(2, messages=["no round names class 3"]),
    ]
    told = [line for line in sentences(own) if line.startswith("At ")]
    # Measured numbers may differ; the number of a class makes another message of it.
    assert told == [
        "At 2 of 3 seeds: sound repeats (z = -2.5) 18% of it (the numbers are of seed 0).",
        "At 2 of 3 seeds: no round names class 3.",
        "At 1 of 3 seeds: no round names class 5.",
    ]


def test_modalities_with_numbers_in_their_names_are_told_apart() -> None:
    own = [evidence(0, messages=["x1 says nothing", "x2 says nothing"])]
    assert sentences(own)[-2:] == [
        "At 1 of 1 seed: x1 says nothing.",
        "At 1 of 1 seed: x2 says nothing.",
    ]


def test_calibration_is_told_where_the_files_are_at_hand(tmp_path: Path) -> None:
    own = [sure(tmp_path, evidence(0), 0.75), sure(tmp_path, evidence(1), 0.95)]
    # The student is right in 3 of 4: errors 0 and 20 points. The teacher, always sure, in 2 of 4.
    expected = (
        "On test the mean distance between confidence and the share right (expected calibration "
        "error, in points) is 10.0 ± 14.1 (2), its teacher's 50.0 ± 0.0 (2)."
    )
    assert sentences(own, tmp_path)[3] == expected
    assert (
        expected not in sentences(own) and len(sentences(own)) == len(sentences(own, tmp_path)) - 1
    )
    assert expected.replace("10.0 ± 14.1 (2)", "0.0 (1)").replace("50.0 ± 0.0 (2)", "50.0 (1)") in (
        sentences([own[0], evidence(1)], tmp_path)
    )


def test_confidences_are_those_of_the_files(tmp_path: Path) -> None:
    found = confidences([*OTHER, sure(tmp_path, evidence())], tmp_path)
    assert found is not None and found.title == "the task digits"
    assert list(found.by_model) == ["student", "teacher"]
    ((confidence, right),) = found.by_model["student"]
    assert confidence.tolist() == [0.75] * 4 and right.sum() == 3
    assert confidences([*OTHER, evidence()], tmp_path) is None
    lost = sure(tmp_path, evidence())
    (tmp_path / lost.artifacts["confidence"]).write_bytes(b"PK no array")
    with pytest.raises(OSError, match=r"digits_0_confidence\.npz is damaged"):
        confidences([lost], tmp_path)
    (line,) = (one for one in sentences([lost], tmp_path) if "calibration" in one)
    assert "digits_0_confidence.npz is damaged" in line


def test_pixels_and_answers_are_called_what_they_are() -> None:
    (pixels, _) = sentences([evidence(labels={"unit": "pixels"})])[:2]
    assert pixels.startswith("Of 100 unlabelled pixels it gave 20 another class")
    counts = {"unit": "answers", "n": 60, "changed": 9, "by_class": [[40, 2], [20, 7]]}
    whole, often = sentences([evidence(labels=counts)])[:2]
    assert whole.startswith("Of 60 unlabelled answers it gave 9 another class")
    assert often == "Before, the teacher had called them yes (7 of 20), no (2 of 40)."
