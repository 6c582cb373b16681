"""Facts by hand; they hold as often as they claim, and are refused where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as reference

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.certificates.side_information import (
    Fact,
    class_shares,
    confusion_between,
    level_of,
    teacher_error_at_least,
    teacher_error_at_most,
    teacher_error_from_validation,
)

Floats = NDArray[np.float64]


def side(fact: Fact, p: Floats, pseudo: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Σ_i p_i table[ỹ_i, y_i], one point at a time."""
    return sum(float(p[i] * fact.table[pseudo[i], truth[i]]) for i in range(len(p)))


# --- the teacher's error -------------------------------------------------------------------------


def test_validated_error_by_hand() -> None:
    # No error among 2 of 4 points; with m wrong ones elsewhere that has probability 1, 3/6, 1/6.
    def limit(level: float) -> float:
        return teacher_error_from_validation(0, 2, 2, 3, level).at_most

    assert [limit(0.4), limit(0.75), limit(0.9)] == [0.0, 0.5, 1.0]
    # A probability of exactly 1 − level is too small already.
    assert limit(0.5) == 0.0
    assert limit(0.49) == 0.0
    assert limit(0.51) == 0.5
    # One error of two, pool of two: m = 0, 1, 2 make "at most one" as likely as 1, 5/6, 1/2.
    assert teacher_error_from_validation(1, 2, 2, 2, 0.5).at_most == 0.5
    assert teacher_error_from_validation(1, 2, 2, 2, 0.51).at_most == 1.0
    # All wrong: nothing is excluded.
    assert teacher_error_from_validation(5, 5, 50, 2, 0.95).at_most == 1.0
    fact = teacher_error_from_validation(0, 2, 2, 3, 0.75)
    assert (fact.level, fact.source) == (0.75, "validation, 0 of 2")
    assert fact.table.tolist() == (1 - np.eye(3)).tolist()


@pytest.mark.parametrize(("errors", "n"), [(0, 20), (3, 20), (11, 100), (99, 100)])
def test_a_huge_pool_has_the_limit_of_clopper_and_pearson(errors: int, n: int) -> None:
    # The one-sided limit at .95 is the upper end of the two-sided interval at .9.
    found = teacher_error_from_validation(errors, n, 1_000_000, 2, 0.95).at_most
    assert found == pytest.approx(clopper_pearson(errors, n, 0.9).high, abs=2e-5)
    # A small pool may be unlucky, so its limit is wider.
    assert teacher_error_from_validation(errors, n, 30, 2, 0.95).at_most >= found


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
@pytest.mark.parametrize(("n", "pool"), [(1, 1), (5, 3), (12, 30), (40, 25)])
def test_the_limit_holds_as_often_as_it_says(n: int, pool: int, level: float) -> None:
    # Exact: whatever number of the n + pool points is wrong, every way to draw n is summed.
    limits = [teacher_error_from_validation(e, n, pool, 2, level).at_most for e in range(n + 1)]
    for wrong in range(n + pool + 1):
        seen = np.arange(max(0, wrong - pool), min(n, wrong) + 1)
        chance = reference.hypergeom.pmf(seen, n + pool, wrong, n)
        held = [(wrong - e) / pool <= limits[e] + 1e-12 for e in seen]
        assert chance[held].sum() >= level - 1e-9


def test_the_limit_holds_in_draws_from_a_population() -> None:
    # 4,000 draws, each point wrong with probability .2 by itself. At level .9 at most 400 misses
    # are expected, sd 19; more than 400 + 95 come by chance once in 3 million.
    rng = np.random.default_rng(0)
    limits = [teacher_error_from_validation(e, 30, 50, 2, 0.9).at_most for e in range(31)]
    validated, pool = rng.random((4000, 30)) < 0.2, rng.random((4000, 50)) < 0.2
    missed = pool.mean(axis=1) > np.array(limits)[validated.sum(axis=1)] + 1e-12
    assert 0 < missed.sum() <= 495


def test_more_errors_and_a_higher_level_raise_the_limit() -> None:
    by_errors = [teacher_error_from_validation(e, 20, 100, 2).at_most for e in range(21)]
    assert by_errors == sorted(by_errors)
    by_level = [
        teacher_error_from_validation(4, 20, 100, 2, x).at_most for x in (0.3, 0.6, 0.9, 0.99)
    ]
    assert by_level == sorted(by_level)


def test_at_most_and_at_least_speak_of_the_same_share() -> None:
    rng = np.random.default_rng(1)
    p, pseudo, truth = np.full(50, 0.02), rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    error = float(p[pseudo != truth].sum())
    most, least = teacher_error_at_most(0.3, 4), teacher_error_at_least(0.3, 4)
    assert side(most, p, pseudo, truth) == pytest.approx(error)
    assert side(least, p, pseudo, truth) == pytest.approx(-error)
    assert (most.at_most, least.at_most) == (0.3, -0.3)


# --- shares and cells ----------------------------------------------------------------------------


