"""Confidence against the share right: bins by hand, and against a sum over single answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.evaluation.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability,
)

CONFIDENCE = [0.95, 0.85, 0.55, 0.65, 0.9]
RIGHT = [True, False, True, False, True]


def test_bins_by_hand() -> None:
    low, high = reliability(CONFIDENCE, RIGHT, bins=2)
    assert (low.low, low.high, high.low, high.high) == (0.0, 0.5, 0.5, 1.0)
    assert (low.count, low.confidence, low.right) == (0, None, None)
    assert high.count == 5 and high.right == pytest.approx(0.6)
    assert high.confidence == pytest.approx(0.78)


def test_the_error_by_hand() -> None:
    # Five bins: 0.55 is in (0.4, 0.6], 0.65 in (0.6, 0.8], and three answers in (0.8, 1] with mean
    # 0.9, of which two are right: 1/5 · 0.45 + 1/5 · 0.65 + 3/5 · (0.9 − 2/3).
    expected = 0.2 * 0.45 + 0.2 * 0.65 + 0.6 * (0.9 - 2 / 3)
    assert expected_calibration_error(CONFIDENCE, RIGHT, bins=5) == pytest.approx(expected)
    # With one bin: mean confidence 0.78, of which 0.6 are right.
    assert expected_calibration_error(CONFIDENCE, RIGHT, bins=1) == pytest.approx(0.18)


def test_an_edge_belongs_to_the_bin_below_it_and_0_to_the_first() -> None:
    edges = [b / 10 for b in range(11)]
    found = reliability(edges, [1] * 11)
    assert [one.count for one in found] == [2, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert found[2] == ReliabilityBin(0.2, 0.3, 1, 0.3, 1.0)


def test_answers_that_are_what_they_say_have_no_error() -> None:
    confidence = np.repeat([0.25, 0.75], 4)
    right = [1, 0, 0, 0, 1, 1, 1, 0]
    assert expected_calibration_error(confidence, right) == 0.0
    assert expected_calibration_error([1.0, 1.0], [0, 0]) == 1.0
    assert expected_calibration_error(torch.tensor([0.5]), torch.tensor([True])) == 0.5


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_bins_hold_every_answer_once_and_the_error_is_that_of_their_sums(
    n: int, bins: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    confidence, right = draw.random(n), draw.random(n) < 0.5
    found = reliability(confidence, right, bins)
    assert len(found) == bins and sum(one.count for one in found) == n
    for one in found:
        inside = [c for c in confidence if one.low < c <= one.high]
        assert len(inside) == one.count
        assert one.confidence == (pytest.approx(np.mean(inside)) if inside else None)
    # n times the error: in every bin, the sum of confidence less that of what is right.
    place = np.ceil(confidence * bins)
    apart = [abs((confidence - right)[place == b].sum()) for b in np.unique(place)]
    assert expected_calibration_error(confidence, right, bins) == pytest.approx(sum(apart) / n)


@pytest.mark.parametrize(
    ("confidence", "right", "bins", "message"),
    [
        ([], [], 10, "there is no answer"),
        ([0.5, 0.5], [1], 10, r"confidence has shape \(2,\) and right \(1,\)"),
        ([[0.5]], [[1]], 10, r"both have to be \[n\]"),
        ([1.2], [1], 10, r"confidence holds 1\.2; allowed is \[0, 1\]"),
        ([float("nan")], [1], 10, "confidence holds nan"),
        ([0.5], [2], 10, r"right holds 2\.0; allowed are 0 and 1"),
        ([0.5], [1], 0, "bins is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    confidence: list[float], right: list[int], bins: int, message: str
) -> None:
    for function in (reliability, expected_calibration_error):
        with pytest.raises(ValueError, match=message):
            function(np.array(confidence), np.array(right), bins)
