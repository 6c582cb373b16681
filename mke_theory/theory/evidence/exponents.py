"""Exponents of a sum of evidence by its expected log likelihood, without labels.

Let q ∝ π Π_m r_m^{w_m} be the sum with exponents w, in any world, independent given y or not. Then

    E log q(y)/π(y) = Σ_m w_m E log r_m(y) − E log Σ_k π_k Π_m r_m(k)^{w_m}.

The second mean needs no label. The first needs none where each expert is calibrated on its own,
P(y = k | p_m) = p_m(k), since E log r_m(y) = E Σ_k p_m(k) log p_m(k)/π_k = E KL(p_m ‖ π). The whole
is concave in w (a linear function minus a log-sum-exp), so its maximum can be found, and there

    E Σ_k q(k) log r_m(k) = E Σ_k p_m(k) log r_m(k)   for every m with w_m > 0:

the best sum expects of each modality's evidence what the expert itself expects.

Consequence for two modalities: over α's expert alone the plain sum gains E KL(p_β ‖ π) − L nats,
L = E log Σ_k π_k r_α(k) r_β(k), the `pair_likelihood`. It gains where the modalities share less
than β knows of the class: under α ⟂ β | y always, as L = I(α; β) ≤ I(y; β) (data processing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import logsumexp

from mke_theory.theory.evidence.posterior import checked_experts, checked_priors, checked_shares
from mke_theory.theory.graph import Floats


@dataclass(frozen=True)
class Exponents:
    """The exponents [modalities] of the best sum, and its expected gain over the first expert.

    `gain` is in nats a sample, at least 0 as the first expert alone is one of the sums; `plain` is
    the gain of the sum whose exponents are all 1, below 0 where it counts too much twice.
    """

    values: tuple[float, ...]
    gain: float
    plain: float


def expected_gain(
    posteriors: Sequence[ArrayLike],
    priors: ArrayLike,
    exponents: Sequence[float],
    shares: ArrayLike | None = None,
) -> float:
    """E log q(y) − E log p_1(y) in nats: the sum with `exponents` against the first expert alone.

    `posteriors` holds the experts' probabilities on the same n samples, each [n, classes]; `shares`
    [n] weighs the samples (None: all alike). No label is read. Hypothesis: each expert is
    calibrated on its own; independence is not needed.

    Raises ValueError where shapes do not fit, rows are no distributions, a probability is 0 (clip
    it: its evidence is infinite), or there is not one exponent ≥ 0 an expert.
    """
    pi, evidence, weight, known = _setting(posteriors, priors, shares)
    w = np.asarray(exponents, dtype=np.float64)
    if w.shape != known.shape or not ((w >= 0) & (w < np.inf)).all():
        raise ValueError(f"exponents are {w.tolist()}; give {len(known)}, finite, at least 0")
    return float(-_loss(w, np.log(pi), evidence, weight, known)[0] - known[0])


def calibrated_exponents(
    posteriors: Sequence[ArrayLike],
    priors: ArrayLike,
    shares: ArrayLike | None = None,
    most: float = 10.0,
) -> Exponents:
    """The exponents in [0, most] with the largest `expected_gain`: overlap is weighed, not assumed.

    All are 1 where the experts are true and independent given y, and those of two copies sum to 1.
    An exponent at `most` says that the experts contradict each other more often than calibrated
    ones can. Hypothesis and arguments as in `expected_gain`.

    Raises ValueError as `expected_gain` does, and for most < 1.
    """
    if not 1 <= most < np.inf:
        raise ValueError(f"most is {most}; it has to be finite and at least 1")
    pi, evidence, weight, known = _setting(posteriors, priors, shares)
    setting = (np.log(pi), evidence, weight, known)
    ones = np.ones(len(known))
    found = minimize(
        _loss,
        ones,
        args=setting,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, most)] * len(known),
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )
    alone = np.eye(len(known))[0]
    best = min((found.x, alone), key=lambda w: _loss(w, *setting)[0])  # alone: up to rounding
    gain, plain = (float(-_loss(w, *setting)[0] - known[0]) for w in (best, ones))
    return Exponents(tuple(float(w) for w in best), max(gain, 0.0), plain)


def _setting(
    posteriors: Sequence[ArrayLike], priors: ArrayLike, shares: ArrayLike | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """(π, log r [modalities, n, classes], shares, E KL(p_m ‖ π) [modalities])."""
    pi = checked_priors(priors)
    p = np.stack(checked_experts(posteriors, pi))
    if not (p > 0).all():
        raise ValueError("a probability is 0, its evidence infinite; clip the experts, say at 1e-6")
    weight = checked_shares(shares, p.shape[1])
    evidence = np.log(p / pi)
    return pi, evidence, weight, np.einsum("n,mnk,mnk->m", weight, p, evidence)


def _loss(
    w: Floats, log_prior: Floats, evidence: Floats, weight: Floats, known: Floats
) -> tuple[float, Floats]:
    """E log Σ_k π_k Π_m r_m(k)^{w_m} − Σ_m w_m E KL(p_m ‖ π), and its gradient."""
    total = log_prior + np.tensordot(w, evidence, axes=1)
    size = logsumexp(total, axis=1, keepdims=True)
    q = np.exp(total - size)
    slope = np.einsum("n,nk,mnk->m", weight, q, evidence) - known
    return float(weight @ size[:, 0] - w @ known), slope
