"""Figures of sweeps show the numbers they are given: what is drawn is read back."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.tri import TriContourSet

from mke_theory.report.plots.phase import Curve, Surface, gain_along_knob, phase_diagram, spans_zero

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


def test_equal_input_gives_an_equal_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.svg" for name in ("one", "two")]
    for path in paths:
        assert phase_diagram(cells(), KNOBS, path, [SURFACE], "a caption") == path
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_both_zero_lines_are_where_they_belong(tmp_path: Path, drawn: list[Figure]) -> None:
    phase_diagram(cells(), KNOBS, tmp_path / "phase.png", [SURFACE])
    measured, formula = lines(drawn[0])
    assert measured[:, 0] == pytest.approx(0.6)
    assert (measured[:, 1].min(), measured[:, 1].max()) == (0, 1)
    assert formula[:, 0] == pytest.approx(0.55)
    wanted = ["measured: no gain", "0 in the 95% interval", "closed form: by hand"]
    assert labels(drawn[0]) == wanted
    axes = drawn[0].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"signal of β, $m_\beta$", "noise on α, σ")
    assert axes.get_title() == "n = 25 cells, 100 draws"


def test_the_band_is_where_intervals_contain_zero(tmp_path: Path, drawn: list[Figure]) -> None:
    phase_diagram(cells(reach=0.2), KNOBS, tmp_path / "phase.png")
    (band,) = (
        one for one in drawn[0].axes[0].collections if isinstance(one, TriContourSet) and one.filled
    )
    across = np.concatenate([path.vertices[:, 0] for path in band.get_paths()])
    # min(high, −low) is 0.05 at 0.75, 0.1 at 0.5 and negative elsewhere; linear between the cells.
    assert across.min() == pytest.approx(0.5 - 0.25 * 0.1 / 0.25, abs=1e-6)
    assert across.max() == pytest.approx(0.75 + 0.25 * 0.05 / 0.25, abs=1e-6)


def test_dots_grow_with_draws(tmp_path: Path, drawn: list[Figure]) -> None:
    more = cells()
    more.loc[0, "n"] = 16
    phase_diagram(more, KNOBS, tmp_path / "phase.png")
    (dots,) = (c for c in drawn[0].axes[0].collections if type(c) is PathCollection)
    sizes = dots.get_sizes()
    assert sizes[0] == pytest.approx(2 * sizes[1])


def test_a_gain_of_one_sign_has_no_border(tmp_path: Path, drawn: list[Figure]) -> None:
    sure = cells(reach=0.01).assign(mean=0.5, low=0.4, high=0.6)
    everywhere = Surface("by hand", SIDE, SIDE, np.ones((5, 5)))
    phase_diagram(sure, KNOBS, tmp_path / "phase.png", [everywhere])
    assert lines(drawn[0]) == []
    assert labels(drawn[0]) == ["closed form: by hand: gain everywhere"]


def test_cells_that_all_are_zero_are_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    nothing = cells().assign(mean=0.0, low=None, high=None)
    phase_diagram(nothing, KNOBS, tmp_path / "phase.png")
    assert labels(drawn[0]) == ["0 in the 95% interval"]


def test_what_spans_zero_by_hand() -> None:
    ends = pd.DataFrame({"low": [-1.0, 0.5, -2.0, None], "high": [2.0, 1.0, -0.5, None]})
    assert spans_zero(ends).tolist() == [1.0, -0.5, -0.5, 0.0]


def test_input_that_makes_no_figure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "phase.png"
    with pytest.raises(ValueError, match="lack \\['low'\\]"):
        phase_diagram(cells().drop(columns="low"), KNOBS, path)
    with pytest.raises(ValueError, match="on a line"):
        phase_diagram(cells().assign(sigma=1.0), KNOBS, path)
    with pytest.raises(ValueError, match="choose one of"):
        phase_diagram(cells(), KNOBS, tmp_path / "phase.gif")
    assert not path.exists()


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


CURVE = Curve("linear", SIDE, SIDE - 0.5, SIDE - 0.6, SIDE - 0.3, 0.9 * (SIDE - 0.5))


def test_curves_are_drawn_as_given(tmp_path: Path, drawn: list[Figure]) -> None:
    other = Curve("MLP", SIDE, SIDE, SIDE, SIDE)
    panels = {"one": ("rho", [CURVE, other]), "two": ("share", [other])}
    gain_along_knob(panels, tmp_path / "curves.png", "a caption")
    one, two = drawn[0].axes
    dots = [container.lines[0] for container in one.containers]
    assert dots[0].get_ydata() == pytest.approx(100 * CURVE.mean)
    assert dots[1].get_xdata() == pytest.approx(SIDE)
    (bars,) = one.containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(100 * np.stack([CURVE.low, CURVE.high], axis=1))
    formula = next(line for line in one.lines if line.get_label() == "linear: closed form")
    assert formula.get_ydata() == pytest.approx(90 * (SIDE - 0.5))
    assert labels(drawn[0]) == ["linear: closed form", "linear", "MLP"]
    assert (one.get_title(), two.get_title()) == ("one", "two")


def test_curves_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lengths"):
        Curve("linear", SIDE, SIDE[1:], SIDE, SIDE)
    with pytest.raises(ValueError, match="no curve"):
        gain_along_knob({"one": ("rho", [])}, tmp_path / "curves.png")
    with pytest.raises(ValueError, match="no curve"):
        gain_along_knob({}, tmp_path / "curves.png")
