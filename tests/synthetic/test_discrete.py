from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.synthetic.discrete import Discrete, exclusive, gate
from mke_theory.synthetic.world import Floats, World

THREE = ("alpha", "beta", "gamma")
GATES = {
    "and": gate(lambda bits: bits.min(axis=1), 2, THREE, noise=0.1),
    "or": gate(lambda bits: bits.max(axis=1), 2, noise=0.05),
    "xor": exclusive(THREE, noise=0.2),
    "sum": gate(lambda x: x.sum(axis=1) % 3, 3, THREE, values=3, noise=0.25),
    "owned": gate(lambda bits: bits[:, [0, 2]] @ np.array([2, 1]), 4, THREE, noise=0.1),
}
NOISE = {"and": 0.1, "or": 0.05, "xor": 0.2, "sum": 0.25, "owned": 0.1}
AND = gate(lambda bits: bits.min(axis=1), 2)


def random_world(seed: int, sizes: tuple[int, ...] = (3, 2, 4, 3)) -> Discrete:
    table = np.random.default_rng(seed).dirichlet(np.full(int(np.prod(sizes)), 0.5))
    return Discrete.of(table.reshape(sizes), THREE[: len(sizes) - 1])


def every_input(world: Discrete, names: tuple[str, ...]) -> dict[str, Floats]:
    """Each combination of values of the named modalities once, in order."""
    sizes = [world.shapes[name][0] for name in names]
    values = np.array(list(product(*(range(size) for size in sizes))))
    return {
        name: np.eye(size)[values[:, i]]
        for i, (name, size) in enumerate(zip(names, sizes, strict=True))
    }


# By hand


def test_and_by_hand() -> None:
    assert AND.priors.tolist() == [0.75, 0.25]
    assert AND.bayes_error().value == 0
    # With one bit known to be 1, either class has probability 1/4 in all.
    assert AND.bayes_error(("beta",)).value == pytest.approx(0.25)
    seen = AND.posterior({"alpha": np.eye(2)})
    np.testing.assert_allclose(seen, [[1, 0], [0.5, 0.5]])


def test_other_gates_by_hand() -> None:
    parity = exclusive(THREE)
    assert parity.bayes_error().value == 0
    for pair in (("alpha", "beta"), ("alpha", "gamma"), ("beta",)):
        assert parity.bayes_error(pair).value == pytest.approx(0.5)
    fifths = gate(lambda x: x.sum(axis=1) % 5, 5, values=5)
    assert fifths.bayes_error(("alpha",)).value == pytest.approx(0.8)
    # α and γ have a bit of the class each, β is a coin.
    owned = gate(lambda bits: bits[:, [0, 2]] @ np.array([2, 1]), 4, THREE)
    assert owned.bayes_error(("alpha", "beta")).value == pytest.approx(0.5)
    assert owned.bayes_error(("alpha", "gamma")).value == 0


