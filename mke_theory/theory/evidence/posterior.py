"""The sum of evidence: one expert a modality, log evidence added, the prior counted once.

If the modalities are independent given the class, Bayes' rule reads

    P(y | x_1, …, x_M) ∝ π(y) Π_m P(x_m | y) ∝ π(y) Π_m r_m(y),   r_m(y) = P(y | x_m) / π(y),

so log p = Σ_m log p_m − (M − 1) log π up to a constant. r_m is the *evidence* of modality m. One
that says nothing of y has p_m = π, r_m = 1, and drops out; so does one that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from mke_theory.theory.graph import Floats

_OFF = 1e-6
"""The most that a sum of probabilities may be off by: softmax in single precision passes."""


def posterior_of_sum(
    posteriors: Sequence[ArrayLike], priors: ArrayLike, exponents: Sequence[float] | None = None
) -> Floats:
    """The posterior ∝ π Π_m (p_m/π)^{w_m} of the experts p_m, each [n, classes]; [n, classes].

    `exponents` holds the w_m ≥ 0 (None: all 1). It is P(y | x_1, …, x_M) exactly where every expert
    is P(y | x_m), every w_m is 1, and the modalities are independent given y. Where a sample lacks
    a modality, leave that out, or give π as its row, which is the same.

    Raises ValueError where rows are no distributions, shapes differ, an exponent is negative, or
    the experts of a sample together exclude every class.
    """
    pi = checked_priors(priors)
    found = checked_experts(posteriors, pi)
    wanted = [1.0] * len(found) if exponents is None else [float(w) for w in exponents]
    if len(wanted) != len(found) or not all(0 <= w < np.inf for w in wanted):
        raise ValueError(
            f"exponents are {wanted}; give {len(found)}, one an expert, finite and at least 0"
        )
    with np.errstate(divide="ignore"):  # log 0 = −∞: a class that is excluded
        terms = [w * np.log(p / pi) for w, p in zip(wanted, found, strict=True) if w > 0]
    total = np.log(pi) + sum(terms, np.zeros_like(found[0]))
    lost = np.isneginf(total).all(axis=1)
    if lost.any():
        raise ValueError(
            f"in sample {int(lost.argmax())} every class is excluded by some expert; keep "
            "probabilities above 0"
        )
    return np.asarray(softmax(total, axis=1))


def evidence_of(posterior: ArrayLike, priors: ArrayLike) -> Floats:
    """The evidence r(k | x) = p(k | x)/π(k) = P(x | k)/p(x), [n, classes]; 1 says nothing of k.

    Raises ValueError where rows of `posterior` [n, classes] or `priors` are no distributions.
    """
    pi = checked_priors(priors)
    return checked_experts([posterior], pi)[0] / pi


def checked_priors(priors: ArrayLike) -> Floats:
    """The priors π, [classes], as float64; ValueError where they are none, or one is 0."""
    pi = np.asarray(priors, dtype=np.float64)
    if pi.ndim != 1 or len(pi) < 2 or not (pi > 0).all() or abs(pi.sum() - 1) > _OFF:
        raise ValueError(
            f"priors are {pi.tolist()}; give one for each of at least 2 classes, each above 0, "
            "with sum 1"
        )
    return pi


def checked_experts(posteriors: Sequence[ArrayLike], pi: Floats) -> list[Floats]:
    """The posteriors as float64, all [n, classes]; ValueError where they do not fit."""
    found = [np.asarray(p, dtype=np.float64) for p in posteriors]
    if not found:
        raise ValueError("no posterior is given; give at least one, [n, classes]")
    for at, p in enumerate(found):
        if p.ndim != 2 or p.shape != (len(found[0]), len(pi)) or not len(p):
            raise ValueError(
                f"posterior {at} has shape {p.shape}; each has to be [n, {len(pi)}], with the same "
                "n ≥ 1 for all"
            )
        fine = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= _OFF)
        if not fine.all():
            row = int((~fine).argmax())
            raise ValueError(
                f"posterior {at} has the row {p[row].tolist()} in sample {row}; a row is at least "
                "0 and sums to 1"
            )
    return found


def checked_shares(shares: ArrayLike | None, n: int) -> Floats:
    """The share of each of n samples in a mean, [n] with sum 1 (None: all alike); ValueError."""
    if shares is None:
        return np.full(n, 1 / n)
    found = np.asarray(shares, dtype=np.float64)
    if found.shape != (n,) or not (found >= 0).all() or abs(found.sum() - 1) > _OFF:
        raise ValueError(
            f"shares have shape {found.shape} and sum {found.sum():.6g}; give {n} that are at "
            "least 0 and sum to 1"
        )
    return found
