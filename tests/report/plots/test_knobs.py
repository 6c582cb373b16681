"""Curves along a knob are drawn as given."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.knobs import Curve, gain_along_knob

SIDE = np.linspace(0.0, 1.0, 5)
CURVE = Curve("linear", SIDE, SIDE - 0.5, SIDE - 0.6, SIDE - 0.3, 0.9 * (SIDE - 0.5))


def test_curves_are_drawn_as_given() -> None:
    other = Curve("MLP", SIDE, SIDE, SIDE, SIDE)
    panels = {"one": ("rho", [CURVE, other]), "two": ("share", [other])}
    figure = gain_along_knob(panels, "a caption")
    one, two = figure.axes
    dots = [container.lines[0] for container in one.containers]
    assert dots[0].get_ydata() == pytest.approx(100 * CURVE.mean)
    assert dots[1].get_xdata() == pytest.approx(SIDE)
    (bars,) = one.containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(100 * np.stack([CURVE.low, CURVE.high], axis=1))
    formula = next(line for line in one.lines if line.get_label() == "linear: closed form")
    assert formula.get_ydata() == pytest.approx(90 * (SIDE - 0.5))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "linear: closed form",
        "linear",
        "MLP",
    ]
    assert (one.get_title(), two.get_title()) == ("one", "two")


def test_curves_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        Curve("linear", SIDE, SIDE[1:], SIDE, SIDE)
    with pytest.raises(ValueError, match="no curve"):
        gain_along_knob({"one": ("rho", [])})
    with pytest.raises(ValueError, match="no curve"):
        gain_along_knob({})
