"""One run: a task, an arm, a seed, and the record of what came out.

The teacher of a (task, seed) is trained once and handed to every arm; each arm is judged on D_u
and on test as they were recorded, whatever it was trained on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mke_theory.data import optional_imports as libraries
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import torch_seed
from mke_theory.evaluation import metrics
from mke_theory.evaluation.account import Account
from mke_theory.method.algorithm import account_of, fit_teacher, pseudo_label
from mke_theory.method.job import fit_alone
from mke_theory.method.logit_adjustment import Adjusted
from mke_theory.method.objective import Objective, shares_of
from mke_theory.method.pseudo_labels import PseudoLabels, decide
from mke_theory.method.transforms import Transform, acting
from mke_theory.models import count_parameters
from mke_theory.study import artifacts, records
from mke_theory.study.arm_setup import has_place_for, modalities_of, student_to_be, teacher_to_be
from mke_theory.study.arms import ARMS, MM_STUDENT, Arm, differences
from mke_theory.study.task import Task
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import AS_THE_TEACHER, Fit
from mke_theory.training.predict import predict

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MOST_CLASSES = 16
"""A confusion matrix of more classes is not recorded."""


@dataclass(frozen=True)
class Place:
    """Where a run computes and writes: the devices and the output folder."""

    folder: Path | None = None
    hardware: Hardware = Hardware()
    checkpoint_every: int = 1000

    def checkpoint(self, key: str) -> Checkpoint | None:
        """The checkpoint of the run with this key; None where nothing is to be written."""
        if self.folder is None:
            return None
        return Checkpoint(self.folder / "checkpoints" / f"{key}.pt", self.checkpoint_every)


def key_of(task: Task, arm: Arm, seed: int, place: Place) -> str:
    """The key of a run's record: it changes with settings, data, code, versions and devices."""
    return records.run_key(
        task=task.name,
        arm=arm.name,
        seed=seed,
        config_hash=records.config_hash(config_of(task, arm)),
        data_hash=task.data_hash(),
        code=written_code(),
        environment=environment_of(task, place),
    )


def environment_of(task: Task, place: Place) -> dict[str, str]:
    """Versions, machine, device and precision."""
    return versions() | libraries.versions_of(*task.libraries()) | place.hardware.named()


@lru_cache(maxsize=1)
def fabric_of(hardware: Hardware) -> Fabric:
    """One Fabric a process, launched when first needed."""
    return hardware.fabric()


@cache
def written_code() -> str:
    """`records.code_version`, read from disk once a process."""
    return records.code_version()


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple(records.environment().items())


def versions() -> dict[str, str]:
    """`records.environment`, looked up once a process."""
    return dict(_versions())


def config_of(task: Task, arm: Arm) -> dict[str, Any]:
    """All settings that decide what a run computes, beside its seed."""
    return {"task": task, "arm": task.adapt(arm)}


def run(
    task: Task, arm: Arm, seed: int, problem: Problem, taught: Fit, place: Place
) -> tuple[dict[str, Any], nn.Module]:
    """The record of one arm on one problem, and its model; `taught` is what `train_teacher` gave.

    The cost of training is that of the arm's own model: for an arm that only uses the teacher, what
    the teacher took, and None where it was trained in an earlier run.
    """
    started, teacher = time.perf_counter(), taught.model
    arm = task.adapt(arm)
    if arm.learns_from == "labels":
        trained, pseudo = as_teacher(task, arm, problem, taught)
    else:
        ready, pseudo = student_to_be(task, arm, seed, problem, teacher)
        trained = fit_alone(
            ready,
            fabric=fabric_of(place.hardware),
            checkpoint=place.checkpoint(key_of(task, arm, seed, place)),
        )
    record = record_of(task, arm, seed, problem, teacher, trained, pseudo)
    record["environment"] = environment_of(task, place)
    record["key"] = key_of(task, arm, seed, place)
    if place.folder is not None:
        kept = artifacts.keep(
            place.folder, record["key"], task, arm, problem, trained.model, pseudo
        )
        record |= {"artifacts": kept} if kept else {}
    record["training"] = {
        name: getattr(trained, name)
        for name in ("seconds", "samples_per_second", "waiting", "peak_memory")
    }
    record["seconds"] = round(time.perf_counter() - started, 3)
    return record, trained.model


def train_teacher(task: Task, seed: int, problem: Problem, place: Place) -> Fit:
    """Step 1 for a (task, seed): the same weights wherever and whenever it is called."""
    ready = teacher_to_be(task, seed, problem)
    return fit_teacher(
        ready.model,
        ready.samples,
        ready.config,
        seed=ready.seed,
        multilabel=ready.objective.multilabel,
        augment=ready.objective.augment,
        fabric=fabric_of(place.hardware),
        select_on=ready.select_on,
        checkpoint=place.checkpoint(key_of(task, ARMS["um_teacher"], seed, place)),
    )


def as_teacher(task: Task, arm: Arm, problem: Problem, taught: Fit) -> tuple[Fit, PseudoLabels]:
    """The teacher as the result of an arm that trains nothing more, and its labels on D_u.

    The arm's decision is its own or, by the students' τ and π, adjusted; the labels stay its own.
    """
    objective = task.recipe.objective
    plain = Objective(multilabel=objective.multilabel)
    pseudo = pseudo_label(taught.model, problem.unlabelled, plain)
    taught = replace(taught, rule=AS_THE_TEACHER)
    if arm.decision == "as trained":
        return taught, pseudo
    lessons = pseudo_label(taught.model, problem.unlabelled, objective).target
    shares = shares_of(problem.unlabelled.with_labels(lessons))
    return replace(taught, model=Adjusted(taught.model, shares, objective.adjustment)), pseudo


