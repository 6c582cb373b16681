"""Intervals hold every allowed truth, whole or soft, and agree with the certificates."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory.certificates.certificate import label_free
from mke_theory.theory.certificates.infeasible import Infeasible
from mke_theory.theory.certificates.intervals import (
    Interval,
    difference_interval,
    error_interval,
    expected_error_interval,
)
from mke_theory.theory.certificates.side_information import Fact
from mke_theory.theory.graph import Graph, edge_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.enumeration import (
    FORMS,
    Labellings,
    error_problem,
    facts_that_hold,
    inconsistency,
    random_pool,
)

Floats = NDArray[np.float64]
NEAR = 3e-3
"""The first-order method of many classes stops this near to the best prices."""


def clique_pool() -> LabelledPool:
    graph = Graph.from_edges(5, list(combinations(range(5), 2)))
    return LabelledPool(graph, np.array([0, 0, 0, 0, 1]), np.zeros(5, np.int64), 2)


# --- by hand -------------------------------------------------------------------------------------


def test_the_error_by_hand() -> None:
    # The truth is all 0 or all 1, and the teacher errs on a fifth at most: all 0.
    pool = clique_pool()
    right = error_interval(pool, error=0.2, inconsistency=0.0)
    assert (right.low, right.high) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert (right.low_without_graph, right.high_without_graph) == pytest.approx((0.0, 0.4))
    # A student that predicts 1 throughout is refuted.
    wrong = error_interval(
        LabelledPool(pool.graph, pool.pseudo, np.ones(5, np.int64), 2), error=0.2, inconsistency=0.0
    )
    assert wrong.low == pytest.approx(1.0, abs=1e-6)
    assert wrong.low_without_graph == pytest.approx(0.6)
    assert wrong.refutes(0.5) and not right.refutes(0.0)


def test_two_students_by_hand() -> None:
    # f is right, g errs on the last two: f errs less by two fifths.
    pool, other = clique_pool(), np.array([0, 0, 0, 1, 1])
    found = difference_interval(pool, other, error=0.2, inconsistency=0.0)
    assert (found.low, found.high) == pytest.approx((-0.4, -0.4), abs=1e-6)
    # Without the graph both of the two may be 1: one as ỹ has it, one as the teacher's only error.
    assert found.high_without_graph == pytest.approx(0.4)
    same = difference_interval(pool, pool.student, error=1.0, inconsistency=1.0)
    assert (same.low, same.high) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_soft_labels_by_hand() -> None:
    # The truth is all 0, so that the expected error is what q leaves for class 1.
    q = np.array([[0.9, 0.1], [0.8, 0.2], [1.0, 0.0], [0.5, 0.5], [0.3, 0.7]])
    found = expected_error_interval(clique_pool(), q, error=0.2, inconsistency=0.0)
    assert (found.low, found.high) == pytest.approx((0.3, 0.3), abs=1e-6)


def test_the_statement_in_words() -> None:
    found = error_interval(clique_pool(), error=0.2, inconsistency=0.0)
    # The high end is 1e-7 or so above zero, and rounded so that it claims no more.
    assert str(found) == (
        "On this pool of 5 points, the student's error lies in [0.0000, 0.0001] (without the "
        "graph: [0.0000, 0.4000]). Assumed: teacher's error ≤ 0.2000; the truth is inconsistent "
        "on at most 0.0000 of the edge weight. It does not extend to points outside the pool."
    )


# --- every allowed truth lies inside -------------------------------------------------------------


@pytest.mark.parametrize(("form", "classes"), list(product(FORMS, (2, 3))))
def test_every_allowed_labelling_lies_inside(form: str, classes: int) -> None:
    rng = np.random.default_rng(classes)
    for trial in range(6):
        pool = random_pool(rng, classes, (2, 7))
        other = rng.integers(0, classes, pool.graph.n)
        q = rng.dirichlet(np.ones(classes), pool.graph.n)
        facts, form_ = facts_that_hold(rng, pool), FORMS[FORMS.index(form)]  # type: ignore[arg-type]
        most = min(1.0, inconsistency(pool.graph, pool.known_truth, form_) + 0.05)
        told = {"error": pool.teacher_error, "inconsistency": most, "form": form_, "facts": facts}
        every = Labellings(error_problem(pool, pool.teacher_error, most, form_, facts))
        y, p = every.labels[every.allowed], pool.graph.weights
        errs, others = (y != pool.student) @ p, (y != other) @ p
        soft = (1 - q[np.arange(len(p)), y]) @ p
        seconds = 20.0 if trial % 2 else 0.0
        for found, measured in (
            (error_interval(pool, seconds=seconds, **told), errs),
            (difference_interval(pool, other, seconds=seconds, **told), errs - others),
            (expected_error_interval(pool, q, seconds=seconds, **told), soft),
        ):
            holds(found, measured)
            if seconds:
                assert found.low == pytest.approx(measured.min(), abs=3e-6)
                assert found.high == pytest.approx(measured.max(), abs=3e-6)


def holds(found: Interval, measured: Floats) -> None:
    """The interval has every measured value, and what it calls attained is attained."""
    assert found.low_without_graph <= found.low + 1e-9
    assert found.low <= measured.min() + 1e-9
    assert found.high >= measured.max() - 1e-9
    assert found.high <= found.high_without_graph + 1e-9
    for attained in (found.attained_low, found.attained_high):
        assert attained is None or np.abs(measured - attained).min() <= 1e-9


@pytest.mark.parametrize("classes", [2, 3])
def test_a_soft_truth_lies_inside(classes: int) -> None:
    # Y is drawn, and ε and μ are set to what it needs in the edge form: no labelling need fit.
    rng = np.random.default_rng(classes)
    for _ in range(8):
        pool = random_pool(rng, classes, (3, 9))
        n, p, graph = pool.graph.n, pool.graph.weights, pool.graph
        y = rng.dirichlet(np.full(classes, 0.3), n)
        apart = np.abs(y[graph.edges[:, 0]] - y[graph.edges[:, 1]]).sum(axis=1) / 2
        told = {
            "error": float(p @ (1 - y[np.arange(n), pool.pseudo])),
            "inconsistency": min(1.0, float(graph.edge_weights @ apart)),
        }
        q = rng.dirichlet(np.ones(classes), n)
        error = float(p @ (1 - y[np.arange(n), pool.student]))
        soft = float(p @ (1 - (q * y).sum(axis=1)))
        found = error_interval(pool, **told)
        assert found.low - 1e-9 <= error <= found.high + 1e-9
        found = expected_error_interval(pool, q, **told)
        assert found.low - 1e-9 <= soft <= found.high + 1e-9


# --- two paths agree -----------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_it_agrees_with_the_certificates(classes: int) -> None:
    rng = np.random.default_rng(10 + classes)
    for _ in range(5):
        pool = random_pool(rng, classes, (4, 9))
        mu = edge_inconsistency(pool.graph, pool.known_truth)
        told = {"error": pool.teacher_error, "inconsistency": mu}
        found = error_interval(pool, **told)
        near = 1e-6 if classes == 2 else NEAR
        assert found.high == pytest.approx(label_free(pool, **told).value, abs=near)
        # The gain over the teacher is a difference, and one-hot probabilities are classes.
        gain = label_free(pool, gain=True, **told).value
        gained = difference_interval(pool, pool.pseudo, **told)
        assert gained.high == pytest.approx(gain, abs=near)
        sure = expected_error_interval(pool, np.eye(classes)[pool.student], **told)
        assert (sure.low, sure.high) == pytest.approx((found.low, found.high), abs=1e-9)
        # Roles exchanged, the ends are exchanged.
        turned = LabelledPool(pool.graph, pool.pseudo, pool.pseudo, classes, pool.truth)
        turned_gain = difference_interval(turned, pool.student, **told)
        ends = (-turned_gain.high, -turned_gain.low)
        assert ends == pytest.approx((gained.low, gained.high), abs=near)


# --- refusals ------------------------------------------------------------------------------------


def test_bad_input_is_refused() -> None:
    pool = clique_pool()
    told = {"error": 0.2, "inconsistency": 0.1}
    with pytest.raises(ValueError, match="shape"):
        expected_error_interval(pool, np.ones((5, 3)) / 3, **told)
    with pytest.raises(ValueError, match="softmax"):
        expected_error_interval(pool, np.ones((5, 2)), **told)
    with pytest.raises(ValueError, match="other"):
        difference_interval(pool, np.full(5, 2), **told)
    with pytest.raises(ValueError, match="share"):
        error_interval(pool, error=1.2, inconsistency=0.0)
    never = Fact("share with y = 0", np.array([[1.0, 0.0], [1.0, 0.0]]), 0.0)
    with pytest.raises(Infeasible):
        error_interval(pool, error=0.1, inconsistency=0.0, facts=(never,))
