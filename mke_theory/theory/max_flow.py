"""Minimum cuts for maximising a set function of gains and pairwise costs, with a valid bound.

Chosen is z in {0, 1}^n that maximises

    Σ_i gain_i z_i − Σ_e [forward_e z_tail (1 − z_head) + backward_e (1 − z_tail) z_head].

The maximum flow of OR-Tools (push and relabel) takes whole numbers of 64 bits. Gains and costs that
are whole already are handed over as they are, and the answer is exact. Others are scaled and
rounded down, and the flow that comes back is divided by the scale again, so it is feasible for the
costs as given, and weak duality,

    max ≤ Σ_i max(0, gain_i − Σ_{e out of i} q_e + Σ_{e into i} q_e),  −backward ≤ q ≤ forward,

bounds the maximum in float64 whatever the rounding did. Ref: kolmogorov2004energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ortools.graph.python import max_flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST = 2.0**45
"""No capacity exceeds it: a node with 100,000 edges then stays within 64 bits."""
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

    def solve(self, gain: ArrayLike, forward: ArrayLike, backward: ArrayLike = 0.0) -> Cut:
        """The maximisers for `gain` [n] and costs ≥ 0 ([edges] or one number); costs may be inf.

        Raises ValueError where a gain is not finite or a cost is negative or NaN.
        """
        u, costs = self._checked(gain, forward, backward)
        # An edge that can carry more than all gains and losses is as good as one without limit.
        limited = np.minimum(costs, _ROOM * np.abs(u).sum())
        scale = _scale(np.concatenate([costs.ravel(), u]), limited, u)
        solver, flow = self._maximum_flow(np.floor(limited * scale), np.trunc(u * scale))
        q = np.clip(flow / scale, -costs[1], costs[0])
        through = np.bincount(self.heads, q, self.n) - np.bincount(self.tails, q, self.n)
        bound = float(np.maximum(u + through, 0).sum())
        inside = self._side(solver.get_source_side_min_cut())
        outside = self._side(solver.get_sink_side_min_cut())
        return Cut(inside, ~outside, bound, q)

    def _maximum_flow(self, costs: Floats, gain: Floats) -> tuple[max_flow.SimpleMaxFlow, Floats]:
        """The solved network and the net flow of every edge, for whole numbers."""
        every, source, sink = np.arange(self.n), self.n, self.n + 1
        # A gain comes in from the source and a loss goes out to the sink. One more arc joins these
        # two, because the solver names no sides of a cut where one of them has none.
        starts = np.append(np.where(gain > 0, source, every), source)
        ends = np.append(np.where(gain > 0, every, sink), sink)
        solver = max_flow.SimpleMaxFlow()
        arcs = solver.add_arcs_with_capacity(
            np.concatenate([self.tails, self.heads, starts]).astype(np.int32),
            np.concatenate([self.heads, self.tails, ends]).astype(np.int32),
            np.concatenate([*costs, np.abs(gain), [1.0]]).astype(np.int64),
        )
        status = solver.solve(source, sink)
        if status != solver.OPTIMAL:
            raise ArithmeticError(f"the maximum flow was not found: {status}")
        m = len(self.tails)
        flow = np.asarray(solver.flows(arcs[: 2 * m]), dtype=np.float64)
        return solver, flow[:m] - flow[m:]

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

    def _side(self, nodes: list[int]) -> NDArray[np.bool_]:
        found = np.zeros(self.n + 2, dtype=np.bool_)
        found[nodes] = True
        return found[: self.n]


def _scale(given: Floats, costs: Floats, gain: Floats) -> float:
    """The factor of all capacities before they are rounded down; 1 where that is exact."""
    largest = max(float(costs.max(initial=0)), float(np.abs(gain).sum()))
    # A look at a few tells most fractions without a pass over all.
    if largest <= LARGEST and _whole(given[:16]) and _whole(given):
        return 1.0
    return LARGEST / max(largest, float(np.finfo(np.float64).tiny) * LARGEST)


def _whole(numbers: Floats) -> bool:
    return bool(((numbers == np.floor(numbers)) | np.isinf(numbers)).all())


def _nodes(name: str, numbers: ArrayLike, n: int) -> Ints:
    nodes = np.asarray(numbers, dtype=np.int64)
    if nodes.size and not (nodes.min() >= 0 and nodes.max() < n):
        raise ValueError(
            f"{name} name node {nodes.min() if nodes.min() < 0 else nodes.max()}; the nodes are 0 "
            f"to {n - 1}"
        )
    return nodes
