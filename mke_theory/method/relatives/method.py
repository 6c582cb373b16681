"""A semi-supervised method as data: its setting of the objective, and the labels it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import nn

from mke_theory.data.lazy_arrays import Stored, on_disk
from mke_theory.data.pool import UNKNOWN, Pool, join
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import Expansion, ExpansionJob, expand_all, pseudo_label
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Objective, acting_on
from mke_theory.method.pseudo_labels import as_target
from mke_theory.method.transforms import InputNoise, Transform
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import TrainConfig

Steps = tuple[Transform, ...]
LearnsFrom = Literal["labels and unlabelled", "pseudo labels", "labels and pseudo labels"]

WEAK: Steps = (InputNoise(0.2),)
STRONG: Steps = (InputNoise(1.0),)
"""Perturbations to begin with, in units of mean|x|; papers use those of their own data."""


@dataclass(frozen=True)
class Method:
    """One row of the table in `ssl`.

    learns_from: D_l with its labels and D_u without any; a fixed teacher's labels on D_u; or both.
    rounds: how often the student becomes the teacher of the next, and itself begins anew.
    reference: the key in the bibliography.
    """

    name: str
    title: str
    objective: Objective
    learns_from: LearnsFrom
    reference: str
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.learns_from not in get_args(LearnsFrom):
            raise ValueError(
                f"learns_from is {self.learns_from!r}; choose one of {get_args(LearnsFrom)}"
            )
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it has to be at least 1")
        if self.rounds > 1 and not self.needs_teacher:
            raise ValueError(
                f"rounds is {self.rounds}, but {self.learns_from} have no teacher whose place a "
                "student could take; choose 1"
            )

    @property
    def needs_teacher(self) -> bool:
        """True where somebody has to label D_u before the student begins."""
        return self.learns_from != "labels and unlabelled"


def samples_of(
    method: Method,
    problem: Problem,
    teacher: nn.Module | None = None,
    modalities: tuple[str, ...] | None = None,
) -> Pool:
    """The samples that a student of these modalities (by default all) learns from.

    D_l comes first. It carries the teacher's modalities alone, whatever was recorded: the others
    are NaN there, and the student has to handle that (`missing="zero"` or `"learned"`). Samples of
    D_u without a label carry −1, and their truth is read by nobody. Raises ValueError where a
    teacher is needed and none is given, or no pseudo label reaches the threshold.
    """
    used = problem.modalities if modalities is None else modalities
    unlabelled = problem.unlabelled.only(used)
    labelled = alpha_alone(problem, used)
    if not method.needs_teacher:
        return join(labelled, unlabelled)
    if teacher is None:
        raise ValueError(f"{method.title} learns from {method.learns_from}; it needs a teacher")
    pseudo = pseudo_label(teacher, problem.unlabelled, method.objective)
    labelled_by_teacher = unlabelled.with_labels(pseudo.target)
    if method.learns_from == "labels and pseudo labels":
        return join(labelled.with_labels(as_target(labelled.labels, pseudo)), labelled_by_teacher)
    threshold = method.objective.pseudo_labels.threshold
    if bool((pseudo.confidence < threshold).all()):
        raise ValueError(f"no pseudo label reaches the threshold {threshold}; lower it")
    return labelled_by_teacher


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
            nothing = torch.full((1, *x.shape[1:]), torch.nan, dtype=x.dtype)
            rows = torch.zeros(n, dtype=torch.long)
            inputs[name] = Stored(nothing, rows=rows) if on_disk(x) else nothing[rows]
    return Pool(inputs, known.labels, known.groups)


def objective_on(method: Method, samples: Pool) -> Objective:
    """The method's objective with L_pl a mean over the samples that carry a label.

    A batch is drawn from all samples alike, so where D_u carries none, the weight of a label is
    n/n_l times the method's: the expectation is the mean over D_l, however large D_u is. In small
    batches that is a noisy mean: take them large, or whole.

    Raises ValueError where no sample carries a label.
    """
    if method.needs_teacher:
        return method.objective
    known = (samples.labels != UNKNOWN).reshape(len(samples), -1).any(dim=1)
    if not bool(known.any()):
        raise ValueError(f"{method.title} learns from labels, and no sample carries one")
    term = method.objective.pseudo_labels
    weight = term.weight * len(samples) / int(known.sum())
    return replace(method.objective, pseudo_labels=replace(term, weight=weight))


def round_job(
    method: Method,
    problem: Problem,
    labeller: nn.Module,
    student: nn.Module,
    *,
    modalities: tuple[str, ...],
    config: TrainConfig,
    seed: int,
    number: int = 1,
) -> TrainingJob:
    """The job of the student of round 1, 2, …, for which `labeller` labels D_u.

    T and T' act as far as they can on the student's modalities. Every round has a seed of its own.
    """
    samples = samples_of(method, problem, labeller, modalities)
    objective = acting_on(objective_on(method, samples), modalities)
    seed = seed if number == 1 else seed_for(seed, "round", number - 1)
    return TrainingJob(student, samples, objective, config, seed)


def learn(
    method: Method,
    problem: Problem,
    teacher: nn.Module,
    build: Callable[[int], nn.Module],
    *,
    modalities: tuple[str, ...] | None = None,
    config: TrainConfig | None = None,
    seed: int = 0,
    hardware: Hardware | None = None,
) -> Expansion:
    """The student of the last round, with its account against the first teacher's labels.

    `build(0)`, `build(1)`, … are the fresh students of the rounds. `teacher` labels D_u for the
    methods that have one; the account compares all of them with it. With one round and samples of
    pseudo labels alone this is `algorithm.expand`.
    """
    used = problem.modalities if modalities is None else modalities
    pseudo = pseudo_label(teacher, problem.unlabelled, method.objective)
    labeller, trainer = teacher, partial(one_by_one, hardware=hardware)
    for number in range(1, method.rounds + 1):
        job = round_job(
            method,
            problem,
            labeller,
            build(number - 1),
            modalities=used,
            config=config or TrainConfig(),
            seed=seed,
            number=number,
        )
        whole = ExpansionJob(problem.unlabelled.only(used), problem.truth, pseudo, job)
        (outcome,) = expand_all([whole], trainer)
        if isinstance(outcome, Exception):
            raise outcome
        result, labeller = outcome, outcome.student
    return result


def differences(method: Method, base: Method) -> dict[str, tuple[Any, Any]]:
    """Setting to (value in the base, value here), of the labels and of the objective's parts."""
    theirs, own = _settings(base), _settings(method)
    return {name: (value, own[name]) for name, value in theirs.items() if value != own[name]}


