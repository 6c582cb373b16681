"""The measure of a worst case and the labellings it allows, by hand and by their definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mke_theory.theory.certificates.side_information import class_shares, teacher_error_at_most
from mke_theory.theory.certificates.worst_case import WorstCase
from mke_theory.theory.graph import Graph, Ints
from tests.theory.enumeration import FORMS, Labellings, error_problem, random_pool, some_known

PATH = Graph.from_edges(3, [[0, 1], [1, 2]], [3, 1], [0.5, 0.3, 0.2])


def example() -> WorstCase:
    """The path 0 – 1 – 2; the teacher predicts 0, 0, 1, the student 0, 1, 1."""
    reward = np.array([[0, 0.5], [0.3, 0], [0.2, 0]])
    facts = (teacher_error_at_most(0.3, 2), *class_shares([0, 0.1], [0.6, 1]))
    return WorstCase(PATH, reward, np.array([0, 0, 1]), facts, 0.25, "edge", np.full(3, -1))


def test_measured_by_hand() -> None:
    problem = example()
    assert (problem.classes, problem.limits.tolist()) == (2, [0.3, 0.6, -0.1])
    reward, sides, inconsistency = problem.measure(np.array([0, 0, 1]))
    # The student errs at 1; the teacher nowhere; classes 0 and 1 have .8 and .2.
    assert reward == pytest.approx(0.3)
    assert sides == pytest.approx([0, 0.8, -0.2])
    assert inconsistency == 0.25
    by_points = replace(problem, form="vertex")
    assert by_points.measure(np.array([0, 0, 1]))[2] == pytest.approx(0.5)  # 1 and 2 see both


def test_allowed_by_hand() -> None:
    problem = example()
    assert problem.allows(np.array([0, 1, 1])) is False  # .75 of the edge weight
    assert problem.allows(np.array([0, 0, 1])) is False  # class 0 has .8
    loose = replace(problem, most=0.75)
    assert loose.allows(np.array([0, 1, 1])) is True  # the teacher errs on .3, class 0 has .5
    assert replace(loose, fixed=np.array([-1, 0, -1])).allows(np.array([0, 1, 1])) is False
    assert replace(loose, fixed=np.array([-1, 1, -1])).allows(np.array([0, 1, 1])) is True


def test_rounding_does_not_forbid_and_a_light_edge_does() -> None:
    # .1 + .2 > .3 in float64; an edge of weight 10⁻¹⁰ is an edge all the same.
    graph = Graph.from_edges(3, [[0, 1], [1, 2]], [1, 1e-10], [0.1, 0.2, 0.7])
    reward = graph.weights[:, None] * np.array([0.0, 1.0])
    pseudo, free = np.zeros(3, np.int64), np.full(3, -1)
    problem = WorstCase(graph, reward, pseudo, (teacher_error_at_most(0.3, 2),), 1, "edge", free)
    assert 0.1 + 0.2 > 0.3
    assert problem.allows(np.array([1, 1, 0]))
    assert not replace(problem, most=0.0).allows(np.array([1, 1, 0]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3])
def test_measured_by_its_definition(classes: int, form: str) -> None:
    rng = np.random.default_rng(classes)
    for _ in range(20):
        pool = random_pool(rng, classes, (2, 6))
        known = some_known(rng, pool)
        facts = class_shares(np.zeros(classes), np.full(classes, 0.9))
        problem = error_problem(pool, 0.4, 0.3, form, facts, known)  # type: ignore[arg-type]
        every = Labellings(problem)
        for number in rng.integers(0, len(every.labels), 8):
            y: Ints = every.labels[number]
            reward, sides, inconsistency = problem.measure(y)
            assert reward == pytest.approx(every.reward[number])
            assert sides == pytest.approx(every.sides[number])
            assert inconsistency == pytest.approx(every.inconsistency[number], abs=1e-12)
            assert problem.allows(y) == every.allowed[number]
            # θ pays for the facts: Σ θ = reward − Σ λ side.
            prices = rng.random(len(problem.facts))
            paid = problem.theta(prices)[np.arange(len(y)), y].sum()
            assert paid == pytest.approx(reward - prices @ sides)
            assert problem.allowed[np.arange(len(y)), y].all()


def test_bad_input() -> None:
    problem = example()
    with pytest.raises(ValueError, match="form is 'point'; choose edge or vertex"):
        replace(problem, form="point")  # type: ignore[arg-type]
    for most in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"inconsistency is at most .*a share in \[0, 1\]"):
            replace(problem, most=most)
    with pytest.raises(ValueError, match=r"table of \"teacher's error\" is \(3, 3\) for 2 classes"):
        replace(problem, facts=(teacher_error_at_most(0.1, 3),))
    with pytest.raises(ValueError, match=r"reward has shape \(2, 2\); give a finite number"):
        replace(problem, reward=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="give a finite number for each of 3 points"):
        replace(problem, reward=np.full((3, 2), np.inf))
    with pytest.raises(ValueError, match=r"pseudo has shape \(4,\); the pool has 3 points"):
        replace(problem, pseudo=np.zeros(4, np.int64))
    with pytest.raises(ValueError, match=r"fixed has shape \(2,\)"):
        replace(problem, fixed=np.zeros(2, np.int64))
