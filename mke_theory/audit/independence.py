"""A test of α ⟂ β | y without a label: the rank of a table of cells.

If α and β are independent given one of K classes, the table P(a, b) = Σ_y π_y P(a | y) P(b | y) of
their cells has a rank of at most K. The test looks at the singular value number K + 1 of the table,
each cell divided by the root of its margins, and compares it with tables drawn from the likeliest
one of nonnegative rank K (a parametric bootstrap).

That the table keeps its rank does not prove independence. The power says what would have been
seen: the correlation, within every class, between the steps of α's cells and of β's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mke_theory.audit.betting import Floats

Ints = NDArray[np.int64]

DRAWS, TRIALS = 199, 100
_STEPS = 500
_POWER = 0.8


@dataclass(frozen=True)
class RankTest:
    """The result of `rank_test`.

    value: singular value number K + 1. p_value: of independence given the class. visible: the
    smallest correlation within classes that would have been seen at 5% with a probability of 80%;
    None where even the largest one tried would not.
    """

    value: float
    p_value: float
    visible: float | None


def rank_test(a: Ints, b: Ints, sizes: tuple[int, int], p: Floats, seed: int) -> RankTest:
    """The test of cells a and b [n], of which there are `sizes`; p [n, K] starts the fit.

    Raises ValueError where there are no more cells than classes on one side: every such table has
    a rank of at most K.
    """
    classes = p.shape[1]
    if min(sizes) <= classes:
        raise ValueError(f"there are {sizes} cells; more than the {classes} classes are needed")
    random = np.random.default_rng(seed)
    table = np.zeros(sizes)
    np.add.at(table, (a, b), 1.0)
    rows, columns = _start(a, b, sizes, p)
    shares, rows, columns = _fitted(table, p.mean(axis=0), rows, columns)
    null = (rows * shares) @ columns.T
    value = _singular(table, classes)
    drawn = np.array([_singular(_draw(null, len(a), random), classes) for _ in range(DRAWS)])
    p_value = (1 + (drawn >= value).sum()) / (1 + DRAWS)
    limit = float(np.quantile(drawn, 0.95))
    return RankTest(value, float(p_value), _visible(shares, rows, columns, len(a), limit, random))


def _start(a: Ints, b: Ints, sizes: tuple[int, int], p: Floats) -> tuple[Floats, Floats]:
    """P(a | y) and P(b | y) by the teacher's probabilities, to start from."""
    rows, columns = np.full((sizes[0], p.shape[1]), 0.1), np.full((sizes[1], p.shape[1]), 0.1)
    np.add.at(rows, a, p)
    np.add.at(columns, b, p)
    return rows / rows.sum(axis=0), columns / columns.sum(axis=0)


def _fitted(
    table: Floats, shares: Floats, rows: Floats, columns: Floats
) -> tuple[Floats, Floats, Floats]:
    """The likeliest table of nonnegative rank K, by expectation and maximisation."""
    for _ in range(_STEPS):
        ratio = table / np.maximum((rows * shares) @ columns.T, 1e-300)
        new_rows = rows * shares * (ratio @ columns)
        new_columns = columns * shares * (ratio.T @ rows)
        total = np.maximum(new_rows.sum(axis=0), 1e-300)
        rows, columns = new_rows / total, new_columns / np.maximum(new_columns.sum(axis=0), 1e-300)
        shares = total / total.sum()
    return shares, rows, columns


def _singular(table: Floats, classes: int) -> float:
    """The singular value number K + 1 of a table whose cells are divided by roots of margins."""
    p = table / table.sum()
    scale = np.sqrt(np.outer(p.sum(axis=1), p.sum(axis=0)))
    scaled = np.divide(p, scale, out=np.zeros_like(p), where=scale > 0)
    return float(np.linalg.svd(scaled, compute_uv=False)[classes])


def _draw(p: Floats, n: int, random: np.random.Generator) -> Floats:
    chances = np.maximum(p.ravel(), 0)
    return random.multinomial(n, chances / chances.sum()).reshape(p.shape).astype(np.float64)


def _visible(
    shares: Floats,
    rows: Floats,
    columns: Floats,
    n: int,
    limit: float,
    random: np.random.Generator,
) -> float | None:
    """The smallest of ten correlations that exceeds the limit in 80% of the drawn tables."""
    for correlation in np.arange(1, 11) / 10 * 0.5:
        table = np.zeros((len(rows), len(columns)))
        for share, row, column in zip(shares, rows.T, columns.T, strict=True):
            u, v = (_scores(part) for part in (row, column))
            joint = np.outer(row, column) * (1 + correlation * np.outer(u, v))
            joint = np.maximum(joint, 0)
            table += share * joint / joint.sum()
        seen = [_singular(_draw(table, n, random), len(shares)) > limit for _ in range(TRIALS)]
        if np.mean(seen) >= _POWER:
            return float(correlation)
    return None


def _scores(chances: Floats) -> Floats:
    """The numbers of the cells, with mean 0 and spread 1 under their chances."""
    places = np.arange(len(chances), dtype=np.float64)
    centred = places - chances @ places
    spread = np.sqrt(chances @ centred**2)
    return np.asarray(centred / spread if spread > 0 else 0 * centred)
