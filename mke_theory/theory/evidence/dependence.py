"""The price of adding evidence where the modalities are not independent given the class.

With Z(α, β) = Σ_k π_k P(α | k) P(β | k), π_k P(α | k) P(β | k) is a joint distribution of (y, α, β)
whose posterior is the sum of evidence q. The chain rule of KL(P ‖ ·) reads

    I(α; β | y) = KL(P(α, β) ‖ Z) + E KL(P(y | α, β) ‖ q),

so the sum loses at most I(α; β | y) nats to the best posterior, and nothing if α ⟂ β | y. As the
`pair_likelihood` of the true evidence is L = I(α; β) − KL(P(α, β) ‖ Z), the price is
I(α; β | y) − I(α; β) + L. By Pinsker's inequality Err(q) ≤ Bayes + √(2 · price).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from mke_theory.theory.graph import Floats


@dataclass(frozen=True)
class PriceOfSum:
    """Information in nats and errors of a finite world, for the sum of its exact experts.

    `conditional_information` is I(α; β | y), `information` I(α; β), `likelihood` L of the true
    evidence, `price` E KL(P(y | α, β) ‖ sum), `gain` the expected log likelihood of the sum minus
    that of α's expert. Errors are of the largest probability, the first of equals.
    """

    conditional_information: float
    information: float
    likelihood: float
    price: float
    gain: float
    error: float
    alpha_error: float
    bayes_error: float

    @property
    def error_bound(self) -> float:
        """Bayes + √(2 · price), which the error of the sum does not exceed."""
        return self.bayes_error + float(np.sqrt(2 * self.price))


def price_of_sum(table: ArrayLike) -> PriceOfSum:
    """The price of the sum in the world P(y, α, β), [classes, values of α, values of β].

    No hypothesis: dependence of any kind is in the table.

    Raises ValueError where the table is no distribution or a class never occurs.
    """
    p = np.asarray(table, dtype=np.float64)
    if p.ndim != 3 or not (p >= 0).all() or abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"table has shape {p.shape}; give P(y, α, β), at least 0 with sum 1")
    pi = p.sum(axis=(1, 2))
    if len(pi) < 2 or not (pi > 0).all():
        raise ValueError(f"classes have probabilities {pi.tolist()}; give 2 or more, above 0")
    alpha, beta, both = p.sum(axis=2), p.sum(axis=1), p.sum(axis=0)
    modelled = alpha[:, :, None] * beta[:, None, :] / pi[:, None, None]
    conditional = float(rel_entr(p, modelled).sum())
    information = _information(both)
    misfit = float(rel_entr(both, modelled.sum(axis=0)).sum())
    likelihood = information - misfit
    return PriceOfSum(
        conditional,
        information,
        likelihood,
        max(conditional - misfit, 0.0),
        _information(beta) - likelihood,
        1 - float(np.take_along_axis(p, modelled.argmax(axis=0)[None], axis=0).sum()),
        1 - float(alpha.max(axis=0).sum()),
        1 - float(p.max(axis=0).sum()),
    )


def _information(joint: Floats) -> float:
    """The mutual information of the two axes of a table, in nats."""
    return float(rel_entr(joint, np.outer(joint.sum(axis=1), joint.sum(axis=0))).sum())
