"""Tables built from records alone: summaries, paired gains, and tables for people.

Metrics are shares in [0, 1]; the tables for people are in percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from mke_theory.evaluation.stats import paired_difference, summarise
from mke_theory.study.arms import EVIDENCE, MM_STUDENT, REFERENCE
from mke_theory.study.records import Record

Summaries = dict[str, dict[str, dict[str, dict[str, Any]]]]

COMPARED_WITH = {
    "gain of MKE": REFERENCE,
    "MKE over UM student": "um_student",
    "MKE over NOISY student": "noisy_student",
    "MKE over adjusted teacher": "um_teacher_adjusted",
}
"""The arms that the overview compares the MM student with, by the name of the row."""
EVIDENCE_COMPARED_WITH = {"gain of evidence": REFERENCE, "evidence over MKE": MM_STUDENT.name}
"""Those that it compares the evidence student with, where that was run."""

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
    rows = [
        {**metrics, **dict(zip(_NAMES, run, strict=True))}
        for run, metrics in _metrics_of(records).items()
    ]
    metrics = dict.fromkeys(name for row in rows for name in row if name not in _NAMES)
    found = pd.DataFrame(rows, columns=[*_NAMES, *metrics])
    return found.astype(dict.fromkeys(metrics, float))


def _metrics_of(records: Iterable[Record]) -> dict[tuple[str, str, int], dict[str, float | None]]:
    """(task, arm, seed) → metrics, in the order of the records; see `frame` for what is refused."""
    found: dict[tuple[str, str, int], dict[str, float | None]] = {}
    config: dict[tuple[str, str], str] = {}
    for record in records:
        task, arm, seed = record.task, record.arm, record.seed
        former = config.setdefault((task, arm), record.config_hash)
        if (task, arm, seed) in found or former != record.config_hash:
            raise ValueError(
                f"task {task!r}, arm {arm!r}, seed {seed} stands beside a run of the same arm "
                "under another configuration, split or code; pass the records of one plan, chosen "
                "by `Records.of(keys)`"
            )
        found[task, arm, seed] = record.metrics
    return found


def summary(records: Iterable[Record]) -> Summaries:
    """Task → arm → metric → {"mean", "sd", "n"}; n counts the seeds at which the metric exists.

    A metric that exists at no seed is left out; sd is None where n = 1.
    """
    found = _metrics_of(records)
    names = dict.fromkeys(name for metrics in found.values() for name in metrics)
    runs: dict[tuple[str, str], list[dict[str, float | None]]] = {}
    for (task, arm, _), metrics in found.items():
        runs.setdefault((task, arm), []).append(metrics)
    result: Summaries = {}
    for (task, arm), own in runs.items():
        cells = result.setdefault(task, {}).setdefault(arm, {})
        for name in names:
            values = [value for one in own if (value := one.get(name)) is not None]
            if values:
                cells[name] = asdict(summarise(values))
    return result


def gains_by_seed(
    records: Iterable[Record], metric: str = "test", reference: str = REFERENCE
) -> pd.DataFrame:
    """The pairs behind `gains`: a row for each task, arm and seed that `reference` has run as well.

    Columns: task, arm, seed, value and reference_value (the metric of either), gain (their
    difference). Raises ValueError where no record has `metric` or `reference`.
    """
    found = _metrics_of(records)
    _refuse_unknown("metric", metric, dict.fromkeys(name for one in found.values() for name in one))
    _refuse_unknown("arm", reference, dict.fromkeys(arm for _, arm, _ in found))
    values = {run: float(x) for run, one in found.items() if (x := one.get(metric)) is not None}
    rows = [
        (task, arm, seed, value, theirs, value - theirs)
        for (task, arm, seed), value in values.items()
        if arm != reference and (theirs := values.get((task, reference, seed))) is not None
    ]
    return pd.DataFrame(rows, columns=[*_NAMES, "value", "reference_value", "gain"])


def gains(
    records: Iterable[Record], metric: str = "test", reference: str = REFERENCE
) -> pd.DataFrame:
    """For each task and arm the mean gain in `metric` over `reference`, paired by seed, as a share.

    Columns: task, arm, mean, sd, n (pairs), and low, high: Student's 95% interval. sd is None for
    one pair; low and high are None where the pairs are too few, or too equal, for an interval. A
    task without `reference`, and an arm without a common seed, has no row.

    Raises ValueError where no record has `metric` or `reference`.
    """
    values: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    pairs = gains_by_seed(records, metric, reference)
    for task, arm, _, value, theirs, _ in pairs.itertuples(index=False, name=None):
        own = values.setdefault((task, arm), ([], []))
        own[0].append(value)
        own[1].append(theirs)
    rows = []
    for (task, arm), own in values.items():
        found = paired_difference(*own)
        low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
        rows.append((task, arm, found.mean, found.sd, found.n, low, high))
    columns = ["task", "arm", "mean", "sd", "n", "low", "high"]
    # Columns of type object keep None; a column of floats would turn it into NaN.
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    return table.astype({"task": str, "arm": str, "mean": float, "n": int})


def table(records: Iterable[Record], task: str) -> pd.DataFrame:
    """The table of a task: a row for each arm, cells in percent as "mean ± sd (n)".

    The gain is the test metric minus the teacher's in percentage points, paired by seed, with its
    95% interval: "+15.1 [13.0, 17.2] (5)". Raises ValueError for a task without records.
    """
    records = of_task(records, task)
    gained = {arm: gain_cell(row) for arm, row in gains_of_arms(records).items()}
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
    records = of_task(records, task)
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


def named(record: Record) -> str:
    """The task of a record, with its headline metric where that is another than accuracy."""
    return record.task if record.metric == ACCURACY else f"{record.task}, {record.metric}"


def overview(records: Iterable[Record]) -> pd.DataFrame:
    """One row a task: test accuracy of every arm that was run, and the gains of two students.

    A task with another headline metric is named with it. Cells are percent, mean ± sd (n), gains in
    points with their 95% intervals: of the MM student over the teacher, the UM and the NOISY
    student and, where there is one, the adjusted teacher; of the evidence student, where it was
    run, over the teacher and the MM student. Arms in columns.
    """
    records = list(records)
    rows = {}
    for task, cells in summary(records).items():
        own = of_task(records, task)
        titles = {record.arm: record.arm_title for record in own}
        row = {titles[arm]: cell(cells[arm].get("test")) for arm in cells}
        over = _gains_over(own, MM_STUDENT.name, COMPARED_WITH)
        evidence = _gains_over(own, EVIDENCE.name, EVIDENCE_COMPARED_WITH)
        rows[named(own[0])] = row | {"gain of MKE": NOT_AVAILABLE} | over | evidence
    found = pd.DataFrame.from_dict(rows, orient="index").fillna(NOT_AVAILABLE).rename_axis("task")
    last = [title for title in (*COMPARED_WITH, *EVIDENCE_COMPARED_WITH) if title in found]
    return found[[*(column for column in found if column not in last), *last]]


def _gains_over(own: list[Record], arm: str, references: Mapping[str, str]) -> dict[str, str]:
    """Title → the arm's gain over the arm of that title, as people read it, where there is one."""
    gained = {
        title: gains_of_arms(own, reference).get(arm) for title, reference in references.items()
    }
    return {title: gain_cell(gain) for title, gain in gained.items() if gain}


