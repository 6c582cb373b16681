"""A run that is wanted, the cell it belongs to, and its result: what becomes a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from mke_theory.data.problem import Problem
from mke_theory.evaluation.account import Account, accuracy
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.study.arms import ARMS, REFERENCE, Arm
from mke_theory.study.semi_supervised.contestants import Contestant
from mke_theory.study.task import Task
from mke_theory.training.loop import Fit


@dataclass(frozen=True)
class Run:
    """One run that is wanted: an arm, or a contestant of the semi-supervised comparison."""

    task: Task
    arm: Arm | Contestant
    seed: int

    @property
    def cell(self) -> Cell:
        """The run's task and seed, which share a problem and a teacher."""
        return Cell(self.task, self.seed)

    def __str__(self) -> str:
        return f"{self.task.name} {self.arm.name} seed {self.seed}"


@dataclass(frozen=True)
class Cell:
    """A task and a seed."""

    task: Task
    seed: int

    @property
    def teacher(self) -> Run:
        """The run of the cell's reference arm."""
        return Run(self.task, ARMS[REFERENCE], self.seed)

    def problem(self) -> Problem:
        """The draw that belongs to the cell; the last one drawn is kept."""
        return _drawn(self.task, self.seed, self.task.data_root)


@lru_cache(maxsize=1)
def _drawn(task: Task, seed: int, data_root: Path | None) -> Problem:
    return task.draw(seed)


@dataclass(frozen=True)
class Result:
    """A run that ended well: its problem, its teacher, and what the run's own model predicts.

    pseudo: the teacher's labels on D_u. predictions: part ("unlabelled", "test") to classes
    [n, ...], −1 where a method has none; multi-label, probabilities [n, k]. account: on D_u, None
    where a prediction is missing. fit: of the run's own model, of the teacher where the arm trains
    no other, and None where no network is trained. seconds: of training, all rounds together; None
    where nothing was trained now. notes: what the method has to say of itself, in plain values.
    """

    run: Run
    problem: Problem
    teacher: nn.Module
    pseudo: PseudoLabels
    predictions: Mapping[str, Tensor]
    account: Account | None
    fit: Fit | None
    seconds: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> nn.Module:
        """The model that predicts; ValueError where there is no network."""
        if self.fit is None:
            raise ValueError(f"{self.run} trains no network")
        return self.fit.model

    @property
    def test_accuracy(self) -> float:
        """The share of the test samples, where their class is known, that are predicted right."""
        return float(accuracy(self.predictions["test"], self.problem.test.labels))


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error; the others went on.

    `cause` stays in the process that met it.
    """

    run: Run
    error: str
    cause: Exception | None = field(default=None, compare=False)

    @classmethod
    def of(cls, run: Run, cause: Exception) -> Self:
        """The failure of a run by an error."""
        return cls(run, f"{type(cause).__name__}: {cause}", cause)

    def __reduce__(self) -> tuple[type[Self], tuple[Run, str]]:
        return type(self), (self.run, self.error)  # not every error can be sent to a process
