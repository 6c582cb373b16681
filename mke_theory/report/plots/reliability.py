"""The figure of calibration: how often answers of a confidence are right, a panel a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.evaluation.calibration import expected_calibration_error, reliability
from mke_theory.evaluation.stats import Summary, summarise
from mke_theory.report.plots.style import BLUE, ORANGE, STYLE, GivenAxes, panels
from mke_theory.report.tables import seeds

BINS = 10
_LOOKS = ((BLUE, "o", "-"), (ORANGE, "s", "--"))
"""Colour, marker and line of the first model and of the second."""

_LEAST, _WHOLE = 6.0, 80.0
"""Area of a point of a bin with hardly an answer, and what it gains up to one with all of them."""

Answers = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Confidences [n], and whether the answer is right [n]."""


@dataclass(frozen=True)
class Confidences:
    """The answers of some models on the test samples of a task: model to its answers, a seed each.

    Raises ValueError where a model has no answers, or there are more than two models.
    """

    title: str
    by_model: Mapping[str, Sequence[Answers]]

    def __post_init__(self) -> None:
        if not 1 <= len(self.by_model) <= len(_LOOKS):
            raise ValueError(f"there are {len(self.by_model)} models; give one or two")
        for model, answers in self.by_model.items():
            if len(answers) == 0:
                raise ValueError(f"{model} has no answers; give those of one seed at least")

    def error_of(self, model: str) -> Summary:
        """The expected calibration error of a model over seeds, in [0, 1]."""
        return summarise(
            [expected_calibration_error(*answers, BINS) for answers in self.by_model[model]]
        )


@matplotlib.rc_context(STYLE)
def reliability_by_task(tasks: Sequence[Confidences], *, axes: GivenAxes | None = None) -> Figure:
    """A figure with one panel a task: share right against mean confidence, seeds pooled.

    A point is one of ten bins of equal width, its size the share of the answers; bins without one
    are passed over. The legend
    has the expected calibration error in percent, mean ± sd over seeds. Raises ValueError where
    there is no task.
    """
    if not tasks:
        raise ValueError("there is no task; give the confidences of one at least")
    shown = panels(axes, len(tasks), size=(2.5, 2.6), margin=(0.4, 0.5), sharey=True)
    for one, task in zip(shown.axes, tasks, strict=True):
        _draw(one, task)
        runs = [len(answers) for answers in task.by_model.values()]
        one.set_title(f"{task.title}\nn = {seeds(min(runs), max(runs))}")
    shown.describe(
        x="mean confidence (%)",
        y="share of answers that are right (%)",
        caption="size of a point: its share of the answers; ECE: mean ± sd over seeds",
    )
    return shown.figure


def _draw(axes: Axes, task: Confidences) -> None:
    axes.plot([0, 100], [0, 100], color="black", linewidth=0.8, linestyle=":", zorder=1)
    for (model, answers), (colour, marker, line) in zip(
        task.by_model.items(), _LOOKS, strict=False
    ):
        confidence, right = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        points = [
            (100 * one.confidence, 100 * one.right, one.count / len(right))
            for one in reliability(confidence, right, BINS)
            if one.confidence is not None and one.right is not None
        ]
        x, y, share = np.array(points).T
        axes.plot(x, y, linestyle=line, color=colour, linewidth=1.2, zorder=2)
        axes.scatter(
            x,
            y,
            s=_LEAST + _WHOLE * share,
            marker=marker,
            color=colour,
            label=f"{model}: ECE {_percent(task.error_of(model))}",
            clip_on=False,
            zorder=3,
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.legend(loc="upper left", fontsize=6.5)


def _percent(error: Summary) -> str:
    spread = "" if error.sd is None else f" ± {100 * error.sd:.1f}"
    return f"{100 * error.mean:.1f}{spread}"
