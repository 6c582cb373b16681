from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import chi2

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.synthetic import corruptions, discrete
from mke_theory.synthetic.corruptions import Corruptions, MissingShare, Shift, Shifted
from mke_theory.synthetic.discrete import Discrete
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.world import Draw, Floats, World

THREE = ("alpha", "beta", "gamma")
SURE = 1 - 1e-5
"""The level of an interval: each raises a false alarm in one seed of 100,000."""


def random_world(seed: int = 0) -> Discrete:
    table = np.random.default_rng(seed).dirichlet(np.full(2 * 3 * 2 * 3, 0.7))
    return Discrete.of(table.reshape(2, 3, 2, 3), THREE)


def free_given_class(seed: int = 0) -> Discrete:
    """α and (β, γ) independent given y; β and γ are not."""
    rng = np.random.default_rng(seed)
    alpha, both = rng.dirichlet(np.ones(3), 2), rng.dirichlet(np.ones(6), 2).reshape(2, 2, 3)
    return Discrete.of(
        0.5 * alpha[:, :, None, None] * both[:, None, :, :],
        THREE,
    )


def marked(n: int) -> Draw:
    """Every sample carries its own number in every modality."""
    number = np.arange(n, dtype=np.float64)[:, None]
    return Draw({name: number.copy() for name in THREE}, np.arange(n) % 3)


def errors(world: World, draw: Draw, said: Floats) -> bool:
    """Whether the answers' error agrees with the world's Bayes error."""
    wrong = int((said.argmax(axis=1) != draw.labels).sum())
    interval = clopper_pearson(wrong, len(draw), level=SURE)
    return interval.low <= world.bayes_error().value <= interval.high


# Mismatched pairs


@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 1000))
def test_exactly_the_asked_share_meets_strangers(n: int, share: float, seed: int) -> None:
    if round(share * n) == 1:
        return
    draw = corruptions.mismatch(marked(n), share, ("alpha",), seed)
    own = draw.inputs["alpha"][:, 0]
    np.testing.assert_array_equal(own, np.arange(n))
    np.testing.assert_array_equal(draw.labels, np.arange(n) % 3)
    moved = draw.inputs["beta"][:, 0] != own
    assert moved.sum() == round(share * n)
    # β and γ come from one stranger, who is among those moved, and everybody's β is used once.
    np.testing.assert_array_equal(draw.inputs["beta"], draw.inputs["gamma"])
    assert sorted(draw.inputs["beta"][moved, 0]) == sorted(own[moved])


