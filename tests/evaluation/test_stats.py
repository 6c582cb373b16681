"""Intervals cover what they promise, and refuse where they could promise nothing."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as reference

from mke_theory.evaluation.stats import (
    Summary,
    clopper_pearson,
    mcnemar,
    paired_difference,
    summarise,
)

# --- clopper_pearson -----------------------------------------------------------------------------


def test_clopper_pearson_by_hand() -> None:
    # At s = 0 and s = n the beta quantile is a root: 1 − .025^(1/10) and .025^(1/10).
    assert astuple(clopper_pearson(0, 10)) == (0.0, pytest.approx(0.308497, abs=1e-6), 0.95)
    assert astuple(clopper_pearson(10, 10)) == (pytest.approx(0.691503, abs=1e-6), 1.0, 0.95)
    # One trial, one success, level .9: P(X = 1) = low = .05.
    assert astuple(clopper_pearson(1, 1, 0.9)) == (pytest.approx(0.05), 1.0, 0.9)


@given(st.integers(1, 3000), st.data(), st.floats(0.01, 0.999))
def test_clopper_pearson_agrees_with_scipy(n: int, data: st.DataObject, level: float) -> None:
    successes = data.draw(st.integers(0, n))
    found = clopper_pearson(successes, n, level)
    expected = reference.binomtest(successes, n).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-11)
    assert found.low <= successes / n <= found.high


def test_limits_of_rare_successes_keep_their_digits() -> None:
    # One of n: P(X ≥ 1 | low) = 1 − (1 − low)^n = .025, so low = −log(.975)/n up to 1/n of itself.
    assert clopper_pearson(1, 50_000_000).low == pytest.approx(-np.log(0.975) / 5e7, rel=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("n", [1, 2, 5, 12, 30])
def test_clopper_pearson_covers_at_least_its_level(n: int, level: float) -> None:
    # Exact: the chance of every outcome is summed, nothing is sampled. The usual normal
    # approximation fails this at every n here.
    intervals = [clopper_pearson(s, n, level) for s in range(n + 1)]
    for share in np.linspace(0, 1, 401):
        chance = reference.binom.pmf(np.arange(n + 1), n, share)
        held = [i.low - 1e-12 <= share <= i.high + 1e-12 for i in intervals]
        assert chance[held].sum() >= level - 1e-12


def test_clopper_pearson_mirrors() -> None:
    one, other = clopper_pearson(3, 17), clopper_pearson(14, 17)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))


@pytest.mark.parametrize(
    ("successes", "n", "level", "message"),
    [
        (0, 0, 0.95, "n is 0"),
        (4, 3, 0.95, "successes is 4; allowed are 0 to n = 3"),
        (-1, 3, 0.95, "successes is -1"),
        (1, 3, 1.0, "level is 1.0"),
        (1, 3, 0.0, "level is 0.0"),
        (1, 3, float("nan"), "level is nan"),
    ],
)
def test_clopper_pearson_refuses(successes: int, n: int, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clopper_pearson(successes, n, level)


def test_counts_are_whole_numbers() -> None:
    with pytest.raises(TypeError, match=r"successes is 0\.5"):
        clopper_pearson(0.5, 3)  # type: ignore[arg-type]
    assert clopper_pearson(np.int64(1), np.int32(3)) == clopper_pearson(1, 3)  # type: ignore[arg-type]


# --- summarise -----------------------------------------------------------------------------------


def test_summarise_by_hand() -> None:
    # Squared deviations of 1, 2, 6 from 3: 4 + 1 + 9 = 14, over n − 1 = 2.
    assert astuple(summarise([1, 2, 6])) == (3.0, pytest.approx(7**0.5), 3)
    assert summarise([0.7]) == Summary(0.7, None, 1)
    # The mean of these is not 0.1 in floating point; their spread is 0 all the same.
    assert summarise([0.1, 0.1, 0.1]).sd == 0.0
    assert summarise([0.1 + 0.2, 0.3]).sd == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "no values"),
        ([0.5, float("nan")], r"values\[1\] is nan"),
        ([float("inf")], r"values\[0\] is inf"),
        ([[0.5, 0.6]], "shape"),
        (0.5, "shape"),
    ],
)
def test_summarise_refuses(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarise(values)


# --- paired_difference ---------------------------------------------------------------------------


def test_paired_difference_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, sd 1; t(.975, 2 d.f.) = 4.302653, so 2 ± 4.302653/√3.
    found = paired_difference([3, 5, 7], [2, 3, 4])
    assert (found.mean, found.sd, found.n) == (2.0, 1.0, 3)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(2 - 2.484138, abs=1e-6)
    assert found.interval.high == pytest.approx(2 + 2.484138, abs=1e-6)
    # t = 2√3 at 2 d.f.: p = 1 − t/√(2 + t²) = 1 − √(12/14).
    assert found.p_value == pytest.approx(1 - (12 / 14) ** 0.5)


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=12),
    st.floats(0.5, 0.99),
)
def test_paired_difference_agrees_with_scipy(
    pairs: list[tuple[float, float]], level: float
) -> None:
    a, b = np.array(pairs).T
    assume(np.ptp(a - b) >= 1e-6)  # scipy warns where the spread is lost in rounding
    found, swapped = paired_difference(a, b, level), paired_difference(b, a, level)
    assert (swapped.mean, swapped.p_value) == (-found.mean, found.p_value)
    expected = reference.ttest_rel(a, b)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    bounds = expected.confidence_interval(level)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (bounds.low, bounds.high), rel=1e-6, abs=1e-9
    )


def test_one_pair_has_no_interval() -> None:
    found = paired_difference([0.9], [0.75])
    assert found.mean == pytest.approx(0.15)
    assert (found.sd, found.n, found.interval, found.p_value) == (None, 1, None, None)


@pytest.mark.parametrize("shift", [0.0, 0.1, 100.1])
def test_pairs_without_spread_claim_nothing(shift: float) -> None:
    # a − b differs from `shift` by rounding here, which must not pass for a spread.
    b = np.array([72.4, 69.55, 87.6, 100 / 3])
    found = paired_difference(b + shift, b)
    assert found.mean == pytest.approx(shift)
    assert (found.sd, found.n, found.interval, found.p_value) == (0.0, 4, None, None)


def test_paired_difference_refuses() -> None:
    with pytest.raises(ValueError, match="a has 2 values but b has 3"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"b\[0\] is nan"):
        paired_difference([1, 2], [float("nan"), 2])
    with pytest.raises(ValueError, match="level is 95"):
        paired_difference([1, 2], [3, 5], level=95)


def test_paired_t_alarms_as_often_as_it_says() -> None:
    # Normal differences without an effect: p < .05 in 5% of draws exactly. Of 4,000 draws 200 are
    # expected, sd 13.8; ±5 sd is left by chance once in 1.7 million.
    rng = np.random.default_rng(7)
    draws = rng.normal(size=(4000, 2, 5))
    p = np.array([paired_difference(a, b).p_value for a, b in draws], dtype=float)
    assert abs((p < 0.05).sum() - 200) < 69


# --- mcnemar -------------------------------------------------------------------------------------


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(5, 1) == pytest.approx(2 * (1 + 6) / 64)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_mcnemar_is_twice_the_binomial_tail(first: int, second: int) -> None:
    assert mcnemar(first, second) == mcnemar(second, first)
    tail = 2 * reference.binom.cdf(min(first, second), first + second, 0.5)
    assert mcnemar(first, second) == pytest.approx(min(1.0, tail), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("m", [1, 5, 6, 20, 51])
def test_mcnemar_never_alarms_too_often(m: int) -> None:
    # Exact: P(p ≤ .05) under the hypothesis, summed over every outcome.
    p = np.array([mcnemar(s, m - s) for s in range(m + 1)])
    chance = reference.binom.pmf(np.arange(m + 1), m, 0.5)
    assert chance[p <= 0.05].sum() <= 0.05
    assert (p <= 0.05).any() == (m >= 6)


def test_mcnemar_refuses() -> None:
    with pytest.raises(ValueError, match="only_second_right is -2"):
        mcnemar(1, -2)
    with pytest.raises(TypeError, match="only_first_right"):
        mcnemar(1.5, 2)  # type: ignore[arg-type]
