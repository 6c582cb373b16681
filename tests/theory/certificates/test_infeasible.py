"""Assumptions that contradict each other are refused, with what has to give and by how much."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory.certificates.certificate import label_free
from mke_theory.theory.certificates.infeasible import Infeasible
from mke_theory.theory.certificates.side_information import class_shares
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import Graph, Ints
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.enumeration import FORMS, Labellings, error_problem, maximum, random_pool

Floats = NDArray[np.float64]


def clique(n: int) -> Graph:
    return Graph.from_edges(n, list(combinations(range(n), 2)))


def labels(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int64)


def test_a_contradiction_by_hand() -> None:
    # A truth that never changes on a clique leaves the teacher wrong on its minority, 2 of 5. At
    # ε = 1/5 the cheapest way out splits off one point: 4 of 10 edges.
    pool = LabelledPool(clique(5), labels(0, 0, 0, 1, 1), labels(0, 0, 0, 0, 0), 2)
    with pytest.raises(Infeasible) as refused:
        label_free(pool, error=0.2, inconsistency=0.0)
    message = str(refused.value)
    assert "teacher's error ≤ 0.2000; inconsistency at most 0.0000" in message
    assert "the error has to be at least 0.4000" in message
    share = float(re.findall(r"inconsistency has to be more than ([0-9.]+)\.", message)[0])
    # Labellings may be mixed: half of each gives R = ½·6/10 at an error of ½·2/5.
    assert 0.3 - 1e-3 <= share <= 0.3
    assert isinstance(refused.value, ValueError)


def least(of: Floats, subject_to: Floats, limit: float) -> tuple[float, float]:
    """The least of one measure where the other is limited: over labellings, and over mixtures."""
    whole = float(of[subject_to <= limit + 1e-12].min(initial=np.inf))
    mixed = -maximum(-of, subject_to[None], np.array([limit]), np.ones((1, len(of))), np.ones(1))
    return whole, mixed


@pytest.mark.parametrize("form", FORMS)
def test_the_least_relaxation_is_right(form: Form) -> None:
    rng = np.random.default_rng(60)
    refused = 0
    for _ in range(40):
        pool = random_pool(rng, 2, (3, 7))
        error, most = 0.1, 0.05
        every = Labellings(error_problem(pool, error, most, form))
        try:
            label_free(pool, error=error, inconsistency=most, form=form)
        except Infeasible as contradiction:
            assert not every.allowed.any()
            message = str(contradiction)
            numbers = [
                float(x) for x in re.findall(r"has to be (?:at least|more than) (0\.\d+)", message)
            ]
            wrong, r = every.sides[:, 0], every.inconsistency
            whole, mixed = least(wrong, r, most)
            # Four digits are printed, and a number to be reached is rounded down.
            assert mixed - 1e-4 - 1e-6 <= numbers[0] <= mixed + 1e-6
            assert numbers[0] <= whole + 6e-5
            whole, mixed = least(r, wrong, error)
            assert mixed - 1e-3 - 1e-4 <= numbers[1] <= mixed + 1e-6
            assert numbers[1] <= whole + 6e-5
            refused += 1
        else:
            assert every.hull() > -np.inf
    assert refused > 10


def test_assumptions_that_no_relaxation_saves_are_named() -> None:
    pool = LabelledPool(clique(4), labels(0, 0, 0, 0), labels(0, 0, 0, 0), 2)
    known = labels(1, 1, -1, -1)
    with pytest.raises(Infeasible, match="No inconsistency is large enough: ε, a fact or a known"):
        label_free(pool, error=0.4, inconsistency=0.5, known_labels=known)
    # Whatever ε is, two known labels that differ are an inconsistency.
    with pytest.raises(Infeasible, match="known labels") as refused:
        label_free(pool, error=0.5, inconsistency=0.0, known_labels=labels(0, 1, -1, -1))
    assert "the error has to be" not in str(refused.value)
    assert "inconsistency has to be more than" in str(refused.value)
    # A further fact is named, and so is a teacher's error below what the facts leave.
    shares = class_shares([0.5, 0], [1, 0.5])
    with pytest.raises(Infeasible, match=r"share of class 0 ≥ 0\.5000"):
        label_free(
            pool, error=0.4, inconsistency=0.0, facts=shares, known_labels=labels(1, -1, -1, -1)
        )


def test_three_classes_contradict_too() -> None:
    path = Graph.from_edges(3, [[0, 1], [1, 2]])
    pool = LabelledPool(path, labels(0, 1, 2), labels(0, 0, 0), 3)
    with pytest.raises(Infeasible) as refused:
        label_free(pool, error=1 / 3, inconsistency=0.0)
    assert "the error has to be at least 0.6666" in str(refused.value)  # 2/3, rounded down
