"""The worst case without the graph: what facts and known labels alone leave possible.

Without R a point matters only by its pseudo label and its rewards, so the linear relaxation is
small: a mass for every distinct row (ỹ, rewards, known label) and class. Its dual prices λ give

    Σ_m λ_m limit_m + Σ_i max over allowed k of θ[i, k],

which bounds the maximum for every λ ≥ 0, so nothing hangs on the solver's tolerance.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.worst_case import WorstCase
from mke_theory.theory.graph import Floats


def without_graph(problem: WorstCase) -> float:
    """At least the maximum of the worst case without its limit on R.

    Equal to that of the linear relaxation up to rounding. Where facts and known labels contradict
    each other any number is, and what the prices 0 say is returned.
    """
    at = np.flatnonzero(problem.graph.weights > 0)
    p = problem.graph.weights[at]
    rows = np.column_stack(
        [problem.pseudo[at], problem.fixed[at], np.round(problem.reward[at] / p[:, None], 9)]
    )
    _, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    mass = np.asarray(np.bincount(kind.ravel(), p), np.float64)
    prices = _prices(problem, at[first], p[first], mass)
    at_prices = np.where(problem.allowed, problem.theta(prices), -np.inf).max(axis=1)
    return float(prices @ problem.limits + at_prices.sum())


def _prices(problem: WorstCase, points: np.ndarray, p: Floats, mass: Floats) -> Floats:
    """The dual prices of the facts, from one representative point of every kind."""
    facts, classes = problem.facts, problem.classes
    none = np.zeros(len(facts))
    if not facts:
        return none
    reward = problem.reward[points] / p[:, None]
    tables = np.stack([fact.table[problem.pseudo[points]] for fact in facts])
    fixed = problem.fixed[points]
    allowed = (fixed == UNKNOWN)[:, None] | (np.arange(classes) == fixed[:, None])
    ones = sparse.kron(sparse.eye_array(len(points)), np.ones((1, classes)), format="csr")
    found = linprog(
        -reward.ravel(),
        A_ub=tables.reshape(len(facts), -1),
        b_ub=problem.limits,
        A_eq=ones,
        b_eq=mass,
        bounds=[(0, None if free else 0) for free in allowed.ravel()],
        method="highs",
    )
    return np.maximum(-found.ineqlin.marginals, 0.0) if found.status == 0 else none
