"""Closures by hand, and their chains against all sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from mke_theory.theory.expansion.closure import Closure, counted, decomposed, sums


def closure(
    good: Sequence[float], bad: Sequence[float], edges: Sequence[tuple[int, int]]
) -> Closure:
    """Good nodes 0, 1, …, then bad ones; an edge names a good node and the number of a bad one."""
    c, a = len(good), len(bad)
    gain, cost, whole = counted(np.array(good, float), np.array(bad, float))
    return Closure(
        good=np.r_[gain, np.zeros(a)],
        bad=np.r_[np.zeros(c), cost],
        tails=np.array([i for i, _ in edges], np.int64),
        heads=np.array([c + j for _, j in edges], np.int64),
        total=float(cost.sum()),
        whole=whole,
        good_at=np.arange(c),
        bad_at=np.arange(a),
        sizes=(c, a),
    )


def test_a_chain_by_hand() -> None:
    # Good 0 needs bad 0; good 1 needs bad 1 and 2; bad 3 is needed by nobody. Ratios 1 and 2.
    given = closure([1, 1], [1, 1, 1, 1], [(0, 0), (1, 1), (1, 2)])
    assert given.needed().tolist() == [True, True, True, True, True, False]
    chain = decomposed(given, lowest_only=False)
    assert chain.block.tolist() == [0, 1, 0, 1, 1, -1]
    assert chain.sent[:2].tolist() == [1, 2]  # good 1 pays for both that it needs
    gain, cost = sums(given, chain.block, chain.block >= 0, 2)
    assert (gain.tolist(), cost.tolist()) == ([1, 1], [1, 2])
    first = decomposed(given, lowest_only=True)
    assert first.block[[0, 2]].tolist() == [0, 0]
    assert first.cuts <= chain.cuts


def test_nodes_that_share_what_they_need_stay_together() -> None:
    # Each alone costs 1, both together cost 1: no part has a smaller ratio than 1/2.
    chain = decomposed(closure([1, 1], [1], [(0, 0), (1, 0)]), lowest_only=False)
    assert chain.block.tolist() == [0, 0, 0]
    assert chain.sent[:2].sum() == 1


@pytest.mark.parametrize("seed", range(30))
def test_the_first_block_has_the_least_ratio_of_all_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, a = (int(size) for size in rng.integers(1, 6, 2))
    good, bad = rng.random(c) + 0.1, rng.random(a) + 0.1
    near = rng.random((c, a)) < 0.5
    given = closure(good.tolist(), bad.tolist(), [(int(i), int(j)) for i, j in np.argwhere(near)])
    sets = [np.array(u, bool) for u in product((0, 1), repeat=c) if any(u)]
    good, bad = good / good.sum(), bad / bad.sum()  # weights that are counted have other units
    ratios = [bad[near[u].any(axis=0)].sum() / good[u].sum() for u in sets]
    chain = decomposed(given, lowest_only=False)
    gain, cost = sums(given, chain.block, chain.block >= 0, int(chain.block.max()) + 1)
    first = (cost[0] / given.total) / (gain[0] / given.good.sum())
    assert first == pytest.approx(min(ratios), abs=1e-11)
    assert (np.diff(cost / gain) > -1e-11).all()  # blocks come in the order of their ratio


def test_weights_are_counted_in_whole_units_where_they_have_one() -> None:
    good, bad, whole = counted(np.array([0.2, 0.4]), np.array([1 / 3, 1.0]))
    assert (good.tolist(), bad.tolist(), whole) == ([1, 2], [1, 3], True)
    good, bad, whole = counted(np.array([0.2, 0.41]), np.array([1.0, 2.0]))
    assert (good.tolist(), bad.tolist(), whole) == ([0.2, 0.41], [1, 2], False)
    # Whole numbers whose product the flow solver cannot hold stay as they are given.
    large = np.array([1.0, 2.0**30])
    assert counted(large, large)[2] is False
