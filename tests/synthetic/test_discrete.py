from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.synthetic import discrete
from mke_theory.synthetic.corruptions import even_confusion
from mke_theory.synthetic.discrete import Discrete
from mke_theory.synthetic.world import Floats, World

THREE = ("alpha", "beta", "gamma")
GATES = [
    discrete.conjunction(THREE, noise=0.1),
    discrete.disjunction(noise=0.05),
    discrete.exclusive(THREE, noise=0.2),
    discrete.redundant(THREE, values=3, noise=0.3),
    discrete.unique(THREE, ("alpha", "gamma"), noise=0.1),
    discrete.synergy(THREE, values=3, noise=0.25),
]


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


def test_a_conjunction_by_hand() -> None:
    world = discrete.conjunction()
    assert world.priors.tolist() == [0.75, 0.25]
    assert world.bayes_error().value == 0
    # With one bit known to be 1, either class has probability 1/4 in all.
    assert world.bayes_error(("beta",)).value == pytest.approx(0.25)
    seen = world.posterior({"alpha": np.eye(2)})
    np.testing.assert_allclose(seen, [[1, 0], [0.5, 0.5]])


def test_the_other_gates_by_hand() -> None:
    either, parity = discrete.disjunction(), discrete.exclusive(THREE)
    assert either.priors.tolist() == [0.25, 0.75]
    assert parity.bayes_error().value == 0
    for pair in (("alpha", "beta"), ("alpha", "gamma"), ("beta",)):
        assert parity.bayes_error(pair).value == pytest.approx(0.5)
    copies = discrete.redundant(THREE, values=4, noise=0.3)
    for names in (("alpha",), ("beta", "gamma"), THREE):
        assert copies.bayes_error(names).value == pytest.approx(0.3)
    owned = discrete.unique(THREE, ("beta",))
    assert owned.classes == 2
    assert owned.bayes_error(("alpha", "gamma")).value == pytest.approx(0.5)
    assert owned.bayes_error(("beta",)).value == 0
    each = discrete.unique(THREE)
    assert each.classes == 8
    assert each.bayes_error(("alpha", "beta")).value == pytest.approx(0.5)
    assert discrete.synergy(values=5).bayes_error(("alpha",)).value == pytest.approx(0.8)


def test_noise_is_the_bayes_error_of_a_gate_seen_whole() -> None:
    for world, noise in zip(GATES, (0.1, 0.05, 0.2, 0.3, 0.1, 0.25), strict=True):
        assert world.bayes_error().value == pytest.approx(noise, abs=1e-12)
        assert world.bayes_error().method == "enumeration"


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
    # 18 intervals at level 1 − 1e-5: a false alarm in at most 0.02% of all seeds.
    for world in (*GATES, random_world(1), random_world(2), random_world(3)):
        draw = world.sample(4000, np.random.default_rng(7))
        for names in (world.modalities, world.modalities[-1:]):
            said = world.posterior({name: draw.inputs[name] for name in names}).argmax(axis=1)
            wrong = int((said != draw.labels).sum())
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
    world = discrete.redundant(values=2)
    seen = world.posterior({"alpha": np.eye(2), "beta": np.eye(2)[::-1]})
    np.testing.assert_array_equal(seen, [[0.5, 0.5]] * 2)


def test_the_order_of_the_keys_does_not_matter() -> None:
    world = random_world(4)
    x = world.sample(50, np.random.default_rng(0)).inputs
    np.testing.assert_array_equal(
        world.posterior({"gamma": x["gamma"], "alpha": x["alpha"]}),
        world.posterior({"alpha": x["alpha"], "gamma": x["gamma"]}),
    )


# Corrupted tables


def test_other_priors_keep_what_is_given_the_class() -> None:
    world = random_world(5)
    moved = discrete.with_priors(world, (0.6, 0.3, 0.1))
    np.testing.assert_allclose(moved.priors, [0.6, 0.3, 0.1])
    np.testing.assert_allclose(
        (moved.table.T / moved.priors).T, (world.table.T / world.priors).T, atol=1e-15
    )


def test_mismatched_tables_by_hand_and_at_both_ends() -> None:
    parity = discrete.exclusive()
    # A pair of strangers says nothing of the parity: half of a share of 0.4 is wrong.
    assert discrete.mismatched(parity, 0.4, ("alpha",)).bayes_error().value == pytest.approx(0.2)
    world = random_world(6)
    assert discrete.mismatched(world, 0.0, ("alpha",)).table == pytest.approx(world.table)
    strangers = discrete.mismatched(world, 1.0, ("beta",))
    assert strangers.bayes_error().value == pytest.approx(world.bayes_error(("beta",)).value)
    np.testing.assert_allclose(strangers.marginal(("beta",)), world.marginal(("beta",)))
    together = strangers.table.sum(axis=(0, 2))
    np.testing.assert_allclose(together, world.table.sum(axis=(0, 2)))  # (alpha, gamma) as one


def test_a_blurred_modality_by_hand() -> None:
    blurred = discrete.blurred(discrete.redundant(), "beta", 0.2)
    assert blurred.bayes_error(("beta",)).value == pytest.approx(0.2)
    assert blurred.bayes_error(("alpha",)).value == 0
    np.testing.assert_allclose(blurred.table[0], [[0.4, 0.1], [0, 0]])


def test_relabelled_by_hand() -> None:
    world = discrete.relabelled(discrete.redundant(), [[0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_allclose(world.priors, [0.6, 0.4])
    assert world.bayes_error().value == pytest.approx(0.2)
    np.testing.assert_allclose(
        even_confusion([0.2, 0.0, 0.4])[[0, 2]], [[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]]
    )


# What is refused


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
        discrete.exclusive(tuple(f"x{i}" for i in range(17)))
    with pytest.raises(MemoryError, match="cells"):
        discrete.redundant(tuple("abcdefgh"), values=50)
    with pytest.raises(ValueError, match="1 modalities need"):
        Discrete.of(np.full((2, 2, 2), 1 / 8), ("alpha",))
    with pytest.raises(ValueError, match="each once"):
        Discrete.of(np.full((2, 2, 2), 1 / 8), ("alpha", "alpha"))
    with pytest.raises(ValueError, match="need 4"):
        Discrete((0.5, 0.5), (2, 2), ("alpha",))
    with pytest.raises(ValueError, match=r"\[0, 1/2\)"):
        discrete.conjunction(noise=0.5)
    with pytest.raises(ValueError, match=r"\[0, 2/3\)"):
        discrete.synergy(values=3, noise=-0.1)
    world = discrete.conjunction()
    with pytest.raises(ValueError, match="not one-hot in sample 1"):
        world.posterior({"alpha": np.array([[1.0, 0.0], [0.5, 0.5]])})
    with pytest.raises(ValueError, match="gamma"):
        world.posterior({"gamma": np.eye(2)})
    with pytest.raises(ValueError, match="gamma"):
        world.bayes_error(("gamma",))
    with pytest.raises(ValueError, match="sum to"):
        discrete.with_priors(world, (0.5, 0.6))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        discrete.mismatched(world, 1.2, ("alpha",))
    with pytest.raises(ValueError, match="confusion has shape"):
        discrete.relabelled(world, np.eye(3))
