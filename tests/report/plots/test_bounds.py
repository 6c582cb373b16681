"""A bound stands at its value and the error that it bounds."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from mke_theory.report.plots.bounds import Comparison, bound_against_error
from mke_theory.report.plots.style import BLUE, INKS
from tests.report.drawn import dots

COMPARISON = Comparison(
    "a theorem",
    value=np.array([0.2, 0.9, 3.0, -1.0, 0.5]),
    error=np.array([0.1, 0.3, 0.4, 0.2, 0.5]),
    verdict=["holds", "holds, vacuous", "violated, vacuous", "violated", "not checkable"],
)


def test_a_case_stands_at_its_error_and_value() -> None:
    axes = bound_against_error([COMPARISON]).axes[0]
    found = [np.asarray(one.get_offsets()).tolist() for one in dots(axes)]
    # Violated, not checkable, vacuous, useful; what is beyond the axis stands at its edge.
    assert found == [
        [pytest.approx([40, 106]), pytest.approx([20, -3])],
        [pytest.approx([50, 50])],
        [pytest.approx([30, 90])],
        [pytest.approx([10, 20])],
    ]
    assert [matplotlib.colors.to_hex(c) for c in dots(axes)[2].get_facecolor()] == ["#ffffff"]
    faces = [matplotlib.colors.to_hex(dots(axes)[i].get_facecolor()[0]) for i in (1, 3)]
    assert faces == [INKS[2].lower(), BLUE.lower()]
    diagonal = np.asarray(axes.lines[0].get_xydata())
    assert (diagonal[:, 0] == diagonal[:, 1]).all()
    assert axes.get_title() == "a theorem\nn = 5"


def test_the_legend_names_what_is_there() -> None:
    one = Comparison("few", np.array([0.3]), np.array([0.1]), ["holds"])
    (legend,) = bound_against_error([one]).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["holds, below the trivial bound"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one Comparison"):
        bound_against_error([])
    with pytest.raises(ValueError, match=r"lengths \(4, 5, 5\)"):
        replace(COMPARISON, value=COMPARISON.value[:4])
    with pytest.raises(ValueError, match="not finite"):
        replace(COMPARISON, error=np.array([0, 0, 0, 0, np.nan]))
    with pytest.raises(ValueError, match="'vacuous' is no verdict"):
        replace(COMPARISON, verdict=["vacuous"] * 5)
