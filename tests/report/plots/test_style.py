"""Every figure: on axes of its own or of the caller, saved the same twice, silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from mke_theory.report.plots import (
    account_by_class,
    bound_against_error,
    bounds_beside_the_truth,
    confusion_by_arm,
    decision_regions,
    error_against_noise,
    expansion_against_separation,
    gain_along_knob,
    gain_by_arm,
    gain_by_method,
    phase_diagram,
    predicted_scenes,
    promised_and_true,
    save,
)
from mke_theory.report.plots.style import FORMATS, GivenAxes, arm_title, panels
from tests.report.made_records import example
from tests.report.plots.test_bounds import COMPARISON
from tests.report.plots.test_certificates import QUESTIONS
from tests.report.plots.test_confusion import RECORDS
from tests.report.plots.test_frontier import FRONTIER, REACHED
from tests.report.plots.test_knobs import CURVE
from tests.report.plots.test_methods import made_up
from tests.report.plots.test_noise import noise_curve
from tests.report.plots.test_phase import KNOBS, SURFACE, cells
from tests.report.plots.test_promises import PROMISES
from tests.report.plots.test_regions import region
from tests.report.plots.test_scenes import scene

Plot = Callable[[GivenAxes | None], Figure]

FIGURES: dict[str, tuple[int, Plot]] = {
    "gain_by_arm": (2, lambda axes: gain_by_arm(example(), axes=axes)),
    "account_by_class": (2, lambda axes: account_by_class(example(), axes=axes)),
    "decision_regions": (1, lambda axes: decision_regions([region()], axes=axes)),
    "confusion": (2, lambda axes: confusion_by_arm(RECORDS, axes=axes)),
    "gain_by_method": (1, lambda axes: gain_by_method(made_up(), axes=axes)),
    "phase_diagram": (1, lambda axes: phase_diagram(cells(), KNOBS, [SURFACE], "c", axes=axes)),
    "gain_along_knob": (1, lambda axes: gain_along_knob({"a": ("ρ", [CURVE])}, "c", axes=axes)),
    "scenes": (6, lambda axes: predicted_scenes([scene()], axes=axes)),
    "certificates": (2, lambda axes: bounds_beside_the_truth(QUESTIONS, axes=axes)),
    "frontier": (2, lambda axes: expansion_against_separation([FRONTIER], [REACHED], axes=axes)),
    "bound_against_error": (1, lambda axes: bound_against_error([COMPARISON], "c", axes=axes)),
    "promises": (1, lambda axes: promised_and_true({"a": PROMISES}, "c", axes=axes)),
    "error_against_noise": (1, lambda axes: error_against_noise([noise_curve()], "c", axes=axes)),
}
"""Every figure: its number of panels, and how it is drawn."""

STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_input_gives_an_equal_file(name: str, tmp_path: Path) -> None:
    _, draw = FIGURES[name]
    one, again = (save(draw(None), tmp_path / f"{at}.svg").read_bytes() for at in range(2))
    assert one == again
    assert one.startswith(STARTS[".svg"])


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_on_the_axes_it_is_given(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    count, draw = FIGURES[name]
    before = dict(matplotlib.rcParams)
    figure, axes = plt.subplots(1, count)
    try:
        assert draw(axes) is figure
        drawn = [one.has_data() for one in np.ravel(axes)]
        assert drawn == [True] * count
        assert figure._supxlabel is None and figure._supylabel is None
        assert figure.legends == []
        with pytest.raises(ValueError, match=f"{count + 1} axes are given to a figure of {count}"):
            draw([plt.figure().add_subplot() for _ in range(count + 1)])
    finally:
        plt.close("all")
    assert dict(matplotlib.rcParams) == before
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_the_same_twice(tmp_path: Path, ending: str) -> None:
    files = [
        save(decision_regions([region()]), tmp_path / str(at) / f"a{ending}").read_bytes()
        for at in range(2)
    ]
    assert files[0] == files[1]
    assert files[0].startswith(STARTS[ending]) and len(files[0]) > 2000


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.gif'; choose one of"):
        save(decision_regions([region()]), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_panels_stand_in_rows_and_surplus_ones_are_removed() -> None:
    shown = panels(None, 5, size=(2.0, 1.0), margin=(0.5, 0.25), columns=3)
    assert len(shown.axes) == len(shown.figure.axes) == 5
    assert list(shown.figure.get_size_inches()) == [6.5, 2.25]
    alone = panels(None, 1, size=(2.0, 1.0), margin=(0.5, 0.25), columns=3)
    assert list(alone.figure.get_size_inches()) == [2.5, 1.25]


def test_axes_within_a_part_of_a_figure_lead_to_the_figure() -> None:
    figure = Figure()
    left, _ = figure.subfigures(1, 2)
    assert panels(left.subplots(), 1, size=(1, 1)).figure is figure


def test_arms_have_their_titles() -> None:
    assert arm_title("um_teacher") == "UM teacher"
    assert arm_title("of my own") == "of my own"
