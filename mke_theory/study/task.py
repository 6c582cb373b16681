"""What an experiment needs of a real task or of a synthetic world: one small interface for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.objective import Objective
from mke_theory.study.arms import Arm
from mke_theory.training.loop import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """How teacher and students of a task are trained; the same for every arm.

    `kept_out` is the share of D_u that a `select` other than "last" keeps out of training. With
    `from_teacher` a student begins with the teacher's weights if it has a place, of the same name
    and shape, for every one of them: a branch, in a model that has one for each modality.
    """

    teacher: TrainConfig = TrainConfig()
    student: TrainConfig = TrainConfig()
    objective: Objective = Objective()
    kept_out: float = 0.2
    from_teacher: bool = False

    def __post_init__(self) -> None:
        if self.teacher.select == "agreement":
            raise ValueError("a teacher has no teacher to agree with: select last or labelled")


@dataclass(frozen=True)
class Task:
    """A frozen dataclass whose fields are the task's settings, all part of a run's record.

    A subclass states `name`, `title` and `varies`, and implements `problem`, `model` and `width`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    varies: ClassVar[str]
    """What differs between seeds, and what does not: the scope of every interval over seeds."""
    metric: ClassVar[str] = "accuracy"
    """The name of the headline metric, in which gains are counted; the first of `scores`."""
    lasts: ClassVar[bool] = False
    """True where five seeds of all arms take an hour rather than minutes on a processor."""
    recipe: Recipe

    def missing(self, data_root: Path | None) -> str | None:
        """What to do before the task can run, or None if it can."""
        return None

    def data_hash(self, data_root: Path | None) -> str | None:
        """A hash that changes with the files the task reads; None where it reads none."""
        return None

    def libraries(self, data_root: Path | None) -> tuple[str, ...]:
        """Modules beside torch and numpy that decide what a run computes: who reads, who encodes.

        Their versions are part of what a run is.
        """
        return ()

    def class_names(self) -> tuple[str, ...]:
        """The classes by name, for figures; none where their numbers say it all."""
        return ()

    def knows_truth(self, data_root: Path | None) -> bool:
        """True where every sample of D_u carries its class; without it some arms cannot run."""
        return True

    def scores(self, said: Tensor, truth: Tensor) -> dict[str, float]:
        """Every metric of a model's word on a pool by name, the headline first; shares in [0, 1].

        `said` are decided classes [n, ...] or, multi-label, probabilities [n, k]; `truth` is as in
        the pool, −1 where it is unknown.
        """
        known = truth != UNKNOWN
        return {"accuracy": float((said == truth)[known].double().mean())}

    def bounds(
        self, said: Tensor, truth: Tensor, data_root: Path | None
    ) -> Mapping[str, tuple[float, float]]:
        """How low and high a metric on test could be with samples that the data root lacks.

        `said` and `truth` are those of `scores`, on the samples that are there. Empty where nothing
        is known of samples that are not.
        """
        return {}

    def problem(self, seed: int, data_root: Path | None = None) -> Problem:
        """The draw of data and split that belongs to a seed."""
        raise NotImplementedError

    def scenes(self, problem: Problem) -> dict[str, np.ndarray]:
        """What a figure shows of a few test samples, beside what each arm says of them; or nothing.

        rows: which test samples, [f]; image: uint8 [f, h, w, 3]; truth: [f, h, w], −1 where a pixel
        does not count; depth: [f, h, w] in metres, where there is one; names: of the classes.
        """
        return {}

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
