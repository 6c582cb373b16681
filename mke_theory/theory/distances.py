"""Near points of a pool, found without a table of all distances.

In few dimensions a KD-tree answers; in many, where it would visit nearly every point, blocks of
distances do, with the origin moved to the middle so that no digits are lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TREE_DIMENSIONS = 10
"""The most dimensions in which a KD-tree is used."""
_ROWS_AT_A_TIME = 512


def nearest_points(x: Floats, k: int) -> Ints:
    """The numbers [n, k] of the k points of x nearest to each of them, itself among them."""
    if x.shape[1] <= _TREE_DIMENSIONS:
        found = cKDTree(x).query(x, k=k, workers=-1)[1]
    else:
        # Squares far from the origin would drown the distances, so the origin moves to the middle.
        middle = x - x.mean(axis=0)
        search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(middle)
        found = search.kneighbors(middle, return_distance=False)
    return np.asarray(found, dtype=np.int64).reshape(len(x), k)


def pairs_within(x: Floats, radius: float, limit: int) -> Ints:
    """The pairs i < j at a distance of at most `radius`, [m, 2]; refused where there are too many.

    In few dimensions they are counted first, so that nothing is built in vain.
    """
    if x.shape[1] > _TREE_DIMENSIONS:
        return _pairs_by_blocks(x, radius, limit)
    tree = cKDTree(x)
    refuse_large((int(tree.count_neighbors(tree, radius)) - len(x)) // 2, limit, radius)
    return np.asarray(tree.query_pairs(radius, output_type="ndarray"), dtype=np.int64)


def _pairs_by_blocks(x: Floats, radius: float, limit: int) -> Ints:
    """The pairs i < j within the radius, found block by block; refused as soon as too many.

    |x|² + |y|² − 2xy is fast but rounds; pairs that it leaves in doubt are measured once more.
    """
    x = x - x.mean(axis=0)
    square = (x**2).sum(axis=1)
    doubt = 4 * (x.shape[1] + 2) * np.finfo(np.float64).eps * float(square.max())
    found, count = [], 0
    for start in range(0, len(x), _ROWS_AT_A_TIME):
        block = x[start : start + _ROWS_AT_A_TIME]
        rows = square[start : start + _ROWS_AT_A_TIME, None]
        excess = rows + square[start:] - 2 * block @ x[start:].T - radius**2
        i, j = np.nonzero(np.triu(excess <= doubt, k=1))
        near = np.abs(excess[i, j]) > doubt
        near[~near] = ((x[i[~near] + start] - x[j[~near] + start]) ** 2).sum(axis=1) <= radius**2
        i, j = i[near], j[near]
        count += len(i)
        refuse_large(count, limit, radius)
        found.append(np.stack([i, j], axis=1) + start)
    return np.concatenate(found)


def coordinates_of(points: ArrayLike) -> Floats:
    """`points` as float64 [n, d]; raises ValueError where they are not finite or not [n, d]."""
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"points has shape {x.shape}; give [n, d], one row a point")
    if len(x) < 2:
        raise ValueError(f"the pool has {len(x)} points; a graph needs at least 2")
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0, 0])
        raise ValueError(f"point {row} is not finite; a missing modality has no place in a metric")
    return x


def refuse_large(edges: int, limit: int, radius: float | None = None) -> None:
    """Raise MemoryError where there are more edges than the limit."""
    if edges > limit:
        why = "" if radius is None else f" at radius {radius:g}"
        raise MemoryError(
            f"the graph would have {edges:,} edges{why}, and the limit is {limit:,}; choose a "
            "smaller radius or fewer neighbours, or raise limit if the memory is there"
        )
