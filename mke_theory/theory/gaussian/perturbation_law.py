"""How much noise on the teacher's modality is right: σ*, and its estimate without a label on β.

No perturbation copies the teacher's mistakes; too much throws α away. In the world of `gaussian`
there is a σ between at which the student weighs t and b as the best classifier does. It needs m_t,
which labelled samples of α tell, and m_b, which the correlation of t and b tells on unlabelled
pairs. Every σ here is in units of the spread of t within a class.

Derivation. The best direction is w = λ R⁻¹m. Put it into S w = c: of the two equations the second
gives λ, the first σ. For least squares, equal odds, θ = 0 and ρ = 0:

    σ*² = (1 + m_t² + m_b²) · √(2/π) exp(−m_t²/2) / (m_t (1 − 2ε)),   ε = Φ(−m_t)

For a loss with gradient h(s) − ỹ in its output s, the same steps give σ*² = κ/(m_t (C − A)) with
A = Cov(y, h(s)), the student's own tie to the truth: h(s) = s for least squares, tanh(s/2) for
cross-entropy. Strong teachers ask for up to twice as much noise under cross-entropy.

`noise_calibration` turns an estimate into a perturbation of real inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from mke_theory.evaluation.stats import Interval, clopper_pearson
from mke_theory.theory.gaussian.closed_form import NODE_WEIGHTS, NODES, GaussianPair
from mke_theory.theory.graph import Floats

Loss = Literal["squared", "logistic"]
FEWEST_PAIRS = 50
"""With fewer pairs the interval of a correlation is not to be trusted, and none is given."""

_STRONGEST = 8.0
"""Beyond m_t = 8 the teacher errs on one sample in 10^15, and σ* is 0 to six digits."""


# The law


def best_noise(pair: GaussianPair, loss: Loss = "squared") -> float:
    """σ*: under this noise on t the student of hard labels points along R⁻¹m, as Bayes does.

    For least squares σ*² = κ(m_b − ρm_t)(1 + q Var y)/(u(C m_b + κρ)), u = (R⁻¹m)₁ and the rest as
    in `gaussian`; for "logistic" (cross-entropy) C − A stands for C/(1 + q Var y). With equal odds
    and θ = 0 the student at σ* *is* the Bayes classifier; else its threshold may be off.

    Raises ValueError where loss is another, and where no noise on t will do: where ρ is so
    large that the best classifier weighs t or b negatively, or so negative that b answers to the
    teacher's errors only. Where m_b = 0 every σ is as good; the value is the limit for m_b → 0.
    """
    if loss not in ("squared", "logistic"):
        raise ValueError(f"loss is {loss!r}; choose squared or logistic")
    u, v = pair.bayes_weights
    v, m_b = (1.0, 1.0) if pair.m_b == pair.rho == 0 else (v, pair.m_b)
    pull = pair.agreement * m_b + pair.density * pair.rho
    if not (u > 0 and v >= 0 and pull > 0):
        raise ValueError(
            f"no noise on t makes the student Bayes optimal at m_t {pair.m_t}, m_b {pair.m_b}, rho "
            f"{pair.rho}: the best weights are ({u:.3g}, {v:.3g}) and b's pull on the labels "
            f"{pull:.3g}, and all have to be positive"
        )
    copy = pair.density * v * (1 - pair.rho**2)
    squared = float(np.sqrt(copy * (1 + pair.variance * pair.separation) / (u * pull)))
    if loss == "squared" or squared == 0:
        return squared

    def excess(sigma: float) -> float:
        return sigma**2 * u * (pull - m_b * _own_agreement(pair, sigma)) - copy

    return _rising_root(excess, max(squared, 0.25))


def best_noise_from_truth(t: ArrayLike, b: ArrayLike, pseudo: ArrayLike, truth: ArrayLike) -> float:
    """σ* for least squares on a pool whose truth is known, whatever the distribution; t's unit.

    With S the covariance of (t, b), c = Cov((t, b), ỹ), p = Cov((t, b), y), the student of the
    truth is v = S⁻¹p, and the student of the pseudo labels is parallel to it at
    σ² = (c_t − λp_t)/(λ v_t), λ = c_b/p_b. It separates what the law gets wrong from what an
    estimate of it does.

    Raises ValueError where labels are not ±1 or no σ² ≥ 0 does it. All arguments are [n].
    """
    x = np.stack([statistic_of("t", t), statistic_of("b", b)])
    said, y = np.asarray(pseudo, np.float64), np.asarray(truth, np.float64)
    if said.shape != x[0].shape or y.shape != said.shape or not np.isin([said, y], (-1, 1)).all():
        raise ValueError("pseudo and truth have to be -1 or 1, one for each pair")
    s, n = np.cov(x, bias=True), len(y)
    if not np.linalg.det(s) > 1e-12 * s[0, 0] * s[1, 1]:
        raise ValueError("t and b are multiples of each other; β adds nothing to weigh")
    c, p = (((x - x.mean(axis=1, keepdims=True)) @ labels) / n for labels in (said, y))
    v = np.linalg.solve(s, p)
    slope = c[1] / p[1] if p[1] else 0.0
    if not (slope * v[0] > 0 and (c[0] - slope * p[0]) / (slope * v[0]) >= 0):
        raise ValueError(
            f"no noise on t makes the student parallel to that of the truth: b's share of the "
            f"truth is {slope:.3g}, the truth's weight on t {v[0]:.3g}"
        )
    return float(np.sqrt((c[0] - slope * p[0]) / (slope * v[0])))


def _own_agreement(pair: GaussianPair, sigma: float) -> float:
    """A = Cov(y, tanh(s/2)), s = λz + w₀, z = R⁻¹m·x̃, at cross-entropy's own λ and w₀."""
    u, _ = pair.bayes_weights
    q, odds = pair.separation, np.array([pair.prior, 1 - pair.prior])
    z = np.array([[q], [-q]]) + np.sqrt(q + (sigma * u) ** 2) * NODES
    weight = odds[:, None] * NODE_WEIGHTS
    tie = pair.agreement * q + pair.density * pair.m_t + (odds[0] - odds[1]) * q * pair.mean_label
    wanted, v = np.array([tie, pair.mean_label]), np.zeros(2)
    for _ in range(100):  # Newton's steps on a convex function, shortened while it would rise
        bent = np.tanh((v[0] * z + v[1]) / 2)
        push, bend = weight * bent, weight * (1 - bent**2) / 2
        slope = np.array([(push * z).sum(), push.sum()]) - wanted
        if np.abs(slope).max() < 1e-11:
            break
        cross = (bend * z).sum()
        step = np.linalg.solve([[(bend * z**2).sum(), cross], [cross, bend.sum()]], slope)
        v = v - step * min(1.0, 2.0 / np.abs(step).max())
    else:
        raise ArithmeticError(f"cross-entropy has no minimum that was found at sigma {sigma}")
    answer = bent @ NODE_WEIGHTS
    return float(pair.variance * (answer[0] - answer[1]) / 2)


