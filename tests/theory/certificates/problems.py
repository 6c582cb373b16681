"""Small problems of the certificates that the truth of their pool satisfies, and Wei's worlds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mke_theory.theory.certificates.side_information import teacher_error_at_most
from mke_theory.theory.certificates.worst_case import Form, WorstCase
from mke_theory.theory.graph import Graph, Ints
from mke_theory.theory.search.small_worlds import Atoms, World
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


def dense_world(rng: np.random.Generator, classes: int) -> World:
    """Dense classes with few links between them, and a teacher that is right on most of each."""
    sizes = rng.integers(3, 6 if classes == 2 else 5, classes)
    truth = np.repeat(np.arange(classes), sizes)
    n = len(truth)
    pseudo = np.where(rng.random(n) < 0.2, rng.integers(0, classes, n), truth)
    edges = tuple(
        (i, j)
        for i, j in combinations(range(n), 2)
        if rng.random() < (0.75 if truth[i] == truth[j] else 0.03)
    )
    atoms = Atoms(tuple(rng.integers(1, 4, n).tolist()), edges)
    return World(atoms, tuple(truth.tolist()), tuple(pseudo.tolist()), classes)


def wei_expansion(world: World) -> float | None:
    """c = min{1/ā, c̄} of Wei's theorem, or None where ā < 1/3 or c̄ > 3 fails."""
    wrong, mass = world.worst_class_error
    expansion = world.expansion((wrong, mass))
    if not (3 * wrong < mass and expansion > 3):
        return None
    return min(mass / wrong if wrong else np.inf, expansion)


def wei_bound(world: World, student: Ints, c: float) -> float:
    """(c+1)/(c−1) L01 + 2c/(c−1) R_B − Err(ỹ), without the package's own formula."""
    near, robust = (1.0, 2.0) if c == np.inf else ((c + 1) / (c - 1), 2 * c / (c - 1))
    f = tuple(student.tolist())
    return near * world.disagreement(f) + robust * world.inconsistency(f) - world.teacher_error
