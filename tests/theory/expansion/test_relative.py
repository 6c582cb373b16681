"""Relative expansion is the minimum over all sets, and its profile lies below every set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import linprog

from mke_theory.theory.expansion.relative import (
    certified_constant,
    relative_expansion,
    relative_expansion_between,
    relative_expansion_profile,
    relative_expansion_profile_between,
)
from mke_theory.theory.graph import Graph, radius_graph

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

CLOSE = 1e-11
"""Sums of a dozen weights in float64, and the 1e-12 that is taken off what is certified."""


def subsets(n: int) -> Masks:
    return (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1


def of_all_sets(near: Masks, good: Floats, bad: Floats) -> tuple[Floats, Floats]:
    """P(U | C) and P(N(U) | A) of all 2^|C| sets U, from the definition."""
    u = subsets(len(good))
    reached = u.astype(int) @ near.astype(int) > 0
    return u @ good / good.sum(), reached @ bad / bad.sum()


Pools = tuple[Masks, Floats, Floats]


def some_pools(seed: int, count: int) -> Iterator[Pools]:
    """Up to 8 good and 9 bad points; equal, whole or any weights, some of them 0."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        sizes = rng.integers(1, 9), rng.integers(1, 10)
        near = rng.random(sizes) < rng.choice([0.1, 0.3, 0.6])
        kind = (
            lambda n: np.ones(n),
            lambda n: rng.integers(0, 4, n).astype(float),
            lambda n: rng.random(n) ** rng.choice([1, 4]),
        )[k % 3]
        good, bad = (kind(size) for size in sizes)
        if good.sum() > 0 and bad.sum() > 0:
            yield near, good, bad


def some_world(seed: int, n: int = 9) -> tuple[Graph, Masks, Masks]:
    """A graph of n points with bad, good and other ones, each kind at least once."""
    rng = np.random.default_rng(seed)
    weights = rng.random(n) if seed % 2 else np.ones(n)
    edges = rng.integers(0, n, (int(rng.integers(2, 2 * n)), 2))
    kind = np.concatenate([[0, 1, 2], rng.integers(0, 3, n - 3)])
    return Graph.from_edges(n, edges, weights=weights / weights.sum()), kind == 0, kind == 1


def neighbour_matrix(graph: Graph, steps: int) -> Masks:
    step = (graph.adjacency.toarray() > 0).astype(int) + np.eye(graph.n, dtype=int)
    return np.linalg.matrix_power(step, steps) > 0


# --- by hand -------------------------------------------------------------------------------------


def test_by_hand() -> None:
    # Good points 0, 1, 2 reach bad ones {0}, {0, 1}, {2}; a third bad point is out of reach.
    near = sparse.csr_array(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]))
    found = relative_expansion_between(near)
    # {0} and {2}: (1/4)/(1/3). {0, 1}: (2/4)/(2/3). All: (3/4)/1. The same for every one of them.
    assert found.value == found.lower == pytest.approx(0.75)
    # With bad point 0 at half of all weight, {2} reaches least: (1/6)/(1/3).
    found = relative_expansion_between(near, bad_weights=[3.0, 1.0, 1.0, 1.0])
    assert found.value == found.lower == pytest.approx(0.5)
    assert found.witness.tolist() == [False, False, True]
    assert found.reached.tolist() == [False, False, True, False]


def test_two_steps_by_hand() -> None:
    # good 0 – other 1 – bad 2 – good 3, and good 4 alone.
    graph = Graph.from_edges(5, [[0, 1], [1, 2], [2, 3]])
    bad, good = np.arange(5) == 2, np.isin(np.arange(5), [0, 3, 4])
    profile = relative_expansion_profile(graph, bad, good)
    assert profile.shares == pytest.approx([0, 1 / 3, 1])
    assert profile.values.tolist() == [0.0, 0.0, 1.0]
    assert [profile.witness(j).nonzero()[0].tolist() for j in range(3)] == [[], [4], [0, 3, 4]]
    assert profile.lower(2 / 3) == pytest.approx(0.5)
    assert profile.upper(2 / 3) == 1.0
    # P(U | C) > 1/2 ⇒ U holds two points ⇒ the envelope has at least 1/4 there: c = (1/4)/(1/2).
    assert certified_constant(profile, 0.5) == pytest.approx(0.5)
    assert certified_constant(profile, 1 / 3) == pytest.approx(0.0, abs=1e-12)
    # In one step 0 reaches nothing bad either.
    one_step = relative_expansion_profile(graph, bad, good, steps=1)
    assert one_step.shares == pytest.approx([0, 2 / 3, 1])


def test_an_isolated_good_point_has_ratio_zero() -> None:
    near = np.ones((3, 4), dtype=int)
    near[1] = 0
    found = relative_expansion_between(sparse.csr_array(near))
    assert (found.value, found.lower) == (0.0, 0.0)
    assert found.witness.tolist() == [False, True, False]
    assert not found.reached.any()


