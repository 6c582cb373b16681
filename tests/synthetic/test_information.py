from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space
from scipy.optimize import minimize
from scipy.special import xlogy

from mke_theory.synthetic import discrete, information
from mke_theory.synthetic.discrete import Discrete
from mke_theory.synthetic.information import Decomposition, decomposition
from mke_theory.synthetic.world import Floats

BIT = float(np.log(2))
THREE = ("alpha", "beta", "gamma")


def parts(found: Decomposition) -> list[float]:
    """R, U_α, U_β, S in bits."""
    values = (found.redundancy, found.unique_alpha, found.unique_beta, found.synergy)
    return [value / BIT for value in values]


def random_world(seed: int, sizes: tuple[int, ...], modalities: tuple[str, ...]) -> Discrete:
    table = np.random.default_rng(seed).dirichlet(np.full(int(np.prod(sizes)), 0.4))
    return Discrete.of(table.reshape(sizes), modalities)


def direct(joint: Floats) -> float:
    """Σ P(y, x) log P(y, x)/(P(y) P(x)), term by term."""
    flat = joint.reshape(len(joint), -1)
    expected = flat.sum(axis=1, keepdims=True) * flat.sum(axis=0)
    return float(
        sum(p * np.log(p / e) for p, e in zip(flat.flat, expected.flat, strict=True) if p > 0)
    )


# Values that are known


def test_entropy_by_hand() -> None:
    assert information.entropy(np.full((2, 4), 1 / 8)) == pytest.approx(3 * BIT)
    assert information.entropy(np.array([1.0, 0.0])) == 0


AND_ONE = 0.75 * np.log2(4 / 3) + 0.25 * 2 - 0.5  # H(1/4) less half a bit


@pytest.mark.parametrize(
    ("world", "bits"),
    [
        (discrete.conjunction(), [AND_ONE, 0, 0, 0.5]),
        (discrete.disjunction(), [AND_ONE, 0, 0, 0.5]),
        (discrete.exclusive(), [0, 0, 0, 1]),
        (discrete.redundant(), [1, 0, 0, 0]),
        (discrete.redundant(values=4), [2, 0, 0, 0]),
        (discrete.unique(), [0, 1, 1, 0]),
        (discrete.unique(owners=("beta",)), [0, 0, 1, 0]),
        (discrete.synergy(values=3), [0, 0, 0, np.log2(3)]),
    ],
    ids=["and", "or", "xor", "copy", "copy of 4", "unique", "unique beta", "sum mod 3"],
)
def test_known_decompositions(world: Discrete, bits: list[float]) -> None:
    found = decomposition(world)
    assert pytest.approx(0.311278, abs=1e-6) == AND_ONE
    np.testing.assert_allclose(parts(found), bits, atol=1e-8)
    assert 0 <= found.gap < 2e-9


def test_specific_information_calls_different_bits_redundant() -> None:
    # Williams and Beer's measure: two bits of one size each count as one shared bit.
    np.testing.assert_allclose(
        parts(decomposition(discrete.unique(), measure="imin")), [1, 0, 0, 1]
    )
    found = decomposition(discrete.conjunction(), measure="imin")
    np.testing.assert_allclose(parts(found), [AND_ONE, 0, 0, 0.5], atol=1e-12)
    assert found.gap == 0


def test_noise_can_only_lower_each_information() -> None:
    clean, noisy = discrete.conjunction(THREE), discrete.conjunction(THREE, noise=0.1)
    for names, value in information.informations(noisy).items():
        assert 0 < value < information.information(clean, names)


# Identities


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 4), st.integers(2, 3))
def test_the_parts_add_up_and_none_is_negative(seed: int, a: int, b: int, k: int) -> None:
    world = random_world(seed, (k, a, b), ("alpha", "beta"))
    for measure in ("broja", "imin"):
        found = decomposition(world, measure=measure)
        joint = world.table
        assert min(parts(found)) >= -1e-12
        total = found.redundancy + found.unique_alpha
        assert total == pytest.approx(direct(joint.sum(axis=2)), abs=1e-10)
        total = found.redundancy + found.unique_beta
        assert total == pytest.approx(direct(joint.sum(axis=1)), abs=1e-10)
        assert found.total == pytest.approx(direct(joint), abs=1e-10)
        assert information.co_information(world) == pytest.approx(
            found.redundancy - found.synergy, abs=1e-10
        )


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_swapping_the_sources_swaps_the_unique_parts(seed: int) -> None:
    world = random_world(seed, (2, 3, 4), ("alpha", "beta"))
    one, other = decomposition(world), decomposition(world, ("beta",), ("alpha",))
    assert one.unique_alpha == pytest.approx(other.unique_beta, abs=2e-9)
    assert one.synergy == pytest.approx(other.synergy, abs=2e-9)