def _rising_root(f: Callable[[float], float], start: float) -> float:
    """The root on (0, ∞) of a function that is negative before it and positive after it."""
    low = high = start
    for _ in range(60):
        below, above = f(low) < 0, f(high) > 0
        if below and above:
            return float(brentq(f, low, high, xtol=1e-12, rtol=1e-12))
        low, high = (low if below else low / 1.5), (high if above else high * 1.5)
    raise ArithmeticError("no noise was found at which cross-entropy points along R⁻¹m")


# How strong the teacher is


@dataclass(frozen=True)
class TeacherStrength:
    """What is known of the teacher: its errors by class, and how far they could be otherwise.

    `missed` is P(ỹ = −1 | 1), `false_alarms` P(ỹ = 1 | −1), `prior` P(y = 1); `region` holds pairs
    of the two errors that span a confidence region of `level`. `source` says where it comes from.

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
        return float(-(ndtri(self.missed) + ndtri(self.false_alarms)) / 2)


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

    Raises ValueError where a class has fewer than 3 samples, y is not ±1, or m_t ≤ 0.
    """
    x, truth = np.asarray(t, dtype=np.float64), np.asarray(y)
    if x.ndim != 1 or truth.shape != x.shape or not np.isin(truth, (-1, 1)).all():
        raise ValueError("give t [n] and y [n], y being -1 or 1")
    sides = [x[truth == side] for side in (1, -1)]
    n = [len(side) for side in sides]
    if min(n) < 3 or not np.isfinite(x).all():
        raise ValueError(f"there are {n[0]} and {n[1]} samples; each class needs 3, all finite")
    spread = np.sqrt(sum(((side - side.mean()) ** 2).sum() for side in sides) / (sum(n) - 2))
    d = float(abs(sides[0].mean() - sides[1].mean()) / spread)
    reach = float(ndtri((1 + level) / 2) * np.sqrt(1 / n[0] + 1 / n[1] + d**2 / (2 * sum(n))))
    rate, low, high = (float(ndtr(-max(d + by, 0.0) / 2)) for by in (0.0, reach, -reach))
    source = f"the values of t on {sum(n)} labelled samples"
    return TeacherStrength(rate, rate, 0.5, ((low, low), (high, high)), level, source)


