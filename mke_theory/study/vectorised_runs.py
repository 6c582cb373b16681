"""Many runs in one process: arms and seeds of tasks and worlds, their students trained in stacks.

`study.execute` trains one student after another; `execute_stacked` writes the same records from
stacks of students, several hundred at a time, and is what sweeps are made of.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from torch import nn
from tqdm import tqdm

from mke_theory.data.problem import Problem
from mke_theory.evaluation.account import accuracy
from mke_theory.method.job import Student
from mke_theory.method.pseudo_labels import PseudoLabels, decide
from mke_theory.study import records
from mke_theory.study.arm_setup import student_to_be, teacher_to_be
from mke_theory.study.arms import SIX_ARMS, Arm
from mke_theory.study.run import as_teacher, config_of, record_of, versions, written_code
from mke_theory.study.study import Failure, Job, Means, plan, problem_of
from mke_theory.study.task import Task
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import Draws, Outcome, fit_stack

T = TypeVar("T")

Cell = tuple[Task, int]
"""A task and a seed."""


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

    @property
    def test_accuracy(self) -> float:
        """The share of the test samples, where their class is known, that the model gets right."""
        test = self.problem.test
        return float(accuracy(decide(predict(self.fit.model, test)), test.labels))


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
    `Failure`, and with a teacher all its students. Raises ValueError where `means` asks for a
    precision or a number of devices that stacks do not have, TypeError where `tasks` are no tasks,
    `arms` no arms or `stacking` is none.
    """
    means, stacking = means or Means(), stacking or Stacking()
    _refuse_hardware(means)
    if not isinstance(stacking, Stacking):
        raise TypeError(f'stacking is {stacking!r}; give Stacking(draws="own"), say')
    jobs = plan(_listed("tasks", tasks, Task), _listed("arms", arms, Arm), seeds)
    return _carried_out(jobs, stacking, means, progress)


