"""Error against noise is drawn as a share of what the teacher could have avoided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.lines import Line2D

from mke_theory.evaluation.stats import Interval
from mke_theory.report.plots.noise import NoiseCurve, error_against_noise


def noise_curve(**changes: Any) -> NoiseCurve:
    sigma, dots = np.array([0.0, 1.0, 4.0]), np.array([0.0, 2.0])
    base = NoiseCurve(
        "a world", sigma, np.array([0.3, 0.2, 0.1]), np.array([0.31, 0.2, 0.1]),
        (dots, np.array([0.3, 0.15]), np.array([0.01, 0.02])), 0.3, 0.1, 3.0, 2.5,
        Interval(1.0, float("inf"), 0.95),
    )  # fmt: skip
    return replace(base, **changes)


def test_avoidable_error_by_hand() -> None:
    assert noise_curve().left(np.array([0.3, 0.2, 0.1])) == pytest.approx([100, 50, 0])
    with pytest.raises(ValueError, match=r"0\.1 is not above Bayes 0\.1"):
        noise_curve(teacher=0.1)
    with pytest.raises(ValueError, match="need one length"):
        noise_curve(squared=np.zeros(2))


def named(lines: list[Line2D]) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in lines}


def test_curves_stand_at_the_share_of_avoidable_error_that_is_left() -> None:
    (axes,) = error_against_noise([noise_curve()]).axes
    lines = named(axes.lines)
    np.testing.assert_allclose(lines["least squares"], [[0, 100], [1, 50], [4, 0]])
    np.testing.assert_allclose(lines["cross-entropy"], [[0, 105], [1, 50], [4, 0]])
    assert lines["law, σ*"][:, 0].tolist() == [3, 3]
    assert lines["estimate, σ̂*, 95% interval"][0, 0] == 2.5
    (dots,) = (container.lines[0] for container in axes.containers)
    np.testing.assert_allclose(dots.get_xydata(), [[0, 100], [2, 25]])
    assert axes.get_title() == "a world\nteacher 30.0%, Bayes 10.0%"
    # The interval has no upper end: it is drawn up to the end of the axis, with an arrow.
    ends = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == ">"]
    assert ends == [[[4, -13]]]


def test_simulations_above_the_axis_are_left_out() -> None:
    (axes,) = error_against_noise([noise_curve()], most=60).axes
    (dots,) = (container.lines[0] for container in axes.containers)
    np.testing.assert_allclose(dots.get_xydata(), [[2, 25]])


def test_no_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no curve to draw"):
        error_against_noise([])
