"""One frame at a smaller size, and the classes that its pixels are merged to."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.tasks.nyu_depth.frames import averaged, class_map, small
from tests.tasks.nyu_depth.made_frames import SIZE, WHOLE, colours, depth_in_metres, labels40

pytest.importorskip("PIL", reason="needs the extra mke_theory[data]")


def test_a_frame_keeps_its_pixels() -> None:
    found = small(colours(3), depth_in_metres(3), labels40(3), WHOLE, "here")
    np.testing.assert_array_equal(found["image"], colours(3).transpose(2, 0, 1))
    np.testing.assert_allclose(found["depth"], depth_in_metres(3), atol=1e-3)
    np.testing.assert_array_equal(found["label"], labels40(3))
    assert [found[name].dtype.name for name in ("image", "depth", "label")] == [
        "uint8",
        "float16",
        "int8",
    ]


def test_colours_are_averaged_and_the_rest_is_picked() -> None:
    found = small(colours(3), depth_in_metres(3), labels40(3), SIZE, "here")
    blocks = colours(3).reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found["image"].transpose(1, 2, 0), blocks, atol=0.5)
    np.testing.assert_allclose(found["depth"], depth_in_metres(3)[2::4, 2::4], atol=1e-3)
    np.testing.assert_array_equal(found["label"], labels40(3)[2::4, 2::4])


def test_averages_by_hand() -> None:
    picture = np.zeros((2, 4, 3), dtype=np.uint8)
    picture[0, 0], picture[1, 3] = 200, 100
    assert averaged(picture, (1, 2))[0, :, 0].tolist() == [50, 25]


@pytest.mark.parametrize(
    ("depth", "label", "size", "message"),
    [
        (np.ones((48, 63)), np.zeros(WHOLE, int), SIZE, "same height and width"),
        (np.ones(WHOLE), np.zeros((24, 32), int), SIZE, "same height and width"),
        (np.ones(WHOLE), np.full(WHOLE, 41), SIZE, "41; allowed are 0 to 40"),
        (np.ones(WHOLE), np.zeros(WHOLE, int), (49, 64), "choose a smaller size"),
    ],
)
def test_a_frame_that_contradicts_itself_is_refused(
    depth: np.ndarray, label: np.ndarray, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"frame 9.*{message}"):
        small(colours(9), depth, label, size, "frame 9")


def test_class_maps_by_hand() -> None:
    thirteen = class_map(13, otherprop_is_void=True)
    assert thirteen.names[0] == "bed" and thirteen.names[12] == "window"
    assert len(thirteen.names) == 13
    # Label 0 is void, 1 wall, 2 floor, 8 door (a wall, officially), 13 blinds, 40 otherprop.
    named = {int(label): thirteen.names[thirteen.of_label[label]] for label in (1, 2, 8, 13)}
    assert named == {1: "wall", 2: "floor", 8: "wall", 13: "window"}
    assert thirteen.of_label[0] == thirteen.of_label[40] == -1
    exact = class_map(13, otherprop_is_void=False)
    assert exact.names[exact.of_label[40]] == "objects"


def test_forty_classes_are_thirty_nine_where_otherprop_is_void() -> None:
    for is_void, count in ((True, 39), (False, 40)):
        found = class_map(40, otherprop_is_void=is_void)
        assert len(found.names) == count
        assert found.of_label[:40].tolist() == list(range(-1, 39))
        assert found.of_label[40] == (-1 if is_void else 39)
    with pytest.raises(ValueError, match="allowed are 13 and 40"):
        class_map(12, otherprop_is_void=True)
