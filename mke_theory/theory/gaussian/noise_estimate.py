"""The estimate σ̂* of the best noise, from unlabelled pairs and the teacher's strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from mke_theory.evaluation.stats import Interval
from mke_theory.theory.gaussian.closed_form import GaussianPair, difference
from mke_theory.theory.gaussian.perturbation_law import Loss, best_noise, statistic_of
from mke_theory.theory.gaussian.teacher_strength import TeacherStrength
from mke_theory.theory.graph import Floats


@dataclass(frozen=True)
class NoiseEstimate:
    """σ̂*, its interval and its assumptions.

    value: σ̂*, in units of the spread of t within a class. interval: covers σ* with its level where
    the assumptions hold; the upper end is infinite where m_t = 0 or m_b = ∞ cannot be excluded.
    m_t, m_b: the two numbers behind it. spread: that of t within a class, in t's own unit. n: the
    number of pairs. assumptions: in words, each of them needed.
    """

    value: float
    interval: Interval
    m_t: float
    m_b: float
    spread: float
    n: int
    assumptions: tuple[str, ...]

    @property
    def in_units(self) -> float:
        """σ̂* in the unit in which t was given."""
        return self.value * self.spread


def estimate_noise(
    t: ArrayLike, b: ArrayLike, teacher: TeacherStrength, loss: Loss = "squared"
) -> NoiseEstimate:
    """σ̂* from unlabelled pairs (t, b), each [n], and the teacher's strength; no label on β.

    With V = 4π(1 − π) and g(m) = m√V/√(1 + m²V), corr(t, b) = g(m_t) g(m_b) if t and b are
    independent given y, whatever their units, so m_b = g⁻¹(|corr|/g(m_t)). The interval evaluates
    σ* over the teacher's region and over the interval of the correlation (Fisher's z, its variance
    from the fourth moments) at the same level, which makes 1 − 2(1 − teacher.level) or more for
    both together: 0.95 by default. σ̂* errs by n^(−1/2) in pairs and in labelled samples.

    Raises ValueError where there are fewer than 50 pairs, lengths differ, a value is not finite, t
    or b is constant, or the correlation is larger than the model allows at this m_t.
    """
    x, z = statistic_of("t", t), statistic_of("b", b)
    if len(x) != len(z):
        raise ValueError(f"t has {len(x)} values but b has {len(z)}; they come in pairs")
    r, reach = _correlation(x, z, teacher.level)
    value, m_b = noise_at(teacher.missed, teacher.false_alarms, teacher.prior, r, loss)
    variance = 4 * teacher.prior * (1 - teacher.prior)
    grown = np.sqrt(1 + variance * teacher.m_t**2)
    if not np.isfinite(value):
        raise ValueError(
            f"corr(t, b) is {r:.3f}, and with m_t {teacher.m_t:.3f} ({teacher.source}) it can be "
            f"at most {np.sqrt(variance) * teacher.m_t / grown:.3f}: the teacher is stronger than "
            "that, or t and b hang together within a class, and then σ* is not identified"
        )
    ends = [
        noise_at(missed, alarms, teacher.prior, float(np.tanh(end)), loss)[0]
        for missed, alarms in teacher.region
        for end in (max(np.arctanh(r) - reach, 0.0), np.arctanh(r) + reach)
    ]
    interval = Interval(min(ends), max(ends), 1 - 2 * (1 - teacher.level))
    spread = float(x.std() / grown)
    return NoiseEstimate(value, interval, teacher.m_t, m_b, spread, len(x), _assumed(teacher))


def _correlation(x: Floats, z: Floats, level: float) -> tuple[float, float]:
    """|corr|, and the half width of the interval of Fisher's z at `level`."""
    p, q = (x - x.mean()) / x.std(), (z - z.mean()) / z.std()
    r = float(np.clip((p * q).mean(), -1 + 1e-12, 1 - 1e-12))
    influence = (p * q - r / 2 * (p**2 + q**2)) / (1 - r**2)
    return abs(r), float(ndtri((1 + level) / 2) * influence.std() / np.sqrt(len(x)))


def noise_at(
    missed: float, alarms: float, prior: float, r: float, loss: Loss
) -> tuple[float, float]:
    """(σ*, m_b) at the teacher's two error rates and |corr(t, b)|; infinite where there is none."""
    first, second = float(ndtri(missed)), float(ndtri(alarms))
    m_t, threshold = difference(-first, second) / 2, (first - second) / 2
    root = float(np.sqrt(4 * prior * (1 - prior)))
    most = root * m_t / np.sqrt(1 + (root * m_t) ** 2)  # the correlation at m_b = ∞
    if m_t <= 0 or difference(most, r) <= 0:
        return float("inf"), float("inf")
    share = r / most
    m_b = float(share / np.sqrt(1 - share**2) / root)
    pair = GaussianPair(m_t, m_b, 0.0, prior, threshold)
    return best_noise(pair, loss), m_b


def _assumed(teacher: TeacherStrength) -> tuple[str, ...]:
    odds = "the classes have equal odds and the teacher's threshold is midway between them"
    if len(teacher.region) > 2:
        odds = f"the odds are as in the labelled samples, P(y = 1) = {teacher.prior:.3g}"
    return (
        "t and b are normal within a class, with the same spread in both classes",
        "t and b are independent given the class",
        odds,
        f"the teacher's strength ({teacher.source}) is its strength on these pairs",
        "pairs are independent of each other",
    )
