"""The inner maximum of a worst case at fixed prices, by minimum cuts: exact for two classes.

Ref: kolmogorov2004energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.cutting_planes import Answer
from mke_theory.theory.certificates.worst_case import Measured, WorstCase
from mke_theory.theory.graph import Floats, Graph, Ints
from mke_theory.theory.max_flow import Cut, MinCut
from mke_theory.theory.neighbour_sets import neighbour_sets


class Cuts:
    """The oracle for two classes: one minimum cut, over the points and what the vertex form adds.

    The edge form needs nothing but the points. The vertex form charges p_i where B(x_i) holds both
    labels; equal sets B(x) are charged together. A set of two is an edge, one of three a triangle
    of half edges; a larger one takes two helpers, for "some 1" and "all 1". One helper cannot do
    it for any set beyond three: see the tests. Ref: kohli2009robust.
    """

    def __init__(self, problem: WorstCase, workers: int = 1) -> None:
        if problem.classes != 2:
            raise ValueError(f"cuts solve two classes; the problem has {problem.classes}")
        if workers < 1:
            raise ValueError(f"workers is {workers}; it has to be at least 1")
        self._problem, self._workers, n = problem, workers, problem.graph.n
        if problem.form == "edge":
            self._layout = _Layout.of_edges(problem.graph)
        else:
            self._layout = _Layout.of_sets(problem.graph)
        nodes = n + len(self._layout.helper_gain)
        self._parts = _parts(nodes, *self._layout.ends, workers)
        touched = np.concatenate(self._layout.ends)
        cost = np.concatenate([self._layout.cost, self._layout.cost])
        both = cost + np.concatenate([self._layout.back, self._layout.back])
        self._incident = np.bincount(touched, both, minlength=nodes)[:n]

    def __call__(self, theta: Floats, price: float) -> Answer:
        fixed, n = self._problem.fixed, self._problem.graph.n
        gain = theta[:, 1] - theta[:, 0]
        # A fixed point gets a gain that outweighs all it could save by giving in.
        heavy = np.abs(gain) + price * self._incident + np.finfo(np.float64).tiny
        pulled = np.select([fixed == 1, fixed == 0], [heavy, -heavy], gain)
        gains = np.concatenate([pulled, price * self._layout.helper_gain])
        chosen, largest, bound = self._solve(gains, price)
        surplus = float((heavy - gain)[fixed == 1].sum())
        constant = float(theta[:, 0].sum())
        # A fixed point that is worth the same either way may have been left on either side.
        sides = tuple(
            np.where(fixed == UNKNOWN, side[:n], fixed).astype(np.int64)
            for side in (chosen, largest)
        )
        planes = tuple(self.measure(side) for side in sides)
        return Answer(constant + bound - surplus, sides, planes)

    def measure(self, labels: Ints) -> Measured:
        return self._problem.measure(labels)

    def _solve(
        self, gains: Floats, price: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
        """(the smallest and the largest maximiser, the bound), every part solved by itself."""

        def cut_of(part: _Part) -> Cut:
            costs = (price * side[part.edges] for side in (self._layout.cost, self._layout.back))
            return part.cut.solve(gains[part.nodes], *costs)

        # The solver lets go of Python's lock, so that threads do and nothing is copied.
        run = Parallel(n_jobs=min(self._workers, len(self._parts)), prefer="threads")
        cuts: list[Cut] = run(delayed(cut_of)(part) for part in self._parts)
        sides = np.zeros((2, len(gains)), dtype=np.bool_)
        for part, cut in zip(self._parts, cuts, strict=True):
            sides[:, part.nodes] = cut.chosen, cut.largest
        return sides[0], sides[1], sum(cut.bound for cut in cuts)


@dataclass(frozen=True, eq=False)
class _Part:
    """Some connected components of a network: its nodes, its edges, and the network of them."""

    nodes: Ints
    edges: Ints
    cut: MinCut


def _parts(n: int, tails: Ints, heads: Ints, workers: int) -> list[_Part]:
    """The network in about as many parts as there are workers, cut between its components."""
    every = np.arange(len(tails))
    if workers == 1:
        return [_Part(np.arange(n), every, MinCut(n, tails, heads))]
    links = sparse.csr_array((np.ones(len(tails), np.int8), (tails, heads)), shape=(n, n))
    count, component = connected_components(links, directed=False)
    load, part_of = [0] * workers, np.zeros(count, dtype=np.int64)
    sizes = np.bincount(component[tails], minlength=count)
    for number in np.argsort(-sizes, kind="stable"):  # the largest first, each to the least loaded
        part_of[number] = int(np.argmin(load))
        load[part_of[number]] += int(sizes[number]) + 1
    parts, place = [], np.zeros(n, dtype=np.int64)
    for number in np.unique(part_of):
        nodes = np.flatnonzero(part_of[component] == number)
        edges = np.flatnonzero(part_of[component[tails]] == number)
        place[nodes] = np.arange(len(nodes))
        network = MinCut(len(nodes), place[tails[edges]], place[heads[edges]])
        parts.append(_Part(nodes, edges, network))
    return parts


@dataclass(frozen=True, eq=False)
class _Layout:
    """Nodes and edges of a network at ν = 1: R(z) = Σ costs − Σ helper_gain·helper."""

    ends: tuple[Ints, Ints]
    cost: Floats
    back: Floats
    helper_gain: Floats

    @classmethod
    def of_edges(cls, graph: Graph) -> _Layout:
        w = graph.edge_weights
        return cls((graph.edges[:, 0], graph.edges[:, 1]), w, w, np.zeros(0))

    @classmethod
    def of_sets(cls, graph: Graph) -> _Layout:
        sets = neighbour_sets(graph)
        tails, heads, weight = sets.small_edges()
        member, owner, of_set = sets.large()
        large = len(of_set)
        # Helper n + s of set s is 1 where some member is, helper n + large + s where all are.
        some, every = graph.n + owner, graph.n + large + owner
        through = of_set[owner]
        none = np.zeros(2 * len(member))
        return cls(
            (np.concatenate([tails, member, every]), np.concatenate([heads, some, member])),
            np.concatenate([weight, through, through]),
            np.concatenate([weight, none]),
            np.concatenate([-of_set, of_set]),
        )


class Components:
    """The oracle where no inconsistency is allowed: one label for every connected component.

    In the vertex form B(x) of a point without weight costs nothing and connects nothing.
    """

    def __init__(self, problem: WorstCase) -> None:
        self._problem, self._of = problem, problem.graph.components
        if problem.form == "vertex":
            self._of = _charged_components(problem.graph)
        self._count = int(self._of.max()) + 1
        forbidden = np.stack([self._sums(~column) for column in problem.allowed.T], axis=1)
        self._allowed = forbidden == 0

    def __call__(self, theta: Floats, price: float) -> Answer:
        total = np.stack([self._sums(column) for column in theta.T], axis=1)
        total = np.where(self._allowed, total, -np.inf)
        labels = total.argmax(axis=1)[self._of]
        return Answer(float(total.max(axis=1).sum()), (labels,), (self.measure(labels),))

    def measure(self, labels: Ints) -> Measured:
        reward, sides, _ = self._problem.measure(labels)
        # However light an edge, cutting it is forbidden: it counts as if all were inconsistent.
        mean = self._sums(labels) / np.bincount(self._of)
        return reward, sides, float((mean[self._of] != labels).any())

    def _sums(self, values: np.ndarray) -> Floats:
        counted = np.bincount(self._of, values.astype(np.float64), minlength=self._count)
        return np.asarray(counted, dtype=np.float64)


def _charged_components(graph: Graph) -> Ints:
    """The connected component of each point, over edges with an end of positive weight."""
    charged = graph.weights[graph.edges].max(axis=1) > 0
    tails, heads = graph.edges[charged].T
    links = sparse.csr_array((np.ones(len(tails), np.int8), (tails, heads)), shape=(graph.n,) * 2)
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
