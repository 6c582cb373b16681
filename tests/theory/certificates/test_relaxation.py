"""The relaxation approaches the linear programme over probabilities from above."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory.certificates.cutting_planes import Oracle
from mke_theory.theory.certificates.one_against_rest import OneAgainstRest
from mke_theory.theory.certificates.relaxation import Relaxed
from mke_theory.theory.certificates.roof_duality import Roof
from mke_theory.theory.certificates.worst_case import Form, WorstCase
from mke_theory.theory.graph import Ints
from tests.theory.certificates.problems import problem_and_student
from tests.theory.enumeration import (
    FORMS,
    Labellings,
    probabilities,
)

Floats = NDArray[np.float64]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_relaxed_approaches_its_programme_from_above(form: Form, classes: int) -> None:
    rng = np.random.default_rng(classes)
    for _ in range(6):
        problem, _ = problem_and_student(rng, form, classes)
        oracle, every = Relaxed(problem), Labellings(problem)
        theta, price = rng.normal(size=problem.reward.shape), float(rng.choice([0.0, 0.3, 2.0]))
        paid = theta[np.arange(problem.graph.n), every.labels].sum(axis=1)
        highest = float((paid - price * every.inconsistency).max())
        programme = probabilities(replace(problem, reward=theta), price)
        assert programme >= highest - 1e-7
        if classes == 2:  # the programme of two classes has whole solutions
            assert programme == pytest.approx(highest, abs=1e-7)
        bounds = [oracle(theta, price).bound for _ in range(15)]
        assert min(bounds) >= programme - 1e-7
        assert bounds[-1] <= programme + 2e-5
        # A call goes on from the last one, also at another price.
        other = probabilities(replace(problem, reward=theta), 2 * price)
        assert oracle(theta, 2 * price).bound >= other - 1e-7


def bits_at(problem: WorstCase, student: Ints, price: float, cut: float) -> float:
    """The programme in bits at fixed prices: an upper bound by weak duality is enough here."""
    oracle = Roof(problem, student)
    return oracle(problem.theta(np.array([price])), cut).bound


@pytest.mark.parametrize("form", FORMS)
def test_planes_lie_below_what_they_were_asked_for(form: Form) -> None:
    # A plane that rose above D at other prices would send the search astray, or end it.
    rng = np.random.default_rng(7)
    for _ in range(8):
        problem, student = problem_and_student(rng, form, plain=True)
        oracles: list[Oracle] = [Relaxed(problem)]
        if form == "edge":
            oracles += [OneAgainstRest(problem), Roof(problem, student)]
        for oracle in oracles:
            price = 0.4 * float(rng.random())
            answer = oracle(problem.theta(np.array([1.3])), price)
            for prices in rng.random((5, 2)) * 3:
                theta = problem.theta(prices[:1])
                top = probabilities(replace(problem, reward=theta), float(prices[1]))
                if isinstance(oracle, Roof):
                    top = bits_at(problem, student, float(prices[0]), float(prices[1]))
                for reward, sides, r in answer.planes:
                    assert reward - prices[:1] @ sides - prices[1] * r <= top + 1e-7


def test_a_search_that_began_without_a_price_goes_on() -> None:
    problem, _ = problem_and_student(np.random.default_rng(70), "edge", 3, (5, 8))
    oracle = Relaxed(problem)
    oracle.begin(np.zeros(3 * len(problem.graph.edges)), 0.0)
    programme = probabilities(problem, 0.5)
    assert oracle(problem.reward, 0.5).bound >= programme - 1e-7