def numbers(records: Iterable[Record], task: str) -> pd.DataFrame:
    """The table of a task for programs: mean, sd and n of every metric and of the gain, by arm.

    All are shares in [0, 1] (gains in [−1, 1]); a cell is empty where there is no such number.
    Raises ValueError for a task without records.
    """
    records = of_task(records, task)
    gained = gains_of_arms(records)
    rows = {}
    for arm, cells in summary(records)[task].items():
        cells |= {"gain": gained[arm]} if arm in gained else {}
        rows[arm] = {f"{of}_{name}": x for of, cell in cells.items() for name, x in cell.items()}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
    return found.astype({name: "Int64" for name in found if name.endswith("_n")})  # with gaps


def has_more_scores(records: Iterable[Record]) -> bool:
    """True where the records hold more metrics than the headline."""
    return any(len(record.scores.get("test", ())) > 1 for record in records)


def of_task(records: Iterable[Record], task: str) -> list[Record]:
    """The records of a task; ValueError where there is none."""
    records = list(records)
    _refuse_unknown("task", task, dict.fromkeys(record.task for record in records))
    return [record for record in records if record.task == task]


def gains_of_arms(own: list[Record], reference: str = REFERENCE) -> dict[str, dict[str, Any]]:
    """Arm → {mean, sd, n, low, high}; empty where `reference` was not run or nothing was tested."""
    if not any(record.arm == reference and "test" in record.metrics for record in own):
        return {}
    found = gains(own, reference=reference)
    return found.drop(columns="task").set_index("arm").to_dict("index")


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


def seeds(low: int, high: int | None = None) -> str:
    """A number of seeds, or a range of it, in words: "1 seed", "3 seeds", "2 to 3 seeds"."""
    if high is not None and low != high:
        return f"{low} to {high} seeds"
    return f"{low} seed" if low == 1 else f"{low} seeds"


def _refuse_unknown(what: str, name: str, known: Iterable[str]) -> None:
    known = list(known)
    if name not in known:
        raise ValueError(
            f"no record has the {what} {name!r}; there is {', '.join(known) or 'none at all'}"
        )
