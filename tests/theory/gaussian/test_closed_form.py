from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as reference
from scipy.integrate import quad

from mke_theory.theory.gaussian import closed_form as gaussian
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    LinearStudent,
    difference,
    fit_least_squares,
    gain,
    least_squares_student,
    logistic_student,
    phase_diagram,
    sample,
)

GRID = [
    (GaussianPair(m_t, m_b, rho, prior, threshold), sigma)
    for m_t, m_b, rho, prior, threshold in [
        (0.5, 0.5, 0.0, 0.5, 0.0),
        (0.5, 1.5, 0.0, 0.5, 0.0),
        (1.0, 0.5, 0.3, 0.5, 0.0),
        (2.0, 0.3, -0.4, 0.5, 0.0),
        (0.8, 1.2, 0.2, 0.2, 0.5),
        (1.5, 1.0, 0.0, 0.8, -0.3),
    ]
    for sigma in (0.0, 1.0, 4.0)
]

strong = st.floats(0.05, 3.0)
pairs = st.builds(GaussianPair, strong, st.floats(0.0, 3.0), st.floats(-0.9, 0.9))


def test_the_printed_errors() -> None:
    pair = GaussianPair(0.5, 1.5)
    errors = [least_squares_student(pair, sigma).error(pair) for sigma in (0, 1, 2, 5)]
    assert errors == pytest.approx([0.299, 0.198, 0.082, 0.059], abs=5e-4)
    assert pair.teacher_error == pytest.approx(0.3085, abs=5e-5)
    assert pair.bayes_error == pytest.approx(0.0569, abs=5e-5)


@given(strong, strong, st.floats(0, 20))
def test_the_weights_by_hand(m_t: float, m_b: float, sigma: float) -> None:
    # Σ⁻¹c by Cramer's rule: w ∝ (C m_t + κ(1 + m_b²), m_b (C (1 + σ²) − κ m_t)), ρ = 0, equal odds.
    agree = 2 * reference.norm.cdf(m_t) - 1
    kappa = 2 * reference.norm.pdf(m_t)
    det = (1 + m_t**2 + sigma**2) * (1 + m_b**2) - (m_t * m_b) ** 2
    found = least_squares_student(GaussianPair(m_t, m_b), sigma)
    assert found.w_t == pytest.approx((agree * m_t + kappa * (1 + m_b**2)) / det)
    assert found.w_b == pytest.approx(m_b * (agree * (1 + sigma**2) - kappa * m_t) / det, abs=1e-12)
    assert found.intercept == 0


@pytest.mark.parametrize("m_t", [0.1, 0.7, 2.0])
def test_the_covariance_with_the_label_is_the_mean_of_abs_t(m_t: float) -> None:
    # With β worthless and no noise, w = E|t|/E t²; E|t| here by integration.
    pair = GaussianPair(m_t, 0.0)
    mean = quad(lambda t: abs(t) * reference.norm.pdf(t, m_t), -12, 12, points=[0])[0]
    assert least_squares_student(pair, 0.0).w_t == pytest.approx(mean / (1 + m_t**2))
    assert pair.density + m_t * pair.agreement == pytest.approx(mean)


def z_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.mean(axis=0) / (values.std(axis=0) / len(values) ** 0.5)


def perturbed(pair: GaussianPair, sigma: float, seed: int) -> tuple[NDArray[np.float64], ...]:
    """(truth, pseudo labels, the student's input with a column of ones) for 200,000 samples."""
    rng = np.random.default_rng(seed)
    y, t, b = sample(pair, 200_000, rng)
    pseudo = np.where(t > pair.threshold, 1.0, -1.0)
    moved = t + sigma * rng.normal(size=len(t))
    return y.astype(float), pseudo, np.stack([moved, b, np.ones(len(t))], axis=1)


def test_closed_form_weights_solve_the_normal_equations_of_samples() -> None:
    # E[x̃ (ỹ − w·x̃ − w₀)] = 0 decides the least-squares minimiser. 18 worlds × 3 equations: the
    # largest of 54 |z| exceeds 6 in one of 9 million seeds.
    for at, (pair, sigma) in enumerate(GRID):
        _, pseudo, x = perturbed(pair, sigma, at)
        student = least_squares_student(pair, sigma)
        w = np.array([student.w_t, student.w_b, student.intercept])
        assert np.abs(z_scores(x * (pseudo - x @ w)[:, None])).max() < 6, (pair, sigma)


