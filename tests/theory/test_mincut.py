"""Minimum cuts behind the certificates: the maximum by brute force, and a flow that proves it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory.mincut import MinCut

Floats = NDArray[np.float64]


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_the_bound_is_the_maximum_and_the_flow_proves_it(size: float) -> None:
    rng = np.random.default_rng(int(np.log10(size)) + 9)
    for _ in range(60):
        n, m = int(rng.integers(2, 8)), int(rng.integers(0, 15))
        tails, heads = rng.integers(0, n, (2, m))
        gain, forward = rng.normal(size=n), rng.random(m) * size
        backward = rng.random(m)
        found = MinCut(n, tails, heads).solve(gain, forward, backward)
        z = np.array(list(product([0.0, 1.0], repeat=n)))
        worth = z @ gain - (z[:, tails] * (1 - z[:, heads])) @ forward
        worth -= ((1 - z[:, tails]) * z[:, heads]) @ backward
        assert worth.max() - 1e-12 <= found.bound <= worth.max() + 1e-9
        # Weak duality, summed up once more from the flow alone.
        assert (found.flow <= forward).all()
        assert (found.flow >= -backward).all()
        left = gain.copy()
        np.subtract.at(left, tails, found.flow)
        np.add.at(left, heads, found.flow)
        assert np.maximum(left, 0).sum() == pytest.approx(found.bound, abs=1e-12)
        assert (found.chosen <= found.largest).all()
        powers = 2 ** np.arange(n)[::-1]
        for side in (found.chosen, found.largest):
            assert worth[int(side @ powers)] == pytest.approx(worth.max(), abs=1e-9)


def test_a_fraction_behind_many_whole_numbers_is_not_lost() -> None:
    cost = np.ones(30)
    cost[-1] = 0.5
    found = MinCut(2, np.zeros(30, int), np.ones(30, int)).solve([40.0, -35.0], cost)
    assert found.bound == pytest.approx(10.5, abs=1e-9)  # 40 − 29.5, against 40 − 35 for both


@pytest.mark.parametrize(
    ("tails", "heads", "message"),
    [
        ([0, 1], [1], "2 tails and 1 heads"),
        ([0], [2], "heads name node 2; the nodes are 0 to 1"),
        ([-1], [1], "tails name node -1"),
    ],
)
def test_the_network_has_to_fit(tails: list[int], heads: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MinCut(2, tails, heads)


def test_gains_and_costs_have_to_fit() -> None:
    cut = MinCut(2, [0], [1])
    with pytest.raises(ValueError, match=r"gain has shape \(3,\); give 2 finite numbers"):
        cut.solve([1.0, 2.0, 3.0], 1.0)
    with pytest.raises(ValueError, match="finite"):
        cut.solve([1.0, np.inf], 1.0)
    with pytest.raises(ValueError, match=r"a cost is -1\.0"):
        cut.solve([1.0, 2.0], -1.0)
    with pytest.raises(ValueError, match="a cost is nan"):
        cut.solve([1.0, 2.0], np.nan)
