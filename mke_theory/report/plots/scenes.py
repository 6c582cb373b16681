"""The figure of dense prediction: input, truth and the classes of each arm, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from mke_theory.evaluation import metrics
from mke_theory.report.plots.style import CLASSES_AT_MOST, STYLE, GivenAxes, arm_title, panels

FRAMES_AT_MOST = 12
"""More columns than this are too small to be seen."""

_PAIRS: Any = colormaps["tab20"]
_DULL: Any = colormaps["tab20b"]
# Ten strong hues, their ten light ones, twenty dull ones: 13 classes are easily told apart.
CLASS_COLOURS = tuple(to_hex(c) for c in (*_PAIRS.colors[::2], *_PAIRS.colors[1::2], *_DULL.colors))
_VOID, _UNMEASURED = "#FFFFFF", "#C8C8C8"


@dataclass(frozen=True)
class Scene:
    """One frame: the models' input, the true classes, and the classes that each arm predicts.

    image: uint8 [h, w, 3]. depth: [h, w] in metres, 0 or NaN where missing; None where there is
    none. truth: [h, w] class numbers, −1 where a pixel does not count. predictions: arm → [h, w]
    class numbers, in the order of the rows.

    Raises ValueError where shapes do not fit, a class is out of range or there is no arm.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.integer[Any]]
    predictions: Mapping[str, NDArray[np.integer[Any]]]
    depth: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        size = self.truth.shape
        if self.image.shape != (*size, 3) or self.image.dtype != np.uint8:
            raise ValueError(
                f"image is {self.image.dtype} {self.image.shape}; truth asks for uint8 {(*size, 3)}"
            )
        if not self.predictions:
            raise ValueError("a scene needs the predictions of at least one arm")
        if self.depth is not None and self.depth.shape != size:
            raise ValueError(f"depth has shape {self.depth.shape}; truth asks for {size}")
        for name, classes, lowest in (
            ("truth", self.truth, -1),
            *((f"prediction of {arm}", found, 0) for arm, found in self.predictions.items()),
        ):
            if classes.shape != size:
                raise ValueError(f"{name} has shape {classes.shape}; truth has {size}")
            if classes.min() < lowest or classes.max() >= CLASSES_AT_MOST:
                raise ValueError(
                    f"{name} runs from {classes.min()} to {classes.max()}; allowed are {lowest} to "
                    f"{CLASSES_AT_MOST - 1}"
                )


def scenes_of(arms: Mapping[str, Mapping[str, NDArray[Any]]]) -> list[Scene]:
    """The frames in the arrays that a run keeps for each arm.

    image: uint8 [f, h, w, 3]; depth, if there is any: [f, h, w]; truth and predictions: [f, h, w].
    Raises ValueError where there is no arm, an array is missing, or the arms have other frames.
    """
    if not arms:
        raise ValueError("there is no arm; give the arrays of at least one")
    first = next(iter(arms.values()))
    for arm, arrays in arms.items():
        for name in ("image", "truth", "predictions"):
            if name not in arrays:
                raise ValueError(f"{arm} has no array {name!r}; it has {sorted(arrays)}")
        if not np.array_equal(arrays["image"], first["image"]):
            raise ValueError(f"{arm} has other frames than {next(iter(arms))}")
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
def predicted_scenes(
    frames: Sequence[Scene],
    class_names: Sequence[str] | None = None,
    *,
    axes: GivenAxes | None = None,
) -> Figure:
    """A figure with a column a frame: colours, depth, truth and the classes of each arm.

    Beside each arm stand mIoU and pixel accuracy over the frames shown, and under each of its
    pictures the pixel accuracy of that frame. Raises ValueError where there is no frame, there are
    more than 12, the arms differ between frames, or a class has no name.
    Ref: xue2021mke, figure on NYU Depth V2.
    """
    _refuse(frames, class_names)
    arms = list(frames[0].predictions)
    rows = ["RGB", *(["depth"] if frames[0].depth is not None else []), "truth", *arms]
    height, width = frames[0].truth.shape
    across = 1.5 if len(frames) > 2 else 2.0
    shown = panels(
        axes,
        len(rows) * len(frames),
        size=(across, across * height / width + 0.2),
        margin=(0.9, 0.6),
        columns=len(frames),
        pads=(0.02, 0.02),
    )
    for row, line in zip(rows, shown.grid(len(frames)), strict=True):
        _draw_row(row, list(line), frames, class_names)
    patches = _legend(frames, class_names)
    if not shown.new:
        shown.axes[0].legend(handles=patches, fontsize=6)
        return shown.figure
    shown.figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=max(2, int(shown.figure.get_figwidth() / 1.25)),
        title=f"mIoU and pixel accuracy are those of {_frames(len(frames))} alone",
        title_fontsize=7.5,
        fontsize=7.5,
        handlelength=1.2,
        columnspacing=1.0,
    )
    return shown.figure