def _listed(name: str, values: Iterable[T], kind: type[T]) -> list[T]:
    """The values; TypeError where they are no list of that kind."""
    if isinstance(values, str | kind):
        raise TypeError(f"{name} is {values!r}; give a list of them: [{name[:-1]}]")
    listed = list(values)
    for value in listed:
        if not isinstance(value, kind):
            raise TypeError(f"{name} holds {value!r}, which is no {kind.__name__}")
    return listed


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
    have keys of their own: with shared draws the noise is not that of a single run. Raises
    ValueError where `means` asks for a precision or a number of devices that stacks do not have.
    """
    _refuse_hardware(means)
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
        data_hash=job.task.data_hash(),
        code=written_code(),
        environment=environment_of(means, stacking),
    )


def environment_of(means: Means, stacking: Stacking) -> dict[str, str]:
    """Versions, machine and device, and that students were stacked."""
    stacked = {"students": f"stacked, {stacking.draws} draws"}
    return versions() | means.hardware.named() | stacked


def _refuse_hardware(means: Means) -> None:
    """Raise ValueError where records would claim a hardware that stacks do not use."""
    hardware = means.hardware
    if hardware.precision != "32-true" or hardware.devices * hardware.num_nodes != 1:
        raise ValueError(
            f"precision is {hardware.precision!r} on {hardware.devices} × {hardware.num_nodes} "
            "devices; stacks are trained as their models are, on one device: use '32-true' and "
            "1 × 1, or study.execute"
        )


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
    try:
        yield from workers(delayed(_recorded)(part, means, stacking) for part in parts)
    except BaseException:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)  # nobody waits for them
        raise


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
        record = _tried(
            record_of,
            job.task,
            job.task.adapt(job.arm),
            job.seed,
            trained.problem,
            trained.teacher,
            trained.fit,
            trained.pseudo,
        )
        if isinstance(record, str):
            made.append(Failure(job, record))
        else:
            made.append(record | {"environment": environment_of(means, stacking)})
    return jobs, made


def _carried_out(
    jobs: Sequence[Job], stacking: Stacking, means: Means, progress: str | None
) -> list[Trained | Failure]:
    """Teachers in stacks, then all students in stacks; a job that fails has its `Failure`."""
    device = means.hardware.fabric().device

    def trained(students: list[Student], what: str) -> list[Fit | str]:
        title = None if progress is None else f"{progress}: {what}"
        return _fits(students, stacking, device, title)

    taught = _taught(dict.fromkeys((job.task, job.seed) for job in jobs), means, trained)
    begun = [_begun(job, taught[job.task, job.seed]) for job in jobs]
    waiting = [one.student for one in begun if isinstance(one, _Waiting)]
    fits = iter(trained(waiting, "students"))
    return [one.ended(next(fits)) if isinstance(one, _Waiting) else one for one in begun]


def _taught(
    cells: Iterable[Cell], means: Means, trained: Callable[[list[Student], str], list[Fit | str]]
) -> dict[Cell, tuple[Problem, Fit] | str]:
    """The problem of every task and seed with its trained teacher, or the error."""
    taught: dict[Cell, tuple[Problem, Fit] | str] = {}
    ready: list[tuple[Cell, Problem, Student]] = []
    for cell in cells:
        problem = _tried(problem_of, *cell)
        teacher = problem if isinstance(problem, str) else _tried(teacher_to_be, *cell, problem)
        if isinstance(teacher, str):
            taught[cell] = teacher
        else:
            ready.append((cell, problem, teacher))
    outcomes = trained([teacher for _, _, teacher in ready], "teachers")
    for (cell, problem, _), outcome in zip(ready, outcomes, strict=True):
        taught[cell] = (problem, outcome) if isinstance(outcome, Fit) else outcome
    return taught


@dataclass(frozen=True)
class _Waiting:
    """A job whose student has its lessons, and is yet to be trained."""

    job: Job
    problem: Problem
    teacher: nn.Module
    student: Student
    pseudo: PseudoLabels

    def ended(self, outcome: Fit | str) -> Trained | Failure:
        if isinstance(outcome, str):
            return Failure(self.job, outcome)
        return _trained(self.job, self.problem, self.teacher, self.pseudo, outcome)


def _begun(job: Job, taught: tuple[Problem, Fit] | str) -> _Waiting | Trained | Failure:
    """The student of a job before training; the teacher's own arm needs none."""
    if isinstance(taught, str):
        return Failure(job, taught)
    (problem, teacher), arm = taught, job.task.adapt(job.arm)
    if arm.learns_from == "labels":
        found = _tried(as_teacher, job.task, arm, problem, teacher)
        if isinstance(found, str):
            return Failure(job, found)
        return _trained(job, problem, teacher.model, found[1], found[0])
    found = _tried(student_to_be, job.task, arm, job.seed, problem, teacher.model)
    if isinstance(found, str):
        return Failure(job, found)
    return _Waiting(job, problem, teacher.model, *found)


def _trained(
    job: Job, problem: Problem, teacher: nn.Module, pseudo: PseudoLabels, fit: Fit
) -> Trained:
    return Trained(job.task, job.task.adapt(job.arm), job.seed, problem, teacher, pseudo, fit)


def _fits(
    students: Sequence[Student], stacking: Stacking, device: torch.device, title: str | None
) -> list[Fit | str]:
    """The `Fit` of every student or its error; one that cannot be stacked stops no other.

    Halves of what fails are tried on their own, down to the student whose fault it is; so are those
    of stacks that are too large for the memory.
    """
    # Some may be trained already when another fails: the halves begin with the weights of before.
    ready = [replace(one, model=copy.deepcopy(one.model)) for one in students]
    found = _tried(_stacks, ready, stacking, device, title)
    if not isinstance(found, str):
        return [one if isinstance(one, Fit) else str(one) for one in found]
    if len(students) == 1:
        return [found]
    middle = len(students) // 2
    halves = students[:middle], students[middle:]
    return [fit for half in halves for fit in _fits(half, stacking, device, title)]


def _stacks(
    students: Sequence[Student], stacking: Stacking, device: torch.device, title: str | None
) -> list[Outcome]:
    return fit_stack(
        students, draws=stacking.draws, size=stacking.size, device=device, progress=title
    )


def _tried(function: Any, *arguments: Any) -> Any:
    """What `function` returns or, where it fails, its error as a text: the other runs go on."""
    try:
        return function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
