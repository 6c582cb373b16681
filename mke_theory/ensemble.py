"""Many runs in one process: arms and seeds of tasks and worlds, their students trained in stacks.

`study.execute` trains one student after another; `execute_stacked` writes the same records from
stacks of students, several hundred at a time, and is what sweeps are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from joblib import Parallel, delayed
from torch import nn
from tqdm import tqdm

from mke_theory import records
from mke_theory.arms import ARMS, SIX_ARMS, Arm
from mke_theory.mke import pseudo_label
from mke_theory.objective import Objective, PseudoLabels
from mke_theory.run import (
    config_of,
    record_of,
    student_to_be,
    teacher_to_be,
    versions,
    written_code,
)
from mke_theory.stack import Draws, fit_stack
from mke_theory.study import Failure, Job, Means, plan, problem_of
from mke_theory.task import Task
from mke_theory.train import Fit
from mke_theory.types import Problem

TEACHER = ARMS["um_teacher"]


@dataclass(frozen=True)
class Stacking:
    """How students are stacked.

    draws: "own" gives every student the noise that a single run would give it, "shared" draws all
    noise of a stack at once, which is faster. size: the most students of a stack (None: as many as
    the cache holds). runs: how many runs are carried out, and recorded, together.
    """

    draws: Draws = "shared"
    size: int | None = None
    runs: int = 512

    def __post_init__(self) -> None:
        if self.draws not in ("own", "shared"):
            raise ValueError(f"draws is {self.draws!r}; choose own or shared")
        for name in ("size", "runs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it has to be at least 1")


@dataclass(frozen=True)
class Trained:
    """A run with its model: what a record is made from."""

    task: Task
    arm: Arm
    seed: int
    problem: Problem
    teacher: nn.Module
    pseudo: PseudoLabels
    fit: Fit


def fit_many(
    tasks: Sequence[Task],
    seeds: Iterable[int],
    arms: Sequence[Arm] = SIX_ARMS,
    *,
    stacking: Stacking | None = None,
    means: Means | None = None,
    progress: str | None = None,
) -> list[Trained | Failure]:
    """Every arm on every task and seed, in the order of `study.plan`: the teachers come first.

    A task is real or simulated; its model is what `task.model` builds. A run that fails has its
    `Failure`, and with a teacher all its students.
    """
    jobs = plan(tasks, arms, seeds)
    return _carried_out(jobs, stacking or Stacking(), means or Means(), progress)


def execute_stacked(
    jobs: Sequence[Job],
    book: records.Records,
    means: Means,
    stacking: Stacking | None = None,
    *,
    resume: bool = True,
) -> tuple[list[records.Record], list[Failure]]:
    """The records of all jobs, in their order, and the failures; as `study.execute`, but in stacks.

    Runs are recorded every `stacking.runs`, so that an interrupted sweep goes on from there. With
    several workers these parts go to processes of their own, through whatever joblib backend is
    chosen: processes of this machine, or a dask cluster. Records say that they were stacked, and
    have keys of their own: with shared draws the noise is not that of a single run.
    """
    stacking = stacking or Stacking()
    keys = {job: key_of(job, means, stacking) for job in jobs}
    todo = [job for job in jobs if not (resume and book.has(keys[job]))]
    failures: list[Failure] = []
    with tqdm(total=len(jobs), initial=len(jobs) - len(todo), desc="runs", unit="run") as bar:
        for part, made in _results(list(_parts(todo, stacking.runs)), means, stacking):
            for job, outcome in zip(part, made, strict=True):
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                else:
                    book.append(outcome | {"key": keys[job]})
            bar.update(len(part))
    found = {record["key"]: record for record in book}
    return [found[keys[job]] for job in jobs if keys[job] in found], failures


def key_of(job: Job, means: Means, stacking: Stacking) -> str:
    """The key of a stacked run's record."""
    return records.run_key(
        task=job.task.name,
        arm=job.arm.name,
        seed=job.seed,
        config_hash=records.config_hash(config_of(job.task, job.arm)),
        data_hash=job.task.data_hash(means.data_root),
        code=written_code(),
        environment=environment_of(means, stacking),
    )


def environment_of(means: Means, stacking: Stacking) -> dict[str, str]:
    """Versions, machine and device, and that students were stacked."""
    stacked = {"students": f"stacked, {stacking.draws} draws"}
    return versions() | means.hardware.named() | stacked


