"""The bound without the graph is the same problem: by enumeration, and beside the certificate."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.theory.certificates import Infeasible, class_shares, label_free
from mke_theory.theory.certificates.certificate import worst_truth
from mke_theory.theory.certificates.without_graph import without_graph
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool


def test_known_labels_without_an_edge_say_as_much_as_the_certificate() -> None:
    # Ten points, the teacher wrong on at most two; six labels are known, and the student is right
    # on them and agrees elsewhere: four points are open, two of which may be wrong.
    labels = np.zeros(10, np.int64)
    pool = LabelledPool(Graph.from_edges(10, []), labels, labels, 2)
    known = np.where(np.arange(10) < 6, 0, -1)
    found = label_free(pool, error=0.2, inconsistency=0.0, known_labels=known)
    assert found.trivial == pytest.approx(0.2)
    # Eight are known: two are open. Nine, one of them labelled 1: the teacher's other mistake.
    eight = label_free(
        pool, error=0.5, inconsistency=0.0, known_labels=np.where(labels + np.arange(10) < 8, 0, -1)
    )
    assert eight.trivial == pytest.approx(0.2) == eight.value
    nine = np.where(np.arange(10) < 9, 0, -1)
    nine[0] = 1
    last = label_free(pool, error=0.2, inconsistency=0.0, known_labels=nine)
    assert last.trivial == pytest.approx(0.2) == last.value
    assert "(without the graph: 0.2000)" in str(last)


def test_facts_count_without_the_graph_too() -> None:
    # All of ten points are read as 0 by both; class 1 has a share of at most .1.
    labels = np.zeros(10, np.int64)
    pool = LabelledPool(Graph.from_edges(10, []), labels, labels, 2)
    found = label_free(pool, error=0.5, inconsistency=0.0, facts=class_shares([0, 0], [1, 0.1]))
    assert found.trivial == pytest.approx(0.1) == found.value
    assert found.vacuous


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_no_allowed_labelling_exceeds_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(3, 6)), int(rng.integers(2, 4))
    p = rng.integers(1, 5, n).astype(float)
    pairs = [[i, i + 1] for i in range(n - 1)]
    pseudo, student, truth = rng.integers(0, k, (3, n))
    graph = Graph.from_edges(n, pairs, weights=p / p.sum())
    pool = LabelledPool(graph, pseudo, student, k)
    share = np.bincount(truth, graph.weights, k)
    facts = class_shares(np.maximum(share - 0.1, 0), np.minimum(share + 0.1, 1))
    known = np.where(rng.random(n) < 0.3, truth, -1)
    error = float(graph.weights[pseudo != truth].sum())
    for gain in (False, True):
        problem = worst_truth(pool, error, 1.0, "edge", facts, known, gain)
        allowed = [y for y in map(np.array, product(range(k), repeat=n)) if problem.allows(y)]
        worst = max(problem.measure(y)[0] for y in allowed)
        assert without_graph(problem) >= worst - 1e-9
        found = (
            label_free(
                pool, error=error, inconsistency=0.5, facts=facts, known_labels=known, gain=gain
            )
            if any(problem.inconsistency(y) <= 0.5 for y in allowed)
            else None
        )
        assert found is None or found.value <= found.trivial + 1e-12
        assert found is None or found.trivial <= without_graph(problem) + 1e-12


def test_a_contradiction_is_still_one() -> None:
    labels = np.zeros(4, np.int64)
    pool = LabelledPool(Graph.from_edges(4, [[0, 1]]), labels, labels, 2)
    with pytest.raises(Infeasible):
        label_free(pool, error=0.25, inconsistency=1.0, known_labels=[1, 1, -1, -1])
