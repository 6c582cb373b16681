from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, multivariate_normal, norm

from mke_theory.synthetic.decisive import Decisive
from tests.synthetic.sampled import (
    LARGEST_Z,
    SMALLEST_P,
    assert_draws_agree,
    assert_probabilities,
    calibration_z,
    error_p_value,
    seen,
    subsets,
)

THREE = Decisive(private=(0.3, 0.25, 0.15), shared=0.3, dims=(1, 3, 2), shared_dims=2)


@st.composite
def worlds(draw: st.DrawFn) -> Decisive:
    count = draw(st.integers(2, 4))
    raw = draw(st.lists(st.floats(0, 1), min_size=count + 1, max_size=count + 1).filter(sum))
    shares = np.array(raw) / sum(raw)
    dims = tuple(draw(st.integers(1, 3)) for _ in range(count))
    return Decisive(tuple(shares[:-1].tolist()), float(shares[-1]), dims, draw(st.integers(1, 3)))


@pytest.mark.parametrize(
    ("private", "shared", "first"),
    [
        ((0.5, 0.5), 0.0, 1 / 4),  # arccos(√(1/2)) is 45 degrees
        ((0.25, 0.75), 0.0, 1 / 3),  # 60 degrees
        ((0.25, 0.25), 0.5, 1 / 6),  # 30 degrees
        ((0.0, 1.0), 0.0, 1 / 2),
        ((0.0, 0.0), 1.0, 0.0),
    ],
)
def test_the_teachers_error_by_hand(
    private: tuple[float, ...], shared: float, first: float
) -> None:
    world = Decisive(private, shared)
    assert world.bayes_error(("x1",)).value == pytest.approx(first, abs=1e-15)
    assert world.bayes_error() == world.bayes_error(("x2", "x1"))
    assert world.bayes_error().value == 0


def test_every_set_of_modalities_by_the_closed_form() -> None:
    shares = dict(zip(THREE.modalities, THREE.private, strict=True))
    for modalities in subsets(THREE.modalities):
        share = sum(shares[name] for name in modalities) + THREE.shared
        expected = np.arccos(np.sqrt(min(share, 1.0))) / np.pi
        assert THREE.bayes_error(modalities).value == pytest.approx(expected, abs=1e-8)
    assert THREE.bayes_error().value == 0


def test_the_error_is_the_chance_that_two_correlated_scores_differ_in_sign() -> None:
    r = np.sqrt(0.6)
    both_below = multivariate_normal.cdf([0, 0], cov=[[1, r], [r, 1]])
    found = Decisive((0.4, 0.4), 0.2).bayes_error(("x2",)).value
    assert found == pytest.approx(1 - 2 * both_below, abs=1e-7)


def test_a_posterior_by_hand() -> None:
    world = Decisive((0.5, 0.3), 0.2, dims=(1, 1), shared_dims=1)
    score = np.sqrt(0.5) * 0.6 + np.sqrt(0.2) * -1.1
    found = world.posterior({"x1": np.array([[0.6, -1.1]])})
    assert found[0, 1] == pytest.approx(norm.cdf(score / np.sqrt(0.3)))
    assert found[0, 0] == pytest.approx(1 - found[0, 1])


def test_all_modalities_tell_the_class_of_every_draw() -> None:
    draw = THREE.sample(20_000, np.random.default_rng(0))
    np.testing.assert_array_equal(THREE.posterior(draw.inputs).argmax(axis=1), draw.labels)
    assert set(np.unique(THREE.posterior(draw.inputs))) == {0.0, 1.0}


@pytest.mark.parametrize("world", [Decisive(), THREE, Decisive((0.9, 0.1), 0.0, (2, 2), 0)])
def test_draws_agree_with_the_exact_numbers(world: Decisive) -> None:
    assert_draws_agree(world, 50_000, seed=1)


def test_shares_that_are_off_by_little_would_be_noticed() -> None:
    # 50,000 draws of a world in which x1 holds .6: a world of .53 is refused.
    draw = Decisive().sample(50_000, np.random.default_rng(1))
    assert error_p_value(Decisive((0.33, 0.47), 0.2), draw, ("x1",)) < 1e-7
    posterior = Decisive((0.33, 0.47), 0.2).posterior(seen(draw, ("x1",)))
    assert np.abs(calibration_z(posterior, draw.labels)).max() > LARGEST_Z


