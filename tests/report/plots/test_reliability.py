"""The figure of calibration pools seeds, and its legend has the error over seeds."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.reliability import Confidences, reliability_by_task
from tests.report.drawn import dots, lines, texts


def answers(confidence: list[float], right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(confidence), np.array(right, dtype=bool)


STUDENT = [answers([0.55, 0.95], [0, 1]), answers([0.57, 0.97, 0.99, 0.93], [1, 1, 1, 0])]
TEACHER = [answers([1.0, 1.0], [1, 0]), answers([1.0, 1.0], [1, 0])]
TASK = Confidences("digits", {"student": STUDENT, "teacher": TEACHER})


def test_points_are_the_bins_of_all_seeds_together() -> None:
    (axes,) = reliability_by_task([TASK]).axes
    student, teacher = lines(axes)
    # In (0.5, 0.6]: 0.55 and 0.57, one right. In (0.9, 1]: four, three of them right.
    np.testing.assert_allclose(student, [[56, 50], [96, 75]])
    np.testing.assert_allclose(teacher, [[100, 50]])
    assert axes.get_title() == "digits\nn = 2 seeds"
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0], [100, 100]])


def test_a_point_is_as_large_as_its_share_of_the_answers() -> None:
    (axes,) = reliability_by_task([TASK]).axes
    student, teacher = (cloud.get_sizes() for cloud in dots(axes))
    least = 6
    assert (student - least).tolist() == pytest.approx([80 * 2 / 6, 80 * 4 / 6])
    assert (teacher - least).tolist() == pytest.approx([80])


def test_the_legend_has_the_error_of_single_seeds() -> None:
    # Seed 0: 1/2 · 0.55 + 1/2 · 0.05 = 0.3. Seed 1: 1/4 · 0.43 + 3/4 · (0.9633 − 2/3) = 0.33.
    error = TASK.error_of("student")
    assert error.mean == pytest.approx(0.315) and error.n == 2
    assert error.sd == pytest.approx(0.03 / 2**0.5)
    (axes,) = reliability_by_task([TASK]).axes
    legend = axes.get_legend()
    assert legend is not None
    found = [text.get_text() for text in legend.get_texts()]
    assert found == ["student: ECE 31.5 ± 2.1", "teacher: ECE 50.0 ± 0.0"]
    alone = Confidences("digits", {"student": STUDENT[:1]})
    assert "student: ECE 30.0" in texts(reliability_by_task([alone]))


def test_a_panel_is_a_task_and_seeds_may_be_few_for_one_model() -> None:
    fewer = Confidences("moons", {"student": STUDENT, "teacher": TEACHER[:1]})
    figure = reliability_by_task([TASK, fewer])
    assert [axes.get_title() for axes in figure.axes] == [
        "digits\nn = 2 seeds",
        "moons\nn = 1 to 2 seeds",
    ]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no task"):
        reliability_by_task([])
    with pytest.raises(ValueError, match="teacher has no answers"):
        Confidences("digits", {"student": STUDENT, "teacher": []})
    with pytest.raises(ValueError, match="there are 0 models; give one or two"):
        Confidences("digits", {})
