"""The teacher as an annotator of β, and its confusion matrix without a label.

If α ⟂ β | y, the teacher's label errs, for one who sees β alone, by class alone:
P(ỹ = j | β, y) = P(ỹ = j | y) = T[y, j]. So the labels that β can predict are a mixture,

    P(ỹ = j | β) = Σ_y P(y | β) T[y, j],   and softly   E[p_α(j) | β] = Σ_y P(y | β) S[y, j].

A teacher is *calibrated* if P(y = k | p_α) = p_α(k) for its probabilities p_α. Then both matrices
are means over unlabelled samples of α, as E[1(y) g(p_α)] = E[p_α(y) g(p_α)] for every g:

    π_y = E p_α(y),   T[y, j] = E[p_α(y) 1(ỹ = j)] / π_y,   S[y, j] = E[p_α(y) p_α(j)] / π_y.

diag(π) S = E p_α p_αᵀ, so S has an inverse unless some combination of the classes' probabilities
is 0 on every sample. Without calibration the tables diag(π) T and diag(π) S are each off by at most
the calibration error, E Σ_k |P(y = k | p_α) − p_α(k)|, summed over all their cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.evidence.posterior import checked_experts, checked_priors, checked_shares
from mke_theory.theory.graph import Floats


def soft_confusion(posterior: ArrayLike, shares: ArrayLike | None = None) -> Floats:
    """S[y, j] = E[p(j) | y], [classes, classes], of a calibrated teacher p [n, classes].

    Rows sum to 1. `shares` [n] weighs the samples (None: all alike). Exact in the population where
    the teacher is calibrated; no label is read.

    Raises ValueError where rows are no distributions, or a class has no probability anywhere.
    """
    p, weight, pi = _teacher(posterior, shares)
    return (p * weight[:, None]).T @ p / pi[:, None]


def hard_confusion(
    posterior: ArrayLike, labels: ArrayLike | None = None, shares: ArrayLike | None = None
) -> Floats:
    """T[y, j] = P(ỹ = j | y), [classes, classes], of a calibrated teacher p [n, classes].

    `labels` [n] are its ỹ, a function of p (None: the largest probability, the first of equals);
    `shares` [n] weighs the samples (None: all alike). Exact in the population where the teacher is
    calibrated; no true label is read.

    Raises ValueError where rows are no distributions, labels are no classes, or a class has no
    probability anywhere.
    """
    p, weight, pi = _teacher(posterior, shares)
    hard = p.argmax(axis=1) if labels is None else np.asarray(labels)
    if hard.shape != (len(p),) or not np.isin(hard, np.arange(len(pi))).all():
        raise ValueError(
            f"labels have shape {hard.shape}; give {len(p)} classes out of 0 to {len(pi) - 1}"
        )
    return (p * weight[:, None]).T @ np.eye(len(pi))[hard.astype(np.int64)] / pi[:, None]


def checked_confusion(name: str, confusion: ArrayLike) -> Floats:
    """P(ỹ = j | y) as float64, [classes, classes]; ValueError where a row is no distribution."""
    found = np.asarray(confusion, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or len(found) < 2:
        raise ValueError(f"{name} has shape {found.shape}; give [classes, classes]")
    if not ((found >= 0).all() and np.allclose(found.sum(axis=1), 1, rtol=0, atol=1e-6)):
        raise ValueError(f"a row of {name} is no distribution; row y is P(ỹ | y)")
    return found


def _teacher(posterior: ArrayLike, shares: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """(p, shares, π = E p), checked."""
    p = np.asarray(posterior, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ValueError(f"posterior has shape {p.shape}; give [n, classes], 2 classes or more")
    checked_experts([p], np.full(p.shape[1], 1 / p.shape[1]))
    weight = checked_shares(shares, len(p))
    pi = weight @ p
    if not (pi > 0).all():
        raise ValueError(
            f"class {int(pi.argmin())} has probability 0 on every sample; leave it out of the task"
        )
    return p, weight, checked_priors(pi)
