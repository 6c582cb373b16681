"""The figure of expansion against separation, and of the sets that expand least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mke_theory.report.plots.style import BLUE, GREY, INKS, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.floating[Any]]

LINES: Any = ((BLUE, "o", "-"), (ORANGE, "^", (0, (5, 2))), (INKS[2], "s", (0, (1, 1.2))))
"""Colour, shape and dashes of the first, second and third set of modalities."""
STEPS = ("#BFE3D3", "#5DB392", "#00704F", "#003B2A")
"""Shades of right answers, from those that reach no mistake to those that reach most."""


@dataclass(frozen=True)
class Frontier:
    """One world or pool: how far sets expand and how well the truth is separated, by radius.

    curves: modalities → separation μ and the lower and upper end of c, [r] each, in order of
    radius. `promised` is (ε, ā) where the zone is wanted in which the bound of Wei et al. for the
    minimiser, 2ε/(c−1) + 2cμ/(c−1), is below ε: c > 3ε/(ε − 2μ), of which no more than 1/ā counts.

    Raises ValueError for no curve or more than three, and where lengths do not fit.
    Ref: wei2021theoretical, Theorem 4.3.
    """

    title: str
    expansion: str
    curves: Mapping[str, tuple[Floats, Floats, Floats]]
    promised: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.curves) <= len(LINES):
            raise ValueError(f"there are {len(self.curves)} curves; 1 to {len(LINES)} can be drawn")
        for name, parts in self.curves.items():
            if len({len(part) for part in parts}) != 1:
                raise ValueError(f"the parts of {name!r} have lengths {[*map(len, parts)]}")


@dataclass(frozen=True)
class Reached:
    """The points of one class: its mistakes, and its right answers by step of the profile.

    points is [n, 2]; `mistake` [n] marks where the teacher errs; `step` [n] is 1, 2, … for right
    answers, in the order in which nested sets of them reach more mistakes, 0 elsewhere. shares and
    reached [k + 1] are the share of the right answers that the sets hold and of the mistakes that
    they reach, both from 0.

    Raises ValueError where shapes do not fit.
    """

    title: str
    points: Floats
    mistake: NDArray[np.bool_]
    step: NDArray[np.integer[Any]]
    shares: Floats
    reached: Floats

    def __post_init__(self) -> None:
        n = len(self.step)
        if self.points.shape != (n, 2) or self.mistake.shape != (n,):
            raise ValueError(
                f"points have shape {self.points.shape} and mistake {self.mistake.shape}; "
                f"{n} steps ask for {(n, 2)} and {(n,)}"
            )
        most = int(self.step.max(initial=0))
        if not len(self.shares) == len(self.reached) == most + 1:
            raise ValueError(
                f"{most} steps ask for {most + 1} shares, of right answers and reached"
            )


@matplotlib.rc_context(STYLE)
def expansion_against_separation(
    frontiers: Sequence[Frontier],
    maps: Sequence[Reached] = (),
    caption: str = "",
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with a panel for each frontier, then one for each map of a class.

    A curve joins the middles of the intervals of c in order of radius; its larger end is the
    larger radius. Raises ValueError where there is nothing to draw.
    """
    count = len(frontiers) + len(maps)
    if count == 0:
        raise ValueError("there is no panel to draw; give at least one Frontier or Reached")
    shown = panels(axes, count, size=(3.3, 2.9), columns=2, pads=(0.04, 0.04))
    for one, frontier in zip(shown.axes, frontiers, strict=False):
        _draw_frontier(one, frontier)
    for one, reached in zip(shown.axes[len(frontiers) :], maps, strict=True):
        _draw_map(one, reached)
    shown.describe(caption=caption)
    names = list(dict.fromkeys(name for each in frontiers for name in each.curves))
    if names:
        shown.explain([_handle(at, name) for at, name in enumerate(names)], columns=3)
    return shown.figure


def _draw_frontier(axes: Axes, frontier: Frontier) -> None:
    for (colour, shape, dashes), (mu, lower, upper) in zip(
        LINES, frontier.curves.values(), strict=False
    ):
        middle, x = (lower + upper) / 2, 100 * mu
        axes.vlines(x, lower, upper, color=colour, linewidth=2.2, alpha=0.35)
        axes.plot(x, middle, color=colour, linewidth=1, linestyle=dashes)
        sizes = np.linspace(5, 30, len(x))
        axes.scatter(x, middle, s=sizes, color=colour, marker=shape, linewidths=0, zorder=3)
    _, top = axes.get_ylim()
    if frontier.promised is not None:
        top = _draw_promised(axes, *frontier.promised, top)
    axes.set_xscale("asinh", linear_width=3)  # what can be promised lies at a few percent
    axes.set_xticks([0, 2, 5, 10, 20, 50, 100], "0 2 5 10 20 50 100".split())
    axes.minorticks_off()
    axes.set_xlim(-0.4, 105)
    axes.set_ylim(None, top)
    axes.set_title(frontier.title)
    axes.set_xlabel("μ (% of points near another class)")
    axes.set_ylabel(frontier.expansion)


def _draw_promised(axes: Axes, error: float, worst: float, top: float) -> float:
    """Shades where the theorem promises less than ε; the upper end that the axis needs for it."""
    most = 1 / worst
    top = max(top, 1.08 * most, 3.6)
    mu = np.linspace(0, error / 2, 200)[:-1]
    needed = np.minimum(3 * error / (error - 2 * mu), 1e6)
    axes.axhline(most, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.text(-0.2, most, "1/ā", color=GREY, ha="left", va="bottom", fontsize=8)
    useful = needed <= most
    if useful.any():
        axes.fill_between(
            100 * mu[useful], needed[useful], most, color="#EFE3B8", linewidth=0, zorder=0
        )
    return top


def _draw_map(axes: Axes, one: Reached) -> None:
    rest = (one.step == 0) & ~one.mistake
    x, y = one.points.T
    axes.scatter(x[rest], y[rest], s=3, color="#C4C4C4", linewidths=0)
    last = int(one.step.max(initial=0))
    groups = min(last, len(STEPS))  # what comes after the last shade is drawn in it too
    for shade, first in zip(STEPS, range(groups), strict=False):
        end = first + 1 if first + 1 < groups else last
        inside = (one.step > first) & (one.step <= end)
        held, gained = (100 * (part[end] - part[first]) for part in (one.shares, one.reached))
        axes.scatter(
            x[inside],
            y[inside],
            s=14,
            color=shade,
            ec="white",
            linewidths=0.3,
            label=f"{held:.0f}% of right answers: {'' if first == 0 else '+'}{gained:.0f}%",
        )
    bad = one.mistake
    axes.scatter(x[bad], y[bad], s=14, color=ORANGE, marker="x", linewidths=0.9, label="mistakes")
    axes.set_title(one.title)
    axes.set_xlabel("α (teacher's modality)")
    axes.set_ylabel("β (new modality)")
    title = {"title": "mistakes reached", "title_fontsize": 7}
    axes.legend(loc="upper right", fontsize=7, handletextpad=0.1, labelspacing=0.3, **title)
    tall = y.max() - y.min()
    axes.set_ylim(y.min() - 0.05 * tall, y.max() + 0.6 * tall)


def _handle(at: int, name: str) -> Line2D:
    colour, shape, dashes = LINES[at]
    return Line2D([], [], color=colour, marker=shape, linestyle=dashes, markersize=4.5, label=name)
