"""The training jobs of a contestant, and the results of those that train no network.

All students of a task have the model, the initial weights (of their modalities), the optimiser, the
number of updates and the rule for batches in common. The student of a round is that of
`relatives.method.learn` with the same seeds and the budget of a round.
"""

from __future__ import annotations

import time

from torch import nn

from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import (
    ExpansionJob,
    account_of,
    predictions_of,
    pseudo_label,
)
from mke_theory.method.evidence import Plan, distilling_job, evidence_plan
from mke_theory.method.relatives.method import Method, round_job
from mke_theory.study.evidence_setup import build_expert, job_of, judged, with_zeros
from mke_theory.study.result import Result, Run
from mke_theory.study.semi_supervised.baselines import (
    Predictions,
    co_training,
    label_spreading,
    late_average,
    self_training,
)
from mke_theory.study.semi_supervised.contestants import CO_TRAINING_ROUNDS, Contestant, Experts
from mke_theory.study.task import Task
from mke_theory.training.loop import Fit


def student_of_round(
    run: Run, problem: Problem, teacher: nn.Module, labeller: nn.Module, number: int
) -> ExpansionJob:
    """The student of round 1, 2, … before training; `labeller` labels D_u for it.

    The account compares it with the labels of the first teacher. Raises TypeError where the
    contestant is no setting of the objective.
    """
    contestant = _contestant(run)
    method, used = contestant.how, contestant.modalities(problem)
    if not isinstance(method, Method):
        raise TypeError(f"{contestant.title} has no student of an objective; give a method")
    job = round_job(
        method,
        problem.blind,
        labeller,
        build(run.task, problem.blind, used, run.seed, number),
        modalities=used,
        config=contestant.budget(run.task.recipe.student),
        seed=seed_for(run.seed, "student"),
        number=number,
    )
    pseudo = pseudo_label(teacher, problem.unlabelled)
    return ExpansionJob(problem.unlabelled.only(used), problem.truth, pseudo, job)


def contestant_plan(run: Run, problem: Problem, teacher: nn.Module) -> Plan:
    """The plan of a sum of experts, or of the network that it is distilled into."""
    contestant = _contestant(run)
    experts = contestant.how
    if not isinstance(experts, Experts):
        raise TypeError(f"{contestant.title} is no sum of experts; give Experts")
    config = contestant.budget(run.task.recipe.student)
    pseudo = pseudo_label(teacher, problem.unlabelled)
    job = job_of(run.task, run.seed, problem, teacher, config=config, settings=experts.settings)
    found = yield from evidence_plan(job)
    student = found.student
    if experts.distilled:
        network = build(run.task, problem.blind, problem.modalities, run.seed)
        (fit,) = yield [distilling_job(found, problem.unlabelled, network, config, job.seed)]
        student = fit.model
    return judged(found, student, problem, pseudo)


def build(
    task: Task, problem: Problem, used: tuple[str, ...], seed: int, number: int = 1
) -> nn.Module:
    """A fresh student of a round, the same for all methods; a missing modality counts as zero."""
    start = task.init_seed("student", seed)
    with torch_seed(start if number == 1 else seed_for(start, "round", number - 1)):
        return with_zeros(task.model(problem, used))


def classic_result(run: Run, problem: Problem, teacher: Fit) -> Result:
    """The result of a contestant that is no setting of the objective: teacher or baseline."""
    started = time.perf_counter()
    pseudo = pseudo_label(teacher.model, problem.unlabelled)
    if _contestant(run).how == "teacher":
        parts = {"unlabelled": problem.unlabelled, "test": problem.test}
        predictions = {part: predictions_of(teacher.model, pool) for part, pool in parts.items()}
        own = account_of(problem.truth, pseudo, predictions["unlabelled"])
        return Result(
            run, problem, teacher.model, pseudo, predictions, own, teacher, teacher.seconds
        )
    classic = _classic(run, problem.blind, teacher.model)
    predictions = {"unlabelled": classic.unlabelled, "test": classic.test}
    whole = all(bool((classes >= 0).all()) for classes in predictions.values())
    found = account_of(problem.truth, pseudo, classic.unlabelled) if whole else None
    seconds = time.perf_counter() - started
    return Result(run, problem, teacher.model, pseudo, predictions, found, None, seconds)


def _classic(run: Run, problem: Problem, teacher: nn.Module) -> Predictions:
    contestant = _contestant(run)
    used = contestant.modalities(problem)
    if contestant.how == "self_training":
        return self_training(problem, used)
    if contestant.how == "label_spreading":
        return label_spreading(problem, used)
    if contestant.how == "late_average":
        return late_average(
            problem,
            teacher,
            lambda view: build_expert(run.task, problem, view),
            config=contestant.budget(run.task.recipe.student),
            seed=run.seed,
        )
    tenth = max(1, len(problem.unlabelled) // (10 * problem.classes))
    return co_training(
        problem,
        lambda view: build(run.task, problem, view, run.seed),
        rounds=CO_TRAINING_ROUNDS,
        per_class=tenth,
        config=contestant.budget(run.task.recipe.student),
        seed=run.seed,
    ).predictions


def _contestant(run: Run) -> Contestant:
    assert isinstance(run.arm, Contestant)
    return run.arm
