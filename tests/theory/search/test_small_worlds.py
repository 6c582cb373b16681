"""The enumerated worlds agree with the definitions, and with the code that they are to judge."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mke_theory.theory.expansion.relative import (
    certified_constant,
    relative_expansion_profile,
)
from mke_theory.theory.graph import inconsistent, vertex_inconsistency
from mke_theory.theory.search.small_worlds import (
    Atoms,
    World,
    differing,
    labellings,
    members,
    small_set_expansion,
    subsets,
)
from tests.theory.tables import (
    class_sets,
    differing_sets,
    graphs,
    inconsistent_sets,
    relative_expansion,
)

PATH = Atoms((1, 2, 3, 4), ((0, 1), (1, 2), (2, 3)))


@st.composite
def atoms(draw: st.DrawFn, most: int = 6) -> Atoms:
    n = draw(st.integers(2, most))
    weights = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any))
    pairs = tuple(combinations(range(n), 2))
    kept = draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    return Atoms(tuple(weights), tuple(p for p, k in zip(pairs, kept, strict=True) if k))


def mask(points: int, n: int) -> np.ndarray:
    return np.array([bool(points >> i & 1) for i in range(n)])


def test_tables_of_a_path_by_hand() -> None:
    assert PATH.total == 10
    assert PATH.mass[0b1010] == 2 + 4
    assert PATH.reach[0b0001] == 0b0011
    assert PATH.neighbourhood[0b0001] == 0b0111
    assert PATH.reach[0b1001] == 0b1111
    assert PATH.reach[0] == PATH.neighbourhood[0] == 0
    assert members(0b1010) == (1, 3)
    assert list(subsets(0b101, 3)) == [0, 1, 4, 5]


@given(atoms(), st.data())
def test_tables_agree_with_the_graph(found: Atoms, data: st.DataObject) -> None:
    points = data.draw(st.integers(0, found.every))
    inside = mask(points, found.n)
    assert (mask(int(found.reach[points]), found.n) == found.graph.reach(inside)).all()
    assert (
        mask(int(found.neighbourhood[points]), found.n) == found.graph.neighbourhood(inside)
    ).all()
    assert found.mass[points] / found.total == pytest.approx(found.graph.weights[inside].sum())


@given(atoms(), st.sampled_from([2, 3]), st.data())
def test_inconsistency_three_ways(found: Atoms, classes: int, data: st.DataObject) -> None:
    labels = data.draw(st.tuples(*[st.integers(0, classes - 1)] * found.n))
    other = data.draw(st.tuples(*[st.integers(0, classes - 1)] * found.n))
    world = World(found, labels, other, classes)
    sets = class_sets(np.array([labels, other]), classes)
    assert inconsistent_sets(found, sets)[0] == world.inconsistent(labels)
    assert inconsistent_sets(found, sets, 2)[0] == world.inconsistent(labels, 2)
    assert (
        mask(world.inconsistent(labels), found.n) == inconsistent(found.graph, np.array(labels))
    ).all()
    assert world.inconsistency(labels) == pytest.approx(
        vertex_inconsistency(found.graph, np.array(labels))
    )
    assert differing_sets(sets[0], sets[1], found.every) == differing(labels, other)


def test_small_set_expansion_by_hand() -> None:
    # A star of weight 1 each: a leaf reaches the whole star in two steps, so c is unlimited.
    star = Atoms((1, 1, 1, 1), ((0, 1), (0, 2), (0, 3)))
    assert np.isinf(small_set_expansion(star, star.every)).all()
    # The path: {0} reaches {0, 1, 2}, 6 of 10, six times itself; {3} reaches {1, 2, 3}, 9 of 10,
    # 9/4 of itself; {1} and {2} reach all.
    curve = small_set_expansion(PATH, PATH.every)
    assert curve[1] == curve[2] == curve[3] == 6.0
    assert curve[4] == 9 / 4
    # Within {0, 3} alone neither reaches the other.
    assert list(small_set_expansion(PATH, 0b1001)) == [np.inf, 1, 1, 1, 1, 1]
    # N may pass through points outside: 0 and 2 meet in 1.
    assert small_set_expansion(PATH, 0b0101)[3] == np.inf


def test_relative_expansion_by_hand() -> None:
    # Good {0, 2} of weights 1 and 3, bad {3}: only 2 touches it, {0} reaches nothing.
    curve = relative_expansion(PATH, good=0b0101, bad=0b1000)
    # {0}: 0. {2} weighs 3/4 and reaches all: 4/3. {0, 2} weighs 1 and reaches all: 1.
    assert list(curve) == [0, 1, 1, 1, np.inf]
    assert relative_expansion(PATH, good=0b0100, bad=0b1001, steps=1)[0] == 4 / 5
    assert relative_expansion(PATH, good=0b0100, bad=0b1001, steps=2)[0] == 1.0
    with pytest.raises(ValueError, match="weighs nothing"):
        relative_expansion(PATH, good=0b0001, bad=0)
    with pytest.raises(ValueError, match="steps is 3"):
        relative_expansion(PATH, good=0b0001, bad=0b1000, steps=3)


@given(atoms(5), st.data())
def test_expansions_by_their_definitions(found: Atoms, data: st.DataObject) -> None:
    inside = data.draw(st.integers(1, found.every))
    whole, most = int(found.mass[inside]), data.draw(st.integers(0, 12))
    assume(whole > 0)
    c = small_set_expansion(found, inside)[min(most, whole)]
    for points in subsets(inside, found.n):
        weight = found.mass[points]
        if 0 < weight <= most:
            reached = found.mass[found.neighbourhood[points] & inside]
            assert reached >= min(c * weight, whole) - 1e-9
    good = data.draw(st.integers(0, found.every))
    bad = found.every & ~good & data.draw(st.integers(0, found.every))
    assume(found.mass[good] > 0 and found.mass[bad] > 0)
    curve = relative_expansion(found, good, bad)
    for above in range(int(found.mass[good])):
        ratios = [
            (found.mass[found.reach[u] & bad] / found.mass[bad])
            / (found.mass[u] / found.mass[good])
            for u in subsets(good, found.n)
            if found.mass[u] > above
        ]
        assert curve[above] == pytest.approx(min(ratios))


@given(atoms(6), st.sampled_from([1, 2]), st.data())
def test_relative_expansion_holds_the_cuts_to_account(
    found: Atoms, steps: int, data: st.DataObject
) -> None:
    good = data.draw(st.integers(1, found.every))
    bad = found.every & ~good & data.draw(st.integers(0, found.every))
    assume(found.mass[good] > 0 and found.mass[bad] > 0)
    curve = relative_expansion(found, good, bad, steps)
    n = found.n
    profile = relative_expansion_profile(found.graph, mask(bad, n), mask(good, n), steps=steps)
    # At q = 0 the two agree; above, the convex envelope may only be lower.
    assert certified_constant(profile, 0.0) == pytest.approx(curve[0], abs=1e-9)
    for above in range(int(found.mass[good])):
        assert certified_constant(profile, above / found.mass[good]) <= curve[above] + 1e-9


def test_everything_is_enumerated() -> None:
    assert len(set(graphs(4))) == 2**6
    assert len(np.unique(labellings(3, 3), axis=0)) == 27


def test_world_by_hand() -> None:
    world = World(PATH, (0, 0, 1, 1), (0, 1, 1, 1))
    assert world.teacher_error == 0.2
    assert world.worst_class_error == (2, 3)
    assert world.error((0, 0, 0, 0)) == 0.7
    assert world.disagreement((0, 0, 0, 0)) == 0.9
    assert world.inconsistency((0, 0, 1, 1)) == 0.5
    # In class 0, {0} reaches {0, 1}, all of it; in class 1 every point does.
    assert world.expansion(world.worst_class_error) == np.inf
    assert world.pool((0, 0, 0, 0)).student_error == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("weights", "edges", "message"),
    [
        ((1,), (), "there are 1 atoms"),
        ((1,) * 13, (), "there are 13 atoms"),
        ((1, -1), (), "weights are"),
        ((0, 0), (), "weights are"),
        ((1, 1), ((0, 2),), r"edge \(0, 2\)"),
        ((1, 1), ((1, 1),), r"edge \(1, 1\)"),
    ],
)
def test_atoms_refuse(
    weights: tuple[int, ...], edges: tuple[tuple[int, int], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Atoms(weights, edges)
