"""Students are drawn where they are, by verdict."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.method.evidence.guards import SHARED
from mke_theory.report.plots.guards import gain_against_shared

ONE = (np.array([0.0, 0.1]), np.array([0.05, -0.02]))


def test_students_are_drawn_where_they_are() -> None:
    figure = gain_against_shared({"trusted": ONE, "redundant": (np.array([0.4]), np.array([-0.1]))})
    (axes,) = figure.axes
    by_label = {line.get_label(): line for line in axes.lines}
    assert by_label["trusted (2)"].get_xdata() == pytest.approx(ONE[0])
    assert by_label["trusted (2)"].get_ydata() == pytest.approx(100 * ONE[1])
    assert by_label["redundant (1)"].get_ydata() == pytest.approx([-10.0])
    assert by_label["threshold"].get_xdata() == pytest.approx([SHARED, SHARED])


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="trusted"):
        gain_against_shared({})
    with pytest.raises(ValueError, match="unsure"):
        gain_against_shared({"unsure": ONE})
