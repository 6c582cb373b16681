"""μ from an audit: by hand, as often as it claims, and refused where it does not belong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mke_theory.theory.certificates import (
    draw_edges,
    inconsistency_from_audit,
    label_free,
    teacher_error_from_validation,
)
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool

GRAPH = Graph.from_edges(6, [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]], [1, 1, 6, 1, 1])
TRUTH = np.array([0, 0, 0, 1, 1, 1])


def test_by_hand() -> None:
    # Four edges, one of them cut: the limit is where P(at most 1 of 4) is 1/20.
    found = inconsistency_from_audit(GRAPH, [0, 2, 0, 4], TRUTH[GRAPH.edges[[0, 2, 0, 4]]])
    assert stats.binom.cdf(1, 4, found.at_most) == pytest.approx(0.05)
    assert found.known.tolist() == [0, 0, 0, 1, 1, 1]
    assert (found.level, found.source) == (0.95, "audit of edges, 1 of 4 cut")
    # None cut of one: 1 − μ = 1/20, and points that no drawn edge touches are not known.
    none = inconsistency_from_audit(GRAPH, [0], [[0, 0]])
    assert none.at_most == pytest.approx(0.95)
    assert none.known.tolist() == [0, 0, -1, -1, -1, -1]


def test_it_is_exceeded_as_seldom_as_it_says() -> None:
    # The only cut edge weighs .6. At level .9, of 2,000 audits of eight edges at most 200 should
    # miss, sd 13; more than 200 + 65 come by chance once in 3 million.
    rng, missed = np.random.default_rng(0), 0
    ends = TRUTH[GRAPH.edges]
    for _ in range(2000):
        drawn = draw_edges(GRAPH, 8, rng)
        missed += inconsistency_from_audit(GRAPH, drawn, ends[drawn], 0.9).at_most < 0.6
    assert 0 < missed <= 265


def test_its_level_is_added_and_its_labels_are_known() -> None:
    pool = LabelledPool(GRAPH, np.array([0, 0, 0, 1, 1, 0]), TRUTH, 2)
    audit = inconsistency_from_audit(GRAPH, [0, 2, 0, 4], TRUTH[GRAPH.edges[[0, 2, 0, 4]]])
    fact = teacher_error_from_validation(1, 20, 6, 2)
    found = label_free(pool, error=fact, inconsistency=audit)
    assert found.level == pytest.approx(0.9)
    assert found.known_labels == 6
    assert found.value == pytest.approx(0, abs=1e-9)  # all are known, and the student is right
    assert "of the edge weight with probability 0.95" in str(found)
    assert "With probability 0.9 or more" in str(found)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="point 1 is given two classes"):
        inconsistency_from_audit(GRAPH, [0, 1], [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match="edges run to 5; the graph has 0 to 4"):
        inconsistency_from_audit(GRAPH, [5], [[0, 0]])
    with pytest.raises(ValueError, match=r"labels have shape \(1, 3\)"):
        inconsistency_from_audit(GRAPH, [0], [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"level is 1\.5"):
        inconsistency_from_audit(GRAPH, [0], [[0, 0]], 1.5)
    with pytest.raises(ValueError, match="0 edges of 5 cannot be drawn"):
        draw_edges(GRAPH, 0, np.random.default_rng(0))
    audit = inconsistency_from_audit(GRAPH, [0], [[0, 0]])
    pool = LabelledPool(GRAPH, TRUTH, TRUTH, 2)
    with pytest.raises(ValueError, match="an audit of edges bounds the edge inconsistency"):
        label_free(pool, error=0.5, inconsistency=audit, form="vertex")
    with pytest.raises(ValueError, match="point 0 has one class among known_labels and another"):
        label_free(pool, error=0.5, inconsistency=audit, known_labels=[1, -1, -1, -1, -1, -1])
    other = Graph.from_edges(6, GRAPH.edges)  # the same edges, weighed alike
    with pytest.raises(ValueError, match="another graph's edges"):
        label_free(LabelledPool(other, TRUTH, TRUTH, 2), error=0.5, inconsistency=audit)
