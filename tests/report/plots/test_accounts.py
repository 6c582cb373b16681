"""The account of a class is summed over seeds, and its bars stand on each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mke_theory.evaluation.account import account
from mke_theory.report.plots.accounts import OUTCOMES, account_by_class
from mke_theory.report.plots.style import CLASSES_AT_MOST
from tests.report.drawn import bars, texts
from tests.report.made_records import example, record, tally


def test_the_account_is_summed_over_seeds() -> None:
    figure = account_by_class(example())
    axes = figure.axes[0]
    heights = {
        str(one.get_label()): [patch.get_height() for patch in one.patches] for one in bars(axes)
    }
    # class 1: kept 1 + 1 + 1, inherited 0 + 1 + 2; class 2 has no sample and no bar
    assert list(heights) == ["kept", "corrected", "inherited", "damaged"]
    assert heights["kept"] == pytest.approx([60, 50])
    assert heights["corrected"] == pytest.approx([20, 0])
    assert heights["inherited"] == pytest.approx([10, 50])
    assert heights["damaged"] == pytest.approx([10, 0])
    assert np.sum(list(heights.values()), axis=0) == pytest.approx([100, 100])
    assert list(axes.get_xticks()) == [0, 1, 2]
    titles = ["digits\nn = 36 labels, 3 seeds", "twomoon\nn = 36 labels, 3 seeds"]
    assert [one.get_title() for one in figure.axes] == titles
    found = texts(figure)
    assert {*OUTCOMES, "true class", "share of class (%)"} <= found
    assert "MM student (MKE): the teacher's labels on unlabelled data" in found


def test_classes_have_their_names_where_records_hold_them() -> None:
    names = ["calm", "happy", "sad"]
    named = [replace(one, class_names=names) for one in example(("ravdess",))]
    figure = account_by_class([*named, *example(("digits",))])
    shown = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in figure.axes]
    assert shown == [names, ["0", "1", "2"]]
    many = [f"class {at}" for at in range(13)]
    one = record("nyu_depth", "mm_student", 0, 0.5, [tally(1, 0, 0, 0)] * 13)
    figure = account_by_class([replace(one, class_names=many)])
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == many


def test_bars_stand_on_each_other() -> None:
    tops = np.zeros(2)
    for one in bars(account_by_class(example()).axes[0]):
        assert [patch.get_y() for patch in one.patches] == pytest.approx(list(tops))
        tops += [patch.get_height() for patch in one.patches]
    assert tops == pytest.approx([100, 100])


def test_a_real_account_can_be_drawn() -> None:
    found = account([0, 0, 1, 1, -1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1], classes=2).to_dict()
    one = record(account={"test": found})
    axes = account_by_class([one], part="test").axes[0]
    heights = [[patch.get_height() for patch in each.patches] for each in bars(axes)]
    assert heights == [[50, 0], [50, 0], [0, 50], [0, 50]]  # kept, corrected, inherited, damaged


def test_tasks_without_a_readable_account_are_passed_over() -> None:
    one = [tally(1, 0, 0, 0)]
    odd = [
        record("many", "mm_student", 0, 0.5, one * (CLASSES_AT_MOST + 1)),
        record("truth unknown", "mm_student", 0, 0.5, [tally(0, 0, 0, 0)] * 2),
        record("none", "mm_student", 0, 0.5),
    ]
    figure = account_by_class([*odd, *example(("digits",))])
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["digits"]
    with pytest.raises(ValueError, match="'mm_student' has an account of 'unlabelled'"):
        account_by_class(odd)
    most = [record("many", "mm_student", 0, 0.5, one * CLASSES_AT_MOST)]
    assert account_by_class(most).axes[0].get_title() == "many\nn = 40 labels, 1 seed"
