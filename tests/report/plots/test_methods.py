"""A method's gain is drawn in its row, apart for students of one modality and of both."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.methods import SIGHTS, gain_by_method
from mke_theory.study.records import Record
from tests.report.drawn import texts
from tests.report.made_records import record

TESTS = {
    "um_teacher": ("UM teacher", "α", (0.60, 0.62, 0.64)),
    "mke_both": ("MKE", "α and β", (0.80, 0.83, 0.83)),
    "fixmatch_both": ("FixMatch", "α and β", (0.81, 0.82, 0.83)),
    "fixmatch_alpha": ("FixMatch", "α", (0.61, 0.63, 0.66)),
}


def made_up() -> list[Record]:
    return [
        record(
            "gaussian",
            arm,
            seed,
            value,
            title="simulated: gaussian",
            arm_title=title,
            extra={"sees": sees},
        )
        for arm, (title, sees, values) in TESTS.items()
        for seed, value in enumerate(values)
    ]


def test_gains_stand_in_the_row_of_their_method() -> None:
    figure = gain_by_method(made_up())
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["MKE", "FixMatch"]
    marks = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    found = [(*np.asarray(line.get_xydata())[0], line.get_color()) for line in marks]
    both, alone = SIGHTS["α and β"], SIGHTS["α"]
    assert found == [
        (pytest.approx(20), both[2], both[0]),
        (pytest.approx(20), 1 + both[2], both[0]),
        (pytest.approx(4 / 3), 1 + alone[2], alone[0]),
    ]
    # FixMatch on α gains 1, 1 and 2 points: sd 0.577, t(2) = 4.303, reach 1.434.
    interval = np.asarray(axes.lines[-2].get_xydata())
    assert interval[:, 0] == pytest.approx([4 / 3 - 1.434, 4 / 3 + 1.434], abs=1e-3)
    assert axes.get_title() == "gaussian\nn = 3 seeds"
    assert {"the student reads α", "the student reads α and β"} <= texts(figure)


def test_a_figure_without_teacher_or_students_is_refused() -> None:
    with pytest.raises(ValueError, match="um_teacher"):
        gain_by_method(made_up()[3:])
    with pytest.raises(ValueError, match="no method was run"):
        gain_by_method(made_up()[:3])