def test_cross_entropy_weights_solve_their_equations_on_samples() -> None:
    # E[x̃ (ỹ − tanh(s/2))] = 0, the same count of equations but for σ = 0: 12 worlds.
    for at, (pair, sigma) in enumerate(GRID):
        if sigma == 0:
            continue
        _, pseudo, x = perturbed(pair, sigma, at)
        student = logistic_student(pair, sigma)
        w = np.array([student.w_t, student.w_b, student.intercept])
        assert np.abs(z_scores(x * (pseudo - np.tanh(x @ w / 2))[:, None])).max() < 6, (pair, sigma)


def test_closed_form_errors_are_those_of_samples() -> None:
    # 18 worlds × (student, teacher): the largest of 36 |z| exceeds 6 in one of 14 million seeds.
    for at, (pair, sigma) in enumerate(GRID):
        y, t, b = sample(pair, 200_000, np.random.default_rng(100 + at))
        student = least_squares_student(pair, sigma)
        wrong = np.sign(student.w_t * t + student.w_b * b + student.intercept) != y
        missed = np.where(t > pair.threshold, 1, -1) != y
        for count, error in ((wrong, student.error(pair)), (missed, pair.teacher_error)):
            spread = (error * (1 - error) / len(y)) ** 0.5
            assert abs(count.mean() - error) < 6 * spread, (pair, sigma)


def test_a_closed_form_that_is_off_by_two_percent_would_be_noticed() -> None:
    pair, sigma = GRID[4]
    _, pseudo, x = perturbed(pair, sigma, 1)
    student = least_squares_student(pair, sigma)
    w = np.array([1.02 * student.w_t, student.w_b, student.intercept])
    assert np.abs(z_scores(x * (pseudo - x @ w)[:, None])).max() > 6


@given(pairs, st.floats(-5, 5), st.floats(-5, 5), st.floats(-2, 2), st.floats(0.05, 0.95))
def test_no_linear_student_beats_bayes(
    pair: GaussianPair, w_t: float, w_b: float, intercept: float, prior: float
) -> None:
    world = GaussianPair(pair.m_t, pair.m_b, pair.rho, prior)
    student = LinearStudent(w_t, w_b + 0.001, intercept)
    assert student.error(world) >= world.bayes_error - 1e-12


def test_bayes_at_unequal_odds_by_sampling_the_posterior() -> None:
    # E min(P(1|x), P(−1|x)) is the Bayes error; 400,000 samples, |z| > 6 once in 500 million.
    pair = GaussianPair(0.8, 1.2, 0.3, 0.2)
    _, t, b = sample(pair, 400_000, np.random.default_rng(3))
    u, v = pair.bayes_weights
    log_odds = 2 * (u * t + v * b) + np.log(pair.prior / (1 - pair.prior))
    doubt = 1 / (1 + np.exp(np.abs(log_odds)))
    assert abs(z_scores(doubt - pair.bayes_error)) < 6


@given(strong, strong)
def test_without_noise_cross_entropy_copies_and_least_squares_nearly(
    m_t: float, m_b: float
) -> None:
    pair = GaussianPair(m_t, m_b)
    assert logistic_student(pair, 0.05).error(pair) == pytest.approx(pair.teacher_error, rel=0.2)
    assert pair.teacher_error > least_squares_student(pair, 0.0).error(pair) >= pair.bayes_error


@given(strong, strong)
def test_much_noise_leaves_beta_alone(m_t: float, m_b: float) -> None:
    pair = GaussianPair(m_t, m_b)
    student = least_squares_student(pair, 1e7)
    assert student.error(pair) == pytest.approx(reference.norm.cdf(-m_b), abs=1e-6)
    assert abs(student.w_t) < 1e-10


@given(strong, strong, st.floats(0, 10), st.floats(0.01, 10))
def test_more_noise_turns_the_student_towards_beta(
    m_t: float, m_b: float, sigma: float, more: float
) -> None:
    pair = GaussianPair(m_t, m_b)
    first, second = least_squares_student(pair, sigma), least_squares_student(pair, sigma + more)
    assert np.arctan2(second.w_b, second.w_t) > np.arctan2(first.w_b, first.w_t)


