"""The one interface of real tasks and synthetic worlds, as far as an experiment needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from torch import Tensor, nn

from mke_theory.data.answer_files import file_name, load_answers
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.objective import Objective
from mke_theory.study.arms import Arm
from mke_theory.training.loop import TrainConfig

PLACE = {"place": True}
"""The metadata of a field that says where files are: part of a task, but not of its settings."""


@dataclass(frozen=True)
class Recipe:
    """The training of the teacher and the students of a task; the same for every arm.

    With `from_teacher` a student begins with the teacher's weights if it has a place, of the same
    name and shape, for every one of them: a branch, in a model that has one for each modality.
    """

    teacher: TrainConfig = TrainConfig()
    student: TrainConfig = TrainConfig()
    objective: Objective = Objective()
    from_teacher: bool = False


@dataclass(frozen=True)
class Task:
    """A frozen dataclass whose fields are the task's settings, part of every run's record.

    A subclass gives `name`, `title` and `varies` (as class variables, or as properties where its
    settings decide them) and implements `problem`, `model` and `width`.
    """

    metric: ClassVar[str] = "accuracy"
    """The name of the headline metric, in which gains are counted; the first of `scores`."""
    usual_arms: ClassVar[tuple[str, ...]] = ()
    """Names of the arms that run where none is asked for, beside the teacher; none means all."""
    lasts: ClassVar[bool] = False
    """True where five seeds of all arms take an hour rather than minutes on a processor."""
    recipe: Recipe
    data_root: Path | None = field(default=None, compare=False, kw_only=True)
    """The folder with one sub-folder a data set, bound by `at`; no part of what a run is."""
    teacher_answers: Path | None = field(default=None, kw_only=True, metadata=PLACE)
    """The folder with the teacher's answers, a file a seed; None where teachers are trained. Two
    tasks with other folders differ, and what is in the files is part of what a run is."""

    @property
    def name(self) -> str:
        """The key of the task in records and on the command line."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """The heading of the task in tables."""
        raise NotImplementedError

    @property
    def varies(self) -> str:
        """The differences between seeds, in words: the scope of every interval over seeds."""
        raise NotImplementedError

    def at(self, data_root: Path | None) -> Self:
        """The same task, reading its files from this data root."""
        return replace(self, data_root=data_root)

    def folder(self, name: str) -> Path:
        """The folder of a data set; FileNotFoundError where no data root is bound."""
        if self.data_root is None:
            raise FileNotFoundError(f"{self.name} needs a data root; name it by --data-root")
        return self.data_root / name

    def answered_by(self, folder: Path | None) -> Self:
        """The same task, whose teacher is its answers alone: a file in this folder for each seed.

        The files are those of `data.answer_files`.
        """
        return replace(self, teacher_answers=folder)

    def answers_file(self, seed: int) -> Path | None:
        """The file with the teacher's answers at a seed; None where the teacher is trained."""
        if self.teacher_answers is None:
            return None
        return self.teacher_answers / file_name(self.name, seed)

    def draw(self, seed: int) -> Problem:
        """The problem of a seed, with the teacher's answers where it is known by them alone.

        Raises FileNotFoundError or ValueError where they are not there, or are another problem's.
        """
        file = self.answers_file(seed)
        problem = self.problem(seed)
        return problem if file is None else load_answers(file, problem)

    def missing(self) -> str | None:
        """The remedy where the task cannot run; None where it can."""
        return None

    def data_hash(self) -> str | None:
        """A hash that changes with the files the task reads; None where it reads none."""
        return None

    def libraries(self) -> tuple[str, ...]:
        """Modules beside torch and numpy that decide what a run computes: who reads, who encodes.

        Their versions are part of what a run is.
        """
        return ()

    def class_names(self) -> tuple[str, ...]:
        """The classes by name, for figures; none where their numbers say it all."""
        return ()

    def found(self, seed: int) -> tuple[tuple[str, str], ...]:
        """Findings in files that a user brought: rows of a table, some of them cautions."""
        return ()

    def knows_truth(self) -> bool:
        """True where every sample of D_u carries its class; without it some arms cannot run."""
        return True

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        """Every metric of a model's predictions by name, the headline first; shares in [0, 1].

        `predictions` are classes [n, ...] or, multi-label, probabilities [n, k]; `truth` has −1
        where it is unknown.
        """
        known = truth != UNKNOWN
        return {"accuracy": float((predictions == truth)[known].double().mean())}

    def bounds(self, predictions: Tensor, truth: Tensor) -> Mapping[str, tuple[float, float]]:
        """The least and greatest value of metrics on test, over samples that the data root lacks.

        `predictions` and `truth` are those of `scores`, on the samples that are there. Empty where
        nothing is known of samples that are not.
        """
        return {}

    def problem(self, seed: int) -> Problem:
        """The draw of data and split that belongs to a seed."""
        raise NotImplementedError

    def scenes(self, problem: Problem) -> dict[str, np.ndarray]:
        """A few test samples for figures that set every arm's predictions beside them; or none.

        rows: which test samples, [f]; image: uint8 [f, h, w, 3]; truth: [f, h, w], −1 where a pixel
        does not count; depth: [f, h, w] in metres, where there is one; names: of the classes.
        """
        return {}

    def prepare(self) -> None:
        """Whatever is made once for all runs, and takes long: called before any of them begins."""

    def at_full_size(self, model: nn.Module, problem: Problem) -> tuple[nn.Module, Pool]:
        """A trained model and the test part as figures and further metrics see them.

        They are as they were trained; a task whose labels were made smaller gives the whole ones,
        and a model that answers in their size.
        """
        return model, problem.test

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """A fresh model on some of the problem's modalities; `width` replaces the task's own.

        A model of several modalities has to grow with `width`, so that sizes can be matched.
        """
        raise NotImplementedError

    def width(self, modalities: tuple[str, ...]) -> int:
        """The width that `model` takes when none is given."""
        raise NotImplementedError

    def adapt(self, arm: Arm) -> Arm:
        """The arm as this task runs it; a task that departs from the usual arms says so here."""
        return arm

    def init_seed(self, role: str, seed: int) -> int:
        """The seed of the initial weights of the "teacher" or a "student".

        All students of a run start from one seed, so that arms differ by what the arm declares.
        """
        return seed_for(seed, "init", role)
