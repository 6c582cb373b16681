"""Many runs: which are wanted, which are recorded already, and the rest spread over processes.

Every finished run is one line in the records before the next is begun, so a study that is killed at
any moment goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from mke_theory.data.problem import Problem
from mke_theory.study import records
from mke_theory.study.arms import ARMS, Arm
from mke_theory.study.run import Place, fabric_of, key_of, run, train_teacher
from mke_theory.study.split import KEPT_OUT, kept_out
from mke_theory.study.task import Task
from mke_theory.training.hardware import Hardware

TEACHER = ARMS["um_teacher"]


@dataclass(frozen=True)
class Job:
    """One run that is wanted."""

    task: Task
    arm: Arm
    seed: int

    def key(self, place: Place) -> str:
        """The key of its record."""
        return key_of(self.task, self.arm, self.seed, place)

    def __str__(self) -> str:
        return f"{self.task.name} {self.arm.name} seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error; the others went on."""

    job: Job
    error: str


@dataclass(frozen=True)
class Means:
    """What runs are carried out with: devices, processes, and threads in each.

    `workers` runs are carried out at the same time; where several processes train one model
    together, one is.
    """

    hardware: Hardware = Hardware()
    workers: int = 1
    threads: int = 1
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if self.workers > 1 and self.hardware.processes > 1:
            raise ValueError(
                f"workers is {self.workers}, but {self.hardware.processes} processes train each "
                "run together; set workers to 1"
            )


def plan(tasks: Iterable[Task], arms: Iterable[Arm], seeds: Iterable[int]) -> list[Job]:
    """All jobs, teachers first; the teacher's arm is always among them, as what gains refer to.

    An arm that under a task's objective would repeat another one is not run on it.
    """
    tasks, seeds = list(tasks), list(seeds)
    others = [arm for arm in arms if arm.name != TEACHER.name]
    teachers = [Job(task, TEACHER, seed) for task in tasks for seed in seeds]
    return teachers + [
        Job(task, arm, seed)
        for task in tasks
        for seed in seeds
        for arm in others
        if not repeats_another(arm, task)
    ]


def repeats_another(arm: Arm, task: Task) -> bool:
    """True where the task's objective has nothing of what tells the arm from another one."""
    return arm.decision == "adjusted" and task.recipe.objective.adjustment == 0


def feasible(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """The jobs that can be carried out, and a line for each arm that cannot.

    The first problem of every task is drawn on the way, and its data are hashed, so that what is
    damaged or absent raises here, before any work has started.
    """
    knows = {}
    for job in jobs:
        if job.task not in knows:
            problem_of(job.task, job.seed)
            job.task.data_hash()  # where the weights are, for instance
            knows[job.task] = job.task.knows_truth()
    _drawn.cache_clear()  # the runs have processes of their own
    reasons = {job: _unfit(job, knows[job.task]) for job in jobs}
    lines = dict.fromkeys(
        f"left out {job.task.name} {job.arm.name}: {why}" for job, why in reasons.items() if why
    )
    return [job for job in jobs if reasons[job] is None], list(lines)


def _unfit(job: Job, knows_truth: bool) -> str | None:
    """Why the arm cannot run on the task, or None."""
    if job.arm.needs_truth and not knows_truth:
        return "it needs the class of every sample of D_u"
    objective = job.task.recipe.objective
    whole = objective.threshold == 0 and not objective.multilabel
    if job.arm.errors == "independent" and not whole:
        return "random errors stand for labels of one class a sample, without a threshold"
    return None


def execute(
    jobs: list[Job], book: records.Records | None, means: Means, *, resume: bool = True
) -> tuple[list[records.Record], list[Failure]]:
    """The records of all jobs, in their order, and the failures.

    Only runs without a record are carried out; with `resume` off all are, from the beginning. A
    student whose teacher failed is not tried. Where several processes train together, the first
    has the book and says what is to be done; the others take part with None, and return no record.
    """
    folder = None if book is None else book.folder
    place = Place(folder, means.hardware, means.checkpoint_every)
    keys: list[str] = []
    wanted: list[int] = []
    if book is not None:
        _clean_checkpoints(book.folder / "checkpoints", keep=resume)
        keys = [job.key(place) for job in jobs]
        wanted = [i for i, key in enumerate(keys) if not (resume and book.has(key))]
    if means.hardware.processes > 1:
        wanted = fabric_of(means.hardware).broadcast(wanted)
    todo = [jobs[i] for i in wanted]
    failures: list[Failure] = []
    done = len(jobs) - len(todo)
    bar = tqdm(total=len(jobs), initial=done, desc="runs", unit="run", disable=book is None)
    with bar:
        # All teachers come first: students of one seed then share the teacher's checkpoint.
        for of_teachers in (True, False):
            failed = {(failure.job.task, failure.job.seed) for failure in failures}
            wave = [
                job
                for job in todo
                if (job.arm == TEACHER) is of_teachers and (job.task, job.seed) not in failed
            ]
            for job, outcome in _results(wave, place, means):
                if isinstance(outcome, str):
                    failures.append(Failure(job, outcome))
                elif book is not None:
                    book.append(outcome)
                    _forget_checkpoint(job, place)
                bar.set_postfix_str(str(job), refresh=False)
                bar.update()
    found = {record["key"]: record for record in book or ()}
    return [found[key] for key in keys if key in found], failures


def _results(
    jobs: list[Job], place: Place, means: Means
) -> Iterator[tuple[Job, records.Record | str]]:
    """Each job with its record or, where it failed, the error; in the order in which they end."""
    if means.workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield _carry_out(job, place, means.threads)
        return
    workers = Parallel(n_jobs=means.workers, return_as="generator_unordered", batch_size=1)
    try:
        yield from workers(delayed(_carry_out)(job, place, means.threads) for job in jobs)
    except BaseException:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)  # nobody waits for them
        raise


def _carry_out(job: Job, place: Place, threads: int) -> tuple[Job, records.Record | str]:
    torch.set_num_threads(threads)
    try:
        problem = problem_of(job.task, job.seed)
        teacher = train_teacher(job.task, job.seed, problem, place)
        return job, run(job.task, job.arm, job.seed, problem, teacher, place)[0]
    except Exception as error:  # one run that fails, for whatever reason, must not end the others
        # Processes that train together would wait for one that failed alone: what all of them meet
        # alike is a failure of the run, anything else ends the study, to go on when it is repeated.
        alike = isinstance(error, ValueError | FloatingPointError)
        if place.hardware.processes > 1 and not alike:
            raise
        return job, f"{type(error).__name__}: {error}"


def problem_of(task: Task, seed: int) -> Problem:
    """The draw that belongs to a seed, with the parts that the task's rules of selection need."""
    return _drawn(task, seed, task.data_root)


@lru_cache(maxsize=1)
def _drawn(task: Task, seed: int, _: Path | None) -> Problem:
    """The root is an argument because tasks that differ by it alone are equal."""
    selects = {task.recipe.teacher.select, task.recipe.student.select}
    return kept_out(task.problem(seed), selects, KEPT_OUT, seed)


def _clean_checkpoints(folder: Path, *, keep: bool) -> None:
    """Remove what a killed run left half-written, and without `keep` everything."""
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)


def _forget_checkpoint(job: Job, place: Place) -> None:
    """A recorded student needs its checkpoint no more; a teacher's serves later arms."""
    checkpoint = place.checkpoint(job.key(place))
    if job.arm != TEACHER and checkpoint is not None:
        checkpoint.path.unlink(missing_ok=True)


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
