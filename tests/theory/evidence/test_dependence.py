from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.synthetic.discrete import Discrete, exclusive
from mke_theory.theory.evidence import evidence_of, pair_likelihood, posterior_of_sum, price_of_sum
from tests.theory.evidence.worlds import anything, cells, copies, independent

seeds = st.integers(0, 10_000)


def test_exclusive_or_by_hand() -> None:
    # Each modality says nothing, both say all: the sum is a coin, its price all of one bit.
    found = price_of_sum(exclusive().table)
    assert found.information == found.likelihood == found.gain == 0
    assert found.conditional_information == pytest.approx(np.log(2))
    assert found.price == pytest.approx(np.log(2))
    assert (found.error, found.alpha_error, found.bayes_error) == (0.5, 0.5, 0)


def test_a_copy_by_hand() -> None:
    found = price_of_sum(copies(np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([0.5, 0.5])))
    assert found.information == pytest.approx(np.log(2))
    # L = log Σ π r² = log(½ 1.6² + ½ .4²), the same in either cell.
    assert found.likelihood == pytest.approx(np.log(1.36))
    assert found.gain == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4) - np.log(1.36))
    assert found.gain < 0
    assert found.price == pytest.approx(-found.gain)  # α alone is the best posterior


@given(seeds)
def test_every_number_is_that_of_the_cells(seed: int) -> None:
    table = anything(seed)
    world, found = cells(table), price_of_sum(table)
    q = posterior_of_sum([world.alpha, world.beta], world.priors)
    joint = table.reshape(3, -1).T
    assert found.price == pytest.approx((joint * np.log(world.both / q)).sum(), abs=1e-9)
    assert found.gain == pytest.approx((joint * np.log(q / world.alpha)).sum(), abs=1e-9)
    evidence = [evidence_of(p, world.priors) for p in (world.alpha, world.beta)]
    likelihood = pair_likelihood(*evidence, world.priors, world.shares)
    assert found.likelihood == pytest.approx(likelihood, abs=1e-9)
    exact = Discrete.of(table)
    assert found.bayes_error == pytest.approx(exact.bayes_error().value, abs=1e-12)
    assert found.alpha_error == pytest.approx(exact.bayes_error(("alpha",)).value, abs=1e-12)
    right = np.take_along_axis(joint, q.argmax(axis=1)[:, None], axis=1).sum()
    assert found.error == pytest.approx(1 - right, abs=1e-9)


@given(seeds)
def test_the_price_is_at_most_the_dependence_and_bounds_the_error(seed: int) -> None:
    found = price_of_sum(anything(seed))
    assert 0 <= found.price <= found.conditional_information + 1e-12
    balance = found.conditional_information - found.information + found.likelihood
    assert found.price == pytest.approx(balance, abs=1e-12)
    assert found.error <= found.error_bound


@given(seeds)
def test_independent_modalities_cost_nothing_and_gain(seed: int) -> None:
    found = price_of_sum(independent(seed))
    assert found.conditional_information == pytest.approx(0, abs=1e-12)
    assert found.price == pytest.approx(0, abs=1e-12)
    assert found.gain >= 0
    assert found.error == pytest.approx(found.bayes_error)


@pytest.mark.parametrize(
    "table", [np.ones((2, 2)) / 4, np.ones((2, 2, 2)), np.array([[[1.0]], [[0.0]]])]
)
def test_bad_input_is_refused(table: object) -> None:
    with pytest.raises(ValueError, match="give"):
        price_of_sum(table)  # type: ignore[arg-type]
