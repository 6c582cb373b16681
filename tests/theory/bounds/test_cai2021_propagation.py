"""Propagation from labelled to unlabelled points: by hand, against brute force, and by status."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds.cai2021_propagation import (
    class_measure,
    for_student,
    half_sets,
    propagated_error_bound,
)
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import draw
from mke_theory.theory.search.small_worlds import Atoms, World, small_set_expansion

SIX = World(
    Atoms((1,) * 6, (*combinations(range(3), 2), *combinations(range(3, 6), 2))),
    (0, 0, 0, 1, 1, 1),
    (0, 0, 1, 1, 1, 1),
)
LABELLED = np.array([True, True, False, True, True, False])


def test_values_by_hand() -> None:
    # c = 3: max{2, 3} = 3; 3 · 8 · .01/.5 = .48. c = 1.5: 5; 5 · 8 · 2 · .01/.5 = 1.6.
    assert propagated_error_bound(3, 0.5, 0.01) == pytest.approx(0.48)
    assert propagated_error_bound(1.5, 0.5, 0.01, 2) == pytest.approx(1.6)
    assert propagated_error_bound(math.inf, 0.5, 0.01) == pytest.approx(0.48)


def test_two_cliques_are_tight() -> None:
    # Each class is a clique: half of it reaches all of it, truth and student are robust, μ = 0.
    found = for_student(SIX.pool(SIX.truth))
    assert found.status == "holds"
    assert found.value == 0.0
    assert found.measured is not None
    assert found.measured.share == 0.0
    assert found.constants["γ"] == pytest.approx(1 / 3)
    assert found.constants["r"] == 1.0
    assert found.constants["c"] == math.inf
    # To the points that have no label: every class has 2/3 of its weight on S and 1/3 on T.
    further = for_student(SIX.pool(SIX.truth), covered=LABELLED)
    assert further.status == "holds"
    assert further.value == 0.0
    assert further.constants["r"] == pytest.approx(1.0)
    assert further.constants["γ"] == pytest.approx(1.0)
    assert further.about == "student error, unlabelled points"


def test_ratio_and_measure_by_hand() -> None:
    # Weights 1, 1, 2 and 3, 2, 1. On S: class 0 has 2 of 7, on T 2 of 3: r = 7/3.
    atoms = Atoms((1, 1, 2, 3, 2, 1), SIX.atoms.edges)
    pool = World(atoms, SIX.truth, SIX.teacher).pool(SIX.truth)
    found = for_student(pool, covered=LABELLED)
    assert found.constants["r"] == pytest.approx(7 / 3)
    # Half of a class on either side, in proportion within: 1/4, 1/4, 1/2 and .3, .2, .5, halved.
    assert class_measure(pool, LABELLED) == pytest.approx(
        np.array([0.25, 0.25, 0.5, 0.3, 0.2, 0.5]) / 2
    )


def test_margin_and_inconsistency_by_hand() -> None:
    # Class 0 is read as 0, 0, 0, 1, 1, 2: the margin is 3/6 − 2/6.
    clique = Atoms((1,) * 6, tuple(combinations(range(6), 2)))
    three = World(clique, (0,) * 6, (0, 0, 0, 1, 1, 2), 3)
    assert for_student(three.pool((0,) * 6)).constants["γ"] == pytest.approx(1 / 6)
    # On a path, a student that calls the last point 1 is rough on the last two. One of them is
    # labelled, of three, and one is not, of three: μ = (1/3 + 1/3)/2; with the labelled points
    # 0, 1, 2, 3 it is (0/4 + 2/2)/2.
    path = World(Atoms((1,) * 6, tuple((i, i + 1) for i in range(5))), (0,) * 6, (0,) * 6)
    pool = path.pool((0, 0, 0, 0, 0, 1))
    alternate, first = np.array([True, False] * 3), np.array([True] * 4 + [False] * 2)
    assert for_student(pool, covered=alternate).constants["μ"] == pytest.approx(1 / 3)
    assert for_student(pool, covered=first).constants["μ"] == pytest.approx(1 / 2)


def test_a_copy_of_the_teacher_is_charged_for_what_it_cuts() -> None:
    found = for_student(SIX.pool(SIX.teacher))
    assert found.status == "holds"
    assert found.constants["μ"] == pytest.approx(0.5)
    assert found.vacuous
    # With the truth's own μ = 0 the copy is not admitted.
    strict = for_student(SIX.pool(SIX.teacher), inconsistency=0.0)
    assert strict.status == "violated"
    assert "R_B(f) = 0.5, must be ≤ μ = 0" in str(strict)
    # A student further from the teacher than the truth is not admitted either.
    far = for_student(SIX.pool((1, 1, 1, 1, 1, 1)))
    assert [h.name for h in far.failed()] == ["L01(f, ỹ) less Err(ỹ), on labelled points"]


def test_what_a_student_is_further_by_is_charged_for() -> None:
    # L01(f, ỹ) = 5/6 and Err(ỹ) = 1/6, γ = 1/3, r = 1, μ = 0: (2/3)/(1/3) = 2 more.
    far = for_student(SIX.pool((1, 1, 1, 1, 1, 1)), tolerance=0.7)
    near = for_student(SIX.pool((1, 1, 1, 1, 1, 1)), tolerance=0.1)
    excess = far.hypotheses[-1].measured
    assert isinstance(excess, float)
    assert (far.status, near.status) == ("holds", "violated")
    assert far.value == pytest.approx(3 * excess)
    with pytest.raises(ValueError, match="tolerance is 2"):
        for_student(SIX.pool(SIX.truth), tolerance=2)


@given(st.integers(0, 2**32 - 1))
def test_with_a_tolerance_no_student_errs_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(2, 7)), int(rng.integers(2, 4)))
    covered = rng.random(world.atoms.n) < 0.5
    for _ in range(5):
        student = tuple(int(x) for x in rng.integers(world.classes, size=world.atoms.n))
        pool = world.pool(student)
        sides = [None]
        if pool.share(covered) > 0 and pool.share(~covered) > 0:
            sides.append(covered)
        for side in sides:
            found = for_student(pool, covered=side, tolerance=1.0)
            if found.status == "holds":
                assert found.value is not None
                assert found.measured is not None
                assert found.measured.share <= found.value + 1e-9


def test_hypotheses_that_fail() -> None:
    tied = World(SIX.atoms, SIX.truth, (0, 0, 0, 1, 0, 0))  # class 1 is mostly read as 0
    found = for_student(tied.pool(SIX.truth))
    assert found.value is None
    assert "teacher's margin γ = -0.333, must be > 0" in str(found)
    apart = World(Atoms((1,) * 6, ()), SIX.truth, SIX.teacher)
    assert "expansion c (sets up to 1/2) = 1, must be > 1" in str(
        for_student(apart.pool(SIX.truth))
    )
    one_sided = for_student(
        SIX.pool(SIX.truth), covered=np.array([True, True, True, True, False, False])
    )
    assert one_sided.value is None
    assert "violated: classes on both sides = ∞" in str(one_sided)
    with pytest.raises(ValueError, match="class 0 lies on one side only"):
        class_measure(SIX.pool(SIX.truth), np.array([True] * 4 + [False] * 2))
    with pytest.raises(ValueError, match="covered is false weigh nothing"):
        for_student(SIX.pool(SIX.truth), covered=np.ones(6, bool))


def test_without_truth() -> None:
    labels = np.array(SIX.teacher)
    pool = LabelledPool(SIX.atoms.graph, labels, labels, 2)
    assert for_student(pool).value is None
    found = for_student(pool, expansion=2.0, margin=0.5, inconsistency=0.5)
    assert found.value == pytest.approx(propagated_error_bound(2, 0.5, 0.5))
    assert found.status == "not checkable"
    assert for_student(pool, expansion=2.0, margin=0.5, inconsistency=0.4).status == "violated"
    assert for_student(pool, covered=LABELLED, margin=0.5).value is None
    with pytest.raises(ValueError, match="the margin is measured"):
        for_student(SIX.pool(SIX.truth), margin=0.5)
    with pytest.raises(ValueError, match="inconsistency is 3"):
        for_student(pool, inconsistency=3)


@given(st.integers(0, 2**32 - 1))
def test_the_pool_and_the_brute_force_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(2, 7)), int(rng.integers(2, 4)))
    student = tuple(int(x) for x in rng.integers(world.classes, size=world.atoms.n))
    pool, mass = world.pool(student), world.atoms.mass
    exact = min(
        small_set_expansion(world.atoms, s)[int(mass[s]) // 2] for s in world.slices if mass[s]
    )
    assert half_sets(pool) == pytest.approx(exact)
    found = for_student(pool)
    if found.status == "holds":
        assert found.value is not None
        assert world.error(student) <= found.value + 1e-9
    covered = rng.random(world.atoms.n) < 0.5
    points = sum(1 << int(i) for i in np.flatnonzero(covered))
    if mass[points] and mass[world.atoms.every & ~points]:
        further = for_student(pool, covered=covered)
        if further.status == "holds":
            assert further.value is not None
            assert further.measured is not None
            assert further.measured.share <= further.value + 1e-9


@given(st.floats(1.01, 9), st.floats(0.01, 1), st.floats(0, 1), st.floats(1, 9), st.floats(0, 0.5))
def test_monotone(c: float, margin: float, mu: float, ratio: float, more: float) -> None:
    at = propagated_error_bound(c, margin, mu, ratio)
    assert propagated_error_bound(c + more, margin, mu, ratio) <= at + 1e-9
    assert propagated_error_bound(c, min(1, margin + more), mu, ratio) <= at + 1e-9
    assert propagated_error_bound(c, margin, min(1, mu + more), ratio) >= at - 1e-9
    assert propagated_error_bound(c, margin, mu, ratio + more) >= at - 1e-9


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ((1.0, 0.5, 0.1, 1.0), "expansion is 1.0"),
        ((2.0, 0.0, 0.1, 1.0), "margin is 0.0"),
        ((2.0, 1.5, 0.1, 1.0), "margin is 1.5"),
        ((2.0, 0.5, -0.1, 1.0), "inconsistency is -0.1"),
        ((2.0, 0.5, 0.1, 0.5), "ratio is 0.5"),
        ((2.0, 0.5, 0.1, math.inf), "ratio is inf"),
    ],
)
def test_formula_refuses(constants: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        propagated_error_bound(*constants)


def test_the_expansion_of_a_graph_with_one_point_a_class() -> None:
    y = np.array([0, 1])
    pool = LabelledPool(Graph.from_edges(2, []), y, y, 2, y)
    assert half_sets(pool) == math.inf  # no set is as light as half of a single point
    assert for_student(pool).value == 0.0
