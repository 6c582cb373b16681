"""Where the law of the best noise would divide by a difference that is 0 but for rounding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from mke_theory.data.pool import Pool
from mke_theory.theory.gaussian.closed_form import GaussianPair, difference
from mke_theory.theory.gaussian.noise_calibration import median_strength, response_to_noise
from mke_theory.theory.gaussian.noise_estimate import _noise_at
from mke_theory.theory.gaussian.perturbation_law import best_noise, best_noise_from_truth
from mke_theory.theory.gaussian.teacher_strength import strength_from_confusion

GRID = [(i, j) for i in range(1, 100, 7) for j in range(1, 40)]


def test_a_tie_has_no_sign() -> None:
    assert 0.1 * 3 - 0.3 > 0
    assert difference(0.1 * 3, 0.3) == difference(0.3, 0.1 * 3) == 0
    assert difference(0.3 + 1e-9, 0.3) == pytest.approx(1e-9)
    assert difference(0.0, 0.0) == 0


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_no_noise_will_do_where_the_best_classifier_leaves_t_aside(loss: Any) -> None:
    # m_t = ρ m_b, here i/100 · j/10: all weight is on b, and σ* would be infinite.
    rounded = 0
    for i, j in GRID:
        m_t, m_b, rho = i * j / 1000, j / 10, i / 100
        rounded += m_t - rho * m_b > 0
        with pytest.raises(ValueError, match=r"the best weights are \(0, "):
            best_noise(GaussianPair(m_t, m_b, rho), loss)
    assert rounded > 10  # without the tie those had a σ* of 10⁸


def test_no_noise_is_needed_where_b_adds_nothing_to_t() -> None:
    # m_b = ρ m_t: the best classifier reads t alone, as the student does without noise.
    rounded = set()
    for i, j in GRID:
        m_t, m_b, rho = j / 10, i * j / 1000, i / 100
        rounded.add(np.sign(m_b - rho * m_t))
        assert best_noise(GaussianPair(m_t, m_b, rho)) == 0
    assert rounded == {-1, 0, 1}


def test_no_noise_will_do_where_b_does_not_pull_on_the_labels() -> None:
    # ρ = −C m_b/κ: what b says of the truth and of the teacher's errors cancels.
    rounded = 0
    for m_t, m_b in itertools.product(np.linspace(0.3, 1.4, 30), np.linspace(0.1, 0.3, 9)):
        free = GaussianPair(m_t, m_b)
        pair = GaussianPair(m_t, m_b, -free.agreement * m_b / free.density)
        rounded += pair.agreement * m_b + pair.density * pair.rho > 0
        with pytest.raises(ValueError, match=r"b's pull on the labels 0, "):
            best_noise(pair)
    assert rounded > 10


def test_samples_in_which_t_adds_nothing_to_b() -> None:
    # t is b and a part that is orthogonal to b and y: the student of the truth leaves t aside.
    y = np.tile([1.0, 1, 1, 1, -1, -1, -1, -1], 20)
    b = y + np.tile([0.5, 0.5, -0.5, -0.5], 40)
    t = b + np.tile([0.3, -0.3], 80)
    said = y * np.tile([1, -1, 1, 1, -1, 1, 1, 1], 20)
    for scale in (0.1, 0.3, 0.7, 1.0, 3.0):
        for other in (0.3, 1.0, 3.0):
            with pytest.raises(ValueError, match=r"the truth's weight on t 0$"):
                best_noise_from_truth(scale * t, other * b, said, y)


def test_a_teacher_no_better_than_a_coin_is_told_so() -> None:
    # k of n missed and n − k of n false alarms: whatever the threshold, m_t = 0.
    for n in range(3, 40):
        for k in range(n + 1):
            with pytest.raises(ValueError, match="no better than a coin"):
                strength_from_confusion(k, n, n - k, n)


def test_the_largest_correlation_that_a_teacher_allows_needs_infinite_m_b() -> None:
    # m_t/√(1 + m_t²) at equal odds; one digit less than that is m_b = 10⁸, and no information.
    for error in np.linspace(0.05, 0.45, 9):
        m_t = -ndtri(error)
        most = float(m_t / np.sqrt(1 + m_t**2))
        for r in (np.nextafter(most, 0), most, np.nextafter(most, 1)):
            assert _noise_at(error, error, 0.5, float(r), "squared") == (np.inf, np.inf)
        assert np.isfinite(_noise_at(error, error, 0.5, 0.999 * most, "squared")).all()


def test_a_statistic_that_keeps_nothing_has_no_slope() -> None:
    # Under noise it says |x| instead of x, which is uncorrelated with x on points in pairs ±x.
    half = torch.tensor(np.random.default_rng(0).normal(size=(30, 8)), dtype=torch.float64)
    x = torch.cat([half, -half])
    pool = Pool({"alpha": x}, torch.full((60,), -1))

    def statistic(inputs: Any) -> Any:
        return x if (inputs["alpha"] == x).all() else x.abs()

    centred = (x.abs() - x.abs().mean(dim=0)).numpy()
    assert ((centred * x.numpy()).mean(axis=0) > 0).any()
    assert np.isinf(response_to_noise(statistic, pool, "alpha", (1.0,))).all()


def test_two_strengths_with_one_response() -> None:
    # 100 and the next number have the same logarithm; the target is reached at the second.
    response = np.array([[50.0], [100.0], [np.nextafter(100.0, 200)]])
    assert np.log(response[1]) == np.log(response[2])
    assert median_strength([float(response[2, 0])], response, (1.0, 2.0, 4.0)) == pytest.approx(4)
