"""The figure of the account: what became of the teacher's labels, class by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mke_theory.report.plots.style import (
    BLUE,
    CLASSES_AT_MOST,
    ORANGE,
    STYLE,
    GivenAxes,
    arm_title,
    panels,
)
from mke_theory.report.tables import seeds
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.records import Record

# Right answers of the student are blue, wrong ones orange; those it changed are saturated.
OUTCOMES = {
    "kept": ("#CBE0EE", ""),
    "corrected": (BLUE, ""),
    "inherited": ("#F7DDC4", "////"),
    "damaged": (ORANGE, "xxxx"),
}


@matplotlib.rc_context(STYLE)
def account_by_class(
    records: Iterable[Record],
    part: str = "unlabelled",
    arm: str = MM_STUDENT.name,
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with one panel a task: what became of the teacher's labels, by true class.

    Bars are shares of the samples of a true class, summed over seeds. Up to the end of "corrected"
    the student is right. Classes have their names where the records hold them, else numbers. Tasks
    with more than 40 classes, or without an account, are passed over; raises ValueError where none
    is left.
    """
    records = list(records)
    names_of = {record.task: record.class_names for record in records}
    counts = _counts_by_class(records, part, arm)
    if not counts:
        raise ValueError(
            f"no record of arm {arm!r} has an account of {part!r} with known labels and at most "
            f"{CLASSES_AT_MOST} classes"
        )
    widest = max(len(table) for _, table in counts.values())
    size = (min(5.0, max(2.8, 0.5 + 0.24 * widest)), 2.5)
    shown = panels(axes, len(counts), size=size, margin=(0.5, 0.7), columns=2, sharey=True)
    for one, (task, (runs, table)) in zip(shown.axes, counts.items(), strict=True):
        _draw(one, table, names_of[task] or ())
        one.set_title(f"{task}\nn = {int(table.to_numpy().sum()):,} labels, {seeds(runs)}")
    shown.describe(x="true class", y="share of class (%)")
    handles, _ = shown.axes[0].get_legend_handles_labels()
    title = f"{arm_title(arm)}: the teacher's labels on {part} data"
    shown.explain(handles, columns=4, title=title)
    return shown.figure


def with_account(
    records: Iterable[Record], part: str = "unlabelled", arm: str = MM_STUDENT.name
) -> list[Record]:
    """The records of the tasks that `account_by_class` can draw."""
    records = list(records)
    counts = _counts_by_class(records, part, arm)
    return [record for record in records if record.task in counts]


def _counts_by_class(
    records: Iterable[Record], part: str, arm: str
) -> dict[str, tuple[int, pd.DataFrame]]:
    """Task → number of runs and the sums over them: one row a class, one column an outcome."""
    found: dict[str, tuple[int, pd.DataFrame]] = {}
    for record in records:
        account = record.account.get(part)
        if record.arm != arm or not account or len(account["by_class"]) > CLASSES_AT_MOST:
            continue
        table = pd.DataFrame(account["by_class"])[list(OUTCOMES)]
        runs, so_far = found.get(record.task, (0, 0 * table))
        found[record.task] = (runs + 1, so_far + table)
    return {task: (runs, table) for task, (runs, table) in found.items() if table.to_numpy().any()}


def _draw(axes: Axes, counts: pd.DataFrame, names: Sequence[str]) -> None:
    known = counts[counts.sum(axis=1) > 0]
    shares = 100 * known.div(known.sum(axis=1), axis=0)
    bottom = np.zeros(len(shares))
    for outcome, (colour, hatch) in OUTCOMES.items():
        axes.bar(
            shares.index,
            shares[outcome],
            bottom=bottom,
            width=0.85,
            color=colour,
            hatch=hatch,
            edgecolor="white" if outcome == "damaged" else "#8A8A8A",
            linewidth=0.3,
            label=outcome,
        )
        bottom += shares[outcome].to_numpy()
    axes.set_ylim(0, 100)
    margin = 0.6 + max(0, 8 - len(counts)) / 2  # few classes should not make bars like walls
    axes.set_xlim(-margin, len(counts) - 1 + margin)
    step = 1 if len(counts) <= (20 if names else 12) else 5
    at = range(0, len(counts), step)
    axes.set_xticks(at)
    if names:
        axes.set_xticklabels(
            [names[i] for i in at], rotation=45, ha="right", rotation_mode="anchor"
        )
