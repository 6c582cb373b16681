"""Minimum cuts for maximising a set function of gains and pairwise costs, with a valid bound.

Chosen is z in {0, 1}^n that maximises

    Σ_i gain_i z_i − Σ_e [forward_e z_tail (1 − z_head) + backward_e (1 − z_tail) z_head].

scipy's maximum flow takes 32-bit integers. Costs are rounded down to them and the flow that comes
back is divided by the scale again, so it is feasible for the costs as given, and weak duality,

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

_LARGEST = 2**29
"""Capacities stay below it: a residual capacity can be twice as large, and has to fit 32 bits."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The answer: `chosen` [n] (the smallest maximiser) and `largest` [n] (the largest one).

    `bound` is at least the maximum; `flow` [edges] from tail to head is the proof of it.
    """

    chosen: NDArray[np.bool_]
    largest: NDArray[np.bool_]
    bound: float
    flow: Floats


class MinCut:
    """A network whose shape is laid out once and solved for many gains and costs."""

    def __init__(self, n: int, tails: ArrayLike, heads: ArrayLike) -> None:
        self.n, self.tails, self.heads = n, _whole(tails), _whole(heads)
        every = np.arange(n)
        source, sink = np.full(n, n), np.full(n, n + 1)
        rows = np.concatenate([self.tails, self.heads, source, every, every, sink])
        columns = np.concatenate([self.heads, self.tails, every, source, sink, every])
        m = len(self.tails)
        # Parallel edges share a slot, so that every pair of nodes has one entry each way.
        slots, self._slot = np.unique(rows * (n + 2) + columns, return_inverse=True)
        self._shape = sparse.csr_array(
            (np.zeros(len(slots), np.int32), (slots // (n + 2), slots % (n + 2))),
            shape=(n + 2, n + 2),
        )
        self._parallel = len(slots) < len(rows)
        self._reverse = np.searchsorted(slots, (slots % (n + 2)) * (n + 2) + slots // (n + 2))
        self._parts = np.cumsum([m, m, n, n, n])

    def solve(self, gain: ArrayLike, forward: ArrayLike, backward: ArrayLike = 0.0) -> Cut:
        """The maximisers for `gain` [n] and costs ≥ 0 ([edges] or one number)."""
        u = np.asarray(gain, dtype=np.float64)
        m = len(self.tails)
        costs = [np.broadcast_to(np.asarray(c, np.float64), (m,)) for c in (forward, backward)]
        # An edge that could carry all gains or all losses is as good as one without limit.
        ample = max(min(np.maximum(u, 0).sum(), np.maximum(-u, 0).sum()), np.abs(u).max(initial=0))
        zero = np.zeros(self.n)
        wanted = np.concatenate(
            [*np.minimum(costs, ample), np.maximum(u, 0), zero, np.maximum(-u, 0), zero]
        )
        merged = np.bincount(self._slot, wanted) if self._parallel else wanted
        largest = float(merged.max(initial=0))
        scale = _LARGEST / largest if largest > 0 else 1.0
        whole = np.floor(wanted * scale)
        capacity = np.bincount(self._slot, whole, minlength=self._shape.nnz).astype(np.int32)
        network = sparse.csr_array(
            (capacity, self._shape.indices, self._shape.indptr), shape=self._shape.shape
        )
        flow = maximum_flow(network, self.n, self.n + 1).flow
        left = capacity - flow.data
        q = self._split(flow.data, whole, m) / scale
        through = np.bincount(self.heads, q, self.n) - np.bincount(self.tails, q, self.n)
        bound = float(np.maximum(u + through, 0).sum())
        return Cut(self._reached(left, True), ~self._reached(left, False), bound, q)

    def _split(self, flow: NDArray[np.int32], whole: Floats, m: int) -> Floats:
        """The net flow of every edge; parallel edges fill up one after the other."""
        net = flow[self._slot[:m]].astype(np.float64)
        if not self._parallel:
            return net
        # Where edges are parallel each takes its share of the slot, in proportion to capacity.
        total = np.bincount(self._slot, whole, minlength=self._shape.nnz)
        along = np.where(net > 0, total[self._slot[:m]], total[self._slot[m : 2 * m]])
        own = np.where(net > 0, whole[:m], whole[m : 2 * m])
        return np.where(along > 0, net * own / np.maximum(along, 1), 0.0)

    def _reached(self, left: NDArray[np.int32], from_source: bool) -> NDArray[np.bool_]:
        """The nodes that the source still reaches, or those that still reach the sink."""
        open_ = left > 0 if from_source else left[self._reverse] > 0
        counts = np.concatenate([[0], np.cumsum(open_)])
        residual = sparse.csr_array(
            (
                np.ones(int(counts[-1]), np.int8),
                self._shape.indices[open_],
                counts[self._shape.indptr],
            ),
            shape=self._shape.shape,
        )
        start = self.n if from_source else self.n + 1
        order = breadth_first_order(residual, start, return_predecessors=False)
        found = np.zeros(self.n + 2, dtype=np.bool_)
        found[order] = True
        return found[: self.n]


def _whole(numbers: ArrayLike) -> Ints:
    return np.asarray(numbers, dtype=np.int64)