def test_everyone_near_everyone_has_ratio_one() -> None:
    found = relative_expansion_between(sparse.csr_array(np.ones((5, 3))))
    assert (found.value, found.lower, found.cuts) == (1.0, 1.0, 1)
    assert found.witness.all()


def test_nobody_near_a_bad_point_has_ratio_zero() -> None:
    empty = sparse.csr_array((4, 3))
    assert relative_expansion_between(empty).value == 0.0
    profile = relative_expansion_profile_between(empty)
    assert (profile.shares.tolist(), profile.values.tolist()) == ([0, 1], [0, 0])
    assert certified_constant(profile, 0.9) == 0.0


# --- against all subsets -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_ratio_is_the_minimum_over_all_sets(seed: int) -> None:
    for near, good, bad in some_pools(seed, 50):
        share, reached = of_all_sets(near, good, bad)
        best = (reached[share > 0] / share[share > 0]).min()
        found = relative_expansion_between(sparse.csr_array(near), good, bad)
        assert found.value == pytest.approx(best, abs=CLOSE)
        assert found.lower <= best + 1e-15
        if set(good) <= {0.0, 1.0, 2.0, 3.0}:
            assert found.lower == found.value
        at = found.witness @ (1 << np.arange(len(good)))
        assert reached[at] / share[at] == pytest.approx(best, abs=CLOSE)
        assert found.reached.tolist() == (near[found.witness].any(axis=0) & (bad > 0)).tolist()


@pytest.mark.parametrize("seed", range(6))
def test_what_is_sent_proves_the_bound_for_all_sets(seed: int) -> None:
    for near, good, bad in some_pools(seed, 50):
        reached = of_all_sets(near, good, bad)[1]
        u, matrix = subsets(len(good)), sparse.csr_array(near)
        for prove in (relative_expansion_between, relative_expansion_profile_between):
            found = prove(matrix, good, bad)
            assert (u @ found.sent <= reached + 1e-15).all()
        weight = good / good.sum()
        one = relative_expansion_between(matrix, good, bad)
        assert one.lower == pytest.approx((one.sent[good > 0] / weight[good > 0]).min())


@pytest.mark.parametrize("seed", range(6))
def test_the_profile_is_the_convex_envelope_of_all_sets(seed: int) -> None:
    for near, good, bad in some_pools(seed, 40):
        share, reached = of_all_sets(near, good, bad)
        profile = relative_expansion_profile_between(sparse.csr_array(near), good, bad)
        # A convex function that lies below all sets and touches one at every corner.
        slopes = np.diff(profile.values) / np.diff(profile.shares)
        assert (np.diff(slopes) > -CLOSE).all()
        assert (np.interp(share, profile.shares, profile.values) <= reached + CLOSE).all()
        for j, (x, y) in enumerate(zip(profile.shares, profile.values, strict=True)):
            at = profile.witness(j) @ (1 << np.arange(len(good)))
            assert (share[at], reached[at]) == pytest.approx((x, y), abs=CLOSE)
        assert profile.shares[-1] == 1.0


@pytest.mark.parametrize("seed", range(6))
def test_the_profile_bounds_every_share_from_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for near, good, bad in some_pools(seed, 40):
        share, reached = of_all_sets(near, good, bad)
        profile = relative_expansion_profile_between(sparse.csr_array(near), good, bad)
        for q in [0.0, 1.0, *rng.random(4), *np.minimum(rng.choice(share, 4), 1.0)]:
            least = reached[share >= q - 1e-12].min()
            assert profile.lower(q) <= least + 1e-15
            assert least <= profile.upper(q) + CLOSE
        # At a corner both are exact, but for what the last digit of a share is worth there.
        steep = np.diff(profile.values, prepend=0) / np.diff(profile.shares, prepend=-1)
        for q, value, slope in zip(profile.shares, profile.values, steep, strict=True):
            assert value - 1e-9 - 1e-14 * slope <= profile.lower(q) <= value + 1e-15
            assert profile.upper(q) == value


@pytest.mark.parametrize("seed", range(6))
def test_the_certified_constant_holds_for_all_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for near, good, bad in some_pools(seed, 40):
        share, reached = of_all_sets(near, good, bad)
        profile = relative_expansion_profile_between(sparse.csr_array(near), good, bad)
        for q in [0.0, *rng.random(4), *rng.choice(share[share < 1], 3)]:
            c, large = certified_constant(profile, q), share > q
            assert 0 <= c <= 1
            assert c == 0 or (reached[large] > c * share[large]).all()
        least = relative_expansion_between(sparse.csr_array(near), good, bad).value
        assert certified_constant(profile, 0.0) == pytest.approx(least, abs=1e-6)


