"""Depth pictures as metres, the mask of what is measured, and the surfaces they show.

Depth is a number about one ray: the mean of a chair leg and the wall behind it is a place where
nothing is. So depth, normals and labels are made smaller by picking pixels, never by averaging.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

FARTHEST = 20.0
"""Metres, twice what a Kinect gives: what is above is in another unit, or stands for missing (as
65535 mm does in some files)."""

Array = NDArray[Any]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera: pixel (row v, column u) looks along ((u − cx)/fx, (v − cy)/fy, 1).

    All in pixels of a picture of `height` × `width`; x points right, y down, z away from the
    camera.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    height: int
    width: int

    def rays(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """X [w] and y [h] of the rays of the pixels that `picked` keeps, float64."""
        across = torch.from_numpy(kept_at(self.width, size[1]))
        down = torch.from_numpy(kept_at(self.height, size[0]))
        return (across.double() - self.cx) / self.fx, (down.double() - self.cy) / self.fy


KINECT = Intrinsics(518.85790, 519.46961, 325.58245, 253.73617, height=480, width=640)
"""The colour camera of NYU Depth V2, onto whose pixels the depth is projected.

From `camera_params.m` (fx_rgb, fy_rgb, cx_rgb, cy_rgb) of the authors' toolbox. Lens
distortion is left out. Ref: silberman2012indoor.
"""


def kept_at(many: int, few: int) -> NDArray[np.int64]:
    """The `few` of `many` pixels in a line that stay: those nearest to the centres of cells."""
    if not 1 <= few <= many:
        raise ValueError(f"{few} pixels are asked for; allowed are 1 to {many}, those there are")
    return np.asarray((2 * np.arange(few) + 1) * many // (2 * few), dtype=np.int64)


def picked(x: NDArray[_Scalar], size: tuple[int, int]) -> NDArray[_Scalar]:
    """Pixels [..., *size] of a picture [..., height, width], each as it was: no interpolation."""
    rows, columns = kept_at(x.shape[-2], size[0]), kept_at(x.shape[-1], size[1])
    return x[..., rows[:, None], columns]


def decoded(value: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Metres of 8-bit depth pictures: (value + 0.5) / 25.5, from 0.02 to 10."""
    return (value.astype(np.float32) + np.float32(0.5)) / np.float32(25.5)


def metres(depth: NDArray[np.floating], where: str) -> NDArray[np.float16]:
    """Depth in metres as float16 (to 2 mm at 4 m), otherwise as `measured_metres` gives it."""
    return measured_metres(depth, where).astype(np.float16)


def measured_metres(depth: NDArray[np.floating], where: str) -> NDArray[np.floating]:
    """Depth in metres as it is, and 0 where nothing is measured.

    Missing is what is 0, negative or NaN. Raises ValueError, naming `where`, for an infinite or
    absurd depth, and where nothing at all is measured.
    """
    there = depth > 0  # False for NaN
    if not there.any():
        raise ValueError(f"{where}: no pixel has a depth")
    if depth[there].max() > FARTHEST:
        raise ValueError(
            f"{where}: depth is up to {depth[there].max():g} m; allowed is at most "
            f"{FARTHEST:g}. Is it in another unit, or a sign for what is missing?"
        )
    return np.where(there, depth, depth.dtype.type(0))


