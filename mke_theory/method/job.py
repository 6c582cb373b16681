"""A training job: a model, the labelled samples it learns from, what it minimises, and how long.

A trainer takes jobs and returns a fit or an error for each. There are two: `one_by_one` here, and
`training.vectorised.engine.side_by_side`, which carries out the same step for many jobs at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.method.objective import Objective
from mke_theory.method.student_loss import loss_on
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, TrainConfig, fit


@dataclass(frozen=True)
class TrainingJob:
    """All that decides a fit. `samples` carry the labels to be learned, −1 where there is none."""

    model: nn.Module
    samples: Pool
    objective: Objective
    config: TrainConfig
    seed: int


Outcome = Fit | Exception
"""A fit, or the error that ended it."""

Trainer = Callable[[Sequence[TrainingJob]], list[Outcome]]
"""From jobs to their outcomes, in order; every job's model is trained in place."""


def one_by_one(
    jobs: Sequence[TrainingJob],
    *,
    hardware: Hardware | None = None,
    checkpoints: Sequence[Checkpoint | None] | None = None,
    progress: str | None = None,
) -> list[Outcome]:
    """The outcome of each job by the plain loop, one after the other.

    A job that fails, for whatever reason, stops no other.
    """
    outcomes: list[Outcome] = []
    for job, checkpoint in zip(jobs, checkpoints or [None] * len(jobs), strict=True):
        try:
            outcomes.append(
                fit(
                    job.model,
                    job.samples,
                    loss_on(job.objective, job.samples),
                    job.config,
                    seed=job.seed,
                    hardware=hardware or Hardware(),
                    checkpoint=checkpoint,
                    progress=progress,
                    average_decay=job.objective.kept_average,
                    answers=job.objective.answers,
                )
            )
        except Exception as error:
            outcomes.append(error)
    return outcomes
