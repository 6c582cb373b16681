"""Bets by hand, in a second form, over all orders of small pools, and on drawn pools."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from mke_theory.audit.betting import SHARES, Bet, ever_rejected, least_total, log_evidence
from mke_theory.data.rng import seed_for

Floats = NDArray[np.float64]
SCORES = (0.0, 0.5, 1.0)
ALPHAS = (0.5, 0.2, 0.05)

pools = st.lists(st.sampled_from(SCORES), min_size=1, max_size=30)


def orders(values: Sequence[float]) -> Iterator[tuple[tuple[float, ...], int]]:
    """Every order of the values that can be told apart; each stands for as many permutations."""
    counts = Counter(values)

    def rest(left: Counter[float]) -> Iterator[tuple[float, ...]]:
        if not any(left.values()):
            yield ()
        for value in sorted(left):
            if left[value]:
                yield from ((value, *tail) for tail in rest(left - Counter([value])))

    weight = math.prod(math.factorial(n) for n in counts.values())
    for order in rest(counts):
        yield order, weight


def evidence(values: Sequence[float], total: float, size: int) -> Floats:
    return np.exp(log_evidence(np.array(values), total, size))


# By hand, and in a second form


def test_two_values_by_hand() -> None:
    # Four values, of total 2 if the hypothesis is true: μ₁ = 1/2; after a 1, μ₂ = 1/3.
    found = evidence([1.0, 0.0], 2.0, 4)
    assert found[0] == pytest.approx(np.mean(1 + SHARES))
    assert found[1] == pytest.approx(np.mean((1 + SHARES) * (1 - SHARES)))
    assert evidence([0.5], 2.0, 4)[0] == 1.0  # as expected: nothing is learned


def test_what_exceeds_the_total_refutes_it() -> None:
    found = log_evidence(np.array([1.0, 1.0, 0.5]), 2.0, 4)
    assert np.isfinite(found[:2]).all() and found[2] == math.inf
    # With 2 seen of 2, the rest has to be 0; a 0 then says nothing new.
    zero = log_evidence(np.array([1.0, 1.0, 0.0]), 2.0, 4)
    assert zero[2] == zero[1]
    assert Bet(-0.5, 3).now == math.inf


def test_the_evidence_is_that_of_a_game_on_alternatives() -> None:
    # Stark's form: the next value has mean μ if the hypothesis holds, and η > μ is the guess that
    # the bet is on; with η = μ + κ (1 − μ) it is the bet of share κ.
    random = np.random.default_rng(0)
    values, total, size = random.choice(SCORES, 15, p=(0.2, 0.3, 0.5)), 12.0, 24
    paths = []
    for share in SHARES:
        wealth, path = 1.0, []
        for t, y in enumerate(values):
            mean = (total - values[:t].sum()) / (size - t)
            guess = mean + share * (1 - mean)
            wealth *= (y / mean * (guess - mean) + 1 - guess) / (1 - mean)
            path.append(wealth)
        paths.append(path)
    assert np.allclose(evidence(values, total, size), np.mean(paths, axis=0), rtol=1e-10)


@given(pools, st.integers(0, 30), st.floats(0, 1))
def test_value_by_value_and_all_at_once_agree(values: list[float], more: int, at: float) -> None:
    size = len(values) + more
    bet, path = Bet(at * size, size), []
    for value in values:
        bet.push(value)
        path.append(bet.now)
    found = log_evidence(np.array(values), at * size, size)
    assert np.allclose(found, path, atol=1e-9, equal_nan=False)
    assert bet.greatest == pytest.approx(max(0.0, found.max()), abs=1e-9)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).choice(SCORES, 100)
    whole = log_evidence(values, 60.0, 120)
    bounds = [least_total(values, 120, a, step=0.5) for a in ALPHAS]
    monkeypatch.setattr("mke_theory.audit.betting._BLOCK", 7)
    assert np.allclose(log_evidence(values, 60.0, 120), whole)
    assert [least_total(values, 120, a, step=0.5) for a in ALPHAS] == bounds


def test_evidence_beyond_the_largest_number_is_no_overflow() -> None:
    values = np.ones(5000)
    assert 700 < log_evidence(values, 10_000.0, 20_000)[-1] < math.inf


# Level: exactly, over all orders


def small_pools(most: int) -> Iterator[tuple[float, ...]]:
    for size in range(1, most + 1):
        yield from combinations_with_replacement(SCORES, size)


def test_evidence_is_one_on_average_if_the_hypothesis_is_just_true() -> None:
    for pool in small_pools(6):
        n, found = math.factorial(len(pool)), np.zeros(len(pool))
        for order, weight in orders(pool):
            found += weight * evidence(order, sum(pool), len(pool)) / n
        assert np.allclose(found, 1.0), pool


def test_level_over_all_orders_of_small_pools() -> None:
    # Every pool of up to 7 values whose mean is at most ½: the exact chance of a false claim.
    worst = dict.fromkeys(ALPHAS, 0.0)
    for pool in small_pools(7):
        if sum(pool) > len(pool) / 2:
            continue
        chance, n = dict.fromkeys(ALPHAS, 0.0), math.factorial(len(pool))
        for order, weight in orders(pool):
            top = float(log_evidence(np.array(order), len(pool) / 2, len(pool)).max())
            for alpha in ALPHAS:
                chance[alpha] += weight / n * (top >= -math.log(alpha))
        for alpha in ALPHAS:
            assert chance[alpha] <= alpha + 1e-12, (pool, alpha)
            worst[alpha] = max(worst[alpha], chance[alpha])
    assert worst[0.5] > 0.05  # the test can fail: claims are made


def test_the_lower_end_covers_over_all_orders() -> None:
    for pool in small_pools(5):
        for alpha in ALPHAS:
            missed, n = 0.0, math.factorial(len(pool))
            for order, weight in orders(pool):
                ends = [
                    least_total(np.array(order[:t]), len(pool), alpha, step=0.5)
                    for t in range(len(pool) + 1)
                ]
                assert ends[-1] == sum(pool)
                missed += weight / n * (max(ends) > sum(pool))
            assert missed <= alpha + 1e-12, (pool, alpha)


# Level: on drawn pools

SHAPES: dict[str, Floats] = {
    "large, half and half": np.repeat([0.0, 1.0], 200),
    "mostly neither": np.repeat([0.0, 0.5, 1.0], [15, 170, 15]),
    "small": np.repeat([0.0, 1.0], 12),
    "one apart": np.repeat([0.0, 1.0], [20, 19]),
    "skewed scores": np.array([0.9] * 20 + [0.4] * 80),
    "scores close to a half": np.linspace(0.45, 0.55, 101),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_false_claims_on_two_thousand_orders(shape: str) -> None:
    # Each has a mean of at most ½. With a true level of α more than the limit come up with
    # probability below 10⁻⁴ for one shape and α: below 2 in 1,000 for all of this test.
    values, draws = SHAPES[shape], 2000
    random = np.random.default_rng(seed_for(0, "false claims", shape))
    assert values.mean() <= 0.5 + 1e-12
    tops = np.array(
        [
            log_evidence(random.permutation(values), len(values) / 2, len(values)).max()
            for _ in range(draws)
        ]
    )
    for alpha in (0.2, 0.05):
        claims = int((tops >= -math.log(alpha)).sum())
        assert claims <= binom.ppf(1 - 1e-4, draws, alpha), (claims, alpha)


def test_the_sequence_covers_at_every_step() -> None:
    # Both ends of 90% sequences of 1,000 pools of a gain: the total is missed at any of all steps
    # as often as W against the true total reaches 1/α. Limit as above, 10⁻⁴.
    random = np.random.default_rng(seed_for(0, "coverage"))
    values, draws, alpha = np.repeat([0.0, 0.5, 1.0], [20, 15, 45]), 1000, 0.05
    size, total = len(values), float(values.sum())
    missed = 0
    for _ in range(draws):
        y = random.permutation(values)
        low = ever_rejected(y, total, size, alpha)
        high = ever_rejected(1 - y, size - total, size, alpha)
        missed += low or high
    assert 0 < missed <= binom.ppf(1 - 1e-4, draws, 2 * alpha)


# Bounds


@given(pools, st.integers(0, 20), st.sampled_from(ALPHAS))
@settings(max_examples=60)
def test_a_bound_is_the_least_total_that_is_not_rejected(
    values: list[float], more: int, alpha: float
) -> None:
    y, size = np.array(values), len(values) + more
    bound = least_total(y, size, alpha, step=0.5)
    most = sum(values) + more
    possible = np.arange(0, 2 * most + 1) / 2
    left = [total for total in possible if not ever_rejected(y, total, size, alpha)]
    assert bound == min(left, default=most)  # all are rejected where α allows for an error
    assert not left or left == [total for total in possible if total >= bound]  # no gap
    finer = least_total(y, size, alpha)
    assert bound - 0.5 - size / 10**6 <= finer <= bound + 1e-9


@given(pools, st.integers(0, 20), st.data())
def test_evidence_rises_with_every_value(
    values: list[float], more: int, data: st.DataObject
) -> None:
    y, size = np.array(values), len(values) + more
    i = data.draw(st.integers(0, len(values) - 1))
    higher = y.copy()
    higher[i] = data.draw(st.floats(values[i], 1))
    total = data.draw(st.floats(0, size))
    less, more_ = log_evidence(y, total, size), log_evidence(higher, total, size)
    assert (more_ >= less - 1e-9).all()
    assert least_total(higher, size, 0.05) >= least_total(y, size, 0.05) - 1e-9


@given(pools, st.integers(0, 20), st.data())
def test_evidence_falls_with_the_total(values: list[float], more: int, data: st.DataObject) -> None:
    y, size = np.array(values), len(values) + more
    low = data.draw(st.floats(0, size))
    high = data.draw(st.floats(low, size))
    assert (log_evidence(y, low, size) >= log_evidence(y, high, size) - 1e-9).all()


def test_nothing_looked_up_and_everything() -> None:
    assert least_total(np.empty(0), 10, 0.05, step=0.5) == 0
    assert least_total(np.array([1.0, 0.5]), 2, 0.05, step=0.5) == 1.5
    assert least_total(np.array([0.2, 0.5]), 2, 0.05) == pytest.approx(0.7)


def test_what_is_no_value_of_the_pool_is_refused() -> None:
    bet = Bet(1.0, 2)
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"allowed are numbers from 0 to 1"):
            bet.push(value)
    bet.push(0.5)
    bet.push(0.5)
    with pytest.raises(ValueError, match="all 2 values"):
        bet.push(0.5)
    with pytest.raises(ValueError, match="3 values were looked up in a pool of 2"):
        least_total(np.ones(3), 2, 0.05)


def test_equal_to_confseq_where_that_is_installed() -> None:
    try:
        betting = import_module("confseq.betting")
    except (ImportError, AttributeError) as problem:  # its 0.0.11 asks NumPy 2 for np.float_
        pytest.skip(f"confseq cannot be imported: {problem}")
    random = np.random.default_rng(2)
    size = 60
    values = random.permutation(np.repeat([0.0, 0.5, 1.0], [15, 15, 30]))[:25]

    def bets(share: float):  # type: ignore[no-untyped-def]
        def of(x: Floats, m: float) -> Floats:
            before = np.concatenate([[0.0], np.cumsum(x)[:-1]])
            return share * (size - np.arange(len(x))) / (size * m - before)

        return of

    for mean in (0.3, 0.5, 0.65):
        theirs = betting.diversified_betting_mart(
            values,
            mean,
            lambdas_fns_positive=[bets(share) for share in SHARES],
            N=size,
            theta=1,
            trunc_scale=1,
        )
        assert np.allclose(evidence(values, mean * size, size), theirs, rtol=1e-9)
