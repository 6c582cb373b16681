"""Tables come out by hand, from records alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from mke_theory.report import tables
from mke_theory.study.records import Record
from tests.report.made_records import record


def example() -> list[Record]:
    """Gains of mm_student over um_teacher on digits: .1, .2, .3, so mean .2, sd .1, n = 3."""

    def both(arm: str, seed: int, test: float, agreement: float | None) -> Record:
        return record("digits", arm, seed, metrics={"test": test, "agreement": agreement})

    return [
        both("um_teacher", 0, 0.5, None),
        both("um_teacher", 1, 0.6, None),
        both("um_teacher", 2, 0.7, None),
        both("mm_student", 0, 0.6, 0.8),
        both("mm_student", 1, 0.8, 0.9),
        both("mm_student", 2, 1.0, None),
        both("um_student", 1, 0.5, 1.0),
        record("two moons"),
    ]


T_2 = 4.302652729911275  # the 97.5% point of Student's t with 2 degrees of freedom, from a table
REACH = T_2 * 0.1 / 3**0.5


def test_the_overview_names_a_metric_that_is_not_accuracy() -> None:
    found = example()
    maps = [replace(one, metric="mIoU") if one.task == "two moons" else one for one in found]
    assert list(tables.overview(found).index) == ["digits", "two moons"]
    assert list(tables.overview(maps).index) == ["digits", "two moons, mIoU"]


def test_the_overview_ends_with_the_gains_of_the_student() -> None:
    found, rival = example(), record("digits", "um_teacher_adjusted", 1, 0.75)
    table = tables.overview([*found, rival])
    gains = ["gain of MKE", "MKE over UM student", "MKE over adjusted teacher"]
    assert list(table)[-3:] == gains
    assert list(table.loc["digits", gains]) == [
        f"+20.0 [{100 * (0.2 - REACH):.1f}, {100 * (0.2 + REACH):.1f}] (3)",
        "+30.0 (1)",  # one pair has no interval
        "+5.0 (1)",
    ]
    assert set(table.loc["two moons", gains]) == {tables.NOT_AVAILABLE}
    noisy = record("digits", "noisy_student", 2, 0.9)
    gains.insert(2, "MKE over NOISY student")
    assert list(tables.overview([*found, noisy]))[-3:] == gains[:3]


def test_the_overview_ends_with_the_gains_of_evidence_where_it_was_run() -> None:
    found = example()
    before = tables.overview(found)
    assert not set(tables.EVIDENCE_COMPARED_WITH) & set(before)
    values = {one.seed: one for one in found if (one.task, one.arm) == ("digits", "mm_student")}
    own = [
        record("digits", "mm_student_evidence", seed, one.metrics["test"] + 0.1)
        for seed, one in values.items()
    ]
    table = tables.overview([*found, *own])
    gains = ["gain of evidence", "evidence over MKE"]
    assert list(table)[-2:] == gains
    # A tenth above the MM student at every seed, whose gain is known: an interval has no width.
    assert list(table.loc["digits", gains]) == [
        f"+30.0 [{100 * (0.3 - REACH):.1f}, {100 * (0.3 + REACH):.1f}] (3)",
        "+10.0 (3)",
    ]
    assert set(table.loc["two moons", gains]) == {tables.NOT_AVAILABLE}
    kept = [name for name in table if name in before]
    assert list(before) == kept and table[kept].equals(before)


def test_one_row_a_task_arm_and_seed() -> None:
    found = tables.frame(example())
    assert list(found.columns) == ["task", "arm", "seed", "test", "agreement"]
    assert len(found) == 8
    assert found.iloc[4].to_list() == ["digits", "mm_student", 1, 0.8, 0.9]
    assert found["agreement"].isna().sum() == 5
    assert list(tables.frame([]).columns) == ["task", "arm", "seed"]


@pytest.mark.parametrize(
    "twin",
    [
        record(test=0.9, key="other code"),
        record(seed=9, config_hash="other configuration"),
    ],
)
def test_runs_of_two_plans_are_never_averaged(twin: Record) -> None:
    with pytest.raises(ValueError, match=r"'mm_student', seed \d.*one plan"):
        tables.summary([*example(), twin])


def test_the_summary_by_hand() -> None:
    found = tables.summary(example())
    assert list(found) == ["digits", "two moons"]
    assert list(found["digits"]) == ["um_teacher", "mm_student", "um_student"]
    assert found["digits"]["um_teacher"].keys() == {"test"}  # it agrees with itself: no number
    cell = found["digits"]["mm_student"]["test"]
    assert (cell["mean"], cell["sd"], cell["n"]) == (pytest.approx(0.8), pytest.approx(0.2), 3)
    cell = found["digits"]["mm_student"]["agreement"]
    assert (cell["mean"], cell["n"]) == (pytest.approx(0.85), 2)
    assert cell["sd"] == pytest.approx(0.05 * 2**0.5)
    assert found["digits"]["um_student"]["test"] == {"mean": 0.5, "sd": None, "n": 1}
    assert tables.summary([]) == {}


def test_gains_are_paired_by_seed() -> None:
    pairs = tables.gains_by_seed(example())
    columns = ["task", "arm", "seed", "value", "reference_value", "gain"]
    assert list(pairs.columns) == columns
    assert pairs["reference_value"].to_list() == [0.5, 0.6, 0.7, 0.6]
    assert list(pairs["arm"]) == ["mm_student"] * 3 + ["um_student"]
    assert list(pairs["seed"]) == [0, 1, 2, 1]
    assert pairs["gain"].to_list() == pytest.approx([0.1, 0.2, 0.3, -0.1])
    found = tables.gains(example()).to_dict("records")
    assert [row["arm"] for row in found] == ["mm_student", "um_student"]
    assert found[0] == {
        "task": "digits",
        "arm": "mm_student",
        "mean": pytest.approx(0.2),
        "sd": pytest.approx(0.1),
        "n": 3,
        "low": pytest.approx(0.2 - REACH),
        "high": pytest.approx(0.2 + REACH),
    }
    assert (found[1]["n"], found[1]["mean"]) == (1, pytest.approx(-0.1))
    assert found[1]["sd"] is None and found[1]["low"] is None and found[1]["high"] is None


def test_gains_do_not_depend_on_the_order_of_records() -> None:
    forward = tables.gains(example()).sort_values("arm", ignore_index=True)
    backward = tables.gains(example()[::-1]).sort_values("arm", ignore_index=True)
    pd.testing.assert_frame_equal(forward, backward, check_exact=False)


def test_gains_over_another_reference_and_metric() -> None:
    found = tables.gains(example(), "agreement", reference="um_student").to_dict("records")
    assert [(row["arm"], row["n"]) for row in found] == [("mm_student", 1)]
    assert found[0]["mean"] == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: tables.gains(example(), "tset"), "metric 'tset'; there is test, agreement"),
        (lambda: tables.gains(example(), reference="x"), "arm 'x'; there is um_teacher"),
        (lambda: tables.table(example(), "x"), "task 'x'; there is digits, two moons"),
        (lambda: tables.table([], "digits"), "there is none at all"),
    ],
)
def test_unknown_names_are_refused_with_what_exists(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask()


def test_the_table_by_hand() -> None:
    found = tables.table(example(), "digits")
    none = tables.NOT_AVAILABLE
    assert list(found.columns) == [
        "test", "unlabelled", "corrected", "damaged", "agreement", "gain"
    ]  # fmt: skip
    assert found.loc["um_teacher"].to_list() == [
        "60.0 ± 10.0 (3)", none, none, none, none, "reference"
    ]  # fmt: skip
    # 20 ± 4.3027 · 10/√3 = 20 ± 24.84
    assert found.loc["mm_student"].to_list() == [
        "80.0 ± 20.0 (3)", none, none, none, "85.0 ± 7.1 (2)", "+20.0 [-4.8, 44.8] (3)"
    ]  # fmt: skip
    assert found.loc["um_student"].to_list() == [
        "50.0 (1)", none, none, none, "100.0 (1)", "-10.0 (1)"
    ]  # fmt: skip
    alone = tables.table(example(), "two moons")
    assert alone.loc["mm_student", ["test", "gain"]].to_list() == ["50.0 (1)", none]


def test_tables_do_without_test_metric_and_without_teacher() -> None:
    others = [record(arm="um_teacher", test=None), record()]
    assert tables.table(others, "digits")["gain"].to_list() == ["reference", "not available"]
    found = tables.table([record(arm="um_teacher", metrics={}), record()], "digits")
    assert found.loc["um_teacher", "test"] == "not available"


def scored(seed: int, **scores: float) -> Record:
    return record("maps", "mm_student", seed, scores={"test": scores})


def test_every_metric_of_a_task_by_hand() -> None:
    found = tables.scores(
        [scored(0, mAP=0.5, **{"d′": 1.0}), scored(1, mAP=0.7, **{"d′": 2.0})], "maps"
    )
    # d′ has no unit: 1.5 ± 0.71, and not in percent
    assert found.loc["mm_student"].to_dict() == {"mAP": "60.0 ± 14.1 (2)", "d′": "1.50 ± 0.71 (2)"}
    assert tables.has_more_scores([scored(0, mAP=0.5, mAUC=0.6)])
    assert not tables.has_more_scores([scored(0, mAP=0.5)])


def test_bounds_of_missing_samples_stand_beside_a_metric() -> None:
    own = [replace(scored(at, mAP=0.5), bounds={"mAP": [0.1, 0.8 + at / 10]}) for at in (0, 1)]
    found = tables.scores(own, "maps")
    assert found.loc["mm_student", "mAP"] == "50.0 ± 0.0 (2), with what is missing 10.0 to 85.0"


def test_numbers_for_programs_are_shares() -> None:
    found = tables.numbers(example(), "digits")
    assert found.loc["mm_student", "gain_low"] == pytest.approx(0.2 - REACH)
    assert found.loc["mm_student", "test_n"] == 3
    assert pd.isna(found.loc["um_teacher", "gain_mean"])


def test_seeds_in_words() -> None:
    found = [tables.seeds(1), tables.seeds(3), tables.seeds(2, 3), tables.seeds(1, 1)]
    assert found == ["1 seed", "3 seeds", "2 to 3 seeds", "1 seed"]
