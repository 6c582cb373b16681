"""Figures of the theory: one function for each, from numbers to a file, computing no theory.

Style, formats and reproducibility are those of `plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mke_theory.evaluation.stats import Interval
from mke_theory.report.plots.gains import BLUE, GREY, INKS, ORANGE, STYLE, _caption, _panels, _save

Floats = NDArray[np.floating[Any]]

VERDICTS = {
    "violated": (ORANGE, "x", "a hypothesis is violated"),
    "not checkable": (INKS[2], "D", "not checkable"),
    "vacuous": (BLUE, "o", "holds, vacuous"),
    "holds": (BLUE, "o", "holds, below the trivial bound"),
}
"""Colour, shape and words for what became of a bound; vacuous ones are hollow."""


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
    curves: Sequence[NoiseCurve], path: str | Path, caption: str = "", most: float = 130.0
) -> Path:
    """The path of a figure with one panel a world: what noise on α leaves of avoidable error.

    100% is the teacher, 0 the Bayes classifier. Lines are closed forms, dots simulations with two
    sd, the vertical line is σ*, the diamond σ̂* with its interval (an arrow where it has no upper
    end). What lies above `most` percent is cut off.

    Raises ValueError where there is no curve.
    """
    if not curves:
        raise ValueError("there is no curve to draw; give at least one NoiseCurve")
    figure, panels = _panels(len(curves), width=2.9, height=2.3, left=0.5, columns=2)
    for axes, curve in zip(panels, curves, strict=True):
        _draw_noise_curve(axes, curve, most)
    figure.supxlabel("noise σ on the teacher's modality (spreads within a class)\n", fontsize=9)
    figure.supylabel("avoidable error left (%)", fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    if caption:
        _caption(figure, caption)
    return _save(figure, path)


def _draw_noise_curve(axes: Axes, curve: NoiseCurve, most: float) -> None:
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


@dataclass(frozen=True)
class Comparison:
    """One theorem over many cases: its value and the error that it bounds, [n] each, in [0, 1].

    `verdict` [n] is "holds", "not checkable" or "violated", with ", vacuous" where it says nothing.

    Raises ValueError where lengths do not fit, a number is not finite, or a verdict is no such.
    """

    title: str
    value: Floats
    error: Floats
    verdict: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.value) == len(self.error) == len(self.verdict):
            lengths = len(self.value), len(self.error), len(self.verdict)
            raise ValueError(f"{self.title!r}: value, error and verdict have lengths {lengths}")
        if not (np.isfinite(self.value).all() and np.isfinite(self.error).all()):
            raise ValueError(f"{self.title!r} holds a number that is not finite; leave it out")
        for verdict in set(self.verdict):
            if verdict.removesuffix(", vacuous") not in ("holds", "not checkable", "violated"):
                raise ValueError(f"{verdict!r} is no verdict of a bound")

    def kinds(self) -> NDArray[np.str_]:
        """The key of `VERDICTS` of each case, [n]."""
        short = {"holds, vacuous": "vacuous"}
        return np.array([short.get(v, v.removesuffix(", vacuous")) for v in self.verdict], str)


@matplotlib.rc_context(STYLE)
def bound_against_error(
    panels: Sequence[Comparison], path: str | Path, caption: str = "", columns: int = 4
) -> Path:
    """The path of a figure with one panel a theorem: value against measured error, case by case.

    On the diagonal a bound is tight, below it (shaded) it is broken. Values outside [0, 1] are
    drawn at the edge. Raises ValueError where there is no panel.
    """
    if not panels:
        raise ValueError("there is no panel to draw; give at least one Comparison")
    figure, grid = _panels(len(panels), width=1.75, height=1.95, left=0.4, columns=columns)
    for axes, one in zip(grid, panels, strict=True):
        _draw_comparison(axes, one)
    measured = "measured on the pool (%)"
    figure.supxlabel(f"{measured}\n" if caption else measured, fontsize=9)
    figure.supylabel("value of the bound (%)", fontsize=9)
    found = {str(kind) for one in panels for kind in one.kinds()}
    handles = [_verdict_handle(kind) for kind in VERDICTS if kind in found]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    if caption:
        _caption(figure, caption)
    return _save(figure, path)


def _draw_comparison(axes: Axes, one: Comparison) -> None:
    axes.fill_between([0, 100], [0, 100], -6, color="#F0F0F0", linewidth=0)
    axes.plot([0, 100], [0, 100], color="black", linewidth=0.8)
    kinds, error = one.kinds(), np.clip(100 * one.error, 0, 103)
    value = np.clip(100 * one.value, -3, 106)
    for kind, (colour, shape, _) in VERDICTS.items():
        at = kinds == kind
        hollow = kind == "vacuous"
        axes.scatter(
            error[at],
            value[at],
            s=9 if shape == "x" else 11,
            marker=shape,
            facecolors="white" if hollow else colour,
            edgecolors=None if shape == "x" else colour if hollow else "white",
            linewidths=0.7 if shape == "x" or hollow else 0.25,
            alpha=0.45 if shape == "x" else 0.85,
            rasterized=True,
            clip_on=False,
        )
    axes.set_title(f"{one.title}\nn = {len(kinds):,}")
    axes.set_xlim(-3, 103)
    axes.set_ylim(-6, 108)
    axes.set_xticks([0, 50, 100])
    axes.set_yticks([0, 50, 100], ["0", "50", "≥ 100"])
    axes.set_box_aspect(1)


def _verdict_handle(kind: str) -> Line2D:
    colour, shape, label = VERDICTS[kind]
    face = "white" if kind == "vacuous" else colour
    return Line2D(
        [], [], linestyle="none", marker=shape, color=colour, mfc=face, markersize=4, label=label
    )
