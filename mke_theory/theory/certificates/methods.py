"""Methods for a worst case: each kind of problem has one, or several of which the best counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mke_theory.theory.certificates.cuts import Components, Cuts
from mke_theory.theory.certificates.cutting_planes import solve_by_planes
from mke_theory.theory.certificates.one_against_rest import OneAgainstRest
from mke_theory.theory.certificates.relaxation import Relaxed
from mke_theory.theory.certificates.roof_duality import Roof, fits
from mke_theory.theory.certificates.worst_case import Bounded, WorstCase
from mke_theory.theory.graph import Floats, Ints

_RELAXED_TOLERANCE = 5e-4
_RELAXED_STEPS = 40
_ROUGH_STEPS = 10


def every_method(problem: WorstCase, reference: Ints, workers: int) -> list[Bounded]:
    """The result of every method that fits the problem."""
    if problem.most == 0:
        found = solve_by_planes(problem, Components(problem), "connected components")
        return [replace(found, inconsistency_price=np.inf)]
    if problem.classes == 2:
        return [solve_by_planes(problem, Cuts(problem, workers), "minimum cuts")]
    return solve_many_classes(problem, reference)


def solve_many_classes(problem: WorstCase, reference: Ints | None = None) -> list[Bounded]:
    """Roof duality and one class against the rest where they apply, then the linear programme.

    The first two are fast; the last starts from the flows of the second and is tightest. Facts
    beyond ε come in last, from where the search without them ended, so that more side information
    never gives a worse bound.
    """
    error_alone = replace(problem, facts=problem.facts[:1])
    found, relaxed = [], Relaxed(error_alone)
    start = np.ones(len(error_alone.facts) + 1)
    if problem.form == "edge":
        if reference is not None and fits(error_alone, reference):
            found.append(solve_by_planes(error_alone, Roof(error_alone, reference), "roof duality"))
        cuts = OneAgainstRest(error_alone)
        rough = solve_by_planes(
            error_alone, cuts, "one against the rest", start=start, most_steps=_ROUGH_STEPS
        )
        found.append(rough)
        start = _where(rough)
        cuts(error_alone.theta(rough.prices), rough.inconsistency_price)
        relaxed.begin(cuts.flows.ravel(), rough.inconsistency_price)
    found.append(_relaxed(error_alone, relaxed, start))
    found = [_of_all_facts(problem, one) for one in found]
    more = len(problem.facts) > len(error_alone.facts)
    if more and all(one.value > -np.inf for one in found):
        found.append(_relaxed(problem, relaxed.about(problem), _where(found[-1])))
    return found


def _relaxed(problem: WorstCase, oracle: Relaxed, start: Floats) -> Bounded:
    method = "linear programme" if len(problem.facts) == 1 else "linear programme, all facts"
    return solve_by_planes(
        problem,
        oracle,
        method,
        start=start,
        tolerance=_RELAXED_TOLERANCE,
        most_steps=_RELAXED_STEPS,
    )


def _of_all_facts(problem: WorstCase, found: Bounded) -> Bounded:
    """A result found without the further facts, as one with them at price 0.

    Its labelling is dropped where they forbid it.
    """
    prices = np.append(found.prices, np.zeros(len(problem.facts) - len(found.prices)))
    if found.labelling is not None and not problem.allows(found.labelling):
        found = replace(found, labelling=None, attained=None)
    return replace(found, prices=prices)


def _where(found: Bounded) -> Floats:
    """The prices at which a search ended, ν last."""
    return np.append(found.prices, found.inconsistency_price)
