"""HHA pictures of depth: horizontal disparity, height above the ground, angle with gravity.

Three channels of bytes, so that a network trained on colour pictures can read depth. Gravity is
found in the depth alone: rooms are full of surfaces that it is orthogonal to (floors, tables) or
that it runs along (walls), and cameras are held roughly upright. Ref: gupta2014learning (channels
and their scale), gupta2013perceptual (gravity).

The scale of `hha_pictures` is the authors' own and fixed, so that files from anywhere compare:

    channel  byte                              reaches            0 stands for
    0        310/z, z in metres                z from 1.22 m on   not measured
    1        100 × metres above the ground     2.55 m             the ground, or not measured
    2        38 + degrees: ceilings 38, walls  38 to 218          not measured, or too little
             128, floors 218                                      around it for a surface

Depth is noisy, and in 8-bit files it comes in steps of 39 mm, so that normals are fitted over a
window. In rooms of planes seen from 100 poses, with these steps, the usual window leaves an error
of 0.24° in gravity (sd over poses 0.26°), 2.1° in angles (0.24°) and 11 mm in heights (4 mm); the
table by windows is in tests/tasks/files/test_hha.py. A camera turned by more than 45° from upright
is out of reach: its walls are taken for floors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mke_theory.tasks.files.depth import KINECT, Intrinsics, measured_metres, normals

UPRIGHT = (0.0, 1.0, 0.0)
"""Straight down in the picture: where the search for gravity begins."""

THRESHOLDS = (45.0,) * 5 + (15.0,) * 5
"""Degrees within which a normal counts as along gravity, or across it, round by round."""

INERTIA = 0.01
"""The weight of the gravity of the round before: normals along it for each normal in view.

