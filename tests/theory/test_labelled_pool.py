"""The shares of a labelled pool by hand, and labels that are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool

PATH = Graph.from_edges(4, [[0, 1], [1, 2], [2, 3]], weights=[0.1, 0.2, 0.3, 0.4])
POOL = LabelledPool(
    PATH,
    pseudo=np.array([0, 1, 1, 2]),
    student=np.array([0, 0, 1, 1]),
    classes=4,
    truth=np.array([0, 0, 2, 2]),
)


def test_shares_by_hand() -> None:
    assert POOL.disagreement == pytest.approx(0.2 + 0.4)
    assert POOL.teacher_error == pytest.approx(0.2 + 0.3)
    assert POOL.student_error == pytest.approx(0.3 + 0.4)
    assert POOL.class_weights() == pytest.approx([0.3, 0, 0.7, 0])
    assert POOL.share([True, False, False, True]) == pytest.approx(0.5)
    # The student changes between points 1 and 2.
    assert POOL.student_inconsistent().tolist() == [False, True, True, False]


def test_shares_are_never_above_one() -> None:
    thirds = Graph.from_edges(10, [[0, 1]], weights=np.full(10, 0.1))
    pool = LabelledPool(thirds, np.zeros(10, int), np.ones(10, int), 2)
    assert sum(thirds.weights.tolist()) != 1  # rounding, which no share may show
    assert pool.disagreement == pytest.approx(1, abs=1e-15)
    assert pool.disagreement <= 1


def test_without_truth_only_the_disagreement_is_there() -> None:
    blind = replace(POOL, truth=None)
    assert blind.disagreement == POOL.disagreement
    for ask in (
        lambda: blind.teacher_error,
        lambda: blind.student_error,
        blind.class_weights,
    ):
        with pytest.raises(ValueError, match="the truth of this pool is not known; give truth"):
            ask()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"classes": 1}, ValueError, "classes is 1; at least 2 are needed"),
        ({"pseudo": np.array([0, 1])}, ValueError, r"pseudo has shape \(2,\); the pool has 4"),
        ({"student": np.array([0, 1, 2, 4])}, ValueError, "student holds 4; allowed is 0 to 3"),
        ({"truth": np.array([0, -1, 0, 0])}, ValueError, "truth holds -1; allowed is 0 to 3"),
        ({"student": np.zeros(4)}, TypeError, "student is float64; give class numbers"),
    ],
)
def test_labels_have_to_fit(
    change: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(POOL, **change)
