"""Coverage: unlabelled points of a class, by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds.lang2024_coverage import (
    balance,
    for_any_student,
    for_class,
    for_class_onto_right,
    onto_right_error_bound,
    uncovered_error_bound,
)
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import draw
from mke_theory.theory.search.small_worlds import Atoms, World
from tests.theory.tables import relative_expansion


def test_values_by_hand() -> None:
    # c₁ = c₂ = 1, a = 1/5: (1 + .2/.6) · .03 + (.25 − .2)/(1 − .4).
    expected = 4 / 3 * 0.03 + 0.05 / 0.6
    assert uncovered_error_bound(0.25, 0.03, 0.2, 1, 1, 0) == pytest.approx(expected)
    # q is the least that the second term can be.
    assert uncovered_error_bound(0.25, 0.03, 0.2, 1, 1, 0.5) == pytest.approx(0.54)
    # c₁ = .8, c₂ = .6: c_min/c_max = 3/4; (1 + .2/.35) · .1 + (.25 − .12)/(.8 − .28).
    expected = (1 + 0.2 / 0.35) * 0.1 + 0.13 / 0.52
    assert uncovered_error_bound(0.25, 0.1, 0.2, 0.8, 0.6, 0) == pytest.approx(expected)
    # Without mistakes L01/c₁, whatever c₂ is.
    assert uncovered_error_bound(0.2, 0.1, 0, 0.5, 0, 0) == pytest.approx(0.5)
    assert balance(0.8, 0.6) == balance(0.6, 0.8) == pytest.approx(0.75)
    assert balance(0.0, 0.0) == 0.0


# Four labelled points of which the teacher gets one wrong, and one unlabelled point that reaches
# all of them.
STAR = World(Atoms((1,) * 5, tuple((i, 4) for i in range(4))), (0,) * 5, (1, 0, 0, 0, 0))
COVERED = np.array([True] * 4 + [False])


def test_a_tight_world() -> None:
    # The student that corrects: L01 = a, so the bound is 0, its error.
    found = for_class(STAR.pool((0,) * 5), 0, COVERED)
    assert found.status == "holds"
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.about == "student error, unlabelled class 0"
    assert found.measured is not None
    assert (found.measured.mistakes, found.measured.points) == (0, 1)
    # A student that is wrong everywhere: U₁ reaches all of S_good, U₂ is empty, and
    # (3/4 − 1/4)/(1 − 1/2) = 1 is its error.
    astray = for_class(STAR.pool((1,) * 5), 0, COVERED)
    assert (astray.status, astray.value) == ("holds", pytest.approx(1))
    assert for_any_student(STAR.pool((1,) * 5), 0, COVERED).value == pytest.approx(1)
    # Above a q the student may be far from its teacher: .75 ≥ c₁(1 − q − a).
    asked = for_any_student(STAR.pool((1,) * 5), 0, COVERED, q=0.25)
    assert asked.status == "not shown"
    assert "L01(f, ỹ) + P(not robust) = 0.75, must be < c₁(1 − q − a) = 0.5" in str(asked)
    # One that is wrong on the unlabelled point alone is not robust there.
    rough = for_class(STAR.pool((0, 0, 0, 0, 1)), 0, COVERED)
    assert rough.value == pytest.approx(1 + 0.25 / 0.5)


def test_right_labels_alone_by_hand() -> None:
    # ρ + max{q, L01/(c₁ (1 − a))}: .1 + .3/(1.5 · .8) = .35, and q where that is more.
    assert onto_right_error_bound(0.3, 0.1, 0.2, 1.5) == pytest.approx(0.35)
    assert onto_right_error_bound(0.3, 0.1, 0.2, 1.5, 0.5) == pytest.approx(0.6)
    astray = for_class_onto_right(STAR.pool((1,) * 5), 0, COVERED)
    assert (astray.status, astray.value) == ("holds", pytest.approx(1))  # .75/(1 · .75)
    right = for_class_onto_right(STAR.pool((0,) * 5), 0, COVERED)
    assert (right.status, right.value) == ("holds", 0)
    # Half of the class mislabelled is no obstacle: nothing is divided by 1 − 2a.
    half = World(STAR.atoms, STAR.truth, (1, 1, 0, 0, 0))
    assert for_class_onto_right(half.pool((1,) * 5), 0, COVERED).value == pytest.approx(1)
    for constants in ((0.1, 0.1, 1.0, 1.0), (0.1, 0.1, 0.1, 0.0), (0.1, 0.1, 0.1, -1.0)):
        with pytest.raises(ValueError, match="to_good is"):
            onto_right_error_bound(*constants)
    blind = LabelledPool(STAR.pool((0,) * 5).graph, np.zeros(5, int), np.zeros(5, int), 2)
    assert for_class_onto_right(blind, 0, COVERED).status == "not checkable"


def test_the_last_hypothesis_cannot_be_spared() -> None:
    # Labelled {1, 2, 3}, of which the teacher gets 1 wrong; unlabelled {0, 4}; all robust. Above
    # q = 1/3 the sets are {4}, which reaches 2/5 of {2, 3} and 1, and {0, 4}, which reaches all:
    # c₁ = (2/5)/(2/3), c₂ = 1. The student is wrong on {1, 2, 4}: 2/3 of T against a bound of 1/2.
    atoms = Atoms((1, 1, 2, 3, 2), ((0, 3), (1, 4), (2, 3), (2, 4)))
    world = World(atoms, (0,) * 5, (0, 1, 0, 0, 0))
    pool, covered = world.pool((0, 1, 1, 0, 1)), np.array([False, True, True, True, False])
    found = for_any_student(pool, 0, covered, q=1 / 3, to_good=0.6, to_bad=1.0)
    assert found.value == pytest.approx((1 / 3 - 1 / 6) / (0.6 - 1.6 / 6))
    assert found.measured is not None
    assert found.measured.share == pytest.approx(2 / 3)
    assert found.measured.share > 0.5
    assert [h.name for h in found.failed("not shown")] == ["L01(f, ỹ) + P(not robust)"]


def test_the_q_with_the_smallest_value_is_taken() -> None:
    # As above, with a student that corrects the teacher. Point 0 reaches no mistake, so q = 0 has
    # c₂ = 0 and no value; from q = 1/3 on there is one.
    atoms = Atoms((1, 1, 2, 3, 2), ((0, 3), (1, 4), (2, 3), (2, 4)))
    pool = World(atoms, (0,) * 5, (0, 1, 0, 0, 0)).pool((0,) * 5)
    covered = np.array([False, True, True, True, False])
    assert for_any_student(pool, 0, covered, q=0.0).value is None
    found = for_any_student(pool, 0, covered)
    assert found.value is not None
    assert found.constants["q"] >= 1 / 3 - 1e-12


def test_unbalanced_expansion_has_no_value() -> None:
    pool = STAR.pool((0,) * 5)
    found = for_any_student(pool, 0, COVERED, to_good=1.0, to_bad=0.5)  # 1/2 = 2a
    assert found.value is None
    assert "not shown: c_min/c_max = 0.5, must be > 2a = 0.5" in str(found)
    assert for_any_student(pool, 0, COVERED, to_good=0.0, to_bad=0.5).value is None
    assert for_any_student(pool, 0, COVERED, to_good=0.9).status == "not checkable"
    straddles = for_any_student(pool, 0, COVERED, to_good=(0.0, 1.0), to_bad=1.0)
    assert straddles.hypotheses[1].status == "not checkable"


def test_a_teacher_without_mistakes() -> None:
    world = World(STAR.atoms, STAR.truth, (0,) * 5)
    found = for_class(world.pool((0, 0, 0, 0, 0)), 0, COVERED)
    assert found.status == "holds"
    assert found.value == pytest.approx(0)
    assert len(found.hypotheses) == 2


def test_a_teacher_with_nothing_but_mistakes() -> None:
    world = World(STAR.atoms, STAR.truth, (1,) * 5)
    found = for_class(world.pool((0, 0, 0, 0, 0)), 0, COVERED)
    assert found.status == "violated"
    assert found.value is None


def test_refusals_and_ignorance() -> None:
    pool = STAR.pool((0,) * 5)
    for mask in (np.ones(5, bool), np.zeros(5, bool)):
        with pytest.raises(ValueError, match="class 0 weighs"):
            for_class(pool, 0, mask)
    with pytest.raises(ValueError, match="q is 3"):
        for_any_student(pool, 0, COVERED, q=3)
    with pytest.raises(ValueError, match="to_good is 0"):
        uncovered_error_bound(0.1, 0.1, 0.1, 0, 1, 0)
    with pytest.raises(ValueError, match="has to exceed 2a"):
        uncovered_error_bound(0.1, 0.1, 0.3, 1, 0.5, 0)
    labels = np.zeros(5, np.int64)
    blind = for_class(LabelledPool(Graph.from_edges(5, []), labels, labels, 2), 0, COVERED)
    assert blind.value is None
    assert {h.status for h in blind.hypotheses} == {"not checkable"}


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
def test_a_pool_errs_no_more_than_its_bound(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 8))
    world = draw(rng, n, 2)
    student = tuple(int(x) for x in np.where(rng.random(n) < 0.2, 1, world.truth))
    covered = rng.random(n) < 0.7
    points = sum(1 << int(i) for i in np.flatnonzero(covered))
    for label, inside in enumerate(world.slices):
        labelled, free = inside & points, inside & ~points
        if not world.atoms.mass[labelled] * world.atoms.mass[free]:
            continue
        pool = world.pool(student)
        kinds = (for_class, for_class_onto_right, for_any_student)
        rows = [kind(pool, label, covered, steps=steps) for kind in kinds]  # type: ignore[operator]
        for one in rows:
            assert one.measured is not None
            assert one.status != "holds" or one.value is not None
            # Only a hypothesis decides a value: without one it bounds wherever there is one.
            assert (
                one.value is None
                or one.measured.share <= one.value + 1e-9
                or (one.status == "not shown" and one.constants["q"] > 0)
            )
        found = rows[2]
        bad = labelled & world.wrong
        for name, side in (("c₁", labelled & ~bad), ("c₂", bad)):
            if world.atoms.mass[side] and name in found.constants:
                exact = relative_expansion(world.atoms, free, side, steps)
                above = int(found.constants["q"] * world.atoms.mass[free] + 1e-9)
                assert found.constants[name] <= exact[above] + 1e-9


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.3), st.floats(0.7, 1), st.floats(0, 0.3))
def test_monotone(apart: float, rough: float, a: float, c: float, more: float) -> None:
    at = uncovered_error_bound(apart, rough, a, c, c, 0.1)
    assert uncovered_error_bound(min(1, apart + more), rough, a, c, c, 0.1) >= at - 1e-9
    assert uncovered_error_bound(apart, min(1, rough + more), a, c, c, 0.1) >= at - 1e-9
    assert uncovered_error_bound(apart, rough, a, c, c, 0.1 + more) >= at - 1e-9
    assert uncovered_error_bound(apart, rough, a, min(1, c + more), min(1, c + more), 0.1) <= (
        at + 1e-9
    )
