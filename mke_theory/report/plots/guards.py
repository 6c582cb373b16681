"""The figure of the guards: gain without them against what they measure."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.method.evidence.guards import SHARED
from mke_theory.report.plots.style import BLUE, GREY, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.float64]

LOOKS = {"trusted": (BLUE, "o"), "weak": (GREY, "v"), "redundant": (ORANGE, "^")}
"""Colour and shape of a verdict."""


@matplotlib.rc_context(STYLE)
def gain_against_shared(
    found: Mapping[str, tuple[Floats, Floats]],
    caption: str = "",
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with a dot for each student: (shared [n], gain without guards [n]) by verdict.

    Gains are shares. The upright line is the guard's threshold. Raises ValueError where there is no
    student, or a verdict is unknown.
    """
    if not any(len(x) for x, _ in found.values()) or found.keys() - LOOKS.keys():
        raise ValueError(
            f"give the students of one or more of {', '.join(LOOKS)}; got {list(found)}"
        )
    shown = panels(axes, 1, size=(5.0, 3.6), margin=(0.4, 0.5))
    (one,) = shown.axes
    one.axhline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    one.axvline(SHARED, color=GREY, linewidth=0.8, label="threshold")
    for verdict, (x, gain) in found.items():
        colour, shape = LOOKS[verdict]
        one.plot(
            x,
            100 * gain,
            shape,
            color=colour,
            markersize=2.6,
            markeredgewidth=0,
            alpha=0.5,
            label=f"{verdict} ({len(x)})",
        )
    shown.describe(
        x="share of β's evidence that the teacher's modality foretells within a class",
        y="gain without guards (points)",
        caption=caption,
    )
    handles, _ = one.get_legend_handles_labels()
    shown.explain(handles, columns=4)
    return shown.figure
