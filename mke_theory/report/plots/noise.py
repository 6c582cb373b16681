"""The figure of the perturbation law: a student's error against the noise on α."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.evaluation.stats import Interval
from mke_theory.report.plots.style import BLUE, GREY, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NoiseCurve:
    """One world: the student's error against the noise on the teacher's modality.

    sigma [s], squared [s] and logistic [s] are the closed forms for least squares and cross-entropy
    (NaN where there is none). simulated is (σ, mean, sd) of simulated least-squares students, [k]
    each. teacher and bayes are errors, best the law's σ*, estimate and interval its σ̂*.

    Raises ValueError where lengths do not fit or the teacher is no worse than Bayes.
    """

    title: str
    sigma: Floats
    squared: Floats
    logistic: Floats
    simulated: tuple[Floats, Floats, Floats]
    teacher: float
    bayes: float
    best: float
    estimate: float
    interval: Interval

    def __post_init__(self) -> None:
        lengths = {len(self.sigma), len(self.squared), len(self.logistic)}
        if len(lengths) != 1 or len({len(part) for part in self.simulated}) != 1:
            raise ValueError("sigma, squared and logistic need one length, and so does simulated")
        if not self.teacher > self.bayes:
            raise ValueError(f"the teacher's error {self.teacher} is not above Bayes {self.bayes}")

    def left(self, error: Floats) -> Floats:
        """The share of the teacher's avoidable error that is left, in percent."""
        return 100 * (error - self.bayes) / (self.teacher - self.bayes)


@matplotlib.rc_context(STYLE)
def error_against_noise(
    curves: Sequence[NoiseCurve],
    caption: str = "",
    most: float = 130.0,
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with one panel a world: the avoidable error that is left at each noise on α.

    100% is the teacher, 0 the Bayes classifier. Lines are closed forms, dots simulations with two
    sd, the vertical line is σ*, the diamond σ̂* with its interval (an arrow where it has no upper
    end). Above `most` percent all is cut off.

    Raises ValueError where there is no curve.
    """
    if not curves:
        raise ValueError("there is no curve to draw; give at least one NoiseCurve")
    shown = panels(axes, len(curves), size=(2.9, 2.3), margin=(0.5, 0.7), columns=2, sharey=True)
    for one, curve in zip(shown.axes, curves, strict=True):
        _draw(one, curve, most)
    shown.describe(
        x="noise σ on the teacher's modality (spreads within a class)",
        y="avoidable error left (%)",
        caption=caption,
    )
    handles, _ = shown.axes[0].get_legend_handles_labels()
    shown.explain(handles, columns=3)
    return shown.figure


def _draw(axes: Axes, curve: NoiseCurve, most: float) -> None:
    top = float(curve.sigma.max())
    axes.axhline(100, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(curve.best, color="black", linewidth=0.9, linestyle=(0, (1, 1.5)), label="law, σ*")
    axes.plot(
        curve.sigma, curve.left(curve.squared), color=BLUE, linewidth=1.6, label="least squares"
    )
    axes.plot(
        curve.sigma,
        curve.left(curve.logistic),
        color=ORANGE,
        linewidth=1.2,
        linestyle=(0, (5, 2)),
        label="cross-entropy",
    )
    at, mean, sd = curve.simulated
    shown = curve.left(mean) <= most
    low, high = curve.left(mean - 2 * sd), curve.left(mean + 2 * sd)
    axes.errorbar(
        at[shown],
        curve.left(mean)[shown],
        yerr=np.stack([curve.left(mean) - low, high - curve.left(mean)])[:, shown],
        fmt="o",
        color=BLUE,
        markerfacecolor="white",
        markersize=3.5,
        linewidth=1,
        label="simulated, ± 2 sd",
    )
    _draw_estimate(axes, curve, top)
    axes.set_title(
        f"{curve.title}\nteacher {100 * curve.teacher:.1f}%, Bayes {100 * curve.bayes:.1f}%"
    )
    axes.set_xscale("asinh", linear_width=0.7)
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50) if tick <= top]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(-0.06, top)
    axes.set_ylim(-24, most)
    axes.set_yticks([0, 50, 100])


def _draw_estimate(axes: Axes, curve: NoiseCurve, top: float) -> None:
    level = -13.0
    open_end = not np.isfinite(curve.interval.high) or curve.interval.high > top
    high = top if open_end else curve.interval.high
    axes.plot([curve.interval.low, high], [level, level], color="black", linewidth=1.4)
    if open_end:
        axes.plot(high, level, ">", color="black", markersize=4, clip_on=False)
    label = f"estimate, σ̂*, {100 * curve.interval.level:.0f}% interval"
    axes.plot(
        curve.estimate, level, "D", color="black", markersize=4, linestyle="none", label=label
    )
