"""Draws of a world against the exact numbers that it states."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

from mke_theory.synthetic.world import Draw, Floats, World

SMALLEST_P = 1e-7
LARGEST_Z = 6.0
"""A true claim fails one test at 1e-7, or one at 2e-9 (normal approximation, two sides)."""


def subsets(modalities: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every non-empty choice of the modalities."""
    for size in range(1, len(modalities) + 1):
        yield from combinations(modalities, size)


def seen(draw: Draw, modalities: tuple[str, ...]) -> dict[str, Floats]:
    """The inputs of some modalities."""
    return {name: draw.inputs[name] for name in modalities}


def error_p_value(world: World, draw: Draw, modalities: tuple[str, ...]) -> float:
    """The exact two-sided p-value of "the largest posterior errs at the stated Bayes error".

    Where the Bayes error is a range, the end nearest to what was seen is tested.
    """
    exact = world.bayes_error(modalities)
    wrong = int((world.posterior(seen(draw, modalities)).argmax(axis=1) != draw.labels).sum())
    low, high = exact.value - exact.tolerance, exact.value + exact.tolerance
    rate = float(np.clip(wrong / len(draw), max(low, 0.0), min(high, 1.0)))
    return float(binomtest(wrong, len(draw), rate).pvalue)


def calibration_z(posterior: Floats, labels: np.ndarray, bins: int = 10) -> Floats:
    """For every class and bin of its posterior, the z-score of (labels − posterior) summed there.

    Given the inputs the sum has mean 0 and variance Σ p(1 − p). Bins whose variance is below 25
    are left out: no normal approximation there.
    """
    scores = []
    for k in range(posterior.shape[1]):
        p = posterior[:, k]
        at = np.minimum((p * bins).astype(int), bins - 1)
        off = np.bincount(at, (labels == k) - p, bins)
        variance = np.bincount(at, p * (1 - p), bins)
        scores.append(off[variance > 25] / np.sqrt(variance[variance > 25]))
    return np.concatenate(scores)


def assert_draws_agree(world: World, n: int, seed: int) -> None:
    """Errors, calibration and priors of n draws are the world's, for every set of modalities.

    With m modalities and K classes a true world fails with probability at most
    (2^m − 1)(1e-7 + 10 K · 2e-9) + K · 1e-7: for m = 3 and K = 3 that is one seed in 700,000.
    """
    draw = world.sample(n, np.random.default_rng(seed))
    assert draw.labels.shape == (n,) and draw.labels.dtype == np.int64
    for name, shape in world.shapes.items():
        assert draw.inputs[name].shape == (n, *shape) and draw.inputs[name].dtype == np.float64
    for k, prior in enumerate(world.priors):
        assert binomtest(int((draw.labels == k).sum()), n, float(prior)).pvalue > SMALLEST_P
    for modalities in subsets(world.modalities):
        assert error_p_value(world, draw, modalities) > SMALLEST_P, modalities
        posterior = world.posterior(seen(draw, modalities))
        assert posterior.shape == (n, world.classes)
        np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-12)
        z = calibration_z(posterior, draw.labels)
        assert np.abs(z).max(initial=0) < LARGEST_Z, modalities


def assert_probabilities(world: World, n: int, seed: int) -> None:
    """Posteriors of n draws are distributions over classes, and Bayes errors nest."""
    assert_errors_nest(world)
    draw = world.sample(n, np.random.default_rng(seed))
    for modalities in subsets(world.modalities):
        posterior = world.posterior(seen(draw, modalities))
        assert (posterior >= 0).all()
        np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-12)


def assert_errors_nest(world: World) -> None:
    """Bayes errors lie in [0, 1 − max prior] and fall with every modality that is added."""
    errors = {frozenset(x): world.bayes_error(x) for x in subsets(world.modalities)}
    roof = 1 - world.priors.max()
    for fewer, first in errors.items():
        assert -first.tolerance <= first.value <= roof + first.tolerance + 1e-12
        for more, second in errors.items():
            if fewer <= more:
                slack = first.tolerance + second.tolerance + 1e-12
                assert second.value <= first.value + slack, (set(fewer), set(more))
