"""Relative expansion: the share of the bad set that a part of the good set reaches at least.

Good points C are those where the teacher is right, bad points A those where it is wrong, N(U) is
what lies within reach of U. Relative expansion and its profile are, both over all U ⊆ C,

    min P(N(U) | A) / P(U | C),  P(U) > 0,      and      q ↦ min P(N(U) | A),  P(U | C) ≥ q,

A minimum cut at λ = P(N(D) | A) / P(D | C) either splits a set D of good points in two or proves
that no part of it does worse. Going on with the lower part alone is Dinkelbach's iteration and ends
at the minimum ratio; going on with both gives every breakpoint of the profile's convex envelope.

The proof that comes with an answer is a flow from good to bad points that no bad point receives
more of than it weighs: P(N(U) | A) is at least what U sends out, whatever the rounding did.

Ref: lang2024theoretical, Theorem B.1; dinkelbach1967nonlinear; picard1976maximal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from mke_theory.theory.expansion.closure import ROUNDING, Chain, Closure, counted, decomposed, sums
from mke_theory.theory.graph import Floats, Graph, Ints


@dataclass(frozen=True, eq=False)
class RelativeExpansion:
    """The minimum of P(N(U) | A) / P(U | C), in [0, 1], with the U that attains it and a proof.

    `value` is the ratio of `witness`, so the minimum is at most that; it is at least `lower`. Where
    all points weigh alike the two are equal. `witness` is U as a mask over the pool, `reached` is
    N(U) ∩ A. `sent` (over the pool) is the proof: P(N(U) | A) ≥ Σ_U sent for every U ⊆ C, and
    `lower` is the smallest sent_i / P(i | C). `cuts` counts the minimum cuts it took.
    """

    value: float
    lower: float
    witness: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    sent: Floats
    cuts: int


@dataclass(frozen=True, eq=False)
class RelativeExpansionProfile:
    """Bounds on q ↦ min over U ⊆ C, P(U | C) ≥ q of P(N(U) | A), exact at the breakpoints.

    `shares` and `values` [k + 1] are P(U_j | C) and P(N(U_j) | A) of the nested sets U_0 = ∅ ⊂ U_1
    ⊂ … ⊂ U_k = C, the corners of the convex envelope. `block` (over the pool) is the first j with
    the point in U_j, −1 outside C. `weight` and `sent` (over the pool) are P(i | C) and the proof:
    P(N(U) | A) ≥ Σ_U sent for every U ⊆ C. `cuts` counts the minimum cuts it took.
    """

    shares: Floats
    values: Floats
    block: Ints
    weight: Floats
    sent: Floats
    cuts: int

    def witness(self, j: int) -> NDArray[np.bool_]:
        """U_j as a mask over the pool, j in 0..k."""
        return (self.block >= 0) & (self.block <= j)

    def lower(self, q: float) -> float:
        """At most P(N(U) | A) for every U ⊆ C with P(U | C) ≥ q; convex in q, 0 at q = 0."""
        shares, sent = self._cheapest
        return float(np.interp(_share("q", q), shares, sent))

    def upper(self, q: float) -> float:
        """P(N(U) | A) of the first breakpoint with P(U | C) ≥ q, so the minimum is at most that."""
        at = np.searchsorted(self.shares, _share("q", q) - ROUNDING)
        return float(self.values[min(int(at), len(self.values) - 1)])

    @cached_property
    def _cheapest(self) -> tuple[Floats, Floats]:
        """The least that a share of C sends out: points in order of what they send a weight."""
        good = self.weight > 0
        weight, sent = self.weight[good], self.sent[good]
        order = np.argsort(sent / weight, kind="stable")
        # n sums of positive floats are off by n units in the last place: to the safe side, then.
        slack = (len(order) + 4) * float(np.finfo(np.float64).eps)
        shares = np.cumsum(weight[order]) * (1 + slack)
        total = np.cumsum(sent[order]) * (1 - slack)
        return np.concatenate([[0.0], shares]), np.concatenate([[0.0], total])


def relative_expansion(
    graph: Graph, bad: ArrayLike, good: ArrayLike, *, steps: int = 2
) -> RelativeExpansion:
    """The worst ratio P(N(U) | A) / P(U | C) over U ⊆ C, with a witness and a proof.

    `graph` is B; N is two steps of it (`steps=2`, two perturbations meet in a point of the pool) or
    one. A (`bad`) and C (`good`) are disjoint masks [n], each of positive weight. A good point of
    weight 0 is never in the witness.

    Raises ValueError where a mask has another shape, is empty or weightless, the masks overlap, or
    steps is not 1 or 2; TypeError where a mask is not of booleans.
    Ref: lang2024theoretical, Theorem B.1.
    """
    return _relative(_closure_of_graph(graph, bad, good, steps))


def relative_expansion_between(
    neighbours: sparse.sparray,
    good_weights: ArrayLike | None = None,
    bad_weights: ArrayLike | None = None,
) -> RelativeExpansion:
    """The same for two pools: `neighbours` [|C|, |A|] is not zero where a good point reaches a bad.

    Weights [|C|] and [|A|] are at least 0, scaled to sum to one, and uniform where not given.
    `witness` and `sent` are over C, `reached` is over A.

    Raises ValueError where shapes do not fit, a side is empty or weightless, or a weight is
    negative or not finite.
    """
    return _relative(_closure_of_pools(neighbours, good_weights, bad_weights))


def relative_expansion_profile(
    graph: Graph, bad: ArrayLike, good: ArrayLike, *, steps: int = 2
) -> RelativeExpansionProfile:
    """The profile q ↦ min P(N(U) | A) over P(U | C) ≥ q; arguments as for `relative_expansion`.

    Points without a bad neighbour make the minimum ratio 0; the profile still bounds the others.
    """
    return _profile(_closure_of_graph(graph, bad, good, steps))


def relative_expansion_profile_between(
    neighbours: sparse.sparray,
    good_weights: ArrayLike | None = None,
    bad_weights: ArrayLike | None = None,
) -> RelativeExpansionProfile:
    """The profile for two pools, over C; arguments as for `relative_expansion_between`."""
    return _profile(_closure_of_pools(neighbours, good_weights, bad_weights))


def certified_constant(profile: RelativeExpansionProfile, q: float) -> float:
    """A c with P(U | C) > q ⇒ P(N(U) | A) > c P(U | C) for all U ⊆ C, 0 where none is certified.

    It is the largest c that the convex envelope allows, lower(q)/q (or its slope at q = 0), less a
    relative 1e-12, since the inequality is strict: this is the (c, q) of the theorem.

    Raises ValueError for q outside [0, 1).
    Ref: lang2024theoretical, Theorem B.1.
    """
    if not 0 <= q < 1:
        raise ValueError(f"q is {q}; it has to lie in [0, 1): no set weighs more than all of C")
    # The envelope is convex and 0 at 0, so envelope(t)/t grows with t: the worst t is the least.
    shares, sent = profile._cheapest
    at = max(q, float(shares[1]))
    return (1 - ROUNDING) * float(np.interp(at, shares, sent)) / at


def _relative(closure: Closure) -> RelativeExpansion:
    chain = decomposed(closure, lowest_only=True)
    weight, sent = _of_good(closure, chain)
    first = chain.block == 0
    everyone = closure.good.sum()
    value = (closure.bad[first].sum() * everyone) / (closure.good[first].sum() * closure.total)
    at_least = sent[weight > 0] / weight[weight > 0]
    good, bad = len(closure.good_at), len(closure.bad_at)
    witness, reached = (np.zeros(size, dtype=np.bool_) for size in closure.sizes)
    witness[closure.good_at[first[:good]]] = True
    reached[closure.bad_at[first[good : good + bad]]] = True
    lower = min(float(at_least.min()), float(value))
    if closure.whole and lower >= value * (1 - ROUNDING):
        lower = float(value)  # equal as fractions of whole numbers, and divided differently
    return RelativeExpansion(float(value), lower, witness, reached, sent, chain.cuts)


def _profile(closure: Closure) -> RelativeExpansionProfile:
    chain = decomposed(closure, lowest_only=False)
    weight, sent = _of_good(closure, chain)
    inside = chain.block >= 0
    gain, cost = sums(closure, chain.block, inside, int(chain.block.max()) + 1)
    shares = np.concatenate([[0.0], np.minimum(np.cumsum(gain) / gain.sum(), 1.0)])
    values = np.concatenate([[0.0], np.cumsum(cost) / closure.total])
    block = np.full(closure.sizes[0], -1)
    block[closure.good_at] = chain.block[: len(closure.good_at)] + 1
    return RelativeExpansionProfile(shares, values, block, weight, sent, chain.cuts)


def _of_good(closure: Closure, chain: Chain) -> tuple[Floats, Floats]:
    """P(i | C) and what i sends of P(· | A), both over the good pool."""
    good = len(closure.good_at)
    weight, sent = np.zeros(closure.sizes[0]), np.zeros(closure.sizes[0])
    weight[closure.good_at] = closure.good[:good] / closure.good.sum()
    sent[closure.good_at] = chain.sent[:good] / closure.total
    return weight, sent if closure.whole else sent * (1 - ROUNDING)


# From pools to closures


def _closure_of_graph(graph: Graph, bad: ArrayLike, good: ArrayLike, steps: int) -> Closure:
    if steps not in (1, 2):
        raise ValueError(f"steps is {steps}; N is one step of the graph or two")
    a, c = (_mask(name, mask, graph) for name, mask in (("bad", bad), ("good", good)))
    if (a & c).any():
        both = int(np.flatnonzero(a & c)[0])
        raise ValueError(f"point {both} is both bad and good; the teacher is either right or wrong")
    bad_at, good_at = (np.flatnonzero(mask & (graph.weights > 0)) for mask in (a, c))
    if steps == 1:
        near = graph.adjacency[good_at][:, bad_at].tocoo()
        pairs = near.row.astype(np.int64), near.col.astype(np.int64) + len(good_at)
    else:
        pairs = _through_middle(graph, good_at, bad_at)
    return _closure(
        pairs, graph.weights[good_at], graph.weights[bad_at], good_at, bad_at, (graph.n, graph.n)
    )


def _through_middle(graph: Graph, good_at: Ints, bad_at: Ints) -> tuple[Ints, Ints]:
    """Edges from good points to the pool and from the pool to bad points: B∘B without its n²."""
    near = graph.adjacency + sparse.eye_array(graph.n)
    there, on = near.tocsr()[good_at].tocoo(), near.tocsc()[:, bad_at].tocoo()
    useful = np.zeros(graph.n, dtype=np.bool_)
    useful[on.row] = True
    kept, first = useful[there.col], len(good_at) + len(bad_at)
    tails = np.concatenate([there.row[kept], first + on.row.astype(np.int64)])
    heads = np.concatenate([first + there.col[kept], len(good_at) + on.col.astype(np.int64)])
    return tails.astype(np.int64), heads.astype(np.int64)


def _closure_of_pools(
    neighbours: sparse.sparray, good_weights: ArrayLike | None, bad_weights: ArrayLike | None
) -> Closure:
    near = sparse.csr_array(neighbours)
    weights = [
        _side_weights(name, given, size)
        for name, given, size in zip(
            ("good_weights", "bad_weights"), (good_weights, bad_weights), near.shape, strict=True
        )
    ]
    good_at, bad_at = (np.flatnonzero(w > 0) for w in weights)
    pairs = (near[good_at][:, bad_at] != 0).tocoo()
    ends = pairs.row.astype(np.int64), pairs.col.astype(np.int64) + len(good_at)
    sizes = (near.shape[0], near.shape[1])
    return _closure(ends, weights[0][good_at], weights[1][bad_at], good_at, bad_at, sizes)


def _closure(
    ends: tuple[Ints, Ints],
    good: Floats,
    bad: Floats,
    good_at: Ints,
    bad_at: Ints,
    sizes: tuple[int, int],
) -> Closure:
    good, bad, whole = counted(good, bad)
    nodes = max(len(good) + len(bad), int(max(e.max(initial=-1) for e in ends)) + 1)
    gain, cost = np.zeros(nodes), np.zeros(nodes)
    gain[: len(good)] = good
    cost[len(good) : len(good) + len(bad)] = bad
    return Closure(gain, cost, *ends, bad.sum(), whole, good_at, bad_at, sizes)


def _mask(name: str, mask: ArrayLike, graph: Graph) -> NDArray[np.bool_]:
    found = np.asarray(mask)
    if found.dtype != np.bool_:
        raise TypeError(f"{name} is {found.dtype}; give a mask of booleans, one a point")
    if found.shape != (graph.n,):
        raise ValueError(f"{name} has shape {found.shape}; the pool has {graph.n} points")
    if not graph.weights[found].sum() > 0:
        raise ValueError(f"{name} has no point of positive weight, so nothing is conditional on it")
    return found


def _side_weights(name: str, given: ArrayLike | None, size: int) -> Floats:
    if size == 0:
        raise ValueError(f"neighbours has no {name.split('_')[0]} point; both sides need one")
    w = np.ones(size) if given is None else np.asarray(given, dtype=np.float64)
    if w.shape != (size,):
        raise ValueError(f"{name} has shape {w.shape}; there are {size} points, give one each")
    if not np.isfinite(w).all() or w.min() < 0 or not w.sum() > 0:
        raise ValueError(
            f"{name} run from {w.min()} to {w.max()}; they have to be finite, at least 0 and not "
            "all 0"
        )
    return w


def _share(name: str, q: float) -> float:
    if not 0 <= q <= 1:
        raise ValueError(f"{name} is {q}; it has to lie in [0, 1]")
    return float(q)
