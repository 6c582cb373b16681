"""A word on each gain, and sentences for whoever reads a table in haste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mke_theory.report import tables
from mke_theory.study.arms import EVIDENCE_PLACEBOS, MM_STUDENT, PLACEBOS, REFERENCE
from mke_theory.study.records import Record

BETTER, WORSE = "better", "worse"
UNCLEAR, TOO_FEW = "no clear difference", "too few seeds to tell"
FEW_SEEDS = 5
"""Fewer seeds than this are warned of."""


def verdict(gain: Mapping[str, Any] | None) -> str:
    """A word or two on a row of `tables.gains`: the student beside the arm it is compared with."""
    if gain is None:
        return tables.NOT_AVAILABLE
    if gain["low"] is None:
        return TOO_FEW
    if gain["low"] > 0:
        return BETTER
    return WORSE if gain["high"] < 0 else UNCLEAR


def cautions(own: Sequence[Record]) -> list[str]:
    """Sentences on a task for whoever reads its table in haste."""
    gains = tables.gains_of_arms(list(own))
    titles = {record.arm: record.arm_title for record in own}
    found = []
    worse = [titles[arm] for arm, row in gains.items() if verdict(row) == WORSE]
    if worse:
        found.append(f"Worse than the teacher: {', '.join(worse)}.")
    placebos = (*PLACEBOS, *EVIDENCE_PLACEBOS)
    for arm in (one.name for one in placebos if one.errors == MM_STUDENT.errors):
        if arm in gains and verdict(gains[arm]) == BETTER:
            found.append(f"{titles[arm]} gains as well: {tables.gain_cell(gains[arm])}.")
    for title, reference in tables.COMPARED_WITH.items():
        row = gain_of_student(own, reference)
        if reference != REFERENCE and row and verdict(row) != BETTER:
            found.append(f"{title}: {tables.gain_cell(row)}, {verdict(row)}.")
    few = max((row["n"] for row in gains.values()), default=0)
    if few < FEW_SEEDS:
        found.append(f"{tables.seeds(few)}: intervals over so few are wide.")
    return found


def gain_of_student(own: Sequence[Record], reference: str = REFERENCE) -> dict[str, Any] | None:
    """The MM student's row of `tables.gains` over the reference arm, where there is one."""
    return tables.gains_of_arms(list(own), reference).get(MM_STUDENT.name)
