"""The differences between the arms of a task: all of them, and those that no arm declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mke_theory.study.arms import ARMS, MM_STUDENT, differences
from mke_theory.study.records import Record


def table(own: Sequence[Record]) -> pd.DataFrame:
    """A row for each arm of a task: its differences from the MM student, and its size."""
    rows = {
        record.arm_title: {
            f"differs from {MM_STUDENT.title} in": "; ".join(
                _changed(name, *pair) for name, pair in record.differences.items()
            )
            or "nothing",
            "parameters": f"{record.counts.get('parameters', 0):,}",
        }
        for record in _first_of_each_arm(own)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def beyond_declared(own: Sequence[Record]) -> str:
    """One line on a task: the differences between its arms that no arm declares.

    A task may adapt an arm, and a difference may follow from another one: a narrower network has
    another width, a transform has nothing to act on.
    """
    by_text: dict[str, list[str]] = {}
    for record in _first_of_each_arm(own):
        for text in _undeclared(record.arm, record.differences):
            by_text.setdefault(text, []).append(record.arm_title)
    if not by_text:
        return f"In settings, arms differ from {MM_STUDENT.title} as declared, and in nothing more."
    parts = [f"{text} ({', '.join(arms)})" for text, arms in by_text.items()]
    return f"Undeclared differences from {MM_STUDENT.title}: {'; '.join(parts)}."


def _first_of_each_arm(own: Sequence[Record]) -> list[Record]:
    found: dict[str, Record] = {}
    for record in own:
        found.setdefault(record.arm, record)
    return list(found.values())


def _undeclared(arm: str, found: Mapping[str, Sequence[Any]]) -> list[str]:
    declared = differences(ARMS[arm]) if arm in ARMS else {}
    added = [_changed(name, *pair) for name, pair in found.items() if name not in declared]
    instead = [
        f"{_words(name)} {_value(here)} instead of {_value(wanted)}"
        for name, (there, wanted) in declared.items()
        if (here := found.get(name, (there, there))[1]) != wanted
    ]
    return [*added, *instead]


def _changed(name: str, there: Any, here: Any) -> str:
    return f"{_words(name)} {_value(there)} → {_value(here)}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
