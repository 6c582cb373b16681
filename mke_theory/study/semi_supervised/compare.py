"""The entrants of the comparison at work: students trained in stacks, and a record of every run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from torch import nn

from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.evaluation.account import accuracy
from mke_theory.method import relatives as ssl
from mke_theory.method.job import Student, fit_alone
from mke_theory.method.pseudo_labels import decide
from mke_theory.method.relatives.method import Method
from mke_theory.method.transforms import acting
from mke_theory.models import MultimodalModel
from mke_theory.study import records
from mke_theory.study.arm_setup import teacher_to_be
from mke_theory.study.records import Record
from mke_theory.study.run import versions, written_code
from mke_theory.study.semi_supervised.baselines import (
    Answers,
    co_training,
    label_spreading,
    self_training,
)
from mke_theory.study.semi_supervised.contestants import CO_TRAINING_ROUNDS, Entrant
from mke_theory.study.task import Task
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import Outcome, fit_stack

WORTH_A_STACK = 4
"""Fewer students are trained one by one."""


@dataclass(frozen=True)
class Outcomes:
    """What an entrant answered at each seed (or the error, as text), and the seconds of one."""

    answers: tuple[Answers | str, ...]
    seconds: float


@dataclass(frozen=True)
class Cell:
    """A seed of a task: the problem, and its trained teacher."""

    seed: int
    problem: Problem
    teacher: nn.Module


def compete(task: Task, entrant: Entrant, seeds: Sequence[int]) -> list[Record | str]:
    """The record of the entrant at every seed, in order; a text where that run failed.

    `task` is what `comparable` made. Students of all seeds are trained in one stack, whose
    perturbations are those of single runs; so a seed's record depends on that seed alone, up to
    rounding. Seconds are those of the whole stack over its students.
    """
    cells, teachers_took = cells_of(task, tuple(seeds))
    found: list[Record | str] = []
    outcomes = answers_of(task, entrant, cells)
    if entrant.how == "teacher":
        outcomes = replace(outcomes, seconds=teachers_took)
    for cell, answers in zip(cells, outcomes.answers, strict=True):
        if isinstance(answers, str):
            found.append(f"{task.name} {entrant.name} seed {cell.seed}: {answers}")
        else:
            found.append(record_of(task, entrant, cell, answers, outcomes.seconds))
    return found


def cells_of(task: Task, seeds: tuple[int, ...]) -> tuple[tuple[Cell, ...], float]:
    """The problems of the seeds with their trained teachers, and the seconds that one teacher took.

    Raises FloatingPointError where a teacher diverged.
    """
    return _cells(task, seeds, task.data_root)


@lru_cache(maxsize=1)
def _cells(task: Task, seeds: tuple[int, ...], _: Path | None) -> tuple[tuple[Cell, ...], float]:
    """The root is an argument because tasks that differ by it alone are equal."""
    problems = [task.problem(seed) for seed in seeds]
    started = time.perf_counter()
    ready = [teacher_to_be(task, seed, found) for seed, found in zip(seeds, problems, strict=True)]
    cells = []
    for seed, problem, outcome in zip(seeds, problems, trained(ready), strict=True):
        if not isinstance(outcome, Fit):
            raise outcome
        cells.append(Cell(seed, problem, outcome.model))
    return tuple(cells), (time.perf_counter() - started) / len(seeds)


def answers_of(task: Task, entrant: Entrant, cells: Sequence[Cell]) -> Outcomes:
    """What the entrant says about D_u and test of every cell."""
    started = time.perf_counter()
    answers: list[Answers | str]
    if isinstance(entrant.how, Method):
        models = students(task, entrant, cells)
        answers = [
            model if isinstance(model, str) else _said(model, cell.problem)
            for model, cell in zip(models, cells, strict=True)
        ]
    elif entrant.how == "teacher":
        answers = [_said(cell.teacher, cell.problem) for cell in cells]
    else:
        answers = [_tried(partial(_classic, task, entrant, cell)) for cell in cells]
    return Outcomes(tuple(answers), (time.perf_counter() - started) / len(cells))


def students(task: Task, entrant: Entrant, cells: Sequence[Cell]) -> list[nn.Module | str]:
    """The last round's student of every cell, or why there is none; the entrant's is a method.

    Equal to `ssl.learn` with the same seeds and the budget of a round.
    """
    labellers: list[nn.Module | str] = [cell.teacher for cell in cells]
    for number in range(entrant.rounds):
        ready = {
            i: student_to_be(task, entrant, cells[i], labeller, number)
            for i, labeller in enumerate(labellers)
            if not isinstance(labeller, str)
        }
        for i, outcome in zip(ready, trained(list(ready.values())), strict=True):
            labellers[i] = outcome.model if isinstance(outcome, Fit) else str(outcome)
    return labellers


def student_to_be(
    task: Task, entrant: Entrant, cell: Cell, labeller: nn.Module, number: int = 0
) -> Student:
    """The student of a round of a method with its lessons, not yet trained."""
    problem, method, used = cell.problem, entrant.how, entrant.modalities(cell.problem)
    if not isinstance(method, Method):
        raise TypeError(f"{entrant.title} has no student of an objective; give a method")
    lessons = ssl.lessons_of(method, problem, labeller, used)
    objective = ssl.objective_on(method, lessons)
    objective = replace(objective, transform=acting(objective.transform, used))
    if objective.other != "same":
        objective = replace(objective, other=acting(objective.other, used))
    seed = seed_for(cell.seed, "student")
    return Student(
        build(task, problem, used, cell.seed, number),
        lessons,
        objective,
        entrant.budget(task.recipe.student),
        seed if number == 0 else seed_for(seed, "round", number),
    )


def build(
    task: Task, problem: Problem, used: tuple[str, ...], seed: int, number: int = 0
) -> nn.Module:
    """A fresh student of a round, the same for all methods; what is missing counts as zero."""
    start = task.init_seed("student", seed)
    with torch_seed(start if number == 0 else seed_for(start, "round", number)):
        model = task.model(problem, used)
    if isinstance(model, MultimodalModel) and model.missing == "refuse":
        model.missing = "zero"  # the same weights: zeros need no token
    return model


def trained(ready: Sequence[Student]) -> list[Outcome]:
    """The outcome of every student, trained in one stack, or one by one where that is faster.

    Stacked convolutions are convolutions in groups, on a processor several times slower than one by
    one (about four times, in two or three trials); and a few students are trained before their
    stack is traced. Results are the same up to rounding.
    """
    if len(ready) >= WORTH_A_STACK and not any(_convolves(student.model) for student in ready):
        return fit_stack(ready, draws="own")
    outcomes: list[Outcome] = []
    for student in ready:
        try:
            outcomes.append(fit_alone(student))
        except FloatingPointError as error:
            outcomes.append(error)
    return outcomes


def _convolves(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def _said(model: nn.Module, problem: Problem) -> Answers:
    return Answers(*(decide(predict(model, x)) for x in (problem.unlabelled, problem.test)))


def _classic(task: Task, entrant: Entrant, cell: Cell) -> Answers:
    problem, used = cell.problem, entrant.modalities(cell.problem)
    if entrant.how == "self_training":
        return self_training(problem, used)
    if entrant.how == "label_spreading":
        return label_spreading(problem, used)
    tenth = max(1, len(problem.unlabelled) // (10 * problem.classes))
    return co_training(
        problem,
        lambda view: build(task, problem, view, cell.seed),
        rounds=CO_TRAINING_ROUNDS,
        per_class=tenth,
        config=entrant.budget(task.recipe.student),
        seed=cell.seed,
    ).answers


def _tried(answer: Callable[[], Answers]) -> Answers | str:
    try:
        return answer()
    except Exception as error:  # one run that fails must not end the others
        return f"{type(error).__name__}: {error}"


def key_of(task: Task, entrant: Entrant, seed: int) -> str:
    """The key of the record of an entrant at a seed."""
    return records.run_key(
        task=task.name,
        arm=entrant.name,
        seed=seed,
        config_hash=records.config_hash(config_of(task, entrant)),
        data_hash=task.data_hash(),
        code=written_code(),
        environment=environment_of(),
    )


def environment_of() -> dict[str, str]:
    """Versions, machine and device, and whose noise a student sees."""
    return versions() | Hardware().named() | {"students": "own draws"}


def config_of(task: Task, entrant: Entrant) -> dict[str, object]:
    """All settings that decide a run, beside its seed."""
    return {"task": task, "entrant": entrant}


def record_of(
    task: Task,
    entrant: Entrant,
    cell: Cell,
    answers: Answers,
    seconds: float,
) -> Record:
    """What came out of an entrant at a seed; accuracies are shares in [0, 1]."""
    problem, config = cell.problem, config_of(task, entrant)
    counts = {part: len(getattr(problem, part)) for part in ("labelled", "unlabelled", "test")}
    return {
        "key": key_of(task, entrant, cell.seed),
        "task": task.name,
        "title": task.title,
        "arm": entrant.name,
        "arm_title": entrant.title,
        "sees": entrant.sees,
        "seed": cell.seed,
        "config": records.canonical(config),
        "config_hash": records.config_hash(config),
        "split_hash": problem.split_hash,
        "code": written_code(),
        "environment": environment_of(),
        "varies": task.varies,
        "counts": counts,
        "metrics": {
            "test": float(accuracy(answers.test, problem.test.labels)),
            "unlabelled": float(accuracy(answers.unlabelled, problem.unlabelled.labels)),
        },
        "seconds": round(seconds, 4),
    }
