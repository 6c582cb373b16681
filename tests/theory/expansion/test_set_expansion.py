"""The best c of (a, c)-expansion lies in the interval, whichever method drew it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mke_theory.theory.expansion.set_expansion import SmallSetExpansion, small_set_expansion
from mke_theory.theory.expansion.small_sets import (
    SmallSets,
)
from mke_theory.theory.graph import Graph, nearest_neighbours, radius_graph
from tests.theory.expansion.sets import SHARES, Masks, naive


def holds(found: SmallSetExpansion, graph: Graph, members: Masks | None = None) -> bool:
    """True where the witness lies in the class, is light enough and attains `upper`."""
    if found.witness is None:
        return found.upper == np.inf
    inside = np.ones(graph.n, bool) if members is None else members
    p = np.where(inside, graph.weights, 0.0) / graph.weights[inside].sum()
    reached = graph.neighbourhood(found.witness) & inside
    weight = p[found.witness].sum()
    return bool(
        not (found.witness & ~inside).any()
        and 0 < weight <= found.a + 1e-9
        and not reached[p > 0].all()
        and abs(p[reached].sum() / weight - found.upper) < 1e-9
    )


# --- by hand -------------------------------------------------------------------------------------


def test_by_hand() -> None:
    # A ring of 12: two steps reach two points on either side, so an arc of k reaches k + 4.
    ring = Graph.from_edges(12, np.stack([np.arange(12), (np.arange(12) + 1) % 12], axis=1))
    for k in range(1, 8):
        found = small_set_expansion(ring, k / 12)
        assert found.lower == found.upper == pytest.approx((k + 4) / k)
        assert (found.method, found.label, found.classes) == ("brute force", None, ())
        assert holds(found, ring)
    # Eight points in a row reach everything and violate nothing: arcs of seven are still the worst.
    assert small_set_expansion(ring, 8 / 12).upper == pytest.approx(11 / 7)
    # In one step an arc reaches k + 2.
    assert small_set_expansion(ring, 4 / 12, steps=1).upper == pytest.approx(6 / 4)


def test_every_class_is_a_pool_of_its_own() -> None:
    # A path of 8, the first three points of class 0. Point 3 is a middle for class 0, no member.
    path = Graph.from_edges(8, np.stack([np.arange(7), np.arange(1, 8)], axis=1))
    labels = np.array([0, 0, 0, 2, 2, 2, 2, 2])
    found = small_set_expansion(path, 0.4, labels)
    # Class 0: one point of three, and each reaches all three. Class 2: {3, 4} reaches 3, 4, 5, 6.
    first, second = found.classes
    assert (first.label, first.lower, first.witness) == (0, np.inf, None)
    assert (second.label, second.lower, second.upper) == (2, pytest.approx(2.0), pytest.approx(2.0))
    assert (found.label, found.lower, found.upper) == (2, second.lower, second.upper)
    assert holds(found, path, labels == 2)
    # Without labels {0, 1, 2} reaches 0..4 of 8.
    assert small_set_expansion(path, 0.4).upper == pytest.approx(5 / 3)


def test_the_way_may_lead_through_another_class() -> None:
    # 0 – 2 – 1 and 2 of another class: two perturbations of 0 and 1 meet in 2.
    graph = Graph.from_edges(5, [[0, 2], [2, 1], [3, 4]])
    labels = np.array([0, 0, 1, 0, 0])
    # Class 0 has four points: {0} reaches {0, 1}. In one step it reaches nothing but itself.
    assert small_set_expansion(graph, 0.25, labels).classes[0].upper == pytest.approx(2.0)
    assert small_set_expansion(graph, 0.25, labels, steps=1).classes[0].upper == 1.0


def test_a_closed_part_expands_by_nothing() -> None:
    graph = Graph.from_edges(40, np.stack([np.arange(38), np.arange(1, 39)], axis=1))
    found = small_set_expansion(graph, 0.1)
    assert (found.lower, found.upper, found.method) == (1.0, 1.0, "closed part")
    assert found.witness is not None
    assert np.flatnonzero(found.witness).tolist() == [39]


def test_parts_that_are_heavier_than_a_expand_on_their_own() -> None:
    # Two rings of 12 points: 1/24 of the class is 1/12 of a ring, and no ring is excused.
    one = np.stack([np.arange(12), (np.arange(12) + 1) % 12], axis=1)
    rings = Graph.from_edges(24, np.concatenate([one, one + 12]))
    found = small_set_expansion(rings, 3 / 24)
    assert found.lower == found.upper == pytest.approx(7 / 3)
    assert found.method == "brute force"
    # Ten of twelve points reach their whole ring, which is not the whole class: 12/11 at a = 11/24.
    assert small_set_expansion(rings, 11 / 24).upper == pytest.approx(12 / 11)


def test_no_point_is_light_enough() -> None:
    found = small_set_expansion(Graph.from_edges(4, [[0, 1]]), 0.2)
    assert (found.lower, found.upper, found.witness) == (np.inf, np.inf, None)
    assert found.method == "no point is light enough"


# --- against all subsets -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_the_entry_agrees_with_all_sets_of_every_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, a = 20, float(rng.choice(SHARES))
    weights, labels = rng.random(n) * (rng.random(n) > 0.1), rng.integers(0, 3, n)
    graph = Graph.from_edges(n, rng.integers(0, n, (30, 2)), weights=weights / weights.sum())
    found = small_set_expansion(graph, a, labels)
    near = graph.two_steps().adjacency + sparse.eye_array(n)
    for own in found.classes:
        at = np.flatnonzero((labels == own.label) & (weights > 0))
        sets = SmallSets(near[at][:, at], weights[at] / weights[at].sum(), a)
        assert own.lower == own.upper == naive(sets) or own.upper == pytest.approx(naive(sets))
        assert holds(own, graph, labels == own.label)
    assert found.lower == min(own.lower for own in found.classes)
    assert found.upper == min(own.upper for own in found.classes)


# --- larger pools --------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.1, 0.3])
def test_the_methods_agree_on_forty_points(a: float) -> None:
    graph = radius_graph(np.random.default_rng(1).uniform(size=(40, 2)), 0.25)
    quick = small_set_expansion(graph, a, seconds=0)
    exact = small_set_expansion(graph, a)
    assert quick.upper_by == "local search"
    assert quick.lower <= exact.lower <= exact.upper <= quick.upper
    assert exact.lower_by == "mixed-integer programme"
    assert exact.upper - exact.lower < 1e-4
    assert holds(quick, graph)
    assert holds(exact, graph)


@pytest.mark.slow
@pytest.mark.parametrize("a", [0.1, 0.3])
def test_two_hundred_points_are_solved(a: float) -> None:
    x = np.random.default_rng(0).uniform(size=(200, 2))
    found = small_set_expansion(radius_graph(x, 0.15), a, seconds=300)
    assert found.lower_by == "mixed-integer programme"
    assert found.upper - found.lower < 1e-4


def test_time_that_is_up_leaves_an_interval() -> None:
    graph = nearest_neighbours(np.random.default_rng(0).normal(size=(120, 6)), 6)
    found = small_set_expansion(graph, 0.3, seconds=0.2)
    assert 1 < found.lower < found.upper < np.inf
    assert holds(found, graph)


def test_large_pools_get_a_bound_and_a_witness() -> None:
    graph = nearest_neighbours(np.random.default_rng(0).normal(size=(400, 6)), 8)
    found = small_set_expansion(graph, 0.1)
    assert 1 < found.lower < found.upper < np.inf
    assert found.method == "Tanner's inequality / local search"
    assert holds(found, graph)


def test_the_method_of_large_pools_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nearest_neighbours(np.random.default_rng(0).normal(size=(300, 4)), 6)
    monkeypatch.setattr("mke_theory.theory.expansion.set_expansion.DENSE_POINTS", 10)
    found = small_set_expansion(graph, 0.2, seconds=0)
    assert found.lower_by == "Tanner's inequality by Lanczos' method"


# --- properties ----------------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_an_edge_more_never_makes_it_smaller(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, a = 9, float(rng.choice(SHARES))
    edges = rng.integers(0, n, (8, 2))
    fewer, more = Graph.from_edges(n, edges[:-1]), Graph.from_edges(n, edges)
    before, after = small_set_expansion(fewer, a), small_set_expansion(more, a)
    assert after.upper >= before.upper - 1e-12


@given(st.integers(0, 10**6))
def test_points_may_be_renamed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, a, name = 10, float(rng.choice(SHARES)), rng.permutation(10)
    edges, weights, labels = rng.integers(0, n, (15, 2)), rng.random(n), rng.integers(0, 2, n)
    weights /= weights.sum()
    moved_weights, moved_labels = np.empty(n), np.empty(n, dtype=int)
    moved_weights[name], moved_labels[name] = weights, labels
    one = small_set_expansion(Graph.from_edges(n, edges, weights=weights), a, labels)
    moved = Graph.from_edges(n, name[edges], weights=moved_weights)
    other = small_set_expansion(moved, a, moved_labels)
    assert other.upper == one.upper or other.upper == pytest.approx(one.upper)


@given(st.integers(0, 10**6))
def test_a_larger_share_never_makes_it_larger(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph.from_edges(10, rng.integers(0, 10, (15, 2)))
    found = [small_set_expansion(graph, a).upper for a in SHARES]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(found))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "steps", "seconds", "message"),
    [
        (0.0, 2, 1.0, r"a is 0\.0; it has to lie in \(0, 1\], a share of the class"),
        (1.1, 2, 1.0, r"a is 1\.1"),
        (float("nan"), 2, 1.0, "a is nan"),
        (0.5, 0, 1.0, "steps is 0; N is one step of the graph or two"),
        (0.5, 2, -1.0, r"seconds is -1\.0"),
    ],
)
def test_numbers_have_to_fit(a: float, steps: int, seconds: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_set_expansion(Graph.from_edges(3, [[0, 1]]), a, steps=steps, seconds=seconds)


def test_labels_have_to_fit() -> None:
    with pytest.raises(ValueError, match=r"labels has shape \(2,\); the pool has 3 points"):
        small_set_expansion(Graph.from_edges(3, [[0, 1]]), 0.5, [0, 1])
