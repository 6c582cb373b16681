"""Changes of a sample and its label together, seen by every view of a step: crops and mirrors.

A transform T perturbs what a student sees and leaves the label alone; an augmentation makes another
sample of it. Modalities that show one scene from one place change alike, and so does a label for
each pixel. All randomness comes from the `Stream` that is handed in, one draw a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mke_theory.data.pool import Batch
from mke_theory.data.rng import Stream
from mke_theory.method.ranges import refuse_beyond, refuse_text


@dataclass(frozen=True)
class Augmentation:
    """The identity, and the interface."""

    def batch(self, batch: Batch, stream: Stream) -> Batch:
        """The changed samples with their labels: the same keys, shapes and types."""
        return batch


@dataclass(frozen=True)
class CropFlip(Augmentation):
    """A part of each picture at full size, and perhaps its mirror image; labels of pixels follow.

    The part has the picture's proportions. Its side, as a share of the picture's, is uniform in
    `scale`, its place uniform over the picture, and it is mirrored left to right with probability
    `flip`. All pictures of a sample ([b, c, h, w] or frames [b, f, c, h, w], each at its own size)
    show the same part, and so does a dense target. Other inputs and targets pass unchanged.

    Pictures and soft targets [b, k, h, w] are interpolated linearly. Class numbers [b, h, w] and
    the modalities in `nearest` take the nearest pixel: −1 stays −1, and a mask stays 0 or 1. Soft
    targets sum to 1 again, or are 0 where more than half of what a pixel shows has no label.

    `only` names the pictures, where other inputs (a spectrogram) have as many axes. Depth keeps its
    values. Not for surface normals, whose x would have to change its sign in a mirror, and with
    `flip` above 0 not for classes that a mirror changes, such as digits.
    """

    scale: tuple[float, float] = (0.5, 1.0)
    flip: float = 0.5
    nearest: tuple[str, ...] = ("depth",)
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0.0 < low <= high <= 1.0:
            raise ValueError(f"scale is {self.scale}; it has to be (low, high), 0 < low ≤ high ≤ 1")
        refuse_beyond(self, share=("flip",))
        refuse_text(self, "nearest", "only")

    def batch(self, batch: Batch, stream: Stream) -> Batch:
        pictures = {
            name: x
            for name, x in batch.inputs.items()
            if x.dim() >= 4 and (self.only is None or name in self.only)
        }
        if not pictures or (self.scale == (1.0, 1.0) and self.flip == 0.0):
            return batch
        view = self._view(pictures, stream)
        seen = {
            name: view.of(x, "nearest" if name in self.nearest else "bilinear")
            for name, x in pictures.items()
        }
        return Batch({**batch.inputs, **seen}, view.of_target(batch.target))

    def _view(self, pictures: Mapping[str, Tensor], stream: Stream) -> _View:
        first = next(iter(pictures.values()))
        # One type for all, so that a half is rounded alike, and one in which places are exact.
        kind = reduce(torch.promote_types, (x.dtype for x in pictures.values()), torch.float32)
        draw = stream.uniform(first.new_empty(len(first), dtype=kind), 4)
        mirrored = draw[:, 3] < self.flip
        if self.scale == (1.0, 1.0):
            return _View(None, mirrored)
        low, high = self.scale
        side = (low + (high - low) * draw[:, :1]).unsqueeze(2)
        # Between −1 and 1, the picture's edges, this is how far the window's centre may go.
        centre = (1.0 - side) * (2.0 * draw[:, 1:3, None] - 1.0)
        square = side * torch.eye(2, dtype=kind, device=first.device)
        return _View(torch.cat([square, centre], dim=2), mirrored)


@dataclass(frozen=True)
class _View:
    """For each sample the window that fills its picture, [b, 2, 3], and whether it is mirrored."""

    window: Tensor | None
    mirrored: Tensor

    def of(self, x: Tensor, mode: Literal["nearest", "bilinear"]) -> Tensor:
        """The part of `x`, [b, ..., h, w], that is seen."""
        if self.window is not None:
            layers = x.reshape(len(x), -1, *x.shape[-2:]).to(self.window.dtype)
            grid = F.affine_grid(self.window, list(layers.shape), align_corners=False)
            # The outermost points lie within half a pixel of the border, which is all they see.
            layers = F.grid_sample(layers, grid, mode, padding_mode="border", align_corners=False)
            x = layers.reshape(x.shape).to(x.dtype)
        # Not by a window of negative side: a mirror alone then changes no number.
        return torch.where(self.mirrored.reshape(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)

    def of_target(self, target: Tensor) -> Tensor:
        """The part of class numbers [b, h, w] or probabilities [b, k, h, w] that is seen."""
        if target.dim() < 3:
            return target
        if target.dim() == 3 or self.window is None:
            return self.of(target, "nearest")
        seen = self.of(target, "bilinear")
        labelled = seen.sum(dim=1, keepdim=True)  # the share of what the pixel shows
        return torch.where(labelled >= 0.5, seen / labelled.clamp(min=0.5), 0.0)


def augmented(batch: Batch, steps: tuple[Augmentation, ...], stream: Stream) -> Batch:
    """The batch after all steps, in order."""
    for step in steps:
        batch = step.batch(batch, stream)
    return batch
