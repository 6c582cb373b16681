"""Labels chosen where the worst labelling errs: by hand, and never worse than none."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mke_theory.theory.certificates.certificate import label_free
from mke_theory.theory.certificates.chosen_labels import next_labels
from mke_theory.theory.graph import Graph, edge_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.enumeration import random_pool

NEAR = 3e-3
"""The first-order method of many classes stops this near to the best prices."""


def two_cliques() -> LabelledPool:
    """Cliques of three and of six points; the teacher errs once in each, the student nowhere."""
    edges = [*combinations(range(3), 2), *combinations(range(3, 9), 2)]
    pseudo = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0])
    zeros = np.zeros(9, np.int64)
    return LabelledPool(Graph.from_edges(9, edges), pseudo, zeros, 2, zeros)


def test_one_label_of_the_clique_that_could_be_wrong() -> None:
    # The teacher errs on a third at most. All 0 costs it 2 of 9, the small clique turned 2 − 1 + 2
    # = 3, the large one 1 + 5 = 6: the worst truth turns the small one, and the student errs 3/9.
    pool = two_cliques()
    worst = label_free(pool, error=1 / 3, inconsistency=0.0)
    assert worst.value == pytest.approx(1 / 3, abs=1e-6)
    (first,) = next_labels(pool, worst, 1)
    assert first in (0, 1, 2)
    known = np.full(9, -1)
    known[first] = 0
    # What is left are mixtures: the large one turned by a quarter of 6/9.
    after = label_free(pool, error=1 / 3, inconsistency=0.0, known_labels=known)
    assert after.value == pytest.approx(6 / 9 / 4, abs=1e-6)


def test_neighbours_are_covered_and_no_point_comes_twice() -> None:
    # At μ > 0 too: two labels are in two different cliques, where each covers all of its own.
    pool = two_cliques()
    found = label_free(pool, error=0.9, inconsistency=0.01)
    first, second = next_labels(pool, found, 2)
    assert first >= 3 and second < 3
    known = np.where(np.arange(9) < 5, 0, -1)
    rest = next_labels(pool, label_free(pool, error=0.9, inconsistency=0.1), 9, known)
    assert sorted(rest.tolist()) == [5, 6, 7, 8]  # there are no more to ask for


@pytest.mark.parametrize("classes", [2, 3])
def test_a_true_label_never_harms(classes: int) -> None:
    rng = np.random.default_rng(classes)
    for _ in range(6):
        pool = random_pool(rng, classes, (5, 10))
        mu = edge_inconsistency(pool.graph, pool.known_truth)
        known = np.full(pool.graph.n, -1)
        found = label_free(pool, error=pool.teacher_error, inconsistency=mu)
        for _ in range(3):
            points = next_labels(pool, found, 2, known)
            assert (known[points] == -1).all()
            assert len(set(points.tolist())) == len(points)
            assert points.tolist() == next_labels(pool, found, 2, known).tolist()
            known[points] = pool.known_truth[points]
            before, found = (
                found,
                label_free(pool, error=pool.teacher_error, inconsistency=mu, known_labels=known),
            )
            assert pool.student_error - 1e-9 <= found.value <= before.value + NEAR
            if (known >= 0).all():
                break


def test_bad_input_is_refused() -> None:
    pool = two_cliques()
    found = label_free(pool, error=0.3, inconsistency=0.1)
    with pytest.raises(ValueError, match="at least one label"):
        next_labels(pool, found, 0)
    small = LabelledPool(Graph.from_edges(2, []), np.zeros(2, int), np.zeros(2, int), 2)
    with pytest.raises(ValueError, match="of 9 points"):
        next_labels(small, found, 1)
