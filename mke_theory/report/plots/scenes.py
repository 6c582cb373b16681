"""The figure of dense prediction: what is seen, what is true and what each arm says, by frame.

Style, formats and reproducibility are those of `plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from numpy.typing import NDArray

from mke_theory.evaluation import metrics
from mke_theory.report.plots import gains as plots
from mke_theory.report.plots.gains import CLASSES_AT_MOST, STYLE, _title

FRAMES_AT_MOST = 12
"""More columns than this are too small to be seen."""

_PAIRS: Any = colormaps["tab20"]
_DULL: Any = colormaps["tab20b"]
# Ten strong hues, their ten light ones, twenty dull ones: 13 classes are easily told apart.
_COLOURS = tuple(to_hex(c) for c in (*_PAIRS.colors[::2], *_PAIRS.colors[1::2], *_DULL.colors))
_VOID, _UNMEASURED = "#FFFFFF", "#C8C8C8"


@dataclass(frozen=True)
class Scene:
    """One frame: what the models saw, what is true, and what each arm said.

    image: uint8 [h, w, 3]. depth: [h, w] in metres, 0 or NaN where missing; None where there is
    none. truth: [h, w] class numbers, −1 where a pixel does not count. said: arm → [h, w] class
    numbers, in the order of the rows.

    Raises ValueError where shapes do not fit, a class is out of range or nobody said anything.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.integer[Any]]
    said: Mapping[str, NDArray[np.integer[Any]]]
    depth: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        size = self.truth.shape
        if self.image.shape != (*size, 3) or self.image.dtype != np.uint8:
            raise ValueError(
                f"image is {self.image.dtype} {self.image.shape}; truth asks for uint8 {(*size, 3)}"
            )
        if not self.said:
            raise ValueError("a scene needs at least one arm's answer")
        if self.depth is not None and self.depth.shape != size:
            raise ValueError(f"depth has shape {self.depth.shape}; truth asks for {size}")
        for name, classes, lowest in (
            ("truth", self.truth, -1),
            *((f"said by {arm}", answer, 0) for arm, answer in self.said.items()),
        ):
            if classes.shape != size:
                raise ValueError(f"{name} has shape {classes.shape}; truth has {size}")
            if classes.min() < lowest or classes.max() >= CLASSES_AT_MOST:
                raise ValueError(
                    f"{name} runs from {classes.min()} to {classes.max()}; allowed are {lowest} to "
                    f"{CLASSES_AT_MOST - 1}"
                )


def scenes_of(arms: Mapping[str, Mapping[str, NDArray[Any]]]) -> list[Scene]:
    """The frames in the arrays that a run keeps for each arm: image, truth, said, and maybe depth.

    image: uint8 [f, h, w, 3]; depth: [f, h, w]; truth and said: [f, h, w]. Raises ValueError where
    there is no arm, an array is missing, or the arms were asked about other frames.
    """
    if not arms:
        raise ValueError("there is no arm; give the arrays of at least one")
    first = next(iter(arms.values()))
    for arm, arrays in arms.items():
        for name in ("image", "truth", "predictions"):
            if name not in arrays:
                raise ValueError(f"{arm} has no array {name!r}; it has {sorted(arrays)}")
        if not np.array_equal(arrays["image"], first["image"]):
            raise ValueError(f"{arm} was asked about other frames than {next(iter(arms))}")
    depth = first.get("depth")
    return [
        Scene(
            first["image"][at],
            first["truth"][at],
            {arm: arrays["predictions"][at] for arm, arrays in arms.items()},
            None if depth is None else depth[at],
        )
        for at in range(len(first["image"]))
    ]


