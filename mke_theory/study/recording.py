"""From a result to its record, and the key of a run."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mke_theory.data import optional_imports
from mke_theory.data.file_hashes import content_of
from mke_theory.data.pool import UNKNOWN
from mke_theory.data.problem import Problem, Truth
from mke_theory.data.rng import torch_seed
from mke_theory.evaluation import metrics
from mke_theory.evaluation.account import Account
from mke_theory.method.algorithm import account_of, decided, predictions_of, pseudo_label
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import Transform, acting
from mke_theory.models import count_parameters
from mke_theory.study import artifacts
from mke_theory.study.arm_setup import has_place_for, modalities_of
from mke_theory.study.arms import MM_STUDENT, Arm, differences
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.keys import canonical, code_version, config_hash, run_key, versions
from mke_theory.study.records import Record
from mke_theory.study.result import Result, Run
from mke_theory.study.task import Task
from mke_theory.study.trainers import trainer_of

MOST_CLASSES = 16
"""A confusion matrix of more classes is not recorded."""


def key_of(run: Run, configuration: RunConfiguration, number: int = 1) -> str:
    """The key of a run's record: it changes with settings, data, code, versions and devices.

    Students of a contestant's later rounds have keys of their own, for their checkpoints.
    """
    key = run_key(
        task=run.task.name,
        arm=run.arm.name,
        seed=run.seed,
        config_hash=config_hash(config_of(run)),
        data_hash=_data_of(run),
        environment=environment_of(run.task, configuration),
    )
    return key if number == 1 else f"{key}_{number}"


def _data_of(run: Run) -> str | None:
    """The hash of a run's data; of the teacher's answers too, where it is known by them alone."""
    own, answers = run.task.data_hash(), answers_hash(run)
    return own if answers is None else config_hash([own, answers])


def answers_hash(run: Run) -> str | None:
    """16 hexadecimal digits of the file with the teacher's answers; None where there is none."""
    file = run.task.answers_file(run.seed)
    return None if file is None else content_of([file])


def config_of(run: Run) -> dict[str, Any]:
    """All settings that decide what a run computes, beside its seed."""
    arm = run.task.adapt(run.arm) if isinstance(run.arm, Arm) else run.arm
    teacher = {} if run.task.teacher_answers is None else {"teacher": "its answers alone"}
    return {"task": run.task, "arm": arm, **teacher}


def environment_of(task: Task, configuration: RunConfiguration) -> dict[str, str]:
    """Versions, machine, device, precision, and how jobs are trained where not one by one."""
    named = (
        versions()
        | optional_imports.versions_of(*task.libraries())
        | configuration.hardware.named()
    )
    if trainer_of(task, configuration) == "vectorised":
        named["trainer"] = f"vectorised, {configuration.draws} draws"
    return named


def record_of(result: Result, configuration: RunConfiguration) -> Record:
    """The record of a run; its artifacts are written where the configuration has a folder."""
    run, problem = result.run, result.problem
    task, config = run.task, canonical(config_of(run))
    key = key_of(run, configuration)
    on_test, scores = _account_on_test(result), _scores(result)
    kept: dict[str, str] = {}
    if configuration.folder is not None and isinstance(run.arm, Arm):
        kept = artifacts.keep(configuration.folder, key, result)
    counts = {part: len(getattr(problem, part)) for part in ("labelled", "unlabelled", "test")}
    if result.fit is not None:
        counts["parameters"] = count_parameters(result.fit.model)
    return Record(
        key=key,
        task=task.name,
        arm=run.arm.name,
        seed=run.seed,
        config_hash=config_hash(config),
        metrics={
            "test": scores["test"].get(task.metric),
            "unlabelled": scores["unlabelled"].get(task.metric),
            "pseudo_labels": _scores_of_teacher(result).get(task.metric),
            **_shares(result.account, on_test),
        },
        title=task.title,
        arm_title=run.arm.title,
        class_names=list(task.class_names()),
        config=config,
        split_hash=problem.split_hash,
        code=code_version(),
        environment=environment_of(task, configuration),
        metric=task.metric,
        scores=scores,
        confusion=_confusion(result),
        bounds={
            name: list(ends)
            for name, ends in task.bounds(result.predictions["test"], problem.test.labels).items()
        },
        history=[] if result.fit is None else [[s, loss] for s, loss in result.fit.history],
        account={
            part: found.to_dict()
            for part, found in (("unlabelled", result.account), ("test", on_test))
            if found is not None
        },
        differences=_differences(result),
        varies=task.varies,
        skipped=list(problem.skipped),
        counts=counts,
        training=_cost(result),
        seconds=result.seconds,
        artifacts=kept,
        extra=_notes(result),
    )


