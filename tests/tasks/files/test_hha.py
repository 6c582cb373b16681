"""HHA pictures: planes of known pose have their gravity, heights and angles, in steps of 39 mm too.

What the steps of 8-bit depth leave: 240 × 320 pixels of a `room`, 100 poses drawn uniformly from
pitch −25° to 35° and roll −15° to 15°, mean over poses and (sd). The angle's error is the mean over
the pixels of a frame, edges of the room included.

    window       gravity        angle         height
    3            19.7° (10.8)   18.8° (11.6)  0.44 m (0.26)
    7            1.3° (1.1)     4.4° (1.2)    0.034 m (0.024)
    11           0.24° (0.26)   2.1° (0.24)   0.011 m (0.004)
    15           0.13° (0.08)   1.9° (0.24)   0.008 m (0.004)
    11, no steps 0.07° (0.03)   0.9° (0.13)   0.001 m (0.001)
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mke_theory.tasks.files.depth import KINECT, decoded
from mke_theory.tasks.files.hha import gravity_of, hha, hha_pictures, usual_window

SIZE = (60, 80)
ABOVE = 1.4  # metres of the camera above the floor
Array = NDArray[np.float64]


def down(pitch: float, roll: float) -> Array:
    """Gravity seen by a camera turned down by `pitch` and about its axis by `roll`, degrees."""
    p, r = np.radians([pitch, roll])
    return np.array([np.sin(r) * np.cos(p), np.cos(r) * np.cos(p), np.sin(p)])


def rays(size: tuple[int, int]) -> Array:
    """Rays [h, w, 3] with z = 1."""
    x, y = KINECT.rays(size)
    across, below = np.meshgrid(x.numpy(), y.numpy())
    return np.stack((across, below, np.ones_like(across)), axis=-1)


def room(
    pitch: float, roll: float, size: tuple[int, int] = SIZE, *, turn: float = 20.0
) -> tuple[Array, NDArray[np.int64]]:
    """Depth [h, w] of a room 2.6 m high, and 0 floor, 1 ceiling, 2 a wall ahead, 3 one beside.

    The wall ahead is 3 m away and turned by `turn` degrees about the vertical, the one beside it
    at right angles.
    """
    g = down(pitch, roll)
    ahead = np.array([0.0, 0.0, 1.0]) - g[2] * g
    ahead /= np.linalg.norm(ahead)
    beside = np.cross(g, ahead)
    t = np.radians(turn)
    walls = np.cos(t) * ahead + np.sin(t) * beside, np.cos(t) * beside - np.sin(t) * ahead
    planes = ((g, ABOVE), (-g, 2.6 - ABOVE), (walls[0], 3.0), (walls[1], 2.0))
    towards = np.stack([rays(size) @ normal / d for normal, d in planes])
    return 1 / towards.max(axis=0), towards.argmax(axis=0)


def in_steps(depth: Array) -> NDArray[np.float32]:
    """Depth as an 8-bit file of NYU Depth V2 gives it back."""
    return decoded(np.rint(depth * 25.5 - 0.5).clip(0, 255).astype(np.uint8))


def degrees(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


POSES = [(0.0, 0.0), (30.0, 0.0), (-20.0, 5.0), (15.0, -12.0), (35.0, 10.0)]


@pytest.mark.parametrize(("pitch", "roll"), POSES)
def test_a_room_of_known_pose(pitch: float, roll: float) -> None:
    depth, surface = room(pitch, roll)
    found = hha(depth)
    # Windows over an edge of the room pull gravity by a little.
    assert degrees(found.gravity[0], down(pitch, roll)) < 0.2
    height = ABOVE - depth * (rays(SIZE) @ down(pitch, roll))
    lowest = np.percentile(height, 1)
    np.testing.assert_allclose(found.height[0], height - lowest, atol=0.01)
    for number, angle in enumerate((180.0, 0.0, 90.0, 90.0)):
        seen = found.angle[0][surface == number]
        assert not seen.size or abs(np.median(seen) - angle) < 0.2
    np.testing.assert_allclose(found.disparity[0], 1 / depth, rtol=1e-6)
    assert found.measured.all()


def test_heights_and_bytes_by_hand() -> None:
    """A level camera 1.4 m above the floor: the row that looks down by 0.35 of z sees z = 4."""
    y = rays((480, 640))[..., 1]
    row = int(np.abs(y[:, 0] - 0.35).argmin())  # within half a pixel, 0.001
    picture = hha_pictures(np.where(y > 0.1, 1.4 / y.clip(0.1), 0.0))[0]
    assert picture.shape == (3, 480, 640) and picture.dtype == np.uint8
    assert picture[0, row, 320] in (77, 78)  # 310/4 = 77.5
    assert picture[1, row, 320] == 0 and picture[2, row, 320] == 218  # the ground, facing up
    assert not picture[:, y <= 0.1].any()  # not measured


def test_heights_are_exact() -> None:
    """A table 0.7 m above the floor beside it; between them a strip without depth."""
    x, y = rays(SIZE)[..., 0], rays(SIZE)[..., 1]
    beneath = np.where(np.abs(x) < 0.03, np.nan, np.where(x < 0, 1.4, 0.7))
    z = np.where(y > 0.1, beneath / y.clip(0.1), 0.0)
    found = hha(z)
    np.testing.assert_allclose(found.gravity[0], [0, 1, 0], atol=1e-5)
    there, table = found.measured[0], x > 0
    np.testing.assert_allclose(found.height[0][there & table], 0.7, atol=1e-4)
    np.testing.assert_allclose(found.height[0][there & ~table], 0.0, atol=1e-4)
    np.testing.assert_allclose(found.angle[0][there], 180, atol=0.1)


def test_the_range_of_bytes_by_hand() -> None:
    depth = np.full(SIZE, 2.0)  # a wall in front, 2 m away
    depth[:, :10] = 0.5  # 310/0.5 is more than a byte holds
    picture = hha_pictures(depth)[0]
    assert picture[0, 30, 50] == 155 and picture[0, 30, 0] == 255
    assert picture[2, 30, 50] == 128
    found = hha(depth)
    # The pixel is −y·2 m above the camera's axis, and the ground the lowest percentile below it.
    y = rays(SIZE)[..., 1]
    lowest = np.percentile(depth * y, 99)
    np.testing.assert_allclose(found.height[0, :, 50], lowest - 2 * y[:, 50], atol=1e-4)


# Gravity


def test_gravity_of_normals_by_hand() -> None:
    g = down(20.0, -8.0)
    sideways = np.cross(g, [0.0, 0.0, 1.0])
    sideways /= np.linalg.norm(sideways)
    ahead = np.cross(sideways, g)
    rows = np.stack([-g, g, sideways, -ahead])
    np.testing.assert_allclose(gravity_of(rows), g, atol=1e-9)
    # A surface askew to all does not count once the threshold is 15 degrees.
    askew = (g + ahead) / np.sqrt(2)
    np.testing.assert_allclose(gravity_of(np.vstack([rows, askew])), g, atol=1e-6)


@given(pitch=st.floats(-30, 30), roll=st.floats(-20, 20), floor=st.integers(1, 9))
def test_a_little_floor_is_enough(pitch: float, roll: float, floor: int) -> None:
    g = down(pitch, roll)
    wall = np.cross([1.0, 0.0, 0.0], g)
    wall /= np.linalg.norm(wall)
    rows = np.concatenate([np.tile(-g, (floor, 1)), np.tile(wall, (10 - floor, 1))])
    assert degrees(gravity_of(rows), g) < 0.01


def test_where_nothing_tells_gravity_stays_upright() -> None:
    np.testing.assert_array_equal(gravity_of(np.zeros((0, 3))), [0, 1, 0])
    # One wall ahead: all directions along it fit, and straight down is the nearest.
    np.testing.assert_allclose(gravity_of(np.array([[0.0, 0.0, -1.0]])), [0, 1, 0], atol=1e-12)
    # The same wall from a camera that looks up: gravity leans forward with the wall.
    leaning = np.array([[0.0, np.sin(0.2), -np.cos(0.2)]])
    expected = [0, np.cos(0.2), np.sin(0.2)]
    np.testing.assert_allclose(gravity_of(leaning), expected, atol=1e-6)


def test_gravity_points_down_whichever_way_normals_do() -> None:
    g = down(10.0, 5.0)
    for sign in (1, -1):
        np.testing.assert_allclose(gravity_of(sign * g[None]), g, atol=1e-6)


# Noise, steps and holes


def test_steps_of_eight_bits_leave_this_much() -> None:
    gravity, angle, height = _errors(10)
    assert np.mean(gravity) < 0.5 and max(gravity) < 1.5
    assert np.mean(angle) < 3.0
    assert np.mean(height) < 0.02


def _errors(poses: int) -> tuple[list[float], list[float], list[float]]:
    """Errors by pose: degrees of gravity, mean degrees of angles, mean metres of height."""
    rng = np.random.default_rng(0)
    gravity, angle, height = [], [], []
    for pitch, roll in rng.uniform((-25, -15), (35, 15), size=(poses, 2)):
        depth, surface = room(pitch, roll, (240, 320))
        found = hha(in_steps(depth))
        exact = ABOVE - depth * (rays((240, 320)) @ down(pitch, roll))
        gravity.append(degrees(found.gravity[0], down(pitch, roll)))
        truth = np.array([180.0, 0.0, 90.0, 90.0])[surface]
        angle.append(float(np.abs(found.angle[0] - truth).mean()))
        height.append(float(np.abs(found.height[0] - exact + np.percentile(exact, 1)).mean()))
    return gravity, angle, height


def test_noise_moves_gravity_little() -> None:
    rng = np.random.default_rng(1)
    depth, _ = room(20.0, 6.0, (120, 160))
    noisy = depth + 0.003 * depth**2 * rng.standard_normal(depth.shape)  # that of a Kinect
    assert degrees(hha(noisy).gravity[0], down(20.0, 6.0)) < 0.5


def test_holes_are_zero_and_change_little_elsewhere() -> None:
    depth, _ = room(20.0, 0.0)
    whole = hha(depth)
    hole = np.zeros(SIZE, dtype=bool)
    hole[20:30, 30:50] = True
    for missing in (0.0, -1.0, np.nan):
        found = hha(np.where(hole, missing, depth))
        np.testing.assert_array_equal(found.measured[0], ~hole)
        for part in (found.disparity, found.height, found.angle, *found.normal.swapaxes(0, 1)):
            assert np.isfinite(part).all() and not part[0][hole].any()
        np.testing.assert_allclose(found.gravity, whole.gravity, atol=2e-3)
        picture = hha_pictures(np.where(hole, missing, depth))[0]
        assert not picture[:, hole].any() and picture[0][~hole].all()


def test_a_lone_pixel_has_no_angle() -> None:
    depth = np.zeros(SIZE)
    depth[30, 40] = 2.0
    found = hha(depth)
    assert found.angle[0, 30, 40] == 0 and found.disparity[0, 30, 40] == 0.5
    assert hha_pictures(depth)[0, :, 30, 40].tolist() == [155, 0, 0]


# Batches, sizes and bad input


@settings(max_examples=5)
@given(st.integers(1, 4))
def test_a_batch_is_its_frames_one_by_one(frames: int) -> None:
    depth = np.stack([in_steps(room(8.0 * i, 3.0 * i)[0]) for i in range(frames)])
    together, surfaces = hha_pictures(depth), hha(depth)
    for at, one in enumerate(depth):
        np.testing.assert_array_equal(together[at], hha_pictures(one)[0])
        np.testing.assert_array_equal(surfaces.gravity[at], hha(one).gravity[0])
        np.testing.assert_array_equal(surfaces.normal[at], hha(one).normal[0])


def test_float16_is_read_as_it_is() -> None:
    depth = in_steps(room(10.0, 0.0)[0]).astype(np.float16)
    np.testing.assert_array_equal(hha_pictures(depth), hha_pictures(depth.astype(np.float32)))


def test_the_window_follows_the_size() -> None:
    assert [usual_window(h) for h in (30, 60, 120, 240, 480)] == [3, 3, 5, 11, 21]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_integers_are_refused(dtype: type[np.integer]) -> None:
    with pytest.raises(TypeError, match=r"metres as floating point.*1000.*depth\.decoded"):
        hha_pictures(np.full(SIZE, 200, dtype=dtype))


@pytest.mark.parametrize("depth", [2500.0, 200.0])
def test_millimetres_and_levels_are_refused(depth: float) -> None:
    frames = np.stack([np.full(SIZE, 2.0), np.full(SIZE, depth)])
    with pytest.raises(ValueError, match=r"frame 1 of 2: depth is up to .* another unit"):
        hha(frames)


def test_other_bad_input() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\).*\[h, w\] or \[n, h, w\]"):
        hha(np.ones(4))
    with pytest.raises(ValueError, match="shape"):
        hha_pictures(np.ones((0, 4, 4)))
    with pytest.raises(ValueError, match="frame 0 of 1: no pixel has a depth"):
        hha(np.zeros(SIZE))
    with pytest.raises(ValueError, match="window is 4; allowed are the odd numbers from 3"):
        hha(np.ones(SIZE), window=4)
    with pytest.raises(ValueError, match="another unit"):
        hha(np.where(np.eye(60, 80) > 0, np.inf, 2.0))
