"""Tables built from records alone: summaries, paired gains, and what people read.

Metrics are shares in [0, 1]; the tables for people are in percent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from mke_theory.evaluation.stats import paired_difference, summarise
from mke_theory.study.arms import REFERENCE
from mke_theory.study.records import Record, write_atomic

Summaries = dict[str, dict[str, dict[str, dict[str, Any]]]]

MM_STUDENT = "mm_student"
COMPARED_WITH = {
    "gain of MKE": REFERENCE,
    "MKE over UM student": "um_student",
    "MKE over NOISY student": "noisy_student",
    "MKE over adjusted teacher": "um_teacher_adjusted",
}
"""What the overview compares the MM student with, by the name of the row."""

COLUMNS = ("test", "unlabelled", "corrected", "damaged", "agreement")
NOT_AVAILABLE = "not available"
ACCURACY = "accuracy"
NO_SHARE = "d′"
"""The one metric that is not a share."""
_NAMES = ("task", "arm", "seed")


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row for each task, arm and seed, its metrics as columns (NaN where not available).

    Raises ValueError where two records claim one row, or an arm was run under two configurations.
    """
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    config: dict[tuple[str, str], str] = {}
    for record in records:
        task, arm, seed = record.task, record.arm, record.seed
        former = config.setdefault((task, arm), record.config_hash)
        if (task, arm, seed) in rows or former != record.config_hash:
            raise ValueError(
                f"task {task!r}, arm {arm!r}, seed {seed} stands beside a run of the same arm "
                "under another configuration, split or code; pass the records of one plan, chosen "
                "by `Records.of(keys)`"
            )
        rows[task, arm, seed] = {**record.metrics, "task": task, "arm": arm, "seed": seed}
    metrics = dict.fromkeys(name for row in rows.values() for name in row if name not in _NAMES)
    found = pd.DataFrame(list(rows.values()), columns=[*_NAMES, *metrics])
    return found.astype(dict.fromkeys(metrics, float))


def summary(records: Iterable[Record]) -> Summaries:
    """Task → arm → metric → {"mean", "sd", "n"}; n counts the seeds at which the metric exists.

    A metric that exists at no seed is left out; sd is None where n = 1.
    """
    result: Summaries = {}
    for (task, arm), rows in frame(records).groupby(["task", "arm"], sort=False):
        cells = result.setdefault(task, {}).setdefault(arm, {})
        for metric in rows.columns[len(_NAMES) :]:
            values = rows[metric].dropna()
            if len(values):
                cells[metric] = asdict(summarise(values))
    return result


def gains_by_seed(
    records: Iterable[Record], metric: str = "test", base: str = REFERENCE
) -> pd.DataFrame:
    """The pairs behind `gains`: one row for each task, arm and seed that `base` has run as well.

    Columns: task, arm, seed, value and base_value (the metric of either), gain (their difference).
    Raises ValueError where no record has `metric` or `base`.
    """
    found = frame(records)
    _refuse_unknown("metric", metric, found.columns[len(_NAMES) :])
    _refuse_unknown("arm", base, found["arm"].unique())
    values = found[[*_NAMES, metric]].dropna().rename(columns={metric: "value"})
    of_base = values["arm"] == base
    theirs = values[of_base].drop(columns="arm").rename(columns={"value": "base_value"})
    pairs = values[~of_base].merge(theirs, on=["task", "seed"])
    return pairs.assign(gain=pairs["value"] - pairs["base_value"])


def gains(records: Iterable[Record], metric: str = "test", base: str = REFERENCE) -> pd.DataFrame:
    """For each task and arm the mean gain in `metric` over `base`, paired by seed, as a share.

    Columns: task, arm, mean, sd, n (pairs), and low, high: Student's 95% interval. sd is None for
    one pair; low and high are None where the pairs are too few, or too equal, for an interval. A
    task without `base`, and an arm without a common seed, has no row.

    Raises ValueError where no record has `metric` or `base`.
    """
    rows = []
    pairs = gains_by_seed(records, metric, base)
    for (task, arm), pair in pairs.groupby(["task", "arm"], sort=False):
        found = paired_difference(pair["value"], pair["base_value"])
        low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
        rows.append((task, arm, found.mean, found.sd, found.n, low, high))
    columns = ["task", "arm", "mean", "sd", "n", "low", "high"]
    # Columns of type object keep None; a column of floats would turn it into NaN.
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    return table.astype({"task": str, "arm": str, "mean": float, "n": int})


