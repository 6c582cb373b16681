"""Assumptions that contradict each other: the exception, and the least that has to be relaxed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.methods import every_method
from mke_theory.theory.certificates.side_information import rounded_down
from mke_theory.theory.certificates.worst_case import WorstCase


class Infeasible(ValueError):
    """The assumptions contradict each other on this pool: no labelling satisfies all of them."""


def contradiction(problem: WorstCase, workers: int) -> str:
    """The message for assumptions that contradict each other: the least ε, or the least μ."""
    error, *others = problem.facts
    least = _least_error(replace(problem, facts=tuple(others)), workers)
    message = (
        f"no labelling of this pool satisfies what is assumed ({error}; inconsistency at most "
        f"{rounded_down(problem.most)}"
        + ("; " + "; ".join(map(str, others)) if others else "")
        + ("; known labels" if (problem.fixed != UNKNOWN).any() else "")
        + "). "
    )
    if least is not None:
        message += f"With that inconsistency the error has to be at least {rounded_down(least)}. "
    low, high = problem.most, 1.0
    if _is_refuted(replace(problem, most=high), workers):
        return message + "No inconsistency is large enough: ε, a fact or a known label is wrong."
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _is_refuted(replace(problem, most=middle), workers) else (low, middle)
        )
    return message + f"With that error the inconsistency has to be more than {rounded_down(low)}."


def _least_error(problem: WorstCase, workers: int) -> float | None:
    """A lower bound on L01(y, ỹ) over all allowed labellings y; None where none is allowed."""
    table = 1 - np.eye(problem.classes)
    cost = -problem.graph.weights[:, None] * table[problem.pseudo]
    found = every_method(replace(problem, reward=cost), problem.pseudo, workers)
    value = min(one.value for one in found)
    return None if value == -np.inf else -value


def _is_refuted(problem: WorstCase, workers: int) -> bool:
    found = every_method(
        replace(problem, reward=np.zeros_like(problem.reward)), problem.pseudo, workers
    )
    return any(one.value == -np.inf for one in found)