def test_the_certified_constant_is_strict() -> None:
    # One good point that reaches the only bad one: 1 > c · 1 has to hold, by the margin promised.
    # What sums lose to rounding is allowed for as well, which is a thousandth of that margin here.
    profile = relative_expansion_profile_between(sparse.csr_array(np.ones((1, 1))))
    for q in (0.0, 0.5):
        assert 1 - 2e-12 < certified_constant(profile, q) < 1 - 5e-13


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("seed", range(30))
def test_a_graph_gives_what_its_neighbour_matrix_gives(seed: int, steps: int) -> None:
    graph, bad, good = some_world(seed)
    near = neighbour_matrix(graph, steps)[good][:, bad]
    share, reached = of_all_sets(near, graph.weights[good], graph.weights[bad])
    found = relative_expansion(graph, bad, good, steps=steps)
    assert found.value == pytest.approx((reached[share > 0] / share[share > 0]).min(), abs=CLOSE)
    assert not (found.witness & ~good).any()
    around = graph.neighbourhood if steps == 2 else graph.reach
    assert found.reached.tolist() == (around(found.witness) & bad).tolist()
    profile = relative_expansion_profile(graph, bad, good, steps=steps)
    between = relative_expansion_profile_between(
        sparse.csr_array(near), graph.weights[good], graph.weights[bad]
    )
    assert profile.shares == pytest.approx(between.shares)
    assert profile.values == pytest.approx(between.values)
    assert (profile.block[good] == between.block).all()
    assert (profile.block[~good] == -1).all()


def test_two_steps_agree_with_the_graph_of_two_steps() -> None:
    x = np.random.default_rng(5).normal(size=(300, 2))
    graph = radius_graph(x, 0.25)
    bad, good = x[:, 0] > 0.3, x[:, 0] < 0.1
    through = relative_expansion_profile(graph, bad, good)
    direct = relative_expansion_profile(graph.two_steps(), bad, good, steps=1)
    assert len(through.shares) > 5
    assert through.shares == pytest.approx(direct.shares)
    assert through.values == pytest.approx(direct.values)


def test_the_ratio_agrees_with_a_linear_programme() -> None:
    # max λ with a flow that sends λ w_c from every good point and brings no bad one more than w_a.
    rng = np.random.default_rng(0)
    for _ in range(5):
        near = sparse.coo_array(rng.random((30, 25)) < 0.15)
        good, bad = rng.random(30), rng.random(25)
        m = near.nnz
        sends = sparse.csr_array((np.ones(m), (near.row, np.arange(m))), shape=(30, m))
        brings = sparse.csr_array((np.ones(m), (near.col, np.arange(m))), shape=(25, m))
        demand = sparse.csr_array((good / good.sum())[:, None])
        answer = linprog(
            np.r_[np.zeros(m), -1.0],
            A_ub=sparse.hstack([brings, sparse.csr_array((25, 1))]),
            b_ub=bad / bad.sum(),
            A_eq=sparse.hstack([sends, -demand]),
            b_eq=np.zeros(30),
        )
        found = relative_expansion_between(near, good, bad)
        assert found.value == pytest.approx(-answer.fun, abs=1e-7)
        assert found.lower == pytest.approx(found.value, abs=1e-9)


# --- properties ----------------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_an_edge_more_never_makes_it_smaller(seed: int) -> None:
    graph, bad, good = some_world(seed)
    pair = np.random.default_rng(seed).integers(0, graph.n, (1, 2))
    more = Graph.from_edges(graph.n, np.concatenate([graph.edges, pair]), weights=graph.weights)
    before, after = (relative_expansion(g, bad, good).value for g in (graph, more))
    assert after >= before - CLOSE
    before, after = (relative_expansion_profile(g, bad, good).lower(0.5) for g in (graph, more))
    assert after >= before - CLOSE


@given(st.integers(0, 10**6))
def test_points_may_be_renamed(seed: int) -> None:
    graph, bad, good = some_world(seed)
    name = np.random.default_rng(seed).permutation(graph.n)
    weights, a, c = np.empty(graph.n), np.empty_like(bad), np.empty_like(good)
    weights[name], a[name], c[name] = graph.weights, bad, good
    moved = Graph.from_edges(graph.n, name[graph.edges], weights=weights)
    one, other = relative_expansion(graph, bad, good), relative_expansion(moved, a, c)
    assert other.value == pytest.approx(one.value, abs=CLOSE)
    one_profile = relative_expansion_profile(graph, bad, good)
    other_profile = relative_expansion_profile(moved, a, c)
    assert other_profile.values == pytest.approx(one_profile.values, abs=CLOSE)
    assert other_profile.block[name].tolist() == one_profile.block.tolist()


