from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as reference
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from experiments import perturbation_law as experiment
from mke_theory.data.pool import Pool
from mke_theory.evaluation.stats import Interval, clopper_pearson
from mke_theory.method.transforms import GaussianNoise, InputNoise
from mke_theory.report.plots.theory import NoiseCurve, error_against_noise
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    fit_least_squares,
    least_squares_student,
    logistic_student,
    sample,
)
from mke_theory.theory.gaussian.noise_calibration import (
    as_noise,
    calibrated_noise,
    estimate_by_class,
    log_odds,
    median_strength,
    response_to_noise,
    second_statistic,
)
from mke_theory.theory.gaussian.perturbation_law import (
    NoiseEstimate,
    TeacherStrength,
    best_noise,
    best_noise_from_truth,
    estimate_noise,
    shape_of,
    strength_from_confusion,
    strength_from_errors,
    strength_from_shape,
    strength_from_values,
)

RESULTS = Path(__file__).parents[2] / "paper" / "results"
strong = st.floats(0.05, 3.0)


# --- the law -------------------------------------------------------------------------------------


def test_the_printed_values() -> None:
    cells = [(0.5, 0.5), (1, 0.5), (0.5, 1.5), (0.3, 2), (2, 0.3)]
    found = [best_noise(GaussianPair(*cell)) for cell in cells]
    assert found == pytest.approx([2.349, 1.263, 3.588, 7.408, 0.537], abs=5e-4)


@given(strong, st.floats(0.05, 3.0))
def test_at_the_best_noise_least_squares_is_bayes(m_t: float, m_b: float) -> None:
    pair = GaussianPair(m_t, m_b)
    sigma = best_noise(pair)
    student = least_squares_student(pair, sigma)
    assert student.w_t * m_b == pytest.approx(student.w_b * m_t, rel=1e-9)
    assert student.error(pair) == pytest.approx(pair.bayes_error, rel=1e-12)
    for other in (0.8 * sigma, 1.25 * sigma):
        assert least_squares_student(pair, other).error(pair) > pair.bayes_error


@given(strong, strong, st.floats(-0.8, 0.8), st.floats(0.05, 0.95), st.floats(-1, 1))
def test_also_with_correlation_unequal_odds_and_any_threshold(
    m_t: float, m_b: float, rho: float, prior: float, threshold: float
) -> None:
    pair = GaussianPair(m_t, m_b, rho, prior, threshold)
    try:
        sigma = best_noise(pair)
    except ValueError:
        assume(False)
    student, (u, v) = least_squares_student(pair, sigma), pair.bayes_weights
    across = (student.w_t * v - student.w_b * u) / np.hypot(student.w_t, student.w_b)
    assert abs(across) < 1e-9 * np.hypot(u, v)
    assert student.w_t > 0


@settings(max_examples=30)
@given(st.floats(0.2, 2.5), st.floats(0.2, 2.5), st.floats(-0.2, 0.2), st.floats(0.2, 0.8))
def test_at_its_own_best_noise_cross_entropy_points_along_bayes(
    m_t: float, m_b: float, rho: float, prior: float
) -> None:
    # Two code paths: a root in σ along R⁻¹m, and a minimum over all weights at that σ.
    pair = GaussianPair(m_t, m_b, rho, prior, 0.3 * (0.5 - prior))
    try:
        sigma = best_noise(pair, "logistic")
    except ValueError:
        assume(False)
    assume(sigma > 0.1)
    student, (u, v) = logistic_student(pair, sigma), pair.bayes_weights
    across = (student.w_t * v - student.w_b * u) / np.hypot(student.w_t, student.w_b)
    assert abs(across) < 1e-5 * np.hypot(u, v)


def test_a_strong_teacher_asks_for_more_noise_under_cross_entropy() -> None:
    weak, strong_teacher = GaussianPair(0.5, 1.5), GaussianPair(2, 0.3)
    assert best_noise(weak, "logistic") == pytest.approx(3.653, abs=5e-4)
    assert best_noise(strong_teacher, "logistic") == pytest.approx(0.746, abs=5e-4)
    assert best_noise(strong_teacher) == pytest.approx(0.537, abs=5e-4)