def test_the_mean_over_beta_of_the_full_posterior_is_the_posterior_of_alpha() -> None:
    # The full posterior is 0 or 1, so its sum over 40,000 draws of z_β is binomial. 20 points at
    # 1e-7 each: one seed in 500,000 fails.
    world, rng = Decisive((0.3, 0.4), 0.3, (2, 2), 2), np.random.default_rng(2)
    draw = world.sample(20, rng)
    for row in range(20):
        alpha = np.repeat(draw.inputs["x1"][[row]], 40_000, axis=0)
        beta = np.concatenate([rng.normal(size=(40_000, 2)), alpha[:, 2:]], axis=1)
        ones = int(world.posterior({"x1": alpha, "x2": beta})[:, 1].sum())
        expected = float(world.posterior({"x1": alpha[:1]})[0, 1])
        assert binomtest(ones, 40_000, expected).pvalue > SMALLEST_P


@given(worlds(), st.integers(0, 100))
def test_posteriors_and_errors_are_probabilities(world: Decisive, seed: int) -> None:
    assert_probabilities(world, 50, seed)


def test_the_inputs_look_the_same_whatever_the_shares() -> None:
    first = Decisive((1.0, 0.0), 0.0).sample(100, np.random.default_rng(3))
    second = Decisive((0.1, 0.2), 0.7).sample(100, np.random.default_rng(3))
    for name in first.inputs:
        np.testing.assert_array_equal(first.inputs[name], second.inputs[name])
    assert (first.labels != second.labels).any()


def test_a_draw_in_single_precision_is_read() -> None:
    draw = Decisive().sample(100, np.random.default_rng(4))
    single = {name: x.astype(np.float32) for name, x in draw.inputs.items()}
    np.testing.assert_array_equal(Decisive().posterior(single).argmax(axis=1), draw.labels)


def test_modalities_that_disagree_about_the_shared_part_are_refused() -> None:
    draw = Decisive().sample(5, np.random.default_rng(5))
    draw.inputs["x2"][3, -1] += 0.01
    with pytest.raises(ValueError, match=r"'x1' and 'x2'.*0\.01 in sample 3"):
        Decisive().posterior(draw.inputs)


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (lambda: Decisive((0.5, 0.4)), r"sum to 1\.1"),
        (lambda: Decisive((-0.1, 0.9)), "at least 0"),
        (lambda: Decisive((0.8,)), "at least 2 modalities"),
        (lambda: Decisive((0.4, np.nan)), r"private\[1\] is nan"),
        (lambda: Decisive(dims=(3,)), "need one each"),
        (lambda: Decisive(dims=(0, 3)), "has no coordinate; give it at least 1"),
        (lambda: Decisive(shared_dims=0), r"share 0\.2 has no coordinate"),
        (lambda: Decisive((0.0, 1.0), 0.0, (0, 3), 0), "raise its dims"),
        (lambda: Decisive().sample(0, np.random.default_rng(0)), "n is 0"),
        (lambda: Decisive().posterior({"x3": np.zeros((1, 16))}), r"no modality \['x3'\]"),
        (lambda: Decisive().posterior({}), "no modality is given"),
        (lambda: Decisive().posterior({"x1": np.zeros((1, 3))}), r"has to be \[n, 16\]"),
        (lambda: Decisive().posterior({"x1": np.full((1, 16), np.nan)}), "NaN or infinite"),
        (lambda: Decisive().bayes_error(()), "no modality is given"),
        (lambda: Decisive().bayes_error(("beta",)), r"no modality \['beta'\]"),
    ],
)
def test_bad_input_is_refused(world: object, message: str) -> None:
    assert callable(world)
    with pytest.raises(ValueError, match=message):
        world()


def test_types_are_checked() -> None:
    with pytest.raises(TypeError, match="whole number"):
        Decisive(shared_dims=2.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"give a tuple: \('x1',\)"):
        Decisive().bayes_error("x1")  # type: ignore[arg-type]
