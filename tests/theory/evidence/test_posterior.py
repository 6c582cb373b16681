from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.synthetic.discrete import Discrete
from mke_theory.theory.evidence import evidence_of, posterior_of_sum
from tests.theory.evidence.worlds import cells, copies, independent, shared_part

seeds = st.integers(0, 10_000)


def test_two_experts_by_hand() -> None:
    # Odds 3:1 and 1:2 at even priors multiply to 3:2; at priors 3:1 the prior comes off once: 1:2.
    first, second = [[0.75, 0.25]], [[1 / 3, 2 / 3]]
    np.testing.assert_allclose(posterior_of_sum([first, second], [0.5, 0.5]), [[0.6, 0.4]])
    np.testing.assert_allclose(
        posterior_of_sum([first, second], [0.75, 0.25]), [[1 / 3, 2 / 3]], rtol=1e-12
    )


def test_an_exponent_by_hand() -> None:
    # Odds 3:1 times (4:1)^½.
    found = posterior_of_sum([[[0.75, 0.25]], [[0.8, 0.2]]], [0.5, 0.5], (1, 0.5))
    np.testing.assert_allclose(found, [[6 / 7, 1 / 7]])


@given(seeds)
def test_the_sum_is_the_posterior_of_independent_modalities(seed: int) -> None:
    world = cells(independent(seed))
    found = posterior_of_sum([world.alpha, world.beta], world.priors)
    np.testing.assert_allclose(found, world.both, atol=1e-12)


@given(seeds)
def test_three_modalities_take_the_prior_off_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    priors = rng.dirichlet(np.ones(3) * 3)
    tables = [rng.dirichlet(np.ones(v), 3) for v in (2, 3, 2)]
    names = ("alpha", "beta", "gamma")
    world = Discrete.of(np.einsum("y,ya,yb,yc->yabc", priors, *tables), names)
    inputs = {name: np.eye(v)[[1] * 2] for name, v in zip(names, (2, 3, 2), strict=True)}
    experts = [world.posterior({name: x}) for name, x in inputs.items()]
    joint = world.posterior(inputs)
    np.testing.assert_allclose(posterior_of_sum(experts, priors), joint, atol=1e-12)
    # log p = Σ log p_m − 2 log π, written out
    plain = np.prod(experts, axis=0) / priors**2
    np.testing.assert_allclose(plain / plain.sum(axis=1, keepdims=True), joint, atol=1e-12)


@given(seeds)
def test_an_expert_of_nothing_drops_out_and_so_does_one_of_exponent_zero(seed: int) -> None:
    world = cells(independent(seed))
    nothing = np.tile(world.priors, (len(world.alpha), 1))
    for experts, exponents in (
        ([world.alpha, nothing], None),
        ([world.alpha, world.beta], (1, 0)),
        ([world.alpha], None),
    ):
        found = posterior_of_sum(experts, world.priors, exponents)
        np.testing.assert_allclose(found, world.alpha, atol=1e-12)


@given(seeds)
def test_a_copy_is_counted_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    posterior, shares = rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(4))
    table = copies(posterior, shares)
    world = cells(table)
    seen = world.shares > 0
    found = posterior_of_sum([world.alpha, world.beta], world.priors)[seen]
    squared = posterior**2 / world.priors
    np.testing.assert_allclose(found, squared / squared.sum(axis=1, keepdims=True), atol=1e-12)
    # Two halves are one.
    halves = posterior_of_sum([world.alpha, world.beta], world.priors, (0.5, 0.5))[seen]
    np.testing.assert_allclose(halves, posterior, atol=1e-12)


def test_a_copy_changes_decisions_at_unequal_priors_only() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    even = posterior_of_sum([rows, rows], np.full(3, 1 / 3))
    np.testing.assert_array_equal(even.argmax(axis=1), rows.argmax(axis=1))
    assert (even.max(axis=1) >= rows.max(axis=1)).all()
    # By hand: .55²/.8 = .378 < .45²/.2 = 1.01.
    found = posterior_of_sum([[[0.55, 0.45]]] * 2, [0.8, 0.2])
    assert found.argmax() == 1


def test_a_shared_part_is_counted_twice_and_decides() -> None:
    # Odds 9:1 against 4:1 twice; b adds little. The sum follows u, the truth does not.
    table = shared_part(0.9, 0.55, 0.8)
    world = cells(table)
    joint = table.reshape(2, -1)
    a, u, b = 0, 1, 1
    at = (2 * a + u) * 4 + 2 * b + u
    found = posterior_of_sum([world.alpha, world.beta], world.priors)
    odds = (9 / 1) * (1 / 4) ** 2 * (45 / 55)
    np.testing.assert_allclose(found[at], [odds / (1 + odds), 1 / (1 + odds)])
    assert world.both[at].argmax() == 0 != found[at].argmax()
    assert joint[0, at] > joint[1, at]


def test_the_evidence_is_the_likelihood_over_its_mean() -> None:
    table = independent(3)
    world = cells(table)
    first = evidence_of(world.alpha, world.priors).reshape(4, 5, 3)[:, 0]
    expected = table.sum(axis=2).T / table.sum(axis=(0, 2))[:, None] / world.priors
    np.testing.assert_allclose(first, expected)
    np.testing.assert_allclose(table.sum(axis=(0, 2)) @ first, 1)


def test_a_class_that_one_expert_excludes_stays_excluded() -> None:
    found = posterior_of_sum([[[0.0, 0.4, 0.6]], [[0.8, 0.1, 0.1]]], np.full(3, 1 / 3))
    np.testing.assert_allclose(found, [[0, 0.4, 0.6]])


@pytest.mark.parametrize(
    ("posteriors", "priors", "exponents", "message"),
    [
        ([], [0.5, 0.5], None, "no posterior"),
        ([[[0.5, 0.6]]], [0.5, 0.5], None, "sums to 1"),
        ([[[0.5, 0.5]], [[0.5, 0.5]] * 2], [0.5, 0.5], None, r"shape \(2, 2\)"),
        ([[[0.5, 0.5]]], [1.0, 0.0], None, "above 0"),
        ([[[0.5, 0.5]]], [0.5, 0.5], (-1,), "at least 0"),
        ([[[0.5, 0.5]]], [0.5, 0.5], (1, 1), "one an expert"),
        ([[[1.0, 0.0]], [[0.0, 1.0]]], [0.5, 0.5], None, "excluded"),
        ([[[np.nan, 0.5]]], [0.5, 0.5], None, "sums to 1"),
    ],
)
def test_bad_input_is_refused(
    posteriors: object, priors: object, exponents: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        posterior_of_sum(posteriors, priors, exponents)  # type: ignore[arg-type]