def table(records: Iterable[Record], task: str) -> pd.DataFrame:
    """What people read: a row for each arm, cells in percent as "mean ± sd (n)".

    The gain is the test metric minus the teacher's in percentage points, paired by seed, with its
    95% interval: "+15.1 [13.0, 17.2] (5)". Raises ValueError for a task without records.
    """
    records = _of_task(records, task)
    gained = {arm: gain_cell(row) for arm, row in _gain_rows(records).items()}
    gained[REFERENCE] = "reference"
    rows = {
        arm: [*(cell(cells.get(name)) for name in COLUMNS), gained.get(arm, NOT_AVAILABLE)]
        for arm, cells in summary(records)[task].items()
    }
    found = pd.DataFrame.from_dict(rows, orient="index", columns=[*COLUMNS, "gain"])
    metric = records[0].metric
    if metric != ACCURACY:
        found = found.rename(columns={part: f"{part}, {metric}" for part in ("test", "unlabelled")})
    return found.rename_axis("arm")


def scores(records: Iterable[Record], task: str) -> pd.DataFrame:
    """Every metric of the task on test, a row for each arm: "mean ± sd (n)", in percent.

    d′ has no unit and is given as it is. Where test samples are not at hand, the mean over seeds of
    the least and the greatest value follows that the metric could have with them. Raises ValueError
    for a task without records.
    """
    rows: dict[str, dict[str, str]] = {}
    records = _of_task(records, task)
    for arm in dict.fromkeys(record.arm for record in records):
        own = [record for record in records if record.arm == arm]
        rows[arm] = {name: _score_cell(own, name) for name in own[0].scores["test"]}
    return pd.DataFrame.from_dict(rows, orient="index").fillna(NOT_AVAILABLE).rename_axis("arm")


def _score_cell(own: list[Record], name: str) -> str:
    scale = 1 if name == NO_SHARE else 100
    text = cell(asdict(summarise([one.scores["test"][name] for one in own])), scale)
    ends = [one.bounds[name] for one in own if name in one.bounds]
    if not ends:
        return text
    low, high = (scale * sum(side) / len(ends) for side in zip(*ends, strict=True))
    return f"{text}, with what is missing {low:.1f} to {high:.1f}"


def overview(records: Iterable[Record]) -> pd.DataFrame:
    """One row a task: test accuracy of every arm that was run, and what the MM student gains.

    A task with another headline metric is named with it. Cells are percent, mean ± sd (n), gains in
    points with their 95% intervals: over the teacher, the UM and the NOISY student and, where there
    is one, the adjusted teacher. Arms in columns.
    """
    records = list(records)
    rows = {}
    for task, cells in summary(records).items():
        own = _of_task(records, task)
        titles = {record.arm: record.arm_title for record in own}
        row = {titles[arm]: cell(cells[arm].get("test")) for arm in cells}
        metric = own[0].metric
        name = task if metric == ACCURACY else f"{task}, {metric}"
        gained = {
            title: _gain_rows(own, base).get(MM_STUDENT) for title, base in COMPARED_WITH.items()
        }
        over = {title: gain_cell(gain) for title, gain in gained.items() if gain}
        rows[name] = row | {"gain of MKE": NOT_AVAILABLE} | over
    found = pd.DataFrame.from_dict(rows, orient="index").fillna(NOT_AVAILABLE).rename_axis("task")
    last = [title for title in COMPARED_WITH if title in found]
    return found[[*(column for column in found if column not in last), *last]]


def numbers(records: Iterable[Record], task: str) -> pd.DataFrame:
    """What programs read: a row for each arm; mean, sd and n of every metric and of the gain.

    All are shares in [0, 1] (gains in [−1, 1]); a cell is empty where there is no such number.
    Raises ValueError for a task without records.
    """
    records = _of_task(records, task)
    gained = _gain_rows(records)
    rows = {}
    for arm, cells in summary(records)[task].items():
        cells |= {"gain": gained[arm]} if arm in gained else {}
        rows[arm] = {f"{of}_{name}": x for of, cell in cells.items() for name, x in cell.items()}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
    return found.astype({name: "Int64" for name in found if name.endswith("_n")})  # with gaps


