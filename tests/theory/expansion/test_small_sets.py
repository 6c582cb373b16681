"""Small sets: every one tried, and bounds that hold for all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from mke_theory.theory.expansion import small_sets as module
from mke_theory.theory.expansion.small_sets import (
    SmallSets,
    brute_force,
    smallest_neighbourhood,
    tanner,
)
from mke_theory.theory.graph import nearest_neighbours
from tests.theory.expansion.sets import naive, some_sets


def ring(n: int, a: float) -> SmallSets:
    """A ring of n points, each of which reaches its two neighbours."""
    at = np.arange(n)
    near = sparse.csr_array((np.ones(2 * n), (np.r_[at, at], np.r_[at - 1, (at + 1) % n] % n)))
    return SmallSets(near, np.full(n, 1 / n), a)


def test_a_ring_by_hand() -> None:
    sets = ring(6, 0.5)
    assert sets.n == 6
    arc = np.array([True, True, False, False, False, False])
    assert sets.reach(arc).tolist() == [True, True, True, False, False, True]
    assert sets.ratio(arc) == pytest.approx(4 / 2)
    # Three in a row reach five of six; opposite pairs reach everything, which is excused.
    best, inside = brute_force(sets)
    assert best == pytest.approx(5 / 3)
    assert inside is not None and inside.sum() == 3
    assert sets.ratio(np.array([True, False, False] * 2)) == np.inf
    assert ring(6, 0.34).ratio(np.array([True] * 3 + [False] * 3)) == np.inf  # too heavy
    # Each point reaches three sixths.
    assert smallest_neighbourhood(sets) == pytest.approx(3 / 6 / 0.5)
    # The kernel walks to itself and either side with 1/3: its eigenvalues are (1 + 2 cos θ)/3 with
    # θ = 60°, 120°, 180°, the largest of absolute value 2/3. So 1/(ρ(1 − λ²) + λ²) at ρ = 1/2.
    assert tanner(sets) == pytest.approx(1 / (0.5 * (1 - 4 / 9) + 4 / 9))


@pytest.mark.parametrize("seed", range(4))
def test_brute_force_is_the_minimum(seed: int) -> None:
    for sets in some_sets(seed, 40, most=8):
        best, inside = brute_force(sets)
        assert best == naive(sets) or best == pytest.approx(naive(sets))
        assert inside is None if best == np.inf else sets.ratio(inside) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_lie_below_the_minimum(seed: int) -> None:
    for sets in some_sets(seed, 80, most=12):
        best = brute_force(sets)[0]
        assert 1.0 <= tanner(sets) <= best + 1e-9
        assert smallest_neighbourhood(sets) <= best + 1e-9


def test_lanczos_finds_the_eigenvalue_of_the_dense_method(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nearest_neighbours(np.random.default_rng(0).normal(size=(300, 4)), 6)
    near = graph.two_steps().adjacency
    for weights in (np.ones(300), np.random.default_rng(1).random(300) + 0.1):
        sets = SmallSets(near, weights / weights.sum(), 0.2)
        dense = tanner(sets)
        monkeypatch.setattr(module, "DENSE_POINTS", 10)
        assert tanner(sets) == pytest.approx(dense, abs=1e-5)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("near", "weights", "message"),
    [
        ([[1, 1], [0, 1]], [0.5, 0.5], "near is not symmetric"),
        ([[1, 0, 0], [0, 1, 0]], [0.5, 0.5], r"near has shape \(2, 3\); 2 weights need \(2, 2\)"),
        ([[1, 0], [0, 1]], [1.0, 0.0], "a weight is not positive and finite; leave that point out"),
    ],
)
def test_small_sets_have_to_be_sound(
    near: list[list[int]], weights: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SmallSets(sparse.csr_array(np.array(near)), np.array(weights), 0.5)


def test_brute_force_refuses_more_than_sixteen_points() -> None:
    sets = SmallSets(sparse.csr_array((17, 17)), np.full(17, 1 / 17), 0.5)
    with pytest.raises(ValueError, match="there are 17 points; all sets of at most 16"):
        brute_force(sets)