Not in the paper. Where all of a picture is one wall, every direction along it is as good, and of
these the nearest to the last is kept. Where gravity is determined, the rounds end in the same
place with it or without.
"""

GROUND_PERCENTILE = 1.0
"""The ground is as far down as all but this percentage of a frame's pixels reach (the authors take
the lowest pixel, which noise and mirrors put below the floor)."""


@dataclass(frozen=True, eq=False)
class HHA:
    """Surfaces of n frames of h × w pixels, in physical units.

    measured: bool [n, h, w]. Where it is False, all else is 0.
    disparity: float32 [n, h, w], 1/m: one over the depth.
    height: float32 [n, h, w], metres above the ground, the lowest that the frame shows. Noise and
        reflections can be below it.
    angle: float32 [n, h, w], degrees between the normal, turned towards the camera, and gravity: a
        floor has 180, a wall 90, a ceiling 0.
    normal: float32 [n, 3, h, w], in the camera's coordinates (x right, y down, z away); 0, and the
        angle too, where too little is measured around a pixel.
    gravity: float64 [n, 3], unit vectors that point down, in the same coordinates.
    """

    measured: NDArray[np.bool_]
    disparity: NDArray[np.float32]
    height: NDArray[np.float32]
    angle: NDArray[np.float32]
    normal: NDArray[np.float32]
    gravity: NDArray[np.float64]


def hha(
    depth: NDArray[np.floating], camera: Intrinsics = KINECT, *, window: int | None = None
) -> HHA:
    """The surfaces in depth [h, w] or [n, h, w], each frame by itself.

    `depth` is in metres, and missing where it is 0, negative or NaN; its pixels are those that
    `depth.picked` keeps of the camera's picture. `window` is that of the normals in pixels, by
    default `usual_window`. Raises TypeError for integers (millimetres, bytes) and ValueError for
    another shape, depth beyond `depth.FARTHEST` or a frame without any depth.
    """
    frames = [_surfaces(one, camera, window, where) for one, where in _frames(depth)]
    columns = ("measured", "disparity", "height", "angle", "normal", "gravity")
    return HHA(*(np.concatenate([getattr(one, name) for one in frames]) for name in columns))


def hha_pictures(
    depth: NDArray[np.floating], camera: Intrinsics = KINECT, *, window: int | None = None
) -> NDArray[np.uint8]:
    """HHA pictures, uint8 [n, 3, h, w], of depth [h, w] or [n, h, w], in the scale given above.

    Takes and raises what `hha` does.
    """
    frames = _frames(depth)
    return np.concatenate([as_bytes(_surfaces(d, camera, window, where)) for d, where in frames])


def as_bytes(surfaces: HHA) -> NDArray[np.uint8]:
    """The pictures, uint8 [n, 3, h, w], of these surfaces; values beyond 0 to 255 are clipped."""
    angled = surfaces.normal.any(axis=1)
    angle = np.where(angled, surfaces.angle + np.float32(38), 0)
    channels = (310 * surfaces.disparity, 100 * surfaces.height, angle)
    return np.rint(np.stack(channels, axis=1)).clip(0, 255).astype(np.uint8)


def usual_window(height: int) -> int:
    """The odd number of pixels nearest to a 22nd of the height: 11 of 240, and at least 3.

    About 2 degrees of a Kinect's view. A smaller one shows the steps of 8-bit depth as terraces and
    loses gravity over them, a larger one rounds off furniture and gains little.
    """
    return max(3, 2 * round((height / 22 - 1) / 2) + 1)


def gravity_of(normal: NDArray[np.floating]) -> NDArray[np.float64]:
    """The unit vector [3] that points down, from the unit normals [m, 3] of all surfaces in view.

    Each round sorts the normals into those along the gravity of the round before and those across
    it, and takes the direction that has the least Σ sin² of its angles with the first plus Σ cos²
    of those with the second. With no normals it is that of an upright camera. Ref:
    gupta2013perceptual.
    """
    rows = np.asarray(normal, dtype=np.float64).reshape(-1, 3)
    down = np.array(UPRIGHT)
    for degrees in THRESHOLDS:
        cosine = np.abs(rows @ down)
        across = cosine < np.sin(np.radians(degrees))
        along = cosine > np.cos(np.radians(degrees))
        sign = across.astype(np.float64) - along
        cost = (rows * sign[:, None]).T @ rows - INERTIA * len(rows) * np.outer(down, down)
        nearest = np.linalg.eigh(cost)[1][:, 0] if len(rows) else down
        down = nearest if nearest @ np.array(UPRIGHT) >= 0 else -nearest
    return down


def _frames(depth: NDArray[np.floating]) -> list[tuple[NDArray[np.floating], str]]:
    """The frames one by one, 0 where missing, with words for error messages."""
    if not np.issubdtype(depth.dtype, np.floating):
        raise TypeError(
            f"depth is {depth.dtype}; metres as floating point numbers are needed. Divide "
            "millimetres by 1000; bytes of NYU Depth V2's 8-bit files go through depth.decoded"
        )
    if depth.ndim not in (2, 3) or not depth.size:
        raise ValueError(f"depth has shape {depth.shape}; [h, w] or [n, h, w] is needed")
    frames = depth[None] if depth.ndim == 2 else depth
    return [(one, f"frame {at} of {len(frames)}") for at, one in enumerate(frames)]


def _surfaces(
    depth: NDArray[np.floating], camera: Intrinsics, window: int | None, where: str
) -> HHA:
    """The surfaces of one frame [h, w], as `HHA` of n = 1."""
    z = torch.from_numpy(measured_metres(depth, where).astype(np.float32))
    width = usual_window(len(depth)) if window is None else window
    normal = normals(z[None], camera, width)[0]
    there = z > 0
    seen = normal.flatten(1).T.numpy()
    gravity = gravity_of(seen[seen.any(axis=1)])
    down = torch.from_numpy(gravity).float()
    x, y = camera.rays((z.shape[0], z.shape[1]))
    depth_below = z * (down[0] * x.float() + down[1] * y.float()[:, None] + down[2])
    ground = np.percentile(depth_below[there].numpy(), 100 - GROUND_PERCENTILE)
    height = torch.where(there, float(ground) - depth_below, 0)
    cosine = torch.einsum("chw,c->hw", normal, down).clamp(-1, 1)
    angle = torch.where(normal.any(dim=0), torch.rad2deg(torch.acos(cosine)), 0)
    disparity = torch.where(there, 1 / z, 0)
    maps = [part.numpy()[None] for part in (there, disparity, height, angle, normal)]
    return HHA(maps[0], maps[1], maps[2], maps[3], maps[4], gravity[None])
