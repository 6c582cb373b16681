"""The bounds on what missing clips could change hold and are attained: against every ranking."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from mke_theory.evaluation import metrics
from mke_theory.tasks.vggsound.missing_clips import (
    Bounds,
    auc_bounds,
    average_precision_bounds,
    multilabel_bounds,
)


def precision(score: np.ndarray, truth: np.ndarray) -> float:
    """Average precision by its definition, slow and plain."""
    return float(np.mean([truth[score >= s].mean() for s in score[truth == 1]]))


def area(score: np.ndarray, truth: np.ndarray) -> float:
    apart = score[truth == 1][:, None] - score[truth == 0][None, :]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


def every_ranking(score: np.ndarray, missing: int) -> list[np.ndarray]:
    """The scores of all clips for every place that the missing ones can take among the others.

    Between two neighbours, and outside, there are as many places as there are missing clips.
    """
    levels = np.unique(score)
    steps = (np.arange(missing) + 1) / (missing + 1)
    between = [low + step for low in [levels[0] - 1, *levels] for step in steps]
    places = sorted({*levels.tolist(), *between})
    return [np.r_[score, chosen] for chosen in itertools.product(places, repeat=missing)]


# Values computed by hand


def test_average_precision_with_one_positive_missing_by_hand() -> None:
    # At hand, from the top: no, yes. The missing yes on top: (1 + 2/3)/2; at the bottom:
    # (1/2 + 2/3)/2.
    low, high = average_precision_bounds(np.array([0.9, 0.1]), np.array([0, 1]), 1, 0)
    assert (low, high) == pytest.approx((7 / 12, 5 / 6))


def test_average_precision_with_one_negative_missing_by_hand() -> None:
    # yes, no: on top the missing no leaves 1/2; at the bottom it changes nothing.
    bounds = average_precision_bounds(np.array([0.9, 0.1]), np.array([1, 0]), 0, 1)
    assert bounds == pytest.approx((1 / 2, 1.0))


def test_among_tied_scores_the_bottom_is_not_the_worst_place_for_a_positive() -> None:
    # no no no, then 100 tied yes. At the bottom the missing yes has 101/104 and the others 100/103;
    # right before them it has 1/4, and the others 101/104: less in all.
    score, truth = np.r_[np.ones(3), np.zeros(100)], np.r_[np.zeros(3), np.ones(100)]
    low = average_precision_bounds(score, truth, 1, 0).low
    assert low == pytest.approx((1 / 4 + 100 * 101 / 104) / 101)
    assert low < (101 / 104 + 100 * 100 / 103) / 101


def test_the_area_counts_pairs_with_a_missing_clip_as_all_wrong_or_all_right() -> None:
    # At hand 3 of 4 pairs are in order; with one yes more there are 6.
    score, truth = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1, 0, 1, 0])
    assert auc_bounds(score, truth, 1, 0) == pytest.approx((3 / 6, 5 / 6))


# Against every ranking


@pytest.mark.parametrize(
    ("metric", "bounds_of"), [(precision, average_precision_bounds), (area, auc_bounds)]
)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=4),
    st.integers(0, 2),
    st.integers(0, 1),
)
def test_the_bounds_are_the_extremes_over_every_ranking(
    metric: Callable[[np.ndarray, np.ndarray], float],
    bounds_of: Callable[[np.ndarray, np.ndarray, int, int], Bounds],
    clips: list[tuple[int, bool]],
    positives: int,
    negatives: int,
) -> None:
    score = np.array([float(level) for level, _ in clips])
    truth = np.array([int(yes) for _, yes in clips])
    everything = np.r_[truth, np.ones(positives, int), np.zeros(negatives, int)]
    assume(everything.any() and (metric is precision or not everything.all()))
    rankings = every_ranking(score, positives + negatives)
    values = [metric(ranking, everything) for ranking in rankings]
    bounds = bounds_of(score, truth, positives, negatives)
    assert bounds == pytest.approx((min(values), max(values)))


def test_three_missing_positives_among_ties_are_at_the_extremes_too() -> None:
    draw = np.random.default_rng(0)
    for _ in range(6):
        score, truth = draw.integers(0, 2, 6).astype(float), draw.integers(0, 2, 6)
        everything = np.r_[truth, 1, 1, 1]
        values = [precision(ranking, everything) for ranking in every_ranking(score, 3)]
        bounds = average_precision_bounds(score, truth, 3, 0)
        assert bounds == pytest.approx((min(values), max(values)))


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_no_scores_of_the_missing_clips_leave_the_bounds(
    seed: int, positives: int, negatives: int, tied: bool
) -> None:
    draw = np.random.default_rng(seed)
    score, truth = draw.random(30), np.r_[1, 0, draw.integers(0, 2, 28)]
    others = draw.random(positives + negatives)
    if tied:
        score, others = score.round(1), others.round(1)
    everything = np.r_[truth, np.ones(positives, int), np.zeros(negatives, int)]
    joined = np.r_[score, others]
    low, high = average_precision_bounds(score, truth, positives, negatives)
    assert low - 1e-12 <= average_precision_score(everything, joined) <= high + 1e-12
    low, high = auc_bounds(score, truth, positives, negatives)
    assert low - 1e-12 <= roc_auc_score(everything, joined) <= high + 1e-12


# All classes together


def test_without_missing_clips_the_bounds_are_the_metrics() -> None:
    draw = np.random.default_rng(1)
    score = draw.random((40, 4)).round(1)
    truth = (draw.random((40, 4)) < 0.3).astype(int)
    truth[:, 3] = 0  # a class without a positive has no part in any mean
    found = multilabel_bounds(score, truth, np.zeros((0, 4)))
    for name, value in metrics.multilabel(score, truth).items():
        assert found[name] == pytest.approx((value, value))


def test_the_best_and_the_worst_scores_of_missing_clips_attain_the_bounds() -> None:
    draw = np.random.default_rng(2)
    score, truth = 0.2 + 0.6 * draw.random((50, 3)), (draw.random((50, 3)) < 0.4).astype(int)
    missing = (draw.random((7, 3)) < 0.4).astype(int)
    everything = np.r_[truth, missing]
    apart = np.linspace(0, 0.1, 21).reshape(7, 3)
    best, worst = 0.85 * missing + apart, 0.85 * (1 - missing) + apart
    bounds = multilabel_bounds(score, truth, missing)
    for end, others in (("low", worst), ("high", best)):
        for name, value in metrics.multilabel(np.r_[score, others], everything).items():
            assert getattr(bounds[name], end) == pytest.approx(value), (end, name)


def test_a_class_whose_positives_are_all_missing_counts() -> None:
    score, truth = np.array([[0.9, 0.4], [0.1, 0.6]]), np.array([[1, 0], [0, 0]])
    bounds = multilabel_bounds(score, truth, np.array([[0, 1]]))
    # The first class has its negative missing: AP 1/2 or 1, area 1/2 or 1. The second has nothing
    # but the missing clip: third of three or first, area 0 or 1.
    assert bounds["mAP"] == pytest.approx(((1 / 2 + 1 / 3) / 2, 1.0))
    assert bounds["mAUC"] == pytest.approx((1 / 4, 1.0))
    assert np.isfinite(bounds["d′"]).all()


def test_with_all_clips_missing_a_class_is_bounded_by_its_worst_and_best_order() -> None:
    nothing = np.zeros(0)
    # One positive below one negative has precision 1/2; above it, 1.
    assert average_precision_bounds(nothing, nothing, 1, 1) == pytest.approx((1 / 2, 1.0))
    bounds = multilabel_bounds(np.zeros((0, 1)), np.zeros((0, 1)), np.array([[1], [0]]))
    assert bounds["mAP"] == pytest.approx((1 / 2, 1.0)) and bounds["mAUC"] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_precision_bounds(np.ones(2), np.zeros(2), 0, 1), "no positive"),
        (lambda: average_precision_bounds(np.ones(2), np.ones(3), 0, 0), "one shape"),
        (lambda: average_precision_bounds(np.array([np.nan]), np.ones(1), 0, 0), "finite"),
        (lambda: average_precision_bounds(np.ones(2), np.array([1, -1]), 0, 0), "0 or 1"),
        (lambda: auc_bounds(np.ones(2), np.ones(2), 1, 0), "positive and a negative"),
        (lambda: auc_bounds(np.ones(2), np.ones(2), 1, -1), "negatives is -1"),
        (lambda: multilabel_bounds(np.ones((2, 2)), np.ones((2, 2)), np.ones((1, 3))), "needs"),
        (lambda: multilabel_bounds(np.ones((2, 1)), np.ones((2, 1)), np.ones((1, 1))), "no class"),
        (lambda: multilabel_bounds(np.eye(2), np.eye(2), -np.eye(2)), "missing_truth"),
    ],
)
def test_what_makes_no_sense_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
