"""Bounds stand beside the truth, in percent."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.certificates import BoundPanel, bounds_beside_the_truth

QUESTIONS = [
    BoundPanel(
        "curves",
        "r",
        np.array([0.1, 0.2, 0.3]),
        {"certificate": [0.3, None, 0.2], "trivial": [0.4, 0.4, 0.4]},
        levels={"student": 0.1},
        marks={"μ": 0.2},
    ),
    BoundPanel("bars", "method", bars={"cuts": 0.2}),
]


def test_curves_levels_and_bars_are_drawn_in_percent() -> None:
    figure = bounds_beside_the_truth(QUESTIONS)
    curves, bars = figure.axes
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in curves.lines}
    # A missing value is no point of the curve.
    np.testing.assert_allclose(lines["certificate"], [[0.1, 30], [0.2, np.nan], [0.3, 20]])
    np.testing.assert_allclose(lines["trivial"][:, 1], 40)
    levels = [line.get_ydata() for line in curves.lines if len(set(line.get_ydata())) == 1]
    assert [10.0, 10.0] in [list(level) for level in levels]
    assert [patch.get_height() for patch in bars.patches] == pytest.approx([20])
    assert {"student", " μ"} <= {text.get_text() for text in curves.texts}
    assert (curves.get_title(), curves.get_xlabel()) == ("curves", "r")


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no panel"):
        bounds_beside_the_truth([])
    with pytest.raises(ValueError, match="'empty' has neither curves nor bars"):
        BoundPanel("empty", "x")
    with pytest.raises(ValueError, match="'c' has 1 values"):
        BoundPanel("short", "x", np.array([1.0, 2.0]), {"c": [0.1]})