def markdown(records: Iterable[Record], task: str) -> str:
    """The table of a task, and where there are more metrics a second one of all on test."""
    records = _of_task(records, task)
    text = f"{table(records, task).to_markdown()}\n"
    if has_more_scores(records):
        text += f"\nOn test:\n\n{scores(records, task).to_markdown()}\n"
    return text


def write_tables(records: Iterable[Record], folder: str | Path) -> list[Path]:
    """The paths of results_<task>.md, .csv and .tex, written for every task of `records`."""
    records, folder = list(records), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for task in dict.fromkeys(record.task for record in records):
        stem = f"results_{re.sub(r'[^A-Za-z0-9_.-]+', '_', task)}"
        for ending, text in (
            ("md", _markdown(records, task)),
            ("csv", numbers(records, task).to_csv(lineterminator="\n")),
            ("tex", _latex(table(records, task).reset_index())),
        ):
            paths.append(write_atomic(folder / f"{stem}.{ending}", text))
    return paths


def write_summary(records: Iterable[Record], path: str | Path) -> Path:
    """The path of a JSON file that holds `summary(records)`."""
    return write_atomic(path, json.dumps(summary(records), indent=2, allow_nan=False) + "\n")


def has_more_scores(records: Iterable[Record]) -> bool:
    """True where the records hold more metrics than the headline."""
    return any(len(record.scores.get("test", ())) > 1 for record in records)


def _of_task(records: Iterable[Record], task: str) -> list[Record]:
    records = list(records)
    _refuse_unknown("task", task, dict.fromkeys(record.task for record in records))
    return [record for record in records if record.task == task]


def _gain_rows(records: list[Record], base: str = REFERENCE) -> dict[str, dict[str, Any]]:
    """Arm → {mean, sd, n, low, high}; empty where `base` was not run or nothing was tested."""
    if not any(record.arm == base and "test" in record.metrics for record in records):
        return {}
    return gains(records, base=base).drop(columns="task").set_index("arm").to_dict("index")


def cell(found: Mapping[str, Any] | None, scale: int = 100) -> str:
    """Mean, sd and n as people read them, "72.4 ± 0.5 (10)" in percent; no spread if sd is None.

    With scale 1 the number is given as it is, "1.24 ± 0.05 (10)".
    """
    if found is None:
        return NOT_AVAILABLE
    digits = 1 if scale == 100 else 2
    spread = "" if found["sd"] is None else f" ± {scale * found['sd']:.{digits}f}"
    return f"{scale * found['mean']:.{digits}f}{spread} ({found['n']})"


def gain_cell(row: Mapping[str, Any]) -> str:
    """A row of `gains` as people read it, in points: "+4.7 [1.2, 8.2] (5)"."""
    interval = "" if row["low"] is None else f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return f"{100 * row['mean']:+.1f}{interval} ({row['n']})"


def _markdown(records: list[Record], task: str) -> str:
    records = _of_task(records, task)
    cells = table(records, task).reset_index()
    rows = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    text = (
        f"# Results on {task}\n\n"
        "In percent: mean ± standard deviation over runs (number of runs). Corrected: share of "
        "the teacher's errors on unlabelled data that the student gets right; damaged: share of "
        "its right answers that the student gets wrong. Gain: test metric minus "
        f"{REFERENCE}'s, paired by seed, in percentage points with its 95% interval (pairs).\n\n"
    )
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    if has_more_scores(records):
        text += f"\nOn test:\n\n{scores(records, task).to_markdown()}\n"
    skipped = {line for record in records for line in record.skipped}
    if skipped:
        text += f"\nLeft out as damaged, {len(skipped)}: {'; '.join(sorted(skipped))}.\n"
    changed = {r.arm: r.differences for r in records if r.differences}
    if changed:
        text += "\nDeclared differences from the method arm (method arm → arm):\n\n"
    for arm, pairs in changed.items():
        text += f"- {arm}: {'; '.join(f'{name}: {a} → {b}' for name, (a, b) in pairs.items())}\n"
    return text


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


def _refuse_unknown(what: str, name: str, known: Iterable[str]) -> None:
    known = list(known)
    if name not in known:
        raise ValueError(
            f"no record has the {what} {name!r}; there is {', '.join(known) or 'none at all'}"
        )
