"""Depth keeps its pixels, and planes have the normals they were given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.files.depth import (
    KINECT,
    DepthChannels,
    Intrinsics,
    decoded,
    kept_at,
    metres,
    normals,
    picked,
    spread_of,
)

SIZE = (12, 16)


def plane(normal: tuple[float, float, float], distance: float) -> torch.Tensor:
    """Depth [1, 12, 16] of the plane normal · P = −distance (distance > 0 to the camera)."""
    x, y = KINECT.rays(SIZE)
    along = normal[0] * x + normal[1] * y[:, None] + normal[2]
    depth = -distance / along
    assert bool((depth > 0).all())
    return depth[None].float()


def unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = (x * x + y * y + z * z) ** 0.5
    return x / length, y / length, z / length


@pytest.mark.parametrize(
    ("normal", "distance"),
    [
        ((0.0, 0.0, -1.0), 2.0),  # a wall in front
        (unit(0.0, -1.0, -0.6), 1.5),  # a floor: it points up, which is −y
        (unit(0.0, 1.0, -0.7), 1.5),  # a ceiling
        (unit(1.0, 0.2, -0.8), 3.0),  # a wall on the left points right
    ],
)
def test_planes_have_their_normals(normal: tuple[float, float, float], distance: float) -> None:
    found = normals(plane(normal, distance), KINECT)
    expected = torch.tensor(normal).reshape(1, 3, 1, 1).expand_as(found)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_holes_change_nothing_beside_them() -> None:
    depth = plane(unit(0.3, -0.5, -1.0), 2.0)
    whole = normals(depth, KINECT)
    depth[0, 3:5, 6:9] = 0
    found = normals(depth, KINECT)
    hole = depth[0] == 0
    assert bool((found[0][:, hole] == 0).all())
    torch.testing.assert_close(found[0][:, ~hole], whole[0][:, ~hole], atol=1e-4, rtol=0)


def test_too_little_is_no_surface() -> None:
    depth = torch.zeros(1, *SIZE)
    depth[0, 5] = 2.0  # one row alone: all planes through it fit
    depth[0, 9, 9] = 2.0
    assert bool((normals(depth, KINECT) == 0).all())


@given(
    x=st.floats(-0.5, 0.5),
    y=st.floats(-0.5, 0.5),
    distance=st.floats(0.5, 6),
    scale=st.floats(1, 3),
)
def test_normals_do_not_depend_on_the_distance(
    x: float, y: float, distance: float, scale: float
) -> None:
    near, far = (plane(unit(x, y, -1.0), distance * s) for s in (1.0, scale))
    torch.testing.assert_close(normals(near, KINECT), normals(far, KINECT), atol=1e-3, rtol=0)


def test_rays_of_a_smaller_picture_are_those_of_its_pixels() -> None:
    camera = Intrinsics(fx=100.0, fy=50.0, cx=3.0, cy=1.0, height=4, width=8)
    x, y = camera.rays((2, 4))
    assert kept_at(8, 4).tolist() == [1, 3, 5, 7] and kept_at(4, 2).tolist() == [1, 3]
    np.testing.assert_allclose(x, [-0.02, 0.0, 0.02, 0.04])
    np.testing.assert_allclose(y, [0.0, 0.04])


def test_the_kinect_looks_straight_ahead_near_its_middle() -> None:
    assert (KINECT.height, KINECT.width) == (480, 640)
    x, y = KINECT.rays((480, 640))
    assert abs(float(x[326])) < 1e-3 and abs(float(y[254])) < 1e-3
    assert 28 < np.degrees(np.arctan(float(x[-1]))) < 34  # half of a field of view of about 62°


# Pixels are picked


@given(st.integers(1, 50), st.integers(1, 50))
def test_picked_pixels_stand_in_the_middle_of_their_cells(few: int, more: int) -> None:
    many = few + more
    at = kept_at(many, few)
    middle = (np.arange(few) + 0.5) * many / few
    assert (np.abs(at + 0.5 - middle) <= 0.5 + 1e-9).all()
    assert len(np.unique(at)) == few


def test_halving_first_picks_the_same_pixels() -> None:
    whole = np.arange(480 * 640).reshape(480, 640)
    np.testing.assert_array_equal(picked(whole, (60, 80)), picked(whole[::2, ::2], (60, 80)))


def test_nothing_is_made_up() -> None:
    with pytest.raises(ValueError, match="allowed are 1 to 6"):
        picked(np.zeros((6, 8)), (7, 8))


def test_decoding_by_hand() -> None:
    np.testing.assert_allclose(
        decoded(np.array([0, 25, 255], dtype=np.uint8)), [0.5 / 25.5, 1.0, 255.5 / 25.5]
    )


def test_missing_depth_is_zero() -> None:
    found = metres(np.array([[np.nan, 0.0], [-1.0, 2.5]]), "here")
    np.testing.assert_array_equal(found, [[0, 0], [0, 2.5]])
    assert found.dtype == np.float16


@pytest.mark.parametrize(
    ("depth", "message"), [(0.0, "no pixel has a depth"), (2500.0, "another unit")]
)
def test_absurd_depth_is_refused(depth: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"frame 7.*{message}"):
        metres(np.full((2, 2), depth), "frame 7")


def test_the_spread_is_that_of_the_measured_pixels() -> None:
    assert spread_of(np.array([[[1.0, 3.0]], [[0.0, 0.0]]])) == (2.0, 1.0)
    assert spread_of(np.full((2, 2, 2), 4.0)) == (4.0, 1.0)  # nothing varies
    with pytest.raises(ValueError, match="no pixel has a depth"):
        spread_of(np.zeros((1, 2, 2)))


# Channels


def test_channels_by_hand() -> None:
    raw = torch.tensor([[[0.0, 1.0], [3.0, 5.0]]], dtype=torch.float16)
    found = DepthChannels(3.0, 2.0)(raw)
    assert found.tolist() == [[[[0.0, -1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]]]


def test_normals_are_further_channels() -> None:
    depth = plane(unit(0.1, 0.2, -1.0), 2.0)
    channels = DepthChannels(2.0, 1.0, KINECT)
    found = channels(depth)
    assert found.shape == (1, 6, *SIZE)
    expected = normals(depth, KINECT)
    torch.testing.assert_close(found[:, 3:5], expected[:, 1:])
    torch.testing.assert_close(found[:, 2], expected[:, 0].abs())
    torch.testing.assert_close(found[:, :2], DepthChannels(2.0, 1.0)(depth))
    with pytest.raises(ValueError, match="sd is 0"):
        DepthChannels(2.0, 0.0)


def test_a_floor_is_as_far_below_the_camera_everywhere() -> None:
    # A level floor 1.5 m below: seen at rows that look down, at depth 1.5 / ray.
    _, down = KINECT.rays(SIZE)
    depth = torch.where(down > 0.05, 1.5 / down, 0.0).float()[None, :, None].repeat(1, 1, SIZE[1])
    below = DepthChannels(2.0, 1.0, KINECT)(depth)[0, 5]
    seen = depth[0] > 0
    torch.testing.assert_close(below[seen], torch.full_like(below[seen], 1.5))
    assert bool(seen.any()) and bool((~seen).any()) and not bool(below[~seen].any())


def test_a_mirrored_picture_has_mirrored_channels() -> None:
    """Augmentation mirrors channels and knows nothing of normals."""
    camera = Intrinsics(fx=20.0, fy=20.0, cx=7.5, cy=5.5, height=12, width=16)
    depth = plane(unit(0.4, 0.2, -1.0), 2.0)
    channels = DepthChannels(2.0, 1.0, camera)
    torch.testing.assert_close(channels(depth.flip(-1)), channels(depth).flip(-1))
