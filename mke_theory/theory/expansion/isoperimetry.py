"""Set expansion against separation, radius by radius: for Gaussians by formula, on a pool exactly.

A larger radius r of B lets every set reach more (set expansion) and leaves fewer points whose
neighbours all have their own label (separation). For x | y ~ N(m, σ² I) and metric balls, N has
radius 2r, and half-spaces reach least of all sets of their size:

    c(a) = Φ(Φ⁻¹(a) + 2r/σ) / a.

Two such classes at distance D have a Bayes half-space, which is not constant on B(x) where x is
within r of its border:

    μ(r) = Φ(−(D/2 − r)/σ) − Φ(−(D/2 + r)/σ),      Bayes error = Φ(−D/(2σ)).

The frontier is the curve (μ(r), c(r)) of a set of modalities; a further modality moves it.
Ref: borell1975brunn; wei2021theoretical, Definition 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from mke_theory.theory.distances import coordinates_of
from mke_theory.theory.expansion.relative import (
    certified_constant,
    relative_expansion_profile,
)
from mke_theory.theory.expansion.set_expansion import small_set_expansion
from mke_theory.theory.graph import Graph, Ints, labels_of, radius_graph, vertex_inconsistency
from mke_theory.theory.labelled_pool import worst_class_error

COLUMNS = "modalities radius separation a lower upper method relative label".split()
"""The columns of `pool_frontier`, a row for each set of modalities and radius."""


def gaussian_set_expansion(a: float, radius: float, sigma: float = 1.0) -> float:
    """The best c for sets of P(V) ≤ a under N(m, σ² I) in any dimension: Φ(Φ⁻¹(a) + 2r/σ) / a.

    A half-space attains it, so it is at least 1 and at most 1/a; it falls as a grows, so that a
    itself is the worst size. `radius` is that of B.

    Raises ValueError for a outside (0, 1] and for a radius or sigma that is not positive.
    Ref: borell1975brunn.
    """
    if not 0 < a <= 1:
        raise ValueError(f"a is {a}; it has to lie in (0, 1], a share of the class")
    step = 2 * _positive("radius", radius) / _positive("sigma", sigma)
    return float(ndtr(ndtri(a) + step)) / a


def gaussian_separation(distance: float, radius: float, sigma: float = 1.0) -> float:
    """R_B of the Bayes half-space between N(m, σ² I) and N(m', σ² I), |m − m'| = distance.

    μ(r) = Φ(−(D/2 − r)/σ) − Φ(−(D/2 + r)/σ), in [0, 1): the share of points within r of its border.

    Raises ValueError for a negative distance, and a radius or sigma that is not positive.
    """
    half, s = _distance(distance) / 2, _positive("sigma", sigma)
    r = _positive("radius", radius)
    return float(ndtr((r - half) / s) - ndtr((-r - half) / s))


def gaussian_error(distance: float, sigma: float = 1.0) -> float:
    """The error of the Bayes half-space between the two classes, Φ(−D/(2σ)), in (0, 1/2].

    The errors of a teacher that sees one modality, and of the best student that sees all, are this
    at the distances of their modalities: for modalities independent given y, with one σ, squared
    distances add.

    Raises ValueError for a negative distance and a sigma that is not positive.
    """
    return float(ndtr(-_distance(distance) / (2 * _positive("sigma", sigma))))


def frontier(
    radii: Sequence[float], distances: Mapping[str, float], *, a: float, sigma: float = 1.0
) -> pd.DataFrame:
    """(μ(r), c(r)) of two Gaussian classes for each radius and each set of modalities.

    `distances` names the sets of modalities and how far apart the classes are in them; `a` is the
    share of a class on which the teacher errs. Columns: modalities, radius, separation (μ),
    expansion (c).

    Raises ValueError as `gaussian_set_expansion` and `gaussian_separation`, and where there are no
    radii or no distances.
    """
    _refuse_empty(radii, distances)
    rows = [
        {
            "modalities": name,
            "radius": float(r),
            "separation": gaussian_separation(distance, r, sigma),
            "expansion": gaussian_set_expansion(a, r, sigma),
        }
        for name, distance in distances.items()
        for r in radii
    ]
    return pd.DataFrame(rows)


def pool_frontier(
    radii: Sequence[float],
    coordinates: Mapping[str, ArrayLike],
    truth: ArrayLike,
    pseudo: ArrayLike,
    *,
    q: float = 0.0,
    weights: ArrayLike | None = None,
    seconds: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Separation and set expansion of a pool on its radius graphs, for each radius and modalities.

    `coordinates` names sets of modalities and gives the points in them, [n, d]; `truth` and
    `pseudo` [n] are y and the teacher's ỹ. Columns, one row for each set and radius:

        modalities, radius
        separation       R_B(y), the share of points with a neighbour of another class
        a                the largest share of a class on which the teacher errs
        lower, upper     the interval of the best c for sets of that size, the worst class deciding
        method           the method behind it
        relative         the c of `certified_constant` at q, of bad by good points, worst class
        label            the class with that c

    `seconds` is the time that mixed-integer programmes may take, a class and a row; at 0 the
    interval of a class with more than 16 points comes from bounds and a search, a fraction of a
    second a row for 500 points. N is two steps of B.

    Raises ValueError where the teacher makes no error, or is never right in a class; where lengths,
    labels, radii or q do not fit; MemoryError where a graph has too many edges.
    Ref: wei2021theoretical, Definition 3.1; lang2024theoretical, Theorem B.1.
    """
    _refuse_empty(radii, coordinates)
    places = {name: coordinates_of(x) for name, x in coordinates.items()}
    n = len(next(iter(places.values())))
    y, guess = labels_of("truth", truth, n), labels_of("pseudo", pseudo, n)
    for name, x in places.items():
        if len(x) != n:
            raise ValueError(f"{name} has {len(x)} points, the first modalities {n}; give one pool")
    rows = []
    for name, x in places.items():
        for r in radii:
            graph = radius_graph(x, r, weights=weights)
            a = worst_class_error(graph.weights, y, guess)
            if a == 0:
                raise ValueError(
                    "pseudo equals truth at every point; a teacher without errors needs no c"
                )
            found = small_set_expansion(graph, a, y, seconds=seconds, seed=seed)
            relative, label = _worst_relative(graph, y, guess, q)
            ends = found.lower, found.upper, found.method
            rows.append((name, float(r), vertex_inconsistency(graph, y), a, *ends, relative, label))
    return pd.DataFrame(rows, columns=COLUMNS)


def _worst_relative(graph: Graph, y: Ints, guess: Ints, q: float) -> tuple[float, int]:
    """The smallest certified c of bad by good points of one class, and that class."""
    found = []
    for label in np.unique(y[(y != guess) & (graph.weights > 0)]):
        bad, good = (y == label) & (guess != y), (y == label) & (guess == y)
        if not graph.weights[good].sum() > 0:
            raise ValueError(
                f"the teacher is never right in class {label}; leave that class out of the pool"
            )
        found.append(
            (certified_constant(relative_expansion_profile(graph, bad, good), q), int(label))
        )
    return min(found)


def _refuse_empty(radii: Sequence[float], named: Mapping[str, object]) -> None:
    if len(radii) == 0 or not named:
        raise ValueError(
            f"there are {len(radii)} radii and {len(named)} sets of modalities; give one of each"
        )
    for r in radii:
        _positive("radius", r)


def _positive(name: str, value: float) -> float:
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is {value}; it has to be positive and finite")
    return float(value)


def _distance(value: float) -> float:
    if not 0 <= value < np.inf:
        raise ValueError(f"distance is {value}; it has to be finite and at least 0")
    return float(value)
