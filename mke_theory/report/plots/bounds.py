"""The figure of bounds: the value of each theorem against the error that it bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mke_theory.report.plots.style import BLUE, INKS, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.floating[Any]]

VERDICTS = {
    "violated": (ORANGE, "x", "a hypothesis is violated"),
    "not checkable": (INKS[2], "D", "not checkable"),
    "not shown": (INKS[2], "D", "not shown"),
    "vacuous": (BLUE, "o", "holds, vacuous"),
    "holds": (BLUE, "o", "holds, below the trivial bound"),
}
"""Colour, shape and words for what became of a bound; vacuous ones are hollow."""


@dataclass(frozen=True)
class Comparison:
    """One theorem over many cases: its value and the error that it bounds, [n] each, in [0, 1].

    `verdict` [n] is "holds", "not checkable", "not shown" or "violated", with ", vacuous" where it
    says nothing.

    Raises ValueError where lengths do not fit, a number is not finite, or a verdict is no such.
    """

    title: str
    value: Floats
    error: Floats
    verdict: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.value) == len(self.error) == len(self.verdict):
            lengths = len(self.value), len(self.error), len(self.verdict)
            raise ValueError(f"{self.title!r}: value, error and verdict have lengths {lengths}")
        if not (np.isfinite(self.value).all() and np.isfinite(self.error).all()):
            raise ValueError(f"{self.title!r} holds a number that is not finite; leave it out")
        for verdict in set(self.verdict):
            if verdict.removesuffix(", vacuous") not in VERDICTS.keys() - {"vacuous"}:
                raise ValueError(f"{verdict!r} is no verdict of a bound")

    def kinds(self) -> NDArray[np.str_]:
        """The key of `VERDICTS` of each case, [n]."""
        short = {"holds, vacuous": "vacuous"}
        return np.array([short.get(v, v.removesuffix(", vacuous")) for v in self.verdict], str)


@matplotlib.rc_context(STYLE)
def bound_against_error(
    theorems: Sequence[Comparison],
    caption: str = "",
    columns: int = 4,
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with one panel a theorem: value against measured error, case by case.

    On the diagonal a bound is tight, below it (shaded) it is broken. Values outside [0, 1] are
    drawn at the edge. Raises ValueError where there is no panel.
    """
    if not theorems:
        raise ValueError("there is no panel to draw; give at least one Comparison")
    size = (1.75, 1.95)
    shown = panels(axes, len(theorems), size=size, margin=(0.4, 0.7), columns=columns, sharey=True)
    for one, theorem in zip(shown.axes, theorems, strict=True):
        _draw(one, theorem)
    shown.describe(x="measured on the pool (%)", y="value of the bound (%)", caption=caption)
    found = {str(kind) for theorem in theorems for kind in theorem.kinds()}
    handles = [_verdict_handle(kind) for kind in VERDICTS if kind in found]
    shown.explain(handles, columns=min(4, len(handles)))
    return shown.figure


def _draw(axes: Axes, one: Comparison) -> None:
    axes.fill_between([0, 100], [0, 100], -6, color="#F0F0F0", linewidth=0)
    axes.plot([0, 100], [0, 100], color="black", linewidth=0.8)
    kinds, error = one.kinds(), np.clip(100 * one.error, 0, 103)
    value = np.clip(100 * one.value, -3, 106)
    for kind, (colour, shape, _) in VERDICTS.items():
        at = kinds == kind
        if not at.any():
            continue
        hollow = kind == "vacuous"
        axes.scatter(
            error[at],
            value[at],
            s=9 if shape == "x" else 11,
            marker=shape,
            facecolors="white" if hollow else colour,
            edgecolors=None if shape == "x" else colour if hollow else "white",
            linewidths=0.7 if shape == "x" or hollow else 0.25,
            alpha=0.45 if shape == "x" else 0.85,
            rasterized=True,
            clip_on=False,
        )
    axes.set_title(f"{one.title}\nn = {len(kinds):,}")
    axes.set_xlim(-3, 103)
    axes.set_ylim(-6, 108)
    axes.set_xticks([0, 50, 100])
    axes.set_yticks([0, 50, 100], ["0", "50", "≥ 100"])
    axes.set_box_aspect(1)


def _verdict_handle(kind: str) -> Line2D:
    colour, shape, label = VERDICTS[kind]
    face = "white" if kind == "vacuous" else colour
    return Line2D(
        [], [], linestyle="none", marker=shape, color=colour, mfc=face, markersize=4, label=label
    )
