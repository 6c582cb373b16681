"""Closed forms hold in large samples and for sets of other shapes; the pool's table adds up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2, norm
from sklearn.datasets import make_moons

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.expansion.isoperimetry import (
    frontier,
    gaussian_error,
    gaussian_separation,
    gaussian_set_expansion,
    pool_frontier,
)
from mke_theory.theory.expansion.relative import (
    certified_constant,
    relative_expansion,
    relative_expansion_profile,
)
from mke_theory.theory.expansion.set_expansion import small_set_expansion
from mke_theory.theory.graph import radius_graph

LEVEL = 1 - 1e-6
"""An interval of this level misses the truth once in a million draws; fewer than 20 are drawn."""


def two_moons(n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised points, their class, and a teacher that thresholds the first coordinate."""
    x, y = make_moons(n, noise=0.1, random_state=0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, y, (x[:, 0] > 0).astype(int)


# --- Gaussians -----------------------------------------------------------------------------------


def test_by_hand() -> None:
    # Φ(Φ⁻¹(1/2) + 2 · .5) / .5 = 2 Φ(1), and Φ(−1/2) for classes one sd apart.
    assert gaussian_set_expansion(0.5, 0.5) == pytest.approx(2 * 0.8413447, abs=1e-6)
    assert gaussian_error(1.0) == pytest.approx(0.3085375, abs=1e-6)
    # D = 2, r = 1: Φ(0) − Φ(−2).
    assert gaussian_separation(2.0, 1.0) == pytest.approx(0.5 - 0.0227501, abs=1e-6)
    # Equal classes: everything within r of any border, Φ(r) − Φ(−r), and half of all wrong.
    assert gaussian_separation(0.0, 1.0) == pytest.approx(0.6826895, abs=1e-6)
    assert gaussian_error(0.0) == 0.5


def test_only_the_ratio_of_lengths_counts() -> None:
    assert gaussian_set_expansion(0.2, 3.0, 2.0) == pytest.approx(gaussian_set_expansion(0.2, 1.5))
    assert gaussian_separation(4.0, 3.0, 2.0) == pytest.approx(gaussian_separation(2.0, 1.5))
    assert gaussian_error(4.0, 2.0) == pytest.approx(gaussian_error(2.0))


def test_expansion_runs_from_one_to_everything() -> None:
    radii = np.linspace(0.01, 10, 200)
    for a in (1e-9, 0.1, 0.5, 0.9):
        c = np.array([gaussian_set_expansion(a, r) for r in radii])
        assert (np.diff(c) >= 0).all()
        assert c[0] > 1
        assert c[-1] == pytest.approx(1 / a)
    assert gaussian_set_expansion(1.0, 0.3) == 1.0
    # a itself is the worst of all sizes up to a.
    c = np.array([gaussian_set_expansion(a, 0.3) for a in np.linspace(0.001, 1, 500)])
    assert (np.diff(c) < 0).all()


@pytest.mark.parametrize(("a", "radius", "sigma"), [(0.1, 0.2, 1.0), (0.4, 0.5, 2.0), (0.7, 1, 3)])
def test_half_spaces_reach_as_much_as_is_said(a: float, radius: float, sigma: float) -> None:
    # 400,000 points in four dimensions; two balls of radius r meet at a distance of at most 2r.
    rng, n = np.random.default_rng(1), 400_000
    direction = np.array([0.5, -0.5, 0.5, 0.5])
    along = (3.0 + sigma * rng.normal(size=(n, 4))) @ direction
    edge = 3.0 * direction.sum() + sigma * norm.ppf(a)
    inside, reached = int((along <= edge).sum()), int((along - edge <= 2 * radius).sum())
    found = clopper_pearson(inside, n, LEVEL), clopper_pearson(reached, n, LEVEL)
    assert found[0].low <= a <= found[0].high
    assert found[1].low <= a * gaussian_set_expansion(a, radius, sigma) <= found[1].high


@pytest.mark.parametrize("d", [1, 2, 5, 40])
def test_no_other_shape_reaches_less(d: int) -> None:
    # Balls, what lies outside a ball, slabs and what lies outside a slab, by their exact measure.
    for a in (0.02, 0.2, 0.5, 0.8):
        for r in (0.05, 0.3, 1.0):
            least = a * gaussian_set_expansion(a, r)
            ball, outside = np.sqrt(chi2.ppf(a, d)), np.sqrt(chi2.ppf(1 - a, d))
            assert chi2.cdf((ball + 2 * r) ** 2, d) >= least
            assert chi2.sf(max(outside - 2 * r, 0) ** 2, d) >= least
            slab, gap = norm.ppf((1 + a) / 2), norm.ppf(1 - a / 2)
            assert 2 * norm.cdf(slab + 2 * r) - 1 >= least
            assert 2 * norm.sf(max(gap - 2 * r, 0)) >= least


@pytest.mark.parametrize(("distance", "radius", "sigma"), [(1.0, 0.2, 1.0), (3.0, 2.0, 1.5)])
def test_separation_and_error_in_a_large_sample(
    distance: float, radius: float, sigma: float
) -> None:
    rng, n = np.random.default_rng(2), 400_000
    side = rng.choice([-1.0, 1.0], n)
    along = side * distance / 2 + sigma * rng.normal(size=n)
    near = clopper_pearson(int((np.abs(along) <= radius).sum()), n, LEVEL)
    assert near.low <= gaussian_separation(distance, radius, sigma) <= near.high
    wrong = clopper_pearson(int((np.sign(along) != side).sum()), n, LEVEL)
    assert wrong.low <= gaussian_error(distance, sigma) <= wrong.high


def test_a_second_modality_moves_the_frontier() -> None:
    radii = [0.1, 0.3, 1.0]
    found = frontier(radii, {"a": 1.0, "a and b": np.hypot(1.0, 3.0)}, a=gaussian_error(1.0))
    assert found.columns.tolist() == ["modalities", "radius", "separation", "expansion"]
    assert found["modalities"].tolist() == ["a"] * 3 + ["a and b"] * 3
    alone, both = found.iloc[:3], found.iloc[3:]
    assert both["expansion"].tolist() == alone["expansion"].tolist()
    assert (both["separation"].to_numpy() < alone["separation"].to_numpy()).all()
    for row in found.itertuples():
        distance = 1.0 if row.modalities == "a" else 10**0.5
        assert row.separation == gaussian_separation(distance, row.radius)
        assert row.expansion == gaussian_set_expansion(gaussian_error(1.0), row.radius)


def test_a_pool_of_gaussian_quantiles_expands_like_the_gaussian() -> None:
    # 400 points at the quantiles of N(0, 1): a step ends at the last point before r, so what is
    # lost on the way of 2r = 1 are two gaps between points, a few hundredths each.
    x = norm.ppf((np.arange(400) + 0.5) / 400)[:, None]
    for a in (0.1, 0.3):
        found = small_set_expansion(radius_graph(x, 0.5), a, seconds=0)
        assert found.upper == pytest.approx(gaussian_set_expansion(a, 0.5), rel=0.06)
        assert found.lower <= gaussian_set_expansion(a, 0.5)


# --- pools ---------------------------------------------------------------------------------------


def test_the_table_of_a_pool_adds_up() -> None:
    x, y, guess = two_moons(200)
    table = pool_frontier([0.3, 0.6], {"a": x[:, :1], "both": x}, y, guess, q=0.2)
    assert table[["modalities", "radius"]].to_numpy().tolist() == [
        ["a", 0.3],
        ["a", 0.6],
        ["both", 0.3],
        ["both", 0.6],
    ]
    for row in table.itertuples():
        points = x[:, :1] if row.modalities == "a" else x
        near = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2)) <= row.radius
        assert row.separation == pytest.approx((near & (y[:, None] != y[None])).any(axis=1).mean())
        assert row.a == pytest.approx(max((guess != y)[y == k].mean() for k in (0, 1)))
        graph = radius_graph(points, row.radius)
        interval = small_set_expansion(graph, row.a, y, seconds=0)
        assert (row.lower, row.upper, row.method) == (
            interval.lower,
            interval.upper,
            interval.method,
        )
        bad, good = (y == row.label) & (guess != y), (y == row.label) & (guess == y)
        assert row.relative == certified_constant(relative_expansion_profile(graph, bad, good), 0.2)
        other = (y != row.label) & (guess != y), (y != row.label) & (guess == y)
        assert row.relative <= certified_constant(relative_expansion_profile(graph, *other), 0.2)