def test_weights_count_like_copies() -> None:
    for near, good, bad in some_pools(1, 60):
        whole = (np.round(3 * good), np.round(3 * bad))
        if min(w.sum() for w in whole) == 0:
            continue
        copies = near.repeat(whole[0].astype(int), axis=0).repeat(whole[1].astype(int), axis=1)
        one = relative_expansion_between(sparse.csr_array(near), *whole)
        many = relative_expansion_between(sparse.csr_array(copies))
        assert (one.value, one.lower) == pytest.approx((many.value, many.lower), abs=1e-14)


def test_points_of_no_weight_count_for_nothing() -> None:
    graph, bad, good = some_world(0)
    none = np.where(np.arange(9) < 3, 0.0, 1.0)
    weightless = replace(graph, weights=none / none.sum())
    if not (none[bad].any() and none[good].any()):
        pytest.fail("the world has to keep a bad and a good point")
    found = relative_expansion(weightless, bad, good)
    lighter = relative_expansion(weightless, bad & (none > 0), good & (none > 0))
    assert (found.value, found.lower) == (lighter.value, lighter.lower)
    assert not found.witness[:3].any()


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_large_pools_are_proved_up_to_rounding(spread: float) -> None:
    # Equal weights are exact; others are spread over some orders of magnitude.
    rng = np.random.default_rng(2)
    n = 4000
    near = sparse.csr_array(
        (np.ones(6 * n), (np.repeat(np.arange(n), 6), rng.integers(0, n // 2, 6 * n))), shape=(n, n)
    )
    good, bad = (10.0 ** (spread * rng.random(n)) for _ in range(2))
    found = relative_expansion_between(near, good, bad)
    assert found.lower <= found.value <= found.lower * (1 + (1e-10 if spread else 1e-15))
    profile = relative_expansion_profile_between(near, good, bad)
    below = np.array([profile.lower(q) for q in profile.shares])
    assert (np.abs(below - profile.values) <= 1e-10).all()


# --- what is refused -----------------------------------------------------------------------------

FOUR = Graph.from_edges(4, [[0, 1], [1, 2], [2, 3]], weights=[0.5, 0.25, 0.25, 0.0])
T, F = True, False


@pytest.mark.parametrize(
    ("bad", "good", "message"),
    [
        ([T, F, F, F], [T, T, F, F], "point 0 is both bad and good"),
        ([F, F, F, F], [T, T, F, F], "bad has no point of positive weight"),
        ([T, F, F, F], [F, F, F, F], "good has no point of positive weight"),
        ([F, F, F, T], [T, F, F, F], "bad has no point of positive weight"),
        ([T, F, F], [F, T, F, F], r"bad has shape \(3,\); the pool has 4 points"),
    ],
)
def test_masks_have_to_fit(bad: list[bool], good: list[bool], message: str) -> None:
    for ask in (relative_expansion, relative_expansion_profile):
        with pytest.raises(ValueError, match=message):
            ask(FOUR, bad, good)


def test_masks_are_booleans_and_steps_one_or_two() -> None:
    with pytest.raises(TypeError, match="bad is int64; give a mask of booleans"):
        relative_expansion(FOUR, [0, 1, 0, 0], [T, F, F, F])
    with pytest.raises(ValueError, match="steps is 3; N is one step of the graph or two"):
        relative_expansion(FOUR, [T, F, F, F], [F, T, F, F], steps=3)


@pytest.mark.parametrize(
    ("shape", "good", "bad", "message"),
    [
        ((2, 3), [1.0], None, r"good_weights has shape \(1,\); there are 2 points"),
        ((2, 3), None, [1.0, 1.0, -1.0], "bad_weights run from -1.0 to 1.0"),
        ((2, 3), [np.nan, 1.0], None, "good_weights run from nan"),
        ((2, 3), [0.0, 0.0], None, "not all 0"),
        ((0, 3), None, None, "neighbours has no good point"),
        ((2, 0), None, None, "neighbours has no bad point"),
    ],
)
def test_two_pools_have_to_fit(
    shape: tuple[int, int], good: ArrayLike | None, bad: ArrayLike | None, message: str
) -> None:
    for ask in (relative_expansion_between, relative_expansion_profile_between):
        with pytest.raises(ValueError, match=message):
            ask(sparse.csr_array(shape), good, bad)


def test_shares_lie_between_zero_and_one() -> None:
    profile = relative_expansion_profile_between(sparse.csr_array(np.ones((2, 2))))
    for q in (-0.1, 1.1, float("nan")):
        for ask in (profile.lower, profile.upper, partial(certified_constant, profile)):
            with pytest.raises(ValueError, match="q is"):
                ask(q)
    with pytest.raises(ValueError, match=r"q is 1\.0; it has to lie in \[0, 1\): no set weighs"):
        certified_constant(profile, 1.0)
