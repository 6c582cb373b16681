"""The figure of predicted and true gains: what is counted, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.promises import Promises, promised_and_true

PROMISES = Promises(
    np.array([0.0, 0.1, -0.1]),
    np.array([0.2, 0.3, 0.5]),
    np.array([0.1, 0.05, 0.4]),
    np.array([False, False, True]),
)


def test_intervals_that_hold_the_true_gain_are_counted() -> None:
    figure = promised_and_true({"some": PROMISES})
    (axes,) = figure.axes
    assert axes.get_title() == "some\ninterval holds it in 2 of 3"
    lines = [part for part in axes.collections if len(part.get_paths())]
    ends = [path.vertices[:, 1] for part in lines for path in part.get_paths()]
    np.testing.assert_allclose(sorted(map(tuple, ends)), [(-10, 50), (0, 20), (10, 30)])


def test_nothing_to_draw() -> None:
    nothing = Promises(*(np.zeros(0) for _ in range(3)), np.zeros(0, dtype=bool))
    for found in ({}, {"none": nothing}):
        with pytest.raises(ValueError, match="one or more"):
            promised_and_true(found)
