"""A study: runs that are wanted, those that are recorded already, and the rest over processes.

Finished runs are recorded before the next ones are begun, so a study that is killed at any moment
goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from mke_theory.study.arm_setup import teacher_of
from mke_theory.study.arms import ARMS, REFERENCE, Arm
from mke_theory.study.configuration import RunConfiguration, TrainerName
from mke_theory.study.processes import WorkerKilledError, over_processes
from mke_theory.study.recording import key_of, record_of
from mke_theory.study.records import Record, Records
from mke_theory.study.result import Cell, Failure, Run
from mke_theory.study.runner import run, train_teachers
from mke_theory.study.task import Task
from mke_theory.study.trainers import trainer_of
from mke_theory.training.hardware import broadcast
from mke_theory.training.loop import Fit

Listed = TypeVar("Listed")

_NO_WEIGHTS = "the teacher is its answers alone, and has none"


def plan(tasks: Iterable[Task], arms: Iterable[Arm] | None, seeds: Iterable[int]) -> list[Run]:
    """All runs, the reference arm's first; it is always among them, as what gains refer to.

    None in place of arms means every task's usual ones. An arm that under a task's objective would
    repeat another one is not run on it. Raises TypeError where `tasks` are no tasks or `arms` no
    arms.
    """
    tasks, seeds = _listed("tasks", tasks, Task), list(seeds)
    chosen = None if arms is None else _listed("arms", arms, Arm)
    references = [Cell(task, seed).teacher for task in tasks for seed in seeds]
    return references + [
        Run(task, arm, seed)
        for task in tasks
        for seed in seeds
        for arm in (usual_arms(task) if chosen is None else chosen)
        if arm.name != REFERENCE and not repeats_another(arm, task)
    ]


def usual_arms(task: Task) -> list[Arm]:
    """The arms that run on a task where none is asked for, in the order of the tables."""
    return [arm for arm in ARMS.values() if not task.usual_arms or arm.name in task.usual_arms]


def _listed(name: str, values: Iterable[Listed], kind: type[Listed]) -> list[Listed]:
    """The values; TypeError where they are no list of that kind."""
    if isinstance(values, str | kind):
        raise TypeError(f"{name} is {values!r}; give a list of them: [{name[:-1]}]")
    listed = list(values)
    for value in listed:
        if not isinstance(value, kind):
            raise TypeError(f"{name} holds {value!r}, which is no {kind.__name__}")
    return listed


def repeats_another(arm: Arm, task: Task) -> bool:
    """True where the task's objective has nothing of what tells the arm from another one."""
    return arm.decision == "adjusted" and task.recipe.objective.adjustment == 0