def record_of(
    task: Task,
    arm: Arm,
    seed: int,
    problem: Problem,
    teacher: nn.Module,
    trained: Fit,
    pseudo: PseudoLabels,
) -> dict[str, Any]:
    """What came out of one arm, all but where it ran: its key, environment and seconds."""
    objective, pools = task.recipe.objective, (problem.unlabelled, problem.test)
    plain = Objective(temperature=objective.temperature, multilabel=objective.multilabel)
    words = [word_of(trained.model, pool, objective.multilabel) for pool in pools]
    teachers = [pseudo, pseudo_label(teacher, problem.test, plain)]
    on_unlabelled, on_test = (
        account_of(pool, said, (word >= 0.5).long() if objective.multilabel else word)
        for pool, said, word in zip(pools, teachers, words, strict=True)
    )
    scores = {
        part: scores_of(task, word, pool)
        for part, word, pool in zip(("unlabelled", "test"), words, pools, strict=True)
    }
    own_word = pseudo.hard
    if objective.multilabel:  # labels have lost the fine order that ranking needs
        own_word = word_of(teacher, problem.unlabelled, True)
    of_teacher = scores_of(task, own_word, problem.unlabelled)
    counts = {part: len(getattr(problem, part)) for part in ("labelled", "unlabelled", "test")}
    return {
        "task": task.name,
        "class_names": list(task.class_names()),
        "title": task.title,
        "arm": arm.name,
        "arm_title": arm.title,
        "seed": seed,
        "config": records.canonical(config_of(task, arm)),
        "config_hash": records.config_hash(config_of(task, arm)),
        "split_hash": problem.split_hash,
        "code": written_code(),
        "rule": trained.rule,
        "selected_step": trained.selected_step,
        "metric": task.metric,
        "metrics": {
            "test": scores["test"].get(task.metric),
            "unlabelled": scores["unlabelled"].get(task.metric),
            "pseudo_labels": of_teacher.get(task.metric),
            **_shares(on_unlabelled, on_test),
        },
        "scores": scores,
        "confusion": confusion_of(words[1], problem),
        "bounds": {
            name: list(ends) for name, ends in task.bounds(words[1], problem.test.labels).items()
        },
        "history": [[step, loss] for step, loss in trained.history],
        "account": {"unlabelled": on_unlabelled.to_dict(), "test": on_test.to_dict()},
        "differences": _differences(task, arm, problem)
        | _beginnings(task, arm, problem, teacher, trained.model),
        "varies": task.varies,
        "skipped": list(problem.skipped),
        "counts": counts | {"parameters": count_parameters(trained.model)},
    }


def _differences(task: Task, arm: Arm, problem: Problem) -> dict[str, list[Any]]:
    """What the arm declares, and what follows: its width, and the parts of T that act on it."""
    base = task.adapt(MM_STUDENT)
    found = {name: list(pair) for name, pair in differences(arm, base).items()}
    used, full = modalities_of(arm, problem), problem.modalities
    if task.width(used) != task.width(full) and arm.size == "task":
        found["width"] = [task.width(full), task.width(used)]
    if arm.perturbed:
        acts = [_names(acting(task.recipe.objective.transform, names)) for names in (full, used)]
        if acts[0] != acts[1]:
            found["T acts by"] = acts
    return found


def _beginnings(
    task: Task, arm: Arm, problem: Problem, teacher: nn.Module, student: nn.Module
) -> dict[str, list[Any]]:
    """Which of base arm and this one begins as the teacher, where the recipe has but one do so."""
    if not task.recipe.from_teacher or arm.learns_from == "labels":
        return {}
    with torch_seed(0):
        base = task.model(problem, problem.modalities)
    pair = ["the teacher" if has_place_for(one, teacher) else "new" for one in (base, student)]
    return {} if pair[0] == pair[1] else {"begins as": pair}


def _names(steps: tuple[Transform, ...]) -> str:
    return ", ".join(type(step).__name__ for step in steps) or "nothing"


def word_of(model: nn.Module, pool: Pool, multilabel: bool) -> Tensor:
    """What the model says of every sample: its class [n, ...]; multi-label, probabilities."""
    return predict(model, pool, then=_probability if multilabel else decide)


def _probability(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.double())  # in single precision those above 17 or so all are 1


def scores_of(task: Task, word: Tensor, pool: Pool) -> dict[str, float]:
    """The task's metrics on a pool; none where no truth is known."""
    if bool((pool.labels == UNKNOWN).all()):
        return {}
    return task.scores(word, pool.labels)


def confusion_of(word: Tensor, problem: Problem) -> list[list[int]] | None:
    """Counts on test, a row for each true class; None for questions, and where there are many."""
    if word.is_floating_point() or problem.classes > MOST_CLASSES:
        return None
    return metrics.confusion(word, problem.test.labels, problem.classes).tolist()


def _shares(unlabelled: Account, test: Account) -> dict[str, float | None]:
    """Shares in [0, 1]; None where there is nothing to divide by, or no truth on D_u."""
    return {
        "corrected": unlabelled.overall.corrected_share,
        "damaged": unlabelled.overall.damaged_share,
        "agreement": unlabelled.agreement,
        "test_corrected": test.overall.corrected_share,
        "test_damaged": test.overall.damaged_share,
        "test_agreement": test.agreement,
    }
