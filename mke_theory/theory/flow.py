"""Minimum cuts for maximising a set function of gains and pairwise costs, with a valid bound.

Chosen is z in {0, 1}^n that maximises

    Σ_i gain_i z_i − Σ_e [forward_e z_tail (1 − z_head) + backward_e (1 − z_tail) z_head].

scipy's maximum flow takes 32-bit integers. Gains and costs that are whole numbers and small enough
are handed over as they are, and the answer is exact. Others are scaled and rounded down, and the
flow that comes back is divided by the scale again, so it is feasible for the costs as given, and
weak duality,

    max ≤ Σ_i max(0, gain_i − Σ_{e out of i} q_e + Σ_{e into i} q_e),  −backward ≤ q ≤ forward,

bounds the maximum in float64 whatever the rounding did. Ref: kolmogorov2004energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST = 2**29
"""Capacities stay below it: a residual capacity can be twice as large, and has to fit 32 bits."""
_ROOM = 1 + 2.0**-10
"""An edge without limit gets this much more than can flow through it, so that it never fills up."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The answer: `chosen` [n] (the smallest maximiser) and `largest` [n] (the largest one).

    Both are exact for whole numbers, and else maximise what is left after rounding. `bound` is at
    least the maximum; `flow` [edges] from tail to head is the proof of it.
    """

    chosen: NDArray[np.bool_]
    largest: NDArray[np.bool_]
    bound: float
    flow: Floats


class MinCut:
    """A network whose shape is laid out once and solved for many gains and costs.

    Edges may be parallel, in one direction or both. Raises ValueError where `tails` and `heads`
    differ in length or name a node outside 0..n−1.
    """

    def __init__(self, n: int, tails: ArrayLike, heads: ArrayLike) -> None:
        self.n, self.tails, self.heads = n, _nodes("tails", tails, n), _nodes("heads", heads, n)
        if len(self.tails) != len(self.heads):
            raise ValueError(
                f"there are {len(self.tails)} tails and {len(self.heads)} heads; an edge has both"
            )
        every = np.arange(n)
        source, sink = np.full(n, n), np.full(n, n + 1)
        rows = np.concatenate([self.tails, self.heads, source, every, every, sink])
        columns = np.concatenate([self.heads, self.tails, every, source, sink, every])
        # Every ordered pair of nodes has one slot, and parallel edges share it.
        pairs = rows * (n + 2) + columns
        order = np.argsort(pairs, kind="stable")
        ordered = pairs[order]
        first = np.ones(len(pairs), dtype=np.bool_)
        first[1:] = ordered[1:] != ordered[:-1]
        self._slot = np.empty(len(pairs), dtype=np.int64)
        self._slot[order] = np.cumsum(first) - 1
        slots = ordered[first]
        self._columns = (slots % (n + 2)).astype(np.int32)
        self._starts = np.searchsorted(slots, np.arange(n + 3) * (n + 2)).astype(np.int32)
        self._reverse = self._network(np.arange(len(slots))).T.tocsr().data

    def solve(self, gain: ArrayLike, forward: ArrayLike, backward: ArrayLike = 0.0) -> Cut:
        """The maximisers for `gain` [n] and costs ≥ 0 ([edges] or one number); costs may be inf.

        Raises ValueError where a gain is not finite or a cost is negative or NaN.
        """
        u, costs = self._checked(gain, forward, backward)
        # An edge that can carry more than all gains or all losses is as good as one without limit.
        ample = max(min(np.maximum(u, 0).sum(), np.maximum(-u, 0).sum()), np.abs(u).max(initial=0))
        limited, zero = np.minimum(costs, _ROOM * ample), np.zeros(self.n)
        wanted = np.concatenate([*limited, np.maximum(u, 0), zero, np.maximum(-u, 0), zero])
        scale = _scale(np.concatenate([costs.ravel(), u]), wanted, self._sum(wanted))
        whole = np.floor(wanted * scale)
        capacity = self._sum(whole).astype(np.int32)
        flow = maximum_flow(self._network(capacity), self.n, self.n + 1).flow.data
        q = np.clip(self._flow_of_edges(flow, whole, capacity) / scale, -costs[1], costs[0])
        through = np.bincount(self.heads, q, self.n) - np.bincount(self.tails, q, self.n)
        bound = float(np.maximum(u + through, 0).sum())
        left = capacity - flow
        return Cut(self._reached(left, True), ~self._reached(left, False), bound, q)

    def _checked(
        self, gain: ArrayLike, forward: ArrayLike, backward: ArrayLike
    ) -> tuple[Floats, Floats]:
        """The gains [n], and the costs [2, edges] forward and backward."""
        u = np.asarray(gain, dtype=np.float64)
        if u.shape != (self.n,) or not np.isfinite(u).all():
            raise ValueError(f"gain has shape {u.shape}; give {self.n} finite numbers, one a node")
        costs = np.empty((2, len(self.tails)))
        costs[0], costs[1] = forward, backward
        if not (costs >= 0).all():
            raise ValueError(f"a cost is {costs[~(costs >= 0)][0]}; costs have to be at least 0")
        return u, costs

    def _sum(self, values: Floats) -> Floats:
        """What all that shares a slot adds up to, [slots]."""
        return np.bincount(self._slot, values, minlength=len(self._columns))

    def _network(self, values: NDArray[np.generic]) -> sparse.csr_array:
        return sparse.csr_array(
            (values, self._columns, self._starts), shape=(self.n + 2, self.n + 2)
        )

    def _flow_of_edges(
        self, flow: NDArray[np.int32], whole: Floats, capacity: NDArray[np.int32]
    ) -> Floats:
        """The net flow of every edge from tail to head; it is below zero where it runs back.

        Edges that share a slot share its flow in proportion to their capacities.
        """
        m = len(self.tails)
        there, back = self._slot[:m], self._slot[m : 2 * m]
        net = flow[there].astype(np.float64)
        own = np.where(net > 0, whole[:m], whole[m : 2 * m])
        shared = np.where(net > 0, capacity[there], capacity[back])
        return net * (own / np.maximum(shared, 1))

    def _reached(self, left: NDArray[np.int32], from_source: bool) -> NDArray[np.bool_]:
        """The nodes that the source still reaches, or those that still reach the sink."""
        open_ = left > 0 if from_source else left[self._reverse] > 0
        counts = np.concatenate([[0], np.cumsum(open_)])
        residual = sparse.csr_array(
            (np.ones(int(counts[-1]), np.int8), self._columns[open_], counts[self._starts]),
            shape=(self.n + 2, self.n + 2),
        )
        start = self.n if from_source else self.n + 1
        order = breadth_first_order(residual, start, return_predecessors=False)
        found = np.zeros(self.n + 2, dtype=np.bool_)
        found[order] = True
        return found[: self.n]


def _scale(given: Floats, wanted: Floats, merged: Floats) -> float:
    """What capacities are multiplied by before they are rounded down; 1 where that is exact."""
    largest = float(merged.max(initial=0))
    finite = given[np.isfinite(given)]
    if largest <= LARGEST and (finite == np.floor(finite)).all():
        return 1.0
    return LARGEST / largest if largest > 0 else 1.0


def _nodes(name: str, numbers: ArrayLike, n: int) -> Ints:
    nodes = np.asarray(numbers, dtype=np.int64)
    if nodes.size and not (nodes.min() >= 0 and nodes.max() < n):
        raise ValueError(
            f"{name} name node {nodes.min() if nodes.min() < 0 else nodes.max()}; the nodes are 0 "
            f"to {n - 1}"
        )
    return nodes
