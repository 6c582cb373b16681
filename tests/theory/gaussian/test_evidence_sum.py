from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm

from mke_theory.synthetic.gaussian import Gaussian, simplex_error
from mke_theory.theory.evidence import calibrated_exponents, posterior_of_sum
from mke_theory.theory.gaussian import EvidenceSum, GaussianPair
from mke_theory.theory.gaussian.evidence_sum import KEPT

signals = st.floats(0.05, 2.5)
worlds = st.builds(EvidenceSum, signals, signals, st.floats(0, 2), st.floats(-0.95, 0.95))
CASES = [
    (EvidenceSum(1.0, 0.4), 1.0),
    (EvidenceSum(1.0, 0.4, 1.0), 1.0),
    (EvidenceSum(1.0, 0.4, 0.3, 0.7), 0.5),
    (EvidenceSum(0.7, 1.2, 0.5, -0.5), 1.0),
    (EvidenceSum(0.7, 1.2, 0.0, 0.4), 2.0),
]
DRAWS = 100_000


def world_of(sum_: EvidenceSum, classes: int = 2) -> Gaussian:
    size = 2 * (classes - 1)
    return Gaussian(
        (sum_.m_alpha, sum_.m_beta), sum_.shared, sum_.rho, dims=(size, size), classes=classes
    )


