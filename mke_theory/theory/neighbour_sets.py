"""The distinct neighbour sets B(x) of a pool, with the weight of all points that share each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mke_theory.theory.graph import Floats, Graph, Ints


@dataclass(frozen=True, eq=False)
class NeighbourSets:
    """Sets s = 0, 1, …: members[starts[s] : starts[s + 1]], each set once, and its weight.

    R_B(f) = Σ_s weights[s] 1[f is not constant on set s]; sets of one point are left out.
    """

    members: Ints
    starts: Ints
    weights: Floats

    @property
    def sizes(self) -> Ints:
        """The number of members of each set."""
        return np.diff(self.starts)

    def small_edges(self) -> tuple[Ints, Ints, Floats]:
        """(tails, heads, weights) of the edges that stand for the sets of two and of three.

        Of three points that are not all alike exactly two pairs differ, so half the weight on each
        pair charges a set of three exactly.
        """
        two, three = (self.starts[:-1][self.sizes == size] for size in (2, 3))
        at = np.concatenate([two, three, three, three])
        first = np.repeat([0, 0, 0, 1], [len(two), *[len(three)] * 3])
        second = np.repeat([1, 1, 2, 2], [len(two), *[len(three)] * 3])
        share = np.repeat([1.0, 0.5], [len(two), 3 * len(three)])
        of = np.searchsorted(self.starts, at, side="right") - 1
        return self.members[at + first], self.members[at + second], share * self.weights[of]

    def large(self) -> tuple[Ints, Ints, Floats]:
        """(members, number of the set of each, weight of each set) of the sets beyond three."""
        big = self.sizes > 3
        inside = np.repeat(big, self.sizes)
        owner = np.repeat(np.arange(int(big.sum())), self.sizes[big])
        return self.members[inside], owner, self.weights[big]


def neighbour_sets(graph: Graph) -> NeighbourSets:
    """The sets B(x) of more than one point, equal ones merged and their weights added."""
    closed = sparse.csr_array(graph.adjacency != 0, dtype=np.int8) + sparse.eye_array(
        graph.n, dtype=np.int8, format="csr"
    )
    closed = sparse.csr_array(closed)
    closed.sort_indices()
    starts = closed.indptr.astype(np.int64)
    members = closed.indices.astype(np.int64)
    alike = _same_rows(members, starts)
    weight = np.bincount(alike, graph.weights, minlength=graph.n)
    kept = (alike == np.arange(graph.n)) & (np.diff(starts) > 1) & (weight > 0)
    inside = np.repeat(kept, np.diff(starts))
    sizes = np.diff(starts)[kept]
    return NeighbourSets(members[inside], np.concatenate([[0], np.cumsum(sizes)]), weight[kept])


def _same_rows(members: Ints, starts: Ints) -> Ints:
    """For each row the first row with the same members."""
    n = len(starts) - 1
    code = np.random.default_rng(0).integers(1, 2**62, size=n)
    sizes = np.diff(starts)
    summed = np.add.reduceat(code[members], starts[:-1])
    order = np.lexsort((np.arange(n), summed, sizes))
    new = np.ones(n, dtype=np.bool_)
    new[1:] = (np.diff(summed[order]) != 0) | (np.diff(sizes[order]) != 0)
    first = np.empty(n, dtype=np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    # Sums of random numbers can agree by chance; only rows that agree member by member are merged.
    row = np.repeat(np.arange(n), sizes)
    other = members[starts[first[row]] + np.arange(len(members)) - starts[row]]
    differs = np.bincount(row, members != other, minlength=n) > 0
    return np.where(differs, np.arange(n), first)
