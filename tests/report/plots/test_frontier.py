"""A frontier joins the middles of its intervals, and a map shows its points by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mke_theory.report.plots.frontier import Frontier, Reached, expansion_against_separation
from mke_theory.report.plots.style import BLUE, ORANGE
from tests.report.drawn import colour_of, dots

FRONTIER = Frontier(
    "a pool",
    "c",
    {
        "α": (np.array([0.1, 0.4]), np.array([1.0, 2.0]), np.array([3.0, 4.0])),
        "both": (np.array([0.0, 0.02]), np.array([1.0, 5.0]), np.array([1.0, 5.0])),
    },
    promised=(0.1, 0.2),
)
REACHED = Reached(
    "class 0",
    points=np.arange(14.0).reshape(7, 2),
    mistake=np.array([True, False, False, False, False, False, False]),
    step=np.array([0, 1, 1, 2, 3, 0, 0]),
    shares=np.array([0, 0.5, 0.75, 1]),
    reached=np.array([0, 0.1, 0.4, 1]),
)


def test_a_frontier_joins_the_middles_of_its_intervals() -> None:
    figure = expansion_against_separation([FRONTIER])
    axes = figure.axes[0]
    lines = [np.asarray(line.get_xydata()).tolist() for line in axes.lines[:2]]
    assert lines == [[[10, 2], [40, 3]], [[0, 1], [2, 5]]]
    ends = [np.asarray(bar).tolist() for bar in axes.collections[0].get_segments()]
    assert ends == [[[10, 1], [10, 3]], [[40, 2], [40, 4]]]
    assert [colour_of(one) for one in dots(axes)] == [BLUE, ORANGE]
    small, large = dots(axes)[0].get_sizes()
    assert small < large
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["α", "both"]


def test_the_shaded_zone_is_where_the_formula_is_below_the_teachers_error() -> None:
    zone = expansion_against_separation([FRONTIER]).axes[0].collections[-1]
    error, most = FRONTIER.promised
    corners = zone.get_paths()[0].vertices
    edge = corners[corners[:, 1] < 1 / most - 1e-9]
    assert len(edge) > 50
    assert corners[:, 1].max() == pytest.approx(1 / most)
    for mu, c in edge / [100, 1]:
        assert 2 * error / (c - 1) + 2 * c * mu / (c - 1) == pytest.approx(error)


def test_no_zone_where_the_teacher_errs_too_much() -> None:
    # c may not exceed 1/ā = 2.5, and even perfect separation asks for 3.
    promises = [replace(FRONTIER, promised=promised) for promised in ((0.4, 0.4), (0.3, 0.3))]
    figure = expansion_against_separation(promises)
    counts = [len(axes.collections) for axes in figure.axes]
    assert counts == [4, 5]


def test_right_answers_are_drawn_by_step_and_mistakes_apart() -> None:
    figure = expansion_against_separation([FRONTIER], [REACHED])
    found = {one.get_label(): np.asarray(one.get_offsets()) for one in dots(figure.axes[1])}
    assert found["50% of right answers: 10%"].tolist() == [[2, 3], [4, 5]]
    assert found["25% of right answers: +30%"].tolist() == [[6, 7]]
    assert found["25% of right answers: +60%"].tolist() == [[8, 9]]
    assert found["mistakes"].tolist() == [[0, 1]]
    rest = [offsets for name, offsets in found.items() if name.startswith("_")]
    assert [offsets.tolist() for offsets in rest] == [[[10, 11], [12, 13]]]


def test_what_follows_the_last_shade_shares_it() -> None:
    k = 6
    many = Reached(
        "class 0",
        points=np.arange(2.0 * k).reshape(k, 2),
        mistake=np.zeros(k, dtype=bool),
        step=np.arange(1, k + 1),
        shares=np.linspace(0, 1, k + 1),
        reached=np.linspace(0, 0.6, k + 1),
    )
    axes = expansion_against_separation([], [many]).axes[0]
    found = [(one.get_label(), len(one.get_offsets())) for one in dots(axes)]
    assert ("50% of right answers: +30%", 3) in found
    assert sum(count for _, count in found) == k


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one Frontier or Reached"):
        expansion_against_separation([])
    with pytest.raises(ValueError, match="0 curves"):
        replace(FRONTIER, curves={})
    with pytest.raises(ValueError, match=r"'α' have lengths \[1, 1, 2\]"):
        replace(FRONTIER, curves={"α": (np.ones(1), np.ones(1), np.ones(2))})
    with pytest.raises(ValueError, match=r"ask for \(7, 2\) and \(7,\)"):
        replace(REACHED, points=np.zeros((7, 3)))
    with pytest.raises(ValueError, match="3 steps ask for 4 shares"):
        replace(REACHED, shares=np.zeros(3))