def feasible(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs that can be carried out, and a line for each arm that cannot or goes another way.

    The first problem of every task is drawn on the way, its teacher is built and its data are
    hashed, so that what is damaged, absent or impossible raises here, before any work has started.
    Where the teacher is its answers, the problem of every seed is drawn and the answers are checked
    against it.
    """
    knows: dict[Task, bool] = {}
    lines: dict[str, None] = {}
    for cell in dict.fromkeys(one.cell for one in runs):
        task, seed = cell.task, cell.seed
        if task in knows and task.teacher_answers is None:
            continue
        problem = task.draw(seed)  # kept by nobody: runs may have processes of their own
        if problem.answered and task.recipe.from_teacher:
            lines[f"{task.name}: students begin with new weights; {_NO_WEIGHTS}"] = None
        if task not in knows:
            teacher_of(task, seed, problem)
            task.data_hash()  # where the weights are, for instance
            knows[task] = task.knows_truth()
    reasons = {
        one: _unfit(one.arm, one.task, knows[one.task]) for one in runs if isinstance(one.arm, Arm)
    }
    lines |= dict.fromkeys(
        f"left out {one.task.name} {one.arm.name}: {why}" for one, why in reasons.items() if why
    )
    return [one for one in runs if reasons.get(one) is None], list(lines)


def _unfit(arm: Arm, task: Task, knows_truth: bool) -> str | None:
    """The reason why the arm cannot run on the task, or None."""
    if arm.needs_truth and not knows_truth:
        return "it needs the class of every sample of D_u"
    objective = task.recipe.objective
    whole = objective.pseudo_labels.threshold == 0 and not objective.multilabel
    if arm.errors == "random" and not whole:
        return "random errors stand for labels of one class a sample, without a threshold"
    return None


def execute(
    runs: Sequence[Run],
    records: Records | None,
    configuration: RunConfiguration,
    *,
    resume: bool = True,
) -> tuple[list[Record], list[Failure]]:
    """The records of all runs, in their order, and the failures.

    Only runs without a record are carried out; with `resume` off all are, from the beginning.
    Teachers come first; a student whose teacher failed is not tried. Where several processes train
    together, the first has the records and says what is to be done; the others take part with
    None, and return no record.
    """
    keys: list[str] = []
    wanted: list[int] = []
    if records is not None:
        if configuration.folder is not None:
            _clean_checkpoints(configuration.folder / "checkpoints", keep=resume)
        keys = [key_of(one, configuration) for one in runs]
        wanted = [i for i, key in enumerate(keys) if not (resume and records.has(key))]
        for task in dict.fromkeys(runs[i].task for i in wanted):
            task.prepare()  # in this process alone: the others find it made
    wanted = broadcast(wanted, configuration.hardware)
    todo = [runs[i] for i in wanted]
    with tqdm(total=len(runs), desc="runs", unit="run", disable=records is None) as bar:
        bar.update(len(runs) - len(todo))
        teachers = _teachers(todo, configuration)
        failures = [teacher for teacher in teachers.values() if isinstance(teacher, Failure)]
        left = [one for one in todo if isinstance(teachers[one.cell], Fit)]
        bar.update(len(todo) - len(left))
        parts = [
            (trainer, part, {one.cell: teachers[one.cell] for one in part})
            for trainer, part in _parts(left, configuration)
        ]
        carry_out = partial(_recorded, configuration=configuration)
        workers, threads = configuration.workers, configuration.threads
        for _, made in over_processes(parts, carry_out, workers, threads, killed=_killed):
            for outcome in made:
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                elif records is not None:
                    records.append(outcome)
                    _forget_checkpoints(outcome, configuration)
                bar.update()
    return ([] if records is None else records.of(keys)), failures


def _teachers(runs: Sequence[Run], configuration: RunConfiguration) -> dict[Cell, Fit | Failure]:
    """The teacher of every run's cell, or its failure; students get it as a value."""
    wanted = list(dict.fromkeys(one.cell.teacher for one in runs))
    teachers: dict[Cell, Fit | Failure] = {}
    train = partial(_trained_teachers, configuration=configuration)
    parts = _parts(wanted, configuration)
    workers, threads = configuration.workers, configuration.threads
    for _, trained in over_processes(parts, train, workers, threads, killed=_killed_teachers):
        teachers |= trained
    return teachers


def _parts(
    runs: Sequence[Run], configuration: RunConfiguration
) -> list[tuple[TrainerName, list[Run]]]:
    """The runs that are carried out together, and their trainer: one by one, a run at a time.

    Runs of one task and arm stay together, since their jobs differ in numbers alone. Processes are
    told the trainer: to find it they would have to draw a problem.
    """
    alone: list[Run] = []
    together: list[Run] = []
    for one in runs:
        vectorised = trainer_of(one.task, configuration) == "vectorised"
        (together if vectorised else alone).append(one)
    tasks = {task: i for i, task in enumerate(dict.fromkeys(one.task for one in together))}
    arms = {arm: i for i, arm in enumerate(dict.fromkeys(one.arm for one in together))}
    together.sort(key=lambda one: (tasks[one.task], arms[one.arm], one.seed))
    size = configuration.part_size(len(together))
    count = -(-len(together) // size)
    ends = [len(together) * i // max(1, count) for i in range(count + 1)]
    return [
        *(("vectorised", together[a:b]) for a, b in pairwise(ends)),
        *(("one by one", [one]) for one in alone),
    ]


def _trained_teachers(
    part: tuple[TrainerName, Sequence[Run]], configuration: RunConfiguration
) -> dict[Cell, Fit | Failure]:
    trainer, runs = part
    teachers = train_teachers([one.cell for one in runs], replace(configuration, trainer=trainer))
    for teacher in teachers.values():
        _refuse_to_fail_alone(teacher, configuration)
    return teachers


def _recorded(
    part: tuple[TrainerName, Sequence[Run], dict[Cell, Fit | Failure]],
    configuration: RunConfiguration,
) -> list[Record | Failure]:
    """The records of some runs that are carried out together, whose teachers are trained."""
    trainer, runs, teachers = part
    configuration = replace(configuration, trainer=trainer)
    made: list[Record | Failure] = []
    for result in run(runs, configuration, teachers=teachers):
        outcome: Record | Failure
        if isinstance(result, Failure):
            outcome = result
        else:
            try:
                outcome = record_of(result, configuration)
            except Exception as error:  # one run that fails, for whatever reason, ends no other
                outcome = Failure.of(result.run, error)
        _refuse_to_fail_alone(outcome, configuration)
        made.append(outcome)
    return made


def _killed(
    part: tuple[TrainerName, Sequence[Run], dict[Cell, Fit | Failure]], error: WorkerKilledError
) -> list[Record | Failure]:
    """The failures of runs whose process was killed."""
    return [Failure(one, str(error)) for one in part[1]]


def _killed_teachers(
    part: tuple[TrainerName, Sequence[Run]], error: WorkerKilledError
) -> dict[Cell, Fit | Failure]:
    return {one.cell: Failure(one, str(error)) for one in part[1]}


def _refuse_to_fail_alone(outcome: object, configuration: RunConfiguration) -> None:
    """Raise the error of a run that one of several processes may have met alone.

    Processes that train together would wait for one that failed alone: an error that all of them
    meet alike is a failure of the run, any other ends the study, to go on when it is repeated.
    """
    if configuration.hardware.processes == 1 or not isinstance(outcome, Failure):
        return
    if not isinstance(outcome.cause, ValueError | FloatingPointError | None):
        raise outcome.cause


def _clean_checkpoints(folder: Path, *, keep: bool) -> None:
    """Remove what a killed run left half-written, and without `keep` everything."""
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)


def _forget_checkpoints(record: Record, configuration: RunConfiguration) -> None:
    """A recorded student needs its checkpoints no more; a teacher's serves later arms."""
    checkpoint = configuration.checkpoint(record.key)
    if record.arm == REFERENCE or checkpoint is None:
        return
    for path in checkpoint.path.parent.glob(f"{record.key}*.pt"):
        path.unlink(missing_ok=True)
