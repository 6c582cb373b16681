"""Cutting planes find the best prices, and their bound is valid wherever they stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, linprog

from mke_theory.theory.certificates import cutting_planes
from mke_theory.theory.certificates.cuts import Cuts
from mke_theory.theory.certificates.cutting_planes import solve_by_planes, starting_labellings
from mke_theory.theory.certificates.side_information import class_shares, teacher_error_at_most
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import Graph
from tests.theory.certificates.problems import problem_on, some_problem
from tests.theory.enumeration import (
    FORMS,
    Labellings,
)

Floats = NDArray[np.float64]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tight", [False, True])
def test_the_bound_is_the_best_mixture_of_labellings(form: Form, tight: bool) -> None:
    # Lagrangian duality: the least D is the largest reward of a mixture of labellings that
    # satisfies the limits on average. Both sides are solved to about 10⁻⁷.
    rng = np.random.default_rng(11)
    met = 0
    for _ in range(40):
        problem = some_problem(rng, form, tight=tight)
        found, every = solve_by_planes(problem, Cuts(problem), "cuts"), Labellings(problem)
        assert found.value == pytest.approx(every.hull(), abs=1e-6)
        assert found.value >= every.best
        assert (found.prices >= 0).all()
        assert found.inconsistency_price >= 0
        # The prices prove the value, evaluated without a cut.
        dual = every.dual(found.prices, found.inconsistency_price)
        assert dual - 1e-12 <= found.value <= dual + 1e-7
        if found.labelling is not None:
            assert problem.allows(found.labelling)
            assert found.attained == pytest.approx(problem.measure(found.labelling)[0])
            met += 1
    assert met > 20


@pytest.mark.parametrize("form", FORMS)
def test_nothing_allowed_is_found_out(form: Form) -> None:
    rng = np.random.default_rng(12)
    refuted = 0
    for _ in range(60):
        problem = some_problem(rng, form)
        problem = replace(problem, most=float(rng.choice([0.01, 0.2])))
        problem = replace(problem, facts=(teacher_error_at_most(0.1, 2), *problem.facts[1:]))
        found, hull = solve_by_planes(problem, Cuts(problem), "cuts"), Labellings(problem).hull()
        assert (found.value == -np.inf) == (hull == -np.inf)
        refuted += found.value == -np.inf
    assert 5 < refuted < 55


@pytest.mark.parametrize("most_steps", [1, 2, 3])
def test_the_bound_is_valid_wherever_the_search_stops(most_steps: int) -> None:
    rng = np.random.default_rng(13)
    for _ in range(40):
        problem = some_problem(rng, "edge")
        found = solve_by_planes(problem, Cuts(problem), "cuts", most_steps=most_steps)
        assert found.steps <= most_steps
        assert found.value >= Labellings(problem).hull() - 1e-7


@pytest.mark.parametrize("begin", [0.0, 1.0, 50.0])
def test_the_search_finds_back_from_any_start(begin: float) -> None:
    # Steps within a factor of two: planes that are met again on the way are no reason to stop.
    rng = np.random.default_rng(14)
    for _ in range(6):
        problem = some_problem(rng, "edge")
        start = np.full(len(problem.facts) + 1, begin)
        found = solve_by_planes(problem, Cuts(problem), "cuts", start=start)
        assert found.value == pytest.approx(Labellings(problem).hull(), abs=1e-5)


def test_prices_below_zero_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # HiGHS may leave its bounds by 10⁻⁷. Here it always does, and the bound stays valid.
    def careless(*args: object, **options: object) -> OptimizeResult:
        solved = linprog(*args, **options)
        solved.x = solved.x - 1e-3
        return solved

    monkeypatch.setattr(cutting_planes, "linprog", careless)
    rng = np.random.default_rng(15)
    for _ in range(20):
        problem = some_problem(rng, "edge")
        found = solve_by_planes(problem, Cuts(problem), "cuts")
        assert found.value >= Labellings(problem).hull() - 1e-7
        assert (np.append(found.prices, found.inconsistency_price) >= 0).all()


def test_a_failed_programme_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = OptimizeResult(x=None, message="out of luck")
    monkeypatch.setattr(cutting_planes, "linprog", lambda *_, **__: failed)
    problem = some_problem(np.random.default_rng(16), "edge")
    with pytest.raises(ArithmeticError, match="planes failed: out of luck"):
        solve_by_planes(problem, Cuts(problem), "cuts")


def test_the_search_starts_from_what_is_known() -> None:
    graph = Graph.from_edges(3, [[0, 1]])
    problem = replace(problem_on(graph, [0, 1, 1], 0.5, "edge"), fixed=np.array([-1, 0, -1]))
    begin = [labels.tolist() for labels in starting_labellings(problem)]
    # The pseudo labels, all 0, all 1, the most and the least reward; point 1 is known to be 0.
    assert begin == [[0, 0, 1], [0, 0, 0], [1, 0, 1], [1, 0, 1], [0, 0, 0]]


def test_facts_of_no_consequence_change_nothing() -> None:
    rng = np.random.default_rng(17)
    for _ in range(10):
        problem = some_problem(rng, "vertex")
        more = replace(problem, facts=(*problem.facts, *class_shares([0, 0], [0.9999, 0.9999])))
        if not (Labellings(problem).sides <= 0.99).all():
            more = replace(problem, facts=problem.facts * 2)
        one = solve_by_planes(problem, Cuts(problem), "cuts")
        assert solve_by_planes(more, Cuts(more), "cuts").value <= one.value + 1e-6
