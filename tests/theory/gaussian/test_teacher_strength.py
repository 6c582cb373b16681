"""Strengths of a teacher by hand; their regions cover."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as reference

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    sample,
)
from mke_theory.theory.gaussian.teacher_strength import (
    TeacherStrength,
    strength_from_confusion,
    strength_from_errors,
    strength_from_values,
)


def test_strength_from_errors_by_hand() -> None:
    # ε = 31.5/101 = .31188, m_t = −Φ⁻¹(ε) = .4906.
    found = strength_from_errors(31, 100)
    assert (found.missed, found.false_alarms) == pytest.approx((0.311881, 0.311881), abs=1e-6)
    assert found.m_t == pytest.approx(0.4906, abs=1e-4)
    exact = clopper_pearson(31, 100, 0.975)
    assert found.region == ((exact.low, exact.low), (exact.high, exact.high))
    assert strength_from_errors(0, 50).m_t == pytest.approx(reference.norm.isf(0.5 / 51))


def test_strength_from_confusion_by_hand() -> None:
    # Rates 4.5/21 and 9.5/181: m_t = (.7916 + 1.6220)/2, π = 20/200.
    found = strength_from_confusion(4, 20, 9, 180)
    assert found.m_t == pytest.approx(
        (reference.norm.isf(4.5 / 21) + reference.norm.isf(9.5 / 181)) / 2
    )
    assert found.m_t == pytest.approx(1.2062, abs=1e-3)
    assert found.prior == 0.1
    ends = [clopper_pearson(4, 20, 0.9875), clopper_pearson(9, 180, 0.9875)]
    first, second = np.array(found.region).T
    assert (first.min(), first.max()) == pytest.approx((ends[0].low, ends[0].high))
    assert (second.min(), second.max()) == pytest.approx((ends[1].low, ends[1].high))


def test_strength_from_values_by_hand() -> None:
    # Means 2 and −1, squared deviations 2 and 2 over 6 − 2 degrees: spread 1, m_t = 1.5.
    found = strength_from_values([1, 2, 3, -2, -1, 0], [1, 1, 1, -1, -1, -1])
    assert found.m_t == pytest.approx(1.5)
    mirrored = strength_from_values([5, 4, 3, 8, 7, 6], [1, 1, 1, -1, -1, -1])
    assert mirrored.m_t == pytest.approx(1.5)


def test_classes_that_hardly_overlap_leave_a_finite_strength() -> None:
    t, y = [50.1, 50.0, 49.9, -50.1, -50.0, -49.9], [1, 1, 1, -1, -1, -1]
    found = strength_from_values(t, y)
    assert found.m_t == pytest.approx(8)
    assert all(error > 0 for ends in found.region for error in ends)


def covers(found: TeacherStrength, m_t: float) -> bool:
    ends = [-reference.norm.ppf(error) for error, _ in found.region]
    return bool(min(ends) <= m_t <= max(ends))


@pytest.mark.parametrize(
    "strength",
    [
        lambda y, t: strength_from_errors(int((np.sign(t) != y).sum()), len(t), 0.9),
        lambda y, t: strength_from_values(t, y, 0.9),
    ],
    ids=["errors", "values"],
)
def test_regions_of_strength_cover(
    strength: Callable[[NDArray[np.int64], NDArray[np.float64]], TeacherStrength],
) -> None:
    # Level .9, 400 draws: 40 misses are expected if exact, sd 6; 72 or more come once in 2 million.
    rng = np.random.default_rng(0)
    draws = (sample(GaussianPair(0.8, 0), 80, rng) for _ in range(400))
    assert sum(not covers(strength(y, t), 0.8) for y, t, _ in draws) < 72


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: strength_from_errors(50, 100),
            r"50 errors .* no better than a coin \(m_t -?0.000\)",
        ),
        (lambda: strength_from_errors(3, 2), "successes is 3"),
        (lambda: strength_from_confusion(15, 20, 120, 180), "no better than a coin"),
        (lambda: strength_from_confusion(0, 0, 1, 9), "n is 0"),
        (lambda: strength_from_values([1, 2, 3, 4], [1, 1, -1, -1]), "2 and 2 samples"),
        (lambda: strength_from_values([1, 2, 3], [0, 1, 2]), "y being -1 or 1"),
        (lambda: strength_from_values([1.0] * 3 + [-1.0] * 3, np.repeat([1, -1], 3)), "constant"),
        (lambda: strength_from_values([0.4] * 3 + [0.1] * 3, np.repeat([1, -1], 3)), "constant"),
        (lambda: strength_from_values(np.r_[1:4, 1:4], [1, 1, 1, -1, -1, -1]), "than a coin"),
    ],
)
def test_strengths_that_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_teacher_no_better_than_a_coin_is_refused_whatever_its_threshold() -> None:
    # k of n missed and n − k of n false alarms: whatever the threshold, m_t = 0.
    for n in range(3, 40):
        for k in range(n + 1):
            with pytest.raises(ValueError, match="no better than a coin"):
                strength_from_confusion(k, n, n - k, n)
