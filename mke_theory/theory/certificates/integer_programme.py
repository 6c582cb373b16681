"""The worst case as a mixed-integer programme: its maximum over labellings, not over mixtures.

Every other method bounds the maximum over mixtures of labellings or over probabilities, which may
be above what any labelling attains. Here y is whole, y[i, k] in {0, 1}, and

    edge form     R(y) = Σ_e w_e Σ_k p_ek,              p_ek ≥ y_ik − y_jk,  p ≥ 0
    vertex form   R(y) = Σ_s weight_s (1 − Σ_k m_sk),   m_sk ≤ y_jk for every j in s,

where at whole y the p and m that cost least are whole by themselves. Branch and bound keeps an
upper bound from the first relaxation on, so that it may be stopped at any time. It is exponential
in the worst case and meant for pools of up to some hundred points. Ref: huangfu2018parallelizing.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from mke_theory.theory.certificates.relaxation import difference_rows, set_rows
from mke_theory.theory.certificates.worst_case import Bounded, WorstCase
from mke_theory.theory.graph import Floats

METHOD = "mixed-integer programme"
_FEASIBLE = 1e-9
"""Limits are widened by this much, so that a labelling at a limit is not lost to rounding."""
_DOUBT = 1e-6
"""The bound is raised by HiGHS's tolerance, which is not exact arithmetic."""
_INFEASIBLE = 2


def solve_by_integers(problem: WorstCase, seconds: float) -> Bounded:
    """The largest reward of a labelling, as near as branch and bound comes in `seconds`.

    `value` is +∞ where the time did not suffice for any bound, and −∞ where no labelling is
    allowed; it is above the maximum by 1e-6 at least, and the prices are zero. Raises ValueError
    where seconds is not positive.
    """
    if not 0 < seconds < np.inf:
        raise ValueError(f"seconds is {seconds}; it has to be positive and finite")
    rows, costs, constant = _inconsistency(problem)
    size, choices = len(costs), problem.reward.size
    gain = np.append(problem.reward.ravel(), np.zeros(size - choices))
    scale = float(np.abs(gain).max()) or 1.0
    found = milp(
        -gain / scale,
        integrality=np.arange(size) < choices,
        bounds=Bounds(0, np.append(problem.allowed.ravel() * 1.0, np.ones(size - choices))),
        constraints=[
            LinearConstraint(_one_class(problem, size), 1, 1),
            LinearConstraint(rows, -np.inf, 0),
            LinearConstraint(*_limits(problem, costs, constant)),
        ],
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    nothing = np.zeros(len(problem.facts))
    if found.status == _INFEASIBLE:
        return Bounded(-np.inf, nothing, 0.0, None, None, METHOD, 0)
    least = found.mip_dual_bound
    value = np.inf if least is None or not np.isfinite(least) else -scale * float(least) + _DOUBT
    labelling = attained = None
    if found.x is not None:
        labels = found.x[:choices].reshape(problem.reward.shape).argmax(axis=1)
        measured = problem.measure(labels)
        if problem.allows(labels, measured):
            labelling, attained = labels, measured[0]
    nodes = int(found.mip_node_count or 0)
    return Bounded(value, nothing, 0.0, labelling, attained, METHOD, nodes)


def _inconsistency(problem: WorstCase) -> tuple[sparse.csr_array, Floats, float]:
    """(rows ≤ 0 that tie the helpers to y, the cost of every variable, a constant) of R."""
    graph, choices = problem.graph, problem.reward.size
    if problem.form == "edge":
        apart = difference_rows(problem)
        helpers = sparse.eye_array(apart.shape[0])
        rows = sparse.csr_array(sparse.hstack([apart, -helpers]))
        costs = np.repeat(graph.edge_weights, problem.classes)
        return rows, np.append(np.zeros(choices), costs), 0.0
    rows, _, gain, total = set_rows(problem)
    return rows, np.append(np.zeros(choices), -gain), float(total)


def _one_class(problem: WorstCase, size: int) -> sparse.csr_array:
    """A row a point: its entries of y sum to 1."""
    n, classes = problem.reward.shape
    points = np.repeat(np.arange(n), classes)
    return sparse.csr_array(
        (np.ones(n * classes), (points, np.arange(n * classes))), shape=(n, size)
    )


def _limits(
    problem: WorstCase, costs: Floats, constant: float
) -> tuple[sparse.csr_array, float, Floats]:
    """The rows of R and of every fact, and their limits."""
    p, none = problem.graph.weights[:, None], np.zeros(len(costs) - problem.reward.size)
    sides = [np.append((p * fact.table[problem.pseudo]).ravel(), none) for fact in problem.facts]
    limits = np.append(problem.most - constant, problem.limits) + _FEASIBLE
    return sparse.csr_array(np.stack([costs, *sides])), -np.inf, limits
