"""Small problems for evidence students: a few hundred samples, and training of sixty steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import hide
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import fit_teacher, teacher_job
from mke_theory.method.evidence import EvidenceJob, EvidenceSettings
from mke_theory.method.job import Outcome, TrainingJob
from mke_theory.models import MLP, multimodal
from mke_theory.synthetic.world import World
from mke_theory.training.loop import Fit, TrainConfig

FAST = TrainConfig(steps=60, batch_size=64, learning_rate=1e-2, weight_decay=1e-2)
BRIEF = replace(FAST, steps=6)
"""A training for tests of what is done, and not of how well."""
FOLDS = EvidenceSettings(teacher_folds=3)


class Reads(nn.Module):
    """A model whose logits are the numbers of one modality, [n, k]."""

    def __init__(self, name: str, scale: float = 1.0) -> None:
        super().__init__()
        self.name, self.weight = name, nn.Parameter(torch.tensor(scale))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.weight * inputs[self.name]


@dataclass(frozen=True)
class Small:
    """D_l in x1, D_u and test samples with their labels, and the teacher that learned D_l."""

    labelled: Pool
    unlabelled: Pool
    test: Pool
    classes: int
    teacher: nn.Module
    seed: int

    def build(self, names: tuple[str, ...]) -> nn.Module:
        return network(self.unlabelled, names, self.classes)

    def retrain(self, samples: Pool, number: int) -> TrainingJob:
        with torch_seed(seed_for(self.seed, "again", number)):
            model = network(samples, ("x1",), self.classes)
        return teacher_job(model, samples, FAST, seed=number)

    def job(self, **changes: Any) -> EvidenceJob:
        """The job of an evidence student; `unlabelled` may carry its labels."""
        unlabelled, truth = hide(changes.pop("unlabelled", self.unlabelled))
        given: dict[str, Any] = {
            "teacher": self.teacher,
            "unlabelled": unlabelled,
            "truth": truth,
            "alpha": ("x1",),
            "build": self.build,
            "config": FAST,
            "seed": self.seed,
            "labelled": self.labelled,
            "retrain": self.retrain,
            "settings": FOLDS,
        }
        return EvidenceJob(**(given | changes))


def drawn(world: World, n: int, seed: int) -> Pool:
    draw = world.sample(n, np.random.default_rng(seed))
    inputs = {name: torch.from_numpy(x).float() for name, x in draw.inputs.items()}
    return Pool(inputs, torch.from_numpy(draw.labels))


def network(pool: Pool, names: tuple[str, ...], classes: int) -> nn.Module:
    encoders = {name: MLP([pool.inputs[name][0].numel(), 16]) for name in names}
    return multimodal(encoders, classes, missing="zero")


def small(world: World, seed: int, *, labelled: int = 80, unlabelled: int = 300) -> Small:
    known = drawn(world, labelled, seed_for(seed, "D_l")).only(("x1",))
    with torch_seed(seed):
        model = network(known, ("x1",), world.classes)
    teacher = fit_teacher(model, known, FAST, seed=seed).model
    others = [drawn(world, n, seed_for(seed, n)) for n in (unlabelled, 1000)]
    return Small(known, others[0], others[1], world.classes, teacher, seed)


def accuracy(model: nn.Module, pool: Pool) -> float:
    model.eval()
    with torch.inference_mode():
        return float((model(pool.inputs).argmax(1) == pool.labels).double().mean())


def without(pool: Pool, name: str, every: int) -> Pool:
    """The pool with a modality missing in one sample of `every`."""
    x = pool.inputs[name].clone()
    x[::every] = torch.nan
    return replace(pool, inputs={**pool.inputs, name: x})


def still(jobs: Sequence[TrainingJob]) -> list[Outcome]:
    """A trainer that trains nothing: experts then say what they were built to say."""
    return [Fit(job.model, 1, ()) for job in jobs]


def readable(
    n: int, seed: int, *, a: float = 1.0, b: float = 1.0, names: tuple[str, ...] = ("a", "b")
) -> Pool:
    """Modalities that are the exact logits [n, 2] of x ~ N(±signal, 1), independent given y.

    A signal of 0 leaves random numbers that say nothing, as large as those of the signal 1.
    """
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=draw)
    sign, inputs = 2.0 * y - 1, {}
    for name, signal in zip(names, (a, b, b), strict=False):
        x = signal * sign + torch.randn(n, generator=draw)
        x = x * (signal or 1.0)
        inputs[name] = torch.stack([-x, x], dim=1)
    return Pool(inputs, y)


def reading(pool: Pool, **changes: Any) -> EvidenceJob:
    """The job of a student whose teacher and experts read their logits off the samples."""
    unlabelled, truth = hide(pool)
    given: dict[str, Any] = {
        "teacher": Reads("a"),
        "unlabelled": unlabelled,
        "truth": truth,
        "alpha": ("a",),
        "build": lambda names: Reads(names[0]),
    }
    return EvidenceJob(**(given | changes))
