"""The stake of a student that trusts β without a labelled pair: what it wins, and what it risks.

D_l shows the law of (α, y), D_u that of (α, β), and nothing more. Two worlds agree in both: the one
that a student's q(y | α, β) describes, and its *twin*, where y ⟂ β | α, so that the truth is the
p = P(y | α) of the teacher. Every number made of D_l and D_u is the same in both, confusion,
exponents and pair likelihood included. Against its teacher the student

    gains E Σ_k q(k) log q(k)/p(k) in its own world,   loses E Σ_k p(k) log p(k)/q(k) in the twin,

both 0 only for q = p; and in the twin no decision is better than the teacher's. So no rule that
reads D_l and D_u alone can gain somewhere and lose nowhere: an assumption, such as α ⟂ β | y, or
labelled pairs must rule the twin out.

Labels of pairs do: Π_i q(y_i)/p(y_i) over labelled pairs has mean 1 in the twin, so it reaches
1/level there with a probability of at most `level`, however often one looks (Ville's inequality).
In the student's own world its logarithm grows by the gain a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from mke_theory.theory.evidence.posterior import checked_experts, checked_shares


@dataclass(frozen=True)
class Stake:
    """The student's gain over its teacher if it is right, its loss in the twin; nats a sample."""

    gain: float
    loss: float

    def labels(self, level: float = 0.05) -> float:
        """log(1/level)/gain: about how many labelled pairs rule the twin out, if q is right.

        ∞ where the gain is 0. Raises ValueError for a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; it has to lie inside (0, 1)")
        return float(np.log(1 / level) / self.gain) if self.gain > 0 else float("inf")


def stake(teacher: ArrayLike, student: ArrayLike, shares: ArrayLike | None = None) -> Stake:
    """The stake of the student q against its teacher p, both [n, classes], on the same n samples.

    `shares` [n] weighs the samples (None: all alike). A loss is ∞ where q excludes a class that p
    does not. Hypothesis, for the gain: the student is the posterior of its world, which implies
    that p is its mean given α.

    Raises ValueError where shapes differ or rows are no distributions.
    """
    classes = np.shape(teacher)[-1] if np.ndim(teacher) == 2 else 1
    p, q = checked_experts([teacher, student], np.full(classes, 1 / classes))
    weight = checked_shares(shares, len(p))
    return Stake(
        float(weight @ rel_entr(q, p).sum(axis=1)), float(weight @ rel_entr(p, q).sum(axis=1))
    )
