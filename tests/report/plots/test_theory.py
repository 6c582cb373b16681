"""Figures of the theory show the numbers they are given: what is drawn is read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from mke_theory.report.plots.frontier import Frontier, Reached, expansion_against_separation
from mke_theory.report.plots.gains import BLUE, FORMATS, INKS, ORANGE
from mke_theory.report.plots.theory import Comparison, bound_against_error

COMPARISON = Comparison(
    "a theorem",
    value=np.array([0.2, 0.9, 3.0, -1.0, 0.5]),
    error=np.array([0.1, 0.3, 0.4, 0.2, 0.5]),
    verdict=["holds", "holds, vacuous", "violated, vacuous", "violated", "not checkable"],
)
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


def dots(axes: Axes) -> list[PathCollection]:
    return [one for one in axes.collections if isinstance(one, PathCollection)]


def colour_of(one: PathCollection) -> str:
    shown = one.get_edgecolor() if len(one.get_edgecolor()) else one.get_facecolor()
    return matplotlib.colors.to_hex(shown[0]).upper()


@pytest.mark.parametrize("ending", FORMATS)
def test_equal_input_gives_an_equal_file(tmp_path: Path, ending: str) -> None:
    def both(folder: Path) -> list[Path]:
        return [
            bound_against_error([COMPARISON], folder / f"bounds{ending}", "words"),
            expansion_against_separation([FRONTIER], [REACHED], folder / f"f{ending}", "words"),
        ]

    for one, again in zip(both(tmp_path / "1"), both(tmp_path / "2"), strict=True):
        assert one.stat().st_size > 2000
        assert one.read_bytes() == again.read_bytes()


def test_a_case_stands_at_its_error_and_value(drawn: list[Figure], tmp_path: Path) -> None:
    bound_against_error([COMPARISON], tmp_path / "a.png")
    axes = drawn[0].axes[0]
    found = [np.asarray(one.get_offsets()).tolist() for one in dots(axes)]
    # Violated, not checkable, vacuous, useful; what is beyond the axis stands at its edge.
    assert found == [
        [pytest.approx([40, 106]), pytest.approx([20, -3])],
        [pytest.approx([50, 50])],
        [pytest.approx([30, 90])],
        [pytest.approx([10, 20])],
    ]
    assert [matplotlib.colors.to_hex(c) for c in dots(axes)[2].get_facecolor()] == ["#ffffff"]
    faces = [matplotlib.colors.to_hex(dots(axes)[i].get_facecolor()[0]) for i in (1, 3)]
    assert faces == [INKS[2].lower(), BLUE.lower()]
    diagonal = np.asarray(axes.lines[0].get_xydata())
    assert (diagonal[:, 0] == diagonal[:, 1]).all()
    assert axes.get_title() == "a theorem\nn = 5"


def test_the_legend_names_what_is_there(drawn: list[Figure], tmp_path: Path) -> None:
    one = Comparison("few", np.array([0.3]), np.array([0.1]), ["holds"])
    bound_against_error([one], tmp_path / "a.png")
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names == ["holds, below the trivial bound"]


def test_a_frontier_joins_the_middles_of_its_intervals(drawn: list[Figure], tmp_path: Path) -> None:
    expansion_against_separation([FRONTIER], [], tmp_path / "a.png")
    axes = drawn[0].axes[0]
    lines = [np.asarray(line.get_xydata()).tolist() for line in axes.lines[:2]]
    assert lines == [[[10, 2], [40, 3]], [[0, 1], [2, 5]]]
    ends = [np.asarray(bar).tolist() for bar in axes.collections[0].get_segments()]
    assert ends == [[[10, 1], [10, 3]], [[40, 2], [40, 4]]]
    assert [colour_of(one) for one in dots(axes)] == [BLUE, ORANGE]
    small, large = dots(axes)[0].get_sizes()
    assert small < large
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names == ["α", "both"]


def test_the_shaded_zone_is_where_the_formula_is_below_the_teachers_error(
    drawn: list[Figure], tmp_path: Path
) -> None:
    expansion_against_separation([FRONTIER], [], tmp_path / "a.png")
    zone = drawn[0].axes[0].collections[-1]
    error, most = FRONTIER.promised
    corners = zone.get_paths()[0].vertices
    edge = corners[corners[:, 1] < 1 / most - 1e-9]
    assert len(edge) > 50
    assert corners[:, 1].max() == pytest.approx(1 / most)
    for mu, c in edge / [100, 1]:
        assert 2 * error / (c - 1) + 2 * c * mu / (c - 1) == pytest.approx(error)


def test_no_zone_where_the_teacher_errs_too_much(drawn: list[Figure], tmp_path: Path) -> None:
    # c may not exceed 1/ā = 2.5, and even perfect separation asks for 3.
    expansion_against_separation([replace(FRONTIER, promised=(0.4, 0.4))], [], tmp_path / "a.png")
    with_zone = replace(FRONTIER, promised=(0.3, 0.3))
    expansion_against_separation([with_zone], [], tmp_path / "b.png")
    counts = [len(figure.axes[0].collections) for figure in drawn]
    assert counts == [4, 5]


def test_right_answers_are_drawn_by_step_and_mistakes_apart(
    drawn: list[Figure], tmp_path: Path
) -> None:
    expansion_against_separation([FRONTIER], [REACHED], tmp_path / "a.png")
    found = {one.get_label(): np.asarray(one.get_offsets()) for one in dots(drawn[0].axes[1])}
    assert found["50% of right answers: 10%"].tolist() == [[2, 3], [4, 5]]
    assert found["25% of right answers: +30%"].tolist() == [[6, 7]]
    assert found["25% of right answers: +60%"].tolist() == [[8, 9]]
    assert found["mistakes"].tolist() == [[0, 1]]
    rest = [offsets for name, offsets in found.items() if name.startswith("_")]
    assert [offsets.tolist() for offsets in rest] == [[[10, 11], [12, 13]]]


def test_what_follows_the_last_shade_shares_it(drawn: list[Figure], tmp_path: Path) -> None:
    k = 6
    many = Reached(
        "class 0",
        points=np.arange(2.0 * k).reshape(k, 2),
        mistake=np.zeros(k, dtype=bool),
        step=np.arange(1, k + 1),
        shares=np.linspace(0, 1, k + 1),
        reached=np.linspace(0, 0.6, k + 1),
    )
    expansion_against_separation([], [many], tmp_path / "a.png")
    found = [(one.get_label(), len(one.get_offsets())) for one in dots(drawn[0].axes[0])]
    assert ("50% of right answers: +30%", 3) in found
    assert sum(count for _, count in found) == k


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one Comparison"):
        bound_against_error([], tmp_path / "a.png")
    with pytest.raises(ValueError, match="at least one Frontier or Reached"):
        expansion_against_separation([], [], tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"lengths \(4, 5, 5\)"):
        replace(COMPARISON, value=COMPARISON.value[:4])
    with pytest.raises(ValueError, match="not finite"):
        replace(COMPARISON, error=np.array([0, 0, 0, 0, np.nan]))
    with pytest.raises(ValueError, match="'vacuous' is no verdict"):
        replace(COMPARISON, verdict=["vacuous"] * 5)
    with pytest.raises(ValueError, match="0 curves"):
        replace(FRONTIER, curves={})
    with pytest.raises(ValueError, match=r"'α' have lengths \[1, 1, 2\]"):
        replace(FRONTIER, curves={"α": (np.ones(1), np.ones(1), np.ones(2))})
    with pytest.raises(ValueError, match=r"ask for \(7, 2\) and \(7,\)"):
        replace(REACHED, points=np.zeros((7, 3)))
    with pytest.raises(ValueError, match="3 steps ask for 4 shares"):
        replace(REACHED, shares=np.zeros(3))
