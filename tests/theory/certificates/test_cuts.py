"""Two classes: cuts are exact at every price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from mke_theory.theory.certificates.cuts import Components, Cuts
from mke_theory.theory.certificates.cutting_planes import solve_by_planes
from mke_theory.theory.certificates.side_information import teacher_error_at_most
from mke_theory.theory.certificates.worst_case import Form, WorstCase
from mke_theory.theory.graph import Graph, Ints
from tests.theory.certificates.problems import problem_on, some_problem
from tests.theory.enumeration import (
    FORMS,
    Labellings,
    inconsistency,
)

Floats = NDArray[np.float64]


def worth(problem: WorstCase, theta: Floats, price: float, labels: Ints) -> float:
    paid = theta[np.arange(len(labels)), labels].sum()
    return float(paid - price * inconsistency(problem.graph, labels, problem.form))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_inner_maximum_is_exact(form: Form, workers: int) -> None:
    rng = np.random.default_rng(workers)
    for _ in range(20):
        problem = some_problem(rng, form)
        every, oracle = Labellings(problem), Cuts(problem, workers)
        for size in (0.0, 0.1, 1.0, 30.0):
            theta = rng.normal(size=problem.reward.shape) * rng.choice([0.01, 1.0])
            paid = theta[np.arange(problem.graph.n), every.labels].sum(axis=1)
            highest = float((paid - size * every.inconsistency).max())
            answer = oracle(theta, size)
            assert highest - 1e-12 <= answer.bound <= highest + 1e-9
            for labels, (reward, sides, r) in zip(answer.labellings, answer.planes, strict=True):
                assert worth(problem, theta, size, labels) == pytest.approx(highest, abs=1e-9)
                assert ((problem.fixed < 0) | (problem.fixed == labels)).all()
                assert (reward, r) == pytest.approx(problem.measure(labels)[::2])
                assert sides == pytest.approx(problem.measure(labels)[1])
            small, large = answer.labellings
            assert (small <= large).all()


@pytest.mark.parametrize("form", FORMS)
def test_known_labels_stay_where_nothing_speaks_for_them(form: Form) -> None:
    graph = Graph.from_edges(4, [[0, 1]])
    problem = replace(problem_on(graph, [0] * 4, 1.0, form), fixed=np.array([1, 0, 1, -1]))
    theta = np.zeros((4, 2))
    theta[3, 1] = 1.0  # so much more than nothing that a least pull is lost in rounding
    for labels in Cuts(problem)(theta, 0.0).labellings:
        assert labels.tolist() == [1, 0, 1, 1]
    # Known labels that disagree pay for their edge: both points see two labels.
    paid = 1.0 if form == "edge" else 0.5
    assert Cuts(problem)(np.zeros((4, 2)), 1.0).bound == pytest.approx(-paid)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("price", [1e-9, 1e6, 1e12])
def test_extreme_prices_stay_valid(form: Form, price: float) -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        problem = some_problem(rng, form)
        theta = rng.normal(size=problem.reward.shape)
        every = Labellings(problem)
        paid = theta[np.arange(problem.graph.n), every.labels].sum(axis=1)
        highest = float((paid - price * every.inconsistency).max())
        # Known labels that differ pay ν, so that digits are lost in proportion to it.
        digits = 1e-9 + 1e-10 * price
        assert highest - 1e-15 * price - 1e-9 <= Cuts(problem)(theta, price).bound
        assert Cuts(problem)(theta, price).bound <= highest + digits


def test_by_hand() -> None:
    # Everyone sees everyone. Point 0 gains 3, the others lose 1 each: alone it pays ν = 2, R = 1.
    graph = Graph.from_edges(4, [(i, j) for i in range(4) for j in range(i)])
    theta = np.zeros((4, 2))
    theta[:, 1] = [3, -1, -1, -1]
    cuts = Cuts(problem_on(graph, [0] * 4, 1.0, "vertex"))
    assert cuts(theta, 2.0).bound == pytest.approx(1.0)
    assert cuts(theta, 4.0).bound == pytest.approx(0.0)
    assert cuts(theta, 0.0).bound == pytest.approx(3.0)
    # In the edge form 3 of 6 edges are cut.
    cuts = Cuts(problem_on(graph, [0] * 4, 1.0, "edge"))
    assert cuts(theta, 2.0).bound == pytest.approx(2.0)


@pytest.mark.parametrize("form", FORMS)
def test_two_workers_find_what_one_finds(form: Form) -> None:
    rng = np.random.default_rng(3)
    blocks = np.repeat(np.arange(6), 5)
    edges = [(i, j) for i in range(30) for j in range(i) if blocks[i] == blocks[j]]
    kept = [edge for edge in edges if rng.random() < 0.6]
    graph = Graph.from_edges(30, kept, rng.random(len(kept)) + 0.1)
    pseudo = rng.integers(0, 2, 30)
    problem = replace(
        problem_on(graph, pseudo.tolist(), 0.1, form),
        facts=(teacher_error_at_most(0.2, 2),),
        fixed=np.where(rng.random(30) < 0.1, pseudo, -1),
    )
    assert len(np.unique(graph.components)) > 3
    one = solve_by_planes(problem, Cuts(problem), "one")
    for workers in (2, 50):
        more = solve_by_planes(problem, Cuts(problem, workers), "more")
        assert more.value == pytest.approx(one.value, abs=2e-7)
        for size in (0.0, 0.3, 5.0):
            theta = rng.normal(size=(30, 2))
            bounds = [Cuts(problem, w)(theta, size).bound for w in (1, workers)]
            assert bounds[1] == pytest.approx(bounds[0], abs=1e-10)


def monotone_functions(n: int) -> Iterator[tuple[int, ...]]:
    """The values, over product([0, 1], repeat=n), of all monotone functions of n bits."""
    points = list(product([0, 1], repeat=n))
    below = [
        (a, b)
        for a, low in enumerate(points)
        for b, high in enumerate(points)
        if a != b and all(x <= y for x, y in zip(low, high, strict=True))
    ]
    for values in product([0, 1], repeat=len(points)):
        if all(values[a] <= values[b] for a, b in below):
            yield values


def expressible(n: int, helpers: Sequence[tuple[int, ...]]) -> bool:
    """True where a quadratic submodular E(z, a) has min_a E(z, a) = 1[z not constant], at these a.

    A linear programme in the coefficients of E: equality at a = helpers(z), and no other a is
    lower. Products have coefficients ≤ 0: that is what submodular means.
    """
    count, rows, sides, above, lower = n + len(helpers), [], [], [], []
    pairs = [(i, j) for i in range(count) for j in range(i)]
    for number, z in enumerate(product([0, 1], repeat=n)):
        target = float(0 < sum(z) < n)
        for a in product([0, 1], repeat=len(helpers)):
            x = (*z, *a)
            row = [1, *x, *(x[i] * x[j] for i, j in pairs)]
            if all(h[number] == value for h, value in zip(helpers, a, strict=True)):
                rows.append(row)
                sides.append(target)
            else:
                above.append([-value for value in row])
                lower.append(-target)
    bounds = [(None, None)] * (1 + count) + [(None, 0)] * len(pairs)
    solved = linprog(
        np.zeros(len(bounds)), above or None, lower or None, rows, sides, bounds=bounds
    )
    assert solved.status in (0, 2)
    return bool(solved.status == 0)


def test_no_single_helper_charges_a_set_of_four() -> None:
    # E(z, 1) − E(z, 0) is linear in z with coefficients ≤ 0, so the smallest best a is monotone in
    # z: all monotone functions are tried. The same follows by hand, for any n ≥ 4. With one helper
    # R = q + min(0, c − Σ c_i z_i), q quadratic, and second differences of both parts are ≤ 0. In
    # bits i, j that of R is −1 where the others are all 0 or all 1, and 0 in between; so that of q,
    # a constant, is 0. The −1 takes a bend at both ends: c < c_i + c_j, and c > Σ of the others.
    # But these hold another pair k, l, for which c < c_k + c_l.
    functions = list(monotone_functions(4))
    assert len(functions) == 168
    assert not any(expressible(4, [values]) for values in functions)


def test_two_helpers_charge_a_set_of_four_and_none_one_of_three() -> None:
    points = list(product([0, 1], repeat=4))
    some, every = tuple(int(any(z)) for z in points), tuple(int(all(z)) for z in points)
    assert expressible(4, [some, every])
    assert not expressible(4, [some])
    assert not expressible(4, [])
    assert expressible(3, [])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3])
def test_components_are_exact(form: Form, classes: int) -> None:
    rng = np.random.default_rng(classes)
    met = 0
    for _ in range(40):
        problem = replace(some_problem(rng, form, classes, (2, 7)), most=0.0)
        every = Labellings(problem)
        none = every.inconsistency == 0
        theta = rng.normal(size=problem.reward.shape)
        paid = theta[np.arange(problem.graph.n), every.labels].sum(axis=1)
        answer = Components(problem)(theta, 1.0)
        assert answer.bound == pytest.approx(float(paid[none].max(initial=-np.inf)), abs=1e-12)
        if none.any():
            (labels,), (plane,) = answer.labellings, answer.planes
            assert theta[np.arange(problem.graph.n), labels].sum() == pytest.approx(answer.bound)
            assert plane[2] == 0
            met += 1
    assert met > 20


def test_a_point_without_weight_connects_nothing_in_the_vertex_form() -> None:
    # B(1) and B(2) cost nothing, so that 0, 0, 1, 1 has R_B = 0 and is a truth to reckon with.
    graph = Graph.from_edges(4, [[0, 1], [1, 2], [2, 3]], weights=[0.5, 0, 0, 0.5])
    problem = replace(
        problem_on(graph, [0] * 4, 0.0, "vertex"),
        facts=(teacher_error_at_most(0.5, 2),),
        fixed=np.array([0, -1, -1, -1]),
    )
    assert problem.inconsistency(np.array([0, 0, 1, 1])) == 0
    found = solve_by_planes(problem, Components(problem), "components")
    assert found.value == pytest.approx(0.5)
    assert solve_by_planes(problem, Cuts(problem), "cuts").value == pytest.approx(0.5)
    # An edge of the edge form costs its weight, whatever its points weigh.
    problem = replace(problem, form="edge")
    assert solve_by_planes(problem, Components(problem), "components").value < 1e-6


def test_an_edge_connects_however_light_it_is() -> None:
    # The pseudo labels cut an edge of weight 10⁻¹² and no other: forbidden at μ = 0 all the same.
    graph = Graph.from_edges(4, [[0, 1], [2, 3], [1, 2]], [1, 1, 1e-12], [0.1, 0.1, 0.4, 0.4])
    problem = replace(
        problem_on(graph, [0, 0, 1, 1], 0.0, "edge"),
        reward=graph.weights[:, None] * np.array([1.0, 0.0]),
        facts=(teacher_error_at_most(0.2, 2),),
    )
    found = solve_by_planes(problem, Components(problem), "components")
    assert found.attained == pytest.approx(0.0)
    assert 0 <= found.value < 1e-6


def test_known_labels_that_contradict_a_component_allow_nothing() -> None:
    graph = Graph.from_edges(3, [[0, 1], [1, 2]])
    problem = replace(problem_on(graph, [0] * 3, 0.0, "edge"), fixed=np.array([0, -1, 1]))
    assert solve_by_planes(problem, Components(problem), "components").value == -np.inf


def test_bad_input() -> None:
    rng = np.random.default_rng(18)
    with pytest.raises(ValueError, match="cuts solve two classes; the problem has 3"):
        Cuts(some_problem(rng, "edge", 3))
    with pytest.raises(ValueError, match="workers is 0; it has to be at least 1"):
        Cuts(some_problem(rng, "edge"), 0)
