"""The perturbation law: σ*, the noise on the teacher's modality that makes a student Bayes optimal.

Without perturbation a student copies its teacher's mistakes; too much of it throws α away. In the
world of `closed_form` there is a σ between at which the student weighs t and b as the best
classifier does. It depends on m_t, which labelled samples of α estimate (`teacher_strength`), and
on m_b, which the correlation of t and b estimates on unlabelled pairs (`noise_estimate`): no label
on β is needed. Every σ here is in units of the spread of t within a class.

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
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from mke_theory.theory.gaussian.closed_form import NODE_WEIGHTS, NODES, GaussianPair, difference
from mke_theory.theory.graph import Floats

Loss = Literal["squared", "logistic"]
FEWEST_PAIRS = 50
"""With fewer pairs the interval of a correlation is not to be trusted, and none is given."""


def best_noise(pair: GaussianPair, loss: Loss = "squared") -> float:
    """σ*: under this noise on t the student of hard labels points along R⁻¹m, as Bayes does.

    For least squares σ*² = κ(m_b − ρm_t)(1 + q Var y)/(u(C m_b + κρ)), u = (R⁻¹m)₁ and the rest as
    in `closed_form`; for "logistic" (cross-entropy) C − A stands for C/(1 + q Var y). With equal
    odds and θ = 0 the student at σ* *is* the Bayes classifier; else its threshold may be off.

    Raises ValueError where loss is another, and where no noise on t will do: where ρ is so
    large that the best classifier weighs t or b negatively, or so negative that b follows the
    teacher's errors only. Where m_b = 0 every σ is as good; the value is the limit for m_b → 0.
    """
    if loss not in ("squared", "logistic"):
        raise ValueError(f"loss is {loss!r}; choose squared or logistic")
    u, v = pair.bayes_weights
    v, m_b = (1.0, 1.0) if pair.m_b == pair.rho == 0 else (v, pair.m_b)
    pull = difference(pair.agreement * m_b, -pair.density * pair.rho)
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
    σ² = (c_t − λp_t)/(λ v_t), λ = c_b/p_b. It separates the error of the law from that of an
    estimate of it.

    Raises ValueError where labels are not ±1 or no σ² ≥ 0 does it. All arguments are [n].
    """
    x = np.stack([statistic_of("t", t), statistic_of("b", b)])
    hard, y = np.asarray(pseudo, np.float64), np.asarray(truth, np.float64)
    if hard.shape != x[0].shape or y.shape != hard.shape or not np.isin([hard, y], (-1, 1)).all():
        raise ValueError("pseudo and truth have to be -1 or 1, one for each pair")
    s = np.cov(x, bias=True)
    det = float(np.linalg.det(s))
    if not det > 1e-12 * s[0, 0] * s[1, 1]:
        raise ValueError("t and b are multiples of each other; β adds nothing to weigh")
    c, p = _covariances(x, hard), _covariances(x, y)
    weight = difference(s[1, 1] * p[0], s[0, 1] * p[1]) / det  # v_t
    slope = c[1] / p[1] if p[1] else 0.0
    copied = difference(c[0], slope * p[0])
    # A negative slope would make the student parallel to the truth's, and point the other way.
    if not (slope > 0 and weight > 0 and copied >= 0):
        raise ValueError(
            f"no noise on t makes the student parallel to that of the truth: b's share of the "
            f"truth is {slope:.3g}, the truth's weight on t {weight:.3g}"
        )
    return float(np.sqrt(copied / (slope * weight)))


def _covariances(x: Floats, labels: Floats) -> Floats:
    """Cov(x, labels) of x [2, n] and labels [n], 0 where rounding alone could have made it."""
    found = (x - x.mean(axis=1, keepdims=True)) @ labels / len(labels)
    return np.where(np.abs(found) > 1e-12 * np.abs(x).max(axis=1), found, 0.0)


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
    response = bent @ NODE_WEIGHTS
    return float(pair.variance * (response[0] - response[1]) / 2)


def _rising_root(f: Callable[[float], float], start: float) -> float:
    """The root on (0, ∞) of a function that is negative before it and positive after it."""
    low = high = start
    for _ in range(60):
        below, above = f(low) < 0, f(high) > 0
        if below and above:
            return float(brentq(f, low, high, xtol=1e-12, rtol=1e-12))
        low, high = (low if below else low / 1.5), (high if above else high * 1.5)
    raise ArithmeticError("no noise was found at which cross-entropy points along R⁻¹m")


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
