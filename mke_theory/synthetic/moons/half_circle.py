"""A uniform point of the upper unit half circle plus Gaussian noise: densities and masses.

    p = (cos θ, sin θ) + σ (ξ₁, ξ₂),   θ uniform on [0, π],   ξ standard normal

The density of p, or of its coordinate along a direction, is a mean over θ of exp(g(cos η)) with
η = θ − direction. It is cut into pieces on which the exponent is monotone, each piece is shortened
to where the exponent is within 50 of its top (what is cut off is below e⁻⁵⁰ of the integrand's
top), and Gauss–Legendre takes the rest. On a shortened piece the integrand is exp(−50 s(t)) with s
smooth and rising from 0 to at most 1, whatever σ and p are: 32 nodes a piece serve them all, and
more change nothing but rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from mke_theory.synthetic.world import Floats

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_DROP = 50.0
_SHORTEST = 1e-15
"""No piece is shortened to less, in the cosine: double precision would leave nothing of it."""
_ROWS = 2048
"""Rows worked at once; what keeps memory small."""


def log_density_along(x: Floats, direction: float, sd: float) -> Floats:
    """The log density of the coordinate of p along `direction` (radians) at x [n].

    f(x) = (1/π) ∫ φ_σ(x − cos(θ − direction)) dθ.
    """
    turned = np.angle(np.exp(1j * direction))
    chunks = [_along(part, float(turned), sd) for part in _chunks(x)]
    return np.concatenate(chunks) - np.log(np.pi * sd * np.sqrt(2 * np.pi))


def log_density(p: Floats, sd: float) -> Floats:
    """The log density of p at the points [n, 2].

    f(p) = exp(−(|p|² + 1)/2σ²) / (2π²σ²) · ∫ exp(|p| cos(θ − arg p)/σ²) dθ.
    """
    chunks = [_around(part, sd) for part in _chunks(p)]
    radius = np.hypot(p[:, 0], p[:, 1])
    # (|p|² + 1)/2 = (|p| − 1)²/2 + |p|: `_around` measures its exponent from the top, |p|/σ².
    return np.concatenate(chunks) - (radius - 1) ** 2 / (2 * sd**2) - np.log(2 * np.pi**2 * sd**2)


def box_mass(low: Floats, high: Floats, direction: float, sd: float) -> Floats:
    """P(low ≤ coordinates < high), [n], along `direction` and, for [n, 2], also across it.

    The mean over θ of a product of differences of Φ: smooth in θ at the scale of σ, so panels of
    2σ with 16 nodes each leave rounding only, less than 1e-14.
    """
    theta, weights = _panels(sd)
    mass = np.empty(len(low))
    rows = max(1, _ROWS * 64 // len(theta))
    for start in range(0, len(low), rows):
        at = slice(start, start + rows)
        product = np.ones((len(low[at]), len(theta)))
        for axis in range(low.shape[1]):
            centre = np.cos(theta - direction - axis * np.pi / 2)
            below, above = (ndtr((end[at, axis, None] - centre) / sd) for end in (low, high))
            product *= above - below
        mass[at] = product @ weights
    return mass


def _panels(sd: float) -> tuple[Floats, Floats]:
    """Nodes on [0, π] and weights that sum to 1."""
    points, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(0.0, np.pi, 1 + max(2, int(np.ceil(np.pi / (2 * sd)))))
    half = np.diff(edges) / 2
    theta = (edges[:-1] + half)[:, None] + half[:, None] * points
    return theta.ravel(), (half[:, None] * weights).ravel() / np.pi


def _chunks(x: Floats) -> list[Floats]:
    return [x[start : start + _ROWS] for start in range(0, max(len(x), 1), _ROWS)]


def _along(x: Floats, direction: float, sd: float) -> Floats:
    """The log of ∫ exp(−(x − cos η)²/2σ²) dη over η in [−direction, π − direction], for x [n]."""
    # Monotone between the turning points 0 and π of the cosine and the angles where cos η = x.
    meets = np.arccos(np.clip(x, -1.0, 1.0))
    zero = np.zeros_like(x)
    marks = np.stack([-meets, zero, meets, zero + np.pi, 2 * np.pi - meets], axis=1)
    reach = np.sqrt(2 * _DROP) * sd

    def faintest(top: Floats, end: Floats) -> Floats:
        gap = np.abs(top - x[:, None])
        # √(gap² + reach²) − gap without cancellation: how much further the drop is reached.
        further = reach**2 / (np.hypot(gap, reach) + gap)
        return top + np.sign(end - top) * np.maximum(further, _SHORTEST)

    def exponent(cosine: Floats) -> Floats:
        return -((x[:, None, None] - cosine) ** 2) / (2 * sd**2)

    return _log_integral(marks, direction, exponent, faintest)


def _around(p: Floats, sd: float) -> Floats:
    """The log of ∫ exp(|p| (cos η − 1)/σ²) dη over η = θ − arg p, θ in [0, π], for p [n, 2]."""
    steepness = np.hypot(p[:, 0], p[:, 1]) / sd**2
    angle = np.arctan2(p[:, 1], p[:, 0])
    marks = np.broadcast_to(np.array([0.0, np.pi]), (len(p), 2))
    drop = np.maximum(_DROP / np.maximum(steepness, 1e-300), _SHORTEST)

    def faintest(top: Floats, end: Floats) -> Floats:
        return top + np.sign(end - top) * drop[:, None]

    def exponent(cosine: Floats) -> Floats:
        return steepness[:, None, None] * (cosine - 1)

    return _log_integral(marks, angle, exponent, faintest)


def _log_integral(
    marks: Floats,
    direction: float | Floats,
    exponent: Callable[[Floats], Floats],
    faintest: Callable[[Floats, Floats], Floats],
) -> Floats:
    """The log of ∫ exp(exponent(cos η)) dη, η from −direction to π − direction, for n rows.

    `marks` [n, m] rise within [−π, 2π] and cut the range into pieces on which `exponent` is
    monotone in η; `faintest` gives, from the cosines at a piece's top and at its other end, the
    cosine at which to stop.
    """
    first = np.broadcast_to(-np.asarray(direction), len(marks))[:, None]
    inner = np.clip(marks, first, first + np.pi)
    edges = np.concatenate([first, inner, first + np.pi], axis=1)
    left, right = edges[:, :-1], edges[:, 1:]
    ends = np.stack([np.cos(left), np.cos(right)])
    values = np.stack([exponent(c[..., None])[..., 0] for c in ends])
    top_is_left = values[0] >= values[1]
    top, end = np.where(top_is_left, ends, ends[::-1])
    stop = np.clip(_angle_of(faintest(top, end), (left + right) / 2), left, right)
    low = np.where(top_is_left, left, stop)
    half = (np.where(top_is_left, stop, right) - low) / 2
    eta = (low + half)[..., None] + half[..., None] * _POINTS
    terms = exponent(np.cos(eta))
    highest = terms.max(axis=(1, 2), keepdims=True)
    total = (half[..., None] * _WEIGHTS * np.exp(terms - highest)).sum(axis=(1, 2))
    return highest[:, 0, 0] + np.log(total)


def _angle_of(cosine: Floats, near: Floats) -> Floats:
    """The angle with this cosine (clipped to [−1, 1]) in the half turn [kπ, (k+1)π] of `near`."""
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    return np.where(near < 0, -angle, np.where(near <= np.pi, angle, 2 * np.pi - angle))


__all__ = ["box_mass", "log_density", "log_density_along"]