def _frames(count: int) -> str:
    return "this frame" if count == 1 else f"these {count} frames"


def _refuse(frames: Sequence[Scene], class_names: Sequence[str] | None) -> None:
    if not 1 <= len(frames) <= FRAMES_AT_MOST:
        raise ValueError(f"there are {len(frames)} frames to draw; allowed are 1 to 12")
    first = frames[0]
    arms = list(first.predictions)
    for at, scene in enumerate(frames):
        own = list(scene.predictions)
        if own != arms or (scene.depth is None) != (first.depth is None):
            raise ValueError(
                f"frame {at} has the arms {own}, the first {arms}; all frames need the same arms, "
                "and depth or none"
            )
    if class_names is not None and len(class_names) < _classes(frames):
        raise ValueError(
            f"class {_classes(frames) - 1} has no name; class_names has {len(class_names)}"
        )


def _classes(frames: Sequence[Scene]) -> int:
    """One more than the largest class number in sight."""
    return 1 + max(
        int(x.max()) for scene in frames for x in (scene.truth, *scene.predictions.values())
    )


def _draw_row(
    row: str, axes: list[Axes], frames: Sequence[Scene], class_names: Sequence[str] | None
) -> None:
    for one in axes:
        one.set(xticks=[], yticks=[])
        one.spines[:].set_visible(False)
    if row == "RGB":
        for one, scene in zip(axes, frames, strict=True):
            one.imshow(scene.image, interpolation="nearest")
        label = "RGB"
    elif row == "depth":
        label = _draw_depth(axes, frames)
    elif row == "truth":
        for one, scene in zip(axes, frames, strict=True):
            _draw_classes(one, scene.truth)
        label = "truth"
    else:
        label = _draw_predictions(row, axes, frames, class_names)
    axes[0].set_ylabel(label, fontsize=7.5)


def _draw_depth(axes: list[Axes], frames: Sequence[Scene]) -> str:
    """Bright is far, on one logarithmic scale for all; returns the label of the row."""
    depths = [np.asarray(scene.depth, dtype=np.float64) for scene in frames]
    depths = [np.where(depth > 0, depth, np.nan) for depth in depths]
    measured = np.concatenate([depth[np.isfinite(depth)] for depth in depths])
    near, far = (measured.min(), measured.max()) if len(measured) else (1.0, 1.0)
    shades = colormaps["cividis"].with_extremes(bad=_UNMEASURED)
    for one, depth in zip(axes, depths, strict=True):
        one.imshow(depth, cmap=shades, norm=LogNorm(near, far), interpolation="nearest")
    return f"depth\n{near:.1f} to {far:.1f} m" if len(measured) else "depth\nnot measured"


def _draw_predictions(
    arm: str, axes: list[Axes], frames: Sequence[Scene], class_names: Sequence[str] | None
) -> str:
    """The arm's classes, each with its frame's accuracy; returns the label of the row."""
    classes = max(2, _classes(frames), len(class_names or ()))
    total = torch.zeros(classes, classes, dtype=torch.int64)
    for one, scene in zip(axes, frames, strict=True):
        _draw_classes(one, scene.predictions[arm])
        table = metrics.confusion(scene.predictions[arm], scene.truth, classes)
        total = total + table
        if table.sum() > 0:
            one.set_xlabel(f"{100 * metrics.accuracy(table):.0f}% right", fontsize=7, labelpad=1)
    if total.sum() == 0:
        return arm_title(arm)
    miou, accuracy = 100 * metrics.mean_iou(total), 100 * metrics.accuracy(total)
    return f"{arm_title(arm)}\nmIoU {miou:.1f}\npixels {accuracy:.1f}%"


def _draw_classes(axes: Axes, classes: NDArray[np.integer[Any]]) -> None:
    axes.imshow(
        classes,
        cmap=ListedColormap((_VOID, *CLASS_COLOURS)),
        vmin=-1.5,
        vmax=len(CLASS_COLOURS) - 0.5,
        interpolation="nearest",
    )
    axes.spines[:].set(visible=True, color=_UNMEASURED)


def _legend(frames: Sequence[Scene], class_names: Sequence[str] | None) -> list[Patch]:
    """A patch for each class in sight, and for void where there is some."""
    seen = {
        int(c)
        for scene in frames
        for x in (scene.truth, *scene.predictions.values())
        for c in np.unique(x)
    }
    names = class_names or [f"class {at}" for at in range(CLASSES_AT_MOST)]
    patches = [Patch(color=CLASS_COLOURS[at], label=names[at]) for at in sorted(seen - {-1})]
    if -1 in seen:
        patches.append(Patch(facecolor=_VOID, edgecolor=_UNMEASURED, label="not counted"))
    return patches
