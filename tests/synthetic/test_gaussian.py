from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from mke_theory.synthetic.gaussian import NODE_TOLERANCE, Gaussian, simplex_error
from mke_theory.synthetic.world import Floats
from tests.synthetic.sampled import (
    LARGEST_Z,
    assert_draws_agree,
    assert_probabilities,
    calibration_z,
    error_p_value,
    seen,
    subsets,
)

THREE = Gaussian(
    signal=(1.0, 0.4, 0.8),
    shared=0.6,
    correlation=-0.3,
    dims=(5, 4, 7),
    classes=3,
    priors_given=(0.5, 0.3, 0.2),
    anisotropy=2.5,
)
SKEWED = Gaussian((0.7, 0.5), 0.4, 0.5, (3, 2), priors_given=(0.2, 0.8), anisotropy=0.3)


@st.composite
def worlds(draw: st.DrawFn) -> Gaussian:
    count, classes = draw(st.integers(2, 4)), draw(st.integers(2, 5))
    signal = tuple(draw(st.floats(0, 3)) for _ in range(count))
    raw = np.array(draw(st.lists(st.floats(0.01, 1), min_size=classes, max_size=classes)))
    return Gaussian(
        signal=signal,
        shared=draw(st.sampled_from([0.0, 0.5, 1.5])),
        correlation=draw(st.floats(-0.99 / (count - 1), 0.99)),
        dims=(2 * (classes - 1) + draw(st.integers(0, 2)),) * count,
        classes=classes,
        priors_given=tuple((raw / raw.sum()).tolist()),
        anisotropy=draw(st.floats(0.1, 10)),
    )


def full_posterior(world: Gaussian, inputs: dict[str, Floats]) -> Floats:
    """The posterior from the density of all coordinates, with every block written out.

    Of the shared statistic the first modality keeps its copy, the others lose theirs.
    """
    r, names = world.classes - 1, list(inputs)
    columns, means, owners = [], [], []
    for name in names:
        plain = inputs[name] @ world.mixing(name)
        m = world.signal[world.modalities.index(name)]
        for at in range(plain.shape[1]):
            kind = at // r if world.shared > 0 else (0 if at < r else 2)
            if kind == 1 and name != names[0]:
                continue
            columns.append(plain[:, at])
            scale = {0: m, 1: world.shared}.get(kind, 0.0)
            means.append(scale * world.corners[:, at % r])
            owners.append((min(kind, 2), at))
    covariance = np.zeros((len(columns), len(columns)))
    for i, (kind, at) in enumerate(owners):
        covariance[i, i] = world.anisotropy**2 if kind == 2 else 1.0
        for j, (other, place) in enumerate(owners):
            if i != j and kind == other == 0 and at == place:
                covariance[i, j] = world.correlation
    x = np.stack(columns, axis=1)
    centres = np.stack(means, axis=1)
    logs = [multivariate_normal.logpdf(x, centre, covariance) for centre in centres]
    joint = np.stack(logs, axis=1) + np.log(world.priors)
    return np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))


@pytest.mark.parametrize("world", [Gaussian(), SKEWED, THREE])
def test_the_posterior_is_that_of_the_full_density(world: Gaussian) -> None:
    draw = world.sample(200, np.random.default_rng(0))
    for modalities in subsets(world.modalities):
        inputs = seen(draw, modalities)
        found = world.posterior(inputs)
        np.testing.assert_allclose(found, full_posterior(world, inputs), atol=1e-10)


def test_two_classes_by_hand() -> None:
    assert Gaussian((1.0, 2.0)).bayes_error(("x1",)).value == pytest.approx(norm.cdf(-1))
    assert Gaussian((1.0, 2.0)).bayes_error().value == pytest.approx(norm.cdf(-np.sqrt(5)))
    # One piece of information in both: the second modality adds nothing.
    copies = Gaussian((0.0, 0.0), shared=1.5)
    assert copies.bayes_error(("x2",)).value == copies.bayes_error().value
    assert copies.bayes_error().value == pytest.approx(norm.cdf(-1.5))
    # mᵀR⁻¹m = 2/(1 + ρ) for m = (1, 1).
    assert Gaussian(correlation=0.5).separation() == pytest.approx(4 / 3)
    np.testing.assert_allclose(Gaussian().corners, [[-1], [1]])


def test_a_posterior_by_hand() -> None:
    world = Gaussian((1.0, 0.5), dims=(1, 1), priors_given=(0.25, 0.75), mixing_seed=None)
    found = world.posterior({"x1": np.array([[0.3]]), "x2": np.array([[-2.0]])})
    log_odds = 2 * (1.0 * 0.3 + 0.5 * -2.0) + np.log(3)
    assert found[0, 1] == pytest.approx(1 / (1 + np.exp(-log_odds)))


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.4])
@pytest.mark.parametrize("prior", [0.5, 0.7])
def test_the_pair_is_the_world_of_theory(rho: float, prior: float) -> None:
    world = Gaussian((0.8, 1.3), 0.0, rho, priors_given=(1 - prior, prior))
    pair = world.pair()
    assert (pair.m_t, pair.m_b, pair.rho, pair.prior) == (0.8, 1.3, rho, prior)
    assert world.separation() == pytest.approx(pair.separation)
    assert world.bayes_error().value == pytest.approx(pair.bayes_error, abs=1e-14)
    assert world.bayes_error(("x1",)).value == pytest.approx(pair.teacher_error, abs=1e-14)
    assert world.pair(threshold=0.4).threshold == 0.4


