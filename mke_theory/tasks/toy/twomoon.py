"""TwoMoon: each coordinate of a two-moons point is a modality. The paper's toy problem, twice.

`TwoMoonPublished` follows the authors' notebook: one draw of the data, one teacher, several student
seeds, a scaler fitted on all points, width 32 for unimodal networks and 16 for multimodal ones, and
noise on the input of every student. `TwoMoon` is the fair version: a new draw for each seed, a
scaler fitted on training points, equal widths, and the arms as everywhere else.

Ref: xue2021mke, section on synthetic data and the published notebook.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise
from mke_theory.models import coordinates
from mke_theory.study.arms import Arm, adapted
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.files.standardise import standardiser
from mke_theory.training.loop import TrainConfig

_FULL_BATCH = TrainConfig(steps=1000, optimizer="sgd", learning_rate=0.01)

RECIPE = Recipe(
    teacher=_FULL_BATCH,
    student=replace(_FULL_BATCH, steps=2000),
    objective=Objective(transform=(InputNoise(1.0),)),
)
"""Full-batch SGD at 0.01, hard labels, noise of strength 1 on the input, no consistency term."""


@dataclass(frozen=True)
class TwoMoon(Task):
    """30 labelled points seen through x₁, 270 unlabelled ones through x₁ and x₂, 200 for test."""

    name: ClassVar[str] = "twomoon_fair"
    title: ClassVar[str] = "TwoMoon, fair"
    varies: ClassVar[str] = "data, split, weights, noise"

    recipe: Recipe = RECIPE
    points: int = 500
    noise: float = 0.1
    test_share: float = 0.4
    unlabelled_share: float = 0.9
    hidden: int = 16

    def problem(self, seed: int) -> Problem:
        """A new draw of the moons and of the split for each seed."""
        x, y = make_moons(self.points, noise=self.noise, random_state=seed32_for(seed, "data"))
        split = seed32_for(seed, "split")
        return self._split(x, y, test_seed=split, label_seed=split, scale_on_all=False)

    def _split(
        self, x: np.ndarray, y: np.ndarray, *, test_seed: int, label_seed: int, scale_on_all: bool
    ) -> Problem:
        rows = np.arange(len(y))
        train, test = train_test_split(rows, test_size=self.test_share, random_state=test_seed)
        labelled, unlabelled = train_test_split(
            train, test_size=self.unlabelled_share, random_state=label_seed
        )
        scaled = standardiser(x if scale_on_all else x[train])(x)
        values = torch.tensor(scaled, dtype=torch.float32)
        pool = Pool({"x1": values[:, :1], "x2": values[:, 1:]}, torch.tensor(y))
        return Problem.of(
            labelled=pool.rows(labelled).only(["x1"]),
            unlabelled=pool.rows(unlabelled),
            test=pool.rows(test),
            teacher_modalities=("x1",),
            classes=2,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """Two hidden layers with ReLU on the coordinates side by side."""
        width = width or self.width(modalities)
        shapes = {name: (1,) for name in modalities}
        return coordinates(shapes, problem.classes, hidden=(width, width))

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.hidden


@dataclass(frozen=True)
class TwoMoonPublished(TwoMoon):
    """The notebook's protocol: a seed here picks the student's weights and noise, nothing else."""

    name: ClassVar[str] = "twomoon"
    title: ClassVar[str] = "TwoMoon, as published"
    varies: ClassVar[str] = "students' weights and noise; data, split and teacher are the same"

    recipe: Recipe = replace(RECIPE, objective=Objective(transform=(InputNoise(1.0, pooled=True),)))
    hidden: int = 32
    hidden_multimodal: int = 16
    data_seed: int = 42
    teacher_seed: int = 39

    def problem(self, seed: int) -> Problem:
        """The one draw and split of the notebook, whatever the seed."""
        x, y = make_moons(self.points, noise=self.noise, random_state=self.data_seed)
        return self._split(
            x, y, test_seed=self.data_seed, label_seed=self.data_seed, scale_on_all=True
        )

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.hidden if len(modalities) == 1 else self.hidden_multimodal

    def adapt(self, arm: Arm) -> Arm:
        """The notebook perturbs its unimodal student too."""
        return adapted(arm, {"um_student": {"perturbed": True}})

    def init_seed(self, role: str, seed: int) -> int:
        """39 for the teacher; for student i the i-th number of Python's random, seeded with 42.

        The range that the notebook drew from is not known; 0 to 100 is taken here, which gives
        students 3 and 8 the same number.
        """
        if role == "teacher":
            return self.teacher_seed
        numbers = random.Random(self.data_seed)
        return [numbers.randint(0, 100) for _ in range(seed + 1)][-1]
