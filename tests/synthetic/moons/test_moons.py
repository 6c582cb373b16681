from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.datasets import make_moons

from mke_theory.synthetic.moons.half_circle import log_density, log_density_along
from mke_theory.synthetic.moons.moons import TOLERANCE_LINE, TOLERANCE_PLANE, Moons, arc
from tests.synthetic.sampled import (
    LARGEST_Z,
    assert_draws_agree,
    assert_probabilities,
    calibration_z,
    error_p_value,
    seen,
    subsets,
)

THREE = Moons(0.25, (0.2, 1.1, 2.6), rotation=0.4, prior=0.3, extra=2, extra_scale=0.5)


@st.composite
def worlds(draw: st.DrawFn) -> Moons:
    count = draw(st.integers(2, 3))
    return Moons(
        sd=draw(st.sampled_from([0.2, 2.0])),
        angles=tuple(draw(st.integers(0, 20)) * 0.3 for _ in range(count)),
        rotation=draw(st.sampled_from([0.0, 0.3, -2.0])),
        prior=draw(st.sampled_from([0.5, 0.1])),
        extra=draw(st.integers(0, 2)),
    )


def densities(points: np.ndarray, sd: float) -> np.ndarray:
    """[n, 2]: both classes' densities, by the trapezoidal rule over 20,001 angles of the arc."""
    theta = np.linspace(0, np.pi, 20_001)
    weights = np.full(len(theta), 1 / 20_000)
    weights[[0, -1]] /= 2
    found = []
    for label in (0, 1):
        on_arc = arc(theta, np.full(len(theta), label))
        gaps = ((points[:, None] - on_arc) ** 2).sum(axis=-1)
        found.append(np.exp(-gaps / (2 * sd**2)) @ weights / (2 * np.pi * sd**2))
    return np.stack(found, axis=1)


def test_the_arcs_are_those_of_scikit_learn() -> None:
    points, labels = make_moons(40, shuffle=False)
    theta = np.tile(np.linspace(0, np.pi, 20), 2)
    np.testing.assert_allclose(arc(theta, labels), points, atol=1e-12)


def test_the_posterior_of_the_point_is_the_mean_over_the_arc() -> None:
    world = Moons(0.3, prior=0.3)
    draw = world.sample(50, np.random.default_rng(0))
    points = np.concatenate([draw.inputs["x1"], draw.inputs["x2"]], axis=1)
    joint = densities(points, 0.3) * world.priors
    expected = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(world.posterior(draw.inputs), expected, atol=1e-8)


@pytest.mark.parametrize("turned", [0.0, 0.9, np.pi / 2, 4.0])
def test_a_coordinates_posterior_is_the_mean_of_the_points(turned: float) -> None:
    # P(y, x) = ∫ P(y, x, across) d across by the trapezoidal rule: subset consistency.
    sd, across = 0.2, np.linspace(-4, 4, 801)
    world = Moons(sd, (turned, turned + np.pi / 2), prior=0.6)
    direction = np.array([np.cos(turned), np.sin(turned)])
    for x in (-0.8, 0.1, 0.7, 1.4):
        full = world.posterior({"x1": np.full((len(across), 1), x), "x2": across[:, None]})
        points = x * direction + across[:, None] * np.array([-direction[1], direction[0]])
        zero, one = log_density(points, sd), log_density(np.array([1, 0.5]) - points, sd)
        density = 0.4 * np.exp(zero) + 0.6 * np.exp(one)
        expected = density @ full / density.sum()
        np.testing.assert_allclose(world.posterior({"x1": np.array([[x]])})[0], expected, atol=1e-9)
        along = np.exp(log_density_along(np.array([x]), turned, sd)[0])
        assert along == pytest.approx(np.exp(zero).sum() * (across[1] - across[0]), rel=1e-9)


def test_the_midpoint_between_the_moons_is_a_toss() -> None:
    world = Moons(0.15, (0.4, 1.0), rotation=0.7)
    middle = np.array([[0.5, 0.25]])
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    read = {
        name: middle @ turn.T @ np.array([[np.cos(a)], [np.sin(a)]])
        for name, a in zip(world.modalities, world.angles, strict=True)
    }
    for modalities in subsets(world.modalities):
        found = world.posterior({name: read[name] for name in modalities})
        np.testing.assert_allclose(found, [[0.5, 0.5]], atol=1e-12)


