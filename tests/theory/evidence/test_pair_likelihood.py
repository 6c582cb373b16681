from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from mke_theory.theory.evidence import (
    evidence_of,
    likeliest_exponent,
    pair_likelihood,
    posterior_of_sum,
    tempered,
)
from tests.theory.evidence.worlds import Cells, Floats, anything, cells, independent, shared_part

seeds = st.integers(0, 10_000)
GRID = np.linspace(0, 4, 81)


def information(table: Floats) -> float:
    both = table.sum(axis=0)
    return float(rel_entr(both, np.outer(both.sum(axis=1), both.sum(axis=0))).sum())


def true_evidence(world: Cells) -> tuple[Floats, Floats]:
    return evidence_of(world.alpha, world.priors), evidence_of(world.beta, world.priors)


def random_evidence(seed: int, values: int, marginal: Floats) -> Floats:
    """Any evidence of a modality: a distribution over its values for each class, over p(x)."""
    drawn = np.random.default_rng(seed).dirichlet(np.ones(values), 3).T
    return np.asarray(drawn / marginal[:, None])


def error_of(table: Floats, exponents: tuple[float, float]) -> float:
    world = cells(table)
    q = posterior_of_sum([world.alpha, world.beta], world.priors, exponents)
    joint = table.reshape(len(table), -1).T
    return float(1 - np.take_along_axis(joint, q.argmax(axis=1)[:, None], axis=1).sum())


def test_by_hand() -> None:
    # A fair class, two readings right with .8: r = 1.6 or .4. They agree with .68.
    table = np.einsum("ya,yb->yab", *[np.array([[0.8, 0.2], [0.2, 0.8]])] * 2) / 2
    world = cells(table)
    found = pair_likelihood(*true_evidence(world), world.priors, world.shares)
    assert found == pytest.approx(0.68 * np.log(1.36) + 0.32 * np.log(0.64))
    np.testing.assert_allclose(tempered([[1.6], [0.4]], 2), [[2 * 16 / 17], [2 / 17]])


@given(seeds, seeds)
def test_no_evidence_scores_more_than_the_information(seed: int, other: int) -> None:
    # In any world; in an independent one the true evidence reaches it.
    for table in (independent(seed), anything(seed)):
        world = cells(table)
        _, first, second = table.shape
        both = table.sum(axis=0)
        alpha = np.repeat(random_evidence(other, first, both.sum(axis=1)), second, axis=0)
        beta = np.tile(random_evidence(other + 1, second, both.sum(axis=0)), (first, 1))
        most = information(table)
        assert pair_likelihood(alpha, beta, world.priors, world.shares) <= most + 1e-9
        truth = pair_likelihood(*true_evidence(world), world.priors, world.shares)
        assert truth <= most + 1e-12
    world = cells(independent(seed))
    truth = pair_likelihood(*true_evidence(world), world.priors, world.shares)
    assert truth == pytest.approx(information(independent(seed)), abs=1e-12)


@given(seeds)
def test_true_evidence_is_best_at_exponent_one(seed: int) -> None:
    world = cells(independent(seed))
    alpha, beta = true_evidence(world)
    on_grid = [
        pair_likelihood(alpha, tempered(beta, w, world.shares), world.priors, world.shares)
        for w in GRID
    ]
    assert GRID[int(np.argmax(on_grid))] == pytest.approx(1)
    found = likeliest_exponent(alpha, beta, world.priors, world.shares)
    assert found.value == pytest.approx(1, abs=1e-3)
    assert found.likelihood == pytest.approx(found.at_one, abs=1e-9)


@given(seeds, st.floats(0.4, 2.0))
def test_evidence_that_is_a_power_of_the_truth_is_put_right(seed: int, power: float) -> None:
    # (r^power)^(1/power) = r, the maximum; it may not be the only one.
    world = cells(independent(seed))
    alpha, beta = true_evidence(world)
    bent = tempered(beta, power, world.shares)
    found = likeliest_exponent(alpha, bent, world.priors, world.shares)
    assert found.likelihood == pytest.approx(information(independent(seed)), abs=1e-7)
    again = tempered(bent, 1 / power, world.shares)
    np.testing.assert_allclose(again, beta, rtol=1e-9)


@given(seeds)
def test_nothing_scores_zero_and_something_more(seed: int) -> None:
    # α has four values and three classes: its rows P(α | k) are independent.
    table = independent(seed)
    table = np.einsum("ya,b->yab", table.sum(axis=2), table.sum(axis=(0, 1)))
    world = cells(table)
    assert pair_likelihood(*true_evidence(world), world.priors, world.shares) == pytest.approx(0)
    assert information(independent(seed)) > 1e-6


def test_a_class_that_alpha_does_not_tell_hides_what_beta_says() -> None:
    # α tells class 0 from the rest, β class 1 from 2: dependent on y, and yet α ⟂ β.
    alpha = np.array([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
    beta = np.array([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9]])
    world = cells(np.einsum("ya,yb->yab", alpha, beta) / 3)
    assert np.ptp(world.beta, axis=1).max() > 0.2
    found = pair_likelihood(*true_evidence(world), world.priors, world.shares)
    assert found == pytest.approx(0, abs=1e-12)


def test_a_shared_part_asks_for_more_weight_where_less_is_right() -> None:
    table = shared_part(0.9, 0.55, 0.8)
    world = cells(table)
    found = likeliest_exponent(*true_evidence(world), world.priors, world.shares)
    assert found.value > 3
    assert found.likelihood > found.at_one + 0.05
    assert error_of(table, (1, found.value)) == pytest.approx(0.2)
    assert error_of(table, (1, 0)) == pytest.approx(0.1)
    best = min(GRID, key=lambda w: error_of(table, (1, float(w))))
    assert best < 1


def test_pairs_that_exclude_each_other_score_minus_infinity() -> None:
    r = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert pair_likelihood(r, r[::-1], [0.5, 0.5]) == -np.inf
    assert pair_likelihood(r, r, [0.5, 0.5]) == pytest.approx(np.log(2))


def test_a_large_exponent_does_not_overflow() -> None:
    found = tempered([[1e-300, 1.0], [5.0, 1.0]], 1e6)
    np.testing.assert_allclose(found, [[0, 1], [2, 1]])


@pytest.mark.parametrize(
    ("alpha", "beta", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 1.0]], "has means"),
        ([[1.0, -1.0]], [[1.0, 1.0]], "negative"),
        ([[1.0, 1.0]], [[1.0, 1.0]] * 2, "give pairs"),
        ([1.0, 1.0], [[1.0, 1.0]], "shape"),
    ],
)
def test_bad_input_is_refused(alpha: object, beta: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_likelihood(alpha, beta, [0.5, 0.5])  # type: ignore[arg-type]


def test_bad_exponents_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        tempered([[1.0, 1.0]], -1)
    with pytest.raises(ValueError, match="no evidence"):
        tempered([[1.0, 0.0]], 1)
    with pytest.raises(ValueError, match="above 0"):
        likeliest_exponent([[1.0, 1.0]], [[1.0, 1.0]], [0.5, 0.5], most=0)