def test_without_q_the_table_holds_the_relative_expansion() -> None:
    x, y, guess = two_moons(150)
    row = pool_frontier([1.0], {"b": x[:, 1:]}, y, guess).iloc[0]
    graph = radius_graph(x[:, 1:], 1.0)
    least = min(
        relative_expansion(graph, (y == k) & (guess != y), (y == k) & (guess == y)).value
        for k in (0, 1)
    )
    assert least > 0
    assert row["relative"] == pytest.approx(least)


def test_two_moons_need_both_coordinates() -> None:
    # At half a unit each coordinate alone has most points within reach of the other class, both
    # together next to none; one draw, so only the direction is claimed.
    x, y, guess = two_moons()
    table = pool_frontier([0.3], {"a": x[:, :1], "b": x[:, 1:], "both": x}, y, guess)
    alone, other, both = table["separation"]
    assert both == 0 < 0.5 < min(alone, other)
    assert ((table["lower"] >= 1) & (table["lower"] <= table["upper"])).all()


def test_weights_of_points_reach_every_column() -> None:
    x, y, guess = two_moons(120)
    weights = np.where(np.arange(120) % 2 == 0, 1.0, 0.0)
    half = pool_frontier([0.5], {"both": x}, y, guess, weights=weights / weights.sum()).iloc[0]
    graph = radius_graph(x, 0.5, weights=weights / weights.sum())
    assert half["a"] == pytest.approx(max((guess != y)[::2][y[::2] == k].mean() for k in (0, 1)))
    assert half["upper"] == small_set_expansion(graph, half["a"], y, seconds=0).upper


