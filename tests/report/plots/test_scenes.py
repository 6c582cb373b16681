"""The figure of scenes shows the arrays it is given, and says how right they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mke_theory.report.plots.scenes import CLASS_COLOURS, Scene, predicted_scenes, scenes_of
from mke_theory.study.arms import ARMS

ARM_NAMES = ("um_teacher", "um_student", "mm_student")


def scene(seed: int = 0, **changes: Any) -> Scene:
    """4 by 6 pixels of three classes, one column void; the teacher errs in the first row."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 3, (4, 6))
    truth[:, 5] = -1
    right = np.where(truth < 0, 0, truth)
    teacher = right.copy()
    teacher[0] = (teacher[0] + 1) % 3
    base = Scene(
        image=draw.integers(0, 256, (4, 6, 3), dtype=np.uint8),
        truth=truth,
        predictions={"um_teacher": teacher, "um_student": teacher, "mm_student": right},
        depth=draw.uniform(1, 5, (4, 6)),
    )
    return replace(base, **changes)


def rows_of(figure: Figure, columns: int) -> list[list[Axes]]:
    panels = figure.axes
    return [panels[at : at + columns] for at in range(0, len(panels), columns)]


def shown(axes: Axes) -> np.ndarray:
    values: Any = axes.images[0].get_array()
    return np.asarray(np.ma.filled(values.astype(float), np.nan))


def test_rows_show_what_they_are_given() -> None:
    panels = [scene(0), scene(1)]
    figure = predicted_scenes(panels, ("bed", "chair", "wall"))
    rows = rows_of(figure, 2)
    assert len(rows) == 3 + len(ARM_NAMES)
    for column, panel in enumerate(panels):
        np.testing.assert_array_equal(shown(rows[0][column]), panel.image)
        np.testing.assert_allclose(shown(rows[1][column]), np.asarray(panel.depth))
        np.testing.assert_array_equal(shown(rows[2][column]), panel.truth)
        for row, arm in zip(rows[3:], ARM_NAMES, strict=True):
            np.testing.assert_array_equal(shown(row[column]), panel.predictions[arm])


def test_arms_are_scored_over_the_frames_shown() -> None:
    truth = np.array([[0, 0, 1, -1]])
    found = {"um_teacher": np.array([[0, 1, 1, 2]]), "mm_student": np.array([[0, 0, 1, 1]])}
    image = np.zeros((1, 4, 3), dtype=np.uint8)
    figure = predicted_scenes([Scene(image, truth, found)])
    labels = [axes.get_ylabel() for axes in figure.axes]
    # Class 0: 1 pixel of 2 in union; class 1: 1 of 2; a class given to a void pixel is no error.
    assert labels[2] == f"{ARMS['um_teacher'].title}\nmIoU 50.0\npixels 66.7%"
    assert labels[3] == f"{ARMS['mm_student'].title}\nmIoU 100.0\npixels 100.0%"
    assert labels[:2] == ["RGB", "truth"]
    assert [axes.get_xlabel() for axes in figure.axes[2:]] == ["67% right", "100% right"]


def test_the_legend_names_what_is_in_sight() -> None:
    names = ("bed", "chair", "wall", "never seen")
    (legend,) = predicted_scenes([scene()], names).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["bed", "chair", "wall", "not counted"]
    assert "this frame alone" in legend.get_title().get_text()
    (legend,) = predicted_scenes([scene(0), scene(1)]).legends
    assert next(text.get_text() for text in legend.get_texts()) == "class 0"
    assert "these 2 frames alone" in legend.get_title().get_text()


def test_one_class_has_one_colour_everywhere() -> None:
    rows = rows_of(predicted_scenes([scene(0), scene(1)]), 2)
    maps = [axes.images[0] for row in rows[2:] for axes in row]
    colours = {tuple(image.to_rgba(np.array([[2]]))[0, 0]) for image in maps}
    assert len(colours) == 1
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS) == 40


def test_missing_depth_is_left_out_of_the_range() -> None:
    depth = np.full((4, 6), 2.0)
    depth[0], depth[1], depth[2] = 0, np.nan, 4.0
    row = rows_of(predicted_scenes([scene(depth=depth), scene(1, depth=np.zeros((4, 6)))]), 2)[1]
    assert row[0].get_ylabel() == "depth\n2.0 to 4.0 m"
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown(row[0])))[:2].all()
    assert (
        predicted_scenes([scene(depth=np.zeros((4, 6)))]).axes[1].get_ylabel()
        == "depth\nnot measured"
    )


def test_a_frame_of_void_has_no_score() -> None:
    assert (
        predicted_scenes([scene(truth=np.full((4, 6), -1))]).axes[-1].get_ylabel()
        == ARMS["mm_student"].title
    )


def test_scenes_come_from_what_runs_keep() -> None:
    frames = [scene(0), scene(1)]
    common = {
        "image": np.stack([one.image for one in frames]),
        "depth": np.stack([np.asarray(one.depth) for one in frames]),
        "truth": np.stack([one.truth for one in frames]),
    }
    arms = {
        arm: {**common, "predictions": np.stack([one.predictions[arm] for one in frames])}
        for arm in ARM_NAMES
    }
    found = scenes_of(arms)
    for one, expected in zip(found, frames, strict=True):
        assert list(one.predictions) == list(ARM_NAMES)
        np.testing.assert_array_equal(one.truth, expected.truth)
        for arm in ARM_NAMES:
            np.testing.assert_array_equal(one.predictions[arm], expected.predictions[arm])
    other = {**arms, "mm_student": {**arms["mm_student"], "image": common["image"][::-1]}}
    with pytest.raises(ValueError, match="mm_student has other frames"):
        scenes_of(other)
    with pytest.raises(ValueError, match="um_teacher has no array 'predictions'"):
        scenes_of({"um_teacher": common})
    with pytest.raises(ValueError, match="no arm"):
        scenes_of({})
    assert (
        scenes_of({"um_teacher": {k: v for k, v in arms["um_teacher"].items() if k != "depth"}})[
            0
        ].depth
        is None
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((4, 6, 3))}, "uint8"),
        ({"image": np.zeros((6, 4, 3), np.uint8)}, "truth asks for"),
        ({"depth": np.ones((4, 5))}, "depth has shape"),
        ({"predictions": {}}, "at least one arm"),
        (
            {"predictions": {"um_teacher": np.zeros((4, 5), int)}},
            "prediction of um_teacher has shape",
        ),
        ({"predictions": {"um_teacher": np.full((4, 6), -1)}}, "allowed are 0 to 39"),
        ({"truth": np.full((4, 6), 40)}, "allowed are -1 to 39"),
    ],
)
def test_scenes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scene(**changes)


def test_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        predicted_scenes([])
    with pytest.raises(ValueError, match="13 frames"):
        predicted_scenes([scene()] * 13)
    with pytest.raises(ValueError, match="class 2 has no name"):
        predicted_scenes([scene()], ("bed", "chair"))
    with pytest.raises(ValueError, match="frame 1 has the arms"):
        predicted_scenes([scene(), scene(predictions={"um_teacher": np.zeros((4, 6), int)})])
    with pytest.raises(ValueError, match="depth or none"):
        predicted_scenes([scene(), scene(depth=None)])
