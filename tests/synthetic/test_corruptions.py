from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2

from mke_theory.synthetic.corruptions import mismatch
from mke_theory.synthetic.discrete import Discrete, exclusive
from mke_theory.synthetic.world import Draw

THREE = ("alpha", "beta", "gamma")


def random_world(seed: int = 0) -> Discrete:
    table = np.random.default_rng(seed).dirichlet(np.full(2 * 3 * 2 * 3, 0.7))
    return Discrete.of(table.reshape(2, 3, 2, 3), THREE)


def mixture(world: Discrete, share: float) -> Discrete:
    """(1 − s) P(y, α, β) + s P(y, α) P(β), with α the first modality and β all others."""
    axes = tuple(range(2, world.table.ndim))
    own, others = world.table.sum(axis=axes, keepdims=True), world.table.sum(axis=(0, 1))
    return Discrete.of((1 - share) * world.table + share * own * others, world.modalities)


def marked(n: int) -> Draw:
    """Every sample carries its own number in every modality."""
    number = np.arange(n, dtype=np.float64)[:, None]
    return Draw({name: number.copy() for name in THREE}, np.arange(n) % 3)


@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 1000))
def test_exactly_the_asked_share_is_mismatched(n: int, share: float, seed: int) -> None:
    assume(round(share * n) != 1)
    draw = mismatch(marked(n), share, ("alpha",), seed)
    own = draw.inputs["alpha"][:, 0]
    np.testing.assert_array_equal(own, np.arange(n))
    np.testing.assert_array_equal(draw.labels, np.arange(n) % 3)
    moved = draw.inputs["beta"][:, 0] != own
    assert moved.sum() == round(share * n)
    # β and γ come from one other sample, which is among those moved, and every β is used once.
    np.testing.assert_array_equal(draw.inputs["beta"], draw.inputs["gamma"])
    assert sorted(draw.inputs["beta"][moved, 0]) == sorted(own[moved])


def test_a_mismatched_draw_follows_the_mixture() -> None:
    # P'(y, α, β, γ) by enumeration, and Pearson's statistic over its cells: false alarm 1e-4.
    world = random_world()
    plain = world.sample(20_000, np.random.default_rng(5))
    draw = mismatch(plain, 0.4, ("alpha",), seed=6)
    values = [draw.inputs[name].argmax(axis=1) for name in THREE]
    seen = np.bincount(np.ravel_multi_index([draw.labels, *values], world.sizes), minlength=36)

    def pearson(expected: Discrete) -> float:
        counts = expected.table.ravel() * len(draw)
        return float(((seen - counts) ** 2 / counts).sum())

    assert pearson(mixture(world, 0.4)) < chi2.ppf(1 - 1e-4, 35)
    assert pearson(mixture(world, 0.3)) > chi2.ppf(1 - 1e-4, 35)  # the statistic can tell


@given(st.integers(0, 300), st.floats(0, 1))
def test_the_bounds_on_the_mismatched_error(seed: int, share: float) -> None:
    world = random_world(seed)
    exact = mixture(world, share).bayes_error().value
    both, alone = world.bayes_error().value, world.bayes_error(("alpha",)).value
    assert (1 - share) * both + share * alone - 1e-12 <= exact <= alone + 1e-12


def test_the_mismatched_error_by_hand() -> None:
    # A mismatched pair holds nothing of the parity: half of a share of 0.4 is wrong.
    assert mixture(exclusive(), 0.4).bayes_error().value == pytest.approx(0.2)


def test_impossible_shares_are_refused() -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"mismatched is .*\[0, 1\]"):
            mismatch(marked(10), share, ("alpha",), 0)
    with pytest.raises(ValueError, match="it takes two"):
        mismatch(marked(10), 0.1, ("alpha",), 0)
    with pytest.raises(ValueError, match="delta"):
        mismatch(marked(10), 0.5, ("delta",), 0)
