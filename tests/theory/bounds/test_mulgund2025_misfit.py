"""KL misfit: by hand, for projections on convex sets, and refused where it is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mke_theory.theory.bounds.mulgund2025_misfit import divergence, for_probabilities


def test_by_hand() -> None:
    # One point: truth (1, 0), student (1/2, 1/2), teacher (1/4, 3/4).
    t, f, y = [[0.25, 0.75]], [[0.5, 0.5]], [[1.0, 0.0]]
    assert divergence(y, t) == pytest.approx(math.log(4))
    assert divergence(f, t) == pytest.approx(0.5 * math.log(4 / 3))
    found = for_probabilities(t, f, y)
    assert found.value == pytest.approx(math.log(4) - 0.5 * math.log(4 / 3))
    assert found.measured is not None
    assert found.measured.share == pytest.approx(math.log(2))
    # The gap is Σ (f*_k − f_k)(log f_k − log f_t,k) = ½ log 2 − ½ log(2/3) = ½ log 3.
    assert found.hypotheses[1].measured == pytest.approx(0.5 * math.log(3))
    assert found.status == "not checkable"  # convexity is never seen
    # A student that went the other way: the inequality fails, and says so.
    astray = for_probabilities(t, [[0.1, 0.9]], y)
    assert astray.status == "violated"


@given(st.integers(0, 2**32 - 1))
def test_a_projection_on_a_segment_that_holds_the_truth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 5)), int(rng.integers(2, 4))
    truth, other, teacher = rng.dirichlet(np.ones(k), (3, n)) * 0.98 + 0.02 / k
    least = minimize_scalar(
        lambda s: divergence((1 - s) * truth + s * other, teacher),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-12},
    ).x
    tried = [0.0, 1.0, float(least)]
    s = min(tried, key=lambda one: divergence((1 - one) * truth + one * other, teacher))
    student = (1 - s) * truth + s * other
    found = for_probabilities(teacher, student, truth)
    assert found.value is not None
    assert divergence(truth, student) <= found.value + 1e-5  # the projection is found to 1e-6


def test_validation_gives_the_teachers_loss() -> None:
    found = for_probabilities([[0.5, 0.5]], [[0.5, 0.5]], teacher_loss=0.3)
    assert (found.value, found.measured) == (pytest.approx(0.3), None)
    # Without misfit, and without the truth, nothing is known of the inequality.
    assert for_probabilities([[0.5, 0.5]], [[0.5, 0.5]]).value is None


def test_zeros() -> None:
    assert divergence([[1.0, 0.0]], [[0.5, 0.5]]) == pytest.approx(math.log(2))
    assert divergence([[0.5, 0.5]], [[1.0, 0.0]]) == math.inf
    sure = for_probabilities([[1.0, 0.0]], [[0.5, 0.5]], [[0.0, 1.0]])
    assert sure.value is None
    assert sure.status == "not checkable"


def test_refusals() -> None:
    with pytest.raises(ValueError, match="a row of student is no distribution"):
        for_probabilities([[0.5, 0.5]], [[2.0, -1.0]])
    with pytest.raises(ValueError, match="have shapes"):
        for_probabilities([[0.5, 0.5]], [[0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match="teacher has shape"):
        for_probabilities([0.5, 0.5], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="the teacher's loss is measured"):
        for_probabilities([[0.5, 0.5]], [[0.5, 0.5]], [[0.5, 0.5]], teacher_loss=0.1)
