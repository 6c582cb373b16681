"""One function for each type of figure: from records or arrays to a file, training nothing.

The ending of the path (.png, .svg, .pdf) chooses the format. Blue and orange are told apart by all
common kinds of colour vision, and lightness, hatching and marker shapes carry the same meaning in
grey print. Equal input gives an equal file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mke_theory.report.tables import gains, gains_by_seed
from mke_theory.study.arms import ARMS, PLACEBOS, REFERENCE, RIVALS
from mke_theory.study.records import Record, write_atomic

FORMATS = (".png", ".svg", ".pdf")
CLASSES_AT_MOST = 40
"""More classes than this make no readable bars."""

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "mke_theory",
    "pdf.fonttype": 42,
}

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"
# What the student gets right is blue, what it gets wrong orange; what it changed is saturated.
OUTCOMES = {
    "kept": ("#CBE0EE", ""),
    "corrected": (BLUE, ""),
    "inherited": ("#F7DDC4", "////"),
    "damaged": (ORANGE, "xxxx"),
}
# Class by class: a shade for its region, an ink and a shape for its points. The last ink and shape,
# which −1 picks, are those of an unknown class.
SHADES = ("#E1EDF6", "#F4C698", "#A9D8C3", "#EFE3F0", "#D9CB6A", "#BDBDBD", "#CFC4EE", "#E08F86")
INKS = (BLUE, "#6E2C00", "#00704F", "#A0497C", "#6B6200", "#333333", "#5B3A9E", "#8F2A1C", GREY)
SHAPES = ("o", "^", "s", "D", "v", "P", "X", "p", "*")


@dataclass(frozen=True)
class Region:
    """The decisions of one classifier over the plane, and the points that it is judged by.

    x [w] and y [h] are the coordinates of the grid, `prediction` [h, w] its class numbers; `points`
    is [n, 2], `labels` [n] their true classes (−1 for unknown) and `accuracy` in [0, 1] the share
    of those of known class that is right.

    Raises ValueError where shapes do not fit, a class is out of range or accuracy is no share.
    """

    title: str
    x: NDArray[np.floating[Any]]
    y: NDArray[np.floating[Any]]
    prediction: NDArray[np.integer[Any]]
    points: NDArray[np.floating[Any]]
    labels: NDArray[np.integer[Any]]
    accuracy: float

    def __post_init__(self) -> None:
        if min(len(self.x), len(self.y)) < 2:
            raise ValueError(
                f"the grid is {len(self.x)} by {len(self.y)}; at least 2 by 2 is needed"
            )
        if self.prediction.shape != (len(self.y), len(self.x)):
            raise ValueError(
                f"prediction has shape {self.prediction.shape}; y and x ask for "
                f"{(len(self.y), len(self.x))}"
            )
        if self.points.shape != (len(self.labels), 2):
            raise ValueError(
                f"points have shape {self.points.shape}; {len(self.labels)} labels ask for "
                f"{(len(self.labels), 2)}"
            )
        for name, lowest in (("prediction", 0), ("labels", -1)):
            values = getattr(self, name)
            if values.size == 0 or values.min() < lowest or values.max() >= len(SHADES):
                raise ValueError(f"{name} has to hold classes from {lowest} to {len(SHADES) - 1}")
        if not 0 <= self.accuracy <= 1:
            raise ValueError(f"accuracy is {self.accuracy}; it is a share in [0, 1]")


@matplotlib.rc_context(STYLE)
def gain_by_arm(records: Iterable[Record], path: str | Path, metric: str = "test") -> Path:
    """The path of a figure with one panel a task: each arm's paired gain over the teacher.

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
    figure, panels = _panels(len(tasks), width=2.7, height=0.8 + 0.26 * len(arms), left=1.6)
    for axes, task in zip(panels, tasks, strict=True):
        rows = means[means["task"] == task]
        _draw_gains(axes, rows, singles[singles["task"] == task], arms)
        axes.set_title(f"{task}\n{_runs(rows['n'])}")
    figure.supxlabel(
        f"gain in {metric} metric over {_title(REFERENCE)} (percentage points)\n", fontsize=9
    )
    _caption(figure, "mean and 95% interval of the paired differences; faint dots: single seeds")
    return _save(figure, path)


