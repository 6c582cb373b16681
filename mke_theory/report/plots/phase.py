"""The phase diagram: the gain over two knobs, its zero line, and how sure that line is.

A gain is blue, a loss orange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from mke_theory.report.plots.style import BLUE, GREY, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.float64]

GAINS = LinearSegmentedColormap.from_list("gains", [ORANGE, "#F7DDC4", "#FFFFFF", "#CBE0EE", BLUE])
DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
TITLES = {
    "m_alpha": r"signal of α, $m_\alpha$",
    "m_beta": r"signal of β, $m_\beta$",
    "sigma": "noise on α, σ",
    "rho": "correlation given y, ρ",
}
"""The label of a knob on the axes."""


@dataclass(frozen=True)
class Surface:
    """A gain known by formula: `gain` [h, w] as a share over x [w] and y [h], and its name.

    Raises ValueError where shapes do not fit, a number is not finite or an axis does not rise.
    """

    label: str
    x: Floats
    y: Floats
    gain: Floats

    def __post_init__(self) -> None:
        if self.gain.shape != (len(self.y), len(self.x)) or min(self.gain.shape) < 2:
            raise ValueError(
                f"gain has shape {self.gain.shape}; y and x ask for {(len(self.y), len(self.x))}, "
                "at least 2 by 2"
            )
        if not all(np.isfinite(part).all() for part in (self.x, self.y, self.gain)):
            raise ValueError(f"surface {self.label!r} holds a number that is not finite")
        if not all((np.diff(part) > 0).all() for part in (self.x, self.y)):
            raise ValueError(f"x and y of surface {self.label!r} have to rise")


@matplotlib.rc_context({**STYLE, "text.parse_math": True})
def phase_diagram(
    cells: pd.DataFrame,
    knobs: tuple[str, str],
    surfaces: Sequence[Surface] = (),
    caption: str = "",
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure of one panel: the gain over two knobs, its zero line, and where the sign is open.

    `cells` has the columns of `adaptive_sweep.table`: both knobs, n, mean, low and high, as shares.
    Between cells all is linear. The hatched band is where the 95% interval of a cell contains 0 (a
    cell without one counts as such); broken lines are where a surface, a closed form, is 0.

    Raises ValueError where a column is missing or the cells do not span a plane.
    """
    lacking = {*knobs, "n", "mean", "low", "high"} - set(cells.columns)
    if lacking:
        raise ValueError(f"the cells lack {sorted(lacking)}; take them from adaptive_sweep.table")
    x, y = (cells[knob].to_numpy(dtype=np.float64) for knob in knobs)
    if min(np.ptp(x), np.ptp(y)) == 0:
        raise ValueError("the cells lie on a line; a diagram needs two values of each knob")
    shown = panels(axes, 1, size=(4.4, 3.3 if caption else 3.0), pads=(0.04, 0.04))
    (one,) = shown.axes
    # Nodes of a lattice lie on circles by the dozen, and only in units of it are they found alike.
    mesh = Triangulation((x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y))
    mesh = Triangulation(x, y, mesh.triangles)
    handles = _draw_gain(one, mesh, cells)
    handles += [_draw_border(one, s, at) for s, at in zip(surfaces, DASHES, strict=False)]
    one.set_xlabel(knob_title(knobs[0]))
    one.set_ylabel(knob_title(knobs[1]))
    one.set_xlim(x.min(), x.max())
    one.set_ylim(y.min(), y.max())
    one.set_title(f"n = {len(cells)} cells, {int(cells['n'].sum()):,} draws")
    shown.describe(caption=caption)
    shown.explain(handles, columns=2)
    return shown.figure


def _draw_gain(axes: Axes, mesh: Triangulation, cells: pd.DataFrame) -> list[Line2D | Patch]:
    points = 100 * cells["mean"].to_numpy(dtype=np.float64)
    most = max(float(np.abs(points).max()), 1e-6)
    scale = CenteredNorm(0.0, most)  # a point gained is as blue as a point lost is orange
    shown = axes.tripcolor(mesh, points, cmap=GAINS, norm=scale, shading="gouraud", rasterized=True)
    bar = axes.figure.colorbar(shown, ax=axes, label="gain over the teacher (points)")
    bar.outline.set_visible(False)
    handles: list[Line2D | Patch] = []
    if points.min() < 0 < points.max():
        axes.tricontour(mesh, points, levels=[0.0], colors="black", linewidths=1.6)
        handles.append(Line2D([], [], color="black", linewidth=1.6, label="measured: no gain"))
    spanning = spans_zero(cells)
    if spanning.max() >= 0:
        axes.tricontourf(
            mesh, spanning, levels=[-1e-12, np.inf], colors="none", hatches=["////"], zorder=2
        )
        label = "0 in the 95% interval"
        handles.append(Patch(facecolor="none", edgecolor=GREY, hatch="////", label=label))
    size = 1.5 * np.sqrt(cells["n"].to_numpy(dtype=np.float64))
    axes.scatter(mesh.x, mesh.y, s=size, color="black", alpha=0.45, linewidths=0, clip_on=False)
    return handles


def spans_zero(cells: pd.DataFrame) -> Floats:
    """min(high, −low) [n]: not negative exactly where the interval contains 0; else the distance.

    A cell without interval counts as 0: nothing excludes 0 there.
    """
    low, high = (cells[name].to_numpy(dtype=np.float64) for name in ("low", "high"))
    return np.nan_to_num(np.minimum(high, -low), nan=0.0)


def _draw_border(axes: Axes, surface: Surface, dashes: Any) -> Line2D:
    """The line on which a surface is 0, where there is one, and its entry in the legend."""
    colour, label = GREY if dashes == DASHES[1] else "black", f"closed form: {surface.label}"
    style: dict[str, Any] = {"linewidths": 1.3, "linestyles": [dashes], "colors": colour}
    if surface.gain.min() < 0 < surface.gain.max():
        axes.contour(surface.x, surface.y, surface.gain, levels=[0.0], **style)
    else:
        label += ": gain everywhere" if surface.gain.min() >= 0 else ": loss everywhere"
    return Line2D([], [], color=colour, linewidth=1.3, linestyle=dashes, label=label)


def knob_title(knob: str) -> str:
    """The name of a knob on an axis."""
    return TITLES.get(knob, knob)
