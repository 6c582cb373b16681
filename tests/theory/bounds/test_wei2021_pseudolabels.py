"""Expansion of small sets: values by hand, hypotheses on a pool, and two ways to one number."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds.wei2021_pseudolabels import (
    effective_expansion,
    for_any_student,
    for_any_student_directly,
    for_minimiser,
    minimiser_error_bound,
    sharper_error_bound,
    small_sets,
    student_error_bound,
    teachers_mistakes,
    teachers_worst_class_error,
)
from mke_theory.theory.graph import Graph, vertex_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import draw
from mke_theory.theory.search.small_worlds import Atoms, World, subsets

shares = st.floats(0, 1)
constants = st.floats(1.01, 50)


def test_values_by_hand() -> None:
    # c = 5: 6/4 · .2 + 10/4 · .04 − .1; 2/4 · .1 + 10/4 · .02; 5/3 · .1 + 10/3 · .04.
    assert student_error_bound(0.2, 0.04, 0.1, 5) == pytest.approx(0.3)
    assert minimiser_error_bound(0.1, 0.02, 5) == pytest.approx(0.1)
    assert sharper_error_bound(0.2, 0.04, 0.1, 5) == pytest.approx(0.3)
    assert sharper_error_bound(0.12, 0.0, 0.1, 5) == pytest.approx(1 / 30)
    # Infinite expansion: L01 + 2 R_B − Err(ỹ).
    assert student_error_bound(0.2, 0.05, 0.1, math.inf) == pytest.approx(0.2)
    assert sharper_error_bound(0.2, 0.05, 0.1, math.inf) == pytest.approx(0.2)
    assert effective_expansion(0.25, 7) == 4
    assert effective_expansion(0.1, 7) == 7
    assert effective_expansion(0, math.inf) == math.inf


def test_a_tight_world() -> None:
    # Four equal points, each within reach of all; the teacher errs on one, c = min{4, ∞} = 4. A
    # student that errs on all of them agrees with it on one: (5/3) 3/4 − 1/4 = 1, its error.
    world = World(Atoms((1,) * 4, tuple(combinations(range(4), 2))), (0,) * 4, (1, 0, 0, 0))
    pool = world.pool((1, 1, 1, 1))
    for found in (for_any_student(pool), for_any_student_directly(pool)):
        assert found.status == "holds"
        assert found.value == pytest.approx(1.0)
        assert found.measured is not None
        assert found.measured.share == 1.0
        assert found.vacuous  # the trivial bound is 1 as well
    # The student that corrects everything has error 0, and so do both bounds on it.
    corrected = world.pool((0, 0, 0, 0))
    assert for_any_student(corrected).value == pytest.approx(5 / 3 / 4 - 1 / 4)
    assert for_any_student_directly(corrected).value == pytest.approx(0.0, abs=1e-12)
    assert not for_any_student_directly(corrected).vacuous


def cliques(*sizes: int) -> tuple[tuple[int, int], ...]:
    """All pairs of the first points, of the next ones, and so on."""
    ends = np.cumsum((0, *sizes)).tolist()
    return tuple(p for low, high in pairwise(ends) for p in combinations(range(low, high), 2))


@pytest.mark.parametrize(
    ("weights", "ones", "wrong", "error"),
    [
        # Six points of class 1, three of class 0, three of the six wrong: 3 · 3/9 − 3/9.
        ((1,) * 9, 6, 3, 6 / 9),
        # Class 1 weighs 9 + 8 + 1, and the 9 is wrong: 3 · 9/40 − 9/40.
        ((9, 8, 1, 7, 7, 2, 6), 3, 1, 18 / 40),
    ],
)
def test_half_of_a_class_wrong_is_no_case_for_the_sharper_formula(
    weights: tuple[int, ...], ones: int, wrong: int, error: float
) -> None:
    # Each class is a clique, so c = 1/ā = 2, and 1/ā rounds to 2 + 4e-16. The student that always
    # says 0 has L01 = Err(ỹ), so the sharper formula is 2/(c − 2) times 0; the other one is tight.
    n = len(weights)
    truth = (1,) * ones + (0,) * (n - ones)
    teacher = (0,) * wrong + truth[wrong:]
    world = World(Atoms(weights, cliques(ones, n - ones)), truth, teacher)
    found = for_any_student_directly(world.pool((0,) * n))
    assert found.constants["c"] > 2
    assert found.constants["L01(f, ỹ)"] == found.constants["Err(ỹ)"]
    assert found.status == "holds"
    assert found.value == pytest.approx(error)
    assert found.measured is not None
    assert found.measured.share == pytest.approx(error)


def test_a_large_pool_in_which_half_of_a_class_is_wrong() -> None:
    # Sums over so many points are off by more than 1e-12, so that c = 2 comes out well above it.
    # The student that is wrong everywhere is bounded by 3/2 − 1/2; no edge is needed for it to be
    # robust, and the expansion is taken as given.
    n = 180_000
    pseudo = np.arange(n) % 2
    pool = LabelledPool(Graph.from_edges(n, []), pseudo, np.ones(n, np.int64), 2, np.zeros(n, int))
    found = for_any_student_directly(pool, expansion=9.0)
    assert found.constants["c"] > 2 + 4e-12
    assert found.value == pytest.approx(1.0)


def test_the_minimiser_is_checked_against_the_truth() -> None:
    world = World(Atoms((1,) * 4, tuple(combinations(range(4), 2))), (0,) * 4, (1, 0, 0, 0))
    right = for_minimiser(world.pool((0, 0, 0, 0)))
    assert right.status == "holds"
    assert right.value == pytest.approx(2 / 3 / 4)
    # A copy of the teacher is not robust anywhere: its objective is 8/3 − 1/4, the truth's 1/6.
    copied = for_minimiser(world.pool((1, 0, 0, 0)))
    assert copied.status == "violated"
    (objective,) = copied.failed()
    assert objective.measured == pytest.approx(8 / 3 - 1 / 4 - 1 / 6)


def test_violated_hypotheses_name_their_numbers() -> None:
    # Two of five points of class 0 are wrong, and nobody has a neighbour: c̄ = 1.
    truth = np.array([0, 0, 0, 0, 0, 1])
    pseudo = np.array([1, 1, 0, 0, 0, 1])
    pool = LabelledPool(Graph.from_edges(6, []), pseudo, pseudo, 2, truth)
    assert teachers_worst_class_error(pool) == pytest.approx(0.4)
    found = for_any_student(pool)
    assert found.value is None
    assert [str(h) for h in found.failed()] == [
        "violated: teacher's worst class error ā = 0.4, must be < 1/3",
        "violated: expansion c̄ (sets up to ā) = 1, must be > 3",
    ]
    # ā = 1/3 exactly is not below 1/3.
    third = LabelledPool(Graph.from_edges(3, []), np.array([1, 0, 0]), pseudo[3:], 2, truth[:3])
    assert for_any_student(third).hypotheses[0].status == "violated"


def test_an_interval_that_straddles_is_not_checkable() -> None:
    world = World(Atoms((1,) * 4, tuple(combinations(range(4), 2))), (0,) * 4, (1, 0, 0, 0))
    pool = world.pool((0, 0, 0, 0))
    found = for_any_student(pool, expansion=(2.0, 9.0))
    assert found.status == "not checkable"
    assert found.hypotheses[1].measured == (2.0, 9.0)
    assert found.value == pytest.approx(student_error_bound(0.25, 0, 0.25, 2))
    assert for_any_student(pool, expansion=(3.5, 9.0)).status == "holds"
    assert for_any_student(pool, expansion=(1.5, 2.5)).status == "violated"
    assert for_any_student_directly(pool, expansion=(1.5, 2.5)).status == "holds"
    assert for_any_student_directly(pool, expansion=(0.5, 0.9)).value is None


def test_a_teacher_without_errors_needs_no_expansion() -> None:
    y = np.array([0, 0, 1, 1])
    pool = LabelledPool(Graph.from_edges(4, [[0, 1]]), y, np.array([0, 1, 1, 1]), 3, y)
    found = for_any_student(pool)  # class 2 has no points, and classes 0 and 1 no errors
    assert found.status == "holds"
    assert found.value == pytest.approx(0.25 + 2 * 0.5)
    assert small_sets(pool, 0.0) == math.inf


def test_without_truth_assumptions_can_only_fail() -> None:
    labels = np.array([0, 0, 1, 1])
    pool = LabelledPool(Graph.from_edges(4, [[0, 1]]), labels, labels, 2)
    blind = for_any_student(pool)
    assert (blind.value, blind.status, blind.measured) == (None, "not checkable", None)
    assumed = {"teacher_error": 0.1, "worst_class_error": 0.2}
    found = for_any_student(pool, expansion=4.0, **assumed)
    assert found.status == "not checkable"
    assert found.value == pytest.approx(student_error_bound(0, 0, 0.1, 4))
    assert for_any_student(pool, expansion=2.0, **assumed).status == "violated"
    least = for_minimiser(pool, expansion=4.0, truth_inconsistency=0.0, **assumed)
    assert least.value == pytest.approx(minimiser_error_bound(0.1, 0, 4))
    assert least.status == "not checkable"
    with pytest.raises(ValueError, match="teacher_error is 2"):
        for_any_student(pool, teacher_error=2)
    known = replace(pool, truth=labels)
    with pytest.raises(ValueError, match="assume none"):
        for_any_student(known, teacher_error=0.1)
    with pytest.raises(ValueError, match="assume none"):
        for_minimiser(known, truth_inconsistency=0.1)


@given(st.integers(0, 2**32 - 1))
def test_the_pool_and_the_brute_force_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(2, 7)), int(rng.integers(2, 4)))
    student = tuple(int(x) for x in rng.integers(world.classes, size=world.atoms.n))
    numerator, denominator = world.worst_class_error
    a, expansion = numerator / denominator, world.expansion((numerator, denominator))
    found = for_any_student(world.pool(student))
    holds = 3 * numerator < denominator and expansion > 3 + 1e-9
    assert found.status == ("holds" if holds else "violated")
    c = effective_expansion(a, expansion)
    if c > 1 + 1e-9:
        expected = student_error_bound(
            world.disagreement(student), world.inconsistency(student), world.teacher_error, c
        )
        assert found.value == pytest.approx(expected)
        direct = for_any_student_directly(world.pool(student))
        assert direct.status == "holds"
        assert direct.value is not None
        assert world.error(student) <= direct.value + 1e-9
    truth = np.array(world.truth)
    assert for_minimiser(world.pool(student)).constants["R_B(y)"] == pytest.approx(
        vertex_inconsistency(world.atoms.graph, truth)
    )


@given(shares, shares, shares, constants, st.floats(0, 0.5))
def test_monotone_in_every_constant(
    apart: float, rough: float, wrong: float, c: float, more: float
) -> None:
    at = student_error_bound(apart, rough, wrong, c)
    assert student_error_bound(min(1, apart + more), rough, wrong, c) >= at - 1e-9
    assert student_error_bound(apart, min(1, rough + more), wrong, c) >= at - 1e-9
    assert student_error_bound(apart, rough, min(1, wrong + more), c) <= at + 1e-9
    assert student_error_bound(apart, rough, wrong, c + more) <= at + 1e-9
    least = minimiser_error_bound(wrong, rough, c)
    assert minimiser_error_bound(min(1, wrong + more), rough, c) >= least - 1e-9
    assert minimiser_error_bound(wrong, min(1, rough + more), c) >= least - 1e-9
    assert minimiser_error_bound(wrong, rough, c + more) <= least + 1e-9


@given(shares, shares, shares, st.floats(2.01, 50), st.floats(0, 0.5))
def test_the_sharper_bound_is_sharper_where_either_says_something(
    apart: float, rough: float, wrong: float, c: float, more: float
) -> None:
    wide, sharp = (f(apart, rough, wrong, c) for f in (student_error_bound, sharper_error_bound))
    if wide <= apart + wrong:
        assert sharp <= wide + 1e-9
    if sharp <= apart + wrong:
        assert wide >= sharp - 1e-9
    assert sharper_error_bound(min(1, apart + more), rough, wrong, c) >= sharp - 1e-9
    assert sharper_error_bound(apart, min(1, rough + more), wrong, c) >= sharp - 1e-9
    assert sharper_error_bound(apart, rough, min(1, wrong + more), c) <= sharp + 1e-9


@pytest.mark.parametrize("c", [1.0, 0.5, -1.0, math.nan])
def test_formulas_refuse(c: float) -> None:
    for formula in (student_error_bound, sharper_error_bound):
        with pytest.raises(ValueError, match="expansion is"):
            formula(0.1, 0.1, 0.1, c)
        with pytest.raises(ValueError, match="disagreement is -1"):
            formula(-1, 0.1, 0.1, 4)
        with pytest.raises(ValueError, match="inconsistency is 2"):
            formula(0.1, 2, 0.1, 4)
        with pytest.raises(ValueError, match="teacher_error is nan"):
            formula(0.1, 0.2, math.nan, 4)
    with pytest.raises(ValueError, match="needs more than 2"):
        sharper_error_bound(0.1, 0.1, 0.1, 2.0)
    with pytest.raises(ValueError, match="expansion is -1"):
        effective_expansion(0.1, -1)


def test_mistakes_alone_expand_more_than_all_small_sets() -> None:
    # Class 0 is a path 0–1–2–3–4 beside an isolated point 5; the teacher errs on 0 and 4. Two steps
    # reach {0, 1, 2} and {2, 3, 4}: c is 3 for one of them and 5/2 for both. Point 5, which is
    # right, is a set as small as they are and reaches only itself.
    truth = np.zeros(6, np.int64)
    graph = Graph.from_edges(6, [[0, 1], [1, 2], [2, 3], [3, 4]])
    pool = LabelledPool(graph, np.array([1, 0, 0, 0, 1, 0]), truth, 2, truth)
    assert teachers_mistakes(pool) == pytest.approx(5 / 2)
    assert small_sets(pool, 1 / 3) == 1.0
    found = for_any_student_directly(pool)
    # L01 = 1/3 = Err(ỹ), nothing rough: c/(c − 2) · 0 = 0.
    assert (found.status, found.value) == ("holds", pytest.approx(0, abs=1e-12))
    right = LabelledPool(graph, truth, truth, 2, truth)
    assert teachers_mistakes(right) == math.inf
    alone = LabelledPool(graph, np.array([0, 0, 0, 0, 0, 1]), truth, 2, truth)
    assert teachers_mistakes(alone) == 1.0


@given(st.integers(0, 2**32 - 1))
def test_mistakes_by_going_through_all_their_subsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(3, 9)), int(rng.integers(2, 4)))
    atoms, ratios = world.atoms, [math.inf]
    for inside in world.slices:
        sets = subsets(inside & world.wrong, atoms.n)
        sets = sets[atoms.mass[sets] > 0]
        ratios += list(atoms.mass[atoms.neighbourhood[sets] & inside] / atoms.mass[sets])
    pool = world.pool(world.truth)
    assert teachers_mistakes(pool) == pytest.approx(min(ratios), rel=1e-9)
    small = small_sets(pool, teachers_worst_class_error(pool))
    least = small if isinstance(small, float) else small[0]
    assert teachers_mistakes(pool) >= min(least, min(ratios)) - 1e-9
