"""A cut is the maximum, its two ends are the smallest and the largest one, its bound is a proof."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mke_theory.theory.max_flow import LARGEST, Cut, MinCut

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def choices(n: int) -> NDArray[np.bool_]:
    """Every subset of n nodes, [2^n, n]."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1


def worth(z: NDArray[np.bool_], u: Floats, ends: Ints, forward: Floats, backward: Floats) -> Floats:
    """The value of each row of z, straight from the definition."""
    tail, head = z[:, ends[:, 0]], z[:, ends[:, 1]]
    return z @ u - (tail & ~head) @ forward - (~tail & head) @ backward


def some_network(rng: np.random.Generator) -> tuple[Floats, Ints, Floats, Floats]:
    """Up to 7 nodes and 15 edges, parallel ones and loops among them, with whole numbers."""
    n, m = int(rng.integers(1, 8)), int(rng.integers(0, 16))
    ends = rng.integers(0, n, (m, 2))
    gain = rng.integers(-6, 7, n).astype(float)
    forward, backward = rng.integers(0, 5, (2, m)).astype(float)
    return gain, ends, forward, backward


def solved(gain: Floats, ends: Ints, forward: Floats, backward: Floats) -> Cut:
    return MinCut(len(gain), ends[:, 0], ends[:, 1]).solve(gain, forward, backward)


# --- by hand -------------------------------------------------------------------------------------


def test_by_hand() -> None:
    # Node 0 gains 3 and needs node 1 (loses 1, cost 2 if left out): taking both is worth 2.
    found = MinCut(2, [0], [1]).solve([3.0, -1.0], 2.0)
    assert found.chosen.tolist() == found.largest.tolist() == [True, True]
    assert (found.bound, found.flow.tolist()) == (2.0, [1.0])
    # Leaving node 1 out costs less than it loses: 3 − 2.
    found = MinCut(2, [0], [1]).solve([3.0, -5.0], 2.0)
    assert found.chosen.tolist() == [True, False]
    assert found.bound == 1.0


def test_a_tie_has_a_smallest_and_a_largest_end() -> None:
    found = MinCut(3, [0], [1]).solve([2.0, -2.0, 0.0], np.inf)
    assert found.chosen.tolist() == [False, False, False]
    assert found.largest.tolist() == [True, True, True]
    assert found.bound == 0.0


def test_without_edges_every_gain_is_taken() -> None:
    found = MinCut(3, [], []).solve([0.3, -0.2, 0.1], 1.0)
    assert found.chosen.tolist() == [True, False, True]
    assert found.bound == pytest.approx(0.4, abs=1e-12)
    assert found.flow.shape == (0,)


def test_all_gains_may_be_zero() -> None:
    found = MinCut(2, [0], [1]).solve([0.0, 0.0], 1.0)
    assert (found.bound, found.chosen.any(), found.largest.all()) == (0.0, False, True)


