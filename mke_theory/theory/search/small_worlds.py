"""Worlds small enough to enumerate: every graph, truth, teacher and student on a few atoms.

Bounds are held to them. An atom has a whole number of weight, so every share is an exact fraction
and an inequality that holds with equality is not lost to rounding. A set S of the n atoms is its
number Σ_{i ∈ S} 2^i, with tables over all 2^n sets of the mass, of B(S) and of N(S). The tables
share no code with the modules that they check.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Edges = tuple[tuple[int, int], ...]
Labels = tuple[int, ...]
Ratio = tuple[int, int]
"""A share as numerator and denominator."""

MOST_ATOMS = 12
"""A table over all sets of more atoms is refused."""


@dataclass(frozen=True)
class Atoms:
    """Points with whole weights and a neighbour graph; tables over their sets come on demand.

    Raises ValueError for fewer than 2 or more than `MOST_ATOMS` atoms, a negative weight, weights
    that are all zero, or an edge that does not join two of the atoms.
    """

    weights: tuple[int, ...]
    edges: Edges

    def __post_init__(self) -> None:
        if not 2 <= self.n <= MOST_ATOMS:
            raise ValueError(f"there are {self.n} atoms; allowed are 2 to {MOST_ATOMS}")
        if min(self.weights) < 0 or self.total == 0:
            raise ValueError(f"weights are {self.weights}; give whole numbers ≥ 0, not all zero")
        for i, j in self.edges:
            if not (0 <= i < self.n and 0 <= j < self.n and i != j):
                raise ValueError(f"edge ({i}, {j}) does not join two of {self.n} atoms")

    @property
    def n(self) -> int:
        """The number of atoms."""
        return len(self.weights)

    @property
    def every(self) -> int:
        """The set of all atoms."""
        return (1 << self.n) - 1

    @property
    def total(self) -> int:
        """The weight of all atoms, the denominator of every share."""
        return sum(self.weights)

    @cached_property
    def mass(self) -> Ints:
        """The weight of every set, [2^n]."""
        table = np.zeros(1, np.int64)
        for weight in self.weights:
            table = np.concatenate([table, table + weight])
        return table

    @cached_property
    def reach(self) -> Ints:
        """B(S) for every set S, [2^n]."""
        around = [1 << i for i in range(self.n)]
        for i, j in self.edges:
            around[i] |= 1 << j
            around[j] |= 1 << i
        table = np.zeros(1, np.int64)
        for sets in around:
            table = np.concatenate([table, table | sets])
        return table

    @cached_property
    def neighbourhood(self) -> Ints:
        """N(S) = B(B(S)) for every set S, [2^n]."""
        return self.reach[self.reach]

    def steps(self, steps: int) -> Ints:
        """B(S) for one step and N(S) for two, [2^n]. Raises ValueError for another number."""
        if steps not in (1, 2):
            raise ValueError(f"steps is {steps}; B takes 1 step and N takes 2")
        return self.reach if steps == 1 else self.neighbourhood

    @cached_property
    def graph(self) -> Graph:
        """The same points and edges as the theory takes them, with all edges of one weight."""
        weights = np.array(self.weights, np.float64) / self.total
        return Graph.from_edges(self.n, np.array(self.edges).reshape(-1, 2), weights=weights)


@dataclass(frozen=True)
class World:
    """Atoms with the truth and the teacher's labels, both in 0..classes−1."""

    atoms: Atoms
    truth: Labels
    teacher: Labels
    classes: int = 2

    def pool(self, student: ArrayLike) -> LabelledPool:
        """The same world and a student, as the bounds take them."""
        labels = [np.asarray(x, dtype=np.int64) for x in (self.teacher, student, self.truth)]
        return LabelledPool(self.atoms.graph, labels[0], labels[1], self.classes, labels[2])

    def share(self, points: int) -> float:
        """The weight of a set, in [0, 1]."""
        return float(self.atoms.mass[points]) / self.atoms.total

    def error(self, student: Labels) -> float:
        """P(student ≠ truth)."""
        return self.share(differing(student, self.truth))

    def disagreement(self, student: Labels) -> float:
        """P(student ≠ teacher)."""
        return self.share(differing(student, self.teacher))

    @property
    def teacher_error(self) -> float:
        """P(teacher ≠ truth)."""
        return self.share(differing(self.teacher, self.truth))

    def inconsistency(self, labels: Labels) -> float:
        """R_B(labels), summed over the atoms one by one."""
        return self.share(self.inconsistent(labels))

    def inconsistent(self, labels: Labels, steps: int = 1) -> int:
        """The set of atoms that see more than one label within `steps` steps."""
        around = self.atoms.steps(steps)
        seen = [{labels[j] for j in members(int(around[1 << i]))} for i in range(self.atoms.n)]
        return sum(1 << i for i, kinds in enumerate(seen) if len(kinds) > 1)

    @cached_property
    def slices(self) -> tuple[int, ...]:
        """The set of atoms of each class."""
        return tuple(sum(1 << i for i, y in enumerate(self.truth) if y == k) for k in self.kinds)

    @property
    def kinds(self) -> range:
        """The classes, 0..classes−1."""
        return range(self.classes)

    @cached_property
    def wrong(self) -> int:
        """The set of atoms on which the teacher errs."""
        return differing(self.teacher, self.truth)

    def expansion(self, most: Ratio) -> float:
        """The largest c for which every class expands with (most, c), by going through all sets."""
        numerator, denominator = most
        found = [
            small_set_expansion(self.atoms, inside)[numerator * mass // denominator]
            for inside in self.slices
            if (mass := int(self.atoms.mass[inside]))
        ]
        return float(min(found))

    @cached_property
    def worst_class_error(self) -> Ratio:
        """ā, the largest P(teacher ≠ truth | class), as numerator and denominator."""
        mass = self.atoms.mass
        shares = [(int(mass[s & self.wrong]), int(mass[s])) for s in self.slices if mass[s]]
        return max(shares, key=lambda share: share[0] / share[1])


@lru_cache(maxsize=1024)
def small_set_expansion(atoms: Atoms, inside: int) -> Floats:
    """Entry w is the largest c with P(N(V)) ≥ min{c P(V), 1} for all V of mass at most w.

    V runs over the subsets of `inside`, and P is conditional on `inside`. [mass(inside) + 1];
    infinite where no set of positive mass is that small, or all that are reach everything.
    """
    mass, whole = atoms.mass, int(atoms.mass[inside])
    sets = subsets(inside, atoms.n)
    sets = sets[mass[sets] > 0]
    reached = mass[atoms.neighbourhood[sets] & inside]
    ratio = np.where(reached == whole, np.inf, reached / mass[sets])
    curve = np.full(whole + 1, np.inf)
    np.minimum.at(curve, mass[sets], ratio)
    return _read_only(np.minimum.accumulate(curve))


def _read_only(curve: Floats) -> Floats:
    """The same array, which callers share and may not change."""
    curve.flags.writeable = False
    return curve


def labellings(n: int, classes: int = 2) -> Ints:
    """Every labelling of n points with 0..classes−1, [classes^n, n]."""
    return np.array(list(product(range(classes), repeat=n)), dtype=np.int64)


def subsets(inside: int, n: int) -> Ints:
    """Every subset of `inside`, as set numbers."""
    sets = np.arange(1 << n)
    return sets[(sets & ~inside) == 0]


def differing(first: Labels, second: Labels) -> int:
    """The set of points on which two labellings differ."""
    pairs = zip(first, second, strict=True)
    return sum(1 << i for i, (one, other) in enumerate(pairs) if one != other)


def members(points: int) -> tuple[int, ...]:
    """The points of a set number, in order."""
    return tuple(i for i in range(points.bit_length()) if points >> i & 1)
