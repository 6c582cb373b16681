"""Graphs agree with constructions that look at every pair, and refuse what they cannot hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from mke_theory.theory import graph as module
from mke_theory.theory.graph import (
    Graph,
    edge_inconsistency,
    inconsistent,
    labels_of,
    nearest_neighbours,
    radius_graph,
    vertex_inconsistency,
)

Floats = NDArray[np.float64]

PATH = np.array([[0, 1], [1, 2], [2, 3]])
"""Four points in a row."""


def points(n: int, d: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, d))


def some_graph(n: int, seed: int, edges: int | None = None) -> Graph:
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (2 * n if edges is None else edges, 2))
    weights = rng.random(n)
    return Graph.from_edges(n, pairs, 0.1 + rng.random(len(pairs)), weights / weights.sum())


def dense(graph: Graph) -> NDArray[np.bool_]:
    """True [n, n] for pairs of neighbours; no point is its own."""
    return graph.adjacency.toarray() > 0


def apart(x: Floats) -> Floats:
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))


def is_sound(graph: Graph) -> bool:
    """The promises of every graph: symmetric, no loops, weights of edges and points sum to one."""
    a = graph.adjacency.toarray()
    ones = [graph.weights.sum(), *([np.triu(a).sum()] if a.any() else [])]
    return bool((a == a.T).all() and not a.diagonal().any() and np.allclose(ones, 1, atol=1e-12))


# --- Graph and its edges -------------------------------------------------------------------------


def test_by_hand() -> None:
    graph = Graph.from_edges(4, PATH, [2.0, 1.0, 1.0], [0.1, 0.2, 0.3, 0.4])
    assert graph.n == 4
    assert graph.edges.tolist() == PATH.tolist()
    assert graph.edge_weights.tolist() == [0.5, 0.25, 0.25]
    assert graph.components.tolist() == [0, 0, 0, 0]
    # f = (0, 0, 1, 1) is cut between points 1 and 2: R_B = .2 + .3, R_E = 1/4.
    assert inconsistent(graph, [0, 0, 1, 1]).tolist() == [False, True, True, False]
    assert vertex_inconsistency(graph, [0, 0, 1, 1]) == pytest.approx(0.5)
    assert edge_inconsistency(graph, [0, 0, 1, 1]) == 0.25
    # f = (0, 1, 2, 0) is cut everywhere, f = (3, 3, 3, 3) nowhere.
    assert vertex_inconsistency(graph, [0, 1, 2, 0]) == 1.0
    assert edge_inconsistency(graph, [0, 1, 2, 0]) == 1.0
    assert vertex_inconsistency(graph, [3, 3, 3, 3]) == edge_inconsistency(graph, [3] * 4) == 0.0


def test_reach_and_neighbourhood_by_hand() -> None:
    graph = Graph.from_edges(5, PATH)
    assert np.flatnonzero(graph.reach([0])).tolist() == [0, 1]
    assert np.flatnonzero(graph.neighbourhood([0])).tolist() == [0, 1, 2]
    assert np.flatnonzero(graph.neighbourhood([4])).tolist() == [4]
    assert graph.components.tolist() == [0, 0, 0, 0, 1]
    nobody = np.zeros(5, dtype=bool)
    assert not graph.neighbourhood(nobody).any()
    assert not graph.reach([]).any()


def test_an_edge_named_twice_keeps_its_largest_weight_and_loops_are_dropped() -> None:
    graph = Graph.from_edges(3, [[1, 0], [0, 1], [2, 2], [1, 2]], [1.0, 3.0, 9.0, 1.0])
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.edge_weights.tolist() == [0.75, 0.25]
    assert is_sound(graph)


def test_a_graph_may_have_no_edges() -> None:
    graph = Graph.from_edges(3, [])
    assert graph.edges.shape == (0, 2)
    assert vertex_inconsistency(graph, [0, 1, 2]) == edge_inconsistency(graph, [0, 1, 2]) == 0.0
    assert graph.two_steps().edges.shape == (0, 2)


@given(st.integers(2, 12), st.integers(0, 10**6))
def test_inconsistency_agrees_with_every_pair(n: int, seed: int) -> None:
    graph = some_graph(n, seed)
    f = np.random.default_rng(seed).integers(0, 3, n)
    differs = dense(graph) & (f[:, None] != f[None])
    assert inconsistent(graph, f).tolist() == differs.any(axis=1).tolist()
    share = graph.weights[differs.any(axis=1)].sum()
    assert vertex_inconsistency(graph, f) == pytest.approx(share)
    cut = np.triu(graph.adjacency.toarray() * differs).sum()
    assert edge_inconsistency(graph, f) == pytest.approx(cut, abs=1e-12)


@given(st.integers(2, 12), st.integers(0, 10**6))
def test_inconsistency_does_not_depend_on_the_order_of_points(n: int, seed: int) -> None:
    graph, rng = some_graph(n, seed), np.random.default_rng(seed)
    f, name = rng.integers(0, 2, n), rng.permutation(n)
    weights, labels = np.empty(n), np.empty(n, dtype=int)
    weights[name], labels[name] = graph.weights, f
    moved = Graph.from_edges(n, name[graph.edges], graph.edge_weights, weights)
    assert vertex_inconsistency(moved, labels) == pytest.approx(vertex_inconsistency(graph, f))
    assert edge_inconsistency(moved, labels) == pytest.approx(edge_inconsistency(graph, f))


@pytest.mark.parametrize("seed", range(20))
def test_two_steps_agree_with_the_square_of_the_matrix(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_A_TIME", 4)  # several blocks
    graph = some_graph(13, seed, edges=int(seed))
    step = dense(graph).astype(int) + np.eye(13, dtype=int)
    expected = (step @ step > 0) & ~np.eye(13, dtype=bool)
    both = graph.two_steps()
    assert (dense(both) == expected).all()
    assert is_sound(both)
    assert len(np.unique(both.edge_weights)) <= 1
    assert both.weights.tolist() == graph.weights.tolist()
    for inside in np.random.default_rng(seed).random((5, 13)) < 0.2:
        reached = expected[inside].any(axis=0) | inside
        assert graph.neighbourhood(inside).tolist() == reached.tolist()
        assert both.reach(np.flatnonzero(inside)).tolist() == reached.tolist()


# --- builders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 10, 11, 30])
def test_a_radius_graph_links_all_pairs_within_the_radius(d: int) -> None:
    x = points(90, d, seed=d)
    radius = float(np.quantile(apart(x), 0.1))
    graph = radius_graph(x, radius)
    assert (dense(graph) == (apart(x) <= radius) & ~np.eye(90, dtype=bool)).all()
    assert is_sound(graph)


def test_equal_points_are_within_every_radius() -> None:
    for d in (2, 12):
        x = np.repeat(points(4, d) + 1e5, 3, axis=0)
        assert dense(radius_graph(x, 1e-9)).sum() == 4 * 3 * 2


@pytest.mark.parametrize("d", [2, 12])
@pytest.mark.parametrize("k", [1, 4, 39])
def test_nearest_neighbours_by_sorting_all_distances(d: int, k: int) -> None:
    x = points(40, d, seed=k)
    order = np.argsort(apart(x) + np.diag(np.full(40, np.inf)), axis=1)[:, :k]
    expected = np.zeros((40, 40), dtype=bool)
    expected[np.arange(40)[:, None], order] = True
    graph = nearest_neighbours(x, k)
    assert (dense(graph) == expected | expected.T).all()
    assert is_sound(graph)


@pytest.mark.parametrize("d", [1, 12])
def test_every_point_has_k_neighbours_among_equal_points(d: int) -> None:
    x = np.concatenate([np.zeros((9, d)), points(6, d)])
    for k in (1, 3, 8, 14):
        graph = nearest_neighbours(x, k)
        assert (dense(graph).sum(axis=1) >= k).all()
        # Nine equal points have eight equal neighbours, and none is nearer than those.
        assert (dense(graph)[:9, :9].sum(axis=1) >= min(k, 8)).all()
        assert is_sound(graph)


# --- what is refused -----------------------------------------------------------------------------


def line(*data: float) -> sparse.csr_array:
    return sparse.csr_array(np.array(data, dtype=float).reshape(int(len(data) ** 0.5), -1))


@pytest.mark.parametrize(
    ("adjacency", "weights", "message"),
    [
        (line(0, 1, 0.5, 0), [0.5, 0.5], r"entry \(0, 1\) is 1.0, \(1, 0\) is 0.5; symmetrise"),
        (line(0, -1, -1, 0), [0.5, 0.5], "not positive and finite; drop that edge"),
        (line(0, np.nan, np.nan, 0), [0.5, 0.5], "not positive and finite"),
        (line(1, 1, 1, 0), [0.5, 0.5], "links a point to itself"),
        (line(0, 2, 2, 0), [0.5, 0.5], r"edge weights sum to 2\.0; divide by that"),
        (line(0), [1.0], "the pool has 1 points; a graph needs at least 2"),
        (sparse.csr_array((2, 3)), [0.5, 0.5], r"shape \(2, 3\); it has to be square"),
        (line(0, 1, 1, 0), [0.5, 0.6], r"weights sum to 1\.1; divide by that"),
        (line(0, 1, 1, 0), [-0.5, 1.5], "weights run from -0.5 to 1.5; they have to be at least"),
        (line(0, 1, 1, 0), [np.nan, 1], "weights run from nan"),
        (line(0, 1, 1, 0), [1.0], r"weights has shape \(1,\); the pool has 2 points"),
    ],
)
def test_a_graph_has_to_be_sound(
    adjacency: sparse.csr_array, weights: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Graph(adjacency, weights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: Graph.from_edges(1, []), "the pool has 1 points"),
        (ValueError, lambda: Graph.from_edges(3, [[0, 3]]), "names point 3; the points are 0 to 2"),
        (ValueError, lambda: Graph.from_edges(3, [[-1, 1]]), "names point -1"),
        (ValueError, lambda: Graph.from_edges(3, [[0, 1, 2], [0, 1, 2]]), r"shape \(2, 3\)"),
        (TypeError, lambda: Graph.from_edges(3, [[0.5, 1.0]]), "edges is float64; give point"),
        (ValueError, lambda: Graph.from_edges(3, [[0, 1]], [1.0, 2.0]), "for 1 edges; give one"),
        (ValueError, lambda: Graph.from_edges(3, [[0, 1]], [0.0]), "not positive and finite"),
        (ValueError, lambda: Graph.from_edges(4, PATH).reach([4]), "no point 4; the points are 0"),
        (ValueError, lambda: Graph.from_edges(4, PATH).reach([-1]), "no point -1"),
        (ValueError, lambda: Graph.from_edges(4, PATH).reach(np.ones(3, bool)), r"shape \(3,\)"),
        (ValueError, lambda: radius_graph(points(5, 2), 0.0), r"radius is 0\.0"),
        (ValueError, lambda: radius_graph(points(5, 2), np.nan), "radius is nan"),
        (ValueError, lambda: radius_graph(np.zeros(5), 1.0), r"shape \(5,\); give \[n, d\]"),
        (ValueError, lambda: radius_graph(np.zeros((1, 2)), 1.0), "the pool has 1 points"),
        (
            ValueError,
            lambda: nearest_neighbours(points(5, 2), 5),
            "k is 5; with 5 points .* 1 to 4",
        ),
        (ValueError, lambda: nearest_neighbours(points(5, 2), 0), "k is 0"),
        (TypeError, lambda: labels_of("labels", [0.0, 1.0], 2), "labels is float64"),
        (ValueError, lambda: labels_of("labels", [0, 1], 3), r"shape \(2,\); the pool has 3"),
        (ValueError, lambda: labels_of("labels", [0, -1], 2), "labels holds -1; allowed is at"),
        (
            ValueError,
            lambda: labels_of("labels", [0, 2], 2, 2),
            "labels holds 2; allowed is 0 to 1",
        ),
    ],
)
def test_bad_input_is_refused(
    error: type[Exception], call: Callable[[], object], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "count", "limit"),
    [
        (lambda: radius_graph(np.zeros((100, 2)), 1.0, limit=4000), "4,950", "4,000"),
        (lambda: radius_graph(np.zeros((100, 20)), 1.0, limit=4000), "4,950", "4,000"),
        (lambda: nearest_neighbours(points(100, 2), 5, limit=499), "500", "499"),
        (lambda: Graph.from_edges(4, PATH).two_steps(limit=4), "5", "4"),
    ],
)
def test_too_many_edges_are_refused_with_count_and_limit(
    call: Callable[[], object], count: str, limit: str
) -> None:
    message = f"the graph would have {count} edges.*, and the limit is {limit}; choose a smaller"
    with pytest.raises(MemoryError, match=message):
        call()


def test_too_many_edges_are_refused_before_they_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graph, "from_edges", lambda *_, **__: pytest.fail("it was built"))
    for build in (
        lambda: radius_graph(np.zeros((60, 2)), 1.0, limit=10),
        lambda: radius_graph(np.zeros((60, 20)), 1.0, limit=10),
        lambda: nearest_neighbours(points(60, 2), 5, limit=10),
    ):
        with pytest.raises(MemoryError):
            build()
