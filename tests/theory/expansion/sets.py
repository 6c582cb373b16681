"""Small sets at random, and their best c from the definition."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mke_theory.theory.expansion.small_sets import (
    SmallSets,
)

Masks = NDArray[np.bool_]

SHARES = (0.1, 0.3, 0.5, 0.8, 1.0)


def naive(sets: SmallSets) -> float:
    """min P(N(V)) / P(V) over all V with 0 < P(V) ≤ a, set by set, from the definition."""
    near, best = sets.near.toarray() > 0, np.inf
    for number in range(1, 2**sets.n):
        v = (number >> np.arange(sets.n)) % 2 == 1
        reached, weight = near[v].any(axis=0), sets.weights[v].sum()
        if weight <= sets.a + 1e-12 and not (sets.excused and reached.all()):
            best = min(best, float(sets.weights[reached].sum() / weight))
    return best


def some_sets(seed: int, count: int, most: int = 10) -> Iterator[SmallSets]:
    """Up to `most` points with equal or other weights, classes of their own or parts of one."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        n = int(rng.integers(2, most + 1))
        near = np.eye(n)
        i, j = rng.integers(0, n, (2, int(rng.integers(0, 3 * n))))
        near[i, j] = near[j, i] = 1
        weights = np.ones(n) if k % 2 else 0.05 + rng.random(n)
        yield SmallSets(
            sparse.csr_array(near), weights / weights.sum(), float(rng.choice(SHARES)), k % 3 > 0
        )
