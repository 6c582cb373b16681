"""Metrics equal counts by hand, and those of scikit-learn where conventions agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    recall_score,
    roc_auc_score,
)

from mke_theory.evaluation import metrics
from mke_theory.evaluation.metrics import (
    accuracy,
    confusion,
    macro_f1,
    mean_accuracy,
    mean_iou,
    multilabel,
)

TRUTH = torch.tensor([0, 0, 0, 1, 1, 2, -1])
PREDICTED = torch.tensor([0, 1, 0, 1, 1, 0, 3])
MATRIX = torch.tensor([[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


# --- confusion -----------------------------------------------------------------------------------


def test_rows_are_truth_and_columns_are_answers() -> None:
    matrix = confusion(PREDICTED, TRUTH, 4)
    assert matrix.dtype == torch.int64
    assert torch.equal(matrix, MATRIX)
    # The sample of unknown truth, answered 3, stands nowhere.
    assert int(matrix.sum()) == 6


@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 2, 3), (1, 2, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64])
def test_the_shape_and_the_type_of_integer_do_not_matter(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    # 100 · 101 does not fit an int8.
    predictions = torch.tensor([100, 0, 100, 3] * 3).reshape(shape).to(dtype)
    truth = torch.tensor([100, 100, -1, 3] * 3).reshape(shape).to(dtype)
    expected = torch.zeros(101, 101, dtype=torch.int64)
    expected[100, 100] = expected[100, 0] = expected[3, 3] = 3
    assert torch.equal(confusion(predictions, truth, 101), expected)
    assert torch.equal(confusion(predictions.numpy(), truth.numpy(), 101), expected)


def test_arrays_that_may_not_be_written_are_read() -> None:
    predictions, truth = PREDICTED.numpy().copy(), TRUTH.numpy().copy()
    predictions.flags.writeable = truth.flags.writeable = False
    assert torch.equal(confusion(predictions, truth, 4), MATRIX)


def test_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    predictions = torch.randint(0, 5, (7, 3, 3), generator=draw)
    truth = torch.randint(-1, 5, (7, 3, 3), generator=draw)
    truth[4] = -1  # a part of which nothing is known
    whole = confusion(predictions, truth, 5)
    assert torch.equal(
        sum(confusion(p, t, 5) for p, t in zip(predictions, truth, strict=True)), whole
    )  # type: ignore[arg-type]
    assert not confusion(predictions[4], truth[4], 5).any()
    monkeypatch.setattr(metrics, "_AT_A_TIME", 8)
    assert torch.equal(confusion(predictions, truth, 5), whole)


def test_confusion_refuses() -> None:
    with pytest.raises(ValueError, match=r"predictions has shape \(2, 1\) but truth has \(2,\)"):
        confusion(torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, dtype=torch.long), 2)
    with pytest.raises(
        ValueError, match="predictions holds 2; allowed are 0 to 1 where the truth is"
    ):
        confusion(torch.tensor([2]), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="predictions holds -1; allowed are 0 to 1"):
        confusion(torch.tensor([-1]), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="truth holds 2; allowed are 0 to 1, and -1 for unknown"):
        confusion(torch.tensor([0]), torch.tensor([2]), 2)
    with pytest.raises(ValueError, match="truth holds -2"):
        confusion(torch.tensor([0]), torch.tensor([-2]), 2)
    with pytest.raises(TypeError, match=r"predictions is float32; give class numbers as integers"):
        confusion(torch.tensor([0.5]), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="classes is 0"):
        confusion(torch.tensor([0]), torch.tensor([0]), 0)


# --- what is read off it -------------------------------------------------------------------------


def test_values_by_hand() -> None:
    # Class: TP, FP, FN. 0: 2, 1, 1. 1: 2, 1, 0. 2: 0, 0, 1. Class 3 does not occur.
    for matrix in (MATRIX, MATRIX.numpy()):
        assert accuracy(matrix) == pytest.approx(4 / 6)
        assert mean_accuracy(matrix) == pytest.approx((2 / 3 + 1 + 0) / 3)
        assert mean_iou(matrix) == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)
        assert macro_f1(matrix) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)


def test_a_class_absent_from_the_truth_costs_only_those_it_was_taken_from() -> None:
    # Half of class 0 is called 3, which never occurs: the class itself is left out ...
    predictions, truth = torch.tensor([0, 3, 1]), torch.tensor([0, 0, 1])
    matrix = confusion(predictions, truth, 4)
    assert mean_iou(matrix) == pytest.approx((1 / 2 + 1) / 2)
    assert mean_accuracy(matrix) == pytest.approx((1 / 2 + 1) / 2)
    assert macro_f1(matrix) == pytest.approx((2 / 3 + 1) / 2)
    # ... where scikit-learn counts it as 0.
    assert jaccard_score(truth, predictions, average="macro") == pytest.approx((1 / 2 + 1 + 0) / 3)


MEASURES: list[Callable[[Any], float]] = [accuracy, mean_accuracy, mean_iou, macro_f1]


@pytest.mark.parametrize("measure", MEASURES)
def test_all_right_is_1_and_all_wrong_is_0(measure: Callable[[Any], float]) -> None:
    assert measure(torch.diag(torch.tensor([1, 5, 0]))) == 1.0
    assert measure(torch.tensor([[0, 4], [2, 0]])) == 0.0


@pytest.mark.parametrize("measure", MEASURES)
def test_matrices_that_are_none_are_refused(measure: Callable[[Any], float]) -> None:
    with pytest.raises(ValueError, match="no truth is known"):
        measure(torch.zeros(3, 3, dtype=torch.long))
    for shape in ((3,), (2, 3), (1, 2, 2)):
        with pytest.raises(ValueError, match="it has to be"):
            measure(torch.ones(shape))
    for strange in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="it has to hold counts"):
            measure(torch.tensor([[1.0, strange], [0.0, 1.0]]))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=40).filter(
        lambda pairs: any(truth >= 0 for _, truth in pairs)
    )
)
def test_scikit_learn_agrees(pairs: list[tuple[int, int]]) -> None:
    predictions, truth = np.array(pairs).T
    matrix = confusion(predictions, truth, 4)
    predictions, truth = predictions[truth >= 0], truth[truth >= 0]
    # `labels` restricts its means to the classes that occur in the truth, as ours are.
    occurring = {"labels": np.unique(truth), "average": "macro"}
    assert np.array_equal(matrix.numpy(), confusion_matrix(truth, predictions, labels=range(4)))
    assert accuracy(matrix) == pytest.approx(np.mean(predictions == truth))
    assert mean_accuracy(matrix) == pytest.approx(recall_score(truth, predictions, **occurring))
    assert mean_iou(matrix) == pytest.approx(jaccard_score(truth, predictions, **occurring))
    assert macro_f1(matrix) == pytest.approx(f1_score(truth, predictions, **occurring))


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=3, max_size=3).filter(
        lambda rows: any(map(any, rows))
    ),
    st.permutations(range(3)),
)
def test_class_numbers_are_only_names(rows: list[list[int]], order: list[int]) -> None:
    matrix = torch.tensor(rows)
    for measure in MEASURES:
        value = measure(matrix)
        assert 0.0 <= value <= 1.0
        assert measure(matrix[order][:, order]) == pytest.approx(value)
        assert measure(7 * matrix) == pytest.approx(value)
    assert mean_iou(matrix) <= macro_f1(matrix) + 1e-12  # J = F/(2 − F) ≤ F
    assert mean_iou(matrix) <= mean_accuracy(matrix) + 1e-12


# --- multi-label ---------------------------------------------------------------------------------

#                          a    b    c    d
PROBABILITY = torch.tensor(
    [[0.9, 0.2, 0.5, 0.1], [0.8, 0.6, 0.4, 0.2], [0.7, 0.4, 0.3, 0.3], [0.1, 0.9, 0.2, 0.4]]
)
QUESTIONS = torch.tensor([[1, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1], [0, -1, 0, -1]])


def test_ranking_by_hand() -> None:
    # a: + − + −, so 3 of 4 pairs in order and a precision of 1 and 2/3 at its positives. b, without
    # the unknown: + − +, 1 of 2 pairs, 1 and 2/3. c has no positive, d nothing else (precision 1).
    found = multilabel(PROBABILITY, QUESTIONS)
    assert list(found) == ["mAP", "mAUC", "d′"]
    assert found["mAP"] == pytest.approx((5 / 6 + 5 / 6 + 1) / 3)
    assert found["mAUC"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["d′"] == pytest.approx(0.4506, abs=5e-5)  # √2 · 0.31864, from a table of Φ⁻¹
    assert multilabel(PROBABILITY.numpy(), QUESTIONS.float().numpy()) == pytest.approx(found)


def test_d_prime_is_that_of_the_mean_and_not_the_mean_over_classes() -> None:
    # AUC 1 and 1/2: their mean of 3/4 has d′ = √2 · 0.67449; the mean over classes is unbounded.
    probability = torch.tensor([[0.9, 0.5], [0.1, 0.5]])
    found = multilabel(probability, torch.tensor([[1, 1], [0, 0]]))
    assert found["mAUC"] == 0.75
    assert found["d′"] == pytest.approx(0.95387, abs=5e-6)


def test_d_prime_of_a_perfect_ranking_is_finite() -> None:
    truth = torch.tensor([[1], [1], [0], [0], [0]])
    perfect = multilabel(torch.tensor([[0.9], [0.8], [0.2], [0.1], [0.0]]), truth)
    tied = multilabel(torch.tensor([[0.9], [0.8], [0.8], [0.1], [0.0]]), truth)
    swapped = multilabel(torch.tensor([[0.9], [0.7], [0.8], [0.1], [0.0]]), truth)
    assert perfect["mAUC"] == 1.0
    assert tied["mAUC"] == pytest.approx(1 - 1 / 12)  # one of 2 · 3 pairs counts a half
    assert perfect["d′"] == pytest.approx(tied["d′"])
    assert tied["d′"] > swapped["d′"]
    worst = multilabel(torch.tensor([[0.0], [0.1], [0.2], [0.8], [0.9]]), truth)
    assert worst["mAUC"] == 0.0
    assert worst["d′"] == pytest.approx(-perfect["d′"])
    json.dumps([perfect, worst], allow_nan=False)


@given(
    n=st.integers(2, 30), k=st.integers(1, 4), seed=st.integers(0, 2**31), levels=st.integers(1, 9)
)
def test_scikit_learn_ranks_alike(n: int, k: int, seed: int, levels: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 2, (n, k))
    truth[0], truth[1] = 0, 1  # every class has both
    probability = draw.integers(0, levels, (n, k)) / levels  # with ties
    found = multilabel(probability, truth)
    assert found["mAP"] == pytest.approx(average_precision_score(truth, probability))
    assert found["mAUC"] == pytest.approx(roc_auc_score(truth, probability))
    # Unknown entries are as good as absent ones.
    more = np.concatenate([truth, np.full((1, k), -1)])
    assert multilabel(np.concatenate([probability, np.ones((1, k))]), more) == pytest.approx(found)


def test_multilabel_refuses() -> None:
    for value in (float("nan"), -0.5, 1.5):
        with pytest.raises(ValueError, match=rf"probability holds {value}; allowed is \[0, 1\]"):
            multilabel(torch.tensor([[value], [0.5]]).double(), torch.tensor([[1], [0]]))
    for value in (float("nan"), 0.5, 2.0):
        with pytest.raises(ValueError, match=f"truth holds {value}; allowed are 0, 1, and -1"):
            multilabel(torch.tensor([[0.5], [0.5]]), torch.tensor([[value], [0.0]]))
    with pytest.raises(ValueError, match=r"shape \(2, 1\) and truth \(2, 2\); both have to be"):
        multilabel(torch.zeros(2, 1), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"both have to be \[n, k\]"):
        multilabel(torch.zeros(2), torch.zeros(2))
    for truth in ([[1, 0], [1, 0]], [[1, -1], [-1, 0]], [[-1, -1], [-1, -1]]):
        with pytest.raises(ValueError, match="no class has a positive and a negative"):
            multilabel(torch.rand(2, 2), torch.tensor(truth))
