"""Panels of accuracies show curves and exact lines as given."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.accuracy import AccuracyPanel, accuracy_along_knobs
from mke_theory.report.plots.knobs import Curve

X = np.array([2.0, 5.0, 20.0])
MEAN = np.array([0.9, 0.8, 0.6])
CURVE = Curve("evidence", X, MEAN, MEAN - 0.1, MEAN + 0.05)


def test_a_panel_shows_what_it_is_given() -> None:
    exact = {"sum": np.array([0.95, np.nan, 0.7])}
    panels = [
        AccuracyPanel("classes", "classes", [CURVE], exact, log=True),
        AccuracyPanel("labels", "labelled samples", [CURVE], {}),
    ]
    figure = accuracy_along_knobs(panels, "a caption")
    first, second = figure.axes
    (dots,) = first.containers
    assert dots.lines[0].get_ydata() == pytest.approx(100 * MEAN)
    (bars,) = dots.lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(100 * np.stack([MEAN - 0.1, MEAN + 0.05], axis=1))
    line = next(one for one in first.lines if one.get_label() == "sum")
    assert line.get_ydata() == pytest.approx(100 * exact["sum"], nan_ok=True)
    assert (first.get_xscale(), second.get_xscale()) == ("log", "linear")
    assert [text.get_text() for text in first.get_xticklabels()] == ["2", "5", "20"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sum", "evidence"]


def test_panels_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no panel"):
        accuracy_along_knobs([])
    with pytest.raises(ValueError, match="curves"):
        AccuracyPanel("a", "b", [], {})
    with pytest.raises(ValueError, match="lengths"):
        AccuracyPanel("a", "b", [CURVE], {"sum": MEAN[1:]})
