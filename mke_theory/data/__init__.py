"""Samples: pools, problems with their truth apart, seeds by name, and hashes of files."""

from mke_theory.data.pool import UNKNOWN, Batch, Pool, Samples, join
from mke_theory.data.problem import Problem, Truth, hide
from mke_theory.data.rng import Stream, seed_for, torch_seed

__all__ = [
    "UNKNOWN",
    "Batch",
    "Pool",
    "Problem",
    "Samples",
    "Stream",
    "Truth",
    "hide",
    "join",
    "seed_for",
    "torch_seed",
]