def test_the_pair_describes_the_statistics_of_draws() -> None:
    # Means and covariances of 200,000 draws: the largest of 7 |z| exceeds 6 in one of 70 million.
    world = Gaussian((0.8, 1.3), 0.0, 0.4, (3, 5), anisotropy=4.0)
    draw = world.sample(200_000, np.random.default_rng(1))
    own, shared = world.statistics(draw.inputs)
    assert shared is None
    y, pair = 2 * draw.labels - 1, world.pair()
    t, b = own["x1"][:, 0] - y * pair.m_t, own["x2"][:, 0] - y * pair.m_b
    for values, expected in [
        (t, 0.0), (b, 0.0), (t * y, 0.0), (b * y, 0.0), (t**2, 1.0), (b**2, 1.0), (t * b, pair.rho)
    ]:  # fmt: skip
        z = (values.mean() - expected) / (values.std() / np.sqrt(len(values)))
        assert abs(z) < 6


@pytest.mark.parametrize("classes", [2, 3, 5, 40])
def test_the_corners_are_a_simplex_with_edges_of_length_two(classes: int) -> None:
    corners = Gaussian(classes=classes, dims=(classes, classes)).corners
    for first, second in combinations(corners, 2):
        assert np.linalg.norm(first - second) == pytest.approx(2)
    np.testing.assert_allclose(corners.sum(axis=0), 0, atol=1e-12)


def test_three_classes_by_integration_over_the_plane() -> None:
    # ∫ max_k π_k f_k on a grid of 1201² points; at the kinks the rule is of second order only.
    priors = (0.5, 0.3, 0.2)
    world = Gaussian((0.9, 0.3), classes=3, priors_given=priors)
    u = np.linspace(-9, 9, 1201)
    grid = np.stack(np.meshgrid(u, u, indexing="ij"), axis=-1)
    densities = [
        prior * np.exp(-((grid - centre) ** 2).sum(axis=-1) / 2) / (2 * np.pi)
        for prior, centre in zip(priors, 0.9 * world.corners, strict=True)
    ]
    right = np.max(densities, axis=0).sum() * (u[1] - u[0]) ** 2
    assert world.bayes_error(("x1",)).value == pytest.approx(1 - right, abs=5e-6)


@pytest.mark.parametrize(("classes", "m"), [(3, 1.0), (10, 0.5), (40, 1.5)])
def test_many_classes_by_the_textbook_integral(classes: int, m: float) -> None:
    # Orthogonal signals at distance √2 a = 2m: P(right) = ∫ φ(x) Φ(x + √2 m)^(K − 1) dx.
    world = Gaussian((m, 1.0), classes=classes, dims=(classes, classes))
    right, _ = quad(
        lambda x: norm.pdf(x) * norm.cdf(x + np.sqrt(2) * m) ** (classes - 1),
        -12, 12, epsabs=1e-13, limit=200,
    )  # fmt: skip
    exact = world.bayes_error(("x1",))
    assert exact.value == pytest.approx(1 - right, abs=1e-11)
    assert exact.tolerance == NODE_TOLERANCE


def test_the_quadrature_at_two_classes_is_the_closed_form() -> None:
    for q in (1e-6, 0.01, 1.0, 9.0):
        for prior in (0.5, 0.9, 0.99):
            world = Gaussian((np.sqrt(q), 1.0), priors_given=(1 - prior, prior))
            found = simplex_error(np.sqrt(2 * q), world.priors)
            assert found == pytest.approx(world.bayes_error(("x1",)).value, abs=NODE_TOLERANCE)


def test_the_mean_over_beta_of_the_full_posterior_is_the_posterior_of_alpha() -> None:
    # p(t_2 | t_1) is a mixture of two normals with weights P(y | t_1); trapezoidal rule over t_2.
    world = Gaussian((0.8, 1.1), 0.0, 0.45, (1, 1), priors_given=(0.3, 0.7), mixing_seed=None)
    b, spread = np.linspace(-12, 12, 4001), np.sqrt(1 - 0.45**2)
    for t in (-2.0, 0.1, 1.5):
        alpha = world.posterior({"x1": np.array([[t]])})[0]
        full = world.posterior({"x1": np.full((len(b), 1), t), "x2": b[:, None]})
        density = sum(
            alpha[k] * norm.pdf(b, sign * 1.1 + 0.45 * (t - sign * 0.8), spread)
            for k, sign in enumerate((-1, 1))
        )
        np.testing.assert_allclose(density @ full * (b[1] - b[0]), alpha, atol=1e-10)


@pytest.mark.parametrize("world", [Gaussian(), SKEWED, THREE, Gaussian(classes=6, mixing_seed=3)])
def test_draws_agree_with_the_exact_numbers(world: Gaussian) -> None:
    assert_draws_agree(world, 50_000, seed=2)


