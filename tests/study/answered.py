"""Answers for small tasks: those of the networks that the tasks would train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mke_theory.data.answer_files import file_name, save_answers
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.evidence.calibration import folds_of
from mke_theory.method.job import one_by_one
from mke_theory.study.evidence_setup import job_of
from mke_theory.study.result import Cell
from mke_theory.study.runner import train_teachers
from mke_theory.study.task import Task
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict
from tests.study.toys import ALONE


@dataclass(frozen=True)
class Given:
    """A network's logits on the parts of its problem; on D_l those of the networks of the folds."""

    unlabelled: Tensor
    test: Tensor
    labelled: Tensor

    def save(self, folder: Path, task: Task, seed: int, *, cross_fitted: bool = True) -> Task:
        """The task, answered by these: they are written for the problem of a seed."""
        save_answers(
            folder / file_name(task.name, seed),
            task.problem(seed),
            unlabelled=self.unlabelled.numpy(),
            test=self.test.numpy(),
            labelled=self.labelled.numpy() if cross_fitted else None,
        )
        return task.answered_by(folder)


def logits_of_the_network(task: Task, seed: int) -> Given:
    """The logits that the task's own teacher gives, and on D_l those of its cross-fitted ones."""
    cell = Cell(task, seed)
    fit = train_teachers([cell], ALONE)[cell]
    assert isinstance(fit, Fit)
    problem = task.problem(seed)
    return Given(
        predict(fit.model, problem.unlabelled),
        predict(fit.model, problem.test),
        honest(task, seed, problem, fit),
    )


def honest(task: Task, seed: int, problem: Problem, fit: Fit) -> Tensor:
    """Logits on D_l by the networks that evidence students would train for its folds."""
    job = job_of(task, seed, problem, fit.model)
    labelled = problem.labelled
    assert job.retrain is not None
    place = folds_of(labelled, job.settings.teacher_folds, seed_for(job.seed, "labelled folds"))
    found = torch.empty(0)
    for fold in range(int(place.max()) + 1):
        (done,) = one_by_one([job.retrain(labelled.rows((place != fold).nonzero()[:, 0]), fold)])
        assert isinstance(done, Fit)
        inside = (place == fold).nonzero()[:, 0]
        own = predict(done.model, labelled.rows(inside))
        if not len(found):
            found = own.new_empty(len(labelled), *own.shape[1:])
        found[inside] = own
    return found
