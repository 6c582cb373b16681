"""Roof duality is the linear programme in one bit a point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory.certificates.cutting_planes import solve_by_planes
from mke_theory.theory.certificates.roof_duality import Roof, fits
from mke_theory.theory.certificates.side_information import (
    teacher_error_at_least,
)
from tests.theory.certificates.problems import problem_and_student
from tests.theory.enumeration import (
    bits,
    probabilities,
)

Floats = NDArray[np.float64]


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_roof_duality_is_the_programme_in_bits(classes: int) -> None:
    rng = np.random.default_rng(40 + classes)
    for _ in range(20):
        problem, student = problem_and_student(rng, "edge", classes, (2, 12), plain=True)
        found = solve_by_planes(problem, Roof(problem, student), "roof duality")
        assert found.value == pytest.approx(bits(problem, student), abs=1e-6)


def test_bits_never_say_more_than_probabilities() -> None:
    # One bit a point cannot tell which wrong label is taken where students of neighbours differ.
    rng = np.random.default_rng(50)
    blind = 0
    for _ in range(40):
        problem, student = problem_and_student(rng, "edge", 3, plain=True)
        gap = bits(problem, student) - probabilities(problem)
        assert gap >= -1e-6
        blind += gap > 1e-3
    assert blind > 0


def test_what_roof_duality_can_express() -> None:
    rng = np.random.default_rng(80)
    problem, student = problem_and_student(rng, "edge", plain=True)
    assert fits(problem, student)
    others = [
        replace(problem, form="vertex"),
        replace(problem, facts=problem.facts * 2),
        replace(problem, facts=()),
        replace(problem, facts=(teacher_error_at_least(0.1, 3),)),
        replace(problem, reward=2 * problem.reward),
    ]
    for other in others:
        assert not fits(other, student)
        with pytest.raises(ValueError, match="roof duality needs the edge form, Err"):
            Roof(other, student)
    assert not fits(problem, (student + 1) % 3)
