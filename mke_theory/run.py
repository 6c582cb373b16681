"""One run: a task, an arm, a seed, and the record of what came out.

The teacher of a (task, seed) is trained once and handed to every arm; each arm is judged on all of
D_u and on test as they were recorded, whatever it was trained on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory import records
from mke_theory.accounting import Account, account
from mke_theory.arms import ARMS, MM_STUDENT, Arm, differences
from mke_theory.checkpoint import Checkpoint
from mke_theory.hardware import Hardware
from mke_theory.mke import expand, fit_teacher, pseudo_label
from mke_theory.models import count_parameters
from mke_theory.objective import Objective, PseudoLabels, decide
from mke_theory.rng import seed_for, torch_seed
from mke_theory.task import Task
from mke_theory.train import Fit, predict
from mke_theory.types import Pool, Problem

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Place:
    """Where a run reads, computes and writes: the data, the devices, and the output folder."""

    data_root: Path | None = None
    folder: Path | None = None
    hardware: Hardware = Hardware()
    checkpoint_every: int = 1000
    progress: bool = False

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
        split_hash=task.data_hash(place.data_root),
        code=_code_version(),
        environment=environment_of(place),
    )


def environment_of(place: Place) -> dict[str, str]:
    """Versions, machine, device and precision."""
    return records.environment() | place.hardware.named()


@lru_cache(maxsize=1)
def fabric_of(hardware: Hardware) -> Fabric:
    """One Fabric a process, launched when first needed."""
    return hardware.fabric()


@cache
def _code_version() -> str:
    return records.code_version()


def config_of(task: Task, arm: Arm) -> dict[str, Any]:
    """All settings that decide what a run computes, beside its seed."""
    return {"task": task, "arm": task.adapt(arm)}


def run(
    task: Task, arm: Arm, seed: int, problem: Problem, teacher: nn.Module, place: Place
) -> tuple[dict[str, Any], nn.Module]:
    """The record of one arm on one problem, and its model."""
    started = time.perf_counter()
    arm = task.adapt(arm)
    if arm.learns_from == "labels":
        trained = Fit(teacher, 0, (), "as the teacher", 0, None)
        pseudo = pseudo_label(teacher, problem.unlabelled, Objective())
    else:
        trained, pseudo = _train_student(task, arm, seed, problem, teacher, place)
    record = _record(task, arm, seed, problem, teacher, trained, pseudo, place)
    record["key"] = key_of(task, arm, seed, place)
    if place.folder is not None and is_planar(problem):
        record["artifacts"] = {"regions": _save_regions(record, problem, trained.model, place)}
    record["seconds"] = round(time.perf_counter() - started, 3)
    return record, trained.model


def train_teacher(task: Task, seed: int, problem: Problem, place: Place) -> nn.Module:
    """Step 1 for a (task, seed): the same weights wherever and whenever it is called."""
    with torch_seed(task.init_seed("teacher", seed)):
        model = task.model(problem, problem.teacher_modalities)
    return fit_teacher(
        model,
        problem.labelled,
        task.recipe.teacher,
        seed=seed_for(seed, "teacher"),
        fabric=fabric_of(place.hardware),
        select_on=problem.validation if task.recipe.teacher.select == "labelled" else None,
        checkpoint=place.checkpoint(key_of(task, ARMS["um_teacher"], seed, place)),
        progress=f"{task.name} um_teacher {seed}" if place.progress else None,
    ).model


def _train_student(
    task: Task, arm: Arm, seed: int, problem: Problem, teacher: nn.Module, place: Place
) -> tuple[Fit, PseudoLabels]:
    recipe = task.recipe
    objective = recipe.objective if arm.perturbed else unperturbed(recipe.objective)
    refuse_strange_modalities(objective, problem)
    pseudo, shown = lessons(arm, objective, problem, teacher, seed)
    used = problem.teacher_modalities if arm.modalities == "teacher's" else problem.modalities
    also_labelled = arm.learns_from == "labels and pseudo labels"
    pool = problem.unlabelled
    if arm.pairing == "shuffled":
        pool = shuffle_pairs(pool, problem.teacher_modalities, seed_for(seed, "shuffle"))
    expansion = expand(
        teacher,
        pool.only(used),
        build_student(task, arm, problem, used, seed),
        objective=objective,
        config=recipe.student,
        seed=seed_for(seed, "student"),
        labelled=problem.labelled.only(used) if also_labelled else None,
        pseudo=shown,
        heldout=None if problem.heldout is None else problem.heldout.only(used),
        validation=None if problem.validation is None else problem.validation.only(used),
        fabric=fabric_of(place.hardware),
        checkpoint=place.checkpoint(key_of(task, arm, seed, place)),
        progress=f"{task.name} {arm.name} {seed}" if place.progress else None,
    )
    return expansion.fit, pseudo


def refuse_strange_modalities(objective: Objective, problem: Problem) -> None:
    """Raise ValueError where T names a modality that the problem does not have."""
    for step in objective.transform:
        strange = set(getattr(step, "only", None) or ()) - set(problem.modalities)
        if strange:
            raise ValueError(
                f"{type(step).__name__} acts on {sorted(strange)}; there are "
                f"{', '.join(problem.modalities)}"
            )


def unperturbed(objective: Objective) -> Objective:
    """The objective without T and without L_reg; labels and threshold stay."""
    return replace(objective, transform=(), gamma=0.0)


def lessons(
    arm: Arm, objective: Objective, problem: Problem, teacher: nn.Module, seed: int
) -> tuple[PseudoLabels, PseudoLabels]:
    """(the labels the account measures against, the labels the student learns).

    They are the teacher's for every arm but two. The ceiling learns the truth, and its account
    still speaks of the teacher. The placebo of independent errors learns flipped labels, and its
    account on D_u says which of those flips were corrected.
    """
    pseudo = pseudo_label(teacher, problem.unlabelled, objective)
    truth = problem.unlabelled.labels
    if arm.learns_from == "truth":
        return pseudo, _certain(truth, pseudo, objective)
    if arm.errors == "independent":
        flipped = independent_errors(truth, pseudo, seed_for(seed, "flips"))
        shown = _certain(flipped, pseudo, objective)
        return shown, shown
    return pseudo, pseudo


def independent_errors(truth: Tensor, pseudo: PseudoLabels, seed: int) -> Tensor:
    """The truth with exactly as many errors as the teacher makes, in places drawn at random.

    The wrong class is drawn evenly from the others. Needs the truth everywhere.
    """
    if bool((truth < 0).any()):
        raise ValueError("the placebo of independent errors needs the truth on all of D_u")
    draw = np.random.default_rng(seed)
    flat = truth.flatten().numpy().copy()
    wrong = int((pseudo.hard != truth).sum())
    at = draw.choice(len(flat), size=wrong, replace=False)
    flat[at] = (flat[at] + draw.integers(1, pseudo.classes, size=wrong)) % pseudo.classes
    return torch.from_numpy(flat).reshape(truth.shape)


def _certain(labels: Tensor, like: PseudoLabels, objective: Objective) -> PseudoLabels:
    """Labels given with full confidence, in the form of the teacher's."""
    target = labels
    if objective.labels == "soft":
        target = nn.functional.one_hot(labels, like.classes).movedim(-1, 1).to(like.target.dtype)
    return PseudoLabels(target, labels, torch.ones_like(like.confidence), like.classes)