def test_a_correlation_that_is_off_by_little_would_be_noticed() -> None:
    # Draws with ρ = .3 against a world of ρ = .1: q is 1.54 against 1.82, .107 against .089.
    draw = Gaussian(correlation=0.3).sample(50_000, np.random.default_rng(3))
    wrong = Gaussian(correlation=0.1)
    assert error_p_value(wrong, draw, ("x1", "x2")) < 1e-7
    assert np.abs(calibration_z(wrong.posterior(draw.inputs), draw.labels)).max() > LARGEST_Z


@settings(max_examples=50)
@given(worlds(), st.integers(0, 100))
def test_posteriors_and_errors_are_probabilities(world: Gaussian, seed: int) -> None:
    assert_probabilities(world, 20, seed)


@given(worlds())
def test_nuisance_and_mixing_change_no_error(world: Gaussian) -> None:
    plain = Gaussian(
        world.signal, world.shared, world.correlation, world.dims, world.classes,
        world.priors_given, mixing_seed=None,
    )  # fmt: skip
    assert plain.bayes_error() == world.bayes_error()


def test_no_signal_leaves_the_prior() -> None:
    world = Gaussian((0.0, 1.0), classes=3, priors_given=(0.5, 0.3, 0.2))
    assert world.bayes_error(("x1",)).value == 0.5
    x = np.random.default_rng(4).normal(size=(5, 8))
    np.testing.assert_allclose(world.posterior({"x1": x}), np.tile(world.priors, (5, 1)))


def test_mixing_is_orthogonal_differs_by_modality_and_follows_its_seed() -> None:
    world = Gaussian()
    first = world.mixing("x1")
    np.testing.assert_allclose(first @ first.T, np.eye(8), atol=1e-12)
    assert np.abs(first - world.mixing("x2")).max() > 0.1
    np.testing.assert_array_equal(first, Gaussian(signal=(2.0, 1.0)).mixing("x1"))
    assert np.abs(first - Gaussian(mixing_seed=1).mixing("x1")).max() > 0.1
    np.testing.assert_array_equal(Gaussian(mixing_seed=None).mixing("x1"), np.eye(8))


def test_the_spread_within_a_class_has_the_stated_ratio() -> None:
    world = Gaussian((0.0, 1.0), dims=(4, 4), anisotropy=3.0)
    x = world.sample(100_000, np.random.default_rng(5)).inputs["x1"]
    sds = np.sqrt(np.linalg.eigvalsh(np.cov(x.T)))
    # An sd of 100,000 draws is off by .22 percent (one spread): .03 is 4.5 of 3.0 and 13 of 1.0,
    # for three equal ones less than one seed in 10,000.
    np.testing.assert_allclose(sds, [1, 3, 3, 3], atol=0.03)


def test_modalities_that_disagree_about_the_shared_statistic_are_refused() -> None:
    draw = SKEWED.sample(5, np.random.default_rng(6))
    with pytest.raises(ValueError, match="'x1' and 'x2' see the same quantity"):
        SKEWED.posterior({"x1": draw.inputs["x1"], "x2": draw.inputs["x2"][::-1]})


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (lambda: Gaussian(classes=1), "classes is 1; allowed is 2 to 40"),
        (lambda: Gaussian(classes=41), "allowed is 2 to 40"),
        (lambda: Gaussian((1.0,)), "at least 2 modalities"),
        (lambda: Gaussian((1.0, np.inf)), r"signal\[1\] is inf"),
        (lambda: Gaussian((1.0, -0.5)), "at least 0"),
        (lambda: Gaussian(shared=-1.0), "at least 0"),
        (lambda: Gaussian(correlation=1.0), r"inside \(-1, 1\)"),
        (lambda: Gaussian((1.0,) * 3, 0.0, -0.5, (8,) * 3), r"3 modalities .* \(-0\.5, 1\)"),
        (lambda: Gaussian(anisotropy=0.0), "above 0"),
        (lambda: Gaussian(dims=(8,)), "need one number each"),
        (lambda: Gaussian(dims=(8, 0)), "dims is 0; allowed is at least 1"),
        (lambda: Gaussian(classes=5, shared=1.0, dims=(7, 8)), "dims is 7; allowed is at least 8"),
        (lambda: Gaussian(priors_given=(0.5, 0.4)), r"sum to 0\.9"),
        (lambda: Gaussian(priors_given=(1.0, 0.0)), "every class has to occur"),
        (lambda: Gaussian(priors_given=(0.2, 0.3, 0.5)), "2 classes need"),
        (lambda: Gaussian(shared=0.5).pair(), "shared 0"),
        (lambda: THREE.pair(), "2 classes, 2 modalities"),
        (lambda: Gaussian().posterior({"alpha": np.zeros((1, 8))}), r"no modality \['alpha'\]"),
        (lambda: Gaussian().bayes_error(("x1", "x9")), r"no modality \['x9'\]"),
    ],
)
def test_bad_input_is_refused(world: object, message: str) -> None:
    assert callable(world)
    with pytest.raises(ValueError, match=message):
        world()
