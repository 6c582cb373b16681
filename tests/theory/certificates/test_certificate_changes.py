"""What moves a certificate, which way, and what must not move it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mke_theory.theory.certificates.certificate import label_free, truth_known
from mke_theory.theory.certificates.side_information import class_shares
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import Graph, Ints
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.enumeration import FORMS, inconsistency, random_pool, some_known

EXACT = 1e-6
"""Two classes: cutting planes stop within 10⁻⁷ of the best prices."""
NEAR = 3e-3
"""More classes: the first-order method stops within 5·10⁻⁴ of them, rarely a little later."""


def labels(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int64)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("classes", "pools", "margin"), [(2, 8, EXACT), (3, 2, NEAR)])
def test_it_grows_with_what_is_allowed(classes: int, pools: int, margin: float, form: Form) -> None:
    rng = np.random.default_rng(classes)
    for _ in range(pools):
        pool = random_pool(rng, classes, (3, 8))
        error = pool.teacher_error
        most = inconsistency(pool.graph, pool.known_truth, form)
        steps = (0.0, 0.05, 0.2, 0.5)
        by_error = [
            label_free(pool, error=min(1, error + s), inconsistency=most, form=form).value
            for s in steps
        ]
        by_most = [
            label_free(pool, error=error, inconsistency=min(1, most + s), form=form).value
            for s in steps
        ]
        assert (np.diff(by_error) >= -margin).all()
        assert (np.diff(by_most) >= -margin).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("classes", "pools", "margin"), [(2, 15, EXACT), (3, 2, NEAR)])
def test_knowing_more_never_loosens_it(classes: int, pools: int, margin: float, form: Form) -> None:
    rng = np.random.default_rng(10 + classes)
    tightened = 0
    for _ in range(pools):
        pool = random_pool(rng, classes, (3, 8))
        error = min(1.0, pool.teacher_error + 0.1)
        most = min(1.0, inconsistency(pool.graph, pool.known_truth, form) + 0.1)
        share = np.bincount(pool.known_truth, pool.graph.weights, classes)
        shares = class_shares(np.maximum(share - 0.02, 0), np.minimum(share + 0.02, 1))
        known = some_known(rng, pool, 0.3)

        plain, by_facts, by_labels, by_both = (
            label_free(
                pool, error=error, inconsistency=most, form=form, facts=facts, known=labels
            ).value
            for facts, labels in (((), None), (shares, None), ((), known), (shares, known))
        )
        assert by_facts <= plain + EXACT
        assert by_labels <= plain + margin
        assert by_both <= min(by_facts, by_labels) + margin
        tightened += by_both < plain - 0.01
    assert tightened > 0


def test_an_edge_less_never_tightens_it() -> None:
    # Vertex form: without an edge, B(x) is smaller and R_B of every labelling too. Edge form:
    # weights are shares, so R_E' ≤ R_E/(1 − w) only, and μ has to be raised alike.
    rng = np.random.default_rng(20)
    for _ in range(15):
        pool = random_pool(rng, 2, (4, 9))
        graph, at = pool.graph, int(rng.integers(max(1, len(pool.graph.edges))))
        if len(graph.edges) < 2:
            continue
        edges, w = np.delete(graph.edges, at, axis=0), np.delete(graph.edge_weights, at)
        fewer = replace(pool, graph=Graph.from_edges(graph.n, edges, w, weights=graph.weights))
        lost = float(graph.edge_weights[at])
        for form, most, raised in (("vertex", 0.3, 0.3), ("edge", 0.2, 0.2 / (1 - lost))):
            values = [
                label_free(one, error=0.5, inconsistency=min(1.0, limit), form=form).value  # type: ignore[arg-type]
                for one, limit in ((pool, most), (fewer, raised))
            ]
            assert values[1] >= values[0] - EXACT


def test_at_the_same_share_an_edge_less_may_tighten_the_edge_form() -> None:
    # Points 0 and 1 are known, so that their edge is never cut; without it the edge to point 2 is
    # all the weight there is, and at μ = 1/2 only half of point 2 may be wrong.
    both = Graph.from_edges(3, [[0, 1], [1, 2]])
    one = Graph.from_edges(3, [[1, 2]])
    known, zero = labels(0, 0, -1), labels(0, 0, 0)
    values = [
        label_free(LabelledPool(g, zero, zero, 2), error=1, inconsistency=0.5, known=known).value
        for g in (both, one)
    ]
    assert values == pytest.approx([1 / 3, 1 / 6])


@pytest.mark.parametrize("form", FORMS)
def test_names_of_points_and_classes_do_not_matter(form: Form) -> None:
    rng = np.random.default_rng(21)
    for classes, margin in ((2, EXACT), (2, EXACT), (2, EXACT), (3, NEAR)):
        pool = random_pool(rng, classes, (5, 9))
        n, graph, truth = pool.graph.n, pool.graph, pool.known_truth
        place, name = rng.permutation(n), rng.permutation(classes)
        back = np.argsort(place)
        moved = LabelledPool(
            Graph.from_edges(n, place[graph.edges], graph.edge_weights, graph.weights[back]),
            name[pool.pseudo[back]],
            name[pool.student[back]],
            classes,
            name[truth[back]],
        )
        for gain in (False, True):
            before, after = (
                label_free(one, error=0.3, inconsistency=0.6, form=form, gain=gain).value
                for one in (pool, moved)
            )
            assert after == pytest.approx(before, abs=margin)
        assert truth_known(moved, form=form).value == pytest.approx(
            truth_known(pool, form=form).value, abs=margin
        )


@pytest.mark.parametrize("form", FORMS)
def test_two_workers_find_what_one_finds(form: Form) -> None:
    rng = np.random.default_rng(22)
    pool = random_pool(rng, 2, (40, 41))
    values = [
        label_free(pool, error=0.3, inconsistency=0.3, form=form, workers=w).value for w in (1, 2)
    ]
    assert values[1] == pytest.approx(values[0], abs=EXACT)
