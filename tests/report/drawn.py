"""Figures read back: the words and lines that stand in them."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text


def texts(figure: Figure) -> set[str]:
    """Every word of the figure."""
    return {text.get_text() for text in figure.findobj(Text)}


def lines(axes: Axes) -> list[np.ndarray]:
    """The points [n, 2] of every line, without the one at zero."""
    return [np.asarray(line.get_xydata()) for line in axes.lines[1:]]


def bars(axes: Axes) -> list[BarContainer]:
    """The bars of the axes, a container an outcome."""
    return [each for each in axes.containers if isinstance(each, BarContainer)]


def dots(axes: Axes) -> list[PathCollection]:
    """The clouds of points of the axes."""
    return [one for one in axes.collections if isinstance(one, PathCollection)]


def colour_of(cloud: PathCollection) -> str:
    """The colour of a cloud's rims or, where it has none, of its faces."""
    rims = cloud.get_edgecolor()
    return matplotlib.colors.to_hex((rims if len(rims) else cloud.get_facecolor())[0]).upper()
