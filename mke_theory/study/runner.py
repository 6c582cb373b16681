"""The one runner: any number of runs, each an arm at a seed of a task, carried out and judged.

The teacher of every (task, seed) is trained once and handed to its students as a value; then every
student is prepared, trained and accounted for by `method.algorithm.expand_all`. Each arm is judged
on D_u and on test as they were recorded, whatever it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mke_theory.data.problem import Problem
from mke_theory.method import algorithm
from mke_theory.method.algorithm import Expansion, ExpansionJob, predictions_of
from mke_theory.method.evidence import EvidenceExpansion, Plan, carry_out
from mke_theory.method.job import TrainingJob
from mke_theory.study.arm_setup import answering, student_of, teacher_itself, teacher_of
from mke_theory.study.arms import Arm
from mke_theory.study.configuration import RunConfiguration, TrainerName
from mke_theory.study.evidence_setup import notes_of, plan_of
from mke_theory.study.recording import key_of
from mke_theory.study.result import Cell, Failure, Result, Run
from mke_theory.study.semi_supervised.setup import (
    classic_result,
    contestant_plan,
    student_of_round,
)
from mke_theory.study.task import Task
from mke_theory.study.trainers import trainer_called, trainer_of
from mke_theory.training.loop import Fit

Teachers = Mapping[Cell, Fit | Failure]
"""The fit of every cell's teacher, or its failure."""

Done = Expansion | Result | Failure
"""A run's outcome so far: of its last student, of a method without one, or a failure."""


def run(
    runs: Sequence[Run],
    configuration: RunConfiguration | None = None,
    *,
    teachers: Teachers | None = None,
    progress: str | None = None,
) -> list[Result | Failure]:
    """The result of every run, in order, or its failure; with a teacher fail all its students.

    `teachers` are those that `train_teachers` gave, where they are trained already. `progress`
    names a progress bar.
    """
    configuration = configuration or RunConfiguration()
    cells = list(dict.fromkeys(one.cell for one in runs))
    if teachers is None:
        teachers = train_teachers(cells, configuration, progress=progress)
    teachers, problems = dict(teachers), dict[Cell, Problem]()
    for cell in cells:
        try:
            if isinstance(teachers[cell], Fit):
                problems[cell] = cell.problem()
        except Exception as error:  # a cell that fails ends no other
            teachers[cell] = Failure.of(cell.teacher, error)
    together = _Together(runs, teachers, problems, configuration, progress)
    done = together.without_students()
    done |= together.by_evidence(done)
    for number in range(1, max((one.arm.rounds for one in runs), default=0) + 1):
        done |= together.of_round(number, done)
    return [together.judged(i, done[i]) for i in range(len(runs))]


def train_teachers(
    cells: Iterable[Cell], configuration: RunConfiguration, *, progress: str | None = None
) -> dict[Cell, Fit | Failure]:
    """The teacher of every cell, or its failure: the same weights whenever it is called.

    One that is its answers alone is not trained.
    """
    teachers: dict[Cell, Fit | Failure] = {}
    jobs: dict[Cell, TrainingJob] = {}
    for cell in cells:
        try:
            problem = cell.problem()
            if problem.answered:
                teachers[cell] = answering(problem)
            else:
                jobs[cell] = teacher_of(cell.task, cell.seed, problem)
        except Exception as error:  # a cell that fails ends no other
            teachers[cell] = Failure.of(cell.teacher, error)
    title = None if progress is None else f"{progress}: teachers"
    for trainer in _trainers((cell.task for cell in jobs), configuration):
        own = [cell for cell in jobs if trainer_of(cell.task, configuration) == trainer]
        keys = [key_of(cell.teacher, configuration) for cell in own]
        train = trainer_called(trainer, configuration, keys, progress=title)
        outcomes = train([jobs[cell] for cell in own])
        for cell, outcome in zip(own, outcomes, strict=True):
            if isinstance(outcome, Exception):
                teachers[cell] = Failure.of(cell.teacher, outcome)
            else:
                teachers[cell] = outcome
    return teachers