@given(st.integers(2, 4), st.integers(1, 12), st.integers(0, 10**6))
def test_intervals_around_the_truth_hold_and_others_do_not(k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random(n) + 0.1
    p /= p.sum()
    pseudo, truth = rng.integers(0, k, (2, n))
    share = np.bincount(truth, p, k)
    cell = np.bincount(pseudo * k + truth, p, k * k).reshape(k, k)
    facts = [
        *class_shares(np.maximum(share - 0.01, 0), np.minimum(share + 0.01, 1)),
        *confusion_between(np.maximum(cell - 0.01, 0), np.minimum(cell + 0.01, 1)),
    ]
    for fact in facts:
        assert side(fact, p, pseudo, truth) == pytest.approx(fact.at_most - 0.01)


def test_intervals_by_hand() -> None:
    facts = class_shares([0.0, 0.25], [0.75, 1.0])
    assert [str(fact) for fact in facts] == [
        "share of class 0 ≤ 0.7500",
        "share of class 1 ≥ 0.2500",
    ]
    assert facts[0].table.tolist() == [[1, 0], [1, 0]]  # a column: the truth
    assert facts[1].table.tolist() == [[0, -1], [0, -1]]
    (cell,) = confusion_between(np.zeros((2, 2)), [[1.0, 1.0], [0.125, 1.0]], level=0.9)
    assert str(cell) == "share with ỹ = 1, y = 0 ≤ 0.1250 with probability 0.9"
    assert cell.table.tolist() == [[0, 0], [1, 0]]


# --- levels --------------------------------------------------------------------------------------


def test_failures_of_distinct_sources_add_up() -> None:
    validated = teacher_error_from_validation(1, 50, 100, 2, 0.95)
    shares = class_shares([0.4, 0.4], [0.6, 0.6], level=0.9)
    assert level_of(()) == 1
    assert level_of((teacher_error_at_most(0.1, 2),)) == 1
    assert level_of(shares) == pytest.approx(0.9)  # four facts, one source
    assert level_of((validated, *shares)) == pytest.approx(0.85)
    assert level_of((validated, *shares, teacher_error_at_least(0.01, 2))) == pytest.approx(0.85)
    many = tuple(Fact("x", np.eye(2), 1.0, 0.5, source) for source in "abc")
    assert level_of(many) == 0  # 1 − 3/2 is no probability


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_error_is_a_share(share: float) -> None:
    for fact in (teacher_error_at_most, teacher_error_at_least):
        with pytest.raises(ValueError, match=r"teacher's error is .*; it is a share in \[0, 1\]"):
            fact(share, 2)


@pytest.mark.parametrize(
    ("errors", "n", "pool"), [(-1, 5, 5), (6, 5, 5), (0, 0, 5), (1, 5, 0), (1, 5, -2)]
)
def test_impossible_counts(errors: int, n: int, pool: int) -> None:
    message = f"{errors} errors among {n} validated points and a pool of {pool} cannot be"
    with pytest.raises(ValueError, match=message):
        teacher_error_from_validation(errors, n, pool, 2)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, float("nan")])
def test_impossible_levels(level: float) -> None:
    with pytest.raises(ValueError, match=r"level is .*between 0 and 1, for instance 0\.95"):
        teacher_error_from_validation(1, 5, 5, 2, level)


@pytest.mark.parametrize(
    ("table", "at_most", "level", "message"),
    [
        (np.ones((2, 3)), 0.1, 1, "table of 'x' has to be square and finite"),
        (np.ones(4), 0.1, 1, "table of 'x' has to be square and finite"),
        (np.full((2, 2), np.nan), 0.1, 1, "table of 'x' has to be square and finite"),
        (np.eye(2), np.inf, 1, "limit of 'x' is inf; it has to be finite"),
        (np.eye(2), np.nan, 1, "limit of 'x' is nan"),
        (np.eye(2), 0.1, 0, r"level of 'x' is 0; it is in \(0, 1\]"),
        (np.eye(2), 0.1, 1.5, r"level of 'x' is 1\.5"),
    ],
)
def test_a_fact_is_checked(table: Floats, at_most: float, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fact("x", table, at_most, level)


def test_intervals_are_checked() -> None:
    with pytest.raises(ValueError, match=r"sum to 1\.2000 at least and 2\.0000 at most; 1 has to"):
        class_shares([0.6, 0.6], [1, 1])
    with pytest.raises(ValueError, match=r"sum to 0\.0000 at least and 0\.8000 at most"):
        class_shares([0, 0], [0.4, 0.4])
    with pytest.raises(ValueError, match="class shares: every interval needs 0 ≤ low ≤ high ≤ 1"):
        class_shares([0.6, 0.2], [0.5, 0.5])
    with pytest.raises(ValueError, match="every interval needs"):
        class_shares([float("nan"), 0.2], [1, 1])
    with pytest.raises(ValueError, match=r"low and high have shapes \(2,\) and \(3,\)"):
        class_shares([0, 0], [1, 1, 1])
    with pytest.raises(ValueError, match=r"confusion: low and high have shapes \(2, 3\)"):
        confusion_between(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="confusion: every interval needs"):
        confusion_between(np.full((2, 2), -0.1), np.ones((2, 2)))


def test_a_fraction_of_an_error_is_refused() -> None:
    for counts in ((0.2, 100, 300), (2, 100.5, 300), (2, 100, 300.5)):
        with pytest.raises(TypeError):
            teacher_error_from_validation(*counts, classes=2)  # type: ignore[arg-type]


def test_failures_of_two_validations_add_up() -> None:
    facts = tuple(teacher_error_from_validation(e, 100, 300, 2) for e in (18, 22))
    assert level_of(facts) == pytest.approx(0.9)
    assert level_of((facts[0], facts[0])) == pytest.approx(0.95)  # one claim, made twice


def test_assumptions_are_rounded_to_assume_more_and_likely_limits_to_claim_less() -> None:
    wrong = 1 - np.eye(2)
    assert str(Fact("teacher's error", wrong, 0.26667)) == "teacher's error ≤ 0.2666"
    likely = Fact("teacher's error", wrong, 0.26661, 0.95)
    assert str(likely) == "teacher's error ≤ 0.2667 with probability 0.95"
