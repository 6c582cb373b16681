"""The theory on a study, for people: a table and a sentence a task, and the ledgers.

All of it is built from the records of appraisals (`study.theory_on_runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mke_theory.evaluation.stats import summarise
from mke_theory.report.table_files import stem
from mke_theory.report.tables import cell
from mke_theory.study.records import Record, write_atomic

_COLUMNS = {
    "teacher_error": "teacher's error ε",
    "student_error": "student's error",
    "inconsistency": "truth's μ",
    "certificate": "certificate",
    "trivial": "without graph",
}
ROUNDING = 1e-9
"""Certificates closer than this to the bound without a graph are equal to it."""

_VERDICTS = {
    "useful": "useful",
    "vacuous": "vacuous",
    "violated": "hypothesis violated",
    "not shown": "not shown",
    "not checkable": "hypothesis not checkable",
}
"""Verdicts on a row of a ledger, and their headings in tables."""


def frame(appraisals: Sequence[Record]) -> pd.DataFrame:
    """One row for each task, seed and view, with the numbers of the certificate as shares."""
    rows = [
        {"task": record.task, "seed": record.seed}
        | {name: view[name] for name in ("view", "kind", "points", "edges", *_COLUMNS)}
        for record in appraisals
        for view in record.extra["theory"]
    ]
    return pd.DataFrame(rows)


def table(appraisals: Sequence[Record], task: str) -> pd.DataFrame:
    """A row for each view of a task, cells in percent as "mean ± sd (n)".

    The last column counts the seeds at which the certificate is below the teacher's own error.
    Raises ValueError for a task without appraisals.
    """
    found = frame(_of(appraisals, task))
    if found.empty:
        raise ValueError(f"no appraisal of task {task!r} is recorded")
    rows = {}
    for view, own in found.groupby("view", sort=False):
        cells = {title: _spread(own[name]) for name, title in _COLUMNS.items()}
        below = int((own["certificate"] < own["teacher_error"]).sum())
        rows[view] = cells | {"below teacher's error": f"{below} of {len(own)}"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("graph by")


def sentence(appraisals: Sequence[Record], task: str) -> str:
    """The effect of the second modality on the bound: graph by α alone, by both, by β alone."""
    found = frame(_of(appraisals, task))
    kinds = {kind: own["certificate"] for kind, own in found.groupby("kind", sort=False)}
    if not {"α", "β", "both"} <= kinds.keys():
        return "A modality is missing in some samples: there are no graphs by modality to compare."
    error = _spread(found.drop_duplicates("seed")["teacher_error"])
    return (
        f"In percent, mean ± sd (seeds): the second modality moves the bound from "
        f"{_spread(kinds['α'])} on α alone to {_spread(kinds['both'])} on both and "
        f"{_spread(kinds['β'])} on β alone. The teacher errs on {error}."
    )


def vacuous(appraisals: Sequence[Record], task: str) -> str:
    """A sentence on the graphs whose certificate is, at every seed, no better than without graph.

    Empty where every graph helps at some seed.
    """
    found = frame(_of(appraisals, task))
    helps = (found["certificate"] < found["trivial"] - ROUNDING).groupby(found["view"], sort=False)
    names = [str(view) for view, own in helps if not own.any()]
    if not names:
        return ""
    return f"Vacuous, that is no better than without any graph: {'; '.join(names)}."


def show(appraisals: Sequence[Record]) -> None:
    """Print one sentence for each task."""
    tasks = dict.fromkeys(record.task for record in appraisals)
    if tasks:
        print("\n## Certified bound on the error of the MM student on D_u\n")
    for task in tasks:
        print(f"- {task}: {sentence(appraisals, task)}")


def write(appraisals: Sequence[Record], folder: Path) -> list[Path]:
    """theory.md with every table, and ledger_<task>.md with all ledgers of the first seed."""
    if not appraisals:
        return []
    tasks = dict.fromkeys(record.task for record in appraisals)
    texts = dict([ledgers(appraisals, task) for task in tasks])
    whole = f"{markdown(appraisals)}\n{markdown_of_verdicts(appraisals)}"
    return [
        write_atomic(folder / name, text) for name, text in {"theory.md": whole, **texts}.items()
    ]


def markdown(appraisals: Sequence[Record]) -> str:
    """The table and the sentence of every task."""
    tasks = dict.fromkeys(record.task for record in appraisals)
    return "\n".join(
        f"{table(appraisals, task).rename_axis(task).to_markdown()}\n\n"
        f"{sentence(appraisals, task)}\n"
        for task in tasks
    )


def markdown_of_verdicts(appraisals: Sequence[Record]) -> str:
    """The table of verdicts, with how many ledgers it counts."""
    students = len(appraisals)
    views = sum(len(record.extra["theory"]) for record in appraisals)
    return f"{verdicts(appraisals).to_markdown()}\n\n{views} ledgers of {students} students.\n"


def verdicts_of(view: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Theorem → verdict → number of rows, of one view's ledger.

    "useful" and "vacuous" are rows whose hypotheses hold, with a value below and not below the
    error that is known without the theorem.
    """
    counts: dict[str, dict[str, int]] = {}
    for row in view["ledger"]:
        verdict = row["status"]
        if verdict == "holds":
            verdict = "vacuous" if row["vacuous"] or row["value"] is None else "useful"
        own = counts.setdefault(row["theorem"], {})
        own[verdict] = own.get(verdict, 0) + 1
    return counts


def verdicts(appraisals: Sequence[Record]) -> pd.DataFrame:
    """A row for each theorem: the verdicts on its rows of all ledgers, counted."""
    total: dict[str, dict[str, int]] = {}
    for view in (view for record in appraisals for view in record.extra["theory"]):
        for theorem, counts in (view.get("verdicts") or verdicts_of(view)).items():
            own = total.setdefault(theorem, dict.fromkeys(_VERDICTS, 0))
            for verdict, count in counts.items():
                own[verdict] += count
    found = pd.DataFrame.from_dict(total, orient="index", columns=list(_VERDICTS))
    return found.rename(columns=_VERDICTS).rename_axis("rows of all ledgers")


def ledgers(appraisals: Sequence[Record], task: str) -> tuple[str, str]:
    """(file name, text) of all ledgers of a task's first seed."""
    first = _of(appraisals, task)[0]
    head = f"# Ledger of {first.title}, seed {first.seed}\n"
    views = [
        f"## Graph by {view['view']}\n\n```\n{view['text']}\n```" for view in first.extra["theory"]
    ]
    return f"ledger_{stem(task)}.md", "\n\n".join([head, *views]) + "\n"


def _of(appraisals: Sequence[Record], task: str) -> list[Record]:
    """The appraisals of a task by seed, whatever order they were finished in."""
    own = [record for record in appraisals if record.task == task]
    return sorted(own, key=lambda record: record.seed)


def _spread(values: pd.Series) -> str:
    found = summarise(np.asarray(values, dtype=np.float64))
    return cell({"mean": found.mean, "sd": found.sd, "n": found.n})
