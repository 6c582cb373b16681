"""Forward correction: an expert of β learned from the teacher's labels through their confusion.

The loss of an expert q(β) is −E log Σ_k q_k(β) T[k, ỹ]. At one β it is the cross-entropy between
P(ỹ | β) = Tᵀp, p = P(y | β), and Tᵀq: by Gibbs' inequality least where Tᵀq = Tᵀp, and so at
q = p alone if the rows of T are linearly independent. (Rows sum to 1, so rows that are dependent
are so by a combination of sum 0, along which q can move unseen.)

With T̂ in the place of T, Tᵀp = T̂ᵀq gives q̂ = T̂⁻ᵀTᵀp, which sums to 1, and

    q̂ − p = T̂⁻ᵀ(T − T̂)ᵀp,   ‖q̂ − p‖₂ ≤ ‖(T − T̂)ᵀp‖₂/σ_min(T̂) ≤ ‖T − T̂‖₂/σ_min(T̂).

Where q̂ has a negative entry the minimiser q* lies on the edge of the simplex. Its fit is no worse
than that of p, so ‖T̂ᵀq* − Tᵀp‖₁ ≤ √(2 KL(Tᵀp ‖ T̂ᵀp)) (Pinsker), and the triangle inequality gives
‖q* − p‖₂ ≤ (‖(T − T̂)ᵀp‖₂ + √(2 KL(Tᵀp ‖ T̂ᵀp)))/σ_min(T̂). Ref: patrini2017making, Theorem 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.special import rel_entr

from mke_theory.theory.evidence.confusion import checked_confusion
from mke_theory.theory.evidence.posterior import checked_experts
from mke_theory.theory.graph import Floats

_WORST_CONDITION = 1e8
_GAP = 1e-9
"""The loss at the edge of the simplex may be this far above its minimum, in nats."""
_LEAST = 1e-12
"""A label that β never shows counts as this probable."""
_MOST_STEPS = 200
_ROUNDING = 1e-14


@dataclass(frozen=True)
class ForwardFit:
    """The expert that forward correction through T̂ ends in, and its distance from the truth.

    `expert` [n, classes]; `inside` [n]: T̂⁻ᵀTᵀp is a distribution and hence the expert; `distance`
    and `bound` [n]: ‖q − p‖₂ and the bound on it; `divergence` [n]: KL(p ‖ q) in nats, the expert's
    excess log loss on the truth.
    """

    expert: Floats
    inside: NDArray[np.bool_]
    distance: Floats
    bound: Floats
    divergence: Floats


def forward_fit(posterior: ArrayLike, confusion: ArrayLike, assumed: ArrayLike) -> ForwardFit:
    """The population minimiser of −E log Σ_k q_k T̂[k, ỹ] where ỹ follows T, and its cost.

    `posterior` is p = P(y | β), [n, classes]; `confusion` is the true T, `assumed` is T̂, both
    [classes, classes] with rows P(ỹ | y). Hypotheses: α ⟂ β | y, and an expert that can be any
    function of β. A bound is never more than √2, the diameter of the simplex.

    Raises ValueError where shapes differ, rows are no distributions, or T̂ has no reliable inverse;
    ArithmeticError where no minimum on the edge was found.
    Ref: patrini2017making, Theorem 2; the cost of a wrong matrix is derived here.
    """
    t, guess = checked_confusion("confusion", confusion), checked_confusion("assumed", assumed)
    (p,) = checked_experts([posterior], np.full(len(t), 1 / len(t)))
    if guess.shape != t.shape:
        raise ValueError(f"confusion and assumed have shapes {t.shape} and {guess.shape}")
    least = _smallest_singular_value(guess)
    seen, through = p @ t, p @ guess
    solved = np.linalg.solve(guess.T, seen.T).T
    inside: NDArray[np.bool_] = np.min(solved, axis=1) >= -1e-12
    expert = np.clip(solved, 0, None)
    for row in np.flatnonzero(~inside):
        expert[row] = _on_the_edge(seen[row], guess)
    expert /= expert.sum(axis=1, keepdims=True)
    off = np.linalg.norm(seen - through, axis=1)
    slack = np.where(inside, 0.0, np.sqrt(2 * rel_entr(seen, through).sum(axis=1).clip(0)))
    return ForwardFit(
        expert,
        inside,
        np.linalg.norm(expert - p, axis=1),
        np.minimum((off + slack) / least, np.sqrt(2)),
        rel_entr(p, expert).sum(axis=1),
    )


def forward_bound(confusion: ArrayLike, assumed: ArrayLike) -> float:
    """‖T − T̂‖₂/σ_min(T̂), a bound on ‖q̂ − p‖₂ at every β where q̂ is a distribution.

    Raises ValueError where shapes differ, a row is no distribution, or T̂ has no reliable inverse.
    """
    t, guess = checked_confusion("confusion", confusion), checked_confusion("assumed", assumed)
    if guess.shape != t.shape:
        raise ValueError(f"confusion and assumed have shapes {t.shape} and {guess.shape}")
    return float(np.linalg.norm(t - guess, 2) / _smallest_singular_value(guess))


def _smallest_singular_value(confusion: Floats) -> float:
    values = np.linalg.svd(confusion, compute_uv=False)
    if not values[-1] * _WORST_CONDITION > values[0]:
        raise ValueError(
            f"assumed has singular values {values.tolist()}; its classes look alike, so the labels "
            "do not determine the expert: join classes, or use a better teacher"
        )
    return float(values[-1])


def _on_the_edge(seen: Floats, confusion: Floats) -> Floats:
    """The q ≥ 0 with sum 1 that minimises −Σ_j a_j log(qᵀT̂)_j, a = seen, to within the gap.

    Newton's method on −Σ_j a_j log m_j + Σ_j m_j, m = T̂ᵀq, over q ≥ 0 (its minimum has sum 1): the
    model at m is ½ Σ_j (a_j/m_j²)(m'_j − 2m_j + m_j²/a_j)², non-negative least squares. At sum 1
    the largest Σ_j T̂[k, j] a_j/m_j, less 1, bounds what is left to gain, as the loss is convex.
    """
    a, q = np.maximum(seen, _LEAST), np.full(len(seen), 1 / len(seen))
    a = a / a.sum()
    for _ in range(_MOST_STEPS):
        m = q @ confusion
        if (confusion @ (a / m)).max() <= 1 + _GAP:
            return q
        root = np.sqrt(a) / m
        target, _ = nnls(root[:, None] * confusion.T, root * (2 * m - m**2 / a))
        q = _towards(q, target, a, confusion)
    raise ArithmeticError(f"no minimum was found in {_MOST_STEPS} steps; improve `assumed`")


def _towards(q: Floats, target: Floats, a: Floats, confusion: Floats) -> Floats:
    """The first of q + (target − q)/2^i, at sum 1, that fits no worse than q, up to rounding."""
    before = rel_entr(a, q @ confusion).sum() + _ROUNDING
    for halvings in range(60):
        trial = q + (target - q) / 2**halvings
        trial = trial / trial.sum()
        if rel_entr(a, trial @ confusion).sum() <= before:
            return trial
    return q
