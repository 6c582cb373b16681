"""The figure of decision regions: what each classifier decides over the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mke_theory.report.plots.style import INKS, SHADES, SHAPES, STYLE, GivenAxes, panels


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
def decision_regions(
    regions: Sequence[Region],
    names: tuple[str, str] = ("α (teacher's modality)", "β (new modality)"),
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with a panel a classifier: regions shaded by decision, points by true class.

    `names` are those of the two coordinates. Raises ValueError where there is no region.
    Ref: xue2021mke, figure on TwoMoon.
    """
    if not regions:
        raise ValueError("there is no panel to draw; give at least one Region")
    shown = panels(axes, len(regions), size=(1.9, 2.5), margin=(0.4, 0.7), columns=5, sharey=True)
    for one, region in zip(shown.axes, regions, strict=True):
        _draw(one, region)
    shown.describe(x=names[0], y=names[1])
    classes = sorted({int(label) for region in regions for label in region.labels})
    shown.explain([_marker(label) for label in classes], columns=min(4, len(classes)))
    return shown.figure


def _draw(axes: Axes, region: Region) -> None:
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