def test_a_pair_of_strangers_is_a_draw_of_the_product() -> None:
    # P'(y, α, β) by enumeration, and Pearson's statistic over its cells: false alarm 1e-4.
    world = random_world()
    exact = discrete.mismatched(world, 0.4, ("alpha",))
    draw = Corruptions(0.4).unlabelled(world, 20_000, ("alpha",), 5)
    values = [draw.inputs[name].argmax(axis=1) for name in THREE]
    seen = np.bincount(np.ravel_multi_index([draw.labels, *values], world.sizes), minlength=36)
    expected = exact.table.ravel() * len(draw)
    assert ((seen - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, 35)


@pytest.mark.parametrize("teacher", [("alpha",), ("beta",), ("alpha", "gamma")])
def test_the_mismatched_posterior_is_the_tables(teacher: tuple[str, ...]) -> None:
    world, share = random_world(1), 0.3
    exact = discrete.mismatched(world, share, teacher)
    x = world.sample(300, np.random.default_rng(0)).inputs
    at = tuple(x[name].argmax(axis=1) for name in THREE)
    alone = [
        world.table.sum(axis=0).sum(
            axis=tuple(i for i, name in enumerate(THREE) if (name in teacher) is gone),
            keepdims=True,
        )
        for gone in (True, False)
    ]
    ratio = (world.table.sum(axis=0) / (alone[0] * alone[1]))[at]
    mixed = corruptions.mismatched_posterior(world, x, share, teacher, ratio)
    np.testing.assert_allclose(mixed, exact.posterior(x), atol=1e-12)
    draw = Corruptions(share).unlabelled(world, 6000, teacher, 1)
    assert errors(exact, draw, exact.posterior(draw.inputs))


def test_the_ratio_where_modalities_are_free_given_the_class() -> None:
    world = free_given_class()
    joint = world.table.sum(axis=0)
    apart = joint.sum(axis=(1, 2), keepdims=True) * joint.sum(axis=0, keepdims=True)
    x = world.sample(100, np.random.default_rng(0)).inputs
    at = tuple(x[name].argmax(axis=1) for name in THREE)
    ratio = corruptions.independence_ratio(world, x, ("alpha",))
    np.testing.assert_allclose(ratio, (joint / apart)[at], atol=1e-12)
    gaussian = Gaussian(signal=(0.7, 1.5), dims=(1, 1), mixing_seed=None)
    t, b = np.random.default_rng(0).normal(size=(2, 50, 1))

    def density(*x: Floats) -> Floats:
        away = [sum((v - s * m) ** 2 for v, m in zip(x, moments, strict=True)) for s in (1, -1)]
        return np.exp(-np.array(away) / 2).mean(axis=0)[:, 0] / np.sqrt(2 * np.pi) ** len(x)

    moments = [0.7, 1.5]
    together = density(t, b)
    moments = [0.7]
    first = density(t)
    moments = [1.5]
    ratio = corruptions.independence_ratio(gaussian, {"x1": t, "x2": b}, ("x1",))
    np.testing.assert_allclose(ratio, together / (first * density(b)), rtol=1e-9)


@given(st.integers(0, 300), st.floats(0, 1))
def test_the_bounds_on_the_mismatched_error(seed: int, share: float) -> None:
    world = random_world(seed)
    exact = discrete.mismatched(world, share, ("alpha",)).bayes_error().value
    both, alone = world.bayes_error().value, world.bayes_error(("alpha",)).value
    assert (1 - share) * both + share * alone - 1e-12 <= exact <= alone + 1e-12


# Missing modalities


def test_exactly_the_asked_share_lacks_a_modality() -> None:
    missing = (MissingShare("beta", 0.3), MissingShare("gamma", 0.5))
    draw = Corruptions(missing=missing).unlabelled(random_world(), 1000, ("alpha",), 0)
    gone = {name: np.isnan(x) for name, x in draw.inputs.items()}
    assert not gone["alpha"].any()
    for name, count in (("beta", 300), ("gamma", 500)):
        assert (gone[name].all(axis=1) == gone[name].any(axis=1)).all()
        assert gone[name][:, 0].sum() == count
    # Hypergeometric, mean 150, variance 300/1000 · 700 · 500 · 500/999/1000 = 52.6: six sd.
    assert abs((gone["beta"][:, 0] & gone["gamma"][:, 0]).sum() - 150) < 6 * np.sqrt(52.6)


def test_the_error_with_missing_modalities_by_hand() -> None:
    # One bit of two is needed for each class bit: α knows one, β one, γ is a coin.
    world = discrete.unique(THREE, ("alpha", "beta"))
    exact = corruptions.missing_bayes_error(world, (MissingShare("beta", 0.4),))
    assert exact.value == pytest.approx(0.4 * 0.5)
    assert exact.method == "enumeration"
    assert corruptions.missing_bayes_error(world, ()) == world.bayes_error()


def test_the_error_with_missing_modalities_on_samples() -> None:
    world = random_world(3)
    missing = (MissingShare("beta", 0.3), MissingShare("gamma", 0.6))
    exact = corruptions.missing_bayes_error(world, missing)
    draw = Corruptions(missing=missing).unlabelled(world, 6000, ("alpha",), 2)
    wrong = 0
    for pattern in product((True, False), repeat=2):
        there = dict(zip(("beta", "gamma"), pattern, strict=True))
        rows = np.all([~np.isnan(draw.inputs[m][:, 0]) == t for m, t in there.items()], axis=0)
        names = ["alpha", *(m for m, t in there.items() if t)]
        said = world.posterior({m: draw.inputs[m][rows] for m in names}).argmax(axis=1)
        wrong += int((said != draw.labels[rows]).sum())
    interval = clopper_pearson(wrong, len(draw), level=SURE)
    assert interval.low <= exact.value <= interval.high
    with pytest.raises(ValueError, match="every modality can be missing"):
        corruptions.missing_bayes_error(world, [MissingShare(m, 0.1) for m in THREE])


# Shifts


def test_a_shifted_world_is_the_world_moved_back() -> None:
    world = Gaussian(signal=(0.7, 1.5), dims=(2, 3))
    first, second = world.modalities
    moved = Shifted(world, (Shift(second, (0.5, -1.0, 2.0)), Shift(first, (3.0,))))
    one, other = (w.sample(200, np.random.default_rng(1)) for w in (world, moved))
    np.testing.assert_allclose(other.inputs[second] - one.inputs[second], [[0.5, -1, 2]] * 200)
    np.testing.assert_allclose(other.inputs[first] - one.inputs[first], 3.0)
    np.testing.assert_allclose(moved.posterior(other.inputs), world.posterior(one.inputs))
    seen = {second: other.inputs[second]}
    np.testing.assert_allclose(moved.posterior(seen), world.posterior({second: one.inputs[second]}))
    assert moved.bayes_error((first,)) == world.bayes_error((first,))
    draw = moved.sample(6000, np.random.default_rng(2))
    assert errors(moved, draw, moved.posterior(draw.inputs))
    named: World = moved
    assert (named.shapes, named.classes) == (world.shapes, 2)
    np.testing.assert_array_equal(named.priors, world.priors)


def test_the_old_rule_on_shifted_inputs_errs_as_the_normal_law_says() -> None:
    # Class means ∓m, threshold 0: after a shift δ it errs on (Φ(−m − δ) + Φ(−m + δ))/2.
    world = Gaussian(signal=(1.0, 1.0), dims=(1, 1), mixing_seed=None)
    moved = Shifted(world, (Shift("x1", (0.6,)),))
    draw = moved.sample(20_000, np.random.default_rng(0))
    said = world.posterior({"x1": draw.inputs["x1"]}).argmax(axis=1)
    interval = clopper_pearson(int((said != draw.labels).sum()), len(draw), level=SURE)
    assert interval.low <= (ndtr(-1.6) + ndtr(-0.4)) / 2 <= interval.high


# Other priors


def test_resampled_draws_have_the_priors_and_the_rest_as_it_was() -> None:
    world = random_world(4)
    exact = discrete.with_priors(world, (0.8, 0.2))
    draw = corruptions.resample(world, (0.8, 0.2), 20_000, np.random.default_rng(0))
    assert len(draw) == 20_000
    values = [draw.inputs[name].argmax(axis=1) for name in THREE]
    seen = np.bincount(np.ravel_multi_index([draw.labels, *values], world.sizes), minlength=36)
    expected = exact.table.ravel() * len(draw)
    assert ((seen - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, 35)
    posterior = corruptions.reweighted(world.posterior(draw.inputs), world.priors, exact.priors)
    np.testing.assert_allclose(posterior, exact.posterior(draw.inputs), atol=1e-12)
    assert errors(exact, draw, posterior)


def test_the_error_under_other_priors_is_a_mean_over_the_old_world() -> None:
    world = random_world(5)
    moved = discrete.with_priors(world, (0.7, 0.3))
    odds = moved.priors / world.priors
    cells = world.table.reshape(2, -1)
    every = cells / cells.sum(axis=0)
    mean = 1 - (cells.sum(axis=0) * (every.T * odds).max(axis=1)).sum()
    assert moved.bayes_error().value == pytest.approx(mean, abs=1e-12)


def test_a_gaussian_world_with_other_priors() -> None:
    world = Gaussian(signal=(0.7, 1.0), dims=(2, 2))
    built = replace(world, priors_given=(0.9, 0.1))
    draw = Corruptions(priors=(0.9, 0.1)).test(world, 6000, 3)
    posterior = corruptions.reweighted(world.posterior(draw.inputs), world.priors, built.priors)
    np.testing.assert_allclose(posterior, built.posterior(draw.inputs), atol=1e-9)
    assert errors(built, draw, posterior)


# Together


def test_parts_are_corrupted_as_told_and_from_seeds_of_their_own() -> None:
    world = random_world(6)
    clean = Corruptions().unlabelled(world, 500, ("alpha",), 9)
    plain = world.sample(500, np.random.default_rng(9))
    np.testing.assert_array_equal(clean.labels, plain.labels)
    half = Corruptions(0.5).unlabelled(world, 500, ("alpha",), 9)
    lacking = Corruptions(0.5, (MissingShare("gamma", 0.2),)).unlabelled(world, 500, ("alpha",), 9)
    np.testing.assert_array_equal(half.inputs["alpha"], clean.inputs["alpha"])
    np.testing.assert_array_equal(half.inputs["beta"], lacking.inputs["beta"])
    both = Corruptions(priors=(0.9, 0.1))
    shares = [
        (part.labels == 0).mean()
        for where in ("unlabelled", "test", "both")
        for part in (
            replace(both, shifted=where).unlabelled(world, 2000, ("alpha",), 1),
            replace(both, shifted=where).test(world, 2000, 1),
        )
    ]
    moved = [share > 0.85 for share in shares]
    assert world.priors[0] < 0.8
    assert moved == [True, False, False, True, True, True]


def test_impossible_corruptions_are_refused() -> None:
    world = random_world()
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"mismatched is .*\[0, 1\]"):
            Corruptions(share)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        MissingShare("beta", 1.0)
    with pytest.raises(ValueError, match="twice"):
        Corruptions(missing=(MissingShare("beta", 0.1), MissingShare("beta", 0.2)))
    with pytest.raises(ValueError, match="it takes two"):
        corruptions.mismatch(marked(10), 0.1, ("alpha",), 0)
    with pytest.raises(ValueError, match="finite"):
        Shift("beta", (float("inf"),))
    with pytest.raises(ValueError, match="empty"):
        Shift("beta", ())
    with pytest.raises(ValueError, match="needs 1 or 2"):
        Shifted(world, (Shift("beta", (1.0, 2.0, 3.0)),))
    with pytest.raises(ValueError, match="delta"):
        Shifted(world, ()).posterior({"delta": np.zeros((1, 2))})
    with pytest.raises(ValueError, match="choose unlabelled"):
        Corruptions(shifted="labelled")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="times the world's"):
        rare = Discrete.of([[0.9999, 0], [0, 0.0001]], ("alpha",))
        corruptions.resample(rare, (0.5, 0.5), 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="both sides"):
        corruptions.independence_ratio(world, {"alpha": np.eye(3)}, ("alpha",))
    with pytest.raises(ValueError, match="at least two"):
        corruptions.even_confusion([0.2])
