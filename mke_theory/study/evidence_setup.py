"""The plan of an evidence student as a task runs it, and its result on the problem as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Inputs, Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import (
    account_of,
    decided,
    predictions_of,
    pseudo_label,
    teacher_job,
)
from mke_theory.method.evidence import (
    Answers,
    EvidenceExpansion,
    EvidenceJob,
    EvidenceSettings,
    Plan,
    evidence_plan,
    settings_for,
)
from mke_theory.method.evidence.label_forms import scores_of
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.models import MultimodalModel
from mke_theory.study.arms import Arm
from mke_theory.study.placebos import random_errors, shuffle_pairs
from mke_theory.study.task import Recipe, Task
from mke_theory.training.loop import TrainConfig

AGAIN = "α again"
"""The name of a second modality that is α once more, in the placebo of that name."""
RATE = 3e-3


def plan_of(task: Task, arm: Arm, seed: int, problem: Problem, teacher: nn.Module) -> Plan:
    """The evidence student of an arm, judged on D_u as it was recorded."""
    multilabel = task.recipe.objective.multilabel
    pseudo = pseudo_label(teacher, problem.unlabelled, Objective(multilabel=multilabel))
    given, pool = _teacher_of(arm, problem, pseudo, teacher, seed), problem.unlabelled
    if arm.pairing == "shuffled":
        pool = shuffle_pairs(pool, problem.teacher_modalities, seed_for(seed, "shuffle"))
    if arm.pairing == AGAIN:
        first = problem.teacher_modalities[0]
        pool = pool.only(problem.teacher_modalities)
        pool = replace(pool, inputs={**pool.inputs, AGAIN: pool.inputs[first]})
    job = job_of(task, seed, problem, given, pool)
    found = yield from evidence_plan(job)
    student = found.student
    if arm.pairing == AGAIN:
        student = WithCopy(student, problem.teacher_modalities[0])
    return judged(found, student, problem, pseudo)


def job_of(
    task: Task,
    seed: int,
    problem: Problem,
    teacher: nn.Module | Answers,
    pool: Pool | None = None,
    *,
    config: TrainConfig | None = None,
    settings: EvidenceSettings | None = None,
) -> EvidenceJob:
    """The job of an evidence student on a task: its models, its teacher's recipe, its D_l.

    `config` is that of one training of one expert; by default the recipe's, see `training_of`.
    """
    objective = task.recipe.objective

    def build(group: tuple[str, ...]) -> nn.Module:
        return build_expert(task, problem.blind, group)

    def retrain(samples: Pool, number: int) -> TrainingJob:
        with torch_seed(task.init_seed(f"teacher {number}", seed)):
            model = task.model(problem.blind, problem.teacher_modalities)
        return teacher_job(
            model,
            samples,
            task.recipe.teacher,
            seed=seed_for(seed, "teacher", number),
            multilabel=objective.multilabel,
            augment=objective.augment,
        )

    return EvidenceJob(
        teacher,
        problem.unlabelled if pool is None else pool,
        problem.blind.truth,
        problem.teacher_modalities,
        build,
        config or training_of(task.recipe),
        seed_for(seed, "evidence"),
        problem.labelled.only(problem.teacher_modalities),
        None if problem.answered else retrain,
        settings or settings_for(problem.unlabelled),
        multilabel=objective.multilabel,
        augment=objective.augment,
    )


def build_expert(task: Task, problem: Problem, group: tuple[str, ...]) -> nn.Module:
    """A fresh expert of some modalities; a modality that is missing counts as zero."""
    names = tuple(problem.teacher_modalities[0] if name == AGAIN else name for name in group)
    model = with_zeros(task.model(problem, names))
    return Renamed(model, dict(zip(group, names, strict=True))) if AGAIN in group else model


def with_zeros(model: nn.Module) -> nn.Module:
    """The model, in which a missing modality counts as zero where it was refused."""
    if isinstance(model, MultimodalModel) and model.missing == "refuse":
        model.missing = "zero"  # the same weights: zeros need no token
    return model


def training_of(recipe: Recipe) -> TrainConfig:
    """The training of an expert: that of the recipe's students, once a fold and round.

    Plain gradient descent, whose rate is made for one loss, becomes AdamW at 3e-3.
    """
    config = recipe.student
    if config.optimizer == "adamw":
        return config
    return replace(config, optimizer="adamw", learning_rate=RATE, momentum=0.0, weight_decay=1e-2)


def judged(
    found: EvidenceExpansion, student: nn.Module, problem: Problem, pseudo: PseudoLabels
) -> EvidenceExpansion:
    """The expansion with the account of `student` on D_u as recorded, against the teacher."""
    multilabel = found.multilabel
    predictions = predictions_of(student, problem.unlabelled, multilabel=multilabel)
    classes = decided(predictions, multilabel=multilabel)
    account = account_of(problem.truth, pseudo, classes)
    fit = replace(found.fit, model=student)
    return replace(
        found, student=student, pseudo=pseudo, predictions=predictions, account=account, fit=fit
    )


def _teacher_of(
    arm: Arm, problem: Problem, pseudo: PseudoLabels, teacher: nn.Module, seed: int
) -> nn.Module | Answers:
    """The teacher; in the placebo of random errors, answers that have as many of them."""
    if arm.errors != "random":
        return teacher
    labels = random_errors(problem.truth, pseudo, seed_for(seed, "flips"))
    known = problem.truth.labels != UNKNOWN
    right = float((labels == problem.truth.labels)[known].double().mean())
    right = min(max(right, 1.01 / problem.classes), 1 - 1e-3)  # else it would name another class
    labels = torch.where(known, labels, pseudo.hard.to(labels.dtype))  # void: the teacher's own
    answers = torch.nn.functional.one_hot(labels.long(), problem.classes).movedim(-1, 1).double()
    wrong = (1 - right) / (problem.classes - 1)
    return Answers.of_probabilities(wrong + (right - wrong) * answers)


class Renamed(nn.Module):
    """A model that reads its modalities under other names: `names` from theirs to its own."""

    def __init__(self, model: nn.Module, names: Mapping[str, str]) -> None:
        super().__init__()
        self.model, self.names = model, dict(names)

    def forward(self, inputs: Inputs, *more: Any) -> Tensor:
        return self.model({own: inputs[theirs] for theirs, own in self.names.items()}, *more)


class WithCopy(nn.Module):
    """A student of α and of α again, on samples that have α once."""

    def __init__(self, model: nn.Module, first: str) -> None:
        super().__init__()
        self.model, self.first = model, first

    def forward(self, inputs: Inputs) -> Tensor:
        return self.model({**inputs, AGAIN: inputs[self.first]})


def notes_of(found: EvidenceExpansion) -> dict[str, Any]:
    """The record of how an evidence student came about, in plain values."""
    return {
        "evidence": {
            "labels": labels_of(found),
            "verdicts": dict(found.verdicts),
            "usefulness": dict(found.usefulness),
            "redundancy": {name: [one.shared, one.ratio] for name, one in found.redundancy.items()},
            "temperature": found.temperature,
            "honest_accuracy": None if found.honest is None else found.honest.accuracy,
            "prior": found.prior.tolist(),
            "prior_from": found.prior_from,
            "rounds": [
                {
                    "exponents": dict(one.exponents),
                    "information": one.information,
                    "changed": one.changed,
                    "named": one.named,
                }
                for one in found.rounds
            ],
            "messages": list(found.messages),
        }
    }


def labels_of(found: EvidenceExpansion) -> dict[str, Any]:
    """The record of the labels on D_u that differ from the teacher's, in plain values.

    unit: samples, pixels, or answers to several questions. n: those that the teacher can read.
    changed: those to which the student gives another class than the teacher. by_class: a row
    [n, changed] for each class of the teacher (no and yes, of several questions). confidence_kept
    and confidence_changed: the mean probability of the student's class, by models that did not
    train on the sample (with shuffled pairs, of the pairs that they learned from), None where there
    is none.
    """
    rows, multilabel = found.readable, found.multilabel
    teacher = found.pseudo.hard[rows].long()
    student = decided(found.predictions, multilabel=multilabel)[rows].long()
    changed = student != teacher
    table = scores_of(found.posterior[rows], multilabel=multilabel).float().log_softmax(-1)
    sureness = table.gather(-1, student.unsqueeze(-1)).squeeze(-1).exp()
    counts = [
        torch.bincount(classes.flatten(), minlength=found.pseudo.classes)
        for classes in (teacher, teacher[changed])
    ]
    return {
        "unit": "answers" if multilabel else "samples" if teacher.ndim == 1 else "pixels",
        "n": teacher.numel(),
        "changed": int(changed.sum()),
        "by_class": torch.stack(counts, dim=1).tolist(),
        "confidence_kept": _mean(sureness[~changed]),
        "confidence_changed": _mean(sureness[changed]),
    }


def _mean(x: Tensor) -> float | None:
    return float(x.mean()) if len(x) else None
