"""What worlds do at their edges: settings of the wrong kind, and samples in single precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from mke_theory.synthetic.teacher_errors import noisy_posterior

from mke_theory.synthetic.checks import refuse_no_posterior
from mke_theory.synthetic.corruptions import (
    MissingShare,
    Shift,
    mismatched_posterior,
    missing_bayes_error,
    resample,
    reweighted,
)
from mke_theory.synthetic.decisive import Decisive
from mke_theory.synthetic.discrete import Discrete, conjunction, gate
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.moons.moons import Moons
from mke_theory.synthetic.observed import Bumps, Lifted, Observed, Tones
from mke_theory.synthetic.world import World

WORLD = Gaussian()
DRAW = WORLD.sample(5, np.random.default_rng(0))
SAID = WORLD.posterior(DRAW.inputs)
RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gaussian(signal=1.0), "signal is 1.0; it has to be a tuple"),
        (lambda: Gaussian(signal=[1.0, 1.0]), "signal is .* has to be a tuple"),
        (lambda: Gaussian(signal=("a", 1.0)), r"signal\[0\] is 'a'; it has to be a number"),
        (lambda: Gaussian(shared=1j), "shared is 1j; it has to be a number"),
        (lambda: Gaussian(anisotropy=None), "anisotropy is None; it has to be a number"),
        (lambda: Gaussian(mixing_seed=0.5), "mixing_seed is 0.5; it has to be a whole number"),
        (lambda: Moons(angles=0.0), "angles is 0.0; it has to be a tuple"),
        (lambda: Moons(prior="half"), "prior is 'half'; it has to be a number"),
        (lambda: Decisive(private=0.5), "private is 0.5; it has to be a tuple"),
        (lambda: Shift("x1", 1.0), "by is 1.0; it has to be a tuple"),
        (lambda: Discrete((0.5, 0.5), (2, 1), "a"), r"give a tuple: \('a',\)"),
        (lambda: Discrete((0.5, 0.5), (2.0, 1), ("a",)), "a size is 2.0"),
        (lambda: resample(WORLD, (0.5, 0.5), 1.5, RNG), "n is 1.5; it has to be a whole number"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gaussian(signal=(1e200, 1.0)), r"signal\[0\] is 1e\+200; it has to be finite"),
        (lambda: Moons(sd=1e200), "sd is 1e[+]200"),
        (lambda: Moons(prior=np.nan), "prior is nan"),
        (lambda: Gaussian(mixing_seed=-1), "mixing_seed is -1"),
        (lambda: Moons().posterior({"x1": np.array([[1e300]])}), "in sample 0, or beyond 1e"),
        (lambda: gate(lambda bits: bits[:, 0] - 1, 2), "label gives -1 to 0; allowed are 0 to 1"),
        (lambda: gate(lambda bits: bits[:, 0] * 2, 2), "label gives 0 to 2"),
        (lambda: gate(lambda bits: bits[:1, 0], 2), r"of shape \(1,\)"),
        (lambda: gate(lambda bits: bits[:, 0] / 1, 2), "label gives float64"),
        (lambda: resample(WORLD, (0.5, 0.5), 0, RNG), "n is 0"),
        (lambda: reweighted(SAID, WORLD.priors, np.array([2.0, -1.0])), "each above 0"),
        (lambda: reweighted(SAID, WORLD.priors, np.full(3, 1 / 3)), r"need \(2,\)"),
        (lambda: reweighted(SAID * np.nan, WORLD.priors, WORLD.priors), "posterior of sample 0"),
        (lambda: noisy_posterior(SAID * 2, np.eye(2)), "probabilities that sum to 1"),
        (lambda: refuse_no_posterior(SAID[0]), r"shape \(2,\)"),
        (
            lambda: missing_bayes_error(WORLD, (MissingShare("x2", 0.1), MissingShare("x2", 0.5))),
            "named twice",
        ),
    ],
)
def test_settings_out_of_range_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("ratio", "share"),
    [([-1.0] * 5, 0.5), ([np.nan] * 5, 0.5), ([0.0] * 5, 0.0), ([1.0] * 4, 0.5), (1.0, 0.5)],
)
def test_what_is_no_ratio_of_densities_is_refused(ratio: object, share: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        mismatched_posterior(WORLD, DRAW.inputs, share, ("x1",), np.array(ratio))


def test_a_pair_that_never_occurs_is_known_to_be_mismatched() -> None:
    said = mismatched_posterior(WORLD, DRAW.inputs, 0.5, ("x1",), np.zeros(5))
    np.testing.assert_allclose(said, WORLD.posterior({"x1": DRAW.inputs["x1"]}), atol=1e-15)


@pytest.mark.parametrize(
    "world",
    [
        Gaussian(signal=(1.0, 0.5), shared=0.7, anisotropy=1000.0, dims=(8, 6)),
        Gaussian(signal=(1.0, 0.5, 0.2), correlation=0.6, classes=3, dims=(5, 5, 5)),
        Moons(sd=0.1, angles=(0.0, 0.01, 2.0), rotation=1.0),
        Decisive(),
        Observed(Gaussian(anisotropy=10.0), (Bumps("x1"), Tones("x2"))),
        Observed(Gaussian(), (Lifted("x1", linear=0.05), Lifted("x2", bend=3.0))),
    ],
)
def test_single_precision_hardly_moves_a_posterior(world: World) -> None:
    inputs = world.sample(2000, np.random.default_rng(3)).inputs
    rounded = {name: x.astype(np.float32).astype(np.float64) for name, x in inputs.items()}
    np.testing.assert_allclose(world.posterior(rounded), world.posterior(inputs), atol=2e-3)


@pytest.mark.parametrize("view", [Bumps("x1"), Tones("x1")])
def test_numbers_that_single_precision_cannot_show_are_refused(view: Bumps | Tones) -> None:
    # At 45 rounding moves the number by about 0.01, at 1000 by more than 100.
    seen = Observed(Gaussian(dims=(2, 2), mixing_seed=None), (view,))
    for size in (45.0, 1000.0):
        shown = seen.shown({"x1": np.array([[0.1, size]])})
        if size == 45.0:
            assert seen.behind(shown)["x1"] == pytest.approx(np.array([[0.1, size]]), abs=1e-6)
        else:
            with pytest.raises(ValueError, match="a number too large for single precision"):
                seen.behind(shown)


def test_lifts_that_single_precision_cannot_undo_are_refused() -> None:
    for change in ({"linear": 0.001}, {"bend": 30.0}):
        with pytest.raises(ValueError, match="raise linear, or lower bend"):
            Lifted("x1", **change)


VIEWS = (Bumps("x1"), Lifted("x2"), Tones("x3"))


def test_no_sample_is_seen_as_none() -> None:
    seen = Observed(Gaussian((1.0, 1.0, 1.0), dims=(3, 3, 3)), VIEWS)
    hidden = {name: np.zeros((0, *shape)) for name, shape in seen.world.shapes.items()}
    assert {name: x.shape[1:] for name, x in seen.shown(hidden).items()} == seen.shapes
    none = {name: np.zeros((0, *shape)) for name, shape in seen.shapes.items()}
    assert seen.posterior(none).shape == (0, 2)
    assert conjunction().posterior({"alpha": np.zeros((0, 2))}).shape == (0, 2)
