"""The mixed-integer programme: the maximum over labellings, where mixtures allow more."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from mke_theory.theory.certificates.integer_programme import solve_by_integers
from mke_theory.theory.certificates.methods import every_method
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.certificates.problems import some_problem
from tests.theory.enumeration import FORMS, Labellings, error_problem

SECONDS = 30.0
"""More than any of these problems takes, so that the maximum is found."""
DOUBT = 3e-6
"""What the solver's tolerance is raised by, and the tolerance itself."""


@pytest.mark.parametrize("form", FORMS)
def test_by_hand(form: Form) -> None:
    # All 0 or all 1, as in the tests of certificates; ỹ is 1 once of five. With ε = ½ mixtures of
    # both are allowed (t with .2 + .6 t = .5), but all 1 itself is not: no labelling errs at all.
    graph, pseudo = Graph.from_edges(5, list(combinations(range(5), 2))), np.array([0, 0, 0, 0, 1])
    pool = LabelledPool(graph, pseudo, np.zeros(5, np.int64), 2)
    problem = error_problem(pool, 0.5, 0.0, form)
    assert every_method(problem, pool.student, 1)[0].value == pytest.approx(0.5)
    found = solve_by_integers(problem, SECONDS)
    assert found.value == pytest.approx(0.0, abs=DOUBT)
    assert found.attained == 0.0
    # With ε = .8 all 1 is allowed.
    assert solve_by_integers(error_problem(pool, 0.8, 0.0, form), SECONDS).attained == 1.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_the_maximum_over_all_labellings(classes: int, form: Form) -> None:
    rng = np.random.default_rng(classes)
    for trial in range(12):
        problem = some_problem(rng, form, classes, (2, 7), tight=trial % 3 == 0)
        best, found = Labellings(problem).best, solve_by_integers(problem, SECONDS)
        assert best <= found.value <= best + DOUBT
        assert found.attained == pytest.approx(best, abs=1e-9)
        assert found.labelling is not None and problem.allows(found.labelling)
        assert min(one.value for one in every_method(problem, problem.pseudo, 1)) >= best - 1e-9


@pytest.mark.parametrize("form", FORMS)
def test_contradictions_are_found(form: Form) -> None:
    # Two linked points of known and different labels are inconsistent.
    pool = LabelledPool(Graph.from_edges(2, [[0, 1]]), np.zeros(2, int), np.zeros(2, int), 2)
    problem = error_problem(pool, 1.0, 0.0, form, known=np.array([0, 1]))
    assert solve_by_integers(problem, SECONDS).value == -np.inf
    assert solve_by_integers(replace(problem, most=1.0), SECONDS).attained == 0.5


@pytest.mark.parametrize("seconds", [0.0, -1.0, np.inf, np.nan])
def test_time_is_positive_and_finite(seconds: float) -> None:
    problem = some_problem(np.random.default_rng(0), "edge")
    with pytest.raises(ValueError, match="positive and finite"):
        solve_by_integers(problem, seconds)
