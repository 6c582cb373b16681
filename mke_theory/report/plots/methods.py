"""The figure of semi-supervised methods beside each other, a panel a task."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mke_theory.report.plots.style import BLUE, ORANGE, STYLE, GivenAxes, panels
from mke_theory.report.tables import gains, seeds
from mke_theory.study.arms import REFERENCE
from mke_theory.study.records import Record

SIGHTS = {"α": (ORANGE, "s", -0.16), "α and β": (BLUE, "o", 0.16)}
"""Colour, marker and place in its row of a student that reads these."""


@matplotlib.rc_context(STYLE)
def gain_by_method(records: Iterable[Record], *, axes: GivenAxes | None = None) -> Figure:
    """A figure with one panel a task: each method's paired gain over the teacher, in points.

    A row is a method, with a square for its student of α alone and a circle for that of both; lines
    are Student's 95% intervals of the differences, paired by seed. Raises ValueError where no
    record is of the teacher, or none of anybody else.
    """
    records = list(records)
    found = gains(records)
    if found.empty:
        raise ValueError(f"no method was run at a seed at which {REFERENCE} was run too")
    arms = {record.arm: (record.arm_title, record.extra["sees"]) for record in records}
    found["method"] = [arms[arm][0] for arm in found["arm"]]
    found["sees"] = [arms[arm][1] for arm in found["arm"]]
    titles = {record.task: record.title for record in records}
    methods = list(dict.fromkeys(title for arm, (title, _) in arms.items() if arm != REFERENCE))
    tasks = [task for task in titles if (found["task"] == task).any()]
    size = (2.6, 0.9 + 0.26 * len(methods))
    shown = panels(axes, len(tasks), size=size, margin=(1.5, 0.7), columns=4, sharey=True)
    for one, task in zip(shown.axes, tasks, strict=True):
        rows = found[found["task"] == task]
        _draw(one, rows, methods)
        count = seeds(int(rows["n"].min()), int(rows["n"].max()))
        one.set_title(f"{titles[task].removeprefix('simulated: ')}\nn = {count}")
    shown.describe(
        x="gain in test accuracy over the UM teacher (percentage points)",
        caption="mean and 95% interval of the paired differences",
    )
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, label=f"the student reads {s}")
        for s, (colour, marker, _) in SIGHTS.items()
    ]
    shown.explain(handles, columns=2)
    return shown.figure


def _draw(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for row in rows.to_dict("records"):
        colour, marker, off = SIGHTS[row["sees"]]
        at = methods.index(row["method"]) + off
        if row["low"] is not None:
            ends = [100 * row["low"], 100 * row["high"]]
            axes.plot(ends, [at, at], color=colour, linewidth=1.4, solid_capstyle="butt", zorder=2)
        axes.plot(100 * row["mean"], at, marker, color=colour, markersize=4, zorder=3)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)