def test_gain_can_be_a_loss() -> None:
    pair = GaussianPair(2.0, 0.3)
    assert gain(pair, 0.5) == pytest.approx(
        pair.teacher_error - least_squares_student(pair, 0.5).error(pair)
    )
    assert gain(pair, 0.5) > 0 > gain(pair, 5.0)


@given(strong, st.floats(0.05, 3), st.floats(-0.5, 0.5), st.floats(0.05, 0.95), st.floats(-1, 1))
def test_turning_the_classes_round_changes_nothing(
    m_t: float, m_b: float, rho: float, prior: float, threshold: float
) -> None:
    pair = GaussianPair(m_t, m_b, rho, prior, threshold)
    mirror = GaussianPair(m_t, m_b, rho, 1 - prior, -threshold)
    assert mirror.teacher_error == pytest.approx(pair.teacher_error)
    assert mirror.bayes_error == pytest.approx(pair.bayes_error)
    one, other = least_squares_student(pair, 1.3), least_squares_student(mirror, 1.3)
    assert (other.w_t, other.w_b) == pytest.approx((one.w_t, one.w_b))
    assert other.intercept == pytest.approx(-one.intercept, abs=1e-12)


# --- phase_diagram -------------------------------------------------------------------------------


def test_the_phase_diagram_is_the_scalar_functions() -> None:
    base = GaussianPair(0.7, 1.0, rho=0.1)
    found = phase_diagram({"m_b": [0.5, 2.0], "sigma": [0.0, 1.0, 3.0]}, base)
    assert found["m_b"].tolist() == [0.5] * 3 + [2.0] * 3
    assert found["sigma"].tolist() == [0.0, 1.0, 3.0] * 2
    for row in found.to_dict("records"):
        pair = GaussianPair(0.7, row["m_b"], rho=0.1)
        error = least_squares_student(pair, row["sigma"]).error(pair)
        assert (row["student_error"], row["gain"]) == (error, gain(pair, row["sigma"]))
        assert row["teacher_error"] == pair.teacher_error
        assert row["bayes_error"] == pair.bayes_error
    assert not found.isna().any().any()


