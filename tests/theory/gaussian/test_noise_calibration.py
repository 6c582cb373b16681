"""Log-odds, their regression on β, and their response to noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mke_theory.data.pool import Pool
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    sample,
)
from mke_theory.theory.gaussian.noise_calibration import (
    estimate_by_class,
    log_odds,
    median_strength,
    response_to_noise,
    second_statistic,
)
from mke_theory.theory.gaussian.noise_estimate import NoiseEstimate, estimate_noise
from mke_theory.theory.gaussian.teacher_strength import (
    strength_from_confusion,
)


def test_log_odds_by_hand() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    assert log_odds(np.log(p) + 7) == pytest.approx(np.log(p / (1 - p)))
    with pytest.raises(ValueError, match=r"logits has shape \(3,\)"):
        log_odds([1.0, 2.0, 3.0])


def test_the_second_statistic_holds_no_trace_of_the_first() -> None:
    # t and β independent, β wide: a regression on all pairs would correlate by about √(d/n) = .7.
    # Out of fold it does not, |corr| √n has sd about 1 and 6 is left once in 500 million.
    rng = np.random.default_rng(0)
    t, beta = rng.normal(size=200), rng.normal(size=(200, 10, 10))
    found = second_statistic(t, beta)
    assert np.std(found) == 0 or abs(np.corrcoef(t, found)[0, 1]) < 6 / 200**0.5
    many = second_statistic(np.stack([t, 2 * t], axis=1), beta)
    assert many.shape == (200, 2)


def test_the_second_statistic_points_along_fishers_direction() -> None:
    # n = 4,000: the regression is within a degree or two of Fisher's direction, which needs labels.
    rng = np.random.default_rng(1)
    y = rng.choice([-1, 1], 4000)
    mixing = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.5, 1.0]])
    beta = y[:, None] * [0.9, 0.2, -0.4] + rng.normal(size=(4000, 3)) @ mixing.T
    t = 0.8 * y + rng.normal(size=4000)
    fisher = LinearDiscriminantAnalysis().fit(beta, y).transform(beta)[:, 0]
    assert abs(np.corrcoef(second_statistic(t, beta), fisher)[0, 1]) > 0.99
    grouped = second_statistic(t, beta, groups=np.arange(4000) // 4)
    assert abs(np.corrcoef(grouped, fisher)[0, 1]) > 0.99


def test_the_second_statistic_refuses() -> None:
    with pytest.raises(ValueError, match="t has 49 rows, beta 49"):
        second_statistic(np.ones(49), np.ones((49, 2)))
    with pytest.raises(ValueError, match="not finite somewhere"):
        second_statistic(np.arange(60.0), np.full((60, 2), np.nan))


def test_each_class_against_the_rest() -> None:
    # Two classes of equal odds: either one against the rest is the binary estimate.
    rng = np.random.default_rng(2)
    _, t, b = sample(GaussianPair(1.0, 1.0), 3000, rng)
    counts = np.array([[84, 16], [10, 90]])
    stacked, second = np.stack([-2 * t, 2 * t], axis=1), np.stack([-b, b], axis=1)
    first, other = estimate_by_class(stacked, second, counts)
    binary = estimate_noise(2 * t, b, strength_from_confusion(10, 100, 16, 100))
    assert isinstance(first, NoiseEstimate)
    assert isinstance(other, NoiseEstimate)
    assert other == binary
    assert first.value == pytest.approx(binary.value)
    refused, _ = estimate_by_class(stacked, second, np.array([[10, 90], [10, 90]]))
    assert isinstance(refused, str)
    assert refused.startswith("class 0: 90 of 100 missed")
    with pytest.raises(ValueError, match=r"confusion \(3, 3\) do not fit"):
        estimate_by_class(stacked, second, np.eye(3))


def linear_pool(n: int = 4000) -> Pool:
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(n, 3)), dtype=torch.float64)
    return Pool({"alpha": x, "beta": x[:, :1]}, torch.full((n,), -1))


def test_a_linear_statistic_responds_by_its_gradient() -> None:
    # t = w·x under noise s · mean|x| · N(0, 1): the blur is s · mean|x| · ‖w‖ = 3 s mean|x| in t's
    # unit. Its relative sd at n = 4,000 is 1/√(2n) = .011, five of it .056.
    pool, w = linear_pool(), torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64)
    size = float(pool.inputs["alpha"].abs().mean())

    def statistic(inputs: Any) -> Any:
        t = inputs["alpha"] @ w
        return torch.stack([t, -10 * t], dim=1)

    found = response_to_noise(statistic, pool, "alpha", (0.5, 2.0))
    assert found[:, 0] == pytest.approx([1.5 * size, 6 * size], rel=0.056)
    assert found[:, 1] == pytest.approx(10 * found[:, 0])


def test_a_shrinking_statistic_is_not_a_blurred_one() -> None:
    # Halving the statistic of noisy inputs changes nothing: a student can double it.
    pool = linear_pool()

    def shrunk(inputs: Any) -> Any:
        moved = bool((inputs["alpha"] != pool.inputs["alpha"]).any())
        return inputs["alpha"][:, :1] * (0.5 if moved else 1.0)

    plain = response_to_noise(lambda inputs: inputs["alpha"][:, :1], pool, "alpha", (1.0,))
    assert response_to_noise(shrunk, pool, "alpha", (1.0,)) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("statistic", "strengths", "message"),
    [
        (lambda inputs: inputs["alpha"], (2.0, 1.0), "have to rise from above 0"),
        (lambda inputs: inputs["alpha"], (0.0, 1.0), "have to rise from above 0"),
        (lambda inputs: inputs["alpha"][:, 0], (1.0,), r"shape \(60,\); give \[60, k\]"),
        (lambda inputs: 0 * inputs["alpha"], (1.0,), "constant or not finite"),
    ],
)
def test_response_refuses(
    statistic: Callable[[Any], Any], strengths: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        response_to_noise(statistic, linear_pool(60), "alpha", strengths)


def test_the_median_strength_by_hand() -> None:
    strengths, response = (1.0, 2.0, 4.0), np.array([[1.0, 2, 4], [2, 4, 8], [4, 8, 16]])
    # Responses 1, 2 and 4 times the strength: σ of 3, 2 and 8 need strengths 3, 1 and 2.
    assert median_strength([3.0, 2.0, 8.0], response, strengths) == pytest.approx(2.0)
    assert median_strength([3.0, 2.0, float("inf")], response, strengths) == pytest.approx(3.0)
    assert median_strength([0.5], response[:, :1], strengths) == pytest.approx(0.5)  # below all
    with pytest.raises(ValueError, match=r"half of the 3 statistics .* 2 of them have no estimate"):
        median_strength([3.0, float("inf"), float("inf")], response, strengths)
    with pytest.raises(ValueError, match=r"more noise than strength 4\.0 makes; 0 of them"):
        median_strength([5.0], response[:, :1], strengths)
    with pytest.raises(ValueError, match=r"response has shape \(3, 3\)"):
        median_strength([5.0], response, strengths)


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
