from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.evidence import (
    calibrated_exponents,
    evidence_of,
    expected_gain,
    pair_likelihood,
    posterior_of_sum,
    price_of_sum,
)
from tests.theory.evidence.worlds import Floats, anything, cells, copies, independent, shared_part

seeds = st.integers(0, 10_000)


def gain_by_labels(table: Floats, exponents: tuple[float, float]) -> float:
    """E log q(y) − E log p_α(y), by the labels."""
    world = cells(table)
    q = posterior_of_sum([world.alpha, world.beta], world.priors, exponents)
    return float((table.reshape(len(table), -1).T * np.log(q / world.alpha)).sum())


def gain_of(table: Floats, exponents: tuple[float, float]) -> float:
    world = cells(table)
    return expected_gain([world.alpha, world.beta], world.priors, exponents, world.shares)


def test_a_copy_by_hand() -> None:
    # p = (.8, .2) and (.2, .8): q = (16, 1)/17. E log q − E log p = .8 log(20/17) + .2 log(5/17).
    table = copies(np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([0.5, 0.5]))
    assert gain_of(table, (1, 1)) == pytest.approx(0.8 * np.log(20 / 17) + 0.2 * np.log(5 / 17))
    world = cells(table)
    found = calibrated_exponents([world.alpha, world.beta], world.priors, world.shares)
    assert sum(found.values) == pytest.approx(1, abs=1e-6)
    assert found.gain == pytest.approx(0, abs=1e-9)
    assert found.plain == pytest.approx(gain_of(table, (1, 1)))


@given(seeds, st.floats(0, 3), st.floats(0, 3))
def test_the_gain_without_labels_is_that_of_the_labels_in_any_world(
    seed: int, first: float, second: float
) -> None:
    for table in (anything(seed), independent(seed)):
        found = gain_of(table, (first, second))
        assert found == pytest.approx(gain_by_labels(table, (first, second)), abs=1e-9)


@given(seeds)
def test_the_plain_sum_gains_what_beta_knows_less_what_both_share(seed: int) -> None:
    table = anything(seed)
    world = cells(table)
    evidence = [evidence_of(p, world.priors) for p in (world.alpha, world.beta)]
    shared = pair_likelihood(*evidence, world.priors, world.shares)
    known = (world.shares[:, None] * world.beta * np.log(evidence[1])).sum()
    assert gain_of(table, (1, 1)) == pytest.approx(known - shared, abs=1e-12)
    assert gain_of(table, (1, 1)) == pytest.approx(price_of_sum(table).gain, abs=1e-9)


@given(seeds)
def test_independent_experts_have_exponents_one_and_gain(seed: int) -> None:
    world = cells(independent(seed))
    found = calibrated_exponents([world.alpha, world.beta], world.priors, world.shares)
    np.testing.assert_allclose(found.values, 1, atol=1e-3)
    assert found.gain == pytest.approx(found.plain, abs=1e-9) and found.plain >= 0


@given(seeds)
def test_no_exponents_of_a_grid_do_better(seed: int) -> None:
    table = anything(seed)
    world = cells(table)
    found = calibrated_exponents([world.alpha, world.beta], world.priors, world.shares, most=4)
    grid = product(np.linspace(0, 4, 9), repeat=2)
    assert found.gain >= max(gain_of(table, pair) for pair in grid) - 1e-9
    assert found.gain == pytest.approx(gain_of(table, found.values), abs=1e-12)  # type: ignore[arg-type]
    # With neither at an end, the sum expects of each modality's evidence what it does itself.
    q = posterior_of_sum([world.alpha, world.beta], world.priors, found.values)
    for w, p in zip(found.values, (world.alpha, world.beta), strict=True):
        expected = (world.shares[:, None] * (q - p) * np.log(p / world.priors)).sum()
        assert expected == pytest.approx(0, abs=1e-6) if 0 < w < 4 else w in (0, 4)


@given(seeds, st.floats(0, 2), st.floats(0, 2))
def test_the_gain_is_concave(seed: int, first: float, second: float) -> None:
    table = anything(seed)
    ends = gain_of(table, (first, second)), gain_of(table, (second, 1.0))
    middle = gain_of(table, ((first + second) / 2, (second + 1.0) / 2))
    assert middle >= sum(ends) / 2 - 1e-9


def test_a_shared_part_gets_its_weight_back_without_labels() -> None:
    # The plain sum errs twice as often as α; the best exponents leave α nearly alone.
    table = shared_part(0.9, 0.55, 0.8)
    world = cells(table)
    found = calibrated_exponents([world.alpha, world.beta], world.priors, world.shares)
    assert found.plain < -0.05 and found.gain > 0
    assert found.values[0] > 0.95 and found.values[1] < 0.1
    price = price_of_sum(table)
    assert (price.alpha_error, price.error) == pytest.approx((0.1, 0.2))
    q = posterior_of_sum([world.alpha, world.beta], world.priors, found.values)
    best = table.reshape(2, -1).max(axis=0).sum()
    right = np.take_along_axis(table.reshape(2, -1), q.argmax(axis=1)[None], axis=0).sum()
    assert right == pytest.approx(best)


def test_experts_that_contradict_each_other_end_at_the_limit() -> None:
    # Always sure of different classes: no two calibrated experts can be.
    p = np.array([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 2)
    found = calibrated_exponents([p, p[::-1]], [0.5, 0.5])
    assert found.values == pytest.approx((10, 10))


@pytest.mark.parametrize(
    ("posteriors", "exponents", "message"),
    [
        ([[[1.0, 0.0]]], (1,), "clip"),
        ([[[0.5, 0.5]]], (1, 1), "give 1"),
        ([[[0.5, 0.5]]], (-1,), "at least 0"),
        ([[[0.5, 0.6]]], (1,), "sums to 1"),
    ],
)
def test_bad_input_is_refused(posteriors: object, exponents: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expected_gain(posteriors, [0.5, 0.5], exponents)  # type: ignore[arg-type]


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        calibrated_exponents([[[0.5, 0.5]]], [0.5, 0.5], most=0.5)