def experts(world: Gaussian, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    draw = world.sample(DRAWS, np.random.default_rng(seed))
    found = [world.posterior({name: draw.inputs[name]}) for name in world.modalities]
    return found, draw.labels


def test_by_hand() -> None:
    # A = 1 + 1, B = .25 + 1, C = .5 · .5 + 1 = 1.25.
    found = EvidenceSum(1.0, 0.5, 1.0, 0.5)
    assert (found.alpha, found.beta, found.overlap) == (2, 1.25, 1.25)
    assert found.error() == pytest.approx(norm.cdf(-3.25 / np.sqrt(5.75)))
    assert found.alpha_error == found.error(0) == pytest.approx(norm.cdf(-np.sqrt(2)))
    assert found.error(np.inf) == pytest.approx(norm.cdf(-np.sqrt(1.25)))
    assert found.best_exponents == (1, 0)  # β has nothing of its own: B = C
    assert found.harms  # B(A + B) = 4.06 < 2AC = 5


@pytest.mark.parametrize(("sum_", "exponent"), CASES)
@pytest.mark.parametrize("classes", [2, 4])
def test_errors_are_those_of_the_world_with_exact_experts(
    sum_: EvidenceSum, exponent: float, classes: int
) -> None:
    # 10 worlds × 2 errors: the largest of 20 |z| exceeds 6 in one of 25 million seeds.
    world = world_of(sum_, classes)
    (alpha, beta), labels = experts(world, 3)
    q = posterior_of_sum([alpha, beta], world.priors, (1, exponent))
    separations = sum_.separation(exponent), sum_.alpha
    for p, separation in zip((q, alpha), separations, strict=True):
        error = simplex_error(float(np.sqrt(2 * separation)), world.priors)
        if classes == 2:
            assert error == pytest.approx(norm.cdf(-np.sqrt(separation)), abs=1e-10)
        spread = (error * (1 - error) / DRAWS) ** 0.5
        assert abs((p.argmax(axis=1) != labels).mean() - error) < 6 * spread


@given(worlds)
def test_bayes_and_the_teacher_are_those_of_the_world(sum_: EvidenceSum) -> None:
    world = world_of(sum_)
    assert sum_.bayes_error == pytest.approx(world.bayes_error().value, abs=1e-12)
    assert sum_.alpha_error == pytest.approx(world.bayes_error(("x1",)).value, abs=1e-12)
    assert sum_.error(np.inf) == pytest.approx(world.bayes_error(("x2",)).value, abs=1e-12)
    assert sum_.error(sum_.best_exponent) >= sum_.bayes_error - 1e-12


@given(signals, signals)
def test_without_overlap_the_plain_sum_is_bayes(m_alpha: float, m_beta: float) -> None:
    found = EvidenceSum(m_alpha, m_beta)
    assert found.error() == pytest.approx(found.bayes_error, abs=1e-12)
    assert found.best_exponents == (1, 1)
    assert found.confidence == 1 and not found.harms


@given(signals, signals, st.floats(-0.95, 0.95))
def test_noise_in_common_is_undone_by_the_best_exponent(m: float, n: float, rho: float) -> None:
    # With s = 0 the best sum has Bayes' own direction, where its weights are not negative.
    weights = GaussianPair(m, n, rho).bayes_weights
    assume(min(weights) > 1e-6)
    found = EvidenceSum(m, n, 0.0, rho)
    assert found.error(found.best_exponent) == pytest.approx(found.bayes_error, abs=1e-9)
    # z_β is m_β t_β, so the exponents are the weights over the signals.
    expected = weights[0] / m, weights[1] / n
    assert found.best_exponents == pytest.approx(expected, rel=1e-6)


@given(worlds)
def test_no_exponent_of_a_grid_does_better_than_the_best(sum_: EvidenceSum) -> None:
    best = sum_.separation(sum_.best_exponent)
    grid = np.concatenate([np.linspace(0, 3, 61), np.geomspace(3, 1e4, 20)])
    assert best >= max(sum_.separation(float(w)) for w in grid) - 1e-9
    assert best >= max(sum_.alpha, sum_.beta) - 1e-9


@given(worlds)
def test_the_best_exponents_make_the_sum_calibrated(sum_: EvidenceSum) -> None:
    # Mean v A + w B equals the variance v²A + 2vwC + w²B: then z is half the log odds given z.
    v, w = sum_.best_exponents
    mean = v * sum_.alpha + w * sum_.beta
    variance = v**2 * sum_.alpha + 2 * v * w * sum_.overlap + w**2 * sum_.beta
    assert mean == pytest.approx(variance, rel=1e-6)
    scale = sum_.confidence
    both = sum_.alpha + sum_.beta
    assert scale * both == pytest.approx(scale**2 * (both + 2 * sum_.overlap))
    assert (scale < 1) == (sum_.overlap > 0) or sum_.overlap == pytest.approx(0, abs=1e-9)


@given(worlds)
def test_the_region_of_harm_and_its_floor(sum_: EvidenceSum) -> None:
    apart = sum_.separation() - sum_.alpha
    if abs(apart) > 1e-9:
        assert sum_.harms == (apart < 0)
    assert np.sqrt(sum_.separation()) >= KEPT * np.sqrt(sum_.alpha) - 1e-9
    if sum_.beta >= sum_.alpha:
        assert not sum_.harms


def test_the_floor_is_nearly_reached() -> None:
    # ρ → 1 with m_β = (√2 − 1) m_α.
    found = EvidenceSum(1.0, np.sqrt(2) - 1, 0.0, 1 - 1e-9)
    assert np.sqrt(found.separation()) == pytest.approx(KEPT, abs=1e-6)


@given(signals, signals, st.floats(0.05, 2))
def test_a_shared_signal_harms_beside_a_much_weaker_beta_only(
    m: float, n: float, shared: float
) -> None:
    # ρ = 0: B(A + B) < 2AC is s²(m_α² − 3m_β²) > m_β²(m_α² + m_β²).
    spare = shared**2 * (m**2 - 3 * n**2) - n**2 * (m**2 + n**2)
    assume(abs(spare) > 1e-9)
    assert EvidenceSum(m, n, shared).harms == (spare > 0)


@given(signals, st.floats(0, 2), st.floats(-0.95, 0.95))
def test_equally_good_experts_want_equal_weight(m: float, shared: float, rho: float) -> None:
    assert EvidenceSum(m, m, shared, rho).best_exponent == pytest.approx(1)


def test_copies_share_one_exponent() -> None:
    found = EvidenceSum(0.0, 0.0, 1.5)
    assert found.best_exponents == (0.5, 0.5) and found.confidence == 0.5
    assert found.error() == found.alpha_error == pytest.approx(found.bayes_error)


@pytest.mark.parametrize("sum_", [case for case, _ in CASES])
def test_the_exponents_are_found_without_labels(sum_: EvidenceSum) -> None:
    # Over ten other seeds the worst of 50 fits was off by 0.038.
    world = world_of(sum_)
    found, _ = experts(world, 5)
    clipped = [np.clip(p, 1e-9, None) for p in found]
    clipped = [p / p.sum(axis=1, keepdims=True) for p in clipped]
    values = calibrated_exponents(clipped, world.priors).values
    assert values == pytest.approx(sum_.best_exponents, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0), "m_alpha is -1"),
        ((1.0, np.nan), "m_beta is nan"),
        ((1.0, 1.0, 0.0, 1.0), "inside"),
        ((0.0, 1.0), "a teacher has signal"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvidenceSum(*arguments)
    with pytest.raises(ValueError, match="at least 0"):
        EvidenceSum(1.0, 1.0).separation(-1)
