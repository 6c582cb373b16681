"""Differences between arms: all of them in a table, the undeclared ones in a line."""

from __future__ import annotations

from typing import Any

from mke_theory.report import differences
from mke_theory.study.records import Record
from tests.report.made_records import record

DECLARED = {"modalities": ["all", "teacher's"], "perturbed": [True, False]}
"""The declaration of the UM student."""


def arm(name: str, found: dict[str, Any]) -> Record:
    return record(arm=name, differences=found, counts={"parameters": 1186})


def test_arms_that_differ_as_declared() -> None:
    own = [arm("mm_student", {}), arm("um_student", DECLARED)]
    expected = "In settings, arms differ from MM student (MKE) as declared, and in nothing more."
    assert differences.beyond_declared(own) == expected


def test_a_field_that_no_arm_declares_and_one_that_stayed_the_same() -> None:
    own = [
        arm("mm_student", {}),
        arm("um_student", {"modalities": ["all", "teacher's"], "width": [16, 32]}),
        arm("mm_student_noreg", {"perturbed": [True, False], "width": [16, 32]}),
    ]
    assert differences.beyond_declared(own) == (
        "Undeclared differences from MM student (MKE): width 16 → 32 (UM student, MM student (no "
        "reg)); perturbed yes instead of no (UM student)."
    )


def test_all_that_an_unknown_arm_changes_is_undeclared() -> None:
    found = differences.beyond_declared([arm("of my own", {"learns_from": ["a", "b"]})])
    assert found.endswith("learns from a → b (of my own).")


def test_the_table_has_every_difference_and_the_size() -> None:
    table = differences.table([arm("mm_student", {}), arm("um_student", DECLARED)])
    assert table.loc["MM student (MKE)"].to_list() == ["nothing", "1,186"]
    found = "modalities all → teacher's; perturbed yes → no"
    assert table.loc["UM student"].to_list() == [found, "1,186"]
