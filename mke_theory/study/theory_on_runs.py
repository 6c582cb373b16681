"""Theory on finished runs: one record for each appraised student, beside the records of the runs.

A student's predictions and its embedding lie beside its record; with the inputs of its task they
make the graphs on which bounds and certificates are computed (`theory.appraise`). An appraisal that
is recorded is not computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.problem import Problem
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.artifacts import load
from mke_theory.study.keys import config_hash
from mke_theory.study.processes import record_all
from mke_theory.study.records import Record, Records
from mke_theory.study.result import Cell
from mke_theory.study.task import Task
from mke_theory.theory.appraise import appraise

FOLDER = "theory"
"""The sub-folder of a study in which its appraisals are recorded."""


def appraise_all(
    done: Sequence[Record],
    tasks: Iterable[Task],
    folder: Path,
    *,
    seeds: int,
    workers: int,
    resume: bool = True,
) -> tuple[list[Record], list[str]]:
    """The appraisals of the MM students at the first `seeds` seeds, and a line for each failure.

    Left out are students without predictions on disk and tasks whose truth on D_u is not known.
    """
    by_name = {task.name: task for task in tasks}
    wanted = {
        _key(record): record
        for record in done
        if record.arm == MM_STUDENT.name
        and record.seed < seeds
        and "answers" in record.artifacts
        and by_name[record.task].knows_truth()
    }
    appraise_one = partial(_appraised, tasks=by_name, folder=folder)
    with Records.open(folder / FOLDER) as records:
        found, failures = record_all(
            wanted, appraise_one, records, workers=workers, title="theory", resume=resume
        )
    lines = [f"theory of {one.task} seed {one.seed}: {error}" for one, error in failures]
    return found, lines


def _appraised(record: Record, *, tasks: dict[str, Task], folder: Path) -> Record:
    problem, saved = predictions_on_disk(record, tasks[record.task], folder)
    whole = problem.unlabelled[slice(0, len(problem.unlabelled))]
    views = appraise(
        {name: x.numpy() for name, x in whole.inputs.items()},
        problem.teacher_modalities,
        saved.get("embedding"),
        pseudo=saved["pseudo"],
        student=saved["student"],
        truth=problem.truth.labels.numpy(),
        classes=problem.classes,
        seed=record.seed,
    )
    return Record(
        key=_key(record),
        task=record.task,
        title=record.title,
        arm=record.arm,
        seed=record.seed,
        config_hash=record.config_hash,
        environment=record.environment,
        metrics={},
        extra={"theory": [view.to_dict() for view in views]},
    )


def predictions_on_disk(record: Record, task: Task, folder: Path) -> tuple[Problem, dict[str, Any]]:
    """The problem of a recorded MM student, and its `pseudo`, `student` and `embedding` on D_u.

    Raises ValueError where the truth of a sample of D_u is not known, OSError where the arrays are
    no longer beside the record, or damaged.
    """
    problem = Cell(task, record.seed).problem()
    if bool((problem.truth.labels == UNKNOWN).any()):
        raise ValueError("the truth is not known for every sample of D_u")
    return problem, load(folder / record.artifacts["answers"])


def _key(record: Record) -> str:
    return config_hash({"theory of": record.key})