def test_blackwell_a_garbled_copy_has_nothing_unique() -> None:
    # β is α through a channel: whatever β knows of y, α knows as well.
    rng = np.random.default_rng(0)
    for _ in range(5):
        with_alpha = rng.dirichlet(np.ones(9)).reshape(3, 3)
        channel = rng.dirichlet(np.ones(3), size=3)
        found = decomposition(Discrete.of(with_alpha[:, :, None] * channel))
        assert found.unique_beta < 2e-9
        assert found.redundancy == pytest.approx(direct(with_alpha @ channel), abs=2e-9)
        assert found.synergy < 2e-9


# Against brute force


def conditional(q: Floats) -> float:
    """I_Q(α, β; y) up to the constant H(y)."""
    return float((xlogy(q, q) - xlogy(q, q.sum(axis=0))).sum())


def by_grid(p: Floats, steps: int = 401) -> float:
    """min I_Q for 2 × 2 × 2 over a grid: given y one number is free, the (0, 0) cell."""
    ranges = []
    for k in range(2):
        a, b, mass = p[k, 0].sum(), p[k, :, 0].sum(), p[k].sum()
        ranges.append(np.linspace(max(0, a + b - mass), min(a, b), steps))
    best = np.inf
    for first in ranges[0]:
        q = np.zeros((2, 2, 2, steps))
        for k, corner in enumerate((np.full(steps, first), ranges[1])):
            a, b, mass = p[k, 0].sum(), p[k, :, 0].sum(), p[k].sum()
            q[k] = [[corner, a - corner], [b - corner, mass - a - b + corner]]
        q = np.maximum(q, 0)
        value = (xlogy(q, q) - xlogy(q, q.sum(axis=0))).sum(axis=(0, 1, 2))
        best = min(best, float(value.min()))
    return best + information.entropy(p.sum(axis=(1, 2)))


@pytest.mark.parametrize("seed", range(6))
def test_the_programme_against_a_grid(seed: int) -> None:
    world = random_world(seed, (2, 2, 2), ("alpha", "beta"))
    found = decomposition(world)
    union = found.redundancy + found.unique_alpha + found.unique_beta
    grid = by_grid(world.table)
    assert union - found.gap <= grid + 1e-12  # no feasible Q is below the certified minimum
    assert grid - union < 1e-4  # and one on the grid is near it


@pytest.mark.parametrize("seed", range(4))
def test_the_programme_against_another_solver(seed: int) -> None:
    world = random_world(seed, (3, 3, 2), ("alpha", "beta"))
    p = world.table
    cells = np.eye(p.size).reshape(p.size, *p.shape)
    sums = [cells.sum(axis=axis).reshape(p.size, -1) for axis in (2, 3)]
    free = null_space(np.concatenate(sums, axis=1).T)
    masses = p.sum(axis=(1, 2))
    start = p.sum(axis=2)[:, :, None] * p.sum(axis=1)[:, None, :] / masses[:, None, None]
    # A little inside, where the slope is finite: the least value there is at most 1e-5 of the
    # distance to the start's above the least of all, as the mean of both minima is inside.
    inner = 1e-5 * start.ravel()

    def slope(z: Floats) -> Floats:
        q = np.maximum(start.ravel() + free @ z, inner).reshape(p.shape)
        return free.T @ np.log(q / q.sum(axis=0)).ravel()

    solved = minimize(
        lambda z: conditional(np.maximum(start.ravel() + free @ z, inner).reshape(p.shape)),
        np.zeros(free.shape[1]),
        jac=slope,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda z: start.ravel() + free @ z - inner,
            "jac": lambda z: free,
        },
        options={"maxiter": 500, "ftol": 1e-12},
    )
    found = decomposition(world)
    union = found.redundancy + found.unique_alpha + found.unique_beta
    other = solved.fun + information.entropy(world.priors)
    assert union - found.gap <= other + 1e-7
    assert other == pytest.approx(union, abs=1e-4)