def test_worthless_beta_is_the_limit() -> None:
    assert best_noise(GaussianPair(1, 0)) == pytest.approx(best_noise(GaussianPair(1, 1e-7)))
    # With β worthless no noise does harm to the direction: the student reads t alone at any σ.
    for sigma in (0.0, 1.0, 9.0):
        assert least_squares_student(GaussianPair(1, 0), sigma).w_b == 0


@pytest.mark.parametrize(
    ("pair", "what"),
    [
        (
            GaussianPair(0.5, 2.0, 0.5),
            r"best weights are \(-0.667, 2.33\)",
        ),  # t would count against
        (GaussianPair(2.0, 0.5, 0.5), r"best weights are \(2.33, -0.667\)"),
        (GaussianPair(0.3, 0.1, -0.6), "b's pull on the labels -"),
    ],
)
def test_where_no_noise_will_do(pair: GaussianPair, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        best_noise(pair)
    # Indeed no σ comes near Bayes.
    grid = np.geomspace(1e-3, 1e3, 400)
    errors = [least_squares_student(pair, sigma).error(pair) for sigma in [0.0, *grid]]
    assert min(errors) > pair.bayes_error * (1 + 1e-5)


def test_a_loss_that_is_none() -> None:
    with pytest.raises(ValueError, match="loss is 'hinge'; choose squared or logistic"):
        best_noise(GaussianPair(1, 1), "hinge")  # type: ignore[arg-type]


# --- the law from the truth ----------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(-1, 1))
def test_the_law_needs_no_normal_distribution(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], 80)
    t, b = y + rng.exponential(2, 80) ** 1.5, y * rng.random(80) + rng.random(80)
    said = np.where(t - np.median(t) > threshold, 1, -1)
    try:
        sigma = best_noise_from_truth(t, b, said, y)
    except ValueError:
        assume(False)
    student, ceiling = fit_least_squares(t, b, said, sigma), fit_least_squares(t, b, y, 0.0)
    assert student.w_t * ceiling.w_b == pytest.approx(student.w_b * ceiling.w_t, rel=1e-6)
    assert student.w_b * ceiling.w_b > 0


def test_the_law_from_the_truth_tends_to_the_law() -> None:
    # 2 · 10⁶ samples; the relative sd of σ over 20 seeds was 0.4%, 2% is five of them.
    pair = GaussianPair(0.8, 1.2)
    y, t, b = sample(pair, 2_000_000, np.random.default_rng(5))
    found = best_noise_from_truth(3 * t, -b, np.sign(t), y)
    assert found == pytest.approx(3 * best_noise(pair), rel=0.02)


def test_the_law_from_the_truth_refuses() -> None:
    t, y = np.arange(60.0), np.repeat([-1, 1], 30)
    said = np.roll(y, 5)
    with pytest.raises(ValueError, match="pseudo and truth have to be -1 or 1"):
        best_noise_from_truth(t, t % 7, said, 0 * y)
    with pytest.raises(ValueError, match="multiples of each other"):
        best_noise_from_truth(t, -2 * t, said, y)
    b = np.where(said > 0, -1.0, 1.0) * (said != y) + 0.1 * y  # β answers to the errors alone
    with pytest.raises(ValueError, match="no noise on t makes the student parallel"):
        best_noise_from_truth(t, b, said, y)


# --- how strong the teacher is -------------------------------------------------------------------


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


def test_the_shape_of_t_by_hand() -> None:
    assert shape_of(0.0) == pytest.approx((2 / np.pi) ** 0.5)
    assert shape_of(1.0) == pytest.approx((0.483941 + 0.682689) / 2**0.5, abs=1e-6)
    assert (np.diff([shape_of(m) for m in np.linspace(0, 8, 200)]) > 0).all()
    # By its fourth power at first: (shape/shape₀ − 1)/m⁴ → 1/12.
    assert (shape_of(0.1) / shape_of(0.0) - 1) / 1e-4 == pytest.approx(1 / 12, rel=0.02)


def test_strength_from_shape_finds_m_t_in_any_unit() -> None:
    # sd of m̂_t at n = 100,000 is about .006; 6 of them.
    _, t, _ = sample(GaussianPair(1.2, 0), 100_000, np.random.default_rng(0))
    assert strength_from_shape(t).m_t == pytest.approx(1.2, abs=0.036)
    assert strength_from_shape(5 - 7 * t).m_t == pytest.approx(strength_from_shape(t).m_t)


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