def test_great_noise_leaves_two_normals() -> None:
    # With σ = 20 the arcs are their means, at distance |(1, 1/2 − 4/π)|: error Φ(−distance/2σ).
    # The shape of the arcs adds less than (1/σ)² of that.
    distance = np.hypot(1, 0.5 - 4 / np.pi)
    expected = norm.cdf(-distance / 40)
    assert Moons(20.0).bayes_error().value == pytest.approx(expected, abs=1e-4)
    assert Moons(20.0).bayes_error(("x1",)).value == pytest.approx(norm.cdf(-1 / 40), abs=1e-4)


def test_little_noise_leaves_the_overlap_of_two_shadows() -> None:
    # x of the arcs: densities 1/(π√(1 − x²)) on [−1, 1] and its copy on [0, 2]. The first is the
    # smaller on [0, 1/2], so the error is P(0 < cos θ < 1/2) = (π/2 − π/3)/π = 1/6.
    errors = [Moons(sd).bayes_error(("x1",)).value for sd in (0.08, 0.04, 0.02)]
    gaps = np.array(errors) - 1 / 6
    assert (gaps > 0).all() and gaps[2] < 0.013
    assert (gaps[1:] < 0.6 * gaps[:-1]).all()


@pytest.mark.parametrize("prior", [0.5, 0.2])
def test_the_error_of_a_coordinate_by_a_fine_grid(prior: float) -> None:
    world, x = Moons(0.2, (0.3, 1.0), prior=prior), np.linspace(-3, 4, 50_001)
    zero = np.exp(log_density_along(x, 0.3, 0.2))
    one = np.exp(log_density_along(np.cos(0.3) + 0.5 * np.sin(0.3) - x, 0.3, 0.2))
    # The trapezoidal rule at steps of 1.4e-4 errs at each kink by less than the square of that.
    expected = np.minimum((1 - prior) * zero, prior * one).sum() * (x[1] - x[0])
    found = world.bayes_error(("x1",))
    assert found.tolerance <= TOLERANCE_LINE * 1.5
    assert abs(found.value - expected) <= found.tolerance + 5e-9


@pytest.mark.parametrize(("sd", "prior"), [(0.3, 0.5), (0.5, 0.85)])
def test_the_error_of_the_point_by_a_fine_grid(sd: float, prior: float) -> None:
    x = np.arange(-1 - 7 * sd, 2 + 7 * sd, sd / 12)
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    zero = np.exp(log_density(grid, sd))
    one = np.exp(log_density(np.array([1, 0.5]) - grid, sd))
    expected = np.minimum((1 - prior) * zero, prior * one).sum() * (x[1] - x[0]) ** 2
    found = Moons(sd, prior=prior).bayes_error()
    assert found.tolerance <= TOLERANCE_PLANE * 1.5
    # At the kinks the grid errs by up to slope · step²/6; 2e-6 was seen.
    assert abs(found.value - expected) <= found.tolerance + 5e-6


def test_directions_and_rotation_only_choose_what_is_read() -> None:
    world = Moons(0.2, (0.0, 1.0), rotation=0.5)
    assert world.bayes_error(("x2",)).value == pytest.approx(
        Moons(0.2, (0.5, 1.0)).bayes_error(("x1",)).value, abs=2 * TOLERANCE_LINE
    )
    # A direction and its opposite, and two of any kind, hold the same.
    back = Moons(0.2, (1.0 + np.pi, 0.0), rotation=0.5).bayes_error(("x1",)).value
    assert back == pytest.approx(world.bayes_error(("x2",)).value, abs=2 * TOLERANCE_LINE)
    assert world.bayes_error() == Moons(0.2).bayes_error()
    turned = Moons(0.2, (0.0, np.pi / 2), rotation=np.pi / 2)
    assert turned.bayes_error(("x2",)).value == pytest.approx(
        Moons(0.2).bayes_error(("x1",)).value, abs=2 * TOLERANCE_LINE
    )


@pytest.mark.parametrize("world", [Moons(), THREE, Moons(0.02, prior=0.8)])
def test_draws_agree_with_the_exact_numbers(world: Moons) -> None:
    assert_draws_agree(world, 10_000, seed=3)


def test_a_noise_that_is_off_by_little_would_be_noticed() -> None:
    draw = Moons(0.3).sample(20_000, np.random.default_rng(4))
    assert error_p_value(Moons(0.22), draw, ("x1", "x2")) < 1e-7
    posterior = Moons(0.22).posterior(seen(draw, ("x1", "x2")))
    assert np.abs(calibration_z(posterior, draw.labels)).max() > LARGEST_Z


