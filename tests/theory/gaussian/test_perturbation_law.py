"""At σ* the student points along the Bayes classifier, by two code paths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    fit_least_squares,
    least_squares_student,
    logistic_student,
    sample,
)
from mke_theory.theory.gaussian.perturbation_law import best_noise, best_noise_from_truth

strong = st.floats(0.05, 3.0)
TIES = [(i, j) for i in range(1, 100, 7) for j in range(1, 40)]


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


@given(st.integers(0, 10_000), st.floats(-1, 1))
@example(182, 0.0)  # b's part of the labels has the wrong sign: no noise will do
def test_the_law_needs_no_normal_distribution(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], 80)
    t, b = y + rng.exponential(2, 80) ** 1.5, y * rng.random(80) + rng.random(80)
    pseudo = np.where(t - np.median(t) > threshold, 1, -1)
    try:
        sigma = best_noise_from_truth(t, b, pseudo, y)
    except ValueError:
        assume(False)
    student, ceiling = fit_least_squares(t, b, pseudo, sigma), fit_least_squares(t, b, y, 0.0)
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
    pseudo = np.roll(y, 5)
    with pytest.raises(ValueError, match="pseudo and truth have to be -1 or 1"):
        best_noise_from_truth(t, t % 7, pseudo, 0 * y)
    with pytest.raises(ValueError, match="multiples of each other"):
        best_noise_from_truth(t, -2 * t, pseudo, y)
    b = np.where(pseudo > 0, -1.0, 1.0) * (pseudo != y) + 0.1 * y  # β answers to the errors alone
    with pytest.raises(ValueError, match="no noise on t makes the student parallel"):
        best_noise_from_truth(t, b, pseudo, y)


def test_the_law_from_the_truth_refuses_a_b_that_pseudo_labels_do_not_read() -> None:
    # Every t occurs with b and with −b, so Cov(b, ỹ) is 0 and no noise makes the student read b.
    # Rounding leaves 10⁻¹⁸ of it, which would be a noise of 10⁹ wherever it is positive.
    for seed in range(50):
        rng = np.random.default_rng(seed)
        t, b = 0.1 + np.abs(rng.normal(size=50)), rng.normal(size=50)
        t, b = np.concatenate([t, t, -t, -t]), np.concatenate([b, -b, b, -b]) + 0.1
        y = np.where(0.3 * t + b > 0, 1, -1)
        with pytest.raises(ValueError, match="b's share of the truth is 0,"):
            best_noise_from_truth(t, b, np.sign(t), y)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_no_noise_will_do_where_the_best_classifier_leaves_t_aside(loss: Any) -> None:
    # m_t = ρ m_b, here i/100 · j/10: all weight is on b, and σ* would be infinite.
    rounded = 0
    for i, j in TIES:
        m_t, m_b, rho = i * j / 1000, j / 10, i / 100
        rounded += m_t - rho * m_b > 0
        with pytest.raises(ValueError, match=r"the best weights are \(0, "):
            best_noise(GaussianPair(m_t, m_b, rho), loss)
    assert rounded > 10  # without the tie those had a σ* of 10⁸


def test_no_noise_is_needed_where_b_adds_nothing_to_t() -> None:
    # m_b = ρ m_t: the best classifier reads t alone, as the student does without noise.
    rounded = set()
    for i, j in TIES:
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
    pseudo = y * np.tile([1, -1, 1, 1, -1, 1, 1, 1], 20)
    for scale in (0.1, 0.3, 0.7, 1.0, 3.0):
        for other in (0.3, 1.0, 3.0):
            with pytest.raises(ValueError, match=r"the truth's weight on t 0$"):
                best_noise_from_truth(scale * t, other * b, pseudo, y)