def test_a_region_from_shape_covers_with_enough_samples() -> None:
    # As above; the delta method is approximate, and at n = 3,000 no draw is refused here.
    rng = np.random.default_rng(1)
    draws = (sample(GaussianPair(1.2, 0), 3000, rng)[1] for _ in range(400))
    assert sum(not covers(strength_from_shape(t, 0.9), 1.2) for t in draws) < 72


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
        (lambda: strength_from_values(np.r_[1:4, 1:4], [1, 1, 1, -1, -1, -1]), "than a coin"),
    ],
)
def test_strengths_that_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_shape_that_does_not_tell() -> None:
    _, t, _ = sample(GaussianPair(0.5, 0), 2000, np.random.default_rng(0))
    with pytest.raises(ValueError, match="does not tell m_t from 0, so m_t is not identified"):
        strength_from_shape(t)


# --- the estimate --------------------------------------------------------------------------------


def draw(
    pair: GaussianPair, n: int, labelled: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], TeacherStrength]:
    _, t, b = sample(pair, n, rng)
    return t, b, strength_from_errors(int(rng.binomial(labelled, pair.teacher_error)), labelled)


def test_exact_moments_give_the_exact_noise() -> None:
    # Two points a class would have these moments: corr = g(m_t) g(m_b) by construction.
    rng = np.random.default_rng(0)
    pair = GaussianPair(0.8, 1.1)
    raw = rng.normal(size=(500, 2))
    raw -= raw.mean(axis=0)
    raw = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T, bias=True))).T
    m = np.array([0.8, 1.1])
    t, b = (raw @ np.linalg.cholesky(np.eye(2) + np.outer(m, m)).T).T
    error = pair.teacher_error
    teacher = TeacherStrength(error, error, 0.5, ((error, error),) * 2, 0.975, "known")
    found = estimate_noise(4 * t + 3, -2 * b, teacher)
    assert found.value == pytest.approx(best_noise(pair))
    assert (found.m_t, found.m_b, found.spread) == pytest.approx((0.8, 1.1, 4.0))
    assert found.in_units == pytest.approx(4 * best_noise(pair))
    assert (found.n, found.interval.level) == (500, pytest.approx(0.95))
    assert any("independent given the class" in line for line in found.assumptions)
    logistic = estimate_noise(4 * t + 3, -2 * b, teacher, "logistic")
    assert logistic.value == pytest.approx(best_noise(pair, "logistic"))


def test_unequal_odds_are_allowed_for() -> None:
    # n = 400,000 pairs and an exact confusion: the sd of σ̂ is about .005 here, 6 of them.
    pair = GaussianPair(1.4, 1.0, 0.0, 0.1, 0.5)
    _, t, b = sample(pair, 400_000, np.random.default_rng(1))
    teacher = TeacherStrength(
        pair.missed, pair.false_alarms, 0.1, ((pair.missed, pair.false_alarms),) * 3, 0.975, "known"
    )
    found = estimate_noise(t, b, teacher)
    assert found.value == pytest.approx(best_noise(pair), abs=0.03)
    assert found.spread == pytest.approx(1.0, abs=0.02)
    assert "P(y = 1) = 0.1" in found.assumptions[2]
    # Taken for equal odds, the same pairs lead elsewhere.
    even = TeacherStrength(*[pair.teacher_error] * 2, 0.5, teacher.region, 0.975, "known")
    assert abs(estimate_noise(t, b, even).value - best_noise(pair)) > 0.1


def misses(teacher_known_exactly: bool) -> int:
    pair, rng = GaussianPair(1.0, 0.8), np.random.default_rng(2)
    truth, count = best_noise(pair), 0
    for _ in range(400):
        t, b, teacher = draw(pair, 400, 150, rng)
        if teacher_known_exactly:
            at = (teacher.missed, teacher.missed)
            teacher = replace(teacher, region=(at, at))
        interval = estimate_noise(t, b, teacher).interval
        count += not interval.low <= truth <= interval.high
    return count


