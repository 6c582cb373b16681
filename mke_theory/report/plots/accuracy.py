"""The figure of accuracies along several knobs: measured means, and what is known exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from mke_theory.report.plots.knobs import LOOKS, Curve, Floats
from mke_theory.report.plots.style import GREY, STYLE, GivenAxes, panels

LINES: tuple[dict[str, Any], ...] = (
    {"color": "black", "linewidth": 1.1},
    {"color": GREY, "linewidth": 0.9, "linestyle": (0, (5, 2))},
    {"color": GREY, "linewidth": 0.9, "linestyle": (0, (1, 1.5))},
)
"""The look of the first, second and third exact line of a panel."""


@dataclass(frozen=True)
class AccuracyPanel:
    """One knob: measured curves, and up to three exact lines by name, [k] over the same values.

    Numbers are shares; NaN in a line leaves a gap. `log` gives the knob a logarithmic axis. Raises
    ValueError where there is no curve, too many of them or of the lines, or lengths differ.
    """

    title: str
    knob: str
    curves: Sequence[Curve]
    exact: Mapping[str, Floats]
    log: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.curves) <= len(LOOKS) or len(self.exact) > len(LINES):
            raise ValueError(
                f"{self.title} has {len(self.curves)} curves and {len(self.exact)} lines; give 1 "
                f"to {len(LOOKS)} curves and at most {len(LINES)} lines"
            )
        lengths = {len(part) for part in (*(c.x for c in self.curves), *self.exact.values())}
        if len(lengths) != 1:
            raise ValueError(f"{self.title} has parts of lengths {sorted(lengths)}; give one")


@matplotlib.rc_context(STYLE)
def accuracy_along_knobs(
    shown: Sequence[AccuracyPanel], caption: str = "", *, axes: GivenAxes | None = None
) -> Figure:
    """A figure with a panel a knob; points are means with 95% intervals, lines are exact.

    Raises ValueError without any panel.
    """
    if not shown:
        raise ValueError("there is no panel to draw; give at least one AccuracyPanel")
    drawn = panels(axes, len(shown), size=(2.5, 2.2), margin=(0.4, 0.8), columns=4)
    for one, panel in zip(drawn.axes, shown, strict=True):
        _draw(one, panel)
    drawn.describe(y="accuracy on test (%)", caption=caption)
    handles = {
        label: handle
        for one in drawn.axes
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True)
    }
    drawn.explain(list(handles.values()), columns=4)
    return drawn.figure


def _draw(axes: Axes, panel: AccuracyPanel) -> None:
    x = panel.curves[0].x
    for (name, values), look in zip(panel.exact.items(), LINES, strict=False):
        axes.plot(x, 100 * values, label=name, **look)
    for (colour, shape), curve in zip(LOOKS, panel.curves, strict=False):
        axes.errorbar(
            curve.x,
            100 * curve.mean,
            yerr=100 * np.stack([curve.mean - curve.low, curve.high - curve.mean]),
            fmt=shape,
            color=colour,
            markersize=3.5,
            linewidth=1,
            label=curve.label,
        )
    axes.set_title(panel.title)
    axes.set_xlabel(panel.knob)
    if panel.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(x.tolist()))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{value:g}" for value in x]))
        axes.xaxis.set_minor_locator(NullLocator())
