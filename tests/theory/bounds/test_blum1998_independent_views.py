"""Independent views: the identity by hand, on product worlds, and refused where views depend."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds.blum1998_independent_views import (
    error_from_confusion,
    for_class,
    for_pool,
    for_unlabelled_class,
    independent_error,
)
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool


def product_pool(seed: int, classes: int, views: int = 4) -> LabelledPool:
    """Every class is a product of two views; the teacher reads the first, the student the second.

    Each view of each class has its own weights, and each label is read off one cell of a view.
    """
    rng = np.random.default_rng(seed)
    weights, truth, teacher, student = [], [], [], []
    for label in range(classes):
        alpha, beta = rng.dirichlet(np.ones(views)), rng.dirichlet(np.ones(views))
        read = np.where(rng.random((2, views)) < 0.7, label, rng.integers(classes, size=(2, views)))
        for i, j in product(range(views), range(views)):
            weights.append(alpha[i] * beta[j] / classes)
            truth.append(label)
            teacher.append(read[0, i])
            student.append(read[1, j])
    graph = Graph.from_edges(len(weights), [], weights=np.array(weights) / np.sum(weights))
    return LabelledPool(graph, np.array(teacher), np.array(student), classes, np.array(truth))


def test_values_by_hand() -> None:
    # a = 1/4, e = 1/3: they differ with probability 1/4 · 2/3 + 3/4 · 1/3 = 5/12.
    assert independent_error(5 / 12, 1 / 4) == pytest.approx(1 / 3)
    assert independent_error(0.2, 0.2) == 0.0
    # A teacher that is right on 3/4 of both classes, a student that is right on 2/3 and 5/6.
    confusion = np.array([[3, 1], [1, 3]]) / 4
    answers = np.array([[2 / 3, 1 / 3], [1 / 6, 5 / 6]]) / 2
    assert error_from_confusion(confusion, confusion.T @ answers) == pytest.approx(1 / 4)


@given(st.integers(0, 10_000))
def test_two_classes_on_a_product(seed: int) -> None:
    pool = product_pool(seed, 2)
    for label in (0, 1):
        found = for_class(pool, label)
        assert found.measured is not None
        if found.status == "holds":
            assert found.value == pytest.approx(found.measured.share, abs=1e-9)
        else:
            assert [h.name for h in found.failed()] == ["teacher's error in the class a"]
            assert found.value is None


@given(st.integers(0, 10_000), st.sampled_from([2, 3, 5]))
def test_any_number_of_classes_on_a_product(seed: int, classes: int) -> None:
    pool = product_pool(seed, classes)
    found = for_pool(pool)
    assert found.hypotheses[1].status == "holds"  # independent by construction
    if found.value is not None and found.hypotheses[0].measured < 1e4:  # type: ignore[operator]
        assert found.value == pytest.approx(pool.student_error, abs=1e-8)
    # The same confusion handed over, as from validation data, for a pool without truth.
    rows = np.array(
        [
            [
                pool.share((pool.known_truth == i) & (pool.pseudo == j)) * classes
                for j in range(classes)
            ]
            for i in range(classes)
        ]
    )
    blind = LabelledPool(pool.graph, pool.pseudo, pool.student, classes)
    assumed = for_pool(blind, confusion=rows)
    assert assumed.status == ("violated" if found.value is None else "not checkable")
    if found.value is not None and found.hypotheses[0].measured < 1e4:  # type: ignore[operator]
        assert assumed.value == pytest.approx(found.value, abs=1e-8)


def test_a_copy_of_the_teacher_is_not_independent() -> None:
    truth, pseudo = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([1, 0, 0, 0, 1, 1, 1, 0])
    pool = LabelledPool(Graph.from_edges(8, []), pseudo, pseudo, 2, truth)
    found = for_class(pool, 0)
    assert found.status == "violated"
    # P(both wrong) − a e = 1/4 − 1/16, and L01 = 0 would give an error of −1/2.
    assert found.failed()[0].measured == pytest.approx(3 / 16)
    assert found.value == pytest.approx(-1 / 2)
    assert "a sample of independent views shows about 0.0938" in str(found)
    assert "violated" in str(found).splitlines()[0]
    assert for_class(pool, 0, tolerance=0.2).status == "holds"
    assert for_pool(pool).status == "violated"


@pytest.mark.parametrize("shared", [0.0, 9e-10, -9e-10])
def test_a_dependence_that_passes_is_added(shared: float) -> None:
    # a = 1/2 − 2e-6 and e = .2505 in both classes. P(both wrong) may be off by 9e-10, which passes
    # for independent and moves (L01 − a)/(1 − 2a) by 1.8e-9/4e-6 = 4.5e-4, one way or the other.
    a, e = 0.5 - 2e-6, 0.2505
    both = a * e + shared
    cells = np.array([both, a - both, e - both, 1 - a - e + both])
    truth = np.repeat([0, 1], 4)
    wrong, missed = np.tile([1, 1, 0, 0], 2), np.tile([1, 0, 1, 0], 2)
    graph = Graph.from_edges(8, [], weights=np.tile(cells, 2) / 2)
    pool = LabelledPool(graph, truth ^ wrong, truth ^ missed, 2, truth)
    for found in (for_class(pool, 0), for_pool(pool)):
        assert found.status == "holds"
        # C⁻¹ has four entries of about 1/2 over 1 − 2a, so that Σ|C⁻¹| is 2/(1 − 2a) as well.
        assert found.value == pytest.approx(e + max(0.0, -9e-4 * shared / 9e-10), abs=1e-9)


def test_unlabelled_points_of_independent_views() -> None:
    # α says whether the teacher labels: a point is (α, β), α in 0..2, β in 0..3, all alike, y = 0.
    # The teacher labels α ≥ 1 and errs at α = 1; the student errs at β = 0.
    alpha, beta = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    pseudo, student = (alpha == 1).astype(int), (beta == 0).astype(int)
    truth, covered = np.zeros(12, int), alpha >= 1
    half = LabelledPool(Graph.from_edges(12, []), pseudo, student, 2, truth)
    assert for_unlabelled_class(half, 0, covered).status == "violated"  # a = 1/2
    p = np.array([2, 1, 3])[alpha] / 24
    graph = Graph.from_edges(12, [], weights=p)
    found = for_unlabelled_class(LabelledPool(graph, pseudo, student, 2, truth), 0, covered)
    # a = 1/4, e = 1/4: L01 = 2 · 3/16 = 3/8, (3/8 − 1/4)/(1 − 1/2) = 1/4, on T as on S.
    assert (found.status, found.value) == ("holds", pytest.approx(1 / 4))
    assert found.about == "student error, unlabelled class 0"
    assert found.measured is not None
    assert found.measured.share == pytest.approx(1 / 4)
    # A student that errs at all unlabelled points: 3/4 more than where it is labelled.
    astray = np.where(alpha == 0, 1, student)
    pool = LabelledPool(graph, pseudo, astray, 2, truth)
    apart = for_unlabelled_class(pool, 0, covered)
    assert [h.measured for h in apart.failed()] == [pytest.approx(3 / 4)]
    allowed = for_unlabelled_class(pool, 0, covered, tolerance=0.8)
    assert (allowed.status, allowed.value) == ("holds", pytest.approx(1))
    blind = LabelledPool(graph, pseudo, student, 2)
    assert for_unlabelled_class(blind, 0, covered).status == "not checkable"
    with pytest.raises(ValueError, match="not on both sides of covered"):
        for_unlabelled_class(pool, 0, np.ones(12, bool))


def test_what_it_cannot_say() -> None:
    truth, pseudo = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    graph = Graph.from_edges(4, [])
    half = for_class(LabelledPool(graph, pseudo, truth, 2, truth), 0)
    assert (half.value, half.status) == (None, "violated")
    three = LabelledPool(graph, pseudo, truth, 3, truth)
    assert for_class(three, 0).failed()[0].name == "number of classes"
    empty = for_pool(three)  # class 2 has no points, so nobody knows how the teacher reads it
    assert (empty.value, empty.status) == (None, "violated")
    blind = LabelledPool(graph, pseudo, truth, 2)
    assert for_class(blind, 0).value is None
    assert for_pool(blind).value is None
    assert for_pool(blind).status == "not checkable"
    with pytest.raises(ValueError, match="class 2 weighs nothing"):
        for_class(three, 2)
    with pytest.raises(ValueError, match="confusion is measured"):
        for_pool(three, confusion=np.eye(3))


@pytest.mark.parametrize(
    ("confusion", "joint", "message"),
    [
        (np.eye(2), np.eye(3) / 3, "have shapes"),
        (np.ones((2, 2)), np.eye(2) / 2, "no distribution; row"),
        (np.eye(2), np.eye(2), "joint is no distribution"),
        (np.full((2, 2), 0.5), np.eye(2) / 2, "condition"),
    ],
)
def test_confusions_that_are_refused(
    confusion: np.ndarray, joint: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        error_from_confusion(confusion, joint)


def test_formula_refuses() -> None:
    with pytest.raises(ValueError, match=r"wrong_share is 0\.5"):
        independent_error(0.1, 0.5)
    with pytest.raises(ValueError, match=r"disagreement is -0\.1"):
        independent_error(-0.1, 0.2)


@given(st.floats(0, 1), st.floats(0, 0.49), st.floats(0, 0.5))
def test_monotone_in_disagreement(apart: float, a: float, more: float) -> None:
    assert independent_error(min(1, apart + more), a) >= independent_error(apart, a) - 1e-9
