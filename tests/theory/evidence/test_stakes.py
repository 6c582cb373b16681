from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.evidence import (
    calibrated_exponents,
    hard_confusion,
    posterior_of_sum,
    price_of_sum,
    stake,
)
from tests.theory.evidence.worlds import Floats, cells, independent, shared_part

seeds = st.integers(0, 10_000)


def twin(table: Floats) -> Floats:
    """The world with the same laws of (α, y) and of (α, β), and y ⟂ β given α."""
    alpha = table.sum(axis=2)
    return np.einsum("ya,ab->yab", alpha / alpha.sum(axis=0), table.sum(axis=0))


def log_likelihood(table: Floats, q: Floats) -> float:
    return float((table.reshape(len(table), -1).T * np.log(q)).sum())


def test_by_hand() -> None:
    found = stake([[0.5, 0.5]], [[0.8, 0.2]])
    assert found.gain == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))
    assert found.loss == pytest.approx(-0.5 * np.log(1.6 * 0.4))
    assert found.labels(0.05) == pytest.approx(np.log(20) / found.gain)
    nothing = stake([[0.5, 0.5]], [[0.5, 0.5]])
    assert (nothing.gain, nothing.loss, nothing.labels()) == (0, 0, np.inf)
    assert stake([[0.5, 0.5]], [[1.0, 0.0]]).loss == np.inf


@given(seeds)
def test_the_twin_shows_the_same_and_turns_the_gain_into_a_loss(seed: int) -> None:
    table = independent(seed)
    other = twin(table)
    np.testing.assert_allclose(other.sum(axis=2), table.sum(axis=2))  # D_l
    np.testing.assert_allclose(other.sum(axis=0), table.sum(axis=0))  # D_u
    world = cells(table)
    q = posterior_of_sum([world.alpha, world.beta], world.priors)
    found = stake(world.alpha, q, world.shares)
    for where, expected in ((table, found.gain), (other, -found.loss)):
        gain = log_likelihood(where, q) - log_likelihood(where, world.alpha)
        assert gain == pytest.approx(expected, abs=1e-12)
    assert found.gain == pytest.approx(price_of_sum(table).gain, abs=1e-9)
    assert found.gain > 0 and found.loss > 0
    # The teacher is the best posterior of the twin.
    np.testing.assert_allclose(cells(other).both, world.alpha, atol=1e-9)


@given(seeds)
def test_the_ratio_of_a_labelled_pair_has_mean_one_in_the_twin(seed: int) -> None:
    world = cells(independent(seed))
    q = posterior_of_sum([world.alpha, world.beta], world.priors)
    joint = twin(independent(seed)).reshape(3, -1).T
    assert (joint * q / world.alpha).sum() == pytest.approx(1)


def test_the_twin_is_ruled_out_too_often_by_chance_in_at_most_the_level() -> None:
    # 4000 experiments of 100 labels each, level 0.1: 6 standard deviations above it are 0.128.
    table = independent(4)
    world = cells(table)
    q = posterior_of_sum([world.alpha, world.beta], world.priors)
    ratio = np.log(q / world.alpha)
    rng = np.random.default_rng(0)
    reached = {}
    for name, where in (("twin", twin(table)), ("own", table)):
        joint = where.reshape(3, -1).T.ravel()
        drawn = rng.choice(len(joint), size=(4000, 100), p=joint / joint.sum())
        paths = ratio.ravel()[drawn].cumsum(axis=1)
        reached[name] = (paths.max(axis=1) >= np.log(10)).mean()
    assert reached["twin"] < 0.128
    assert reached["own"] > 0.9


def test_an_expert_learned_from_labels_that_are_the_shared_part_is_blind_to_it() -> None:
    # The teacher follows u, and so does what β learns of its labels: it predicts them perfectly,
    # which the class itself could not (0.8), and correction makes certainty of it.
    table = shared_part(0.7, 0.6, 0.8)
    world = cells(table)
    shares = table.sum(axis=(0, 2))
    p = (table.sum(axis=2) / shares).T
    confusion = hard_confusion(p, shares=shares)
    np.testing.assert_allclose(confusion, [[0.8, 0.2], [0.2, 0.8]])
    predicted = (table.sum(axis=0) / table.sum(axis=(0, 1))).T @ np.eye(2)[p.argmax(axis=1)]
    np.testing.assert_allclose(predicted.max(axis=1), 1)
    learned = np.clip(np.linalg.solve(confusion.T, predicted.T).T, 0.001, 0.999)
    experts = [world.alpha, np.tile(learned, (4, 1))]
    found = calibrated_exponents(experts, world.priors, world.shares)
    assert found.gain > 0.4  # so it says
    q = posterior_of_sum(experts, world.priors, found.values)
    assert log_likelihood(table, q) < log_likelihood(table, world.alpha) - 0.9


@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        ([0.5, 0.5], [[0.5, 0.5]], "shape"),
        ([[0.5, 0.5]], [[0.5, 0.5]] * 2, "shape"),
        ([[0.5, 0.6]], [[0.5, 0.5]], "sums to 1"),
    ],
)
def test_bad_input_is_refused(teacher: object, student: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stake(teacher, student)  # type: ignore[arg-type]


def test_a_level_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="inside"):
        stake([[0.5, 0.5]], [[0.8, 0.2]]).labels(1.0)