def test_the_interval_covers_and_needs_both_sources_of_error() -> None:
    # Level .95 at least: 20 misses of 400 are expected at most, sd 4.4; 43 or more come once in 3
    # million. Without the teacher's own uncertainty the interval is plainly too narrow.
    assert misses(teacher_known_exactly=False) < 43 < misses(teacher_known_exactly=True)


def test_the_part_of_the_pairs_covers_as_it_says() -> None:
    # The teacher known exactly and level .9 for the pairs: 40 misses of 400, sd 6; 5 of them either
    # way is left once in 2 million.
    pair, rng = GaussianPair(2.0, 2.0), np.random.default_rng(6)
    error, truth, count = pair.teacher_error, best_noise(GaussianPair(2.0, 2.0)), 0
    teacher = TeacherStrength(error, error, 0.5, ((error, error),) * 2, 0.9, "known")
    for _ in range(400):
        interval = estimate_noise(*sample(pair, 500, rng)[1:], teacher).interval
        count += not interval.low <= truth <= interval.high
    assert 10 < count < 70


def test_the_interval_from_shape_covers() -> None:
    # As above, 200 draws: 10 expected at most, sd 3.1; 27 or more come once in 400,000.
    pair, rng = GaussianPair(1.3, 0.8), np.random.default_rng(3)
    truth, missed = best_noise(pair), 0
    for _ in range(200):
        _, t, b = sample(pair, 3000, rng)
        interval = estimate_noise(t, b, strength_from_shape(t)).interval
        missed += not interval.low <= truth <= interval.high
        assert interval.high < 3
    assert missed < 27


