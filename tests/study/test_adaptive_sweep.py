"""A sweep finds where a sign changes, keeps to its budget, and goes the same way again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.study.adaptive_sweep import (
    Floats,
    Lattice,
    Node,
    Rule,
    Square,
    explore,
    requests,
    sign,
    squares,
    table,
    undecided_share,
)

PLANE = Lattice((0.0, 0.0), (1.0, 1.0), (3, 3), 2)


class World:
    """Draws of a known function of the knobs with normal noise, the same draws each time."""

    def __init__(
        self, lattice: Lattice, sd: float = 0.1, border: float = 0.4, seed: int = 0
    ) -> None:
        self.lattice, self.sd, self.border, self.seed = lattice, sd, border, seed
        self.asked: list[dict[Node, int]] = []

    def truth(self, node: Node) -> float:
        return self.lattice.at(node)[0] - self.border

    def __call__(self, wanted: Mapping[Node, int]) -> dict[Node, Floats]:
        self.asked.append(dict(wanted))
        return {
            node: self.truth(node)
            + self.sd * np.random.default_rng([self.seed, *node]).normal(size=32)[:count]
            for node, count in wanted.items()
        }


def test_a_lattice_by_hand() -> None:
    lattice = Lattice((0.0, -1.0), (2.0, 1.0), (3, 2), 1)
    assert (lattice.stride, lattice.shape) == (2, (5, 3))
    assert lattice.coarse() == [(0, 0), (0, 2), (2, 0), (2, 2), (4, 0), (4, 2)]
    assert len(lattice.finest()) == 15
    assert lattice.at((1, 1)) == (0.5, 0.0)
    assert lattice.at((4, 2)) == (2.0, 1.0)
    third = Lattice((0.0, 0.1), (1.0, 0.7), (4, 4), 0)
    assert third.at((3, 3)) == (1.0, 0.7)  # not 0.7000000000000001


@pytest.mark.parametrize(
    ("low", "high", "sides", "halvings", "error", "match"),
    [
        ((0, 0), (0, 1), (3, 3), 1, ValueError, "low < high"),
        ((0, 0), (1, np.inf), (3, 3), 1, ValueError, "finite"),
        ((0, 0), (1, 1), (1, 3), 1, ValueError, "at least 2"),
        ((0, 0), (1, 1), (3, 3), -1, ValueError, "at least 0"),
        ((0, 0), (1, 1), (3, 3), 9, MemoryError, "fewer"),
    ],
)
def test_lattices_that_are_none_are_refused(
    low: tuple[float, float],
    high: tuple[float, float],
    sides: tuple[int, int],
    halvings: int,
    error: type[Exception],
    match: str,
) -> None:
    with pytest.raises(error, match=match):
        Lattice(low, high, sides, halvings)


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({"first": 1}, "at least 2"),
        ({"most": 3}, "at least first = 4"),
        ({"sure": 0.0}, "positive"),
        ({"target": 1.5}, "share"),
    ],
)
def test_rules_that_are_none_are_refused(rule: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Rule(**rule)  # type: ignore[arg-type]


def test_a_budget_below_the_coarse_lattice_is_refused_before_any_draw() -> None:
    world = World(PLANE)
    with pytest.raises(ValueError, match="need at least 36"):
        explore(PLANE, Rule(35), world)
    assert world.asked == []
    explore(PLANE, Rule(36), world)
    assert world.asked == [dict.fromkeys(PLANE.coarse(), 4)]


def test_signs_by_hand() -> None:
    # Mean 2 and sd 2: the standard error of four draws is 1.
    draws = np.array([0.0, 2.0, 2.0, 4.0]) * np.sqrt(3 / 2) + 2 * (1 - np.sqrt(3 / 2))
    assert draws.mean() == pytest.approx(2)
    assert draws.std(ddof=1) == pytest.approx(2)
    assert sign(draws, 1.99) == 1
    assert sign(-draws, 1.99) == -1
    assert sign(draws, 2.01) == 0
    assert sign(np.array([1.0, 1.0]), 2.0) == 0  # equal draws prove nothing
    assert sign(np.array([1.0]), 2.0) == 0


def test_the_first_requests_by_hand() -> None:
    lattice, rule = Lattice((0.0, 0.0), (1.0, 1.0), (2, 2), 1), Rule(100, 2, 8)
    assert requests(lattice, rule, {}) == {(0, 0): 2, (0, 2): 2, (2, 0): 2, (2, 2): 2}
    sure, unsure = np.array([1.0, 1.1]), np.array([1.0, -0.8])
    found = {(0, 0): sure, (0, 2): -sure, (2, 0): sure, (2, 2): unsure}
    middles = {(1, 1): 2, (1, 0): 2, (0, 1): 2, (1, 2): 2, (2, 1): 2}
    assert requests(lattice, rule, found) == middles | {(2, 2): 4}
    assert requests(lattice, Rule(15, 2, 8), found) == {(1, 1): 2, (1, 0): 2, (0, 1): 2}
    assert requests(lattice, Rule(8, 2, 8), found) == {}
    assert requests(lattice, Rule(100, 2, 8, target=1.0), found) == {}
    assert undecided_share(lattice, rule, found) == 1.0
    everywhere = {node: sure for node in found}
    assert requests(lattice, rule, everywhere) == {}
    assert undecided_share(lattice, rule, everywhere) == 0.0


def test_a_middle_that_a_neighbour_brought_counts() -> None:
    lattice, rule = Lattice((0.0, 0.0), (2.0, 1.0), (3, 2), 1), Rule(100, 2, 8)
    sure = np.array([1.0, 1.1])
    found = {node: sure for node in lattice.coarse()} | {(2, 1): -sure}
    wanted = requests(lattice, rule, found)
    # Both squares beside the middle (2, 1) of their common edge are cut.
    assert set(wanted) == {(1, 1), (1, 0), (0, 1), (1, 2), (3, 1), (3, 0), (3, 2), (4, 1)}


def test_squares_tile_the_plane_by_hand() -> None:
    lattice = Lattice((0.0, 0.0), (1.0, 1.0), (2, 2), 2)
    found: dict[Node, Floats] = {n: np.ones(2) for n in [*lattice.coarse(), (2, 2), (2, 0), (0, 2)]}
    assert squares(lattice, found) == [Square((0, 0), 4)]
    found |= {(2, 4): np.ones(2), (4, 2): np.ones(2)}
    assert squares(lattice, found) == [Square(c, 2) for c in [(0, 0), (0, 2), (2, 0), (2, 2)]]
    found |= {node: np.ones(2) for node in Square((2, 2), 2).middles}
    coarse = [Square(c, 2) for c in [(0, 0), (0, 2), (2, 0)]]
    fine = [Square(c, 1) for c in [(2, 2), (2, 3), (3, 2), (3, 3)]]
    assert squares(lattice, found) == coarse + fine


@given(
    seed=st.integers(0, 1000),
    budget=st.integers(36, 400),
    sd=st.floats(0.01, 2.0),
    halvings=st.integers(0, 2),
)
def test_what_holds_of_every_sweep(seed: int, budget: int, sd: float, halvings: int) -> None:
    lattice = Lattice((0.0, 0.0), (1.0, 1.0), (3, 3), halvings)
    world, rule = World(lattice, sd, seed=seed), Rule(budget, most=16)
    found = explore(lattice, rule, world)
    assert sum(len(values) for values in found.values()) <= budget
    assert all(4 <= len(values) <= 16 for values in found.values())
    assert set(lattice.coarse()) <= set(found) <= set(lattice.finest())
    tiles = squares(lattice, found)
    assert sum(square.size**2 for square in tiles) == (2 * lattice.stride) ** 2
    assert all(node in found for square in tiles for node in square.corners)
    # The same again, and with a part of the budget first: what is known is asked for as it was.
    again = World(lattice, sd, seed=seed)
    part = explore(lattice, Rule(max(36, budget // 2), most=16), again)
    assert all(len(part[node]) <= len(found[node]) for node in part)
    assert set(part) <= set(found)


def test_draws_go_to_the_border() -> None:
    world = World(PLANE, sd=0.05)
    found = explore(PLANE, Rule(600), world)
    assert {(3, j) for j in range(9)} | {(4, j) for j in range(9)} <= set(found)  # 0.375 and 0.5
    assert all(PLANE.at(node)[0] <= 0.75 for node in set(found) - set(PLANE.coarse()))
    wrong = [n for n, v in found.items() if sign(v, 2.0) * world.truth(n) < 0]
    # Each node errs at 2 se with Student's 3 degrees at most 7%, and only those near 0 can.
    assert len(wrong) <= 3


def test_a_target_ends_a_sweep_early() -> None:
    rough = explore(PLANE, Rule(600, target=0.6), World(PLANE))
    fine = explore(PLANE, Rule(600), World(PLANE))
    spent = [sum(len(values) for values in found.values()) for found in (rough, fine)]
    assert spent[0] < spent[1]
    assert undecided_share(PLANE, Rule(600), rough) <= 0.6


@pytest.mark.parametrize("values", [np.ones(3), np.full(4, np.nan)])
def test_a_measure_that_gives_something_else_is_refused(values: Floats) -> None:
    with pytest.raises(ValueError, match="needs 4 finite values"):
        explore(PLANE, Rule(36), lambda wanted: dict.fromkeys(wanted, values))


def test_the_table_by_hand() -> None:
    lattice = Lattice((0.0, 0.0), (1.0, 2.0), (2, 2), 0)
    found = {(1, 0): np.array([1.0, 1.0]), (0, 1): np.array([0.0, 2.0])}
    rows = table(lattice, found, ("a", "b"))
    assert [*rows.columns] == ["a", "b", "n", "mean", "spread", "low", "high"]
    assert rows[["a", "b", "n", "mean"]].to_numpy().tolist() == [[0, 2, 2, 1], [1, 0, 2, 1]]
    # Student's 97.5% quantile at one degree of freedom is 12.7062; the standard error is 1.
    assert rows.loc[0, "low"] == pytest.approx(1 - 12.7062, abs=1e-4)
    assert rows.loc[0, "high"] == pytest.approx(1 + 12.7062, abs=1e-4)
    assert rows.loc[1, "low"] is None


@pytest.mark.parametrize("names", [("a", "mean"), ("a", "a")])
def test_a_knob_that_hides_a_column_is_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="two different names"):
        table(PLANE, {(0, 0): np.array([0.0, 1.0])}, names)
