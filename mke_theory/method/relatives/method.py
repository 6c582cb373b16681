"""A semi-supervised method as data: its setting of the objective, and what its lessons are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import nn

from mke_theory.data.pool import UNKNOWN, Pool, join
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import Expansion, expand, pseudo_label
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import as_target
from mke_theory.method.transforms import InputNoise, Transform
from mke_theory.training.loop import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Steps = tuple[Transform, ...]
LessonKind = Literal["labels and unlabelled", "pseudo labels", "labels and pseudo labels"]

WEAK: Steps = (InputNoise(0.2),)
STRONG: Steps = (InputNoise(1.0),)
"""Perturbations to begin with, in units of mean|x|; papers use those of their own data."""


@dataclass(frozen=True)
class Method:
    """One row of the table in `ssl`.

    lessons: D_l with its labels and D_u without any; a fixed teacher's labels on D_u; or both.
    rounds: how often the student becomes the teacher of the next, and itself begins anew.
    reference: the key in the bibliography.
    """

    name: str
    title: str
    objective: Objective
    lessons: LessonKind
    reference: str
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.lessons not in get_args(LessonKind):
            raise ValueError(f"lessons is {self.lessons!r}; choose one of {get_args(LessonKind)}")
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it has to be at least 1")
        if self.rounds > 1 and not self.needs_teacher:
            raise ValueError(
                f"rounds is {self.rounds}, but {self.lessons} have no teacher whose place a "
                "student could take; choose 1"
            )

    @property
    def needs_teacher(self) -> bool:
        """True where somebody has to label D_u before the student begins."""
        return self.lessons != "labels and unlabelled"


def lessons_of(
    method: Method,
    problem: Problem,
    teacher: nn.Module | None = None,
    modalities: tuple[str, ...] | None = None,
) -> Pool:
    """What a student of these modalities (by default all) learns from: inputs and targets.

    D_l comes first. It carries the teacher's modalities alone, whatever was recorded: the others
    are NaN there, and the student has to handle that (`missing="zero"` or `"learned"`). Samples of
    D_u without a label carry −1, and their truth is read by nobody. Raises ValueError where a
    teacher is needed and none is given, or nothing is taught.
    """
    used = problem.modalities if modalities is None else modalities
    unlabelled = problem.unlabelled.only(used)
    labelled = alpha_alone(problem, used)
    if not method.needs_teacher:
        silent = torch.full_like(unlabelled.labels, UNKNOWN)
        return join(labelled, unlabelled.with_labels(silent))
    if teacher is None:
        raise ValueError(f"{method.title} learns from {method.lessons}; it needs a teacher")
    pseudo = pseudo_label(teacher, problem.unlabelled, method.objective)
    taught = unlabelled.with_labels(pseudo.target)
    if method.lessons == "labels and pseudo labels":
        return join(labelled.with_labels(as_target(labelled.labels, pseudo)), taught)
    if bool((pseudo.confidence < method.objective.threshold).all()):
        raise ValueError(
            f"no pseudo label reaches the threshold {method.objective.threshold}; lower it"
        )
    return taught


def alpha_alone(problem: Problem, used: tuple[str, ...]) -> Pool:
    """D_l in the modalities `used`, NaN in each but the teacher's."""
    known, like = problem.labelled, problem.unlabelled
    n = len(known)
    inputs = {}
    for name in used:
        x = like.inputs[name]
        if name in problem.teacher_modalities:
            inputs[name] = known.inputs[name]
        else:
            inputs[name] = torch.full((n, *x.shape[1:]), torch.nan, dtype=x.dtype)
    return Pool(inputs, known.labels, known.groups)


