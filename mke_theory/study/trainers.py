"""The choice of a trainer for every training job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from mke_theory.data.rng import seed_for
from mke_theory.method.job import Outcome, Trainer, TrainingJob, one_by_one
from mke_theory.study.arm_setup import modalities_of, objective_of, teacher_of
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.configuration import RunConfiguration, TrainerName
from mke_theory.study.task import Task
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.loop import Fit
from mke_theory.training.vectorised.compatibility import reason_against
from mke_theory.training.vectorised.engine import side_by_side


def trainer_of(task: Task, configuration: RunConfiguration) -> TrainerName:
    """The trainer that a task's jobs are meant for; it is part of the key of their runs."""
    if configuration.trainer != "auto":
        return configuration.trainer
    return _trainer_of(task, task.data_root) if configuration.can_vectorise else "one by one"


@cache
def _trainer_of(task: Task, data_root: Path | None) -> TrainerName:
    """By the jobs of the teacher and of the method arm at seed 0; nothing is trained."""
    try:
        jobs = _jobs_at_seed_0(task)
    except Exception:  # the runs of a task that is broken say themselves what is wrong
        return "one by one"
    return "vectorised" if all(reason_against(job) is None for job in jobs) else "one by one"


def _jobs_at_seed_0(task: Task) -> list[TrainingJob]:
    problem = task.problem(0)
    adapted = task.adapt(MM_STUDENT)
    used = modalities_of(adapted, problem)
    pool = problem.unlabelled.only(used)
    student = TrainingJob(
        task.model(problem.blind, used),
        pool.with_labels(pool.labels.new_zeros(pool.labels.shape)),
        objective_of(task, adapted, problem),
        task.recipe.student,
        seed_for(0, "student"),
    )
    return [teacher_of(task, 0, problem), student]


def trainer_called(
    name: TrainerName,
    configuration: RunConfiguration,
    keys: Sequence[str] | None = None,
    *,
    progress: str | None = None,
) -> Trainer:
    """The trainer of this name, for jobs whose checkpoints have these keys, or that have none."""
    alone = partial(one_by_one, hardware=configuration.hardware, progress=progress)
    checkpoints = None if keys is None else [configuration.checkpoint(key) for key in keys]
    if name == "one by one":
        return partial(alone, checkpoints=checkpoints)
    together = partial(
        side_by_side,
        draws=configuration.draws,
        device=configuration.hardware.named()["device"],
        progress=progress,
    )
    return partial(vectorised_or_alone, together=together, alone=alone, checkpoints=checkpoints)


def vectorised_or_alone(
    jobs: Sequence[TrainingJob],
    *,
    together: Trainer,
    alone: Callable[..., list[Outcome]],
    checkpoints: Sequence[Checkpoint | None] | None,
) -> list[Outcome]:
    """The outcome of every job, trained side by side; alone where that is refused or fails.

    A vectorised fit has its share of the seconds that all of them took. A job that diverges is not
    tried again; one that is trained alone has its checkpoint.
    """
    chosen = [i for i, job in enumerate(jobs) if reason_against(job) is None]
    outcomes: dict[int, Outcome] = {}
    started = time.perf_counter()
    fits = together([jobs[i] for i in chosen])
    share = (time.perf_counter() - started) / max(1, len(chosen))
    for i, fit in zip(chosen, fits, strict=True):
        if isinstance(fit, Fit):
            outcomes[i] = replace(fit, seconds=share)
        elif isinstance(fit, FloatingPointError):
            outcomes[i] = fit
    rest = [i for i in range(len(jobs)) if i not in outcomes]
    own = None if checkpoints is None else [checkpoints[i] for i in rest]
    left = alone([jobs[i] for i in rest], checkpoints=own)
    outcomes |= zip(rest, left, strict=True)
    return [outcomes[i] for i in range(len(jobs))]