def _notes(result: Result) -> dict[str, Any]:
    """The notes of the method and of a contestant, and those on a teacher known by its answers."""
    run, notes = result.run, dict(result.notes)
    if not isinstance(run.arm, Arm):
        notes["sees"] = run.arm.sees
    if result.problem.answered:
        honest = result.problem.labelled.answers is not None
        # Of a file that holds data and answers alike the hash is that of the data.
        content = answers_hash(run) or run.task.data_hash()
        notes["teacher"] = {"answers": content, "cross_fitted": honest}
    return notes


def _account_on_test(result: Result) -> Account | None:
    """The account against the teacher's labels on test; None where a prediction is missing."""
    objective, test = result.run.task.recipe.objective, result.problem.test
    classes = decided(result.predictions["test"], multilabel=objective.multilabel)
    if result.account is None or bool((classes < 0).any()):
        return None
    plain = Objective(
        pseudo_labels=PseudoLabelTerm(temperature=objective.pseudo_labels.temperature),
        multilabel=objective.multilabel,
    )
    return account_of(Truth(test.labels), pseudo_label(result.teacher, test, plain), classes)


def _scores(result: Result) -> dict[str, dict[str, float]]:
    """Part to the task's metrics on it."""
    task, problem = result.run.task, result.problem
    truths = {"unlabelled": problem.truth.labels, "test": problem.test.labels}
    scores = {
        part: _scores_on(task, result.predictions[part], labels) for part, labels in truths.items()
    }
    if result.fit is None:  # no network that could answer in another size
        return scores
    whole, test = task.at_full_size(result.model, problem)
    if test is not problem.test:
        scores["test at full size"] = _scores_on(task, predictions_of(whole, test), test.labels)
    return scores


def _scores_of_teacher(result: Result) -> dict[str, float]:
    """The task's metrics of the pseudo labels on D_u."""
    problem, predictions = result.problem, result.pseudo.hard
    if result.run.task.recipe.objective.multilabel:  # labels have lost the order of ranking
        predictions = predictions_of(result.teacher, problem.unlabelled, multilabel=True)
    return _scores_on(result.run.task, predictions, problem.truth.labels)


def _scores_on(task: Task, predictions: Tensor, labels: Tensor) -> dict[str, float]:
    """The task's metrics; none where no truth is known."""
    if bool((labels == UNKNOWN).all()):
        return {}
    return task.scores(predictions, labels)


def _confusion(result: Result) -> list[list[int]] | None:
    """Counts on test, a row a true class; None for questions, and where there are many classes."""
    predictions, problem = result.predictions["test"], result.problem
    if predictions.is_floating_point() or problem.classes > MOST_CLASSES:
        return None
    if bool((predictions < 0).any()):
        return None
    return metrics.confusion(predictions, problem.test.labels, problem.classes).tolist()


def _shares(unlabelled: Account | None, test: Account | None) -> dict[str, float | None]:
    """Shares in [0, 1], None where there is nothing to divide by; none at all without accounts."""
    if unlabelled is None or test is None:
        return {}
    return {
        "corrected": unlabelled.overall.corrected_share,
        "damaged": unlabelled.overall.damaged_share,
        "agreement": unlabelled.agreement,
        "test_corrected": test.overall.corrected_share,
        "test_damaged": test.overall.damaged_share,
        "test_agreement": test.agreement,
    }


def _cost(result: Result) -> dict[str, float | None]:
    """The cost of training the run's own model; that of the teacher where it trains no other."""
    if result.fit is None:
        return {}
    names = ("seconds", "samples_per_second", "waiting", "peak_memory")
    return {name: getattr(result.fit, name) for name in names}


def _differences(result: Result) -> dict[str, list[Any]]:
    """Everything that tells the arm from the method arm: as declared, and as follows from it."""
    run, problem = result.run, result.problem
    if not isinstance(run.arm, Arm):
        return {}
    task, arm = run.task, run.task.adapt(run.arm)
    found = {n: list(pair) for n, pair in differences(arm, task.adapt(MM_STUDENT)).items()}
    used, full = modalities_of(arm, problem), problem.modalities
    if task.width(used) != task.width(full) and arm.size == "task":
        found["width"] = [task.width(full), task.width(used)]
    if arm.perturbed:
        acts = [_names(acting(task.recipe.objective.transform, names)) for names in (full, used)]
        if acts[0] != acts[1]:
            found["T acts by"] = acts
    return found | _initial_weights(task, arm, problem, result.teacher, result.model)


def _initial_weights(
    task: Task, arm: Arm, problem: Problem, teacher: nn.Module, student: nn.Module
) -> dict[str, list[Any]]:
    """Initial weights of the method arm and of this one, where only one begins as the teacher."""
    if not task.recipe.from_teacher or arm.rounds == 0:
        return {}
    with torch_seed(0):
        method = task.model(problem.blind, problem.modalities)
    pair = ["the teacher" if has_place_for(one, teacher) else "new" for one in (method, student)]
    return {} if pair[0] == pair[1] else {"begins as": pair}


def _names(steps: tuple[Transform, ...]) -> str:
    return ", ".join(type(step).__name__ for step in steps) or "nothing"
