"""The refusals that all worlds share, met through the worlds; and samples in single precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mke_theory.synthetic.decisive import Decisive
from mke_theory.synthetic.discrete import Discrete, exclusive, gate
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.moons.moons import Moons
from mke_theory.synthetic.observed import Bumps, Lifted, Observed
from mke_theory.synthetic.world import World


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
        (lambda: Discrete((0.5, 0.5), (2, 1), "a"), r"give a tuple: \('a',\)"),
        (lambda: Discrete((0.5, 0.5), (2.0, 1), ("a",)), "a size is 2.0"),
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
        (lambda: Gaussian().sample(0, np.random.default_rng(0)), "n is 0"),
    ],
)
def test_settings_out_of_range_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "world",
    [
        Gaussian(signal=(1.0, 0.5), shared=0.7, anisotropy=1000.0, dims=(8, 6)),
        Gaussian(signal=(1.0, 0.5, 0.2), correlation=0.6, classes=3, dims=(5, 5, 5)),
        Moons(sd=0.1, angles=(0.0, 0.01, 2.0), rotation=1.0),
        Decisive(),
        Observed(Gaussian(anisotropy=10.0), (Bumps("x1"), Bumps("x2", side=12))),
        Observed(Gaussian(), (Lifted("x1", linear=0.05), Lifted("x2", bend=3.0))),
    ],
)
def test_single_precision_hardly_moves_a_posterior(world: World) -> None:
    inputs = world.sample(2000, np.random.default_rng(3)).inputs
    rounded = {name: x.astype(np.float32).astype(np.float64) for name, x in inputs.items()}
    np.testing.assert_allclose(world.posterior(rounded), world.posterior(inputs), atol=2e-3)


def test_no_sample_has_no_posterior() -> None:
    assert exclusive().posterior({"alpha": np.zeros((0, 2))}).shape == (0, 2)
    assert Gaussian().posterior({"x1": np.zeros((0, 8))}).shape == (0, 2)