# --- what is refused -----------------------------------------------------------------------------

X, Y, GUESS = two_moons(20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_set_expansion(0.0, 1.0), r"a is 0\.0; it has to lie in \(0, 1\]"),
        (lambda: gaussian_set_expansion(1.5, 1.0), r"a is 1\.5"),
        (lambda: gaussian_set_expansion(0.5, 0.0), r"radius is 0\.0; it has to be positive"),
        (lambda: gaussian_set_expansion(0.5, 1.0, -1.0), r"sigma is -1\.0; it has to be positive"),
        (lambda: gaussian_separation(-1.0, 1.0), r"distance is -1\.0; it has to be finite"),
        (lambda: gaussian_separation(1.0, float("inf")), "radius is inf"),
        (lambda: gaussian_error(float("nan")), "distance is nan"),
        (lambda: frontier([], {"a": 1.0}, a=0.1), "there are 0 radii and 1 sets of modalities"),
        (lambda: frontier([1.0], {}, a=0.1), "1 radii and 0 sets"),
        (lambda: pool_frontier([0.0], {"a": X}, Y, GUESS), r"radius is 0\.0"),
        (lambda: pool_frontier([0.5], {"a": X}, Y, Y), "a teacher without errors needs no c"),
        (lambda: pool_frontier([0.5], {"a": X}, Y, 0 * Y), "never right in class 1"),
        (lambda: pool_frontier([0.5], {"a": X}, Y[:-1], GUESS), r"truth has shape \(19,\)"),
        (lambda: pool_frontier([0.5], {"a": X, "b": X[:-1]}, Y, GUESS), "b has 19 points"),
        (lambda: pool_frontier([0.5], {"a": X}, Y, GUESS, q=1.0), r"q is 1\.0"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
