from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from mke_theory.synthetic.moons import half_circle
from mke_theory.synthetic.moons.half_circle import box_mass, log_density, log_density_along

sds = st.floats(-3, 1).map(lambda power: 10**power)
angles = st.floats(-7, 7)
offsets = st.sampled_from([0.0, 0.3, 1.0, 3.0])


def by_trapezoid(exponent: np.ndarray, step: float) -> float:
    """The log of ∫ exp(exponent) by the trapezoidal rule, once refined (Richardson)."""
    top = exponent.max()
    terms = np.exp(exponent - top)
    fine = (terms.sum() - (terms[0] + terms[-1]) / 2) * step
    coarse = (terms[::2].sum() - (terms[0] + terms[-1]) / 2) * 2 * step
    return float(top + np.log((4 * fine - coarse) / 3))


THETA = np.linspace(0, np.pi, 200_001)
STEP = float(THETA[1])


@given(sds, angles, st.floats(-1.5, 1.5), offsets)
def test_the_density_along_a_line_is_the_mean_over_the_arc(
    sd: float, direction: float, x: float, off: float
) -> None:
    at = x + off * sd
    exponent = -((at - np.cos(THETA - direction)) ** 2) / (2 * sd**2)
    expected = by_trapezoid(exponent, STEP) - np.log(np.pi * sd * np.sqrt(2 * np.pi))
    # The reference's own step is sd/60 at worst; where it is steep there it is good to 1e-5.
    found = log_density_along(np.array([at]), direction, sd)[0]
    assert found == pytest.approx(expected, abs=1e-5, rel=1e-9)


@given(sds, angles, st.floats(0, 1.5), offsets)
def test_the_density_in_the_plane_is_the_mean_over_the_arc(
    sd: float, angle: float, radius: float, off: float
) -> None:
    # Beyond the ends of a thin arc the integrand falls within |p| / sd² of a radian: a trapezoid
    # needs that in its step to be good.
    assume(abs(radius * np.sin(angle)) * STEP / sd**2 <= 0.1)
    p = (radius + off * sd) * np.array([np.cos(angle), np.sin(angle)])
    exponent = -((p[0] - np.cos(THETA)) ** 2 + (p[1] - np.sin(THETA)) ** 2) / (2 * sd**2)
    expected = by_trapezoid(exponent, STEP) - np.log(2 * np.pi**2 * sd**2)
    assert log_density(p[None], sd)[0] == pytest.approx(expected, abs=1e-5, rel=1e-9)


def test_values_by_hand() -> None:
    # At the centre every point of the arc is at distance 1.
    assert log_density(np.zeros((1, 2)), 0.1)[0] == pytest.approx(
        -np.log(2 * np.pi * 0.01) - 50, abs=1e-12
    )
    # Far noise: p is N(mean, σ² I) up to the arc's spread over σ².
    found = log_density(np.array([[1e3, 2e3]]), 1e3)[0]
    mean = norm.logpdf(1e3, 0, 1e3) + norm.logpdf(2e3, 2 / np.pi, 1e3)
    assert found == pytest.approx(mean, abs=2e-6)
    # Without noise the coordinate along the ends has density 1/(π √(1 − x²)).
    found = log_density_along(np.array([0.5]), 0.0, 1e-4)[0]
    assert found == pytest.approx(-np.log(np.pi * np.sqrt(0.75)), abs=1e-7)
    # Across it, two angles give the same height.
    found = log_density_along(np.array([0.5]), np.pi / 2, 1e-4)[0]
    assert found == pytest.approx(-np.log(np.pi * np.sqrt(0.75) / 2), abs=1e-7)


def test_more_nodes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        sd, direction = 10 ** rng.uniform(-3, 1), rng.uniform(-7, 7)
        x = np.concatenate([rng.uniform(-1, 1, 20), sd * rng.normal(size=20) + 1, [-1.0, 0.0, 1.0]])
        p = np.concatenate([rng.normal(size=(20, 2)), sd * rng.normal(size=(20, 2)) - [1, 0]])
        first = log_density_along(x, direction, sd), log_density(p, sd)
        with monkeypatch.context() as patch:
            points, weights = np.polynomial.legendre.leggauss(90)
            patch.setattr(half_circle, "_POINTS", points)
            patch.setattr(half_circle, "_WEIGHTS", weights)
            second = log_density_along(x, direction, sd), log_density(p, sd)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10, rtol=1e-12)


@pytest.mark.parametrize("sd", [0.01, 0.1, 0.5, 3.0])
def test_masses_are_integrals_of_the_density(sd: float) -> None:
    low, high = np.array([[0.3], [0.95]]), np.array([[0.31], [1.05]])
    found = box_mass(low, high, 0.4, sd)
    for row in range(2):
        expected, _ = quad(
            lambda x: np.exp(log_density_along(np.array([x]), 0.4, sd)[0]),
            low[row, 0],
            high[row, 0],
        )
        assert found[row] == pytest.approx(expected, rel=1e-7)


def test_masses_in_the_plane_are_integrals_of_the_density() -> None:
    # Gauss–Legendre over a square of side σ/2, where the density is smooth.
    points, weights = np.polynomial.legendre.leggauss(12)
    low, side, sd = np.array([0.55, 0.75]), 0.05, 0.1
    u = low[0] + side * (points + 1) / 2
    v = low[1] + side * (points + 1) / 2
    grid = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    expected = np.outer(weights, weights).ravel() @ np.exp(log_density(grid, sd)) * side**2 / 4
    assert box_mass(low[None], low[None] + side, 0.0, sd)[0] == pytest.approx(expected, rel=1e-12)


@given(st.floats(-2, 1).map(lambda power: 10**power), angles)
def test_the_mass_of_everything_is_one_and_masses_add_up(sd: float, direction: float) -> None:
    reach = 1 + 9 * sd
    edges = np.linspace(-reach, reach, 8)
    low, high = (
        np.stack(np.meshgrid(e, e), axis=-1).reshape(-1, 2) for e in (edges[:-1], edges[1:])
    )
    assert box_mass(low, high, direction, sd).sum() == pytest.approx(1, abs=1e-13)
    along = box_mass(edges[:-1, None], edges[1:, None], direction, sd)
    strips = box_mass(low, high, direction, sd).reshape(7, 7).sum(axis=0)
    np.testing.assert_allclose(along, strips, atol=1e-13)


@pytest.mark.parametrize("sd", [0.01, 0.1, 1.0])
def test_the_panels_of_masses_are_fine_enough(sd: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(-1.5, 1.5, (200, 2))
    high = low + rng.uniform(0, 1, (200, 2)) * rng.choice([0.001, 0.1, 3.0], (200, 1))
    found = box_mass(low, high, 0.4, sd)
    finer = half_circle._panels(sd / 4)
    monkeypatch.setattr(half_circle, "_panels", lambda sd: finer)
    np.testing.assert_allclose(box_mass(low, high, 0.4, sd), found, atol=1e-14)
