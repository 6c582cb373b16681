"""(a, c)-expansion of small sets: the least ratio of N(V), all that V reaches, to V.

A class with weights P_i expands where every V with P_i(V) ≤ a has P_i(N(V)) ≥ min{c P_i(V), 1}. The
best c is the minimum of P_i(N(V)) / P_i(V) over those V that do not reach the whole class. It is
NP-hard to find, so the answer is an interval with the names of the methods behind its two ends:

    up to 16 points     every set is tried
    up to 200 points    mixed-integer programmes, until the last one shows that no set does worse
    more points         below: Tanner's inequality, or the smallest neighbourhood; above: a search

A class in several connected parts expands as its worst part does, and the sizes are those of the
parts. Ref: wei2021theoretical, Definition 3.1; tanner1984explicit; dinkelbach1967nonlinear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mke_theory.theory.expansion.small_set_search import local_search, programme
from mke_theory.theory.expansion.small_sets import (
    BRUTE_FORCE_POINTS,
    DENSE_POINTS,
    ROUNDING,
    SmallSets,
    brute_force,
    smallest_neighbourhood,
    tanner,
)
from mke_theory.theory.graph import Graph, Ints, labels_of

PROGRAMME_POINTS = 200
"""Mixed-integer programmes of this size take up to a minute, and much longer soon after."""


@dataclass(frozen=True, eq=False)
class SmallSetExpansion:
    """The best c of (a, c)-expansion lies in [lower, upper]; infinite where no set sets a limit.

    `witness` is a set V (a mask over the pool) with P(V) ≤ a and P(N(V)) / P(V) = upper, None where
    upper is infinite. `label` is the class it lies in (None for a pool without labels), and
    `classes` holds the interval of every class where labels were given.
    """

    a: float
    lower: float
    upper: float
    lower_by: str
    upper_by: str
    witness: NDArray[np.bool_] | None
    label: int | None = None
    classes: tuple[SmallSetExpansion, ...] = ()

    @property
    def method(self) -> str:
        """The name of the method, or of both where the two ends have different ones."""
        if self.lower_by == self.upper_by:
            return self.lower_by
        return f"{self.lower_by} / {self.upper_by}"


def small_set_expansion(
    graph: Graph,
    a: float,
    labels: ArrayLike | None = None,
    *,
    steps: int = 2,
    programme_points: int = PROGRAMME_POINTS,
    seconds: float = 60.0,
    seed: int = 0,
) -> SmallSetExpansion:
    """The interval of the best c for sets of weight at most `a`, the worst class deciding.

    `graph` is B; N is two steps of it (`steps=2`, through any point of the pool) or one. With
    `labels` [n] each class is a pool of its own: V lies in it, P_i(N(V)) counts the points of it
    that V reaches. Points of weight 0 count for nothing. Parts of up to `programme_points` points
    are solved by mixed-integer programmes, which may take `seconds` a class and leave a wider
    interval where that is not enough. `seed` is that of the local search.

    Raises ValueError for a outside (0, 1], steps other than 1 or 2, seconds below 0, labels that
    do not fit.
    Ref: wei2021theoretical, Definition 3.1.
    """
    if not 0 < a <= 1:
        raise ValueError(f"a is {a}; it has to lie in (0, 1], a share of the class")
    if steps not in (1, 2):
        raise ValueError(f"steps is {steps}; N is one step of the graph or two")
    if not seconds >= 0:
        raise ValueError(f"seconds is {seconds}; it has to be at least 0")
    y = np.zeros(graph.n, np.int64) if labels is None else labels_of("labels", labels, graph.n)
    near = (graph if steps == 1 else graph.two_steps()).adjacency + sparse.eye_array(graph.n)
    found = []
    for label in np.unique(y[graph.weights > 0]):
        at = np.flatnonzero((y == label) & (graph.weights > 0))
        sets = SmallSets(near[at][:, at], graph.weights[at] / graph.weights[at].sum(), a)
        own = _of_class(sets, programme_points, seconds, seed)
        witness = None if own.witness is None else _spread(own.witness, at, graph.n)
        name = None if labels is None else int(label)
        found.append(replace(own, witness=witness, label=name))
    worst = _worst(found)
    return worst if labels is None else replace(worst, classes=tuple(found))


def _worst(found: list[SmallSetExpansion]) -> SmallSetExpansion:
    """The interval of a pool of several parts, which expands as its worst part does."""
    low, high = min(found, key=lambda f: f.lower), min(found, key=lambda f: f.upper)
    return replace(high, lower=low.lower, lower_by=low.lower_by)


def _of_class(
    sets: SmallSets, programme_points: int, seconds: float, seed: int
) -> SmallSetExpansion:
    if sets.weights.min() > sets.a + ROUNDING:
        return _exactly(sets, np.inf, None, "no point is light enough")
    count, part = connected_components(sets.near, directed=False)
    if count == 1:
        return _of_part(sets, programme_points, seconds, seed)
    weight = np.bincount(part, sets.weights)
    if weight.min() <= sets.a + ROUNDING:
        # It reaches nothing but itself, and no set reaches less than itself.
        return _exactly(sets, 1.0, part == weight.argmin(), "closed part")
    found = []
    for k in range(count):
        at = np.flatnonzero(part == k)
        own = SmallSets(sets.near[at][:, at], sets.weights[at], sets.a, excused=False)
        answer = _of_part(own, programme_points, seconds / count, seed)
        inside = None if answer.witness is None else _spread(answer.witness, at, sets.n)
        found.append(replace(answer, witness=inside))
    return _worst(found)


def _of_part(
    sets: SmallSets, programme_points: int, seconds: float, seed: int
) -> SmallSetExpansion:
    if sets.n <= BRUTE_FORCE_POINTS:
        return _exactly(sets, *brute_force(sets), "brute force")
    upper, witness = local_search(sets, seed)
    eigenvalue = "" if sets.n <= DENSE_POINTS else " by Lanczos' method"
    bounds = [
        (1.0, "V within N(V)"),
        (smallest_neighbourhood(sets), "smallest neighbourhood"),
        (tanner(sets, seed), f"Tanner's inequality{eigenvalue}"),
    ]
    lower, name = max(bounds)
    found = SmallSetExpansion(sets.a, min(lower, upper), upper, name, "local search", witness)
    if sets.n > programme_points or seconds == 0 or lower >= upper:
        return found
    lower, upper, witness = programme(sets, upper, witness, seconds)
    if lower > found.lower:
        found = replace(found, lower=lower, lower_by="mixed-integer programme")
    if upper < found.upper or np.isinf(lower):
        found = replace(found, upper=upper, upper_by="mixed-integer programme", witness=witness)
    return found


def _exactly(
    sets: SmallSets, c: float, witness: NDArray[np.bool_] | None, name: str
) -> SmallSetExpansion:
    return SmallSetExpansion(sets.a, c, c, name, name, witness)


def _spread(mask: NDArray[np.bool_], at: Ints, n: int) -> NDArray[np.bool_]:
    whole = np.zeros(n, dtype=np.bool_)
    whole[at] = mask
    return whole
