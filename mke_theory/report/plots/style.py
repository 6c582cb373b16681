"""The look of every figure, the panels it is drawn on, and the one function that saves it.

Blue and orange are told apart by all common kinds of colour vision, and lightness, hatching and
marker shapes carry the same meaning in grey print. Equal input gives an equal file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib import rcParamsDefault
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from mke_theory.study.arms import ARMS
from mke_theory.study.records import write_atomic

FORMATS = (".png", ".svg", ".pdf")
CLASSES_AT_MOST = 40
"""More classes than this can be told apart neither by bars nor by colours."""

_OF_PROGRAMS = frozenset({"backend", "backend_fallback", "interactive", "date.epoch"})
STYLE: Any = {
    **{name: rcParamsDefault[name] for name in rcParamsDefault if name not in _OF_PROGRAMS},
    "text.parse_math": False,  # names of classes and tasks may hold a dollar
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "figure.dpi": 110,  # of a notebook
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "mke_theory",
    "pdf.fonttype": 42,
}
"""Every setting of a figure: those of the user's matplotlibrc (LaTeX, fonts) do not apply."""

CAPTION_AT = 0.03
"""Inches from the lower edge of a figure to its small print."""

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"
# Class by class: a shade for its region, an ink and a shape for its points. The last ink and shape,
# which −1 picks, are those of an unknown class.
SHADES = ("#E1EDF6", "#F4C698", "#A9D8C3", "#EFE3F0", "#D9CB6A", "#BDBDBD", "#CFC4EE", "#E08F86")
INKS = (BLUE, "#6E2C00", "#00704F", "#A0497C", "#6B6200", "#333333", "#5B3A9E", "#8F2A1C", GREY)
SHAPES = ("o", "^", "s", "D", "v", "P", "X", "p", "*")

GivenAxes = Axes | Sequence[Axes] | NDArray[np.object_]
"""Axes of the caller: one, several in the order of the panels, or what `subplots` returns."""


@dataclass(frozen=True)
class Panels:
    """The axes that a figure is drawn on: those of a new figure, or those that the caller gave.

    A new figure has its labels and its legend once, around all panels, and a caption below. On
    axes of the caller labels and legend stand at the axes, and the caption is left to him.
    """

    figure: Figure
    axes: list[Axes]
    new: bool

    def grid(self, columns: int) -> NDArray[np.object_]:
        """The axes as an array [rows, columns]."""
        return np.array(self.axes, dtype=object).reshape(-1, columns)

    def describe(self, x: str = "", y: str = "", caption: str = "") -> None:
        """Label both axes, and write a line of small print below a new figure."""
        if not self.new:
            for axes in self.axes if x else ():
                axes.set_xlabel(x)
            if y:
                self.axes[0].set_ylabel(y)
            return
        if x or caption:
            room = "\n" if x and caption else " " if caption else ""  # a line for the caption
            self.figure.supxlabel(x + room, fontsize=9)
        if y:
            self.figure.supylabel(y, fontsize=9)
        if caption:
            low = CAPTION_AT / self.figure.get_figheight()  # below the label, however tall it is
            self.figure.text(0.5, low, caption, ha="center", va="bottom", fontsize=7.5, color=GREY)

    def explain(self, handles: Sequence[Artist], *, columns: int, title: str | None = None) -> None:
        """A legend above a new figure, or within the caller's first axes."""
        if self.new:
            self.figure.legend(
                handles=handles, loc="outside upper center", ncols=columns, title=title
            )
        else:
            self.axes[0].legend(handles=handles, fontsize=7, title=title, title_fontsize=7)


def panels(
    given: GivenAxes | None,
    count: int,
    *,
    size: tuple[float, float],
    margin: tuple[float, float] = (0.0, 0.6),
    columns: int = 3,
    sharey: bool | Literal["row"] = False,
    pads: tuple[float, float] = (0.08, 0.06),
) -> Panels:
    """`count` panels: the axes given or, of a new figure, in rows of at most `columns`.

    `size` is that of a panel, `margin` what the figure has beside them, `pads` the space around
    each of them, in inches: (across, up). Raises ValueError where another number of axes is given.
    """
    if given is not None:
        axes = list(np.ravel(np.array(given, dtype=object)))
        if len(axes) != count:
            raise ValueError(
                f"{len(axes)} axes are given to a figure of {count} panels; give one each"
            )
        return Panels(_root(axes[0]), axes, new=False)
    across = min(count, columns)
    down = -(-count // across)
    figure = Figure(
        figsize=(margin[0] + size[0] * across, margin[1] + size[1] * down),
        layout=ConstrainedLayoutEngine(h_pad=pads[0], w_pad=pads[1]),
    )
    grid = figure.subplots(down, across, squeeze=False, sharey=sharey)
    for unused in grid.flat[count:]:
        unused.remove()
    return Panels(figure, list(grid.flat[:count]), new=True)


def _root(axes: Axes) -> Figure:
    """The figure that the axes belong to, be it by way of a part of it."""
    figure = axes.figure
    return figure if isinstance(figure, Figure) else figure.figure


def save(figure: Figure, path: str | Path) -> Path:
    """The path of the file that holds the figure; its ending (.png, .svg, .pdf) says how.

    Raises ValueError for another ending.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{path.name} ends with {path.suffix!r}; choose one of {list(FORMATS)}")
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    content = BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(
            content, format=path.suffix[1:], metadata=undated.get(path.suffix), bbox_inches="tight"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(path, content.getvalue())


def arm_title(arm: str) -> str:
    """The title of a known arm, else its key."""
    return ARMS[arm].title if arm in ARMS else arm
