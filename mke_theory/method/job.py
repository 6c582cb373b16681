"""One student, ready to be trained: alone by `fit_alone`, or beside others by `stack.fit_stack`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.method.objective import Objective, loss_on
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.loop import Fit, TrainConfig, fit

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Student:
    """A model with its lessons: `samples` carry the labels it learns, −1 where there is none.

    `select_on` holds what `config.select` needs, as in `fit`.
    """

    model: nn.Module
    samples: Pool
    objective: Objective
    config: TrainConfig
    seed: int
    select_on: Pool | None = None


def fit_alone(
    student: Student,
    *,
    fabric: Fabric | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Fit:
    """The student trained in place by `fit`, whose errors it raises."""
    objective = student.objective
    return fit(
        student.model,
        student.samples,
        loss_on(objective, student.samples),
        student.config,
        seed=student.seed,
        fabric=fabric,
        select_on=student.select_on,
        checkpoint=checkpoint,
        progress=progress,
        average_decay=objective.kept_average,
        answers=objective.answers,
    )
