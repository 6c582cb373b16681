"""The account of a pool adds up, whichever way it is cut."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, astuple
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mke_theory.evaluation.account import Account, Tally, account
from mke_theory.evaluation.stats import clopper_pearson, mcnemar

CLASSES = 4
Rows = list[tuple[int, int, int, float]]

rows = st.lists(
    st.tuples(
        st.integers(-1, CLASSES - 1),
        st.integers(0, CLASSES - 1),
        st.integers(0, CLASSES - 1),
        st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1),
    ),
    min_size=1,
    max_size=60,
)


def account_of(pool: Rows, bins: int = 3) -> Account:
    truth, teacher, student, confidence = (list(column) for column in zip(*pool, strict=True))
    return account(truth, teacher, student, classes=CLASSES, confidence=confidence, bins=bins)


def total(tallies: list[Tally] | tuple[Tally, ...]) -> Tally:
    return Tally(*(sum(counts) for counts in zip(*map(astuple, tallies), strict=True)))


# --- by hand -------------------------------------------------------------------------------------

# Two rows corrected, three kept, one damaged, two inherited (the second is copied), two unknown.
TRUTH = [0, 1, 0, 1, 2, 2, 0, 2, -1, -1]
TEACHER = [1, 0, 0, 1, 2, 2, 1, 0, 1, 1]
STUDENT = [0, 1, 0, 1, 2, 1, 2, 0, 1, 0]


def test_account_by_hand() -> None:
    found = account(TRUTH, TEACHER, STUDENT, classes=3)
    assert found.overall == Tally(corrected=2, kept=3, damaged=1, inherited=2, copied=1)
    assert found.by_class == (Tally(1, 1, 0, 1, 0), Tally(1, 1, 0, 0, 0), Tally(0, 1, 1, 1, 1))
    assert (found.samples, found.unknown, found.agreed, found.agreement) == (10, 2, 5, 0.5)
    assert found.by_confidence == ()
    # Two samples for the student and one for the teacher: p = min(1, 2 · (1 + 3)/8).
    assert found.mcnemar == 1.0


def test_tally_by_hand() -> None:
    tally = Tally(corrected=6, kept=30, damaged=2, inherited=12, copied=9)
    assert (tally.n, tally.teacher_errors) == (50, 18)
    assert (tally.teacher_right, tally.student_right) == (32, 36)
    assert (tally.teacher_accuracy, tally.student_accuracy) == (0.64, 0.72)
    assert tally.gain == 4 / 50
    assert (tally.corrected_share, tally.damaged_share) == (6 / 18, 2 / 32)
    assert tally.corrected_share_interval(0.9) == clopper_pearson(6, 18, 0.9)
    assert tally.damaged_share_interval() == clopper_pearson(2, 32)
    assert tally.teacher_accuracy_interval() == clopper_pearson(32, 50)
    assert tally.student_accuracy_interval() == clopper_pearson(36, 50)


def test_a_frame_by_hand() -> None:
    frame = account(TRUTH, TEACHER, STUDENT, classes=4).to_frame()
    assert frame.index.tolist() == ["all", 0, 1, 2, 3]
    counts = ["n", "corrected", "kept", "damaged", "inherited", "copied"]
    assert frame[counts].to_numpy().tolist() == [
        [8, 2, 3, 1, 2, 1],
        [3, 1, 1, 0, 1, 0],
        [2, 1, 1, 0, 0, 0],
        [3, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
    ]
    rates = frame.drop(columns=counts)
    assert rates.columns.tolist() == [
        "gain",
        "teacher_accuracy",
        "student_accuracy",
        "corrected_share",
        "damaged_share",
    ]
    expected = [
        [1 / 8, 4 / 8, 5 / 8, 2 / 4, 1 / 4],
        [1 / 3, 1 / 3, 2 / 3, 1 / 2, 0],
        [1 / 2, 1 / 2, 1, 1, 0],
        [-1 / 3, 2 / 3, 1 / 3, 0, 1 / 2],
        [np.nan] * 5,  # class 3 never occurs
    ]
    np.testing.assert_allclose(rates.to_numpy(), expected)
    unknown = account([-1, -1], [0, 1], [0, 0], classes=2).to_frame()
    assert unknown["n"].tolist() == [0, 0, 0] and unknown["gain"].isna().all()


def test_mcnemar_of_an_account() -> None:
    truth, teacher, student = [0] * 9, [1] * 7 + [0] * 2, [0] * 7 + [1] + [0]
    found = account(truth, teacher, student, classes=2)
    assert (found.overall.corrected, found.overall.damaged) == (7, 1)
    assert found.mcnemar == mcnemar(7, 1) == pytest.approx(2 * (1 + 8) / 2**8)


# --- what is not there is None -------------------------------------------------------------------


def test_shares_without_denominator_are_none() -> None:
    faultless = Tally(corrected=0, kept=5, damaged=1, inherited=0, copied=0)
    assert (faultless.corrected_share, faultless.corrected_share_interval()) == (None, None)
    assert faultless.damaged_share == 1 / 6
    hopeless = Tally(corrected=1, kept=0, damaged=0, inherited=3, copied=2)
    assert (hopeless.damaged_share, hopeless.damaged_share_interval()) == (None, None)
    assert hopeless.corrected_share == 1 / 4


def test_an_absent_class_has_no_rates() -> None:
    absent = account([0, 2], [0, 1], [0, 2], classes=4).by_class[1]
    assert absent == Tally(0, 0, 0, 0, 0)
    filled = {name: value for name, value in absent.to_dict().items() if value is not None}
    assert filled == dict.fromkeys(("n", "corrected", "kept", "damaged", "inherited", "copied"), 0)


def test_without_truth_there_is_still_agreement() -> None:
    found = account([-1, -1, -1], [0, 1, 1], [0, 1, 0], classes=2, confidence=[0.5, 0.6, 0.7])
    assert found.overall == Tally(0, 0, 0, 0, 0)
    assert found.overall.teacher_accuracy is None and found.overall.gain is None
    assert (found.unknown, found.agreement, found.mcnemar) == (3, 2 / 3, None)
    assert found.by_confidence == ()
    assert found.agreement_interval() == clopper_pearson(2, 3)


# --- properties ----------------------------------------------------------------------------------


@given(rows)
def test_counts_are_those_of_a_plain_loop(pool: Rows) -> None:
    found = account_of(pool).overall
    known = [(y, t, s) for y, t, s, _ in pool if y != -1]
    assert found.corrected == sum(t != y and s == y for y, t, s in known)
    assert found.kept == sum(t == y and s == y for y, t, s in known)
    assert found.damaged == sum(t == y and s != y for y, t, s in known)
    assert found.inherited == sum(t != y and s != y for y, t, s in known)
    assert found.copied == sum(t != y and s == t for y, t, s in known)
    assert found.n == len(known)
    assume(known)
    teacher, student = (np.mean([row[i] == row[0] for row in known]) for i in (1, 2))
    assert found.teacher_accuracy == pytest.approx(teacher)
    assert found.student_accuracy == pytest.approx(student)
    assert found.gain == (found.corrected - found.damaged) / found.n
    assert found.gain == pytest.approx(student - teacher)


@given(rows, st.integers(1, 8))
def test_parts_sum_to_the_whole(pool: Rows, bins: int) -> None:
    found = account_of(pool, bins)
    assert total(found.by_class) == found.overall
    assert len(found.by_class) == CLASSES
    for number, tally in enumerate(found.by_class):
        assert tally.n == sum(y == number for y, *_ in pool)
    assert found.samples == len(pool)
    assert found.agreement == sum(t == s for _, t, s, _ in pool) / len(pool)
    assume(found.overall.n)
    assert total([part.tally for part in found.by_confidence]) == found.overall


@given(rows)
def test_swapping_teacher_and_student_swaps_corrected_and_damaged(pool: Rows) -> None:
    there = account_of(pool)
    back = account_of([(y, s, t, c) for y, t, s, c in pool])
    one, other = there.overall, back.overall
    assert (one.corrected, one.damaged) == (other.damaged, other.corrected)
    assert (one.kept, one.inherited, one.copied) == (other.kept, other.inherited, other.copied)
    assert (there.agreement, there.mcnemar) == (back.agreement, back.mcnemar)


@given(st.data())
def test_order_of_samples_is_immaterial(data: st.DataObject) -> None:
    pool = data.draw(rows)
    assert account_of(data.draw(st.permutations(pool))) == account_of(pool)


@given(rows)
def test_a_student_that_copies_gains_nothing(pool: Rows) -> None:
    found = account_of([(y, t, t, c) for y, t, _, c in pool])
    assert found.overall.corrected == found.overall.damaged == 0
    assert found.overall.copied == found.overall.inherited
    assert found.agreement == 1.0


@given(rows)
def test_to_dict_is_plain_json(pool: Rows) -> None:
    found = account_of(pool).to_dict(level=0.9)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_to_dict_holds_the_intervals() -> None:
    found = account(TRUTH, TEACHER, STUDENT, classes=3, confidence=[0.5] * 10).to_dict(level=0.9)
    overall = found["overall"]
    assert found["level"] == 0.9
    for name, part, whole in (
        ("corrected_share", 2, 4),
        ("damaged_share", 1, 4),
        ("teacher_accuracy", 4, 8),
        ("student_accuracy", 5, 8),
    ):
        interval = clopper_pearson(part, whole, 0.9)
        assert overall[name] == part / whole
        assert overall[f"{name}_interval"] == [interval.low, interval.high]
    assert found["by_confidence"] == [{"low": 0.5, "high": 0.5, **overall}]
    assert [part["n"] for part in found["by_class"]] == [3, 2, 3]


# --- confidence ----------------------------------------------------------------------------------


def test_bins_by_hand() -> None:
    # Seven known samples in three bins: middles of ranks .5 … 6.5 times 3/7 give 0 0 1 1 1 2 2.
    confidence = [0.7, 0.1, 0.6, 0.2, 0.5, 0.3, 0.4, 0.99]
    truth, teacher = [0, 0, 0, 0, 0, 0, 0, -1], [0, 1, 0, 1, 0, 1, 0, 1]
    found = account(truth, teacher, [0] * 8, classes=2, confidence=confidence, bins=3)
    assert [(part.low, part.high) for part in found.by_confidence] == [
        (0.1, 0.2),
        (0.3, 0.5),
        (0.6, 0.7),
    ]
    assert [astuple(part.tally) for part in found.by_confidence] == [
        (2, 0, 0, 0, 0),
        (1, 2, 0, 0, 0),
        (0, 2, 0, 0, 0),
    ]


def test_ties_stay_together() -> None:
    # Six of eight samples saturate at 1: their middle rank is 5 of 8, in the second of two bins.
    confidence = [1.0, 0.3, 1.0, 1.0, 1.0, 0.2, 1.0, 1.0]
    found = account([0] * 8, [0] * 8, [0] * 8, classes=2, confidence=confidence, bins=2)
    assert [(part.low, part.high, part.tally.n) for part in found.by_confidence] == [
        (0.2, 0.3, 2),
        (1.0, 1.0, 6),
    ]
    # Four samples of which three tie: the middle of their ranks, 1.5 of 4, is in the first half.
    low = account([0] * 4, [0] * 4, [0] * 4, classes=2, confidence=[0.4, 0.9, 0.4, 0.4], bins=2)
    assert [part.tally.n for part in low.by_confidence] == [3, 1]
    same = account([0] * 8, [0] * 8, [0] * 8, classes=2, confidence=[0.5] * 8)
    assert [(part.low, part.high, part.tally.n) for part in same.by_confidence] == [(0.5, 0.5, 8)]


@given(rows, st.integers(1, 8))
def test_bins_are_disjoint_and_hold_all_between_their_edges(pool: Rows, bins: int) -> None:
    parts = account_of(pool, bins).by_confidence
    known = [c for y, _, _, c in pool if y != -1]
    assert len(parts) <= bins
    for part in parts:
        assert part.tally.n == sum(part.low <= c <= part.high for c in known) > 0
    for lower, upper in pairwise(parts):
        assert lower.high < upper.low


@given(st.integers(1, 200), st.integers(1, 12))
def test_bins_are_equal_without_ties(n: int, bins: int) -> None:
    confidence = np.random.default_rng(n).permutation(n) / n
    zeros = np.zeros(n, dtype=int)
    found = account(zeros, zeros, zeros, classes=2, confidence=confidence, bins=bins)
    counts = [part.tally.n for part in found.by_confidence]
    assert len(counts) == min(n, bins)
    assert max(counts) - min(counts) <= 1


# --- forms of input ------------------------------------------------------------------------------


def test_dense_labels_are_counted_by_the_pixel() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 5, size=(3, 4, 6))
    teacher, student = rng.integers(0, 5, size=(2, 3, 4, 6))
    confidence = rng.random((3, 4, 6)).astype(np.float32)
    dense = account(truth, teacher, student, classes=5, confidence=confidence)
    flat = account(
        truth.ravel(), teacher.ravel(), student.ravel(), classes=5, confidence=confidence.ravel()
    )
    assert dense == flat
    assert dense.samples == 72


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int8])
def test_tensors_and_arrays_give_one_account(dtype: torch.dtype) -> None:
    confidence = torch.linspace(0.1, 1, 10, dtype=torch.bfloat16, requires_grad=True)
    tensors = account(
        *(torch.tensor(x, dtype=dtype) for x in (TRUTH, TEACHER, STUDENT)),
        classes=3,
        confidence=confidence,
    )
    values = confidence.detach().double().numpy()
    assert tensors == account(TRUTH, TEACHER, STUDENT, classes=3, confidence=values)
    assert len(tensors.by_confidence) == 5


@pytest.mark.gpu
def test_tensors_may_lie_on_a_gpu() -> None:
    on_gpu = [torch.tensor(x, device="cuda") for x in (TRUTH, TEACHER, STUDENT)]
    assert account(*on_gpu, classes=3) == account(TRUTH, TEACHER, STUDENT, classes=3)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Tally(1, 0, 0, 0, 0).corrected = 2  # type: ignore[misc]


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": [0, 1]}, r"teacher has shape \(2,\) but truth has \(3,\)"),
        ({"student": [[0, 1, 1]]}, r"student has shape \(1, 3\) but truth has \(3,\)"),
        ({"confidence": [0.5]}, r"confidence has shape \(1,\)"),
        ({"truth": [0, 3, 1]}, "truth holds 3; allowed are 0 to 2, and -1 for unknown"),
        ({"truth": [0, -2, 1]}, "truth holds -2"),
        ({"truth": np.array([0, 255, 1], dtype=np.uint8)}, "truth holds 255"),
        ({"teacher": [0, -1, 1]}, "teacher holds -1; allowed are 0 to 2$"),
        ({"student": [0, 1, 3]}, "student holds 3; allowed are 0 to 2$"),
        ({"confidence": [0.5, 1.5, 0.2]}, r"confidence holds 1\.5; allowed is \[0, 1\]"),
        ({"confidence": [0.5, -0.1, 0.2]}, r"confidence holds -0\.1"),
        ({"confidence": [0.5, float("nan"), 0.2]}, "confidence holds nan"),
        ({"truth": [], "teacher": [], "student": []}, "truth has no samples"),
        ({"classes": 1}, "classes is 1"),
        ({"bins": 0}, "bins is 0"),
    ],
)
def test_account_refuses(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "truth": [0, -1, 2],
        "teacher": [0, 1, 1],
        "student": [0, 1, 2],
        "classes": 3,
        "confidence": [0.5, 0.9, 1.0],
    }
    account(**good)
    with pytest.raises(ValueError, match=message):
        account(**(good | change))


@pytest.mark.parametrize("scores", [[0.0, 1.0], [True, False], ["0", "1"]])
def test_labels_are_integers(scores: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"student is .*; give class numbers as integers"):
        account([0, 1], [0, 1], scores, classes=2)


@pytest.mark.parametrize("counts", [(-1, 2, 0, 0, 0), (1, 1, 1, 1, 2)])
def test_impossible_tallies_are_refused(counts: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Tally(*counts)
