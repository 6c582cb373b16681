"""A search for the smallest world in which a student errs more than a claimed bound allows.

A claim maps a world and a student to (value, whether its hypotheses hold). It is refuted where they
hold and the error exceeds the value. Worlds are drawn at random, small ones first; what is found is
made smaller as long as it still refutes: fewer atoms, fewer edges, lighter weights, fewer mistakes.
A search that finds nothing proves nothing, so it reports the number of pairs that it tried, and of
those in which the hypotheses held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mke_theory.data.rng import seed_for
from mke_theory.theory.search.small_worlds import Atoms, Labels, World, labellings

Claim = Callable[[World, Labels], tuple[float | None, bool]]
Target = Callable[[World, Labels], float]

SLACK = 1e-9
"""An error has to exceed the value by more; two shares of a small world differ by far more."""
_MOST_STUDENTS = 64


@dataclass(frozen=True)
class Counterexample:
    """A world and a student with `error` > `value`, where the hypotheses of the claim hold."""

    world: World
    student: Labels
    value: float
    error: float

    def __str__(self) -> str:
        atoms = self.world.atoms
        edges = ", ".join(f"{i}–{j}" for i, j in atoms.edges) or "none"
        return "\n".join(
            [
                f"error {self.error:.4g} > bound {self.value:.4g} on {atoms.n} atoms",
                f"  weights {atoms.weights} of {atoms.total}; edges {edges}",
                f"  truth   {self.world.truth}",
                f"  teacher {self.world.teacher}",
                f"  student {self.student}",
            ]
        )


@dataclass(frozen=True)
class Search:
    """The result of a search: the counterexample (None: none was found) and the pairs tried.

    A pair is a world and a student. `applicable` counts those in which the hypotheses held.
    """

    found: Counterexample | None
    pairs: int
    applicable: int


def search(
    claim: Claim,
    *,
    target: Target = World.error,
    atoms: int = 6,
    classes: int = 2,
    pairs: int = 100_000,
    seed: int = 0,
) -> Search:
    """The smallest counterexample that shrinking the first one found leads to, or none.

    `target` is what the claim bounds. Worlds have 2 to `atoms` atoms; at most `pairs` pairs are
    tried (and as many more as the last world has students).

    Raises ValueError for fewer than 2 atoms or classes, or `pairs` below 1.
    """
    if atoms < 2 or classes < 2 or pairs < 1:
        raise ValueError(
            f"atoms, classes and pairs are {atoms}, {classes} and {pairs}; at least 2, 2 and 1"
        )
    rng = np.random.default_rng(seed_for(seed, "counterexample"))
    tried = applicable = 0
    while tried < pairs:
        # The number of atoms grows with the search, and small worlds keep coming back.
        most = 2 + int((atoms - 1) * min(1.0, 4 * tried / pairs))
        world = draw(rng, int(rng.integers(2, min(most, atoms) + 1)), classes)
        for student in _students(rng, world):
            value, holds = claim(world, student)
            tried += 1
            applicable += holds
            if holds and value is not None and target(world, student) > value + SLACK:
                return Search(shrink(claim, world, student, target=target), tried, applicable)
    return Search(None, tried, applicable)


def shrink(
    claim: Claim, world: World, student: Labels, *, target: Target = World.error
) -> Counterexample:
    """A smaller counterexample that none of the simple steps makes smaller still.

    Raises ValueError where (world, student) is none to begin with.
    """
    found = _refuted(claim, world, student, target)
    if found is None:
        raise ValueError("this world and student do not refute the claim; search for one that does")
    while True:
        steps = (_refuted(claim, *step, target) for step in simpler(found.world, found.student))
        smaller = next((step for step in steps if step is not None), None)
        if smaller is None:
            return found
        found = smaller


def draw(rng: np.random.Generator, n: int, classes: int = 2) -> World:
    """A random world: weights 1 to 4, any density of edges, a teacher that errs here and there."""
    weights = rng.integers(1, 5, n) if rng.random() < 0.5 else np.ones(n, np.int64)
    density = rng.random()
    edges = tuple(pair for pair in combinations(range(n), 2) if rng.random() < density)
    truth = rng.integers(classes, size=n) if rng.random() < 0.7 else np.zeros(n, np.int64)
    wrong = rng.random(n) < rng.choice([0.15, 0.3, 0.5])
    teacher = np.where(wrong, (truth + rng.integers(1, classes, n)) % classes, truth)
    return World(Atoms(_labels(weights), edges), _labels(truth), _labels(teacher), classes)


def _students(rng: np.random.Generator, world: World) -> Iterator[Labels]:
    """Every student where they are few, and a sample where they are many."""
    if world.classes**world.atoms.n <= _MOST_STUDENTS:
        every = labellings(world.atoms.n, world.classes)
    else:
        every = rng.integers(world.classes, size=(_MOST_STUDENTS, world.atoms.n))
    yield from (_labels(student) for student in every)


def _refuted(claim: Claim, world: World, student: Labels, target: Target) -> Counterexample | None:
    value, holds = claim(world, student)
    if not holds or value is None:
        return None
    error = target(world, student)
    return Counterexample(world, student, value, error) if error > value + SLACK else None


def simpler(world: World, student: Labels) -> Iterator[tuple[World, Labels]]:
    """Worlds and students that are one step smaller: an atom, an edge, a weight, a mistake less."""
    atoms = world.atoms
    if atoms.n > 2:
        for i in range(atoms.n):
            yield _without(world, i), _dropped(student, i)
    for edge in atoms.edges:
        fewer = tuple(other for other in atoms.edges if other != edge)
        yield replace(world, atoms=Atoms(atoms.weights, fewer)), student
    for i, weight in enumerate(atoms.weights):
        for lighter in sorted({1, weight // 2, weight - 1}):
            if 1 <= lighter < weight:
                light = Atoms(_replaced(atoms.weights, i, lighter), atoms.edges)
                yield replace(world, atoms=light), student
    for i, y in enumerate(world.truth):
        if world.teacher[i] != y:
            yield replace(world, teacher=_replaced(world.teacher, i, y)), student
        if student[i] != y:
            yield world, _replaced(student, i, y)


def _without(world: World, i: int) -> World:
    edges = tuple((a - (a > i), b - (b > i)) for a, b in world.atoms.edges if i not in (a, b))
    atoms = Atoms(_dropped(world.atoms.weights, i), edges)
    truth, teacher = _dropped(world.truth, i), _dropped(world.teacher, i)
    return World(atoms, truth, teacher, world.classes)


def _dropped(values: Labels, i: int) -> Labels:
    return values[:i] + values[i + 1 :]


def _replaced(values: Labels, i: int, value: int) -> Labels:
    return (*values[:i], value, *values[i + 1 :])


def _labels(values: object) -> Labels:
    return tuple(int(value) for value in np.asarray(values))