def _settings(method: Method) -> dict[str, Any]:
    """Every setting of a method by name; those of a part of the objective as part.name."""
    found = {"learns_from": method.learns_from, "rounds": method.rounds}
    for part in fields(Objective):
        value = getattr(method.objective, part.name)
        if is_dataclass(value):
            found |= {f"{part.name}.{f.name}": getattr(value, f.name) for f in fields(value)}
        else:
            found[part.name] = value
    return found


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
    }[method.learns_from]
    seen = {"perturbed": "T(x)", "other": "T'(x)", "clean": "x"}[objective.pseudo_labels.view]
    other = "same" if objective.anchor.transform == "same" else _named(objective.anchor.transform)
    regular: tuple[str, ...] = (other, objective.anchor.source, objective.consistency.distance)
    if objective.consistency.gamma == 0:
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
    if objective.pseudo_labels.kind != usual.pseudo_labels.kind:
        yield f"{objective.pseudo_labels.kind} ỹ"
    for title, own, theirs in (
        ("ramp", objective.consistency.ramp, usual.consistency.ramp),
        ("certainty", objective.consistency.certainty, usual.consistency.certainty),
        ("τ", objective.anchor.temperature, usual.anchor.temperature),
    ):
        if own != theirs:
            yield f"{title} {own}"
    if objective.answers == "average":
        yield "result θ'"


def _named(steps: Steps) -> str:
    usual = {(): "-", WEAK: "weak", STRONG: "strong"}
    return usual.get(steps) or "+".join(type(step).__name__ for step in steps)
