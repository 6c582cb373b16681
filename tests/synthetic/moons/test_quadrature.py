from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from mke_theory.synthetic.moons.quadrature import bayes_error_by_cells
from mke_theory.synthetic.world import Exact, Floats


def normals(
    d: int, apart: float, prior: float, tolerance: float, *, most_cells: int = 200_000
) -> Exact:
    """The error of N(0, I) against N(apart · e₁, I) in d dimensions; Λ is linear, slope `apart`."""

    def masses(low: Floats, high: Floats) -> Floats:
        zero = np.prod(norm.cdf(high) - norm.cdf(low), axis=1)
        shift = apart * np.eye(d)[0]
        one = np.prod(norm.cdf(high - shift) - norm.cdf(low - shift), axis=1)
        return np.stack([(1 - prior) * zero, prior * one], axis=1)

    def log_odds(x: Floats) -> Floats:
        return apart * x[:, 0] - apart**2 / 2 + np.log(prior / (1 - prior))

    return bayes_error_by_cells(
        np.full(d, -9.0),
        np.full(d, 9.3) + apart,
        masses,
        log_odds,
        slope=apart,
        curvature=0.0,
        tolerance=tolerance,
        most_cells=most_cells,
    )


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize(("apart", "prior"), [(1.0, 0.5), (2.5, 0.2)])
def test_the_closed_form_lies_inside_the_bounds(
    d: int, tolerance: float, apart: float, prior: float
) -> None:
    found = normals(d, apart, prior, tolerance)
    at = apart / 2 - np.log(prior / (1 - prior)) / apart
    truth = (1 - prior) * norm.cdf(-at) + prior * norm.cdf(at - apart)
    assert found.tolerance <= tolerance * 1.001
    assert abs(found.value - truth) <= found.tolerance


def test_finer_bounds_lie_inside_coarser_ones() -> None:
    coarse, fine = normals(2, 1.0, 0.5, 1e-3), normals(2, 1.0, 0.5, 1e-6)
    assert abs(coarse.value - fine.value) <= coarse.tolerance + fine.tolerance
    assert fine.tolerance < coarse.tolerance / 100


def test_too_few_cells_give_wider_bounds_that_still_hold() -> None:
    found = normals(2, 1.0, 0.5, 1e-9, most_cells=400)
    assert 1e-6 < found.tolerance < 0.1
    assert abs(found.value - norm.cdf(-0.5)) <= found.tolerance


def test_a_slope_that_is_understated_breaks_the_bounds() -> None:
    # The bounds rest on the slope: a root hidden inside a cell whose corners agree is then missed.
    def masses(low: Floats, high: Floats) -> Floats:
        # On [−1, 1]: f₀ uniform, f₁ = 3x²/2; Λ = log 3x² has its two roots at ±1/√3.
        return np.stack([(high - low)[:, 0], (high**3 - low**3)[:, 0]], axis=1) / 4

    def log_odds(x: Floats) -> Floats:
        return np.log(np.maximum(3 * x[:, 0] ** 2, 1e-6))

    def error(slope: float) -> Exact:
        return bayes_error_by_cells(
            np.array([-1.0]), np.array([1.0]), masses, log_odds,
            slope=slope, curvature=np.inf, tolerance=1e-6,
        )  # fmt: skip

    # ∫ min: 1/2 − (1/√3 − (1/√3)³)/2, and Λ as cut at 1e-6 is steepest at 2/√(1e-6/3).
    truth = 0.5 - (3**-0.5 - 3**-1.5) / 2
    assert abs(error(4000.0).value - truth) <= 1e-6
    assert abs(error(0.1).value - truth) > 0.1


@pytest.mark.parametrize("bent", [False, True])
def test_roots_between_corners_that_agree_are_found(bent: bool) -> None:
    # On [−1, 1], evenly, with Λ = s|x| − 1 or s x²/2 − 1: positive at both ends, −1 in the middle.
    # The slope s (or the curvature s) is just enough for that, so a smaller bound would miss it.
    s = 40.0

    def log_odds(x: Floats) -> Floats:
        return s * (x[:, 0] ** 2 / 2 if bent else np.abs(x[:, 0])) - 1

    def share(low: float, high: float) -> float:
        return float(quad(lambda x: expit(log_odds(np.array([[x]]))[0]), low, high)[0]) / 2

    def masses(low: Floats, high: Floats) -> Floats:
        one = np.array([share(a, b) for a, b in zip(low[:, 0], high[:, 0], strict=True)])
        return np.stack([(high - low)[:, 0] / 2 - one, one], axis=1)

    found = bayes_error_by_cells(
        np.array([-1.0]),
        np.array([1.0]),
        masses,
        log_odds,
        slope=np.inf if bent else s,
        curvature=s if bent else np.inf,
        tolerance=1e-4,
    )
    root = np.sqrt(2 / s) if bent else 1 / s
    truth = 2 * share(0, root) + (1 - root) - 2 * share(root, 1)
    assert found.tolerance <= 1e-4 * 1.001
    assert abs(found.value - truth) <= found.tolerance