@matplotlib.rc_context(STYLE)
def account_by_class(
    records: Iterable[Record],
    path: str | Path,
    part: str = "unlabelled",
    arm: str = "mm_student",
) -> Path:
    """The path of a figure with one panel a task: what became of the teacher's labels, by class.

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
    width = min(5.0, max(2.8, 0.5 + 0.24 * widest))
    figure, panels = _panels(len(counts), width=width, height=2.5, left=0.5, columns=2)
    for axes, (task, (runs, table)) in zip(panels, counts.items(), strict=True):
        _draw_account(axes, table, names_of[task] or ())
        total = int(table.to_numpy().sum())
        axes.set_title(f"{task}\nn = {total:,} labels, {_seeds(runs)}")
    figure.supylabel("share of class (%)", fontsize=9)
    figure.supxlabel("true class", fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    title = f"{_title(arm)}: the teacher's labels on {part} data"
    figure.legend(handles, names, loc="outside upper center", ncols=4, title=title)
    return _save(figure, path)


@matplotlib.rc_context(STYLE)
def decision_regions(
    panels: Sequence[Region],
    path: str | Path,
    axes_names: tuple[str, str] = ("α (teacher's modality)", "β (new modality)"),
) -> Path:
    """The path of a figure with a row of panels: regions shaded by decision, points by truth.

    Raises ValueError where there is no panel.
    Ref: xue2021mke, figure on TwoMoon.
    """
    if not panels:
        raise ValueError("there is no panel to draw; give at least one Region")
    figure, axes = _panels(len(panels), width=1.9, height=2.3, left=0.4, columns=4)
    for one, region in zip(axes, panels, strict=True):
        _draw_region(one, region)
    figure.supxlabel(axes_names[0], fontsize=9)
    figure.supylabel(axes_names[1], fontsize=9)
    classes = sorted({int(label) for region in panels for label in region.labels})
    handles = [_marker(label) for label in classes]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(classes)))
    return _save(figure, path)


def _draw_gains(axes: Axes, rows: pd.DataFrame, singles: pd.DataFrame, arms: list[str]) -> None:
    axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    hollow = {arm.name for arm in (*PLACEBOS, *RIVALS)}
    for row in rows.to_dict("records"):
        at, mean = arms.index(row["arm"]), 100 * row["mean"]
        dots = 100 * singles.loc[singles["arm"] == row["arm"], "gain"].to_numpy()
        axes.plot(dots, np.full(len(dots), at + 0.25), "o", color=GREY, alpha=0.4, ms=2.5, mew=0)
        if row["low"] is not None:
            ends = [100 * row["low"], 100 * row["high"]]
            axes.plot(ends, [at, at], color=BLUE, linewidth=1.6, solid_capstyle="butt", zorder=2)
        face = "white" if row["arm"] in hollow else BLUE
        axes.plot(mean, at, "o", color=BLUE, markerfacecolor=face, markersize=5, zorder=3)
    axes.set_yticks(range(len(arms)), [_title(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)


def _counts_by_class(
    records: Iterable[Record], part: str, arm: str
) -> dict[str, tuple[int, pd.DataFrame]]:
    """Task → number of runs and the sums over them: one row a class, one column an outcome."""
    found: dict[str, tuple[int, pd.DataFrame]] = {}
    for record in records:
        account = (record.account or {}).get(part)
        if record.arm != arm or not account or len(account["by_class"]) > CLASSES_AT_MOST:
            continue
        table = pd.DataFrame(account["by_class"])[list(OUTCOMES)]
        runs, so_far = found.get(record.task, (0, 0 * table))
        found[record.task] = (runs + 1, so_far + table)
    return {task: (runs, table) for task, (runs, table) in found.items() if table.to_numpy().any()}


def _draw_account(axes: Axes, counts: pd.DataFrame, names: Sequence[str]) -> None:
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


def _draw_region(axes: Axes, region: Region) -> None:
    shades = ListedColormap(SHADES)
    axes.pcolormesh(
        region.x,
        region.y,
        region.prediction,
        cmap=shades,
        vmin=-0.5,
        vmax=len(SHADES) - 0.5,
        shading="nearest",
        rasterized=True,
    )
    for label in np.unique(region.prediction)[1:]:
        inside = (region.prediction >= label).astype(float)
        axes.contour(region.x, region.y, inside, levels=[0.5], colors="black", linewidths=0.8)
    for label in np.unique(region.labels):
        at = region.points[region.labels == label]
        axes.scatter(
            at[:, 0],
            at[:, 1],
            s=13,
            c=INKS[label],
            marker=SHAPES[label],
            linewidths=0.3,
            ec="white",
        )
    known = int((region.labels >= 0).sum())
    axes.set_title(f"{region.title}\naccuracy {100 * region.accuracy:.1f}% (n = {known})")
    axes.set_box_aspect(1)
    axes.set_xlim(region.x[0], region.x[-1])
    axes.set_ylim(region.y[0], region.y[-1])


def _marker(label: int) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=SHAPES[label],
        color=INKS[label],
        markersize=4.5,
        label="unknown class" if label < 0 else f"true class {label}",
    )


def _panels(
    count: int, *, width: float, height: float, left: float, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`, sizes in inches."""
    across = min(count, columns)
    down = -(-count // across)
    size = (left + width * across, 0.7 + height * down)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.06))
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    for unused in grid.flat[count:]:
        unused.remove()
    return figure, list(grid.flat[:count])


def _caption(figure: Figure, text: str) -> None:
    figure.text(0.5, 0.01, text, ha="center", va="bottom", fontsize=7.5, color=GREY)


def _runs(n: pd.Series) -> str:
    low, high = int(n.min()), int(n.max())
    return f"n = {_seeds(low)}" if low == high else f"n = {low} to {_seeds(high)}"


def _seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _title(arm: str) -> str:
    return ARMS[arm].title if arm in ARMS else arm


def _save(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{path.name} ends with {path.suffix!r}; choose one of {list(FORMATS)}")
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    content = BytesIO()
    figure.savefig(
        content, format=path.suffix[1:], metadata=undated.get(path.suffix), bbox_inches="tight"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(path, content.getvalue())
