"""Published bounds, one file a theorem: its hypotheses, each checked on a pool, and its value."""

from mke_theory.theory.bounds import (
    blum1998_independent_views,
    cai2021_propagation,
    charikar2024_misfit,
    lang2024_correction,
    lang2024_coverage,
    lang2024_robust,
    mulgund2025_misfit,
    wei2021_pseudolabels,
)
from mke_theory.theory.bounds.bound import Bound, Hypothesis, MeasuredError
from mke_theory.theory.bounds.ledgers import Assumed, Ledger, ledger

__all__ = [
    "Assumed",
    "Bound",
    "Hypothesis",
    "Ledger",
    "MeasuredError",
    "blum1998_independent_views",
    "cai2021_propagation",
    "charikar2024_misfit",
    "lang2024_correction",
    "lang2024_coverage",
    "lang2024_robust",
    "ledger",
    "mulgund2025_misfit",
    "wei2021_pseudolabels",
]
