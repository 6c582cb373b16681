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
from typing import TYPE_CHECKING

import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from mke_theory import records
from mke_theory.arms import ARMS, Arm
from mke_theory.run import Place, key_of, run, train_teacher
from mke_theory.task import Task
from mke_theory.train import Hardware
from mke_theory.types import Problem

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TEACHER = ARMS["um_teacher"]


@dataclass(frozen=True)
class Job:
    """One run that is wanted."""

    task: Task
    arm: Arm
    seed: int

    def key(self, data_root: Path | None) -> str:
        """The key of its record."""
        return key_of(self.task, self.arm, self.seed, data_root)

    def __str__(self) -> str:
        return f"{self.task.name} {self.arm.name} seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error; the others went on."""

    job: Job
    error: str


@dataclass(frozen=True)
class Means:
    """What runs are carried out with: data, devices, processes, and threads in each."""

    data_root: Path | None = None
    hardware: Hardware = Hardware()
    workers: int = 1
    threads: int = 1
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")


def plan(tasks: Iterable[Task], arms: Iterable[Arm], seeds: Iterable[int]) -> list[Job]:
    """All jobs, teachers first; the teacher's arm is always among them, as what gains refer to."""
    tasks, seeds = list(tasks), list(seeds)
    students = [arm for arm in arms if arm.name != TEACHER.name]
    teachers = [Job(task, TEACHER, seed) for task in tasks for seed in seeds]
    return teachers + [Job(task, arm, seed) for task in tasks for seed in seeds for arm in students]


def execute(
    jobs: list[Job], book: records.Records, means: Means, *, resume: bool = True
) -> tuple[list[records.Record], list[Failure]]:
    """The records of all jobs, in their order, and the failures.

    Only runs without a record are carried out; with `resume` off all are, from the beginning.
    """
    failures: list[Failure] = []
    keys = [job.key(means.data_root) for job in jobs]
    if not resume:
        shutil.rmtree(book.folder / "checkpoints", ignore_errors=True)
    todo = [job for job, key in zip(jobs, keys, strict=True) if not (resume and book.has(key))]
    with tqdm(total=len(jobs), initial=len(jobs) - len(todo), desc="runs", unit="run") as bar:
        # All teachers come first: students of one seed then share the teacher's checkpoint.
        for wave in (True, False):
            now = [job for job in todo if (job.arm.name == TEACHER.name) is wave]
            for job, outcome in _results(now, book.folder, means):
                if isinstance(outcome, str):
                    failures.append(Failure(job, outcome))
                else:
                    book.append(outcome)
                    _forget_checkpoint(job, book.folder, means.data_root)
                bar.set_postfix_str(str(job), refresh=False)
                bar.update()
    found = {record["key"]: record for record in book}
    return [found[key] for key in keys if key in found], failures


def _results(
    jobs: list[Job], folder: Path, means: Means
) -> Iterator[tuple[Job, records.Record | str]]:
    """Each job with its record or, where it failed, the error; in the order in which they end."""
    if means.workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, _carry_out(job, folder, means)
        return
    workers = Parallel(n_jobs=means.workers, return_as="generator_unordered", batch_size=1)
    yield from workers(delayed(_labelled)(job, folder, means) for job in jobs)


def _labelled(job: Job, folder: Path, means: Means) -> tuple[Job, records.Record | str]:
    return job, _carry_out(job, folder, means)


def _carry_out(job: Job, folder: Path, means: Means) -> records.Record | str:
    torch.set_num_threads(means.threads)
    place = Place(
        data_root=means.data_root,
        folder=folder,
        fabric=_fabric(means.hardware),
        checkpoint_every=means.checkpoint_every,
    )
    try:
        problem = _problem(job.task, job.seed, means.data_root)
        teacher = train_teacher(job.task, job.seed, problem, place)
        return run(job.task, job.arm, job.seed, problem, teacher, place)[0]
    except (ArithmeticError, RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@lru_cache(maxsize=2)
def _problem(task: Task, seed: int, data_root: Path | None) -> Problem:
    return task.problem(seed, data_root)


@lru_cache(maxsize=1)
def _fabric(hardware: Hardware) -> Fabric:
    return hardware.fabric()


def _forget_checkpoint(job: Job, folder: Path, data_root: Path | None) -> None:
    """A recorded student needs its checkpoint no more; a teacher's serves later arms."""
    if job.arm.name != TEACHER.name:
        place = Place(data_root=data_root, folder=folder)
        checkpoint = place.checkpoint(job.key(data_root))
        if checkpoint is not None:
            checkpoint.path.unlink(missing_ok=True)


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