def strength_from_shape(t: ArrayLike, level: float = 0.975) -> TeacherStrength:
    """The strength of a teacher from the shape of t [n] alone; equal odds, θ midway.

    E|t|/√(E t²) = (κ + m_t C)/√(1 + m_t²) is free of t's unit and rises with m_t from √(2/π) =
    0.798 to 1, but at first as m_t⁴: to tell m_t = 1/2 from 0 takes more than 10,000 samples, m_t
    = 1 a few hundred. t is taken about its mean; the region is that of the delta method. All of it
    rests on t being normal within a class, which errors on labelled samples do not.

    Raises ValueError where the interval reaches 0.798, so that m_t is not identified.
    """
    x = statistic_of("t", t)
    x = (x - x.mean()) / x.std()
    shape = float(np.abs(x).mean())
    influence = np.abs(x) - shape - shape / 2 * (x**2 - 1)
    reach = float(ndtri((1 + level) / 2) * influence.std() / np.sqrt(len(x)))
    if shape - reach <= shape_of(0.0):
        raise ValueError(
            f"E|t|/sd(t) is {shape:.4f} ± {reach:.4f} on {len(x)} samples; from "
            f"{shape_of(0.0):.4f} down, t does not tell m_t from 0, so m_t is not identified: give "
            "more samples, or validate the teacher on labelled ones"
        )
    rate, low, high = (float(ndtr(-_m_of(shape + by))) for by in (0.0, reach, -reach))
    source = f"the shape of t on {len(x)} samples"
    return TeacherStrength(rate, rate, 0.5, ((low, low), (high, high)), level, source)


def shape_of(m_t: float) -> float:
    """E|t|/√(E t²) for t | y ~ N(y m_t, 1) and equal odds; from √(2/π) at 0 to 1."""
    folded = np.sqrt(2 / np.pi) * np.exp(-(m_t**2) / 2) + m_t * (2 * ndtr(m_t) - 1)
    return float(folded / np.sqrt(1 + m_t**2))


def _m_of(shape: float) -> float:
    if shape >= shape_of(_STRONGEST):
        return _STRONGEST
    return float(brentq(lambda m: shape_of(m) - shape, 0.0, _STRONGEST))


def _rate(wrong: int, n: int, level: float) -> tuple[float, Interval]:
    """(wrong + 1/2)/(n + 1), and the exact interval, kept off 0 and 1 by Φ(−8)."""
    found = clopper_pearson(wrong, n, level)
    floor = float(ndtr(-_STRONGEST))
    low, high = max(found.low, floor), min(found.high, 1 - floor)
    return (wrong + 0.5) / (n + 1), Interval(low, high, level)


# The estimate


@dataclass(frozen=True)
class NoiseEstimate:
    """σ̂* and what it rests on.

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
    value, m_b = _noise_at(teacher.missed, teacher.false_alarms, teacher.prior, r, loss)
    variance = 4 * teacher.prior * (1 - teacher.prior)
    grown = np.sqrt(1 + variance * teacher.m_t**2)
    if not np.isfinite(value):
        raise ValueError(
            f"corr(t, b) is {r:.3f}, and with m_t {teacher.m_t:.3f} ({teacher.source}) it can be "
            f"at most {np.sqrt(variance) * teacher.m_t / grown:.3f}: the teacher is stronger than "
            "that, or t and b hang together within a class, and then σ* is not identified"
        )
    ends = [
        _noise_at(missed, alarms, teacher.prior, float(np.tanh(end)), loss)[0]
        for missed, alarms in teacher.region
        for end in (max(np.arctanh(r) - reach, 0.0), np.arctanh(r) + reach)
    ]
    interval = Interval(min(ends), max(ends), 1 - 2 * (1 - teacher.level))
    spread = float(x.std() / grown)
    return NoiseEstimate(value, interval, teacher.m_t, m_b, spread, len(x), _assumed(teacher))


def statistic_of(name: str, values: ArrayLike) -> Floats:
    """`values` as float64 [n]; ValueError where too few, not finite, constant or not [n]."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}; give one number a pair, [n]")
    if len(x) < FEWEST_PAIRS:
        raise ValueError(f"{name} has {len(x)} values; at least {FEWEST_PAIRS} are needed")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} is not finite somewhere; leave out pairs that lack a modality")
    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        raise ValueError(f"{name} is constant; it holds nothing about the class")
    return x


def _correlation(x: Floats, z: Floats, level: float) -> tuple[float, float]:
    """|corr|, and how far Fisher's z reaches to either side at `level`."""
    p, q = (x - x.mean()) / x.std(), (z - z.mean()) / z.std()
    r = float(np.clip((p * q).mean(), -1 + 1e-12, 1 - 1e-12))
    influence = (p * q - r / 2 * (p**2 + q**2)) / (1 - r**2)
    return abs(r), float(ndtri((1 + level) / 2) * influence.std() / np.sqrt(len(x)))


def _noise_at(
    missed: float, alarms: float, prior: float, r: float, loss: Loss
) -> tuple[float, float]:
    """(σ*, m_b) at the teacher's two error rates and |corr(t, b)|; infinite where there is none."""
    m_t, threshold = -(ndtri(missed) + ndtri(alarms)) / 2, (ndtri(missed) - ndtri(alarms)) / 2
    root = np.sqrt(4 * prior * (1 - prior))
    if m_t <= 0 or r >= root * m_t / np.sqrt(1 + (root * m_t) ** 2):
        return float("inf"), float("inf")
    share = r / (root * m_t / np.sqrt(1 + (root * m_t) ** 2))
    m_b = float(share / np.sqrt(1 - share**2) / root)
    pair = GaussianPair(float(m_t), m_b, 0.0, prior, float(threshold))
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
