"""Theory on finished runs: one record for each appraised student, beside the records of the runs.

A student's answers and its embedding lie beside its record; with the inputs of its task they make
the graphs on which bounds and certificates are computed (`theory.appraisal`). What is recorded is
not computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.problem import Problem
from mke_theory.study import records
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.study import problem_of
from mke_theory.study.task import Task
from mke_theory.theory.appraise import appraise

FOLDER = "theory"
"""The sub-folder of a study in which its appraisals are recorded."""


@dataclass(frozen=True)
class Outcome:
    """The record of an appraisal, or why there is none."""

    of: records.Record
    record: records.Record | None
    error: str | None = None


def appraise_all(
    done: Sequence[records.Record],
    tasks: Iterable[Task],
    folder: Path,
    *,
    seeds: int,
    workers: int,
    resume: bool = True,
) -> tuple[list[records.Record], list[str]]:
    """(the appraisals of the MM students at the first `seeds` seeds, a line for each failure).

    Left out are students without answers on disk and tasks whose truth on D_u is not known.
    """
    by_name = {task.name: task for task in tasks}
    wanted = [
        record
        for record in done
        if record["arm"] == MM_STUDENT.name
        and record["seed"] < seeds
        and "answers" in record.get("artifacts", {})
        and by_name[record["task"]].knows_truth()
    ]
    failures: list[str] = []
    with records.Records.open(folder / FOLDER) as book:
        todo = [record for record in wanted if not (resume and book.has(_key(record)))]
        run = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
        work = (delayed(_outcome)(one, by_name[one["task"]], folder) for one in todo)
        with tqdm(total=len(todo), desc="theory", unit="student", disable=not todo) as bar:
            for outcome in run(work) if todo else ():
                if outcome.record is None:
                    of = outcome.of
                    failures.append(f"theory of {of['task']} seed {of['seed']}: {outcome.error}")
                else:
                    book.append(outcome.record)
                bar.update()
        found = records.only(list(book), [_key(record) for record in wanted])
    return found, failures


def _outcome(record: records.Record, task: Task, folder: Path) -> Outcome:
    try:
        return Outcome(record, _appraised(record, task, folder))
    except Exception as error:  # one appraisal that fails must not end the others
        return Outcome(record, None, f"{type(error).__name__}: {error}")


def _appraised(record: records.Record, task: Task, folder: Path) -> records.Record:
    problem, answers = answers_of(record, task, folder)
    whole = problem.unlabelled[slice(0, len(problem.unlabelled))]
    views = appraise(
        {name: x.numpy() for name, x in whole.inputs.items()},
        problem.teacher_modalities,
        answers.get("embedding"),
        pseudo=answers["pseudo"],
        student=answers["student"],
        truth=problem.unlabelled.labels.numpy(),
        classes=problem.classes,
        seed=record["seed"],
    )
    kept = {name: record[name] for name in ("task", "title", "arm", "seed", "config_hash")}
    return {
        "key": _key(record),
        **kept,
        "environment": record["environment"],
        "metrics": {},
        "theory": [view.to_dict() for view in views],
    }


def answers_of(record: records.Record, task: Task, folder: Path) -> tuple[Problem, dict[str, Any]]:
    """The problem of a recorded MM student, and its `pseudo`, `student` and `embedding` on D_u.

    Raises ValueError where the truth of a sample of D_u is not known, FileNotFoundError where the
    answers are no longer beside the record.
    """
    problem = problem_of(task, record["seed"])
    if bool((problem.unlabelled.labels == UNKNOWN).any()):
        raise ValueError("the truth is not known for every sample of D_u")
    with np.load(folder / record["artifacts"]["answers"], allow_pickle=False) as saved:
        return problem, dict(saved)


def _key(record: records.Record) -> str:
    return records.config_hash({"theory of": record["key"]})