def test_a_third_direction_adds_nothing() -> None:
    draw = THREE.sample(200, np.random.default_rng(5))
    two = THREE.posterior(seen(draw, ("x1", "x2")))
    np.testing.assert_allclose(THREE.posterior(draw.inputs), two, atol=1e-10)
    assert THREE.bayes_error() == THREE.bayes_error(("x1", "x3"))


def test_parallel_directions_are_one() -> None:
    world = Moons(0.2, (0.3, 0.3 + np.pi, 0.3))
    draw = world.sample(100, np.random.default_rng(6))
    one = world.posterior(seen(draw, ("x1",)))
    np.testing.assert_allclose(world.posterior(draw.inputs), one, atol=1e-10)
    assert world.bayes_error() == world.bayes_error(("x1",))


def test_the_posterior_is_a_probability_far_away_and_with_hardly_any_noise() -> None:
    for sd in (1e-6, 1e-3, 0.1, 50.0):
        x = np.array([[-1e4], [-1.0], [0.0], [0.5], [1.0], [2.0], [1e4]])
        for inputs in ({"x1": x}, {"x2": x}, {"x1": x, "x2": x[::-1]}):
            found = Moons(sd).posterior(inputs)
            assert ((found >= 0) & (found <= 1)).all()
            np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


@settings(max_examples=20)
@given(worlds(), st.integers(0, 100))
def test_posteriors_and_errors_are_probabilities(world: Moons, seed: int) -> None:
    assert_probabilities(world, 20, seed)


def test_the_nuisance_says_nothing_and_has_its_scale() -> None:
    draw = THREE.sample(50_000, np.random.default_rng(7))
    nuisance = draw.inputs["x2"][:, 1:]
    # An sd of 100,000 numbers is off by .22 percent (one spread): 1.2 percent is five and a half.
    assert nuisance.std() == pytest.approx(0.5, rel=0.012)
    moved = {"x2": draw.inputs["x2"][:50].copy()}
    moved["x2"][:, 1:] += 10
    np.testing.assert_array_equal(
        THREE.posterior(moved), THREE.posterior({"x2": draw.inputs["x2"][:50]})
    )


def test_a_draw_in_single_precision_is_read() -> None:
    draw = THREE.sample(100, np.random.default_rng(8))
    single = {name: x.astype(np.float32) for name, x in draw.inputs.items()}
    np.testing.assert_allclose(THREE.posterior(single), THREE.posterior(draw.inputs), atol=1e-4)


def test_readings_that_belong_to_no_point_are_refused() -> None:
    draw = THREE.sample(5, np.random.default_rng(9))
    draw.inputs["x3"][2, 0] += 0.1
    with pytest.raises(ValueError, match="in sample 2; this world does not produce such a row"):
        THREE.posterior(draw.inputs)


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (lambda: Moons(0.0), "at least 1e-6"),
        (lambda: Moons(np.nan), "sd is nan"),
        (lambda: Moons(angles=(0.0,)), "at least 2 modalities"),
        (lambda: Moons(angles=(0.0, np.inf)), r"angles\[1\] is inf"),
        (lambda: Moons(angles=(0.0, np.pi + 1e-5)), "differ by 1e-05 modulo π"),
        (lambda: Moons(prior=1.0), "inside"),
        (lambda: Moons(extra=-1), "extra is -1"),
        (lambda: Moons(extra_scale=0.0), "above 0"),
        (lambda: Moons(0.001).bayes_error(), r"at least 0\.01"),
        (lambda: Moons().sample(0, np.random.default_rng(0)), "n is 0"),
        (lambda: Moons().posterior({"x1": np.zeros((2, 1)), "x2": np.zeros((3, 1))}), "same n"),
        (lambda: Moons().posterior({"y": np.zeros((2, 1))}), r"no modality \['y'\]"),
        (lambda: Moons().bayes_error(("x3",)), r"no modality \['x3'\]"),
    ],
)
def test_bad_input_is_refused(world: object, message: str) -> None:
    assert callable(world)
    with pytest.raises(ValueError, match=message):
        world()


def test_no_rows_have_no_posterior() -> None:
    assert THREE.posterior({"x1": np.zeros((0, 3))}).shape == (0, 2)
    assert THREE.posterior({name: np.zeros((0, 3)) for name in THREE.modalities}).shape == (0, 2)
