"""The figure of confusion: what each true class is taken for, by the teacher and by its student.

Style, formats and reproducibility are those of `plots`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from mke_theory.report.plots.gains import STYLE, _save, _seeds, _title
from mke_theory.study.records import Record

ARMS_SHOWN = ("um_teacher", "mm_student")


@matplotlib.rc_context(STYLE)
def confusion(
    records: Iterable[Record], path: str | Path, arms: Sequence[str] = ARMS_SHOWN
) -> Path:
    """The path of a figure with a row a task and a column an arm: shares of each true class, in %.

    Counts on test are summed over seeds; each row of a matrix adds up to 100. Tasks without a
    recorded matrix for each arm are passed over; raises ValueError where none is left.
    """
    tables = tables_of(list(records), arms)
    if not tables:
        raise ValueError(f"no task has a confusion matrix for each of {', '.join(arms)}")
    widest = max(len(names) for names, _, _ in tables.values())
    side = 1.0 + 0.3 * widest
    size = (side * len(arms) + 0.6, (side + 0.2) * len(tables))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.04))
    grid = figure.subplots(len(tables), len(arms), squeeze=False, sharey="row")
    for row, (task, (names, runs, counts)) in zip(grid, tables.items(), strict=True):
        for axes, arm in zip(row, arms, strict=True):
            _draw(axes, counts[arm], names)
            axes.set_title(f"{task}: {_title(arm)}\n{_seeds(runs[arm])}")
        row[0].set_ylabel("true class")
    figure.supxlabel("answer, in % of the true class", fontsize=9)
    return _save(figure, path)


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
