"""A bound never shows its value without the state of its hypotheses."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.bounds.bound import (
    Bound,
    Hypothesis,
    Measured,
    MeasuredError,
    Status,
    checked_share,
    compared,
    covered_points,
    lower_end,
    number,
    shown,
    student_error_on,
    trivial_error,
)
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool


def bound(*statuses: Status, value: float | None = 0.3, trivial: float = 1.0) -> Bound:
    hypotheses = tuple(Hypothesis(f"h{i}", s, 1.0, "< 1") for i, s in enumerate(statuses))
    return Bound("B", "key, Theorem 1", "pool", "student error", value, hypotheses, {}, trivial)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("holds", "holds"), "holds"),
        (("holds", "not checkable"), "not checkable"),
        (("not checkable", "violated", "holds"), "violated"),
        ((), "holds"),
    ],
)
def test_status_is_the_worst_hypothesis(statuses: tuple[Status, ...], expected: Status) -> None:
    assert bound(*statuses).status == expected
    assert expected in str(bound(*statuses)).splitlines()[0]


def test_a_failed_bound_is_not_printed_without_the_word() -> None:
    failed = bound("violated", value=0.3123)
    lines = [line for line in str(failed).splitlines() if "0.313" in line]
    assert lines
    assert all("violated" in line for line in lines)
    assert failed.failed() == failed.hypotheses
    assert failed.failed("holds") == ()


@pytest.mark.parametrize(
    ("value", "trivial", "vacuous"),
    [(0.3, 1.0, False), (1.0, 1.0, True), (0.3, 0.3, True), (0.3, 0.31, False), (None, 0.1, False)],
)
def test_vacuous(value: float | None, trivial: float, vacuous: bool) -> None:
    found = bound("holds", value=value, trivial=trivial)
    assert found.vacuous == vacuous
    assert found.verdict == ("holds, vacuous" if vacuous else "holds")


def test_scope_and_constants_are_printed() -> None:
    found = Bound("B", "key, Theorem 1", "class 1", "student error", None, (), {"c": math.inf})
    assert str(found).startswith("B [key, Theorem 1]: student error, class 1 ≤ – (holds)")
    assert "c = ∞" in str(found)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_that_is_none(value: float) -> None:
    with pytest.raises(ValueError, match="the value of 'B' is"):
        bound(value=value)
    with pytest.raises(ValueError, match="trivial of 'B' is NaN"):
        bound(trivial=math.nan)


@pytest.mark.parametrize(
    ("measured", "relation", "limit", "status"),
    [
        (0.3, "<", 1 / 3, "holds"),
        (1 / 3, "<", 1 / 3, "violated"),
        (1 / 3 - 1e-15, "<", 1 / 3, "violated"),  # an equality, up to rounding
        (3.0, ">", 3, "violated"),
        (3 + 1e-14, ">", 3, "violated"),
        (3 + 1e-7, ">", 3, "violated"),  # as near as the sums of a large pool may put an equality
        (3 + 1e-5, ">", 3, "holds"),
        (1e-7, ">", 0, "violated"),
        (0.5 - 1e-5, "<", 0.5, "holds"),
        (3.1, ">", 3, "holds"),
        (math.inf, ">", 3, "holds"),
        (0.5, "≤", 0.5, "holds"),
        (0.5 + 1e-15, "≤", 0.5, "holds"),
        (0.51, "≤", 0.5, "violated"),
        (0.5, "≥", 0.5, "holds"),
        (0.4, "≥", 0.5, "violated"),
        ((3.5, 9.0), ">", 3, "holds"),
        ((1.0, 2.0), ">", 3, "violated"),
        ((2.0, 4.0), ">", 3, "not checkable"),
        (None, ">", 3, "not checkable"),
    ],
)
def test_compared(
    measured: Measured, relation: Literal["<", "≤", ">", "≥"], limit: float, status: Status
) -> None:
    assert compared("x", measured, relation, limit).status == status
    assumed = compared("x", measured, relation, limit, checked=False)
    assert assumed.status == ("violated" if status == "violated" else "not checkable")


def test_a_hypothesis_names_what_was_measured_and_what_is_required() -> None:
    assert str(compared("ā", 0.41, "<", 1 / 3, label="1/3")) == "violated: ā = 0.41, must be < 1/3"
    straddles = str(compared("c̄", (1.25, 4.0), ">", 3))
    assert straddles.startswith("not checkable: c̄ in [1.25, 4], must be > 3 (the interval")
    assert str(compared("c̄", None, ">", 3)) == "not checkable: c̄, must be > 3"
    assert str(compared("r", 2.0, "<", 9, required="finite")) == "holds: r = 2, must be finite"
    with pytest.raises(ValueError, match="ā is nan"):
        compared("ā", math.nan, "<", 1)


def test_measured_error_is_counted_where_weights_are_equal() -> None:
    y, f = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 0])
    even = LabelledPool(Graph.from_edges(5, [[0, 1]]), y, f, 2, y)
    whole = student_error_on(even)
    assert whole == MeasuredError(0.6, 3, 5)
    assert whole is not None
    assert whole.interval(0.9) == clopper_pearson(3, 5, 0.9)
    assert student_error_on(even, y == 1) == MeasuredError(2 / 3, 2, 3)
    assert student_error_on(even, y == 7) is None
    graph = Graph.from_edges(5, [[0, 1]], weights=[0.1, 0.1, 0.2, 0.3, 0.3])
    weighted = student_error_on(LabelledPool(graph, y, f, 2, y))
    assert weighted is not None
    assert weighted.share == pytest.approx(0.7)
    assert weighted.interval() is None
    assert student_error_on(LabelledPool(graph, y, f, 2)) is None


def test_small_things_by_hand() -> None:
    assert lower_end((1.0, 2.0)) == 1.0
    assert lower_end(3.0) == 3.0
    assert lower_end(None) is None
    assert trivial_error(None, 0.2) == 1.0
    assert trivial_error(0.1, 0.2) == pytest.approx(0.3)
    assert trivial_error(0.7, 0.6) == 1.0
    assert number((0.1234, math.inf)) == "[0.123, ∞]"
    assert number(None) == "unknown"
    # The printed number still bounds: rounding is up, and exact thousandths stay.
    assert (shown(0.1231), shown(0.123), shown(-0.0004), shown(None)) == (
        "0.124",
        "0.123",
        "0.000",
        "–",
    )


def test_shares_and_masks_are_checked() -> None:
    assert checked_share("x", 1 + 1e-15) == 1.0
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="x is"):
            checked_share("x", bad)
    labels = np.zeros(3, np.int64)
    pool = LabelledPool(Graph.from_edges(3, [[0, 1]]), labels, labels, 2)
    assert covered_points(pool, [True, False, True]).tolist() == [True, False, True]
    for mask in ([1, 0, 1], [True, False]):
        with pytest.raises(ValueError, match="covered is"):
            covered_points(pool, mask)
