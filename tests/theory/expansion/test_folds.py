"""Folds of a Gaussian: no set reaches less, no labelling is more consistent; exact on a line."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from mke_theory.theory.expansion.folds import fold_reach, fold_separation
from mke_theory.theory.expansion.isoperimetry import gaussian_separation, gaussian_set_expansion

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

GRID = np.arange(-6.0, 6.0, 0.01)
"""Left ends of cells; sets are unions of cells, so that all masses are sums of exact ones."""
MASS = ndtr(GRID + 0.01) - ndtr(GRID)


def folded(z: Floats, kinks: Floats) -> Floats:
    """A path of slope ±1 in z that turns round at every kink: 1-Lipschitz, many points to one."""
    turns = np.searchsorted(kinks, z)
    ends = np.concatenate([[0.0], kinks])
    start = np.concatenate([[0.0], np.cumsum(np.diff(ends) * (-1.0) ** np.arange(len(kinks)))])
    return np.asarray(start[turns] + (-1.0) ** turns * (z - ends[turns]), dtype=np.float64)


def within(x: Floats, members: Bools, distance: float) -> Bools:
    """Cells whose place x is within the distance of a member's."""
    at = np.sort(x[members])
    after = np.searchsorted(at, x)
    gap = np.minimum(
        np.abs(x - at[np.minimum(after, len(at) - 1)]), np.abs(x - at[np.maximum(after - 1, 0)])
    )
    return np.asarray(gap <= distance + 1e-9, dtype=np.bool_)


def test_by_hand() -> None:
    # Φ(1) = .8413 and Φ(−1) = .1587.
    assert fold_reach(0.5, 1.0) == pytest.approx(0.841345, abs=1e-6)
    assert fold_reach(0.5, 3.0, sigma=1.5, lipschitz=2.0) == pytest.approx(0.841345, abs=1e-6)
    assert fold_separation(0.5, 1.0) == pytest.approx(0.682689, abs=1e-6)
    assert fold_separation(0.3, 0.0) == 0.0
    assert fold_reach(0.3, 0.0) == pytest.approx(0.3)


def test_it_is_the_gaussians_own_where_nothing_is_folded() -> None:
    for a, r in ((0.1, 0.2), (0.4, 1.3)):
        assert fold_reach(a, 2 * r) == pytest.approx(a * gaussian_set_expansion(a, r))
        # A border at D/2 from the mean: seen from one class, the Bayes half-space parts it there.
        assert fold_separation(float(ndtr(-1.0)), r) == pytest.approx(gaussian_separation(2.0, r))


@pytest.mark.parametrize("seed", range(5))
def test_no_set_of_a_fold_reaches_less(seed: int) -> None:
    # Cells of width h stand for their left ends, so that a distance may be off by one cell.
    rng = np.random.default_rng(seed)
    for _ in range(20):
        kinks = np.sort(rng.uniform(-3, 3, int(rng.integers(0, 5))))
        x = folded(
            GRID - kinks[0] if len(kinks) else GRID, kinks - kinks[0] if len(kinks) else kinks
        )
        # A set of places on the fold: some intervals of x.
        ends = np.sort(rng.uniform(x.min(), x.max(), 4))
        members = ((x >= ends[0]) & (x < ends[1])) | ((x >= ends[2]) & (x < ends[3]))
        a = float(MASS[members].sum())
        if not 1e-6 < a < 1 - 1e-6:
            continue
        s = float(rng.uniform(0.05, 1.5))
        reached = float(MASS[within(x, members, s + 0.02)].sum())
        assert reached >= fold_reach(a, s) - 1e-6
        border = members & within(x, ~members, s + 0.02) | ~members & within(x, members, s + 0.02)
        assert float(MASS[border].sum()) >= fold_separation(a, s) - 1e-6


def test_a_map_that_stretches_is_not_covered() -> None:
    # Doubling all distances is 2-Lipschitz: with L = 1 the statement is false, with L = 2 exact.
    half = 2 * GRID < 0
    reached = float(MASS[within(2 * GRID, half, 1.0)].sum())
    assert reached < fold_reach(0.5, 1.0) - 0.1
    assert reached == pytest.approx(fold_reach(0.5, 1.0, lipschitz=2.0), abs=0.01)


@pytest.mark.parametrize(
    ("a", "distance", "sigma", "lipschitz", "message"),
    [
        (0.0, 1.0, 1.0, 1.0, "a is"),
        (0.5, -1.0, 1.0, 1.0, "distance is"),
        (0.5, 1.0, 0.0, 1.0, "sigma is"),
        (0.5, 1.0, 1.0, np.inf, "lipschitz is"),
    ],
)
def test_bad_input_is_refused(
    a: float, distance: float, sigma: float, lipschitz: float, message: str
) -> None:
    for bound in (fold_reach, fold_separation):
        with pytest.raises(ValueError, match=message):
            bound(a, distance, sigma, lipschitz)