@dataclass(frozen=True)
class _Together:
    """Runs that are carried out together, with the problem and the teacher of each of their cells.

    Outcomes are kept by the number of their run; one run that fails, for whatever reason, ends no
    other.
    """

    runs: Sequence[Run]
    teachers: Teachers
    problems: Mapping[Cell, Problem]
    configuration: RunConfiguration
    progress: str | None

    def without_students(self) -> dict[int, Done]:
        """Arms that use the teacher alone, classics that train no network, and failed teachers."""
        done: dict[int, Done] = {}
        for i, one in enumerate(self.runs):
            teacher = self.teachers[one.cell]
            if isinstance(teacher, Failure):
                done[i] = replace(teacher, run=one)
            elif one.arm.rounds == 0 and not one.arm.adds_evidence:
                try:
                    done[i] = _without_student(one, self.problems[one.cell], teacher)
                except Exception as error:
                    done[i] = Failure.of(one, error)
        return done

    def by_evidence(self, done: Mapping[int, Done]) -> dict[int, Done]:
        """Sums of experts, whose folds and rounds are trained together over all runs."""
        wanted = [i for i, one in enumerate(self.runs) if one.arm.adds_evidence and i not in done]
        outcomes: dict[int, Done] = {}
        for name in _trainers((self.runs[i].task for i in wanted), self.configuration):
            own = [i for i in wanted if self._trainer(i) == name]
            title = None if self.progress is None else f"{self.progress}: experts"
            train = trainer_called(name, self.configuration, progress=title)
            found = carry_out([self._plan(self.runs[i]) for i in own], train)
            for i, one in zip(own, found, strict=True):
                if isinstance(one, Exception):
                    outcomes[i] = Failure.of(self.runs[i], one)
                else:
                    outcomes[i] = one
        return outcomes

    def _plan(self, one: Run) -> Plan:
        problem, teacher = self.problems[one.cell], self._teacher(one).model
        if isinstance(one.arm, Arm):
            return plan_of(one.task, one.task.adapt(one.arm), one.seed, problem, teacher)
        return contestant_plan(one, problem, teacher)

    def of_round(self, number: int, done: Mapping[int, Done]) -> dict[int, Done]:
        """The students of round 1, 2, …: prepared, trained and accounted for."""
        outcomes: dict[int, Done] = {}
        jobs: dict[int, ExpansionJob] = {}
        for i, one in enumerate(self.runs):
            if number > one.arm.rounds or isinstance(done.get(i), Failure):
                continue
            try:
                jobs[i] = self._prepared(one, number, done.get(i))
            except Exception as error:
                outcomes[i] = Failure.of(one, error)
        for trainer in _trainers((self.runs[i].task for i in jobs), self.configuration):
            own = [i for i in jobs if self._trainer(i) == trainer]
            keys = [key_of(self.runs[i], self.configuration, number) for i in own]
            title = None if self.progress is None else f"{self.progress}: students"
            train = trainer_called(trainer, self.configuration, keys, progress=title)
            expansions = algorithm.expand_all([jobs[i] for i in own], train)
            for i, expansion in zip(own, expansions, strict=True):
                if isinstance(expansion, Exception):
                    outcomes[i] = Failure.of(self.runs[i], expansion)
                else:
                    outcomes[i] = _with_seconds_of(done.get(i), expansion)
        return outcomes

    def _trainer(self, i: int) -> TrainerName:
        return trainer_of(self.runs[i].task, self.configuration)

    def _prepared(self, one: Run, number: int, before: Done | None) -> ExpansionJob:
        """The student of a round: the one of the round before labels D_u for it."""
        problem, teacher = self.problems[one.cell], self._teacher(one).model
        if isinstance(one.arm, Arm):
            return student_of(one.task, one.task.adapt(one.arm), one.seed, problem, teacher)
        labeller = before.student if isinstance(before, Expansion) else teacher
        return student_of_round(one, problem, teacher, labeller, number)

    def _teacher(self, one: Run) -> Fit:
        teacher = self.teachers[one.cell]
        assert isinstance(teacher, Fit)  # a run whose teacher failed is done before any round
        return teacher

    def judged(self, i: int, outcome: Done) -> Result | Failure:
        """The result of a run, with its predictions on test."""
        one = self.runs[i]
        if isinstance(outcome, Result | Failure):
            return outcome
        problem = self.problems[one.cell]
        multilabel = one.task.recipe.objective.multilabel
        try:
            on_test = predictions_of(outcome.student, problem.test, multilabel=multilabel)
        except Exception as error:
            return Failure.of(one, error)
        predictions = {"unlabelled": outcome.predictions, "test": on_test}
        return Result(
            one,
            problem,
            self._teacher(one).model,
            outcome.pseudo,
            predictions,
            outcome.account,
            outcome.fit,
            outcome.fit.seconds,
            notes_of(outcome) if isinstance(outcome, EvidenceExpansion) else {},
        )


def _with_seconds_of(before: Done | None, now: Expansion) -> Expansion:
    """The expansion with the seconds of its earlier rounds added to those of its last one."""
    if not isinstance(before, Expansion) or before.fit.seconds is None or now.fit.seconds is None:
        return now
    return replace(now, fit=replace(now.fit, seconds=before.fit.seconds + now.fit.seconds))


def _without_student(one: Run, problem: Problem, teacher: Fit) -> Expansion | Result:
    if isinstance(one.arm, Arm):
        return teacher_itself(one.task, one.task.adapt(one.arm), problem, teacher)
    return classic_result(one, problem, teacher)


def _trainers(tasks: Iterable[Task], configuration: RunConfiguration) -> list[TrainerName]:
    return list(dict.fromkeys(trainer_of(task, configuration) for task in tasks))
