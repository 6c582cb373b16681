"""The small sets of a pool and their neighbourhoods: every set tried, and bounds for all of them.

Ref: wei2021theoretical, Definition 3.1; tanner1984explicit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from mke_theory.theory.graph import Floats

BRUTE_FORCE_POINTS = 16
DENSE_POINTS = 1500
"""With at most so many points all eigenvalues are computed, else by Lanczos' method the largest."""
ROUNDING = 1e-12
_SCALINGS = 200


@dataclass(frozen=True, eq=False)
class SmallSets:
    """The sets V of n points with 0 < P(V) ≤ a, and what they reach.

    `near` [n, n] is symmetric and not zero where two points reach each other (kept as ones; every
    point reaches itself), `weights` [n] are positive. Where `excused`, a V that reaches all n
    points violates nothing, as for a whole class; a part of a class has no such sets.

    Raises ValueError where a shape does not fit, `near` is not symmetric or a weight not positive.
    """

    near: sparse.csr_array
    weights: Floats
    a: float
    excused: bool = True

    def __post_init__(self) -> None:
        n = len(self.weights)
        if self.near.shape != (n, n):
            raise ValueError(f"near has shape {self.near.shape}; {n} weights need ({n}, {n})")
        pattern = ((self.near != 0) + sparse.eye_array(n)).tocsr()
        pattern.data[:] = 1.0
        if (pattern != pattern.T).nnz:
            raise ValueError("near is not symmetric; two points reach each other or neither does")
        if not (np.isfinite(self.weights).all() and (self.weights > 0).all()):
            raise ValueError("a weight is not positive and finite; leave that point out")
        object.__setattr__(self, "near", pattern.astype(np.float64))

    @property
    def n(self) -> int:
        """The number of points."""
        return len(self.weights)

    def reach(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """N(V) as a mask [n]."""
        return np.asarray(self.near @ inside.astype(np.float64) > 0)

    def ratio(self, inside: NDArray[np.bool_]) -> float:
        """P(N(V)) / P(V), infinite for a V that is empty, too heavy or excused."""
        weight, reached = float(self.weights[inside].sum()), self.reach(inside)
        if not 0 < weight <= self.a + ROUNDING or (self.excused and reached.all()):
            return np.inf
        return float(self.weights[reached].sum()) / weight


def brute_force(sets: SmallSets) -> tuple[float, NDArray[np.bool_] | None]:
    """The best c exactly and a V that attains it, from all 2^n sets; (∞, None) without a V.

    Raises ValueError for more than 16 points.
    """
    if sets.n > BRUTE_FORCE_POINTS:
        raise ValueError(f"there are {sets.n} points; all sets of at most 16 can be tried")
    bits = 1 << np.arange(sets.n)
    reach, weight = np.zeros(1, np.int64), np.zeros(1)
    for row, p in zip(sets.near.toarray() > 0, sets.weights, strict=True):
        reach = np.concatenate([reach, reach | bits[row].sum()])
        weight = np.concatenate([weight, weight + p])
    allowed = (weight > 0) & (weight <= sets.a + ROUNDING)
    if sets.excused:
        allowed &= reach != len(reach) - 1
    if not allowed.any():
        return np.inf, None
    ratio = np.full(len(reach), np.inf)
    ratio[allowed] = weight[reach[allowed]] / weight[allowed]
    best = int(ratio.argmin())
    return float(ratio[best]), (best & bits) > 0


def smallest_neighbourhood(sets: SmallSets) -> float:
    """min_v P(N(v)) / a, at most the best c: V reaches what any one of its points reaches."""
    light = sets.weights <= sets.a + ROUNDING
    reached = sets.near @ sets.weights
    return float(reached[light].min()) / sets.a if light.any() else np.inf


def tanner(sets: SmallSets, seed: int = 0) -> float:
    """At most the best c: 1 / (ρ(1 − λ²) + λ²) with ρ = min{a, 1}, in [1, ∞).

    λ is the second largest absolute eigenvalue of a kernel K that is reversible for P and supported
    on N. For V of share ρ the vector K 1_V lives on N(V), has mean ρ and mean square at most
    ρ² + λ² ρ(1 − ρ), so by Cauchy and Schwarz P(N(V)) ≥ ρ / (ρ(1 − λ²) + λ²). Any such K will do;
    taken is the one that scales the 0/1 matrix of N to the margins P from both sides. (A kernel on
    B, applied twice, has the smaller support B∘B within the class and did worse on every pool
    tried.) With more than 1,500 points λ is the largest that Lanczos' method finds, plus its error.
    Ref: tanner1984explicit.
    """
    total = float(sets.weights.sum())
    share, square = min(sets.a / total, 1.0), _second_eigenvalue(sets, total, seed) ** 2
    return 1 / (share * (1 - square) + square)


def _second_eigenvalue(sets: SmallSets, total: float, seed: int) -> float:
    """The second largest absolute eigenvalue of the scaled kernel, or a bound on it."""
    p, joint = sets.weights / total, _scaled(sets.near, sets.weights / total)
    root = np.sqrt(p)
    if sets.n <= DENSE_POINTS:
        kernel = joint.toarray() / np.outer(root, root) - np.outer(root, root)
        return min(1.0, float(np.abs(np.linalg.eigvalsh(kernel)).max()) + ROUNDING)
    half = sparse.dia_array((1 / root[None], [0]), shape=(sets.n, sets.n))
    kernel = (half @ joint @ half).tocsr()
    deflated = LinearOperator(
        kernel.shape, matvec=lambda x: kernel @ x - root * (root @ x), dtype=np.float64
    )
    first = np.random.default_rng(seed).normal(size=sets.n)
    try:
        value, vector = eigsh(deflated, k=1, which="LM", v0=first, tol=1e-6)
    except ArpackError:
        return 1.0
    error = np.linalg.norm(deflated @ vector[:, 0] - value[0] * vector[:, 0])
    return min(1.0, float(abs(value[0]) + error))


def _scaled(near: sparse.csr_array, p: Floats) -> sparse.csr_array:
    """The symmetric x_u x_v on the pairs that are near, whose rows add up to p."""
    x = np.sqrt(p / (near @ np.ones(len(p))))
    for _ in range(_SCALINGS):
        x = np.sqrt(x * p / (near @ x))
    scale = sparse.dia_array((x[None], [0]), shape=near.shape)
    joint = (scale @ near @ scale).tocsr()
    rows = np.asarray(joint.sum(axis=1))
    # The mass that scaling has left over stays where it is: every point reaches itself.
    joint = joint / max(1.0, float((rows / p).max()))
    left = np.maximum(p - np.asarray(joint.sum(axis=1)), 0)
    return (joint + sparse.dia_array((left[None], [0]), shape=near.shape)).tocsr()
