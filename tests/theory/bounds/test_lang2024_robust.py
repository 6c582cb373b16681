"""Robust on average: shares and knapsacks by hand, and no student of a small world errs more."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds import lang2024_correction
from mke_theory.theory.bounds.lang2024_robust import astray_share, for_class, robust_reach
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import draw
from mke_theory.theory.search.small_worlds import Atoms, World


def test_shares_and_reach_by_hand() -> None:
    # Point 0 has edges of weight 3, 1 and 1 (of 5), to 1, 2 and 3; point 4 has none.
    graph = Graph.from_edges(5, [[0, 1], [0, 2], [0, 3]], edge_weights=[3, 1, 1])
    labels = np.array([0, 0, 1, 0, 1])
    assert astray_share(graph, labels) == pytest.approx(np.array([1 / 5, 0, 1, 0, 0]))
    own, onto = np.arange(5) == 0, np.array([False, True, True, True, False])
    # All of the weight needs all three; 4/5 of it point 1 and one more; 3/5 point 1 alone; in
    # between a part of a point, and nothing where all of it may go astray.
    for eta, points in ((0, 3), (0.2, 2), (0.4, 1), (0.3, 1.5), (0.7, 0.5), (1, 0)):
        assert robust_reach(graph, own, onto, eta) == pytest.approx(points / 5, abs=1e-9)
    # Weight that leads elsewhere is taken for nothing: of {1}, at η = 2/5, there is 1/5 to find.
    assert robust_reach(graph, own, np.arange(5) == 1, 0.4) == pytest.approx(1 / 15, abs=1e-9)


def test_a_student_that_is_rough_everywhere_by_hand() -> None:
    # Class 0 is {0, …, 4}, all near each other and near point 5 of class 1; the teacher errs on 0.
    # The right student sees another label on one of five edges: it is 1/5-robust, not robust. At
    # η = 1/5, V = {1, …, 4} has 4 of its 20 edges on 0, and 4 may go astray: c = 0. With weights
    # of 1/10 on the edges to 5 they are 1/41 of each point's, η = .1 leaves most of them: c > 0.
    near = (*combinations(range(5), 2), *((i, 5) for i in range(5)))
    truth, teacher = np.array([0, 0, 0, 0, 0, 1]), np.array([1, 0, 0, 0, 0, 1])
    even = LabelledPool(Graph.from_edges(6, near), teacher, truth, 2, truth)
    assert for_class(even, 0, etas=(0.2,)).failed()[0].measured == 0
    weights = [1.0] * 10 + [0.1] * 5
    graph = Graph.from_edges(6, near, edge_weights=weights)
    pool = LabelledPool(graph, teacher, truth, 2, truth)
    assert lang2024_correction.for_class(pool, 0).vacuous
    found = for_class(pool, 0)
    # V has weight 4 on 0 and 16.4 in all; .1 of it goes astray: c = (4 − 1.64)/4 = .59.
    assert found.constants["η"] == 0.1
    assert found.constants["c"] == pytest.approx(0.59)
    relative = 0.59 / (0.8 + 0.2 * 0.59)
    assert found.value == pytest.approx((0.2 - 0.2 * (2 * relative - 1)) / (1 - 0.4 * relative))
    assert (found.status, found.vacuous) == ("holds", False)


@given(st.integers(0, 2**32 - 1))
def test_at_zero_it_is_the_theorem_for_robust_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(3, 8)), int(rng.integers(2, 4)))
    pool = world.pool(tuple(int(x) for x in rng.integers(world.classes, size=world.atoms.n)))
    for label, inside in enumerate(world.slices):
        if world.atoms.mass[inside] == 0:
            continue
        robust, plain = (
            for_class(pool, label, etas=(0,)),
            lang2024_correction.for_class(pool, label),
        )
        assert robust.value == (plain.value if plain.value is None else pytest.approx(plain.value))
        assert (robust.status, robust.measured) == (plain.status, plain.measured)


def test_no_student_of_a_small_world_errs_more() -> None:
    # 40 weighted graphs on five points, every teacher and every student of a class of five and of
    # one of three: the value bounds the error, whatever η.
    rng, pairs, useful = np.random.default_rng(0), tuple(combinations(range(5), 2)), 0
    for _ in range(40):
        kept = np.array([pair for pair in pairs if rng.random() < 0.8] or [pairs[0]])
        p = rng.integers(1, 5, 5).astype(float)
        graph = Graph.from_edges(5, kept, rng.integers(1, 9, len(kept)), p / p.sum())
        truth = np.array([0, 0, 0, 0, rng.integers(2)])
        wrong = truth ^ (np.arange(5) == rng.integers(4))
        for student in product(range(2), repeat=5):
            pool = LabelledPool(graph, wrong, np.array(student), 2, truth)
            for etas in ((0.0,), (0.2,), (0.35,), (0.5,)):
                found = for_class(pool, 0, etas=etas)
                assert found.measured is not None
                if found.value is not None:
                    assert found.measured.share <= found.value + 1e-9
                    useful += found.status == "holds" and not found.vacuous
    assert useful > 100


def test_refusals_and_ignorance() -> None:
    world = World(Atoms((1,) * 4, ()), (0,) * 4, (1, 0, 0, 0))
    pool = world.pool((0,) * 4)
    with pytest.raises(ValueError, match=r"eta is 1\.5"):
        for_class(pool, 0, etas=(1.5,))
    with pytest.raises(ValueError, match="etas is empty"):
        for_class(pool, 0, etas=())
    with pytest.raises(ValueError, match="class 1 weighs nothing"):
        for_class(pool, 1)
    blind = LabelledPool(pool.graph, pool.pseudo, pool.student, 2)
    assert for_class(blind, 0).status == "not checkable"
    half = World(Atoms((1,) * 4, ()), (0,) * 4, (1, 1, 0, 0)).pool((0,) * 4)
    assert (for_class(half, 0).value, for_class(half, 0).status) == (None, "violated")
