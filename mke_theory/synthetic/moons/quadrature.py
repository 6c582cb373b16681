"""Bayes errors between proven bounds, by cutting space into cells and halving the doubtful ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mke_theory.synthetic.world import Exact, Floats

_ROUNDING, _ROUNDING_PER_CELL = 1e-13, 4e-16
"""Of all masses together, and of one: two differences of Φ, each number good to 1e-16."""


def bayes_error_by_cells(
    low: Floats,
    high: Floats,
    masses: Callable[[Floats, Floats], Floats],
    log_odds: Callable[[Floats], Floats],
    *,
    slope: float,
    curvature: float,
    tolerance: float,
    most_cells: int = 200_000,
) -> Exact:
    """∫ min(π₀f₀, π₁f₁) over the box [low, high], low and high [d], between proven bounds.

    `masses(low, high)` [n, 2] are the P(y, cell) of n cells and `log_odds(points)` [n] is
    Λ = log(π₁f₁/π₀f₀), with |∇Λ| ≤ `slope` and ‖∇²Λ‖ ≤ `curvature` everywhere. Inside a cell with
    half widths h, Λ departs from the multilinear interpolation of its corners by at most
    b = min(curvature·|h|²/2, slope·2|h|), and that lies between the corners' values. Hence a cell

    - whose corners agree in sign and exceed b has one sign of Λ: it adds its smaller mass exactly;
    - else has |Λ| ≤ s = max |corner| + b: it adds between e⁻ˢ·(larger mass) and its smaller mass.

    Doubtful cells are halved along every axis until half the sum of the gaps is within `tolerance`,
    or that would make more than `most_cells` at once: the tolerance returned is then wider.
    """
    low, high = np.atleast_2d(low), np.atleast_2d(high)
    value = slack = 0.0
    seen = 0
    while len(low):
        seen += len(low)
        mass = masses(low, high)
        worse = mass.min(axis=1)
        corners = _at_corners(log_odds, low, high)
        diagonal = np.linalg.norm(high - low, axis=1)
        bend = np.minimum(curvature * diagonal**2 / 8, slope * diagonal)
        certain = np.minimum(np.abs(corners.min(axis=1)), np.abs(corners.max(axis=1))) > bend
        certain &= corners.min(axis=1) * corners.max(axis=1) > 0
        furthest = np.exp(-np.abs(corners).max(axis=1) - bend)
        gap = np.where(certain, 0.0, worse - np.minimum(worse, furthest * mass.max(axis=1)))
        done = _settled(gap / 2, tolerance - slack, most_cells // 2 ** low.shape[1])
        value += float((worse - gap / 2)[done].sum())
        slack += float(gap[done].sum() / 2)
        low, high = _halved(low[~done], high[~done])
    return Exact(value, slack + _ROUNDING + seen * _ROUNDING_PER_CELL, "quadrature")


def _at_corners(f: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """The values of f at the 2^d corners of every cell, [n, 2^d]; a shared corner is asked once."""
    n, d = low.shape
    sides = np.stack([low, high])
    picks = product((0, 1), repeat=d)
    points = np.stack([sides[list(pick), :, range(d)].T for pick in picks], axis=1).reshape(-1, d)
    once, back = np.unique(points, axis=0, return_inverse=True)
    return f(once)[back.reshape(n, -1)]


def _settled(half_gap: Floats, budget: float, most: int) -> NDArray[np.bool_]:
    """True for the cells that are not cut further, so that at most `most` are."""
    if half_gap.sum() <= budget:
        return np.ones(len(half_gap), dtype=bool)
    order = np.argsort(half_gap)
    done = np.empty(len(half_gap), dtype=bool)
    # A quarter of what may still be lost goes to the cells that matter least, in every round.
    done[order] = np.cumsum(half_gap[order]) <= budget / 4
    return done if (~done).sum() <= most else np.ones(len(half_gap), dtype=bool)


def _halved(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Every cell [n, d] cut in two along each axis: [n · 2^d, d]."""
    for axis in range(low.shape[1]):
        middle = (low[:, axis] + high[:, axis]) / 2
        first, second = high.copy(), low.copy()
        first[:, axis] = second[:, axis] = middle
        low, high = np.concatenate([low, second]), np.concatenate([first, high])
    return low, high


__all__ = ["bayes_error_by_cells"]
