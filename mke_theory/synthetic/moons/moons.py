"""Two moons, each modality one coordinate of a noisy point, with posterior and Bayes error.

    class 0: p = (cos θ, sin θ) + σξ        class 1: p = (1 − cos θ, 1/2 − sin θ) + σξ

with θ uniform on [0, π]: the half circles of scikit-learn's `make_moons`, as independent draws.
Modality i reads the coordinate of p along the angle a_i, after the moons are turned by `rotation`.
The noise belongs to the point, so two different directions tell it exactly and a third adds
nothing. A half turn about (1/2, 1/4) swaps the moons: f₁(p) = f₀((1, 1/2) − p).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from mke_theory.synthetic.checks import (
    checked_count,
    checked_inputs,
    chosen,
    numbered,
    refuse_infinite,
    refuse_no_numbers,
    refuse_unequal_copies,
)
from mke_theory.synthetic.moons.half_circle import box_mass, log_density, log_density_along
from mke_theory.synthetic.moons.quadrature import bayes_error_by_cells
from mke_theory.synthetic.world import Draw, Exact, Floats, Ints

_SWAP = np.array([1.0, 0.5])
LEAST_SD = 0.01
TOLERANCE_LINE, TOLERANCE_PLANE = 1e-9, 1e-6


@dataclass(frozen=True)
class Moons:
    """The world: `sd` = σ ≥ 1e-6, `angles` and `rotation` in radians, `prior` = P(y = 1).

    Modality x1 (the teacher's) is [n, 1 + extra]: the coordinate along its angle, then `extra`
    nuisance columns of N(0, extra_scale²).

    Raises ValueError where a number is out of range, fewer than two modalities are named, or two
    angles are closer than 0.001 without being parallel (double precision cannot tell the point).
    """

    sd: float = 0.1
    angles: tuple[float, ...] = (0.0, np.pi / 2)
    rotation: float = 0.0
    prior: float = 0.5
    extra: int = 0
    extra_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sd", "rotation", "prior", "extra_scale"):
            refuse_infinite(name, getattr(self, name))
        refuse_no_numbers("angles", self.angles)
        if self.sd < 1e-6:
            raise ValueError(f"sd is {self.sd}; the noise has to be at least 1e-6")
        if len(self.angles) < 2:
            raise ValueError(f"angles is {self.angles}; give one for at least 2 modalities")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior is {self.prior}; both classes have to occur: inside (0, 1)")
        checked_count("extra", self.extra, 0)
        if self.extra_scale <= 0:
            raise ValueError(f"extra_scale is {self.extra_scale}; it has to be above 0")
        apart = np.abs(np.sin(np.subtract.outer(self.angles, self.angles)))
        close = (apart > 1e-12) & (apart < 0.001)
        if close.any():
            raise ValueError(
                f"angles are {self.angles}; two of them differ by {apart[close].min():.3g} modulo "
                "π: make them equal, or at least 0.001 apart"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names x1 (the teacher's), x2 and so on."""
        return numbered(len(self.angles))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """One coordinate and the nuisance."""
        return {name: (1 + self.extra,) for name in self.modalities}

    @property
    def classes(self) -> int:
        """Two."""
        return 2

    @property
    def priors(self) -> Floats:
        """(1 − prior, prior)."""
        return np.array([1 - self.prior, self.prior])

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        """Independent draws, n of them. Raises ValueError for n < 1."""
        checked_count("n", n, 1)
        labels = (rng.random(n) < self.prior).astype(np.int64)
        points = arc(np.pi * rng.random(n), labels) + self.sd * rng.normal(size=(n, 2))
        read = points @ _unit(self._turned(self.modalities)).T
        inputs = {}
        for at, name in enumerate(self.modalities):
            nuisance = self.extra_scale * rng.normal(size=(n, self.extra))
            inputs[name] = np.concatenate([read[:, at, None], nuisance], axis=1)
        return Draw(inputs, labels)

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """P(y | the coordinates given), [n, 2], by quadrature over the angle on the arc.

        Raises ValueError as `checks.checked_inputs` does, and where the readings of more than two
        directions (or of two parallel ones) belong to no point.
        """
        found = checked_inputs(inputs, self.shapes)
        read = np.stack([x[:, 0] for x in found.values()], axis=1)
        directions = _unit(self._turned(tuple(found)))
        points = read @ np.linalg.pinv(directions, rcond=1e-6).T
        back = points @ directions.T
        for at, name in enumerate(found):
            refuse_unequal_copies({name: read[:, [at]], "the others": back[:, [at]]})
        turned = self._turned(tuple(found))
        if _tell_point(turned):
            odds = _log_odds(points, self.sd, self.prior)
        else:
            odds = _log_odds_along(read[:, 0], turned[0], self.sd, self.prior)
        return np.stack([expit(-odds), expit(odds)], axis=1)

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """The least error, between proven bounds: within 1e-9 for one direction, 1e-6 for two.

        Rounding comes on top, in `tolerance`. With e₀, e₁ the points of the arcs behind p,
        ∇Λ = (E[e₁ | p, 1] − E[e₀ | p, 0])/σ² and ∇²Λ = (Cov[e₁ | p, 1] − Cov[e₀ | p, 0])/σ⁴: the
        slope is at most the largest distance of two points of the arcs (along the direction) over
        σ², the curvature at most 1/σ⁴ (the arcs have radius 1). `quadrature.bayes_error_by_cells`
        rests on these two bounds. What lies beyond 9σ has mass below 1e-17.

        Raises ValueError for sd below 0.01, where it would take too long.
        """
        turned = self._turned(chosen(modalities, self.modalities))
        if self.sd < LEAST_SD:
            raise ValueError(f"sd is {self.sd}; Bayes errors need at least {LEAST_SD}")
        if _tell_point(turned):
            return _error_in_plane(self.sd, self.prior)
        return _error_along(float(turned[0]), self.sd, self.prior)

    def _turned(self, names: tuple[str, ...]) -> Floats:
        """The angles that the named modalities read, in the frame of the unturned moons."""
        return np.array([self.angles[self.modalities.index(x)] for x in names]) - self.rotation


def arc(theta: ArrayLike, labels: Ints) -> Floats:
    """The points [n, 2] of the noiseless moons at the angles [n] in [0, π], labels 0 or 1."""
    upper = _unit(theta)
    return np.where(np.asarray(labels)[:, None] == 1, _SWAP - upper, upper)


@lru_cache(maxsize=256)
def _error_along(turned: float, sd: float, prior: float) -> Exact:
    """The Bayes error of the coordinate along a direction."""
    swap = _SWAP @ _unit(turned)
    ends, up = [np.cos(turned), -np.cos(turned)], np.sin(turned)
    least, most = min(*ends, -1.0 if up < 0 else 1.0), max(*ends, 1.0 if up > 0 else -1.0)
    return bayes_error_by_cells(
        np.array([min(least, swap - most) - 9 * sd]),
        np.array([max(most, swap - least) + 9 * sd]),
        lambda low, high: _masses(low, high, turned, sd, prior),
        lambda x: _log_odds_along(x[:, 0], turned, sd, prior),
        slope=max(abs(2 * most - swap), abs(2 * least - swap)) / sd**2,
        curvature=1 / sd**4,
        tolerance=TOLERANCE_LINE,
    )


@lru_cache(maxsize=256)
def _error_in_plane(sd: float, prior: float) -> Exact:
    """The Bayes error of the whole point, in the frame of the unturned moons."""
    return bayes_error_by_cells(
        np.array([-1.0, -0.5]) - 9 * sd,
        np.array([2.0, 1.0]) + 9 * sd,
        lambda low, high: _masses(low, high, 0.0, sd, prior),
        lambda points: _log_odds(points, sd, prior),
        # |e₀ + e₀' − (1, 1/2)| is largest at e₀ = e₀' = (−1, 0).
        slope=float(np.hypot(3.0, 0.5)) / sd**2,
        curvature=1 / sd**4,
        tolerance=TOLERANCE_PLANE,
    )


def _masses(low: Floats, high: Floats, turned: float, sd: float, prior: float) -> Floats:
    """P(y, cell), [n, 2], for cells [n, d] along `turned` (and, for d = 2, across)."""
    swap = _SWAP @ _unit(turned + np.arange(low.shape[1]) * np.pi / 2).T
    zero = box_mass(low, high, turned, sd)
    one = box_mass(swap - high, swap - low, turned, sd)
    return np.stack([(1 - prior) * zero, prior * one], axis=1)


def _log_odds(points: Floats, sd: float, prior: float) -> Floats:
    """Λ = log P(y = 1 | p)/P(y = 0 | p) at the points [n, 2]."""
    return log_density(_SWAP - points, sd) - log_density(points, sd) + logit(prior)


def _log_odds_along(x: Floats, turned: float, sd: float, prior: float) -> Floats:
    """Λ given the coordinate x [n] along a direction."""
    other = log_density_along(_SWAP @ _unit(turned) - x, turned, sd)
    return other - log_density_along(x, turned, sd) + logit(prior)


def _unit(angle: ArrayLike) -> Floats:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _tell_point(turned: Floats) -> bool:
    """True where readings along these angles determine the point: two of them are not parallel."""
    return bool(np.abs(np.sin(turned - turned[0])).max() > 1e-9)


__all__ = ["LEAST_SD", "TOLERANCE_LINE", "TOLERANCE_PLANE", "Moons", "arc"]
