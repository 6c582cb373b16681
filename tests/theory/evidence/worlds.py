"""Small worlds P(y, α, β) with every cell at hand, and the exact experts of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mke_theory.synthetic.discrete import Discrete

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """The pairs (α, β) of a world: their shares [n], and posteriors [n, classes] of each."""

    priors: Floats
    shares: Floats
    alpha: Floats
    beta: Floats
    both: Floats


def cells(table: Floats) -> Cells:
    """Each pair of values once, in order; posteriors as the world itself gives them."""
    world = Discrete.of(table)
    _, first, second = table.shape
    alpha = np.repeat(np.eye(first), second, axis=0)
    beta = np.tile(np.eye(second), (first, 1))
    return Cells(
        world.priors,
        table.sum(axis=0).ravel(),
        world.posterior({"alpha": alpha}),
        world.posterior({"beta": beta}),
        world.posterior({"alpha": alpha, "beta": beta}),
    )


def independent(seed: int, sizes: tuple[int, int, int] = (3, 4, 5)) -> Floats:
    """A world P(y) P(α | y) P(β | y) of random tables."""
    rng = np.random.default_rng(seed)
    classes, first, second = sizes
    priors = rng.dirichlet(np.full(classes, 3.0))
    alpha = rng.dirichlet(np.ones(first), classes)
    beta = rng.dirichlet(np.ones(second), classes)
    return np.einsum("y,ya,yb->yab", priors, alpha, beta)


def anything(seed: int, sizes: tuple[int, int, int] = (3, 3, 4)) -> Floats:
    """A random table, dependent given the class."""
    drawn = np.random.default_rng(seed).dirichlet(np.full(int(np.prod(sizes)), 0.7))
    return np.asarray(drawn.reshape(sizes))


def shared_part(own_alpha: float, own_beta: float, shared: float) -> Floats:
    """Two even classes; α = (a, u) and β = (b, u), bits that are the class with these chances."""
    chances = [np.array([[p, 1 - p], [1 - p, p]]) for p in (own_alpha, own_beta, shared)]
    own_a, own_b, both = chances
    full = np.einsum("ya,yb,yu,uv->yaubv", own_a, own_b, both, np.eye(2)) / 2
    return full.reshape(2, 4, 4)


def copies(posterior: Floats, shares: Floats) -> Floats:
    """A world in which β is α: posterior [values, classes], shares [values]."""
    return np.einsum("ay,a,ab->yab", posterior, shares, np.eye(len(shares)))
