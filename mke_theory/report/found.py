"""Findings in data that a user brought: a table at the head of the report of their task."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mke_theory.study.records import write_atomic
from mke_theory.study.task import Task
from mke_theory.tasks.toy.array_findings import CAUTION


def tell(tasks: Iterable[Task], folder: Path) -> list[Path]:
    """A file `found_<task>.json` in `folder` for each task with findings; then they are printed.

    The division into parts is that of seed 0. Cautions go to the error stream. Raises ValueError as
    the task's problem does.
    """
    made = []
    for task in tasks:
        rows = task.found(0)
        if not rows:
            continue
        text = json.dumps([list(row) for row in rows], ensure_ascii=False, indent=1)
        made.append(write_atomic(folder / f"found_{task.name}.json", text + "\n"))
        print(f"\n## What was found in your data ({task.name})\n")
        print(*(f"{what}: {found}" for what, found in rows if what != CAUTION), sep="\n")
        for what, found in rows:
            if what == CAUTION:
                print(f"{CAUTION}: {found}", file=sys.stderr)
    return made


def table_of(task: str, folder: Path) -> pd.DataFrame | None:
    """The table of a task by its name; None where its data are no user's."""
    path = folder / f"found_{task}.json"
    if not path.is_file():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return pd.DataFrame(rows, columns=["what", "found"]).set_index("what")