# --- against all subsets -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_whole_numbers_are_exact(seed: int) -> None:
    # `chosen` is the intersection of all maximisers and `largest` their union.
    rng = np.random.default_rng(seed)
    for _ in range(80):
        problem = some_network(rng)
        z = choices(len(problem[0]))
        value = worth(z, *problem)
        found = solved(*problem)
        best = z[value == value.max()]
        assert found.bound == value.max()
        assert found.chosen.tolist() == best.all(axis=0).tolist()
        assert found.largest.tolist() == best.any(axis=0).tolist()
        assert (found.flow == np.round(found.flow)).all()


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_above_the_maximum_and_within_rounding(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(60):
        gain, ends, forward, backward = some_network(rng)
        gain, forward = size * rng.normal(size=len(gain)), size * rng.random(len(ends))
        # Costs of all sizes at once: some vanish beside the gains, others can never be worth it.
        forward *= 10.0 ** rng.integers(-8, 8, len(ends))
        backward = np.where(backward > 3, np.inf, size * backward)
        z = choices(len(gain))
        paid = worth(z, gain, ends, forward, np.minimum(backward, 1e30))
        found = solved(gain, ends, forward, backward)
        assert -1e-13 * size <= found.bound - paid.max() <= 1e-9 * size
        for side in (found.chosen, found.largest):
            at = int(side @ (1 << np.arange(len(gain))))
            assert paid[at] == pytest.approx(paid.max(), abs=1e-9 * size)
        assert not (found.chosen & ~found.largest).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_flow_is_feasible_and_proves_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(60):
        gain, ends, forward, backward = some_network(rng)
        gain, forward = gain + rng.random(len(gain)), forward * rng.random(len(ends))
        found = solved(gain, ends, forward, backward)
        assert ((-backward <= found.flow) & (found.flow <= forward)).all()
        left = gain.copy()
        for (tail, head), q in zip(ends, found.flow, strict=True):
            left[tail] -= q
            left[head] += q
        assert found.bound == pytest.approx(np.maximum(left, 0).sum(), abs=1e-12)


def test_edges_without_limit_are_never_cut() -> None:
    # Both gains run through one edge, which is filled to the brim; a third node hangs behind it.
    ends = np.array([[0, 2], [1, 2], [2, 3], [3, 4], [3, 5]])
    for losses in ([-0.6, -0.6], [-0.5, -0.5], [-0.3, -0.4]):
        gain = np.array([0.5, 0.5, 0.0, 0.0, *losses])
        found = MinCut(6, ends[:, 0], ends[:, 1]).solve(gain, np.inf)
        for side in (found.chosen, found.largest):
            assert not (side[ends[:, 0]] & ~side[ends[:, 1]]).any()
        assert found.bound == pytest.approx(max(0.0, 1 + sum(losses)), abs=1e-12)
        assert found.largest.all() == (1 + sum(losses) >= 0)


@given(st.integers(0, 10**6))
def test_nodes_may_be_renamed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain, ends, forward, backward = some_network(rng)
    found, name = solved(gain, ends, forward, backward), rng.permutation(len(gain))
    moved = np.empty_like(gain)
    moved[name] = gain
    other = solved(moved, name[ends].reshape(-1, 2), forward, backward)
    assert other.bound == found.bound
    assert other.chosen[name].tolist() == found.chosen.tolist()
    assert other.largest[name].tolist() == found.largest.tolist()


# --- edges of all kinds --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_parallel_edges_act_as_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain, ends, forward, backward = some_network(rng)
    gain, forward = gain + 0.25 * rng.random(len(gain)), forward + rng.random(len(ends))
    # The same edge three times: a third of the cost as it is, a third as it is, a third reversed.
    three = np.concatenate([ends, ends, ends[:, ::-1]])
    costs = [np.concatenate([f, f, b]) / 3 for f, b in ((forward, backward), (backward, forward))]
    once, thrice = solved(gain, ends, forward, backward), solved(gain, three, *costs)
    assert thrice.bound == pytest.approx(once.bound, abs=1e-10)
    assert ((-costs[1] <= thrice.flow) & (thrice.flow <= costs[0])).all()


def test_a_loop_costs_nothing() -> None:
    plain, looped = MinCut(2, [0], [1]), MinCut(2, [0, 0, 1], [1, 0, 1])
    for gain in ([3.0, -1.0], [3.0, -5.0], [-1.0, 2.0]):
        one, other = plain.solve(gain, 2.0, 1.0), looped.solve(gain, 2.0, 1.0)
        assert (one.bound, one.chosen.tolist()) == (other.bound, other.chosen.tolist())


def test_zero_costs_separate() -> None:
    found = MinCut(2, [0], [1]).solve([1.0, -1.0], 0.0)
    assert (found.chosen.tolist(), found.bound, found.flow.tolist()) == ([True, False], 1.0, [0.0])


@pytest.mark.parametrize("cost", [1e12, 1e300, np.inf])
def test_huge_costs_leave_the_gains_their_digits(cost: float) -> None:
    found = MinCut(3, [0, 1], [1, 2]).solve([1.0, -0.3, -0.3], cost)
    assert found.bound == pytest.approx(0.4, abs=1e-12)
    assert found.chosen.all()


def test_whole_numbers_beyond_the_solver_are_scaled() -> None:
    gain = np.array([4.0 * LARGEST, -4.0 * LARGEST + 4096.0])
    found = MinCut(2, [0], [1]).solve(gain, np.inf)
    assert found.chosen.all()
    assert found.bound == pytest.approx(4096.0, abs=gain[0] * 2.0**-40)


def test_one_network_answers_many_questions() -> None:
    network = MinCut(2, [0], [1])
    first = network.solve([3.0, -1.0], 2.0)
    network.solve([-3.0, 1.0], 0.5, 0.25)
    again = network.solve([3.0, -1.0], 2.0)
    assert (first.bound, first.flow.tolist()) == (again.bound, again.flow.tolist())


# --- what is refused -----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("gain", "forward", "backward", "message"),
    [
        ([1.0], 1.0, 1.0, r"gain has shape \(1,\)"),
        ([1.0, np.nan], 1.0, 1.0, "2 finite numbers"),
        ([1.0, np.inf], 1.0, 1.0, "2 finite numbers"),
        ([1.0, 1.0], -0.5, 1.0, r"a cost is -0\.5"),
        ([1.0, 1.0], 1.0, np.nan, "a cost is nan"),
    ],
)
def test_gains_and_costs_have_to_fit(
    gain: list[float], forward: float, backward: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MinCut(2, [0], [1]).solve(gain, forward, backward)


def test_a_fraction_behind_many_whole_numbers_is_not_lost() -> None:
    cost = np.ones(30)
    cost[-1] = 0.5
    found = MinCut(2, np.zeros(30, int), np.ones(30, int)).solve([40.0, -35.0], cost)
    assert found.bound == pytest.approx(10.5, abs=1e-9)  # 40 − 29.5, against 40 − 35 for both
