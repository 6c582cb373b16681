"""Keeping a part of D_u out of training, for selection without test data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.training.loop import Select

KEPT_OUT = 0.2
"""The share of D_u that a rule of selection keeps out of training."""


def hold_out(pool: Pool, share: float, seed: int) -> tuple[Pool, Pool]:
    """(the rest, about `share` of the pool), by whole groups where there are at least two.

    Raises ValueError where one of the two would be empty.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share to keep out is {share}; it has to lie between 0 and 1")
    if len(pool) < 2:
        raise ValueError("a pool of one sample cannot be divided")
    rows = np.arange(len(pool))
    grouped = pool.groups is not None and len(np.unique(pool.groups)) > 1
    kind = GroupShuffleSplit if grouped else ShuffleSplit
    cut = kind(n_splits=1, test_size=share, random_state=seed)
    rest, out = next(cut.split(rows, groups=pool.groups))
    return pool.rows(rest), pool.rows(out)


def kept_out(problem: Problem, selects: Collection[Select], share: float, seed: int) -> Problem:
    """The problem with what the rules of selection need, taken from D_u where it has none yet.

    "agreement" takes `heldout`, whose truth nobody reads; "labelled" takes `validation` with its
    truth: pairs whose class somebody has looked up.
    """
    if "agreement" in selects and problem.heldout is None:
        rest, out = hold_out(problem.unlabelled, share, seed32_for(seed, "heldout"))
        problem = replace(problem, unlabelled=rest, heldout=out)
    if "labelled" in selects and problem.validation is None:
        rest, out = hold_out(problem.unlabelled, share, seed32_for(seed, "validation"))
        problem = replace(problem, unlabelled=rest, validation=out)
    return problem
