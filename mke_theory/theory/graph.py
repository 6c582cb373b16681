"""Neighbourhoods on a pool of points: B(x), the sets that a perturbation of x can reach.

B is a symmetric graph whose every point also reaches itself; N = B∘B, two steps of it, is what the
expansion theorems call the neighbourhood (two perturbations meet *in a point of the pool*, the only
place where labels are known). A labelling f of the pool is judged by

    R_B(f) = Σ_i p_i 1[f is not constant on B(x_i)]         vertex inconsistency, in [0, 1]
    R_E(f) = Σ_{ij ∈ E} w_ij 1[f_i ≠ f_j],  Σ_E w_ij = 1    edge inconsistency, in [0, 1]

Everything is sparse: memory grows with the number of edges, never with n². Ref: wei2021theoretical.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mke_theory.theory.distances import coordinates_of, nearest_points, pairs_within, refuse_large

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_EDGES = 20_000_000
"""A graph with more edges is refused; a certificate on it would need some 4 GiB."""
_ROWS_AT_A_TIME = 512


@dataclass(frozen=True, eq=False)
class Graph:
    """A symmetric graph on n points: `adjacency` [n, n] holds w_ij > 0, `weights` [n] the p_i.

    The diagonal is empty (that x is in B(x) is understood), Σ_{i<j} w_ij = 1 where there is an edge
    and Σ p_i = 1. Build one with `from_edges`, `radius_graph` or `nearest_neighbours`.

    Raises ValueError where there are fewer than two points, the adjacency is not square, not
    symmetric, has a loop or an entry that is not positive and finite, or weights of points or edges
    are negative, not finite or do not sum to one.
    """

    adjacency: sparse.csr_array
    weights: Floats

    def __post_init__(self) -> None:
        a = self.adjacency
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"adjacency has shape {a.shape}; it has to be square")
        if a.shape[0] < 2:
            raise ValueError(f"the pool has {a.shape[0]} points; a graph needs at least 2")
        if not (np.isfinite(a.data).all() and (a.data > 0).all()):
            raise ValueError("an edge has a weight that is not positive and finite; drop that edge")
        if a.diagonal().any():
            raise ValueError("adjacency links a point to itself; leave the diagonal empty")
        difference = abs(a - a.T)
        if difference.nnz and difference.max() > 1e-12 * a.data.max():
            i, j = (int(at[difference.data.argmax()]) for at in difference.nonzero())
            raise ValueError(
                f"adjacency is not symmetric: entry ({i}, {j}) is {a[i, j]}, ({j}, {i}) is "
                f"{a[j, i]}; symmetrise it first, for instance by the larger of both"
            )
        if a.nnz and abs(a.sum() / 2 - 1) > 1e-9:
            raise ValueError(
                f"edge weights sum to {a.sum() / 2}; divide by that, so that they sum to 1"
            )
        object.__setattr__(self, "weights", point_weights(self.weights, a.shape[0]))

    @classmethod
    def from_edges(
        cls,
        n: int,
        edges: ArrayLike,
        edge_weights: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> Self:
        """The graph of n points with undirected `edges` [m, 2], point numbers.

        `edge_weights` [m] are scaled to sum to one and uniform where not given; `weights` [n] are
        the p_i, which sum to one, and uniform too. A pair may be named in both directions or twice:
        its largest weight counts. Loops are dropped.

        Raises ValueError where a shape, a point number or a weight does not fit, TypeError where
        point numbers are not whole.
        """
        pairs = _pairs_of(edges)
        if n < 2:
            raise ValueError(f"the pool has {n} points; a graph needs at least 2")
        if pairs.size and not (pairs.min() >= 0 and pairs.max() < n):
            raise ValueError(
                f"an edge names point {pairs.min() if pairs.min() < 0 else pairs.max()}; the "
                f"points are 0 to {n - 1}"
            )
        w = np.ones(len(pairs)) if edge_weights is None else np.asarray(edge_weights, np.float64)
        if w.shape != (len(pairs),):
            raise ValueError(
                f"edge_weights has shape {w.shape} for {len(pairs)} edges; give one each"
            )
        if not (np.isfinite(w).all() and (w > 0).all()):
            raise ValueError("an edge has a weight that is not positive and finite; drop that edge")
        low, high, w = _distinct(pairs, w, n)
        w = w / w.sum() if len(w) else w
        rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
        adjacency = sparse.csr_array((np.concatenate([w, w]), (rows, columns)), shape=(n, n))
        adjacency.sort_indices()
        p = np.full(n, 1 / n) if weights is None else point_weights(weights, n)
        return cls(adjacency, p)

    @property
    def n(self) -> int:
        """The number of points."""
        return int(self.adjacency.shape[0])

    @cached_property
    def edges(self) -> Ints:
        """Every undirected edge once, [m, 2] with the smaller point first, in order."""
        upper = sparse.triu(self.adjacency, format="coo")
        return np.stack([upper.row, upper.col], axis=1).astype(np.int64)

    @cached_property
    def edge_weights(self) -> Floats:
        """The weight w_ij of each of `edges`, [m]."""
        return np.asarray(sparse.triu(self.adjacency, format="coo").data, dtype=np.float64)

    @cached_property
    def components(self) -> Ints:
        """The number of the connected component of each point, [n]."""
        return np.asarray(connected_components(self.adjacency, directed=False)[1], dtype=np.int64)

    def reach(self, points: ArrayLike) -> NDArray[np.bool_]:
        """True [n] for the points in B(S), S given as a mask [n] or as point numbers."""
        inside = self._mask(points)
        return inside | (self.adjacency @ inside.astype(np.float64) > 0)

    def neighbourhood(self, points: ArrayLike) -> NDArray[np.bool_]:
        """True [n] for the points in N(S) = B(B(S)), S given as a mask [n] or as point numbers."""
        return self.reach(self.reach(points))

    def two_steps(self, limit: int = MOST_EDGES) -> Graph:
        """N = B∘B as a graph of its own, with uniform edge weights.

        Raises MemoryError as soon as it is found to have more than `limit` edges.
        """
        pattern = sparse.csr_array(
            (np.ones(self.adjacency.nnz), self.adjacency.indices, self.adjacency.indptr),
            shape=self.adjacency.shape,
        )
        found, count = [], 0
        for start in range(0, self.n, _ROWS_AT_A_TIME):
            block = pattern[start : start + _ROWS_AT_A_TIME]
            both = sparse.triu(block @ pattern + block, k=start + 1, format="coo")
            count += both.nnz
            refuse_large(count, limit)
            found.append(np.stack([both.row.astype(np.int64) + start, both.col], axis=1))
        return Graph.from_edges(self.n, np.concatenate(found), weights=self.weights)

    def _mask(self, points: ArrayLike) -> NDArray[np.bool_]:
        given = np.asarray(points)
        if given.dtype == np.bool_:
            if given.shape != (self.n,):
                raise ValueError(f"a mask of shape {given.shape} does not fit {self.n} points")
            return given
        inside = np.zeros(self.n, dtype=np.bool_)
        if given.size and not (given.min() >= 0 and given.max() < self.n):
            wrong = given.min() if given.min() < 0 else given.max()
            raise ValueError(f"there is no point {wrong}; the points are 0 to {self.n - 1}")
        inside[given.astype(np.int64)] = True
        return inside


def radius_graph(
    points: ArrayLike, radius: float, *, weights: ArrayLike | None = None, limit: int = MOST_EDGES
) -> Graph:
    """Points [n, d] at a Euclidean distance of at most `radius` are neighbours.

    Raises ValueError for a radius that is not positive, and MemoryError, before the graph is built,
    where it would have more than `limit` edges.
    """
    x = coordinates_of(points)
    if not radius > 0:
        raise ValueError(f"radius is {radius}; it has to be positive")
    return Graph.from_edges(len(x), pairs_within(x, radius, limit), weights=weights)


def nearest_neighbours(
    points: ArrayLike, k: int, *, weights: ArrayLike | None = None, limit: int = MOST_EDGES
) -> Graph:
    """Two points [n, d] are neighbours where one is among the k nearest of the other.

    Raises ValueError for k outside 1..n−1, and MemoryError where n·k exceeds `limit`.
    """
    x = coordinates_of(points)
    if not 1 <= k < len(x):
        raise ValueError(f"k is {k}; with {len(x)} points it has to be 1 to {len(x) - 1}")
    refuse_large(len(x) * k, limit)
    found = nearest_points(x, k + 1)
    own = found == np.arange(len(x))[:, None]
    own[~own.any(axis=1), -1] = True  # among many equal points the point itself may not be listed
    pairs = np.stack([np.repeat(np.arange(len(x)), k), found[~own]], axis=1)
    return Graph.from_edges(len(x), pairs, weights=weights)


def inconsistent(graph: Graph, labels: ArrayLike) -> NDArray[np.bool_]:
    """True [n] where `labels` [n] are not constant on B(x)."""
    f = labels_of("labels", labels, graph.n)
    cut = f[graph.edges[:, 0]] != f[graph.edges[:, 1]]
    found = np.zeros(graph.n, dtype=np.bool_)
    found[graph.edges[cut].ravel()] = True
    return found


def vertex_inconsistency(graph: Graph, labels: ArrayLike) -> float:
    """R_B, the weight of the points on whose B(x) `labels` [n] are not constant; in [0, 1]."""
    return min(1.0, float(graph.weights[inconsistent(graph, labels)].sum()))


def edge_inconsistency(graph: Graph, labels: ArrayLike) -> float:
    """R_E, the weight of the edges whose ends `labels` [n] tell apart; in [0, 1]."""
    f = labels_of("labels", labels, graph.n)
    cut = f[graph.edges[:, 0]] != f[graph.edges[:, 1]]
    return min(1.0, float(graph.edge_weights[cut].sum()))


# Checks of input


def labels_of(name: str, labels: ArrayLike, n: int, classes: int | None = None) -> Ints:
    """`labels` as whole numbers [n], 0 to classes − 1.

    Raises ValueError where the shape is another or a label is out of range, TypeError where they
    are no whole numbers.
    """
    y = np.asarray(labels)
    if y.dtype.kind not in "iub":
        raise TypeError(f"{name} is {y.dtype}; give class numbers as integers")
    if y.shape != (n,):
        raise ValueError(
            f"{name} has shape {y.shape}; the pool has {n} points, give one label each"
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or (classes is not None and high >= classes):
        allowed = "at least 0" if classes is None else f"0 to {classes - 1}"
        raise ValueError(f"{name} holds {low if low < 0 else high}; allowed is {allowed}")
    return y.astype(np.int64)


def point_weights(weights: ArrayLike, n: int) -> Floats:
    """`weights` [n] as given; raises ValueError where they are negative or do not sum to one."""
    p = np.asarray(weights, dtype=np.float64)
    if p.shape != (n,):
        raise ValueError(f"weights has shape {p.shape}; the pool has {n} points, give one each")
    if not np.isfinite(p).all() or p.min() < 0:
        raise ValueError(f"weights run from {p.min()} to {p.max()}; they have to be at least 0")
    if abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"weights sum to {p.sum()}; divide by that, so that they sum to 1")
    return p


def _pairs_of(edges: ArrayLike) -> Ints:
    pairs = np.asarray(edges)
    if pairs.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"edges has shape {pairs.shape}; give [m, 2], two points an edge")
    if pairs.dtype.kind not in "iu":
        raise TypeError(f"edges is {pairs.dtype}; give point numbers as integers")
    return pairs.astype(np.int64)


def _distinct(pairs: Ints, w: Floats, n: int) -> tuple[Ints, Ints, Floats]:
    """Each pair once with the smaller point first, and its largest weight; without loops."""
    low, high = pairs.min(axis=1, initial=n), pairs.max(axis=1, initial=-1)
    proper = low < high
    low, high, w = low[proper], high[proper], w[proper]
    order = np.lexsort((-w, high, low))
    low, high, w = low[order], high[order], w[order]
    first = np.ones(len(low), dtype=np.bool_)
    first[1:] = (np.diff(low) != 0) | (np.diff(high) != 0)
    return low[first], high[first], w[first]