@matplotlib.rc_context(STYLE)
def scenes(
    panels: Sequence[Scene], path: str | Path, class_names: Sequence[str] | None = None
) -> Path:
    """The path of a figure with a column a frame: colours, depth, truth and each arm's answer.

    Beside each arm stand mIoU and pixel accuracy over the frames shown, and under each answer the
    pixel accuracy of that frame. Raises ValueError where there is no frame, there are more than
    12, the arms differ between frames, or a class has no name.
    Ref: xue2021mke, figure on NYU Depth V2.
    """
    _refuse(panels, class_names)
    arms = list(panels[0].said)
    rows = ["RGB", *(["depth"] if panels[0].depth is not None else []), "truth", *arms]
    height, width = panels[0].truth.shape
    across = 1.5 if len(panels) > 2 else 2.0
    size = (0.9 + across * len(panels), 0.6 + (across * height / width + 0.2) * len(rows))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02))
    grid = figure.subplots(len(rows), len(panels), squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        _draw_row(row, list(axes), panels, class_names)
    figure.legend(
        handles=_legend(panels, class_names),
        loc="outside lower center",
        ncols=max(2, int(size[0] / 1.25)),
        title=f"mIoU and pixel accuracy are those of {_frames(len(panels))} alone",
        title_fontsize=7.5,
        fontsize=7.5,
        handlelength=1.2,
        columnspacing=1.0,
    )
    return plots._save(figure, path)


def _frames(count: int) -> str:
    return "this frame" if count == 1 else f"these {count} frames"


def _refuse(panels: Sequence[Scene], class_names: Sequence[str] | None) -> None:
    if not 1 <= len(panels) <= FRAMES_AT_MOST:
        raise ValueError(f"there are {len(panels)} frames to draw; allowed are 1 to 12")
    first = panels[0]
    for at, scene in enumerate(panels):
        if list(scene.said) != list(first.said) or (scene.depth is None) != (first.depth is None):
            raise ValueError(
                f"frame {at} has answers of {list(scene.said)}, the first of {list(first.said)}; "
                "all frames need the same arms, and depth or none"
            )
    if class_names is not None and len(class_names) < _classes(panels):
        raise ValueError(
            f"class {_classes(panels) - 1} has no name; class_names has {len(class_names)}"
        )


def _classes(panels: Sequence[Scene]) -> int:
    """One more than the largest class number in sight."""
    return 1 + max(int(x.max()) for scene in panels for x in (scene.truth, *scene.said.values()))


def _draw_row(
    row: str, axes: list[Axes], panels: Sequence[Scene], class_names: Sequence[str] | None
) -> None:
    for one in axes:
        one.set(xticks=[], yticks=[])
        one.spines[:].set_visible(False)
    if row == "RGB":
        for one, scene in zip(axes, panels, strict=True):
            one.imshow(scene.image, interpolation="nearest")
        label = "RGB"
    elif row == "depth":
        label = _draw_depth(axes, panels)
    elif row == "truth":
        for one, scene in zip(axes, panels, strict=True):
            _draw_classes(one, scene.truth)
        label = "truth"
    else:
        label = _draw_answers(row, axes, panels, class_names)
    axes[0].set_ylabel(label, fontsize=7.5)


def _draw_depth(axes: list[Axes], panels: Sequence[Scene]) -> str:
    """Bright is far, on one logarithmic scale for all; returns the label of the row."""
    depths = [np.asarray(scene.depth, dtype=np.float64) for scene in panels]
    depths = [np.where(depth > 0, depth, np.nan) for depth in depths]
    measured = np.concatenate([depth[np.isfinite(depth)] for depth in depths])
    near, far = (measured.min(), measured.max()) if len(measured) else (1.0, 1.0)
    shades = colormaps["cividis"].with_extremes(bad=_UNMEASURED)
    for one, depth in zip(axes, depths, strict=True):
        one.imshow(depth, cmap=shades, norm=LogNorm(near, far), interpolation="nearest")
    return f"depth\n{near:.1f} to {far:.1f} m" if len(measured) else "depth\nnot measured"


def _draw_answers(
    arm: str, axes: list[Axes], panels: Sequence[Scene], class_names: Sequence[str] | None
) -> str:
    """The arm's classes, each with its frame's accuracy; returns the label of the row."""
    classes = max(2, _classes(panels), len(class_names or ()))
    total = torch.zeros(classes, classes, dtype=torch.int64)
    for one, scene in zip(axes, panels, strict=True):
        _draw_classes(one, scene.said[arm])
        table = metrics.confusion(scene.said[arm], scene.truth, classes)
        total = total + table
        if table.sum() > 0:
            one.set_xlabel(f"{100 * metrics.accuracy(table):.0f}% right", fontsize=7, labelpad=1)
    if total.sum() == 0:
        return _title(arm)
    miou, accuracy = 100 * metrics.mean_iou(total), 100 * metrics.accuracy(total)
    return f"{_title(arm)}\nmIoU {miou:.1f}\npixels {accuracy:.1f}%"


def _draw_classes(axes: Axes, classes: NDArray[np.integer[Any]]) -> None:
    axes.imshow(
        classes,
        cmap=ListedColormap((_VOID, *_COLOURS)),
        vmin=-1.5,
        vmax=len(_COLOURS) - 0.5,
        interpolation="nearest",
    )
    axes.spines[:].set(visible=True, color=_UNMEASURED)


def _legend(panels: Sequence[Scene], class_names: Sequence[str] | None) -> list[Patch]:
    """A patch for each class in sight, and for void where there is some."""
    seen = {
        int(c)
        for scene in panels
        for x in (scene.truth, *scene.said.values())
        for c in np.unique(x)
    }
    names = class_names or [f"class {at}" for at in range(CLASSES_AT_MOST)]
    patches = [Patch(color=_COLOURS[at], label=names[at]) for at in sorted(seen - {-1})]
    if -1 in seen:
        patches.append(Patch(facecolor=_VOID, edgecolor=_UNMEASURED, label="not counted"))
    return patches
