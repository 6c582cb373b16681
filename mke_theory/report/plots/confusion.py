"""The figure of confusion: the classes that each true class is taken for, arm by arm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.report.plots.style import STYLE, GivenAxes, arm_title, panels
from mke_theory.report.tables import seeds
from mke_theory.study.arms import MM_STUDENT, REFERENCE
from mke_theory.study.records import Record

ARMS_SHOWN = (REFERENCE, MM_STUDENT.name)


@matplotlib.rc_context(STYLE)
def confusion_by_arm(
    records: Iterable[Record],
    arms: Sequence[str] = ARMS_SHOWN,
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with a row a task and a column an arm: shares of each true class, in %.

    Counts on test are summed over seeds; each row of a matrix adds up to 100. Tasks without a
    recorded matrix for each arm are passed over; raises ValueError where none is left.
    """
    tables = tables_of(list(records), arms)
    if not tables:
        raise ValueError(f"no task has a confusion matrix for each of {', '.join(arms)}")
    side = 1.0 + 0.3 * max(len(names) for names, _, _ in tables.values())
    shown = panels(
        axes,
        len(tables) * len(arms),
        size=(side, side + 0.2),
        margin=(0.6, 0.0),
        columns=len(arms),
        sharey="row",
    )
    for row, (task, (names, runs, counts)) in zip(
        shown.grid(len(arms)), tables.items(), strict=True
    ):
        for one, arm in zip(row, arms, strict=True):
            _draw(one, counts[arm], names)
            one.set_title(f"{task}: {arm_title(arm)}\n{seeds(runs[arm])}")
        row[0].set_ylabel("true class")
    shown.describe(x="predicted class, in % of the true class")
    return shown.figure


def tables_of(
    records: Sequence[Record], arms: Sequence[str]
) -> dict[str, tuple[list[str], dict[str, int], dict[str, NDArray[np.int64]]]]:
    """Task → (class names, arm → seeds, arm → counts [k, k] summed over seeds)."""
    found = {}
    for task in dict.fromkeys(record.task for record in records):
        by_arm = {
            arm: [
                np.array(record.confusion)
                for record in records
                if (record.task, record.arm) == (task, arm) and record.confusion
            ]
            for arm in arms
        }
        if not all(by_arm.values()):
            continue
        counts = {arm: np.sum(some, axis=0) for arm, some in by_arm.items()}
        own = next(record for record in records if record.task == task)
        names = own.class_names or [str(at) for at in range(len(counts[arms[0]]))]
        found[task] = (names, {arm: len(some) for arm, some in by_arm.items()}, counts)
    return found


def _draw(axes: Axes, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    whole = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(whole, 1)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for (down, across), value in np.ndenumerate(percent):
        if whole[down, 0]:
            colour = "white" if value > 55 else "black"
            axes.text(across, down, f"{value:.0f}", ha="center", va="center", fontsize=6, c=colour)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
