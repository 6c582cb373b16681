"""Near points by hand, by both methods, and refused where there are too many or none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory import distances
from mke_theory.theory.distances import coordinates_of, nearest_points, pairs_within, refuse_large

Floats = NDArray[np.float64]

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])


def points(n: int, d: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.fixture(params=["tree", "blocks"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test meets the KD-tree, and blocks of two rows."""
    if request.param == "blocks":
        monkeypatch.setattr(distances, "_TREE_DIMENSIONS", 0)
        monkeypatch.setattr(distances, "_ROWS_AT_A_TIME", 2)


@pytest.mark.usefixtures("by")
def test_near_points_of_a_line_by_hand() -> None:
    assert nearest_points(LINE, 1).tolist() == [[0], [1], [2], [3]]
    assert nearest_points(LINE, 3).tolist() == [[0, 1, 2], [1, 0, 2], [2, 1, 0], [3, 2, 1]]
    # Pairs exactly at the radius count.
    assert sorted(map(tuple, pairs_within(LINE, 2.0, 9))) == [(0, 1), (1, 2)]
    assert sorted(map(tuple, pairs_within(LINE, 3.0, 9))) == [(0, 1), (0, 2), (1, 2)]
    assert pairs_within(LINE, 0.5, 9).shape == (0, 2)


@pytest.mark.usefixtures("by")
def test_too_many_pairs_are_refused() -> None:
    assert len(pairs_within(LINE, 3.0, 3)) == 3
    with pytest.raises(MemoryError, match="3 edges at radius 3, and the limit is 2"):
        pairs_within(LINE, 3.0, 2)


@pytest.mark.parametrize("middle", [0.0, 1e6])
def test_blocks_of_distances_and_the_tree_find_the_same(
    middle: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Points on a grid: many pairs are exactly at the radius, and far from the origin the squares
    # that the blocks are made of have lost the digits that decide.
    x = middle + np.random.default_rng(0).integers(0, 3, (80, 4)) / 4
    tree = set(map(tuple, pairs_within(x, 0.5, 9999)))
    near = nearest_points(points(80, 4), 5)
    monkeypatch.setattr(distances, "_TREE_DIMENSIONS", 0)
    monkeypatch.setattr(distances, "_ROWS_AT_A_TIME", 7)
    assert set(map(tuple, pairs_within(x, 0.5, 9999))) == tree
    assert (nearest_points(middle + points(80, 4), 5) == near).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(5), r"points has shape \(5,\); give \[n, d\]"),
        (np.zeros((5, 0)), r"points has shape \(5, 0\)"),
        (np.zeros((1, 2)), "the pool has 1 points; a graph needs at least 2"),
        ([[0.0], [np.nan]], "point 1 is not finite; a missing modality"),
    ],
)
def test_what_is_no_pool_of_points_is_refused(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coordinates_of(given)  # type: ignore[arg-type]


def test_coordinates_are_double_precision() -> None:
    assert coordinates_of(np.ones((2, 3), np.float32)).dtype == np.float64


def test_the_limit_itself_is_allowed() -> None:
    refuse_large(10, 10)
    with pytest.raises(MemoryError, match="the graph would have 1,001 edges, and the limit is 10;"):
        refuse_large(1001, 10)
