"""The figure of gains along a knob: measured means with their intervals, and a formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.report.plots.phase import knob_title
from mke_theory.report.plots.style import BLUE, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.float64]

LOOKS = ((BLUE, "o"), (ORANGE, "s"), ("#00704F", "^"), ("#A0497C", "D"))
"""Colour and shape of the first, second, … curve of a panel."""


@dataclass(frozen=True)
class Curve:
    """One kind of student along a knob: measured means with their intervals, and a formula.

    x, mean, low and high are [k], as shares; `formula` [k] or None.

    Raises ValueError where lengths differ.
    """

    label: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    formula: Floats | None = None

    def __post_init__(self) -> None:
        parts = (self.x, self.mean, self.low, self.high)
        lengths = [
            len(part) for part in (*parts, *(() if self.formula is None else (self.formula,)))
        ]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            raise ValueError(
                f"curve {self.label!r} has parts of lengths {lengths}; give one length"
            )


@matplotlib.rc_context(STYLE)
def gain_along_knob(
    curves: Mapping[str, tuple[str, Sequence[Curve]]],
    caption: str = "",
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with a panel for each title: (name of the knob, its curves).

    Points are means with 95% intervals, lines formulas. Raises ValueError without any curve.
    """
    if not curves or any(not own for _, own in curves.values()):
        raise ValueError("there is no curve to draw; give at least one Curve a panel")
    shown = panels(axes, len(curves), size=(3.2, 2.6), margin=(0.5, 0.7), columns=2, sharey=True)
    for one, (title, (knob, own)) in zip(shown.axes, curves.items(), strict=True):
        one.axhline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        for (colour, shape), curve in zip(LOOKS, own, strict=False):
            _draw(one, curve, colour, shape)
        one.set_title(title)
        one.set_xlabel(knob_title(knob))
    shown.describe(y="gain over the teacher (points)", caption=caption)
    handles = {
        label: handle
        for one in shown.axes
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True)
    }
    shown.explain(list(handles.values()), columns=2)
    return shown.figure


def _draw(axes: Axes, curve: Curve, colour: str, shape: str) -> None:
    reach = 100 * np.stack([curve.mean - curve.low, curve.high - curve.mean])
    axes.errorbar(
        curve.x,
        100 * curve.mean,
        yerr=reach,
        fmt=shape,
        color=colour,
        markersize=4,
        linewidth=1.2,
        label=curve.label,
    )
    if curve.formula is not None:
        label = f"{curve.label}: closed form"
        axes.plot(curve.x, 100 * curve.formula, color=colour, linewidth=1.2, label=label)
