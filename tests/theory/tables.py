"""Tables over all sets of a small world's atoms: the oracles that bounds are held to.

A labelling is given by its class sets, so that millions of classifiers are checked in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, product

import numpy as np

from mke_theory.theory.search.small_worlds import Atoms, Edges, Floats, Ints, members, subsets


@lru_cache(maxsize=1024)
def relative_expansion(atoms: Atoms, good: int, bad: int, steps: int = 1) -> Floats:
    """Entry w is the smallest P(N(U) | bad) / P(U | good) over U ⊆ good of mass above w.

    [mass(good) + 1], infinite where no set is that large; `steps` says how far N reaches. Raises
    ValueError where `bad` weighs nothing.
    """
    mass = atoms.mass
    if mass[bad] == 0:
        raise ValueError(f"the bad set {members(bad)} weighs nothing; nothing expands on it")
    sets = subsets(good, atoms.n)
    sets = sets[mass[sets] > 0]
    reached = mass[atoms.steps(steps)[sets] & bad]
    ratio = (reached * mass[good]) / (mass[bad] * mass[sets])
    curve = np.full(int(mass[good]) + 1, np.inf)
    np.minimum.at(curve, mass[sets] - 1, ratio)
    curve = np.minimum.accumulate(curve[::-1])[::-1]
    curve.flags.writeable = False
    return curve


def graphs(n: int) -> Iterator[Edges]:
    """The edges of each of the 2^(n(n−1)/2) symmetric graphs on n points."""
    pairs = tuple(combinations(range(n), 2))
    for keep in product((False, True), repeat=len(pairs)):
        yield tuple(pair for pair, kept in zip(pairs, keep, strict=True) if kept)


def class_sets(labels: Ints, classes: int) -> Ints:
    """The set of points of each class, [..., classes], for labels [..., n]."""
    powers = 1 << np.arange(labels.shape[-1])
    return np.stack([(labels == k) @ powers for k in range(classes)], axis=-1)


def differing_sets(first: Ints, second: Ints, every: int) -> Ints:
    """The points on which two labellings differ, [...], from their class sets [..., classes]."""
    return every ^ np.bitwise_or.reduce(first & second, axis=-1)


def inconsistent_sets(atoms: Atoms, sets: Ints, steps: int = 1) -> Ints:
    """The points that see another label than their own, [...], from class sets [..., classes]."""
    return np.bitwise_or.reduce(sets & atoms.steps(steps)[atoms.every ^ sets], axis=-1)