def test_noise_by_hand() -> None:
    # Two copies of a bit would be diagonal; XOR at noise 0.1 has 0.9 / 4 where the class is right.
    np.testing.assert_allclose(
        exclusive(noise=0.1).table,
        [[[0.225, 0.025], [0.025, 0.225]], [[0.025, 0.225], [0.225, 0.025]]],
    )
    # Of three classes each of the two others takes half of the noise.
    table = gate(lambda x: x[:, 0], 3, ("alpha",), values=3, noise=0.2).table
    np.testing.assert_allclose(3 * table, [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


@pytest.mark.parametrize("name", GATES)
def test_noise_is_the_bayes_error_of_a_gate_seen_whole(name: str) -> None:
    assert GATES[name].bayes_error().value == pytest.approx(NOISE[name], abs=1e-12)
    assert GATES[name].bayes_error().method == "enumeration"


# Against enumeration and sampling


@given(st.integers(0, 200))
def test_bayes_error_is_that_of_the_posteriors_best_guess(seed: int) -> None:
    world = random_world(seed)
    for names in (("alpha",), ("gamma", "beta"), THREE):
        ordered = tuple(name for name in THREE if name in names)
        posterior = world.posterior(every_input(world, ordered))
        np.testing.assert_allclose(posterior.sum(axis=1), 1)
        error = 0.0
        for y, *x in product(*(range(size) for size in world.sizes)):
            row = [v for v, name in zip(x, THREE, strict=True) if name in names]
            sizes = [world.shapes[name][0] for name in ordered]
            guess = posterior[int(np.ravel_multi_index(row, sizes))].argmax()
            error += float(world.table[y, *x]) * (guess != y)
        assert world.bayes_error(names).value == pytest.approx(error, abs=1e-12)


def test_errors_on_samples_agree_with_the_exact_ones() -> None:
    # 16 intervals at level 1 − 1e-5: a false alarm in at most 0.02% of all seeds.
    for world in (*GATES.values(), random_world(1), random_world(2), random_world(3)):
        draw = world.sample(4000, np.random.default_rng(7))
        for names in (world.modalities, world.modalities[-1:]):
            guess = world.posterior({name: draw.inputs[name] for name in names}).argmax(axis=1)
            wrong = int((guess != draw.labels).sum())
            interval = clopper_pearson(wrong, len(draw), level=1 - 1e-5)
            assert interval.low <= world.bayes_error(names).value <= interval.high


def test_samples_follow_the_table() -> None:
    # Pearson's statistic over 72 cells, false alarm 1e-4.
    world = Discrete.of(np.arange(1, 73).reshape(3, 2, 4, 3) / 2628, THREE)
    draw = world.sample(20_000, np.random.default_rng(3))
    values = [draw.inputs[name].argmax(axis=1) for name in THREE]
    seen = np.bincount(np.ravel_multi_index([draw.labels, *values], world.sizes), minlength=72)
    expected = world.table.ravel() * len(draw)
    assert ((seen - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, 71)


def test_it_is_a_world_and_a_setting() -> None:
    world: World = random_world(0)
    assert hash(world) == hash(random_world(0))
    assert world == random_world(0) != random_world(1)
    assert world.shapes == {"alpha": (2,), "beta": (4,), "gamma": (3,)}
    draw = world.sample(5, np.random.default_rng(0))
    again = world.sample(5, np.random.default_rng(0))
    assert {name: x.shape for name, x in draw.inputs.items()} == {
        "alpha": (5, 2),
        "beta": (5, 4),
        "gamma": (5, 3),
    }
    np.testing.assert_array_equal(draw.labels, again.labels)


def test_an_input_that_cannot_occur_has_the_priors() -> None:
    world = Discrete.of([[[0.5, 0], [0, 0]], [[0, 0], [0, 0.5]]])  # β is a copy of α
    seen = world.posterior({"alpha": np.eye(2), "beta": np.eye(2)[::-1]})
    np.testing.assert_array_equal(seen, [[0.5, 0.5]] * 2)


def test_the_order_of_the_keys_does_not_matter() -> None:
    world = random_world(4)
    x = world.sample(50, np.random.default_rng(0)).inputs
    np.testing.assert_array_equal(
        world.posterior({"gamma": x["gamma"], "alpha": x["alpha"]}),
        world.posterior({"alpha": x["alpha"], "gamma": x["gamma"]}),
    )


# Refusals


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0.5, 0.6], [0.2, -0.3]], "-0.3"),
        ([[0.5, np.nan], [0.2, 0.3]], "nan"),
        ([[0.5, 0.2], [0.2, 0.2]], "sums to 1.1"),
        ([[0.5, 0.5], [0.0, 0.0]], "class 1 has probability 0"),
        ([[0.5, 0.5]], "at least 2 classes"),
    ],
)
def test_tables_that_are_none_are_refused(table: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Discrete.of(table, ("alpha",))


def test_other_mistakes_are_refused() -> None:
    with pytest.raises(MemoryError, match="limit is 100,000"):
        exclusive(tuple(f"x{i}" for i in range(17)))
    with pytest.raises(ValueError, match="1 modalities need"):
        Discrete.of(np.full((2, 2, 2), 1 / 8), ("alpha",))
    with pytest.raises(ValueError, match="each once"):
        Discrete.of(np.full((2, 2, 2), 1 / 8), ("alpha", "alpha"))
    with pytest.raises(ValueError, match="need 4"):
        Discrete((0.5, 0.5), (2, 2), ("alpha",))
    with pytest.raises(ValueError, match=r"\[0, 1/2\)"):
        exclusive(noise=0.5)
    with pytest.raises(ValueError, match=r"\[0, 2/3\)"):
        gate(lambda x: x[:, 0], 3, values=3, noise=-0.1)
    with pytest.raises(ValueError, match="not one-hot in sample 1"):
        AND.posterior({"alpha": np.array([[1.0, 0.0], [0.5, 0.5]])})
    with pytest.raises(ValueError, match="gamma"):
        AND.posterior({"gamma": np.eye(2)})
    with pytest.raises(ValueError, match="gamma"):
        AND.bayes_error(("gamma",))
