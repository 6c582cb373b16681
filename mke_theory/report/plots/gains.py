"""The figure of gains: what each arm gains over the teacher, a panel a task."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mke_theory.report.plots.style import BLUE, GREY, STYLE, GivenAxes, arm_title, panels
from mke_theory.report.tables import gains, gains_by_seed, seeds
from mke_theory.study.arms import EVIDENCE_PLACEBOS, PLACEBOS, REFERENCE, RIVALS
from mke_theory.study.records import Record


@matplotlib.rc_context(STYLE)
def gain_by_arm(
    records: Iterable[Record], metric: str = "test", *, axes: GivenAxes | None = None
) -> Figure:
    """A figure with one panel a task: each arm's paired gain over the teacher, in points.

    Points are means over seeds with Student's 95% interval, faint dots the single seeds; placebos
    and rivals are hollow. Raises ValueError where no record has the metric, or none is of the
    teacher.
    """
    records = list(records)
    means, singles = gains(records, metric), gains_by_seed(records, metric)
    if means.empty:
        raise ValueError(f"no arm has {metric!r} at a seed at which {REFERENCE} has it too")
    arms = list(dict.fromkeys(means["arm"]))
    tasks = list(dict.fromkeys(means["task"]))
    size = (2.7, 0.8 + 0.26 * len(arms))
    shown = panels(axes, len(tasks), size=size, margin=(1.6, 0.7), sharey=True)
    for one, task in zip(shown.axes, tasks, strict=True):
        rows = means[means["task"] == task]
        _draw(one, rows, singles[singles["task"] == task], arms)
        one.set_title(f"{task}\nn = {seeds(int(rows['n'].min()), int(rows['n'].max()))}")
    shown.describe(
        x=f"gain in {metric} metric over {arm_title(REFERENCE)} (percentage points)",
        caption="mean and 95% interval of the paired differences; faint dots: single seeds",
    )
    return shown.figure


def _draw(axes: Axes, rows: pd.DataFrame, singles: pd.DataFrame, arms: list[str]) -> None:
    axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    hollow = {arm.name for arm in (*PLACEBOS, *EVIDENCE_PLACEBOS, *RIVALS)}
    for row in rows.to_dict("records"):
        at, mean = arms.index(row["arm"]), 100 * row["mean"]
        dots = 100 * singles.loc[singles["arm"] == row["arm"], "gain"].to_numpy()
        axes.plot(dots, np.full(len(dots), at + 0.25), "o", color=GREY, alpha=0.4, ms=2.5, mew=0)
        if row["low"] is not None:
            ends = [100 * row["low"], 100 * row["high"]]
            axes.plot(ends, [at, at], color=BLUE, linewidth=1.6, solid_capstyle="butt", zorder=2)
        face = "white" if row["arm"] in hollow else BLUE
        axes.plot(mean, at, "o", color=BLUE, markerfacecolor=face, markersize=5, zorder=3)
    axes.set_yticks(range(len(arms)), [arm_title(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)