def test_the_error_falls_with_the_root_of_n() -> None:
    # RMSE of log σ̂ over 200 draws at four n, labelled samples in proportion. The log of an RMSE
    # of 200 has sd 1/√400 = .05, the slope over these n then .05/√9.6 = .016; .1 is six of that.
    pair, rng = GaussianPair(1.0, 0.8), np.random.default_rng(4)
    sizes = np.array([1000, 4000, 16_000, 64_000])
    errors = []
    for n in sizes:
        found = [estimate_noise(*draw(pair, int(n), int(n) // 4, rng)).value for _ in range(200)]
        errors.append(np.sqrt(np.mean(np.log(np.array(found) / best_noise(pair)) ** 2)))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)


def test_an_open_end_is_said_to_be_open() -> None:
    # A weak teacher and a strong β: corr is within reach of its bound, so m_b may be infinite.
    _, t, b = sample(GaussianPair(0.5, 1.5), 1000, np.random.default_rng(0))
    found = estimate_noise(t, b, strength_from_errors(61, 200))
    assert np.isfinite(found.value)
    assert found.interval.low < found.value < found.interval.high == float("inf")


GOOD = np.random.default_rng(0).normal(size=(2, 60))
TEACHER = strength_from_errors(20, 100)


@pytest.mark.parametrize(
    ("t", "b", "message"),
    [
        (GOOD[0, :49], GOOD[1, :49], "t has 49 values; at least 50 are needed"),
        (GOOD[0], GOOD[1, :55], "t has 60 values but b has 55"),
        (GOOD[0], np.ones(60), "b is constant"),
        (np.r_[np.nan, GOOD[0, 1:]], GOOD[1], "t is not finite somewhere"),
        (GOOD, GOOD[1], r"t has shape \(2, 60\)"),
        (GOOD[0], GOOD[0] + 0.1 * GOOD[1], r"corr\(t, b\) is 0.99.*can be at most 0.6"),
    ],
)
def test_estimates_that_are_refused(
    t: NDArray[np.float64], b: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_noise(t, b, TEACHER)


# --- on real inputs ------------------------------------------------------------------------------


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
    # Halving what the statistic says of noisy inputs changes nothing: a student can double it.
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


def test_estimates_become_transforms() -> None:
    t, b, teacher = draw(GaussianPair(1, 1), 500, 200, np.random.default_rng(0))
    found = estimate_noise(3 * t, b, teacher)
    assert as_noise(found, "x1") == GaussianNoise(found.in_units, only=("x1",))
    response = found.in_units * np.array([[0.5, 0.5, 0.5], [2.0, 2.0, 2.0]])
    made = calibrated_noise([found, found, "class 2: no"], response, "left", (1.0, 4.0))
    assert (type(made), made.only) == (InputNoise, ("left",))
    assert made.strength == pytest.approx(2.0)


# --- the figure ---------------------------------------------------------------------------------


def noise_curve(**changes: Any) -> NoiseCurve:
    sigma, dots = np.array([0.0, 1.0, 4.0]), np.array([0.0, 2.0])
    base = NoiseCurve(
        "a world", sigma, np.array([0.3, 0.2, 0.1]), np.array([0.31, 0.2, 0.1]),
        (dots, np.array([0.3, 0.15]), np.array([0.01, 0.02])), 0.3, 0.1, 3.0, 2.5,
        Interval(1.0, float("inf"), 0.95),
    )  # fmt: skip
    return replace(base, **changes)


def test_avoidable_error_by_hand() -> None:
    assert noise_curve().left(np.array([0.3, 0.2, 0.1])) == pytest.approx([100, 50, 0])
    with pytest.raises(ValueError, match=r"0\.1 is not above Bayes 0\.1"):
        noise_curve(teacher=0.1)
    with pytest.raises(ValueError, match="need one length"):
        noise_curve(squared=np.zeros(2))


def test_equal_curves_give_equal_files(tmp_path: Path) -> None:
    files = [
        error_against_noise([noise_curve(), noise_curve(estimate=estimate)], tmp_path / name)
        for name, estimate in (("a.svg", 2.5), ("b.svg", 2.5), ("c.svg", 1.5))
    ]
    first, second, other = (file.read_text() for file in files)
    assert first == second != other
    assert "teacher 30.0%, Bayes 10.0%" in first
    with pytest.raises(ValueError, match="no curve to draw"):
        error_against_noise([], tmp_path / "d.png")


# --- the experiment ------------------------------------------------------------------------------


def test_the_experiment_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = experiment.World(1.0, 1.0, 100, 60, grid=(0, 1))
    monkeypatch.setattr(experiment, "WORLDS", (small,))
    out, published = tmp_path / "out", tmp_path / "published"
    published.mkdir()
    call = ["--studies", "worlds", "--quick", "--workers", "1", "--out", str(out)]
    assert experiment.main([*call, "--publish", str(published)]) == 0
    lines = (out / "records.jsonl").read_text().splitlines()
    assert len(lines) == 4
    monkeypatch.setattr(experiment, "carry_out", None)  # nothing is left to carry out
    assert experiment.main(call) == 0
    assert (out / "records.jsonl").read_text().splitlines() == lines
    text = (published / "perturbation_law.md").read_text()
    assert "| Gaussian 1, 1; n = 100; least squares | errors, squared |" in text
    assert experiment.main([*call, "--studies", "nothing"]) == 2
    assert "there is no study 'nothing'" in capsys.readouterr().err


def test_regret_by_hand() -> None:
    # Means over seeds: .30 at 0, .11 at 1, so 1 is best. Seed 1 has no estimate and counts for
    # nothing else. Regrets of the other two, in points: 2 and 4.
    metrics = [
        {"test at 0": 0.3, "test at 1": 0.10, "noise, x": 0.5, "test at x": 0.12},
        {"test at 0": 0.3, "test at 1": 0.12, "noise, x": None, "test at x": None},
        {"test at 0": 0.3, "test at 1": 0.11, "noise, x": 1.5, "test at x": 0.15},
    ]
    records = [
        {"task": "a", "unit": "σ", "grid": [0, 1], "metrics": {"teacher": 0.4} | m} for m in metrics
    ]
    (row,) = experiment.table(records, "test").to_dict("records")
    assert row["given"] == "2 of 3"
    assert (row["σ̂"], row["best of sweep"]) == ("1.00 ± 0.71", "1 σ")
    assert (row["teacher"], row["no noise"], row["at best"]) == ("40.0", "30.0", "10.5")
    assert row["at σ̂"] == "13.5"
    assert row["regret"].startswith("+3.00 [-9.71, 15.71]")


def test_the_published_table_is_that_of_its_records() -> None:
    path = RESULTS / "perturbation_law.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert experiment.text_of(records) == (RESULTS / "perturbation_law.md").read_text("utf-8")
