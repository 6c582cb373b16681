"""The figure of certificates: bounds as curves beside the truth, computing no theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.report.plots.style import BLUE, GREY, ORANGE, STYLE, GivenAxes, panels

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_COLOURS = (BLUE, ORANGE, "#00704F", "#5B3A9E")


@dataclass(frozen=True)
class BoundPanel:
    """Bounds on an error as curves over x [n], or as bars where there is no x.

    `curves` are name → [n], None where there is no value; `bars` are name → value; `levels` are
    name → a share drawn across; `marks` are name → a place on the x axis.

    Raises ValueError where a curve has another length than x, or there is nothing to draw.
    """

    title: str
    label: str
    x: NDArray[np.floating[Any]] | None = None
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.curves or self.bars):
            raise ValueError(f"panel {self.title!r} has neither curves nor bars")
        for name, values in self.curves.items():
            if self.x is None or len(values) != len(self.x):
                raise ValueError(f"curve {name!r} has {len(values)} values; x has another number")


@matplotlib.rc_context(STYLE)
def bounds_beside_the_truth(
    questions: Sequence[BoundPanel], *, axes: GivenAxes | None = None
) -> Figure:
    """A figure with one panel a question, errors in percent on shared axes.

    Raises ValueError where there is no panel.
    """
    if not questions:
        raise ValueError("there is no panel to draw; give at least one BoundPanel")
    shown = panels(axes, len(questions), size=(2.7, 2.9), margin=(0.4, 0.7), sharey=True)
    for one, question in zip(shown.axes, questions, strict=True):
        if question.bars:
            _draw_bars(one, question)
        else:
            _draw_curves(one, question)
        _draw_levels(one, question)
        one.set_title(question.title)
        one.set_xlabel(question.label)
    shown.axes[0].set_ylim(bottom=0)
    shown.describe(y="student's error on the pool (%)")
    return shown.figure


def _draw_curves(axes: Axes, panel: BoundPanel) -> None:
    assert panel.x is not None
    for number, (name, values) in enumerate(panel.curves.items()):
        y = 100 * np.array([np.nan if value is None else value for value in values])
        style = _DASHES[number % len(_DASHES)]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(panel.x, y, color=colour, linestyle=style, linewidth=1.6, label=name)
    for name, place in panel.marks.items():
        axes.axvline(place, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            f" {name}", (place, 0.02), xycoords=("data", "axes fraction"), fontsize=7, color=GREY
        )
    above = 1.11 + 0.08 * panel.title.count("\n")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, above), fontsize=7.5, borderaxespad=0)


def _draw_bars(axes: Axes, panel: BoundPanel) -> None:
    heights = [100 * value for value in panel.bars.values()]
    axes.bar(range(len(heights)), heights, width=0.7, color="#CBE0EE", edgecolor=BLUE)
    axes.set_xticks(range(len(heights)), [*panel.bars], fontsize=7.5)
    for at, height in enumerate(heights):
        axes.annotate(f"{height:.1f}", (at, height), ha="center", va="bottom", fontsize=7.5)


def _draw_levels(axes: Axes, panel: BoundPanel) -> None:
    for name, level in panel.levels.items():
        axes.axhline(100 * level, color="black", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            name,
            (0.99, 100 * level),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=7,
        )