def _parts(jobs: Sequence[Job], runs: int) -> Iterator[list[Job]]:
    """About `runs` jobs at a time; those of one task and seed stay together, with their teacher."""
    cells: dict[tuple[Task, int], list[Job]] = {}
    for job in jobs:
        cells.setdefault((job.task, job.seed), []).append(job)
    part: list[Job] = []
    for cell in cells.values():
        if part and len(part) + len(cell) > runs:
            yield part
            part = []
        part.extend(cell)
    if part:
        yield part


def _results(
    parts: list[list[Job]], means: Means, stacking: Stacking
) -> Iterator[tuple[list[Job], list[records.Record | Failure]]]:
    if means.workers == 1 or len(parts) < 2:
        for part in parts:
            yield _recorded(part, means, stacking)
        return
    workers = Parallel(n_jobs=means.workers, return_as="generator_unordered", batch_size=1)
    yield from workers(delayed(_recorded)(part, means, stacking) for part in parts)


def _recorded(
    jobs: list[Job], means: Means, stacking: Stacking
) -> tuple[list[Job], list[records.Record | Failure]]:
    """The records of some jobs, trained together, as yet without their keys."""
    torch.set_num_threads(means.threads)
    made: list[records.Record | Failure] = []
    for job, trained in zip(jobs, _carried_out(jobs, stacking, means, None), strict=True):
        if isinstance(trained, Failure):
            made.append(trained)
            continue
        record = record_of(
            job.task,
            job.task.adapt(job.arm),
            job.seed,
            trained.problem,
            trained.teacher,
            trained.fit,
            trained.pseudo,
        )
        record["environment"] = environment_of(means, stacking)
        made.append(record)
    return jobs, made


def _carried_out(
    jobs: Sequence[Job], stacking: Stacking, means: Means, progress: str | None
) -> list[Trained | Failure]:
    """Teachers in stacks, then all students in stacks; a job that fails has its `Failure`."""
    device = means.hardware.fabric().device

    def trained(students: list[Any], what: str) -> list[Any]:
        title = None if progress is None else f"{progress}: {what}"
        return fit_stack(
            students, draws=stacking.draws, size=stacking.size, device=device, progress=title
        )

    cells = list(dict.fromkeys((job.task, job.seed) for job in jobs))
    problems: dict[tuple[Task, int], Problem | str] = {}
    teachers: dict[tuple[Task, int], nn.Module | str] = {}
    for cell in cells:
        problems[cell] = _tried(problem_of, *cell, means.data_root)
    sound = [cell for cell in cells if not isinstance(problems[cell], str)]
    ready = [teacher_to_be(*cell, problems[cell]) for cell in sound]  # type: ignore[arg-type]
    for cell, outcome in zip(sound, trained(ready, "teachers"), strict=True):
        teachers[cell] = outcome.model if isinstance(outcome, Fit) else str(outcome)
    results: list[Trained | Failure | None] = [None] * len(jobs)
    waiting: list[tuple[int, Any, PseudoLabels]] = []
    for i, job in enumerate(jobs):
        cell = (job.task, job.seed)
        problem, teacher = problems[cell], teachers.get(cell, "no teacher")
        if isinstance(problem, str) or isinstance(teacher, str):
            results[i] = Failure(job, str(problem if isinstance(problem, str) else teacher))
            continue
        arm = job.task.adapt(job.arm)
        if arm.learns_from == "labels":
            said = pseudo_label(teacher, problem.unlabelled, Objective())
            as_is = Fit(teacher, 0, (), "as the teacher", 0, None)
            results[i] = Trained(job.task, arm, job.seed, problem, teacher, said, as_is)
            continue
        found = _tried(student_to_be, job.task, arm, job.seed, problem, teacher)
        if isinstance(found, str):
            results[i] = Failure(job, found)
        else:
            waiting.append((i, *found))
    outcomes = trained([student for _, student, _ in waiting], "students")
    for (i, _, said), outcome in zip(waiting, outcomes, strict=True):
        job, cell = jobs[i], (jobs[i].task, jobs[i].seed)
        if not isinstance(outcome, Fit):
            results[i] = Failure(job, str(outcome))
            continue
        problem, teacher = problems[cell], teachers[cell]
        assert isinstance(problem, Problem) and isinstance(teacher, nn.Module)
        arm = job.task.adapt(job.arm)
        results[i] = Trained(job.task, arm, job.seed, problem, teacher, said, outcome)
    return [result for result in results if result is not None]


def _tried(function: Any, *arguments: Any) -> Any:
    """What `function` returns or, where it fails, its error as a text: the other runs go on."""
    try:
        return function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