def test_a_phase_diagram_over_the_teacher() -> None:
    found = phase_diagram({"threshold": [-0.5, 0.5], "prior": [0.3]}, GaussianPair(1, 1), 2.0)
    assert found["sigma"].tolist() == [2.0, 2.0]
    assert found["teacher_error"].tolist() == [
        GaussianPair(1, 1, 0, 0.3, threshold).teacher_error for threshold in (-0.5, 0.5)
    ]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"noise": [1.0]}, "no knob 'noise'; there are m_t, m_b, rho, prior, threshold, sigma"),
        ({"m_b": []}, r"m_b has shape \(0,\)"),
        ({"m_b": 1.0}, r"m_b has shape \(\)"),
        ({"rho": [0.0, 1.0]}, "rho is 1.0"),
        ({"sigma": [-1.0]}, "sigma is -1.0"),
    ],
)
def test_phase_diagram_refuses(knobs: dict[gaussian.Knob, Sequence[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        phase_diagram(knobs, GaussianPair(1, 1))


def test_a_huge_diagram_is_refused_before_any_work() -> None:
    with pytest.raises(MemoryError, match="4,000,000 cells; the limit is 1,000,000"):
        phase_diagram({"m_b": np.ones(2000), "sigma": np.ones(2000)}, GaussianPair(1, 1))


# --- samples -------------------------------------------------------------------------------------


def test_noise_enters_as_its_variance() -> None:
    # Noise ±σ on copies of every sample has the variance of N(0, σ²), and plain least squares on
    # the doubled samples is exact: two code paths.
    y, t, b = sample(GaussianPair(1, 0.7, 0.2, 0.4), 60, np.random.default_rng(0))
    pseudo = np.where(t > 0.1, 1.0, -1.0)
    x = np.stack([np.r_[t + 1.7, t - 1.7], np.r_[b, b], np.ones(2 * len(y))], axis=1)
    expected = np.linalg.lstsq(x, np.r_[pseudo, pseudo], rcond=None)[0]
    found = fit_least_squares(t, b, pseudo, 1.7)
    assert [found.w_t, found.w_b, found.intercept] == pytest.approx(expected.tolist())


def test_a_large_sample_leads_to_the_population() -> None:
    # The sd of a fitted weight at n = 400,000 is below 1.6/√n = .0025 here; 6 of them.
    pair = GaussianPair(0.8, 1.2, 0.3, 0.3, 0.4)
    _, t, b = sample(pair, 400_000, np.random.default_rng(1))
    found = fit_least_squares(t, b, np.where(t > 0.4, 1, -1), 1.5)
    expected = least_squares_student(pair, 1.5)
    assert found.w_t == pytest.approx(expected.w_t, abs=0.015)
    assert found.w_b == pytest.approx(expected.w_b, abs=0.015)
    assert found.intercept == pytest.approx(expected.intercept, abs=0.015)


def test_samples_are_seeded_and_have_the_stated_moments() -> None:
    # Means and second moments given y of 100,000 samples: 7 |z| above 6 once in 70 million seeds.
    pair = GaussianPair(0.8, 1.2, -0.5, 0.3)
    y, t, b = sample(pair, 100_000, np.random.default_rng(2))
    again = sample(pair, 100_000, np.random.default_rng(2))
    assert all((one == other).all() for one, other in zip((y, t, b), again, strict=True))
    first, second = t - y * pair.m_t, b - y * pair.m_b
    moments = [first, second, first**2 - 1, second**2 - 1, first * second + 0.5, first * y]
    assert np.abs(z_scores(np.stack([*moments, (y > 0) - 0.3], axis=1))).max() < 6


@pytest.mark.parametrize(
    ("t", "b", "labels", "sigma", "message"),
    [
        ([1, 2, 3], [1, 2, 2], [1, 1, 0], 0.0, "labels have to be -1 or 1"),
        ([1, 2], [1, 2], [1, -1], 0.0, "at least 3"),
        ([1, 2, 3], [1, 2, 2], [1, 1], 0.0, r"labels \(2,\)"),
        ([1, 2, 3], [2, 4, 6], [1, 1, -1], 0.0, "multiples of each other"),
        ([1, 2, 3], [2, 2, 2], [1, 1, -1], 1.0, "constant"),
        ([1, 2, 3], [1, 2, 2], [1, 1, -1], -1.0, "sigma is -1.0"),
    ],
)
def test_fit_least_squares_refuses(
    t: list[float], b: list[float], labels: list[float], sigma: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_least_squares(t, b, labels, sigma)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 1.0), "m_t is 0.0; a teacher better than a coin"),
        ((-1.0, 1.0), "m_t is -1.0"),
        ((1.0, -0.5), "m_b is -0.5; it has to be at least 0: turn b"),
        ((1.0, 1.0, 1.0), r"rho is 1.0; a correlation given y lies inside \(-1, 1\)"),
        ((1.0, 1.0, -1.2), "rho is -1.2"),
        ((1.0, 1.0, 0.0, 0.0), "prior is 0.0"),
        ((1.0, 1.0, 0.0, 0.5, float("inf")), "threshold is inf"),
        ((float("nan"), 1.0), "m_t is nan"),
    ],
)
def test_worlds_that_are_none(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianPair(*values)


def test_students_that_are_none() -> None:
    pair = GaussianPair(1, 1)
    with pytest.raises(ValueError, match="both weights are 0"):
        LinearStudent(0, 0, 1).error(pair)
    with pytest.raises(ValueError, match="sigma is inf"):
        least_squares_student(pair, float("inf"))
    with pytest.raises(ValueError, match=r"sigma is 0; below 0\.05 cross-entropy copies"):
        logistic_student(pair, 0)
    with pytest.raises(ValueError, match="n is 0"):
        sample(pair, 0, np.random.default_rng(0))


def test_a_tie_has_no_sign() -> None:
    assert 0.1 * 3 - 0.3 > 0
    assert difference(0.1 * 3, 0.3) == difference(0.3, 0.1 * 3) == 0
    assert difference(0.3 + 1e-9, 0.3) == pytest.approx(1e-9)
    assert difference(0.0, 0.0) == 0
