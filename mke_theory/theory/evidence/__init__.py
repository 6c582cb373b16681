"""Evidence: one expert a modality, log evidence added, and what that costs where they overlap."""

from mke_theory.theory.evidence.confusion import hard_confusion, soft_confusion
from mke_theory.theory.evidence.dependence import PriceOfSum, price_of_sum
from mke_theory.theory.evidence.exponents import Exponents, calibrated_exponents, expected_gain
from mke_theory.theory.evidence.forward_correction import ForwardFit, forward_bound, forward_fit
from mke_theory.theory.evidence.pair_likelihood import (
    LikeliestExponent,
    likeliest_exponent,
    pair_likelihood,
    tempered,
)
from mke_theory.theory.evidence.posterior import evidence_of, posterior_of_sum
from mke_theory.theory.evidence.stakes import Stake, stake

__all__ = [
    "Exponents",
    "ForwardFit",
    "LikeliestExponent",
    "PriceOfSum",
    "Stake",
    "calibrated_exponents",
    "evidence_of",
    "expected_gain",
    "forward_bound",
    "forward_fit",
    "hard_confusion",
    "likeliest_exponent",
    "pair_likelihood",
    "posterior_of_sum",
    "price_of_sum",
    "soft_confusion",
    "stake",
    "tempered",
]
