"""Small problems of the certificates that the truth of their pool satisfies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mke_theory.theory.certificates.side_information import teacher_error_at_most
from mke_theory.theory.certificates.worst_case import Form, WorstCase
from mke_theory.theory.graph import Graph, Ints
from tests.theory.enumeration import (
    error_problem,
    facts_that_hold,
    inconsistency,
    random_pool,
    some_known,
)

Floats = NDArray[np.float64]


def some_problem(
    rng: np.random.Generator,
    form: Form,
    classes: int = 2,
    points: tuple[int, int] = (2, 9),
    tight: bool = False,
) -> WorstCase:
    """A problem that the truth of its pool satisfies."""
    pool = random_pool(rng, classes, points)
    slack = 0.0 if tight else 0.1 * float(rng.random())
    most = inconsistency(pool.graph, pool.known_truth, form) + slack
    known = some_known(rng, pool) if rng.random() < 0.5 else None
    facts = facts_that_hold(rng, pool)
    error, gain = min(1.0, pool.teacher_error + slack), bool(rng.random() < 0.3)
    return error_problem(pool, error, min(1.0, most), form, facts, known, gain)


def problem_and_student(
    rng: np.random.Generator,
    form: Form,
    classes: int = 3,
    points: tuple[int, int] = (2, 8),
    plain: bool = False,
) -> tuple[WorstCase, Ints]:
    """A problem that the truth of its pool satisfies, and the student; `plain` has ε alone."""
    pool = random_pool(rng, classes, points)
    slack = 0.1 * float(rng.random())
    most = min(1.0, inconsistency(pool.graph, pool.known_truth, form) + slack)
    facts = () if plain else facts_that_hold(rng, pool)
    known = some_known(rng, pool) if rng.random() < 0.5 else None
    error, gain = min(1.0, pool.teacher_error + slack), not plain and bool(rng.random() < 0.3)
    return error_problem(pool, error, most, form, facts, known, gain), pool.student


def problem_on(graph: Graph, pseudo: Sequence[int], most: float, form: Form) -> WorstCase:
    """The student predicts 0 everywhere, and the teacher's error is not limited."""
    reward = graph.weights[:, None] * np.array([0.0, 1.0])
    facts, free = (teacher_error_at_most(1.0, 2),), np.full(graph.n, -1)
    return WorstCase(graph, reward, np.array(pseudo), facts, most, form, free)
