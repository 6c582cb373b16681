"""The tables of a study as files: Markdown for people, CSV for programs, LaTeX for papers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mke_theory.report import differences, tables
from mke_theory.study.arms import REFERENCE
from mke_theory.study.records import Record, write_atomic

LEGEND = (
    "In percent: mean ± standard deviation over seeds (number of seeds). Corrected: share of the "
    "teacher's errors on unlabelled data that the student gets right; damaged: share of its right "
    "answers that the student gets wrong. Gain: test metric minus that of the reference arm "
    f"{REFERENCE}, paired by seed, in percentage points with its 95% interval (pairs)."
)


def write_tables(records: Iterable[Record], folder: str | Path) -> list[Path]:
    """The paths of results_<task>.md, .csv and .tex, written for every task of `records`."""
    records, folder = list(records), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for task in dict.fromkeys(record.task for record in records):
        for ending, text in (
            ("md", _details(tables.of_task(records, task))),
            ("csv", tables.numbers(records, task).to_csv(lineterminator="\n")),
            ("tex", _latex(tables.table(records, task).reset_index())),
        ):
            paths.append(write_atomic(folder / f"results_{stem(task)}.{ending}", text))
    return paths


def stem(task: str) -> str:
    """The task's name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", task)


def write_summary(records: Iterable[Record], path: str | Path) -> Path:
    """The path of a JSON file that holds `tables.summary(records)`."""
    text = json.dumps(tables.summary(records), indent=2, allow_nan=False)
    return write_atomic(path, text + "\n")


def markdown(records: Iterable[Record], task: str) -> str:
    """The table of a task, and where there are more metrics a second one of all on test."""
    own = tables.of_task(records, task)
    text = f"{tables.table(own, task).to_markdown()}\n"
    if tables.has_more_scores(own):
        text += f"\nOn test:\n\n{tables.scores(own, task).to_markdown()}\n"
    return text


def samples(own: Sequence[Record]) -> str:
    """The sizes of the pools of a task, its seeds, and the scope of every interval over them.

    A teacher that is its answers alone is named on the way.
    """
    counts = own[0].counts
    numbers = sorted({record.seed for record in own})
    return (
        f"D_l {counts['labelled']}, D_u {counts['unlabelled']}, test {counts['test']} samples; "
        f"{tables.seeds(len(numbers))}, {numbers[0]} to {numbers[-1]}. "
        f"Between seeds vary: {own[0].varies}.{_answers(own[0])}"
    )


def _answers(record: Record) -> str:
    """A sentence on a teacher that is its answers alone; empty where it was trained."""
    teacher = record.extra.get("teacher")
    if teacher is None:
        return ""
    honest = "" if teacher["cross_fitted"] else ", without any on D_l that could calibrate it"
    return f" The teacher is its answers alone{honest}."


def left_out(own: Sequence[Record]) -> str:
    """The samples of a task that were left out as damaged, in a sentence; empty where none was."""
    lines = sorted({line for record in own for line in record.skipped})
    return f"Left out as damaged, {len(lines)}: {'; '.join(lines)}." if lines else ""


def _details(own: Sequence[Record]) -> str:
    """All that is known of a task: its tables, its sizes, and its arms with their differences."""
    task = own[0].task
    text = f"# {own[0].title} ({task})\n\n{LEGEND}\n\n{markdown(own, task)}\n{samples(own)}\n"
    if left_out(own):
        text += f"\n{left_out(own)}\n"
    return f"{text}\n{differences.beyond_declared(own)}\n\n{differences.table(own).to_markdown()}\n"


def _latex(cells: pd.DataFrame) -> str:
    head, *body = (
        " & ".join(map(_escape, row)) + r" \\" for row in [cells.columns, *cells.to_numpy()]
    )
    begin = rf"\begin{{tabular}}{{{'l' * cells.shape[1]}}}"
    lines = [begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    text = re.sub(r"([_%&#$])", r"\\\1", text)
    # A hyphen before a number is a minus, and LaTeX sets a minus in mathematics only.
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text).replace("±", r"$\pm$")
