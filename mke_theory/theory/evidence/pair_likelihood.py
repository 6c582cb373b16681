"""The likelihood of pairs: evidence judged on unlabelled pairs by the class that both point to.

For evidence r_α, r_β ≥ 0 with E r_m(k) = 1 for every class k, as P(x_m | k)/p(x_m) has, let

    L(r_α, r_β) = E log Σ_k π_k r_α(k) r_β(k).

Q(α, β) = p(α) p(β) Σ_k π_k r_α(k) r_β(k) sums to 1: it is the world in which the evidence would be
true and the modalities independent given the class. So L = I(α; β) − KL(P ‖ Q) ≤ I(α; β) (Gibbs),
in any world, with equality where Q = P. If α ⟂ β | y, the true evidence has Q = P: no other scores
higher, and true evidence to a power w ≠ 1 scores no more than at w = 1. The maximum is 0 where and
only where β says nothing of the class, provided the P(α | k) are linearly independent (which is to
say that `confusion.soft_confusion` of α has an inverse): P(α, β) = p(α) p(β) then reads
Σ_k π_k P(α | k) (P(β | k) − p(β)) = 0 for every α, so P(β | k) = p(β).

Without independence given the class L rewards whatever the modalities share, noise included: it
then asks for *more* weight, where the sum wants less. `exponents` has the criterion for that case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from mke_theory.theory.evidence.posterior import checked_priors, checked_shares
from mke_theory.theory.graph import Floats

_GRID = 41


@dataclass(frozen=True)
class LikeliestExponent:
    """The exponent of β's evidence with the largest L, that L, and L at exponent 1, in nats."""

    value: float
    likelihood: float
    at_one: float


def pair_likelihood(
    alpha: ArrayLike, beta: ArrayLike, priors: ArrayLike, shares: ArrayLike | None = None
) -> float:
    """L = E log Σ_k π_k r_α(k) r_β(k) in nats, of the evidence of n pairs, both [n, classes].

    `shares` [n] weighs the pairs (None: all alike). −∞ where the two exclude every class of a pair.
    L ≤ I(α; β) in any population; the true evidence reaches it where α ⟂ β | y.

    Raises ValueError where shapes do not fit, evidence is negative, or E r_m(k) is off 1 by more
    than 1e-6 (`tempered(r, 1)` divides by it).
    """
    pi = checked_priors(priors)
    first, second = _evidence("alpha", alpha, pi), _evidence("beta", beta, pi)
    if first.shape != second.shape:
        raise ValueError(f"alpha has shape {first.shape} and beta {second.shape}; give pairs")
    weight = checked_shares(shares, len(first))
    for name, r in (("alpha", first), ("beta", second)):
        mean = weight @ r
        if not np.allclose(mean, 1, rtol=0, atol=1e-6):
            raise ValueError(
                f"{name} has means {mean.tolist()} by class; evidence has 1: divide by them, "
                "`tempered(r, 1, shares)`"
            )
    return _likelihood(first, second, pi, weight)


def tempered(evidence: ArrayLike, exponent: float, shares: ArrayLike | None = None) -> Floats:
    """The evidence r^w / E r^w, [n, classes], of mean 1 for every class; w = 0 says nothing.

    Raises ValueError where evidence is negative, w is negative or not finite, or a class has no
    evidence on any sample.
    """
    r = np.asarray(evidence, dtype=np.float64)
    if r.ndim != 2 or not ((r >= 0) & (r < np.inf)).all():
        raise ValueError(f"evidence has shape {r.shape}; give [n, classes], finite and at least 0")
    if not 0 <= exponent < np.inf:
        raise ValueError(f"exponent is {exponent}; it has to be finite and at least 0")
    weight = checked_shares(shares, len(r))
    most = r.max(axis=0)
    if not (weight @ r > 0).all():
        raise ValueError("a class has no evidence on any sample; leave it out of the task")
    powers = (r / most) ** exponent  # at most 1, whatever the exponent
    return np.asarray(powers / (weight @ powers))


def likeliest_exponent(
    alpha: ArrayLike,
    beta: ArrayLike,
    priors: ArrayLike,
    shares: ArrayLike | None = None,
    most: float = 4.0,
) -> LikeliestExponent:
    """The w in [0, most] at which β's evidence to the power w, tempered, has the largest L.

    Hypothesis: α ⟂ β | y. Then w = 1 for true evidence, and any other w puts right evidence that is
    a power of it; no label is read. Where it fails, w is too large (see the module). L need not be
    concave in w: the best of 41 values is refined between its neighbours.

    Raises ValueError as `pair_likelihood` does, but evidence of any mean will do; and for most ≤ 0.
    """
    if not 0 < most < np.inf:
        raise ValueError(f"most is {most}; it has to be finite and above 0")
    pi = checked_priors(priors)
    first, second = (_evidence(name, r, pi) for name, r in (("alpha", alpha), ("beta", beta)))
    weight = checked_shares(shares, len(first))
    first = tempered(first, 1, weight)

    def value(w: float) -> float:
        return pair_likelihood(first, tempered(second, w, weight), pi, weight)

    grid = np.linspace(0, most, _GRID)
    found = np.array([value(w) for w in grid])
    at = int(found.argmax())
    ends = grid[max(at - 1, 0)], grid[min(at + 1, _GRID - 1)]
    fine = minimize_scalar(lambda w: -value(w), bounds=ends, method="bounded")
    w, best = max(((grid[at], found[at]), (fine.x, -fine.fun)), key=lambda pair: pair[1])
    return LikeliestExponent(float(w), float(best), value(1.0))


def _evidence(name: str, evidence: ArrayLike, pi: Floats) -> Floats:
    r = np.asarray(evidence, dtype=np.float64)
    if r.ndim != 2 or r.shape[1] != len(pi) or not len(r):
        raise ValueError(f"{name} has shape {r.shape}; give [n, {len(pi)}] with n ≥ 1")
    if not ((r >= 0) & (r < np.inf)).all():
        raise ValueError(f"{name} holds a number that is negative or not finite; evidence is p/π")
    return r


def _likelihood(first: Floats, second: Floats, pi: Floats, weight: Floats) -> float:
    seen = weight > 0
    with np.errstate(divide="ignore"):  # log 0 = −∞: the two exclude every class
        return float(weight[seen] @ np.log((first[seen] * second[seen]) @ pi))
