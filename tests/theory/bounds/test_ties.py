"""Worlds in which a strict inequality is an equality: rounding must not make a bound hold there.

Weights are whole numbers, so what a theorem asks for is decided in fractions, by hand or by going
through all sets, and the package, which sums shares in floating point, has to agree: a tie fails,
a bound that holds has the value of its formula in exact arithmetic, and no student errs more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest

from mke_theory.theory.appraise import certificate_row
from mke_theory.theory.bounds import (
    blum1998_independent_views,
    cai2021_propagation,
    lang2024_correction,
    lang2024_coverage,
    wei2021_pseudolabels,
)
from mke_theory.theory.bounds.bound import Bound, lower_end
from mke_theory.theory.bounds.ledgers import ledger
from mke_theory.theory.certificates.certificate import label_free
from mke_theory.theory.graph import edge_inconsistency
from mke_theory.theory.search.small_worlds import Atoms, Labels, World, differing

Parts = tuple[tuple[int, ...], ...]
"""The weights of the points of each part of a class; parts in a row are near each other."""


def chained(wrong: int, right: Parts, other: tuple[int, ...] = (2, 3)) -> World:
    """Class 1 is a chain of parts, of which the first `wrong` are mislabelled; class 0 a clique.

    All points of a part are near each other and near all of the next part, so that a part reaches
    itself and two more on either side.
    """
    parts = (*right, other)
    at = [i for i, part in enumerate(parts) for _ in part]
    last = len(right)
    near = [
        (i, j)
        for i, j in combinations(range(len(at)), 2)
        if at[i] == at[j] or (at[j] == at[i] + 1 < last)
    ]
    truth = tuple(int(part < last) for part in at)
    teacher = tuple(int(wrong <= part < last) for part in at)
    return World(Atoms(tuple(w for part in parts for w in part), tuple(near)), truth, teacher)


def composed(rng: np.random.Generator, total: int) -> tuple[int, ...]:
    """Whole weights of at most three points that add up to `total`, which is 2 or more."""
    cuts = np.unique(rng.integers(1, total, size=2))
    return tuple(int(w) for w in np.diff([0, *cuts, total]))


# Class 1 has six points, three of them mislabelled, class 0 three: c = min{1/ā, c̄} = 1/ā = 2.
SIX_AND_THREE = chained(1, ((1,) * 3, (1,) * 3), (1,) * 3)
# The same with 9 of 18 wrong, and 40 in all.
FORTIETHS = chained(1, ((9,), (8, 1)), (7, 7, 2, 6))


def half_wrong(rng: np.random.Generator, unit: int) -> World:
    """ā = 1/2 in a clique: c = 2, a = 1/2 and γ = 0."""
    return chained(1, (composed(rng, unit), composed(rng, unit)), composed(rng, unit + 1))


def third_wrong(rng: np.random.Generator, unit: int) -> World:
    """ā = 1/3 in a clique: c = 3."""
    return chained(1, (composed(rng, unit), composed(rng, 2 * unit)), composed(rng, unit + 1))


def all_wrong(rng: np.random.Generator, unit: int) -> World:
    """ā = 1: c = 1."""
    return chained(2, (composed(rng, unit), composed(rng, unit)))


def doubled(rng: np.random.Generator, unit: int) -> World:
    """The part that is wrong reaches two more that together weigh as much: c̄ = 2."""
    return chained(1, (composed(rng, 2 * unit), (unit,), (unit,), (1,)))


def tripled(rng: np.random.Generator, unit: int) -> World:
    """The part that is wrong reaches two more that each weigh as much: c̄ = 3 and ā < 1/3."""
    return chained(1, (composed(rng, unit), (unit,), (unit,), (1,)))


FAMILIES: dict[str, Callable[[np.random.Generator, int], World]] = {
    "half of a class wrong": half_wrong,
    "a third of a class wrong": third_wrong,
    "all of a class wrong": all_wrong,
    "a part that reaches twice itself": doubled,
    "a part that reaches three times itself": tripled,
}


def family(name: str, count: int = 40) -> Iterator[World]:
    rng = np.random.default_rng(0)
    for unit in range(2, count + 2):
        yield FAMILIES[name](rng, unit)


def some_students(world: World) -> set[Labels]:
    """Students constant on every connected part, the teacher, and one wrong point alone."""
    clique = [int(world.truth[i] == 1) for i in range(world.atoms.n)]
    constant = {tuple(pair[part] for part in clique) for pair in product(range(2), repeat=2)}
    return {*constant, world.teacher, (1 - world.truth[0], *world.truth[1:])}


def share(world: World, points: int) -> Fraction:
    return Fraction(int(world.atoms.mass[points]), world.atoms.total)


def constants(world: World) -> tuple[Fraction, Fraction | float]:
    """ā and c̄ as they are; c̄ is a ratio of two weights, so no other fraction is as near."""
    worst = world.worst_class_error
    found = world.expansion(worst)
    exact = Fraction(found).limit_denominator(world.atoms.total) if found < math.inf else math.inf
    return Fraction(*worst), exact


def directly(world: World, student: Labels, c: Fraction) -> Fraction:
    """The smaller of both formulas of the direct argument, of which one needs c > 2."""
    apart = share(world, differing(student, world.teacher))
    rough, wrong = share(world, world.inconsistent(student)), share(world, world.wrong)
    wide = ((c + 1) * apart + 2 * c * rough) / (c - 1) - wrong
    return min(wide, c / (c - 2) * (apart - wrong + 2 * rough)) if c > 2 else wide


def agrees(found: Bound, holds: bool, exact: Fraction | None, error: Fraction) -> None:
    """Status, value and error are as they are in fractions."""
    assert found.status == ("holds" if holds else "violated"), found
    if exact is None:
        assert found.value is None, found
    else:
        assert found.value == pytest.approx(float(exact), rel=1e-9, abs=1e-12), found
    if holds:
        assert found.value is not None
        assert error <= found.value + 1e-9, found


def held_to_fractions(world: World, students: set[Labels]) -> None:
    """Both theorems of Wei et al. that speak of any student, on every student given."""
    a, expansion = constants(world)
    c, wei = Fraction(min(1 / a, expansion)), wei2021_pseudolabels
    first = world.pool(world.truth)
    measured = wei.small_sets(first, wei.teachers_worst_class_error(first))
    for student in students:
        error, pool = share(world, differing(student, world.truth)), world.pool(student)
        value = directly(world, student, c) if c > 1 else None
        found = wei.for_any_student_directly(pool, expansion=measured)
        agrees(found, c > 1, value, error)
        published = wei.for_any_student(pool, expansion=measured)
        holds = a < Fraction(1, 3) and expansion > 3
        assert published.status == ("holds" if holds else "violated")
        assert (published.value is None) == (c <= 1)


@pytest.mark.parametrize("world", [SIX_AND_THREE, FORTIETHS])
def test_every_student_where_half_of_a_class_is_wrong(world: World) -> None:
    # In floating point 1/ā exceeds 2 in both worlds.
    assert constants(world) == (Fraction(1, 2), math.inf)
    assert 1 / wei2021_pseudolabels.teachers_worst_class_error(world.pool(world.truth)) > 2
    held_to_fractions(world, set(product(range(2), repeat=world.atoms.n)))


@pytest.mark.parametrize("name", FAMILIES)
def test_no_tie_makes_a_bound_of_small_sets_hold(name: str) -> None:
    for world in family(name):
        held_to_fractions(world, some_students(world))


def test_rounding_puts_the_ties_on_either_side() -> None:
    # Without this the families would show nothing. (Where all of a class is wrong, ā is 1 exactly.)
    wei = wei2021_pseudolabels
    for name in set(FAMILIES) - {"all of a class wrong"}:
        sides = set()
        for world in family(name):
            pool = world.pool(world.truth)
            a = wei.teachers_worst_class_error(pool)
            expansion = lower_end(wei.small_sets(pool, a))
            assert expansion is not None
            exact_a, exact_expansion = constants(world)
            c = wei.effective_expansion(a, expansion)
            sides.add(int(np.sign(c - float(min(1 / exact_a, exact_expansion)))))
        assert sides == {-1, 0, 1}


def test_expansion_below_or_above_a_tie_counts_again() -> None:
    # 10 of 19 and 9 of 19 wrong: c = 1.9 has no sharper formula, c = 19/9 has.
    for right, wrong in ((9, 10), (10, 9)):
        world = chained(1, ((wrong,), (right,)), (7,))
        held_to_fractions(world, some_students(world))
    found = wei2021_pseudolabels.for_any_student_directly(world.pool(world.truth))
    assert found.value == pytest.approx(0, abs=1e-12)  # 19 · (9 − 9)/26: nothing is wrong
    assert not found.vacuous


def test_half_of_a_class_wrong_leaves_the_other_theorems_without_a_value() -> None:
    # a = 1/2 and γ = 0: each divides by a difference that is 0, or 1e-16 after rounding.
    rounded = 0
    for world in family("half of a class wrong"):
        pool = world.pool(world.truth)
        for found in (
            lang2024_correction.for_class(pool, 1),
            blum1998_independent_views.for_class(pool, 1),
            cai2021_propagation.for_student(pool),
        ):
            agrees(found, False, None, Fraction(0))
        rounded += lang2024_correction.for_class(pool, 1).constants["a"] != 0.5
    assert rounded > 5


def test_unlabelled_points_that_reach_exactly_twice_the_share_of_mistakes() -> None:
    # One unlabelled point is near all labelled ones but half of the mistakes, which weigh 1/4:
    # c₁ = 1, c₂ = 1/2, and c_min/c_max = 1/2 = 2a.
    rng, rounded = np.random.default_rng(0), 0
    for unit in range(2, 42):
        right, near, far = (composed(rng, times * unit) for times in (6, 1, 1))  # 1/4 is wrong
        weights = (*right, *near, *far, 3)
        n, reached = len(weights) - 1, len(right) + len(near)
        world = World(
            Atoms(weights, tuple((i, n) for i in range(reached))),
            (0,) * (n + 1),
            (0,) * len(right) + (1,) * (n - len(right)) + (0,),
        )
        covered = np.arange(n + 1) < n
        found = lang2024_coverage.for_class(world.pool(world.truth), 0, covered)
        assert [h.name for h in found.failed()] == ["c_min/c_max"]
        agrees(found, False, None, Fraction(0))
        rounded += found.constants["c₂"] > 2 * found.constants["a"] * found.constants["c₁"]
    assert rounded > 5


def test_no_row_of_a_ledger_is_broken_at_a_tie() -> None:
    # Every theorem and the certificate, with and without unlabelled points.
    worlds = [SIX_AND_THREE, FORTIETHS, *(w for name in FAMILIES for w in family(name, 5))]
    rows = []
    for world in worlds:
        n = world.atoms.n
        for student in ((0,) * n, world.truth, world.teacher):
            pool, covered = world.pool(student), np.arange(n) % 3 > 0
            mu = edge_inconsistency(pool.graph, pool.known_truth)
            free = label_free(pool, error=pool.teacher_error, inconsistency=mu)
            rows += [certificate_row(free, pool), *ledger(pool).bounds]
            rows += ledger(pool, covered=covered).bounds
    holding = [bound for bound in rows if bound.status == "holds"]
    for bound in holding:
        assert bound.value is not None
        assert bound.measured is not None
        assert bound.measured.share <= bound.value + 1e-9, bound
    assert len({bound.name for bound in holding}) == 12  # all but those that ask for ā < 1/3


# Ties at 1 and at 1/2, as rounding leaves them.
UP, DOWN = np.nextafter(1.0, 2), np.nextafter(0.5, 0)


@pytest.mark.parametrize(
    ("formula", "tie", "clear"),
    [
        (wei2021_pseudolabels.student_error_bound, (0.1, 0, 0.1, UP), (0.1, 0, 0.1, 1.001)),
        (wei2021_pseudolabels.minimiser_error_bound, (0.1, 0, UP), (0.1, 0, 1.001)),
        (wei2021_pseudolabels.sharper_error_bound, (0.1, 0, 0.1, 2 * UP), (0.1, 0, 0.1, 2.001)),
        (cai2021_propagation.propagated_error_bound, (UP, 0.5, 0), (1.001, 0.5, 0)),
        (cai2021_propagation.propagated_error_bound, (3, 1e-16, 0), (3, 0.001, 0)),
        (blum1998_independent_views.independent_error, (0.5, DOWN), (0.5, 0.499)),
        (lang2024_correction.corrected_error_bound, (0.5, 0, DOWN, 1), (0.5, 0, 0.499, 1)),
        (lang2024_correction.corrected_error_bound, (0.5, 0, 0.25, 3 * UP), (0.5, 0, 0.25, 2.999)),
        (lang2024_coverage.onto_right_error_bound, (0, 0, 0, 1e-16), (0, 0, 0, 0.001)),
        (lang2024_coverage.uncovered_error_bound, (0, 0, 0, 1e-16, 0, 0), (0, 0, 0, 0.001, 0, 0)),
        (
            lang2024_coverage.uncovered_error_bound,
            (0, 0, 0.25, 1, UP / 2, 0),
            (0, 0, 0.25, 1, 0.501, 0),
        ),
    ],
)
def test_no_formula_divides_by_what_rounding_left(
    formula: Callable[..., float], tie: tuple[float, ...], clear: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r" is | are "):
        formula(*map(float, tie))
    assert math.isfinite(formula(*clear))
