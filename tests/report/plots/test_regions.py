"""Decision regions and points are drawn where they are, and can be told apart in grey print."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection, QuadMesh

from mke_theory.report.plots.accounts import OUTCOMES
from mke_theory.report.plots.regions import Region, decision_regions
from mke_theory.report.plots.style import INKS, SHADES, SHAPES
from tests.report.drawn import texts


def region(**changes: Any) -> Region:
    base = Region(
        "MM student",
        x=np.linspace(-1, 1, 5),
        y=np.linspace(-2, 2, 4),
        prediction=np.array([[0, 0, 1, 1, 1]] * 4),
        points=np.array([[-0.5, 0.0], [0.5, 1.0], [0.2, -1.0], [0.0, 0.0]]),
        labels=np.array([0, 1, 1, -1]),
        accuracy=2 / 3,
    )
    return replace(base, **changes)


def test_regions_and_points_are_drawn_where_they_are() -> None:
    regions = [region(title="UM teacher", accuracy=0.5), region()]
    figure = decision_regions(regions)
    for axes, one in zip(figure.axes, regions, strict=True):
        (mesh,) = (each for each in axes.collections if isinstance(each, QuadMesh))
        assert np.array_equal(np.asarray(mesh.get_array()), one.prediction)
        clouds = [each for each in axes.collections if isinstance(each, PathCollection)]
        points = [np.asarray(cloud.get_offsets()).tolist() for cloud in clouds]
        assert points == [[[0, 0]], [[-0.5, 0]], [[0.5, 1], [0.2, -1]]]  # unknown, 0, 1
        shapes = [cloud.get_paths()[0].vertices for cloud in clouds]
        assert len({np.asarray(shape).tobytes() for shape in shapes}) == 3
    found = texts(figure)
    # three of the four labels are known
    assert {"UM teacher\naccuracy 50.0% (n = 3)", "MM student\naccuracy 66.7% (n = 3)"} <= found
    assert {"α (teacher's modality)", "β (new modality)"} <= found
    assert {"true class 0", "true class 1", "unknown class"} <= found


def test_regions_of_one_class_and_many_panels() -> None:
    alone = region(prediction=np.zeros((4, 5), dtype=int))
    assert len(decision_regions([alone] * 5).axes) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((5, 4), dtype=int)}, r"shape (5, 4); y and x ask for (4, 5)"),
        ({"points": np.zeros((3, 2))}, r"shape (3, 2); 4 labels ask for (4, 2)"),
        ({"prediction": np.full((4, 5), -1)}, "prediction has to hold classes from 0 to 7"),
        ({"labels": np.array([0, 1, 8, 0])}, "labels has to hold classes from -1 to 7"),
        ({"accuracy": 66.7}, "accuracy is 66.7"),
        ({"accuracy": float("nan")}, "accuracy is nan"),
        ({"x": np.zeros(1), "prediction": np.zeros((4, 1), dtype=int)}, "at least 2 by 2"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        region(**change)


def test_no_panel_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one Region"):
        decision_regions([])


def luminance(colour: str) -> float:
    """Relative luminance in [0, 1] of an sRGB colour (IEC 61966-2-1)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_grey_print_keeps_the_meaning() -> None:
    # Contrast as defined for screens, where 3 is asked of graphics: points against regions.
    for own, ink in enumerate(INKS[:-1]):
        contrasts = [(luminance(shade) + 0.05) / (luminance(ink) + 0.05) for shade in SHADES]
        assert contrasts[own] >= 3 and min(contrasts) >= 2, ink
    assert luminance(SHADES[0]) > luminance(SHADES[1]) + 0.1
    # Outcomes of like lightness differ by their hatching.
    looks = {(round(luminance(colour), 1), hatch) for colour, hatch in OUTCOMES.values()}
    assert len(looks) == len(OUTCOMES)
    assert len(set(SHAPES)) == len(SHAPES) == len(INKS) == len(SHADES) + 1
