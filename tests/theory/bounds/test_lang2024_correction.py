"""Correction inside a class: the paper's numbers, a tight world, and what the neighbourhood is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds.bound import compared
from mke_theory.theory.bounds.lang2024_correction import (
    corrected_error_bound,
    expansion_above,
    for_any_student,
    for_class,
    not_constant,
    over_classes,
)
from mke_theory.theory.expansion.relative import relative_expansion_profile
from mke_theory.theory.graph import Graph, inconsistent
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import draw
from mke_theory.theory.search.small_worlds import Atoms, World, members
from tests.theory.tables import relative_expansion

shares = st.floats(0, 1)


def test_published_numbers() -> None:
    # The paper's measurements of sentiment classes, with a student that is robust everywhere.
    assert corrected_error_bound(0.12, 0.0, 0.11, 0.848) == pytest.approx(0.0497, abs=5e-5)
    assert corrected_error_bound(0.29, 0.0, 0.33, 0.497) == pytest.approx(0.3737, abs=5e-5)


def test_values_by_hand() -> None:
    # Full expansion, c = c' = 1: (L01 − a + 2a ρ)/(1 − 2a).
    assert corrected_error_bound(0.3, 0.1, 0.2, 1.0) == pytest.approx((0.3 - 0.2 + 0.04) / 0.6)
    # No expansion leaves the triangle inequality, no mistakes an identity.
    assert corrected_error_bound(0.3, 0.1, 0.2, 0.0) == pytest.approx(0.5)
    assert corrected_error_bound(0.3, 0.1, 0.0, 0.7) == pytest.approx(0.3)
    # a = 1/4, c = 3/4: c' = .75/(.75 + .1875) = .8; (.25 − .25 · .6 + .4 · .1)/.6.
    assert corrected_error_bound(0.25, 0.1, 0.25, 0.75) == pytest.approx(0.14 / 0.6)


def complete(n: int) -> Atoms:
    return Atoms((1,) * n, tuple((i, j) for i in range(n) for j in range(i)))


def test_a_tight_world() -> None:
    # Class 0 has four points, all neighbours, and the teacher errs on one. The student that
    # corrects it has L01 = 1/4 = a and no rough point: the bound is 0, its error.
    world = World(complete(4), (0,) * 4, (1, 0, 0, 0))
    found = for_class(world.pool((0, 0, 0, 0)), 0)
    assert found.status == "holds"
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.measured is not None
    assert found.measured.share == 0
    assert found.constants["c"] == pytest.approx(1.0)
    assert not found.vacuous
    every = for_any_student(world.pool((0, 0, 0, 0)), 0)
    assert (every.constants["q"], every.constants["c"]) == pytest.approx((0.5, 1.0))
    assert every.value == pytest.approx(0, abs=1e-9)
    # The copy of the teacher is rough everywhere, so V is empty: L01 + a is all there is to say.
    copied = for_class(world.pool((1, 0, 0, 0)), 0)
    assert (copied.status, copied.vacuous) == ("holds", True)
    assert copied.value == pytest.approx(1 / 4)
    # All subsets above q = 0 expand, and no condition on the student is left; above q = 1/4 it is.
    assert for_any_student(world.pool((1, 0, 0, 0)), 0).status == "holds"
    asked = for_any_student(world.pool((1, 0, 0, 0)), 0, q=0.25)
    assert asked.status == "not shown"
    assert "P(f ≠ ỹ or f not robust) = 1, must be ≤ 1 − q − a = 0.5" in str(asked)


def test_the_own_set_by_hand() -> None:
    # Points 0 (wrong) and 1 to 4; 1 and 2 are near 0, 3 and 4 near nobody. The student corrects 0:
    # L01 = a = 1/5, no rough point, V = {1, 2, 3, 4} reaches all of S_bad: c = 1, bound 0. Of all
    # subsets {3} reaches nothing, so c = 0 is all that can be shown above q = 0.
    world = World(Atoms((1,) * 5, ((0, 1), (0, 2))), (0,) * 5, (1, 0, 0, 0, 0))
    own = for_class(world.pool((0,) * 5), 0)
    assert (own.status, own.value) == ("holds", pytest.approx(0, abs=1e-12))
    every = for_any_student(world.pool((0,) * 5), 0, q=0.0)
    assert (every.status, every.value) == ("not shown", pytest.approx(2 / 5))
    assert "not shown: expansion c (sets above q = 0) = 0, must be > 0" in str(every)
    # The student that is wrong on 3 and 4 as well: V = {1, 2} weighs half of S_good and reaches all
    # of S_bad, c = 2, c' = 2/(4/5 + 2/5) = 5/3; (3/5 − 1/5 · 7/3)/(1 − 2/3) = 2/5, its error.
    half = for_class(world.pool((0, 0, 0, 1, 1)), 0)
    assert half.constants["c"] == pytest.approx(2)
    assert half.measured is not None
    assert half.value == pytest.approx(half.measured.share) == pytest.approx(2 / 5)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
def test_the_own_set_is_no_worse_than_all_subsets(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(3, 8)), int(rng.integers(2, 4)))
    pool = world.pool(tuple(int(x) for x in rng.integers(world.classes, size=world.atoms.n)))
    for label, inside in enumerate(world.slices):
        if world.atoms.mass[inside] == 0:
            continue
        own = for_class(pool, label, steps=steps)  # type: ignore[arg-type]
        every = for_any_student(pool, label, steps=steps)  # type: ignore[arg-type]
        assert every.status != "violated" or own.status == "violated"  # a ≥ 1/2 ails both
        if every.status == "holds":
            assert own.value is not None
            assert every.value is not None
            assert own.value <= every.value + 1e-9
        if own.value is not None and own.measured is not None:
            assert own.measured.share <= own.value + 1e-9


def test_a_student_that_may_copy_its_teacher_leaves_no_expansion() -> None:
    # Isolated points: every labelling is robust, a copy included, and nothing expands.
    world = World(Atoms((1,) * 4, ()), (0,) * 4, (1, 0, 0, 0))
    pool = world.pool((1, 0, 0, 0))
    assert for_any_student(pool, 0).status == "not shown"
    found = for_class(pool, 0)
    assert found.status == "violated"
    assert found.failed()[0].measured == 0.0
    assert found.value == pytest.approx(found.trivial)


def test_half_wrong_has_no_value_and_all_right_is_an_identity() -> None:
    world = World(complete(4), (0, 0, 1, 1), (1, 0, 1, 1))
    half = for_class(world.pool((0, 0, 1, 1)), 0)
    assert (half.value, half.status) == (None, "violated")
    assert "a = 0.5, must be < 1/2" in str(half)
    right = for_class(world.pool((0, 0, 1, 0)), 1)
    assert right.status == "holds"
    assert right.value == pytest.approx(0.5)
    assert "the teacher is right on all of the class" in str(right)


def test_without_truth_nothing_is_checkable() -> None:
    labels = np.array([0, 0, 1, 1])
    blind = for_class(LabelledPool(Graph.from_edges(4, [[0, 1]]), labels, labels, 2), 1)
    assert blind.value is None
    assert {h.status for h in blind.hypotheses} == {"not checkable"}
    assert blind.about == "student error, class 1"


def test_refusals() -> None:
    labels = np.array([0, 0, 1, 1])
    pool = LabelledPool(Graph.from_edges(4, [[0, 1]]), labels, labels, 3, labels)
    with pytest.raises(ValueError, match="class 2 weighs nothing"):
        for_class(pool, 2)
    with pytest.raises(ValueError, match="q is 2"):
        for_any_student(pool, 1, q=2)
    for wrong, c, message in [
        (0.5, 0.5, "wrong_share is 0.5"),
        (0.1, -0.5, "expansion is -0.5"),
        (0.4, 1.5, "expansion is 1.5; the formula needs less than"),
        (0.1, math.nan, "expansion is nan"),
        (-0.1, 0.5, "wrong_share is -0.1"),
    ]:
        with pytest.raises(ValueError, match=message):
            corrected_error_bound(0.1, 0.1, wrong, c)
    with pytest.raises(ValueError, match="1 bounds for 2 classes"):
        over_classes(pool, [for_class(pool, 0)])


def test_an_interval_of_the_expansion() -> None:
    pool = World(complete(4), (0,) * 4, (1, 0, 0, 0)).pool((0, 0, 0, 0))
    found = for_any_student(pool, 0, expansion=(0.0, 1.0))
    assert found.status == "not checkable"
    assert found.value == pytest.approx(0.5)  # what is certain of c is 0
    # A path 0–1–2–3 with 3 bad: {2} reaches it, {0, 1} does not; above q = 2/3 all of it must.
    path = Graph.from_edges(4, [[0, 1], [1, 2], [2, 3]])
    bad = np.array([False, False, False, True])
    profile = relative_expansion_profile(path, bad, ~bad, steps=1)
    assert expansion_above(profile, 0.0) == pytest.approx(0.0)
    certified, attained = expansion_above(profile, 2 / 3)  # type: ignore[misc]
    assert certified == pytest.approx(0, abs=1e-9)
    assert attained == pytest.approx(1)
    certified, attained = expansion_above(profile, 0.9)  # type: ignore[misc]
    assert certified == pytest.approx(0.7 / 0.9)
    assert attained == pytest.approx(1)


def test_all_of_the_good_points_are_above_any_q() -> None:
    # A mislabelled point of weight 1e-13: q = 1 − 2a is 1 up to rounding, and a set is above it
    # nevertheless. The student that corrects the point is bounded by 0.
    graph = Graph.from_edges(3, [[0, 1], [1, 2]], weights=[1e-13, 0.5, 0.5 - 1e-13])
    truth = np.zeros(3, np.int64)
    found = for_class(LabelledPool(graph, np.array([1, 0, 0]), truth, 2, truth), 0)
    assert found.status == "holds"
    assert found.value == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
def test_the_pool_and_the_brute_force_agree(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(3, 7)), int(rng.integers(2, 4)))
    student = tuple(int(x) for x in rng.integers(world.classes, size=world.atoms.n))
    pool, mass = world.pool(student), world.atoms.mass
    rough = world.inconsistent(student, steps)
    mask = not_constant(world.atoms.graph, pool.student, steps)  # type: ignore[arg-type]
    assert tuple(np.flatnonzero(mask)) == members(rough)
    for label, inside in enumerate(world.slices):
        if mass[inside] == 0:
            continue
        bad = inside & world.wrong
        found = for_any_student(pool, label, steps=steps)  # type: ignore[arg-type]
        error = sum(world.share(1 << i) for i in members(inside) if student[i] != label)
        error /= world.share(inside)
        assert found.measured is not None
        assert found.measured.share == pytest.approx(error)
        if found.status == "holds":
            assert found.value is not None
            assert error <= found.value + 1e-9
        if 0 < 2 * mass[bad] < mass[inside] and found.failed() == ():
            c = relative_expansion(world.atoms, inside & ~bad, bad, steps)
            above = int(found.constants["q"] * mass[inside & ~bad] + 1e-9)
            assert found.constants["c"] <= c[above] + 1e-9


def test_two_steps_by_hand() -> None:
    # On a path labelled 0 0 0 1, points 2 and 3 see both labels in one step, 1 also in two.
    path, labels = Graph.from_edges(4, [[0, 1], [1, 2], [2, 3]]), np.array([0, 0, 0, 1])
    assert not_constant(path, labels, 1).tolist() == [False, False, True, True]
    assert not_constant(path, labels, 1).tolist() == inconsistent(path, labels).tolist()
    assert not_constant(path, labels, 2).tolist() == [False, True, True, True]


def test_over_classes_takes_the_trivial_bound_where_a_class_fails() -> None:
    # Class 0 as in the tight world (bound 0), class 1 isolated points with a teacher wrong on one
    # of three, copied: trivial 1/3.
    edges = complete(4).edges
    world = World(Atoms((1,) * 7, edges), (0, 0, 0, 0, 1, 1, 1), (1, 0, 0, 0, 0, 1, 1))
    pool = world.pool((0, 0, 0, 0, 0, 1, 1))
    found = over_classes(pool, [for_class(pool, 0), for_class(pool, 1)])
    assert found.status == "holds"
    assert found.value == pytest.approx(3 / 7 / 3)
    assert found.measured is not None
    assert found.measured.share == pytest.approx(1 / 7)
    # No class at all holds.
    copied = world.pool(world.teacher)
    alone = over_classes(copied, [for_class(copied, 0), for_class(copied, 1)])
    assert alone.status == "violated"
    assert alone.vacuous


def test_the_value_of_a_violated_class_counts_for_nothing() -> None:
    # Class 0 has a value below its trivial bound, and a hypothesis that fails: 3 of 7 points.
    edges = complete(4).edges
    world = World(Atoms((1,) * 7, edges), (0, 0, 0, 0, 1, 1, 1), (1, 0, 0, 0, 0, 1, 1))
    pool = world.pool((0, 0, 0, 0, 0, 1, 1))
    first, second = for_class(pool, 0), for_class(pool, 1)
    failed = compared("P(f ≠ ỹ or not robust)", 0.9, "≤", 0.1)
    violated = replace(first, value=0.0, hypotheses=(failed,))
    assert violated.status == "violated" and not violated.vacuous
    found = over_classes(pool, [violated, second])
    assert found.value == pytest.approx(4 / 7 * violated.trivial + 3 / 7 * second.trivial)


@given(shares, shares, st.floats(0, 0.49), st.floats(0, 1), st.floats(0, 0.5))
def test_monotone(apart: float, rough: float, a: float, c: float, more: float) -> None:
    at = corrected_error_bound(apart, rough, a, c)
    assert corrected_error_bound(min(1, apart + more), rough, a, c) >= at - 1e-9
    assert corrected_error_bound(apart, min(1, rough + more), a, c) >= at - 1e-9
    # Expansion helps exactly where L01 + P(not robust) ≤ 1 − a.
    expanded = corrected_error_bound(apart, rough, a, min(1, c + more))
    if apart + rough <= 1 - a:
        assert expanded <= at + 1e-9
    else:
        assert expanded >= at - 1e-9
