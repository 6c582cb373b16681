"""The phase diagram shows the numbers it is given: it is read back."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.tri import TriContourSet

from mke_theory.report.plots.phase import Surface, phase_diagram, spans_zero

KNOBS = ("m_beta", "sigma")
SIDE = np.linspace(0.0, 1.0, 5)


def cells(reach: float = 0.1) -> pd.DataFrame:
    """A gain that is 0 where m_beta is 0.6, with intervals of one width."""
    rows = [(x, y, 4, x - 0.6, x - 0.6 - reach, x - 0.6 + reach) for x, y in product(SIDE, SIDE)]
    return pd.DataFrame(rows, columns=[*KNOBS, "n", "mean", "low", "high"])


SURFACE = Surface("by hand", SIDE, SIDE, np.tile(SIDE - 0.55, (5, 1)))


def lines(figure: Figure) -> list[np.ndarray]:
    """The corners of every contour line, [k, 2]."""
    found = []
    for one in figure.axes[0].collections:
        if hasattr(one, "levels") and not getattr(one, "filled", False):
            found += [path.vertices for path in one.get_paths() if len(path.vertices)]
    return found


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_both_zero_lines_are_where_they_belong() -> None:
    figure = phase_diagram(cells(), KNOBS, [SURFACE])
    measured, formula = lines(figure)
    assert measured[:, 0] == pytest.approx(0.6)
    assert (measured[:, 1].min(), measured[:, 1].max()) == (0, 1)
    assert formula[:, 0] == pytest.approx(0.55)
    wanted = ["measured: no gain", "0 in the 95% interval", "closed form: by hand"]
    assert labels(figure) == wanted
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"signal of β, $m_\beta$", "noise on α, σ")
    assert axes.get_title() == "n = 25 cells, 100 draws"


def test_the_band_is_where_intervals_contain_zero() -> None:
    axes = phase_diagram(cells(reach=0.2), KNOBS).axes[0]
    (band,) = (one for one in axes.collections if isinstance(one, TriContourSet) and one.filled)
    across = np.concatenate([path.vertices[:, 0] for path in band.get_paths()])
    # min(high, −low) is 0.05 at 0.75, 0.1 at 0.5 and negative elsewhere; linear between the cells.
    assert across.min() == pytest.approx(0.5 - 0.25 * 0.1 / 0.25, abs=1e-6)
    assert across.max() == pytest.approx(0.75 + 0.25 * 0.05 / 0.25, abs=1e-6)


def test_dots_grow_with_draws() -> None:
    more = cells()
    more.loc[0, "n"] = 16
    axes = phase_diagram(more, KNOBS).axes[0]
    (dots,) = (c for c in axes.collections if type(c) is PathCollection)
    sizes = dots.get_sizes()
    assert sizes[0] == pytest.approx(2 * sizes[1])


def test_a_gain_of_one_sign_has_no_border() -> None:
    sure = cells(reach=0.01).assign(mean=0.5, low=0.4, high=0.6)
    everywhere = Surface("by hand", SIDE, SIDE, np.ones((5, 5)))
    figure = phase_diagram(sure, KNOBS, [everywhere])
    assert lines(figure) == []
    assert labels(figure) == ["closed form: by hand: gain everywhere"]


def test_cells_that_all_are_zero_are_drawn() -> None:
    nothing = cells().assign(mean=0.0, low=None, high=None)
    assert labels(phase_diagram(nothing, KNOBS)) == ["0 in the 95% interval"]


def test_what_spans_zero_by_hand() -> None:
    ends = pd.DataFrame({"low": [-1.0, 0.5, -2.0, None], "high": [2.0, 1.0, -0.5, None]})
    assert spans_zero(ends).tolist() == [1.0, -0.5, -0.5, 0.0]


def test_input_that_makes_no_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="lack \\['low'\\]"):
        phase_diagram(cells().drop(columns="low"), KNOBS)
    with pytest.raises(ValueError, match="on a line"):
        phase_diagram(cells().assign(sigma=1.0), KNOBS)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"gain": np.zeros((4, 5))}, "shape"),
        ({"gain": np.full((5, 5), np.nan)}, "not finite"),
        ({"x": SIDE[::-1]}, "rise"),
    ],
)
def test_surfaces_that_are_none_are_refused(change: dict[str, Any], match: str) -> None:
    parts = {"label": "s", "x": SIDE, "y": SIDE, "gain": np.zeros((5, 5))}
    with pytest.raises(ValueError, match=match):
        Surface(**(parts | change))
