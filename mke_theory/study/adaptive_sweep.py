"""The line on a plane of two knobs where a number changes its sign, found by draws near it.

A lattice starts coarse. A square whose corners differ in sign is cut into four, and a node whose
mean is within two standard errors of 0 is drawn again, until the budget is spent or nothing is
left to ask. What comes next depends on the values found and on nothing else, so a sweep that was
interrupted, or given more budget, goes the same way again.

Draws stop where a sign is decided, so the decided side of the change is a little too sure of itself
(a mean is looked at more than once): read the intervals there as those of a first look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mke_theory.evaluation.stats import paired_difference

Floats = NDArray[np.float64]
Node = tuple[int, int]
"""A place on the finest lattice: whole numbers, the first knob's first."""

Found = Mapping[Node, Floats]
"""Every node that was measured, with its draws in order."""

MOST_NODES = 100_000


@dataclass(frozen=True)
class Lattice:
    """`sides` evenly spaced positions of each knob, whose steps may be halved `halvings` times.

    Raises ValueError where an end is not finite, `high` is not above `low`, a side is below 2 or
    halvings below 0; MemoryError where the finest lattice has more than 100,000 nodes.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    sides: tuple[int, int] = (7, 7)
    halvings: int = 2

    def __post_init__(self) -> None:
        for low, high in zip(self.low, self.high, strict=True):
            if not (np.isfinite([low, high]).all() and low < high):
                raise ValueError(
                    f"a knob runs from {low} to {high}; give two finite ends, low < high"
                )
        if min(self.sides) < 2:
            raise ValueError(f"sides are {self.sides}; a knob needs at least 2 positions")
        if self.halvings < 0:
            raise ValueError(f"halvings is {self.halvings}; it has to be at least 0")
        wide, tall = self.shape
        if wide * tall > MOST_NODES:
            raise MemoryError(
                f"the finest lattice has {wide} x {tall} nodes; the limit is {MOST_NODES:,}: take "
                "fewer sides or halvings"
            )

    @property
    def stride(self) -> int:
        """Fine steps in a coarse one."""
        return int(2**self.halvings)

    @property
    def shape(self) -> tuple[int, int]:
        """Positions of each knob on the finest lattice."""
        wide, tall = ((side - 1) * self.stride + 1 for side in self.sides)
        return wide, tall

    def coarse(self) -> list[Node]:
        """The nodes of the start."""
        wide, tall = self.shape
        return list(product(range(0, wide, self.stride), range(0, tall, self.stride)))

    def finest(self) -> list[Node]:
        """Every node that can be asked for."""
        wide, tall = self.shape
        return list(product(range(wide), range(tall)))

    def at(self, node: Node) -> tuple[float, float]:
        """The knobs at a node; both ends are hit exactly."""
        x, y = (
            low + (high - low) * step / (count - 1) if step < count - 1 else high
            for low, high, step, count in zip(self.low, self.high, node, self.shape, strict=True)
        )
        return float(x), float(y)


@dataclass(frozen=True)
class Rule:
    """The budget of a sweep and its end.

    budget: draws in all. first: draws of a new node, at least 2; a node that stays undecided is
    given twice as many, up to `most`. sure: standard errors that a mean has to be from 0 for its
    sign to count as decided. target: the sweep ends early where no more than this share of the
    plane lies in squares whose nodes have not all the same decided sign.
    """

    budget: int = 1000
    first: int = 4
    most: int = 32
    sure: float = 2.0
    target: float = 0.0

    def __post_init__(self) -> None:
        if self.first < 2:
            raise ValueError(f"first is {self.first}; a standard error needs at least 2 draws")
        if self.most < self.first:
            raise ValueError(f"most is {self.most}; it has to be at least first = {self.first}")
        if not 0 < self.sure < np.inf:
            raise ValueError(f"sure is {self.sure}; it has to be positive and finite")
        if not 0 <= self.target <= 1:
            raise ValueError(f"target is {self.target}; it is a share in [0, 1]")

    def refuse_too_little(self, lattice: Lattice) -> None:
        """Raise ValueError where the budget does not pay for the coarse lattice."""
        needed = len(lattice.coarse()) * self.first
        if self.budget < needed:
            raise ValueError(
                f"budget is {self.budget}; {len(lattice.coarse())} cells of {self.first} draws "
                f"need at least {needed}: raise it, or take fewer sides"
            )


Measure = Callable[[Mapping[Node, int]], Found]
"""From nodes and how many draws each needs in all, to those draws."""


def explore(lattice: Lattice, rule: Rule, measure: Measure) -> dict[Node, Floats]:
    """All draws of a sweep by node.

    `measure` has to return, for every node it is asked for, as many values as it is asked for, the
    same ones each time.

    Raises ValueError where it does not, or the budget does not pay for the coarse lattice.
    """
    rule.refuse_too_little(lattice)
    found: dict[Node, Floats] = {}
    while wanted := requests(lattice, rule, found):
        measured = measure(wanted)
        for node, count in wanted.items():
            values = np.asarray(measured[node], dtype=np.float64)
            if values.shape != (count,) or not np.isfinite(values).all():
                raise ValueError(f"node {node} needs {count} finite values; got {values}")
            found[node] = values
    return found


def requests(lattice: Lattice, rule: Rule, found: Found) -> dict[Node, int]:
    """The next nodes and how many draws each is to have in all; empty where the sweep is over.

    First the coarse lattice, then the middles of squares whose corners differ in sign (larger
    squares first), then more draws where the sign is undecided (fewer draws first).
    """
    missing = [node for node in lattice.coarse() if node not in found]
    if missing:
        return dict.fromkeys(missing, rule.first)
    if undecided_share(lattice, rule, found) <= rule.target:
        return {}
    wanted: dict[Node, int] = {}
    for square in squares(lattice, found):
        if square.size > 1 and len({np.sign(found[n].mean()) for n in square.known(found)}) > 1:
            wanted |= {node: rule.first for node in square.middles if node not in found}
    open_nodes = [n for n, v in found.items() if sign(v, rule.sure) == 0 and len(v) < rule.most]
    for node in sorted(open_nodes, key=lambda n: (len(found[n]), n)):
        wanted[node] = min(2 * len(found[node]), rule.most)
    return _affordable(wanted, rule, found)


def _affordable(wanted: Mapping[Node, int], rule: Rule, found: Found) -> dict[Node, int]:
    """The requests, in order, as far as the budget goes."""
    left = rule.budget - sum(len(values) for values in found.values())
    kept = {}
    for node, count in wanted.items():
        left -= count - len(found.get(node, ()))
        if left < 0:
            break
        kept[node] = count
    return kept


@dataclass(frozen=True)
class Square:
    """A square of the plane that is not cut further: its lowest corner and its size in steps."""

    corner: Node
    size: int

    @property
    def corners(self) -> tuple[Node, ...]:
        i, j = self.corner
        return tuple(product((i, i + self.size), (j, j + self.size)))

    @property
    def middles(self) -> tuple[Node, ...]:
        """The middles of the edges and of the square itself."""
        (i, j), half, full = self.corner, self.size // 2, self.size
        steps = ((half, half), (half, 0), (0, half), (half, full), (full, half))
        return tuple((i + across, j + up) for across, up in steps)

    def known(self, found: Found) -> tuple[Node, ...]:
        """The corners, and those middles that a neighbour brought."""
        return (*self.corners, *(node for node in self.middles if node in found))

    @property
    def quarters(self) -> tuple[Square, ...]:
        (i, j), half = self.corner, self.size // 2
        return tuple(Square(c, half) for c in product((i, i + half), (j, j + half)))


def squares(lattice: Lattice, found: Found) -> list[Square]:
    """The squares that tile the plane, larger first: cut wherever all five middles are known."""
    wide, tall = lattice.shape
    starts = product(range(0, wide - 1, lattice.stride), range(0, tall - 1, lattice.stride))
    leaves = [leaf for start in starts for leaf in _leaves(Square(start, lattice.stride), found)]
    return sorted(leaves, key=lambda square: (-square.size, square.corner))


def _leaves(square: Square, found: Found) -> Iterator[Square]:
    if square.size == 1 or any(node not in found for node in square.middles):
        yield square
        return
    for quarter in square.quarters:
        yield from _leaves(quarter, found)


def sign(values: Floats, sure: float = 2.0) -> int:
    """1 or −1 where |mean| ≥ sure · sd/√n, else 0; 0 too for draws without spread."""
    found = paired_difference(values, np.zeros(len(values)))
    if not found.sd or abs(found.mean) < sure * found.sd / found.n**0.5:
        return 0
    return 1 if found.mean > 0 else -1


def undecided_share(lattice: Lattice, rule: Rule, found: Found) -> float:
    """The share of the plane in squares whose nodes have not all the same decided sign."""
    wide, tall = lattice.shape
    area = 0
    for square in squares(lattice, found):
        signs = {sign(found[node], rule.sure) for node in square.known(found)}
        area += 0 if signs in ({1}, {-1}) else square.size**2
    return area / ((wide - 1) * (tall - 1))


def table(lattice: Lattice, found: Found, names: tuple[str, str]) -> pd.DataFrame:
    """One row a node: both knobs, n, mean, spread (sd), and Student's 95% interval [low, high].

    low and high are None where the draws are too few, or too equal, for an interval. Raises
    ValueError where a knob has the name of another column.
    """
    taken = {"n", "mean", "spread", "low", "high"} & set(names)
    if taken or names[0] == names[1]:
        raise ValueError(f"knobs are named {names}; two different names, none of them {taken}")
    rows: list[dict[str, Any]] = []
    for node in sorted(found):
        cell = paired_difference(found[node], np.zeros(len(found[node])))
        ends = (None, None) if cell.interval is None else (cell.interval.low, cell.interval.high)
        place = dict(zip(names, lattice.at(node), strict=True))
        rows.append(
            place
            | {"n": cell.n, "mean": cell.mean, "spread": cell.sd, "low": ends[0], "high": ends[1]}
        )
    kinds = {"n": int, "mean": float, names[0]: float, names[1]: float}
    return pd.DataFrame(rows, dtype=object).astype(kinds)


__all__ = [
    "Floats",
    "Found",
    "Lattice",
    "Measure",
    "Node",
    "Rule",
    "Square",
    "explore",
    "requests",
    "sign",
    "squares",
    "table",
    "undecided_share",
]