def objective_on(method: Method, lessons: Pool) -> Objective:
    """The method's objective with L_pl a mean over the samples that carry a label.

    A batch is drawn from all lessons alike, so where D_u carries none, the weight of a label is
    n/n_l times the method's: the expectation is the mean over D_l, however large D_u is. In small
    batches that is a noisy mean: take them large, or whole.

    Raises ValueError where no sample carries a label.
    """
    if method.needs_teacher:
        return method.objective
    known = (lessons.labels != UNKNOWN).reshape(len(lessons), -1).any(dim=1)
    if not bool(known.any()):
        raise ValueError(f"{method.title} learns from labels, and no sample carries one")
    share = len(lessons) / int(known.sum())
    return replace(method.objective, label_weight=method.objective.label_weight * share)


def learn(
    method: Method,
    problem: Problem,
    teacher: nn.Module,
    build: Callable[[int], nn.Module],
    *,
    modalities: tuple[str, ...] | None = None,
    config: TrainConfig | None = None,
    seed: int = 0,
    fabric: Fabric | None = None,
) -> Expansion:
    """The student of the last round, with its account against the first teacher's labels.

    `build(0)`, `build(1)`, … are the fresh students of the rounds. `teacher` labels D_u for the
    methods that have one; for all of them it is who the account (and `config.select` "agreement")
    compares with. With one round and lessons of pseudo labels this is `mke.expand`.
    """
    used = problem.modalities if modalities is None else modalities
    said = pseudo_label(teacher, problem.unlabelled, method.objective)
    labeller, result = teacher, None
    for number in range(method.rounds):
        lessons = lessons_of(method, problem, labeller, used)
        result = expand(
            teacher,
            problem.unlabelled.only(used),
            build(number),
            objective=objective_on(method, lessons),
            config=config,
            seed=seed if number == 0 else seed_for(seed, "round", number),
            pseudo=said,
            lessons=lessons,
            heldout=None if problem.heldout is None else problem.heldout.only(used),
            validation=None if problem.validation is None else problem.validation.only(used),
            fabric=fabric,
        )
        labeller = result.student
    assert result is not None
    return result


def differences(method: Method, base: Method) -> dict[str, tuple[Any, Any]]:
    """Field to (value in the base, value here), of the objective and of the lessons."""
    settings = [
        {"lessons": each.lessons, "rounds": each.rounds}
        | {f.name: getattr(each.objective, f.name) for f in fields(Objective)}
        for each in (base, method)
    ]
    return {
        name: (value, settings[1][name])
        for name, value in settings[0].items()
        if value != settings[1][name]
    }


def table(methods: Iterable[Method]) -> str:
    """The settings of the methods, a line each, every entry read off the method."""
    head = ("method", "learns", "L_pl", "T", "T'", "anchor", "l_reg", "further")
    rows = [head, *(_row(method) for method in methods)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _row(method: Method) -> tuple[str, ...]:
    objective = method.objective
    learns = {
        "labels and unlabelled": "D_l",
        "pseudo labels": "ỹ",
        "labels and pseudo labels": "D_l, ỹ",
    }[method.lessons]
    seen = {"perturbed": "T(x)", "other": "T'(x)", "clean": "x"}[objective.view]
    other = objective.other if isinstance(objective.other, str) else _named(objective.other)
    regular: tuple[str, ...] = (other, objective.anchor, objective.consistency)
    if objective.gamma == 0:
        regular = ("-", "-", "-")
    return (
        method.title,
        learns,
        seen,
        _named(objective.transform),
        *regular,
        ", ".join(_further(method)),
    )


def _further(method: Method) -> Iterator[str]:
    objective, usual = method.objective, Objective()
    if method.rounds > 1:
        yield f"{method.rounds} rounds"
    if objective.labels != usual.labels:
        yield f"{objective.labels} ỹ"
    for name, title in (("ramp", "ramp"), ("certainty", "certainty"), ("anchor_temperature", "τ")):
        if getattr(objective, name) != getattr(usual, name):
            yield f"{title} {getattr(objective, name)}"
    if objective.answers == "average":
        yield "result θ'"


def _named(steps: Steps) -> str:
    usual = {(): "-", WEAK: "weak", STRONG: "strong"}
    return usual.get(steps) or "+".join(type(step).__name__ for step in steps)
