"""A word on each gain, and sentences for whoever reads a table in haste."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mke_theory.report import tables
from mke_theory.study.arms import EVIDENCE, EVIDENCE_PLACEBOS, MM_STUDENT, PLACEBOS, REFERENCE
from mke_theory.study.records import Record

BETTER, WORSE = "better", "worse"
UNCLEAR, TOO_FEW = "no clear difference", "too few seeds to tell"
FEW_SEEDS = 5
"""Fewer seeds than this are warned of."""
FEW_SAMPLES = 30
"""A test part of fewer samples is warned of."""
STUDENTS = {MM_STUDENT.name: "MM student", EVIDENCE.name: "evidence student"}
"""The arms that a verdict is given on beside the teacher; the first one always."""


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
    small = min((record.counts.get("test", FEW_SAMPLES) for record in own), default=FEW_SAMPLES)
    if small < FEW_SAMPLES:
        found.append(f"The test part has {small} samples: accuracies over so few say little.")
    few = max((row["n"] for row in gains.values()), default=0)
    if few < FEW_SEEDS:
        found.append(f"{tables.seeds(few)}: intervals over so few are wide.")
    return found


def gain_of_student(
    own: Sequence[Record], reference: str = REFERENCE, arm: str = MM_STUDENT.name
) -> dict[str, Any] | None:
    """The row of `tables.gains` of the MM student, or of another arm, over the reference arm.

    None where there is no such row.
    """
    return tables.gains_of_arms(list(own), reference).get(arm)


def by_student(own: Sequence[Record]) -> list[str]:
    """A sentence on each student of a task: its verdict beside the teacher."""
    return [
        f"The {title} beside its teacher: {verdict(gain_of_student(own, arm=arm))}."
        for arm, title in STUDENTS.items()
        if _was_run(own, arm)
    ]


def by_task(tasks: Collection[Sequence[Record]]) -> list[str]:
    """A sentence on each student: on how many tasks each verdict was given to it."""
    found = []
    for arm, title in STUDENTS.items():
        words = [verdict(gain_of_student(own, arm=arm)) for own in tasks if _was_run(own, arm)]
        counted = "; ".join(
            f"{word} on {words.count(word)}"
            for word in (BETTER, WORSE, UNCLEAR, TOO_FEW, tables.NOT_AVAILABLE)
            if word in words
        )
        found += [f"The {title} beside its teacher, by task: {counted}."] if words else []
    return found


def _was_run(own: Sequence[Record], arm: str) -> bool:
    return arm == MM_STUDENT.name or any(record.arm == arm for record in own)
