"""Closures of good nodes and the bad ones they need, split until no part has a smaller ratio.

A good node gains its weight and a bad one costs its weight; who takes the tail of an edge has to
take its head. For one λ the set that maximises λ·gain − cost is a minimum cut's, and smaller λ have
smaller such sets. So one cut at λ = cost / gain of a block either splits the block in two or proves
that no part of it does worse, and every block of one depth is asked in the same cut.

The proof of a finished block is the flow of its last cut: no bad node receives more than it costs,
so the good nodes of any set send no more than what the set costs, whatever rounding did.
Ref: picard1976maximal; dinkelbach1967nonlinear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mke_theory.theory.max_flow import LARGEST, Floats, Ints, MinCut

ROUNDING = 1e-12
"""The relative error that sums of floats can have. Whole weights are summed exactly."""


@dataclass(frozen=True, eq=False)
class Closure:
    """Nodes of which good ones gain and bad ones cost; who takes a tail takes its head as well.

    `good` and `bad` [nodes] are weights, 0 for other nodes, in units in which they are whole
    numbers where `whole`. Nodes 0..|C|−1 are the good ones; `good_at` [|C|] and `bad_at` [|A|] are
    their places in pools of `sizes` points. `total` is the weight of all of A, in reach or not.
    """

    good: Floats
    bad: Floats
    tails: Ints
    heads: Ints
    total: float
    whole: bool
    good_at: Ints
    bad_at: Ints
    sizes: tuple[int, int]

    def needed(self) -> NDArray[np.bool_]:
        """The good nodes and all that they need."""
        found = self.good > 0
        while True:
            more = self.heads[found[self.tails]]
            if found[more].all():
                return found
            found[more] = True


@dataclass(frozen=True, eq=False)
class Chain:
    """Sets of nodes in the order of their ratio: `block` [nodes], −1 for what nothing needs.

    `sent` [nodes] is what a good node sends to bad ones, in the units of bad weights.
    """

    block: Ints
    sent: Floats
    cuts: int


def decomposed(closure: Closure, *, lowest_only: bool) -> Chain:
    """Blocks that no cut splits further; with `lowest_only`, only the first block is such a one."""
    block = np.where(closure.needed(), 0, -1)
    sent, undecided, cuts = np.zeros(len(block)), block >= 0, 0
    while undecided.any():
        chosen, flow = _cut(closure, block, undecided)
        cuts += 1
        lower = chosen & undecided
        split = undecided & _splits(closure, block, lower)[block]
        done = undecided & ~(lower & split) if lowest_only else undecided & ~split
        sent[done] = flow[done]
        undecided &= ~done
        inside = block >= 0
        block[inside] = np.unique(
            2 * block[inside] + (split & ~lower)[inside], return_inverse=True
        )[1]
    return Chain(block, sent, cuts)


def _splits(closure: Closure, block: Ints, lower: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True for each block whose lower part has a smaller ratio than the whole of it."""
    blocks = int(block.max()) + 1
    gain, cost = sums(closure, block, block >= 0, blocks)
    part_gain, part_cost = sums(closure, block, lower, blocks)
    margin = 0.0 if closure.whole else ROUNDING
    return np.asarray((part_gain > 0) & (part_cost * gain < cost * part_gain * (1 - margin)))


def _cut(
    closure: Closure, block: Ints, undecided: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Floats]:
    """The smallest maximiser of each undecided block at its own ratio, and what each node sends."""
    nodes = np.flatnonzero(undecided)
    place = np.full(len(block), -1)
    place[nodes] = np.arange(len(nodes))
    inner = undecided[closure.tails] & (block[closure.tails] == block[closure.heads])
    tails, heads = place[closure.tails[inner]], place[closure.heads[inner]]
    gain, cost = sums(closure, block, block >= 0, int(block.max()) + 1)
    # At λ = cost/gain a block breaks even. Multiplied out, whole weights stay whole numbers.
    price, unit = (cost, gain) if closure.whole else (cost / gain, np.ones(len(gain)))
    income = (closure.good * price[block])[nodes]
    expense = (closure.bad * unit[block])[nodes]
    side, flow = _closed(
        MinCut(len(nodes), tails, heads), income - expense, refine=not closure.whole
    )
    chosen, sent = np.zeros(len(block), dtype=np.bool_), np.zeros(len(block))
    chosen[nodes] = side
    sent[nodes] = np.bincount(tails, flow, len(nodes)) / unit[block[nodes]]
    return chosen, sent


def _closed(network: MinCut, gain: Floats, *, refine: bool) -> tuple[NDArray[np.bool_], Floats]:
    """The smallest closure of the largest gain, and the flow that proves it.

    A flow in whole units falls short of the maximum by some units. With `refine` the shortfall is
    sought for a second time, on its own and so much finer scale.
    """
    found = network.solve(gain, np.inf)
    # All that can be added is the gap between bound and maximum, so nothing has to be wider.
    gap = 2 * (found.bound - float(gain[found.chosen].sum()))
    if not refine or not gap > 0:
        return found.chosen, found.flow
    arrived = np.bincount(network.heads, found.flow, network.n)
    rest = gain + arrived - np.bincount(network.tails, found.flow, network.n)
    more = network.solve(np.clip(rest, -gap, gap), gap, np.minimum(found.flow, gap))
    return more.chosen, found.flow + more.flow


def sums(
    closure: Closure, block: Ints, where: NDArray[np.bool_], blocks: int
) -> tuple[Floats, Floats]:
    """The good and the bad weight of every block, of the nodes in the mask."""
    at = block[where]
    gain = np.bincount(at, closure.good[where], blocks)
    cost = np.bincount(at, closure.bad[where], blocks)
    return np.asarray(gain, np.float64), np.asarray(cost, np.float64)


def counted(good: Floats, bad: Floats) -> tuple[Floats, Floats, bool]:
    """Weights as whole numbers, and whether they are: as given, or as multiples of the smallest.

    Equal weights are. Their product has to fit the flow solver, else they stay as they are given.
    """
    sides = [_whole(good), _whole(bad)]
    fits = all((s > 0).all() for s in sides) and 4 * sides[0].sum() * sides[1].sum() < LARGEST
    return (sides[0], sides[1], True) if fits else (good, bad, False)


def _whole(weights: Floats) -> Floats:
    """The weights as whole numbers; zeros where they are none in any unit that is tried."""
    for times in (weights, weights / weights.min()):
        whole = np.round(times)
        if (np.abs(times - whole) <= ROUNDING * times).all():
            return whole
    return np.zeros_like(weights)
