"""Forms of a teacher's answers: what is taken for what, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.data.answers import LEAST, as_logits, silent
from mke_theory.data.pool import Pool, join
from mke_theory.data.problem import Problem

LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.0, 1.0]], dtype=np.float32)


def test_logits_stay_as_they_are_bit_for_bit() -> None:
    assert torch.equal(as_logits("answers", LOGITS), torch.from_numpy(LOGITS))
    half = torch.from_numpy(LOGITS).half()
    assert as_logits("answers", half).dtype == torch.float16
    assert as_logits("answers", LOGITS.astype(np.float64)).dtype == torch.float32
    # All above 0, and no probabilities: they sum to another number in every row.
    above = LOGITS + 5
    assert torch.equal(as_logits("answers", above), torch.from_numpy(above))


def test_probabilities_become_log_probabilities() -> None:
    p = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    found = as_logits("answers", p)
    expected = torch.tensor([[0.7, 0.2, 0.1], [1.0, LEAST, LEAST]]).log()
    torch.testing.assert_close(found, expected)
    half = as_logits("answers", p.astype(np.float16))
    torch.testing.assert_close(half.softmax(1)[0], torch.tensor([0.7, 0.2, 0.1]), atol=1e-3, rtol=0)
    whole = as_logits("answers", np.eye(3, dtype=int))
    assert whole.argmax(1).tolist() == [0, 1, 2] and whole.dtype == torch.float32


def test_probabilities_of_pixels_sum_to_1_at_every_pixel() -> None:
    draw = np.random.default_rng(0)
    p = draw.dirichlet(np.ones(3), size=(2, 4, 5)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(as_logits("answers", p).exp().numpy(), p, rtol=1e-4, atol=2e-6)
    p[1, :, 2, 3] *= 0.9
    with pytest.raises(ValueError, match=r"sum to 0\.9 to 1 over the classes"):
        as_logits("answers", p)


def test_answers_to_questions_are_probabilities_where_they_lie_in_0_to_1() -> None:
    p = np.array([[0.5, 0.9], [0.0, 1.0]])
    found = as_logits("answers", p, multilabel=True)
    torch.testing.assert_close(torch.sigmoid(found), torch.tensor(p).float(), atol=2e-6, rtol=0)
    assert bool(torch.isfinite(found).all())
    odds = torch.tensor([[0.5, -0.1], [3.0, 0.2]])
    assert torch.equal(as_logits("answers", odds, multilabel=True), odds)


def test_rounding_makes_no_logits_of_probabilities() -> None:
    p = np.array([[1 + 1e-7, -1e-7, 0.0], [0.2, 0.3, 0.5]])
    found = as_logits("answers", p)
    torch.testing.assert_close(found.softmax(1), torch.tensor(p).float(), atol=5e-6, rtol=0)
    odds = as_logits("answers", p, multilabel=True)
    torch.testing.assert_close(torch.sigmoid(odds), torch.tensor(p).float(), atol=5e-6, rtol=0)
    small = np.array([[1e-4, -1e-4, 2e-4], [0.0, 3e-4, 1e-4]], dtype=np.float32)
    assert torch.equal(as_logits("answers", small), torch.from_numpy(small))


def test_percentages_are_no_log_odds() -> None:
    with pytest.raises(ValueError, match=r"from 3 to 97; .* \(percentages: p / 100\)"):
        as_logits("answers", np.array([[3.0, 97.0], [50.0, 20.0]]), multilabel=True)


@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([np.float32, np.float64]))
def test_the_classes_of_answers_are_the_same_in_either_form(seed: int, k: int, kind: Any) -> None:
    logits = np.random.default_rng(seed).normal(size=(20, k)).astype(kind)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    one, other = as_logits("answers", logits), as_logits("answers", p)
    torch.testing.assert_close(one.softmax(1), other.softmax(1), atol=1e-5, rtol=0)


def test_a_row_of_nan_is_no_answer() -> None:
    p = np.array([[0.7, 0.3], [np.nan, np.nan], [0.5, 0.5]])
    found = as_logits("answers", p)
    assert silent("answers", found).tolist() == [False, True, False]
    torch.testing.assert_close(found[[0, 2]].exp(), torch.tensor([[0.7, 0.3], [0.5, 0.5]]))


def test_arrays_of_any_machine_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LOGITS.astype(">f4"))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert torch.equal(as_logits("answers", mapped), torch.from_numpy(LOGITS))


BAD: dict[str, tuple[Any, str]] = {
    "classes": (np.array([0, 1, 2]), r"are \(3,\); .* np\.eye\(k\)\[classes\]"),
    "three axes": (np.zeros((2, 3, 4)), r"are \(2, 3, 4\); they have to be"),
    "no class": (np.zeros((2, 0)), "have to be"),
    "complex": (LOGITS * 1j, "real numbers"),
    "infinite": (np.array([[0.0, -np.inf], [1.0, 2.0]]), "an infinite number in row 0; clip it"),
    "NaN in part": (np.array([[0.0, -1.0], [np.nan, 2.0]]), "NaN in row 1"),
    "nothing": (np.full((3, 2), np.nan), "no answer at all"),
    "percent": (np.array([[70.0, 30.0], [51.0, 49.0]]), r"sum to 100 to 100 .* p / p\.sum"),
    "votes": (np.array([[3, 7], [10, 0]]), "sum to 10 to 10"),
    "unnormalised": (np.array([[0.7, 0.2], [0.5, 0.5]]), r"sum to 0\.9 to 1"),
    "votes of some": (np.array([[3, 7, 0], [10, 0, 2]]), "sum to 10 to 12"),
    "rounded percent": (np.array([[69.9, 30.0], [51.2, 48.9]]), r"sum to 99\.9 to 100\.1"),
    "a class left out": (np.array([[0.7, 0.2], [0.1, 0.5]]), r"sum to 0\.6 to 0\.9"),
}


@pytest.mark.parametrize("case", BAD)
def test_answers_that_are_refused(case: str) -> None:
    values, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        as_logits("answers", values)


# --- carried by samples --------------------------------------------------------------------------


def pool(n: int, names: str = "ab", **more: Any) -> Pool:
    x = torch.arange(2.0 * n).reshape(n, 2)
    return Pool({name: x for name in names}, torch.arange(n) % 2, **more)


def test_samples_carry_their_answers_wherever_they_go() -> None:
    answers = torch.arange(12.0).reshape(6, 2)
    given = pool(6, answers=answers)
    assert given.answers is not None
    assert torch.equal(given.rows([4, 1]).answers, answers[[4, 1]])  # type: ignore[arg-type]
    assert given.only("a").answers is answers
    assert given.with_labels(torch.zeros(6)).answers is answers
    assert join(given, given).answers is None
    assert list(given[[0, 1]].inputs) == ["a", "b"]  # no student meets them
    with pytest.raises(ValueError, match="5 answers but 6 labels"):
        pool(6, answers=answers[:5])


def problem(**answers: Any) -> Problem:
    """Two classes, four samples of D_l, six of D_u, eight of test."""
    return Problem.of(
        replace(pool(4, "a"), answers=answers.get("labelled")),
        replace(pool(6), answers=answers.get("unlabelled")),
        replace(pool(8), answers=answers.get("test")),
        ("a",),
        2,
    )


def test_a_problem_is_answered_where_d_u_and_test_are() -> None:
    assert not problem().answered
    both = {"unlabelled": torch.zeros(6, 2), "test": torch.zeros(8, 2)}
    assert problem(**both).answered
    assert problem(**both, labelled=torch.zeros(4, 2)).answered
    assert problem(**both).split_hash == problem().split_hash  # who is where, and nothing else
    for part in ("labelled", "unlabelled", "test"):
        with pytest.raises(ValueError, match="D_u and test, or for none"):
            problem(**{part: torch.zeros({"labelled": 4, "unlabelled": 6, "test": 8}[part], 2)})


@pytest.mark.parametrize("shape", [(6, 3), (6, 2, 1, 1)])
def test_answers_of_another_form_are_refused(shape: tuple[int, ...]) -> None:
    message = r"on the unlabelled part are .*; they have to be \(6, 2\): a row a sample"
    with pytest.raises(ValueError, match=message):
        problem(unlabelled=torch.zeros(shape), test=torch.zeros(8, 2))


def test_no_answer_is_allowed_where_the_teachers_modality_is_missing() -> None:
    answers = torch.zeros(6, 2)
    answers[3] = torch.nan
    whole = problem(unlabelled=torch.zeros(6, 2), test=torch.zeros(8, 2))
    with pytest.raises(ValueError, match=r"none .* for sample 3, which has a; give one"):
        replace(whole, unlabelled=replace(whole.unlabelled, answers=answers))
    x = whole.unlabelled.inputs["a"].clone()
    x[3] = torch.nan
    inputs = {**whole.unlabelled.inputs, "a": x}
    missing = replace(whole.unlabelled, inputs=inputs, answers=answers)
    assert replace(whole, unlabelled=missing).answered
