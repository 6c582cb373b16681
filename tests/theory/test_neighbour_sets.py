"""The distinct sets B(x): they measure R_B, each once, and small ones are edges."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.graph import Graph, Ints, vertex_inconsistency
from mke_theory.theory.neighbour_sets import NeighbourSets, neighbour_sets


def members_of(sets: NeighbourSets) -> list[tuple[int, ...]]:
    return [
        tuple(sets.members[start : start + size].tolist())
        for start, size in zip(sets.starts[:-1], sets.sizes, strict=True)
    ]


def charged(sets: NeighbourSets, labels: Ints) -> float:
    """Σ_s weight_s 1[not constant on s], straight from the definition."""
    split = [len(set(labels[list(members)].tolist())) > 1 for members in members_of(sets)]
    return float(sets.weights[split].sum())


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    n = draw(st.integers(2, 9))
    points = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(points, points), max_size=20))
    mass = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.float64)
    mass[0] += 1
    return Graph.from_edges(n, np.array(edges).reshape(-1, 2), weights=mass / mass.sum())


def test_by_hand() -> None:
    # A triangle 0, 1, 2 (one set, three times), its tail 2 – 3 and the single point 4.
    graph = Graph.from_edges(5, [[0, 1], [0, 2], [1, 2], [2, 3]], weights=[0.1, 0.2, 0.3, 0.2, 0.2])
    sets = neighbour_sets(graph)
    found = dict(zip(members_of(sets), sets.weights.tolist(), strict=True))
    assert found == {(0, 1, 2): pytest.approx(0.3), (0, 1, 2, 3): 0.3, (2, 3): 0.2}
    tails, heads, weight = sets.small_edges()
    edges = {(int(i), int(j)): w for i, j, w in zip(tails, heads, weight.tolist(), strict=True)}
    half = pytest.approx(0.15)
    assert edges == {(2, 3): 0.2, (0, 1): half, (0, 2): half, (1, 2): half}
    member, owner, of_set = sets.large()
    assert (member.tolist(), owner.tolist(), of_set.tolist()) == ([0, 1, 2, 3], [0] * 4, [0.3])


@given(graphs(), st.integers(2, 4), st.data())
def test_the_sets_measure_vertex_inconsistency(
    graph: Graph, classes: int, data: st.DataObject
) -> None:
    sets = neighbour_sets(graph)
    label = st.integers(0, classes - 1)
    labels = np.array(data.draw(st.lists(label, min_size=graph.n, max_size=graph.n)))
    assert charged(sets, labels) == pytest.approx(vertex_inconsistency(graph, labels), abs=1e-12)
    # Every set once, of at least two points, and with some weight.
    assert len(set(members_of(sets))) == len(sets.weights)
    assert (sets.sizes > 1).all()
    assert (sets.weights > 0).all()


@given(graphs(), st.integers(2, 4), st.data())
def test_small_sets_are_edges_exactly(graph: Graph, classes: int, data: st.DataObject) -> None:
    sets = neighbour_sets(graph)
    label = st.integers(0, classes - 1)
    y = np.array(data.draw(st.lists(label, min_size=graph.n, max_size=graph.n)))
    tails, heads, weight = sets.small_edges()
    member, owner, of_set = sets.large()
    assert (np.bincount(owner, minlength=len(of_set)) > 3).all()
    large = sum(w for s, w in enumerate(of_set) if len(set(y[member[owner == s]].tolist())) > 1)
    by_edges = float(weight[y[tails] != y[heads]].sum())
    if classes > 2:
        # Three different labels on a set of three are charged 3/2: only two classes are exact.
        three = [m for m in members_of(sets) if len(m) == 3 and len(set(y[list(m)].tolist())) == 3]
        of = dict(zip(members_of(sets), sets.weights, strict=True))
        by_edges -= 0.5 * sum(of[m] for m in three)
    assert by_edges + large == pytest.approx(vertex_inconsistency(graph, y), abs=1e-12)


def test_points_that_see_the_same_are_one_set() -> None:
    edges = [(i, j) for i in range(30) for j in range(i)]
    sets = neighbour_sets(Graph.from_edges(30, edges))
    assert members_of(sets) == [tuple(range(30))]
    assert sets.weights == pytest.approx([1.0])


def test_codes_that_agree_by_chance_merge_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # With one code for every point all sets of one size look alike.
    class Same:
        def integers(self, low: int, high: int, size: int) -> Ints:
            return np.full(size, 7)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Same())
    ring = Graph.from_edges(6, [[i, (i + 1) % 6] for i in range(6)])
    sets = neighbour_sets(ring)
    assert len(sets.weights) == 6
    for labels in product([0, 1], repeat=6):
        y = np.array(labels)
        assert charged(sets, y) == pytest.approx(vertex_inconsistency(ring, y))


def test_a_graph_without_edges_has_no_sets() -> None:
    sets = neighbour_sets(Graph.from_edges(3, []))
    assert len(sets.weights) == len(sets.members) == 0
    assert [len(part) for part in (*sets.small_edges(), *sets.large())] == [0] * 6