def normals(depth: Tensor, camera: Intrinsics, window: int = 3) -> Tensor:
    """Unit normals [b, 3, h, w] of the surfaces in depth [b, h, w], turned towards the camera.

    A plane n·P = d has 1/z linear along the rays, with coefficients n/d. They are fitted by least
    squares to the measured pixels of a window of `window` × `window` pixels (odd, from 3), so
    planes come out exactly, holes or not. `depth` is in metres, 0 where missing, with the pixels
    that `picked` keeps. The normal is 0 where the pixel itself is missing or its window holds no
    three measured pixels off one line. Raises ValueError for another shape or window.
    """
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window is {window}; allowed are the odd numbers from 3")
    if depth.dim() != 3:
        raise ValueError(f"depth has shape {tuple(depth.shape)}; [b, h, w] is needed")
    z = depth.double()
    measured = z > 0
    weight = measured.double()
    nearness = torch.where(measured, 1 / z.clamp(min=1e-6), 0)
    x, y = camera.rays((depth.shape[1], depth.shape[2]))
    x, y = x.to(z.device), y.to(z.device)[:, None]
    moments = (weight, weight * x, weight * y, weight * x * x, weight * x * y, weight * y * y)
    values = (nearness, nearness * x, nearness * y)
    sums = _window_sums(torch.stack([part.expand_as(z) for part in (*moments, *values)]), window)
    mx, my, xx, xy, yy, q, qx, qy = sums[1:] / sums[0].clamp(min=1)
    xx, xy, yy, qx, qy = xx - mx * mx, xy - mx * my, yy - my * my, qx - mx * q, qy - my * q
    determinant = xx * yy - xy * xy
    # Ray coordinates are about 0.01 apart, so a window off one line has far more than this.
    solvable = measured & (determinant > 1e-6 * (xx + yy).square()) & (determinant > 0)
    a = (yy * qx - xy * qy) / torch.where(solvable, determinant, 1)
    b = (xx * qy - xy * qx) / torch.where(solvable, determinant, 1)
    c = q - a * mx - b * my
    scale = torch.where(solvable, -1 / (a * a + b * b + c * c).clamp(min=1e-24).sqrt(), 0)
    return torch.stack((a * scale, b * scale, c * scale), dim=1).float()


def _window_sums(x: Tensor, window: int) -> Tensor:
    """Sums [..., h, w] over the square window around each entry, 0 beyond the border."""
    height, width = x.shape[-2:]
    beyond = window // 2
    padded = pad(x, (beyond, beyond, beyond, beyond))
    rows = reduce(torch.add, (padded[..., at : at + height, :] for at in range(window)))
    return reduce(torch.add, (rows[..., at : at + width] for at in range(window)))


@dataclass(frozen=True)
class DepthChannels:
    """Depth [b, h, w] in metres, 0 where missing, to [b, 2, h, w], or [b, 6, h, w] with a camera.

    Channels: (metres − mean)/sd, 0 where missing; 1 where measured and 0 where not; and with
    `camera` the coordinates |x|, y and z of the surface normal (see `normals`): how far it is
    turned to a side, down, and away; and how many metres the surface is below the camera, 0 where
    missing. Without the sign of x, a mirrored picture has the channels of its scene mirrored. With
    depth, angle and height this is the content of HHA pictures, the camera's own vertical standing
    for that of gravity. Ref: gupta2014learning.
    """

    mean: float
    sd: float
    camera: Intrinsics | None = None

    def __post_init__(self) -> None:
        if not self.sd > 0:
            raise ValueError(f"sd is {self.sd}; it has to be positive")

    def __call__(self, raw: Tensor) -> Tensor:
        depth = raw.float()
        measured = depth > 0
        scaled = torch.where(measured, (depth - self.mean) / self.sd, 0)
        flat = torch.stack((scaled, measured.float()), dim=1)
        if self.camera is None:
            return flat
        sideways, rest = normals(depth, self.camera).split((1, 2), dim=1)
        _, down = self.camera.rays((depth.shape[-2], depth.shape[-1]))
        below = depth * down.to(depth)[:, None]  # depth is 0 where missing, and so is this
        return torch.cat((flat, sideways.abs(), rest, below[:, None]), dim=1)


def spread_of(depth: NDArray[np.floating]) -> tuple[float, float]:
    """Mean and standard deviation of the depths that are measured in [n, h, w], in metres."""
    count, total, squares = 0, 0.0, 0.0
    for one in depth:  # frame by frame, as all of them may not fit in memory as float64
        values = one[one > 0].astype(np.float64)
        count += len(values)
        total += float(values.sum())
        squares += float(np.square(values).sum())
    if count == 0:
        raise ValueError("no pixel has a depth, so there is no mean to subtract")
    mean = total / count
    return mean, max(squares / count - mean**2, 0.0) ** 0.5 or 1.0
