"""Gains are drawn where the records have them."""

from __future__ import annotations

import numpy as np
import pytest

from mke_theory.report.plots.gains import gain_by_arm
from mke_theory.report.plots.style import BLUE
from mke_theory.study.arms import ARMS
from tests.report.drawn import lines, texts
from tests.report.made_records import GAINS, example, record


def test_gains_are_drawn_where_they_are() -> None:
    figure = gain_by_arm(example())
    assert [axes.get_title() for axes in figure.axes] == [
        "digits\nn = 3 seeds",
        "twomoon\nn = 3 seeds",
    ]
    # sd of the gains is one point, so the interval is mean ± 4.3027/√3 points (t at 2 degrees)
    reach = 4.302652729911275 / 3**0.5
    for axes in figure.axes:
        assert list(np.asarray(axes.lines[0].get_xdata())) == [0, 0]
        dots, interval, mean = lines(axes)[3:6]  # of the second arm
        assert dots[:, 0] == pytest.approx([19, 20, 21])
        assert interval == pytest.approx(np.array([[20 - reach, 1], [20 + reach, 1]]))
        assert mean == pytest.approx(np.array([[20, 1]]))
        assert len(axes.lines) == 1 + 3 * len(GAINS)
        assert axes.yaxis_inverted()  # the first arm of the table stands on top


def test_the_words_of_the_figure() -> None:
    found = texts(gain_by_arm(example()))
    assert {ARMS[arm].title for arm in GAINS} <= found
    assert "gain in test metric over UM teacher (percentage points)\n" in found
    assert "mean and 95% interval of the paired differences; faint dots: single seeds" in found


def test_one_seed_has_no_interval() -> None:
    figure = gain_by_arm(example(("digits",), seeds=1))
    assert len(figure.axes[0].lines) == 1 + 2 * len(GAINS)
    assert figure.axes[0].get_title() == "digits\nn = 1 seed"


def test_a_range_of_seeds_stands_in_the_title() -> None:
    some = [one for one in example(("digits",)) if (one.arm, one.seed) != ("um_student", 0)]
    assert gain_by_arm(some).axes[0].get_title() == "digits\nn = 2 to 3 seeds"


def test_placebos_are_hollow() -> None:
    means = gain_by_arm(example()).axes[0].lines[3::3]
    assert [line.get_markerfacecolor() for line in means] == [BLUE, BLUE, "white"]


def test_no_gain_to_draw_is_refused() -> None:
    teacher = [record("digits", "um_teacher", 0, 0.5)]
    with pytest.raises(ValueError, match="no arm has 'test'"):
        gain_by_arm(teacher)
    with pytest.raises(ValueError, match="no record has the arm 'um_teacher'"):
        gain_by_arm([record("digits", "mm_student", 0, 0.5)])
