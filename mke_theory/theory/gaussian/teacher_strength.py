"""The strength m_t of a teacher, with a confidence region, from labelled samples of α."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from mke_theory.evaluation.stats import Interval, clopper_pearson
from mke_theory.theory.gaussian.closed_form import difference

_STRONGEST = 8.0
"""Beyond m_t = 8 the teacher errs on one sample in 10^15, and σ* is 0 to six digits."""


@dataclass(frozen=True)
class TeacherStrength:
    """The errors of a teacher by class, with a confidence region of both.

    `missed` is P(ỹ = −1 | 1), `false_alarms` P(ỹ = 1 | −1), `prior` P(y = 1); `region` holds pairs
    of the two errors that span it, at `level`. `source` names the samples behind them.

    Raises ValueError where m_t would be 0 or less.
    """

    missed: float
    false_alarms: float
    prior: float
    region: tuple[tuple[float, float], ...]
    level: float
    source: str

    def __post_init__(self) -> None:
        if not self.m_t > 0:
            raise ValueError(
                f"{self.source}: that is no better than a coin (m_t {self.m_t:.3f}), so σ* is not "
                "identified; train the teacher further, or turn its labels round"
            )

    @property
    def m_t(self) -> float:
        """Half the distance of the classes along t, −(Φ⁻¹(missed) + Φ⁻¹(false alarms))/2."""
        return difference(-float(ndtri(self.missed)), float(ndtri(self.false_alarms))) / 2


def strength_from_errors(errors: int, n: int, level: float = 0.975) -> TeacherStrength:
    """The strength of a teacher with `errors` errors on n labelled samples; equal odds, θ midway.

    m_t = −Φ⁻¹(ε) with ε = (errors + 1/2)/(n + 1), which keeps a teacher without errors finite; the
    region is the exact interval of ε (Clopper–Pearson).

    Raises ValueError where ε is 1/2 or more: m_t is not identified.
    """
    rate, interval = _rate(errors, n, level)
    region = ((interval.low, interval.low), (interval.high, interval.high))
    source = f"{errors} errors on {n} labelled samples"
    return TeacherStrength(rate, rate, 0.5, region, level, source)


def strength_from_confusion(
    missed: int, positives: int, false_alarms: int, negatives: int, level: float = 0.975
) -> TeacherStrength:
    """The strength of a teacher of one class against the rest, at any odds and any threshold.

    m_t and θ follow from the two error rates, as in signal detection; the odds are those of the
    labelled samples, taken as known. The region is the box of two Clopper–Pearson intervals, each
    at (1 + level)/2, by nine points of it.

    Raises ValueError where a class does not occur, or the rates, (errors + 1/2)/(n + 1), leave
    m_t ≤ 0.
    """
    first, across = _rate(missed, positives, (1 + level) / 2)
    second, up = _rate(false_alarms, negatives, (1 + level) / 2)
    edges = [
        ndtr(np.linspace(float(ndtri(side.low)), float(ndtri(side.high)), 3))
        for side in (across, up)
    ]
    region = tuple((float(a), float(b)) for a, b in product(*edges))
    source = f"{missed} of {positives} missed, {false_alarms} false alarms of {negatives}"
    prior = positives / (positives + negatives)
    return TeacherStrength(first, second, prior, region, level, source)


def strength_from_values(t: ArrayLike, y: ArrayLike, level: float = 0.975) -> TeacherStrength:
    """The strength of a teacher from t on labelled samples, y = ±1; equal odds, θ midway.

    m_t is half the distance of the class means over the spread within a class; the region is that
    of d = 2m_t with variance 1/n₊ + 1/n₋ + d²/2n. More is known from values than from errors
    alone, but t must not have been fitted to these samples: take the raw input of α where it is one
    number, or out-of-fold margins.

    Raises ValueError where a class has fewer than 3 samples, y is not ±1, t is constant within
    both classes, or m_t ≤ 0.
    """
    x, truth = np.asarray(t, dtype=np.float64), np.asarray(y)
    if x.ndim != 1 or truth.shape != x.shape or not np.isin(truth, (-1, 1)).all():
        raise ValueError("give t [n] and y [n], y being -1 or 1")
    sides = [x[truth == side] for side in (1, -1)]
    n = [len(side) for side in sides]
    if min(n) < 3 or not np.isfinite(x).all():
        raise ValueError(f"there are {n[0]} and {n[1]} samples; each class needs 3, all finite")
    spread = np.sqrt(sum(((side - side.mean()) ** 2).sum() for side in sides) / (sum(n) - 2))
    if not spread > 1e-12 * np.abs(x).max():
        raise ValueError("t is constant within both classes; give values, not predicted classes")
    d = float(abs(sides[0].mean() - sides[1].mean()) / spread)
    reach = float(ndtri((1 + level) / 2) * np.sqrt(1 / n[0] + 1 / n[1] + d**2 / (2 * sum(n))))
    strengths = (np.clip((d + by) / 2, 0.0, _STRONGEST) for by in (0.0, reach, -reach))
    rate, low, high = (float(ndtr(-strength)) for strength in strengths)
    source = f"the values of t on {sum(n)} labelled samples"
    return TeacherStrength(rate, rate, 0.5, ((low, low), (high, high)), level, source)


def _rate(wrong: int, n: int, level: float) -> tuple[float, Interval]:
    """(wrong + 1/2)/(n + 1), and the exact interval, kept off 0 and 1 by Φ(−8)."""
    found = clopper_pearson(wrong, n, level)
    floor = float(ndtr(-_STRONGEST))
    low, high = max(found.low, floor), min(found.high, 1 - floor)
    return (wrong + 0.5) / (n + 1), Interval(low, high, level)
