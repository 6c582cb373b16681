"""The training jobs of an arm: its models, the samples and labels it learns from, its objective."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import (
    Expansion,
    ExpansionJob,
    account_of,
    decided,
    predictions_of,
    pseudo_label,
    student_job,
    teacher_job,
)
from mke_theory.method.job import TrainingJob
from mke_theory.method.logit_adjustment import Adjusted
from mke_theory.method.objective import (
    Objective,
    acting_on,
    refuse_strange,
    refuse_strange_modalities,
)
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.method.student_loss import shares_of
from mke_theory.models import count_parameters
from mke_theory.models.known_answers import KnownAnswers
from mke_theory.study.arms import Arm
from mke_theory.study.placebos import certain, matching_width, random_errors, shuffle_pairs
from mke_theory.study.task import Task
from mke_theory.training.loop import Fit


def teacher_of(task: Task, seed: int, problem: Problem) -> TrainingJob:
    """The job of the teacher that all arms of a (task, seed) share."""
    with torch_seed(task.init_seed("teacher", seed)):
        model = task.model(problem.blind, problem.teacher_modalities)
    objective = task.recipe.objective
    return teacher_job(
        model,
        problem.labelled,
        task.recipe.teacher,
        seed=seed_for(seed, "teacher"),
        multilabel=objective.multilabel,
        augment=objective.augment,
    )


def answering(problem: Problem) -> Fit:
    """The teacher of a problem that carries its answers: nothing is trained.

    Raises ValueError where the problem carries none.
    """
    return Fit(KnownAnswers.on(problem.unlabelled), 0, ())


def student_of(
    task: Task, arm: Arm, seed: int, problem: Problem, teacher: nn.Module
) -> ExpansionJob:
    """The student of an arm before training, with its teacher's labels on D_u."""
    used = modalities_of(arm, problem)
    objective = objective_of(task, arm, problem)
    pseudo = pseudo_label(teacher, problem.unlabelled, objective)
    pool = problem.unlabelled
    if arm.pairing == "shuffled":
        pool = shuffle_pairs(pool, problem.teacher_modalities, seed_for(seed, "shuffle"))
    also_labelled = arm.learns_from == "labels and pseudo labels"
    job = student_job(
        teacher,
        pool.only(used),
        build_student(task, arm, problem.blind, used, seed, teacher),
        labels_to_learn(arm, problem, pseudo, seed),
        objective=objective,
        config=task.recipe.student,
        seed=seed_for(seed, "student"),
        labelled=problem.labelled.only(used) if also_labelled else None,
    )
    return ExpansionJob(problem.unlabelled, problem.truth, pseudo, job)


def teacher_itself(task: Task, arm: Arm, problem: Problem, fit: Fit) -> Expansion:
    """The teacher as the result of an arm that trains nothing more.

    Its predictions are its own or, by the students' τ and π, adjusted; the labels stay its own.
    """
    objective = task.recipe.objective
    multilabel = objective.multilabel
    pseudo = pseudo_label(fit.model, problem.unlabelled, Objective(multilabel=multilabel))
    model: nn.Module = fit.model
    if arm.decision == "adjusted":
        target = pseudo_label(fit.model, problem.unlabelled, objective).target
        shares = shares_of(problem.unlabelled.with_labels(target))
        model = Adjusted(fit.model, shares, objective.adjustment)
    predictions = predictions_of(model, problem.unlabelled, multilabel=multilabel)
    found = account_of(problem.truth, pseudo, decided(predictions, multilabel=multilabel))
    return Expansion(model, pseudo, predictions, found, replace(fit, model=model))


def labels_to_learn(arm: Arm, problem: Problem, pseudo: PseudoLabels, seed: int) -> PseudoLabels:
    """The teacher's labels for every arm but two.

    The ceiling learns the truth, the placebo of random errors the truth with random errors. Their
    accounts still speak of the teacher.
    """
    if arm.learns_from == "truth":
        return certain(problem.truth.labels, pseudo)
    if arm.errors == "random":
        return certain(random_errors(problem.truth, pseudo, seed_for(seed, "flips")), pseudo)
    return pseudo


def modalities_of(arm: Arm, problem: Problem) -> tuple[str, ...]:
    """The modalities that the arm's student reads."""
    return problem.teacher_modalities if arm.modalities == "teacher's" else problem.modalities


def objective_of(task: Task, arm: Arm, problem: Problem) -> Objective:
    """The task's objective, with the parts of T that can act on the arm's modalities."""
    objective = task.recipe.objective
    refuse_strange_modalities(objective, problem.modalities)
    refuse_strange(objective.augment, problem.modalities)
    if not arm.perturbed:
        return unperturbed(objective)
    return acting_on(objective, modalities_of(arm, problem))


def unperturbed(objective: Objective) -> Objective:
    """The objective without T and without L_reg; labels and threshold stay."""
    return replace(
        objective,
        transform=(),
        anchor=replace(objective.anchor, transform=()),
        consistency=replace(objective.consistency, gamma=0.0),
    )


def build_student(
    task: Task,
    arm: Arm,
    problem: Problem,
    used: tuple[str, ...],
    seed: int,
    teacher: nn.Module | None = None,
) -> nn.Module:
    """A fresh student; if the arm asks for it, of the width that matches the MM student's size.

    It has the teacher's weights where the recipe says so and all of them fit; else none.
    """
    width = None
    if arm.size == "as MM student":
        target = count_parameters(task.model(problem, problem.modalities))
        width = matching_width(
            lambda w: count_parameters(task.model(problem, used, w)), target, task.width(used)
        )
    with torch_seed(task.init_seed("student", seed)):
        student = task.model(problem, used, width)
    if task.recipe.from_teacher and teacher is not None and has_place_for(student, teacher):
        student.load_state_dict(teacher.state_dict(), strict=False)
    return student


def has_place_for(student: nn.Module, teacher: nn.Module) -> bool:
    """True where the student has weights of the name and shape of every one of the teacher's.

    A teacher that is its answers alone has no weights to begin with.
    """
    own, theirs = student.state_dict(), teacher.state_dict()
    return all(name in own and own[name].shape == x.shape for name, x in theirs.items())
