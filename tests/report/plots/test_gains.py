"""Figures show the numbers of the records: what is drawn is read back and compared."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from mke_theory.evaluation.account import account
from mke_theory.report.plots import gains as plots
from mke_theory.study.arms import ARMS

GAINS = {"um_student": 0.01, "mm_student": 0.2, "mm_student_shuffled": -0.1}


def tally(kept: int, corrected: int, inherited: int, damaged: int) -> dict[str, int]:
    return {"kept": kept, "corrected": corrected, "inherited": inherited, "damaged": damaged}


def record(
    task: str, arm: str, seed: int, test: float, by_class: list[dict[str, int]] | None = None
) -> dict[str, Any]:
    account = {} if by_class is None else {"unlabelled": {"by_class": by_class}}
    return {
        "key": f"{task}/{arm}/{seed}",
        "task": task,
        "arm": arm,
        "seed": seed,
        "config_hash": arm,
        "metrics": {"test": test},
        "account": account,
    }


def example(tasks: tuple[str, ...] = ("digits", "twomoon"), seeds: int = 3) -> list[dict[str, Any]]:
    """Gains are those of GAINS, less 0.01, plus 0 and plus 0.01 at seeds 0, 1, 2."""
    found = []
    for task in tasks:
        for seed in range(seeds):
            found.append(record(task, "um_teacher", seed, 0.6 + seed / 100))
            for arm, gain in GAINS.items():
                by_class = [tally(6, 2, 1, 1), tally(1, 0, seed, 0), tally(0, 0, 0, 0)]
                found.append(record(task, arm, seed, 0.59 + seed / 50 + gain, by_class))
    return found


def region(**changes: Any) -> plots.Region:
    base = plots.Region(
        "MM student",
        x=np.linspace(-1, 1, 5),
        y=np.linspace(-2, 2, 4),
        prediction=np.array([[0, 0, 1, 1, 1]] * 4),
        points=np.array([[-0.5, 0.0], [0.5, 1.0], [0.2, -1.0], [0.0, 0.0]]),
        labels=np.array([0, 1, 1, -1]),
        accuracy=2 / 3,
    )
    return replace(base, **changes)


def text_of(path: Path) -> set[str]:
    root = ElementTree.parse(path).getroot()
    return {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}


def lines(axes: Axes) -> list[np.ndarray]:
    """The points [n, 2] of every line, without the one at zero."""
    return [np.asarray(line.get_xydata()) for line in axes.lines[1:]]


def bars(axes: Axes) -> list[BarContainer]:
    return [each for each in axes.containers if isinstance(each, BarContainer)]


STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("ending", plots.FORMATS)
def test_every_figure_comes_in_every_format_and_twice_the_same(tmp_path: Path, ending: str) -> None:
    few = example(("digits",), seeds=2)

    def all_figures(folder: Path) -> list[Path]:
        return [
            plots.gain_by_arm(few, folder / f"gain{ending}"),
            plots.account_by_class(few, folder / f"account{ending}"),
            plots.decision_regions([region()], folder / f"regions{ending}"),
        ]

    for one, again in zip(all_figures(tmp_path / "1"), all_figures(tmp_path / "2"), strict=True):
        assert one.read_bytes().startswith(STARTS[ending]) and one.stat().st_size > 2000
        assert one.read_bytes() == again.read_bytes()
    assert len(list((tmp_path / "1").iterdir())) == 3


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.gif'; choose one of"):
        plots.decision_regions([region()], tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_the_settings_of_others_alone(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    plots.gain_by_arm(example(), tmp_path / "gain.svg")
    assert dict(matplotlib.rcParams) == before


def test_gains_are_drawn_where_they_are(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.gain_by_arm(example(), tmp_path / "gain.svg")
    (figure,) = drawn
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


def test_the_text_of_the_gain_figure(tmp_path: Path) -> None:
    found = text_of(plots.gain_by_arm(example(), tmp_path / "gain.svg"))
    assert {ARMS[arm].title for arm in GAINS} <= found
    assert {"digits", "twomoon", "n = 3 seeds"} <= found
    assert any("gain in test metric over UM teacher (percentage points)" in text for text in found)
    assert any("95% interval" in text for text in found)


def test_one_seed_has_no_interval(tmp_path: Path, drawn: list[Figure]) -> None:
    path = plots.gain_by_arm(example(("digits",), seeds=1), tmp_path / "gain.svg")
    assert len(drawn[0].axes[0].lines) == 1 + 2 * len(GAINS)
    assert "n = 1 seed" in text_of(path)


def test_different_numbers_of_seeds_are_said(tmp_path: Path) -> None:
    some = [one for one in example(("digits",)) if (one["arm"], one["seed"]) != ("um_student", 0)]
    assert "n = 2 to 3 seeds" in text_of(plots.gain_by_arm(some, tmp_path / "gain.svg"))


def test_placebos_are_hollow(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.gain_by_arm(example(), tmp_path / "gain.svg")
    means = drawn[0].axes[0].lines[3::3]
    assert [line.get_markerfacecolor() for line in means] == [plots.BLUE, plots.BLUE, "white"]


def test_no_gain_to_draw_is_said(tmp_path: Path) -> None:
    teacher = [record("digits", "um_teacher", 0, 0.5)]
    with pytest.raises(ValueError, match="no arm has 'test'"):
        plots.gain_by_arm(teacher, tmp_path / "gain.svg")
    with pytest.raises(ValueError, match="no record has the arm 'um_teacher'"):
        plots.gain_by_arm([record("digits", "mm_student", 0, 0.5)], tmp_path / "gain.svg")


def test_the_account_is_summed_over_seeds(tmp_path: Path, drawn: list[Figure]) -> None:
    path = plots.account_by_class(example(), tmp_path / "account.svg")
    axes = drawn[0].axes[0]
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
    found = text_of(path)
    assert {*plots.OUTCOMES, "true class", "share of class (%)"} <= found
    assert {"n = 36 labels, 3 seeds", "digits", "twomoon"} <= found
    assert "MM student (MKE): the teacher's labels on unlabelled data" in found


def test_classes_have_their_names_where_records_hold_them(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    named = [{**one, "class_names": ["calm", "happy", "sad"]} for one in example(("ravdess",))]
    plots.account_by_class([*named, *example(("digits",))], tmp_path / "account.svg")
    shown = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in drawn[0].axes]
    assert shown == [["calm", "happy", "sad"], ["0", "1", "2"]]
    many = [f"class {at}" for at in range(13)]
    one = record("nyu_depth", "mm_student", 0, 0.5, [tally(1, 0, 0, 0)] * 13)
    plots.account_by_class([{**one, "class_names": many}], tmp_path / "account.svg")
    assert [tick.get_text() for tick in drawn[1].axes[0].get_xticklabels()] == many


def test_bars_stand_on_each_other(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.account_by_class(example(), tmp_path / "account.svg")
    tops = np.zeros(2)
    for one in bars(drawn[0].axes[0]):
        assert [patch.get_y() for patch in one.patches] == pytest.approx(list(tops))
        tops += [patch.get_height() for patch in one.patches]
    assert tops == pytest.approx([100, 100])


def test_a_real_account_can_be_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    found = account([0, 0, 1, 1, -1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1], classes=2).to_dict()
    one = {**record("digits", "mm_student", 0, 0.5), "account": {"test": found}}
    plots.account_by_class([one], tmp_path / "account.svg", part="test")
    heights = [[patch.get_height() for patch in each.patches] for each in bars(drawn[0].axes[0])]
    assert heights == [[50, 0], [50, 0], [0, 50], [0, 50]]  # kept, corrected, inherited, damaged


def test_tasks_without_a_readable_account_are_passed_over(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    one = [tally(1, 0, 0, 0)]
    odd = [
        record("many", "mm_student", 0, 0.5, one * (plots.CLASSES_AT_MOST + 1)),
        record("truth unknown", "mm_student", 0, 0.5, [tally(0, 0, 0, 0)] * 2),
        record("none", "mm_student", 0, 0.5),
    ]
    plots.account_by_class([*odd, *example(("digits",))], tmp_path / "account.svg")
    assert [axes.get_title().split("\n")[0] for axes in drawn[0].axes] == ["digits"]
    with pytest.raises(ValueError, match="'mm_student' has an account of 'unlabelled'"):
        plots.account_by_class(odd, tmp_path / "account.svg")
    plots.account_by_class(
        [record("many", "mm_student", 0, 0.5, one * plots.CLASSES_AT_MOST)], tmp_path / "a.svg"
    )


def test_regions_and_points_are_drawn_where_they_are(tmp_path: Path, drawn: list[Figure]) -> None:
    panels = [region(title="UM teacher", accuracy=0.5), region()]
    path = plots.decision_regions(panels, tmp_path / "regions.svg")
    for axes, panel in zip(drawn[0].axes, panels, strict=True):
        (mesh,) = (each for each in axes.collections if isinstance(each, QuadMesh))
        assert np.array_equal(np.asarray(mesh.get_array()), panel.prediction)
        clouds = [each for each in axes.collections if isinstance(each, PathCollection)]
        points = [np.asarray(cloud.get_offsets()).tolist() for cloud in clouds]
        assert points == [[[0, 0]], [[-0.5, 0]], [[0.5, 1], [0.2, -1]]]  # unknown, 0, 1
        shapes = [cloud.get_paths()[0].vertices for cloud in clouds]
        assert len({np.asarray(shape).tobytes() for shape in shapes}) == 3
    found = text_of(path)
    # three of the four labels are known
    assert {"UM teacher", "accuracy 50.0% (n = 3)", "MM student", "accuracy 66.7% (n = 3)"} <= found
    assert {"α (teacher's modality)", "β (new modality)"} <= found
    assert {"true class 0", "true class 1", "unknown class"} <= found


def test_regions_of_one_class_and_many_panels(tmp_path: Path, drawn: list[Figure]) -> None:
    alone = region(prediction=np.zeros((4, 5), dtype=int))
    plots.decision_regions([alone] * 5, tmp_path / "regions.png")
    assert len(drawn[0].axes) == 5


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


def test_no_panel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one Region"):
        plots.decision_regions([], tmp_path / "regions.svg")


def luminance(colour: str) -> float:
    """Relative luminance in [0, 1] of an sRGB colour (IEC 61966-2-1)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_grey_print_keeps_the_meaning() -> None:
    # Contrast as defined for screens, where 3 is asked of graphics: points against regions.
    for own, ink in enumerate(plots.INKS[:-1]):
        contrasts = [(luminance(shade) + 0.05) / (luminance(ink) + 0.05) for shade in plots.SHADES]
        assert contrasts[own] >= 3 and min(contrasts) >= 2, ink
    assert luminance(plots.SHADES[0]) > luminance(plots.SHADES[1]) + 0.1
    # Outcomes of like lightness differ by their hatching.
    looks = {(round(luminance(colour), 1), hatch) for colour, hatch in plots.OUTCOMES.values()}
    assert len(looks) == len(plots.OUTCOMES)
    assert len(set(plots.SHAPES)) == len(plots.SHAPES) == len(plots.INKS) == len(plots.SHADES) + 1
