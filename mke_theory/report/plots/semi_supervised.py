"""The figure of semi-supervised methods beside each other: from records alone, training nothing.

Style, formats and reproducibility are those of `plots`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mke_theory.report.plots.gains import BLUE, ORANGE, STYLE, _caption, _panels, _save, _seeds
from mke_theory.report.tables import gains
from mke_theory.study.arms import REFERENCE
from mke_theory.study.records import Record

SIGHTS = {"α": (ORANGE, "s", -0.16), "α and β": (BLUE, "o", 0.16)}
"""Colour, marker and place in its row of a student that reads these."""


@matplotlib.rc_context(STYLE)
def gains_by_method(records: Iterable[Record], path: str | Path) -> Path:
    """The path of a figure with one panel a task: what each method gains over the teacher.

    A row is a method, with a square for its student of α alone and a circle for that of both; lines
    are Student's 95% intervals of the differences, paired by seed. Raises ValueError where no
    record is of the teacher, or none of anybody else.
    """
    records = list(records)
    found = gains(records)
    if found.empty:
        raise ValueError(f"no method was run at a seed at which {REFERENCE} was run too")
    told = {record.arm: (record.arm_title, record.extra["sees"]) for record in records}
    found["method"] = [told[arm][0] for arm in found["arm"]]
    found["sees"] = [told[arm][1] for arm in found["arm"]]
    titles = {record.task: record.title for record in records}
    methods = list(dict.fromkeys(title for arm, (title, _) in told.items() if arm != REFERENCE))
    tasks = [task for task in titles if (found["task"] == task).any()]
    figure, panels = _panels(
        len(tasks), width=2.6, height=0.9 + 0.26 * len(methods), left=1.5, columns=4
    )
    for axes, task in zip(panels, tasks, strict=True):
        rows = found[found["task"] == task]
        _draw(axes, rows, methods)
        low, high = int(rows["n"].min()), int(rows["n"].max())
        count = _seeds(high) if low == high else f"{low} to {_seeds(high)}"
        axes.set_title(f"{titles[task].removeprefix('simulated: ')}\nn = {count}")
    figure.supxlabel("gain in test accuracy over the UM teacher (percentage points)\n", fontsize=9)
    _caption(figure, "mean and 95% interval of the paired differences")
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, label=f"the student reads {s}")
        for s, (colour, marker, _) in SIGHTS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return _save(figure, path)


def _draw(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for row in rows.to_dict("records"):
        colour, marker, off = SIGHTS[row.extra["sees"]]
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
