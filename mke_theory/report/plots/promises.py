"""The figure of diagnoses: the gain that was predicted against the one that came true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mke_theory.report.plots.style import BLUE, ORANGE, STYLE, GivenAxes, panels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Promises:
    """Some diagnoses: ends of the predicted interval and the true gain [n], as shares.

    refuted: True [n] where the independence that the prediction rests on was refuted.
    """

    low: Floats
    high: Floats
    true: Floats
    refuted: NDArray[np.bool_]


@matplotlib.rc_context(STYLE)
def promised_and_true(
    found: Mapping[str, Promises], caption: str = "", *, axes: GivenAxes | None = None
) -> Figure:
    """A figure with a panel for each group of diagnoses, and a line for each of its intervals.

    On the dotted line a gain is as predicted; an interval that crosses it holds the true gain.
    Raises ValueError where there is no group, or one is empty.
    """
    if not found or any(len(one.true) == 0 for one in found.values()):
        raise ValueError("give one or more groups of one or more diagnoses each")
    shown = panels(axes, len(found), size=(2.6, 2.6), margin=(0.3, 0.6), sharey=True)
    for one, (name, group) in zip(shown.axes, found.items(), strict=True):
        _draw(one, group)
        held = int(((group.low <= group.true) & (group.true <= group.high)).sum())
        one.set_title(f"{name}\ninterval holds it in {held} of {len(group.true)}")
    shown.describe(x="true gain (points)", y="predicted gain (points)", caption=caption)
    handles, _ = shown.axes[0].get_legend_handles_labels()
    shown.explain(handles, columns=2)
    return shown.figure


def _draw(one: Axes, group: Promises) -> None:
    ends = 100 * np.array([group.true.min(), group.true.max()])
    one.plot(ends, ends, color="black", linewidth=0.9, linestyle=(0, (1, 2)))
    looks: dict[bool, tuple[str, Any, str]] = {
        False: (BLUE, "-", "not refuted"),
        True: (ORANGE, (0, (2, 1)), "refuted"),
    }
    for refuted, (colour, line, name) in looks.items():
        rows = group.refuted == refuted
        x, low, high = (100 * part[rows] for part in (group.true, group.low, group.high))
        # Wide intervals run out of the panel: what they say is that nothing is known.
        one.vlines(
            x,
            low,
            high,
            colors=colour,
            linestyles=line,
            linewidth=0.8,
            alpha=0.6,
            label=f"independence {name}",
        )
        middle = (low + high) / 2
        one.plot(x, middle, "o" if not refuted else "^", color=colour, markersize=2.4)
    one.set_ylim(-30, 80)