def shuffle_pairs(pool: Pool, teacher_modalities: tuple[str, ...], seed: int) -> Pool:
    """The pool with all modalities but the teacher's taken from another sample, by permutation."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pool)))
    inputs = {
        name: x if name in teacher_modalities else x[order] for name, x in pool.inputs.items()
    }
    return replace(pool, inputs=inputs)


def build_student(
    task: Task, arm: Arm, problem: Problem, used: tuple[str, ...], seed: int
) -> nn.Module:
    """A fresh student; if the arm asks for it, of the width that matches the MM student's size."""
    width = None
    if arm.size == "as MM student":
        target = count_parameters(task.model(problem, problem.modalities))
        width = matching_width(
            lambda w: count_parameters(task.model(problem, used, w)), target, task.width(used)
        )
    with torch_seed(task.init_seed("student", seed)):
        return task.model(problem, used, width)


def matching_width(size: Callable[[int], int], target: int, start: int) -> int:
    """The width whose `size`, which grows with it, comes nearest to `target`."""
    low, high = 1, max(start, 2)
    while size(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return low if target - size(low) < size(high) - target else high


def _record(
    task: Task,
    arm: Arm,
    seed: int,
    problem: Problem,
    teacher: nn.Module,
    trained: Fit,
    pseudo: PseudoLabels,
    place: Place,
) -> dict[str, Any]:
    on_unlabelled = account(
        problem.unlabelled.labels,
        pseudo.hard,
        decide(predict(trained.model, problem.unlabelled)),
        classes=problem.classes,
        confidence=pseudo.confidence,
    )
    said = pseudo_label(teacher, problem.test)
    on_test = account(
        problem.test.labels,
        said.hard,
        decide(predict(trained.model, problem.test)),
        classes=problem.classes,
        confidence=said.confidence,
    )
    base = task.adapt(MM_STUDENT)
    counts = {part: len(getattr(problem, part)) for part in ("labelled", "unlabelled", "test")}
    return {
        "task": task.name,
        "title": task.title,
        "arm": arm.name,
        "arm_title": arm.title,
        "seed": seed,
        "config": records.canonical(config_of(task, arm)),
        "config_hash": records.config_hash(config_of(task, arm)),
        "split_hash": problem.split_hash,
        "code": _code_version(),
        "environment": environment_of(place),
        "rule": trained.rule,
        "selected_step": trained.selected_step,
        "metrics": _metrics(on_unlabelled, on_test),
        "account": {"unlabelled": on_unlabelled.to_dict(), "test": on_test.to_dict()},
        "differences": {name: list(pair) for name, pair in differences(arm, base).items()},
        "counts": counts | {"parameters": count_parameters(trained.model)},
    }


def _metrics(unlabelled: Account, test: Account) -> dict[str, float | None]:
    """Shares in [0, 1]; None where there is nothing to divide by, or no truth on D_u."""
    return {
        "test": test.overall.student_accuracy,
        "unlabelled": unlabelled.overall.student_accuracy,
        "corrected": unlabelled.overall.corrected_share,
        "damaged": unlabelled.overall.damaged_share,
        "agreement": unlabelled.agreement,
        "pseudo_labels": unlabelled.overall.teacher_accuracy,
        "test_corrected": test.overall.corrected_share,
        "test_damaged": test.overall.damaged_share,
        "test_agreement": test.agreement,
    }


def is_planar(problem: Problem) -> bool:
    """True where two modalities of one number each span a plane that can be drawn."""
    shapes = [tuple(x.shape[1:]) for x in problem.unlabelled.inputs.values()]
    return shapes == [(1,), (1,)]


def _save_regions(
    record: dict[str, Any], problem: Problem, model: nn.Module, place: Place, side: int = 81
) -> str:
    """What the model says on a grid over the plane, and the test points; returns the file name."""
    assert place.folder is not None
    first, second = problem.modalities
    x, y = (problem.test.inputs[name].flatten().numpy() for name in (first, second))
    grids = [np.linspace(v.min() - 0.3, v.max() + 0.3, side, dtype=np.float32) for v in (x, y)]
    across, up = np.meshgrid(*grids)
    plane = {
        first: torch.from_numpy(across.reshape(-1, 1)),
        second: torch.from_numpy(up.reshape(-1, 1)),
    }
    said = decide(predict(model, Pool(plane, torch.full((side * side,), -1))))
    name = f"artifacts/{record['key']}.npz"
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        x=grids[0],
        y=grids[1],
        prediction=said.numpy().reshape(side, side).astype(np.uint8),
        points=np.stack([x, y], axis=1),
        labels=problem.test.labels.numpy(),
    )
    return name
