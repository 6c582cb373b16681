"""What the teacher and the student of an arm learn, and the models that they begin as."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import prepare, pseudo_label
from mke_theory.method.job import Student
from mke_theory.method.objective import Objective, refuse_strange, refuse_strange_modalities
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.method.transforms import acting
from mke_theory.models import count_parameters
from mke_theory.study.arms import Arm
from mke_theory.study.placebos import certain, independent_errors, matching_width, shuffle_pairs
from mke_theory.study.task import Task
from mke_theory.training.loop import TrainConfig


def teacher_to_be(task: Task, seed: int, problem: Problem) -> Student:
    """The teacher of a (task, seed) with its lessons, not yet trained."""
    with torch_seed(task.init_seed("teacher", seed)):
        model = task.model(problem, problem.teacher_modalities)
    config = task.recipe.teacher
    return Student(
        model,
        problem.labelled,
        Objective(
            view="clean",
            multilabel=task.recipe.objective.multilabel,
            augment=task.recipe.objective.augment,
        ),
        config,
        seed_for(seed, "teacher"),
        problem.validation if config.select == "labelled" else None,
    )


def student_to_be(
    task: Task, arm: Arm, seed: int, problem: Problem, teacher: nn.Module
) -> tuple[Student, PseudoLabels]:
    """The student of an arm with its lessons, not yet trained; and its teacher's word on D_u."""
    used = modalities_of(arm, problem)
    objective = objective_of(task, arm, problem)
    pseudo, taught = lessons(arm, objective, problem, teacher, seed)
    also_labelled = arm.learns_from == "labels and pseudo labels"
    pool, config, heldout, validation = _selection(task, arm, seed, problem)
    ready, _ = prepare(
        teacher,
        pool.only(used),
        build_student(task, arm, problem, used, seed, teacher),
        objective=objective,
        config=config,
        seed=seed_for(seed, "student"),
        labelled=problem.labelled.only(used) if also_labelled else None,
        pseudo=taught,
        heldout=None if heldout is None else heldout.only(used),
        validation=None if validation is None else validation.only(used),
    )
    return ready, pseudo


def _selection(
    task: Task, arm: Arm, seed: int, problem: Problem
) -> tuple[Pool, TrainConfig, Pool | None, Pool | None]:
    """(D_u as the arm sees it, its training, held-out and validation samples).

    An arm that is taught by the truth is not judged by a teacher it does not have: agreement then
    means agreement with the truth. Pairs that are shuffled for training are shuffled for judging.
    """
    config, heldout, validation = task.recipe.student, problem.heldout, problem.validation
    if arm.needs_truth and config.select == "agreement":
        config, validation = replace(config, select="labelled"), heldout
    pools = [problem.unlabelled, heldout, validation]
    if arm.pairing == "shuffled":
        pools = [
            None if pool is None else shuffle_pairs(pool, problem.teacher_modalities, at)
            for at, pool in zip(
                (seed_for(seed, name) for name in ("shuffle", "shuffle held out", "shuffle known")),
                pools,
                strict=True,
            )
        ]
    assert pools[0] is not None
    return pools[0], config, pools[1], pools[2]


def modalities_of(arm: Arm, problem: Problem) -> tuple[str, ...]:
    """The modalities that the arm's student reads."""
    return problem.teacher_modalities if arm.modalities == "teacher's" else problem.modalities


def objective_of(task: Task, arm: Arm, problem: Problem) -> Objective:
    """What the arm minimises: the task's objective, with the parts of T that can act on it."""
    objective = task.recipe.objective
    refuse_strange_modalities(objective, problem.modalities)
    refuse_strange(objective.augment, problem.modalities)
    if not arm.perturbed:
        return unperturbed(objective)
    used = modalities_of(arm, problem)
    if isinstance(objective.other, tuple):
        objective = replace(objective, other=acting(objective.other, used))
    return replace(objective, transform=acting(objective.transform, used))


def unperturbed(objective: Objective) -> Objective:
    """The objective without T and without L_reg; labels and threshold stay."""
    return replace(objective, transform=(), other=(), gamma=0.0)


def lessons(
    arm: Arm, objective: Objective, problem: Problem, teacher: nn.Module, seed: int
) -> tuple[PseudoLabels, PseudoLabels]:
    """(the labels the account measures against, the labels the student learns).

    They are the teacher's for every arm but two: the ceiling learns the truth, the placebo of
    independent errors the truth with random errors. Their accounts still speak of the teacher.
    """
    pseudo = pseudo_label(teacher, problem.unlabelled, objective)
    truth = problem.unlabelled.labels
    if arm.learns_from == "truth":
        return pseudo, certain(truth, pseudo)
    if arm.errors == "independent":
        flipped = independent_errors(truth, pseudo, seed_for(seed, "flips"))
        return pseudo, certain(flipped, pseudo)
    return pseudo, pseudo


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
    """True where the student has weights of the name and shape of every one of the teacher's."""
    own, theirs = student.state_dict(), teacher.state_dict()
    return all(name in own and own[name].shape == x.shape for name, x in theirs.items())