def test_the_dual_is_below_every_member_of_the_family() -> None:
    world = random_world(3, (2, 3, 3), ("alpha", "beta"))
    p = world.table
    highest, lowest = information._least_union(p)
    assert 0 <= highest - lowest < 2e-9
    rng = np.random.default_rng(0)
    for _ in range(200):
        q = rng.dirichlet(np.full(p.size, 0.3)).reshape(p.shape)
        for _ in range(300):  # proportional fitting makes it a member
            q *= (p.sum(axis=2) / q.sum(axis=2))[:, :, None]
            q *= (p.sum(axis=1) / q.sum(axis=1))[:, None, :]
        assert direct(q) >= lowest - 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_tables_that_are_nearly_deterministic_are_certified_too(seed: int) -> None:
    # Holes, and entries a billion times smaller than others.
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(45, 0.5)).reshape(3, 5, 3)
    table *= rng.choice([0.0, 1e-9, 1.0], size=table.shape, p=[0.3, 0.3, 0.4])
    highest, lowest = information._least_union(table / table.sum())
    assert 0 <= highest - lowest < 2e-9


# Three modalities


def test_three_modalities_by_hand() -> None:
    found = information.informations(discrete.exclusive(THREE))
    assert len(found) == 7
    assert found[THREE] == pytest.approx(BIT)
    assert all(
        value == pytest.approx(0, abs=1e-12) for names, value in found.items() if names != THREE
    )
    assert information.co_information(discrete.exclusive(THREE)) == pytest.approx(BIT)
    assert information.co_information(discrete.redundant(THREE)) == pytest.approx(BIT)
    assert information.co_information(discrete.unique(THREE)) == pytest.approx(0, abs=1e-12)
    parity = discrete.exclusive(THREE)
    added = information.conditional_information(parity, ("gamma",), ("alpha", "beta"))
    assert added == pytest.approx(BIT)


@given(st.integers(0, 10_000))
def test_every_information_against_its_definition(seed: int) -> None:
    world = random_world(seed, (3, 2, 3, 2), THREE)
    for names, value in information.informations(world).items():
        assert value == pytest.approx(direct(world.marginal(names)), abs=1e-10)
    for names, more in product(information.informations(world), THREE):
        joined = tuple(name for name in THREE if name in (*names, more))
        assert (
            information.information(world, joined) >= information.information(world, names) - 1e-12
        )


def test_several_modalities_can_be_one_source() -> None:
    world = discrete.unique(THREE)
    found = decomposition(world, ("alpha",), ("gamma", "beta"))
    np.testing.assert_allclose(parts(found), [0, 1, 2, 0], atol=1e-8)
    # The parity of all three: the third alone says nothing once two are one source.
    found = decomposition(discrete.exclusive(THREE), ("alpha",), ("beta", "gamma"))
    np.testing.assert_allclose(parts(found), [0, 0, 0, 1], atol=1e-8)
    # Leaving one out leaves its information out.
    found = decomposition(discrete.unique(THREE), ("gamma",), ("alpha",))
    np.testing.assert_allclose(parts(found), [0, 1, 1, 0], atol=1e-8)
    world = random_world(8, (2, 2, 3, 2), THREE)
    other = Discrete.of(world.table.transpose(0, 1, 3, 2).reshape(2, 2, 6))
    one, two = decomposition(world, ("alpha",), ("beta", "gamma")), decomposition(other)
    np.testing.assert_allclose(parts(one), parts(two), atol=1e-8)


def test_what_is_refused() -> None:
    three = discrete.exclusive(THREE)
    with pytest.raises(ValueError, match="name alpha and beta"):
        decomposition(three)
    with pytest.raises(ValueError, match="in both sources"):
        decomposition(three, ("alpha",), ("alpha", "beta"))
    with pytest.raises(ValueError, match="delta"):
        decomposition(three, ("alpha",), ("delta",))
    with pytest.raises(ValueError, match="broja or imin"):
        decomposition(discrete.conjunction(), measure="ibroja")  # type: ignore[arg-type]
    big = Discrete.of(np.full((2, 30, 20), 1 / 1200))
    with pytest.raises(MemoryError, match="1,200 cells"):
        decomposition(big)
    with pytest.raises(ArithmeticError, match="next to 0"):
        decomposition(Discrete.of([[[0.5, 0], [0, 1e-210]], [[0, 0.25], [0.25, 0]]]))
    assert decomposition(big, measure="imin").total == pytest.approx(0, abs=1e-12)
