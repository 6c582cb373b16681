"""Small tasks whose runs take a moment: vectors, maps of pixels, and yes/no questions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.lazy_arrays import Normalise, Stored
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.objective import Consistency, Objective, PseudoLabelTerm
from mke_theory.method.transforms import GaussianNoise, InputNoise
from mke_theory.models import MLP, multimodal
from mke_theory.models.segmentation import segmenter
from mke_theory.study import result
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Failure, Result, Run
from mke_theory.study.runner import run
from mke_theory.study.task import Recipe, Task
from mke_theory.training.loop import TrainConfig

ALONE = RunConfiguration(trainer="one by one")
STUDENTS = [arm.name for arm in ARMS.values() if arm.rounds]
"""The arms that train a student."""
SHORT = TrainConfig(steps=30, batch_size=8, learning_rate=0.05)
LONGER = TrainConfig(steps=40, batch_size=8, learning_rate=0.03)


@dataclass(frozen=True)
class Toy(Task):
    """Three classes, two modalities of three numbers; teacher and student learn a bit."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "toy"
    varies: ClassVar[str] = "everything"

    recipe: Recipe = Recipe(
        teacher=SHORT,
        student=SHORT,
        objective=Objective(transform=(InputNoise(0.5),), consistency=Consistency(gamma=0.5)),
    )
    hidden: int = 8

    def problem(self, seed: int) -> Problem:
        draw = torch.Generator().manual_seed(seed_for(seed, "data") % 2**32)
        labels = torch.arange(42) % 3
        centre = 2 * torch.eye(3)[labels]
        inputs = {name: centre + torch.randn(42, 3, generator=draw) for name in ("a", "b")}
        whole = Pool(inputs, labels)
        return Problem.of(
            labelled=whole.rows(torch.arange(9)).only(["a"]),
            unlabelled=whole.rows(torch.arange(9, 30)),
            test=whole.rows(torch.arange(30, 42)),
            teacher_modalities=("a",),
            classes=3,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        width = width or self.hidden
        encoders = {name: MLP([3, width], activate=True) for name in modalities}
        return multimodal(encoders, problem.classes, hidden=(width,), missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.hidden


@dataclass(frozen=True)
class Broken(Toy):
    """The same, but no problem can be drawn at one seed."""

    name: ClassVar[str] = "broken"
    broken_seed: int = 1

    def problem(self, seed: int) -> Problem:
        if seed == self.broken_seed:
            raise ValueError(f"no data at seed {seed}")
        return super().problem(seed)


class Pixelwise(nn.Module):
    """Each pixel by itself: logits from the modalities' channels at that pixel."""

    def __init__(self, modalities: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.modalities = modalities
        self.layers = nn.Sequential(
            nn.Conv2d(2 * len(modalities), width, 1), nn.ReLU(), nn.Conv2d(width, 3, 1)
        )

    def forward(self, inputs: Any) -> Tensor:
        return self.layers(torch.cat([inputs[name] for name in self.modalities], dim=1))


def noisy(labels: Literal["hard", "soft"], multilabel: bool = False) -> Recipe:
    """Forty steps under noise."""
    noise = (GaussianNoise(0.3),)
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(kind=labels),
        transform=noise,
        consistency=Consistency(gamma=0.5),
        multilabel=multilabel,
    )
    return Recipe(LONGER, LONGER, objective)


@dataclass(frozen=True)
class Maps(Task):
    """Three classes on 4 × 5 pixels, kept as bytes; one pixel of every map is void."""

    name: ClassVar[str] = "maps"
    title: ClassVar[str] = "maps"
    varies: ClassVar[str] = "everything"
    metric: ClassVar[str] = "recall"
    recipe: Recipe = noisy("hard")

    def problem(self, seed: int) -> Problem:
        draw = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 3, (30, 4, 5), generator=draw, dtype=torch.int8)
        scale = Normalise((100.0, 100.0), (50.0, 50.0))
        inputs = {}
        for name in ("image", "depth"):
            means = torch.tensor([[60.0, 100.0], [100.0, 60.0], [140.0, 140.0]])[labels.long()]
            noise = 30 * torch.randn(30, 4, 5, 2, generator=draw)
            raw = (means + noise).clamp(0, 255).to(torch.uint8).movedim(-1, 1)
            inputs[name] = Stored(raw.contiguous(), scale)
        labels[:, 0, 0] = UNKNOWN
        whole = Pool(inputs, labels)
        return Problem.of(
            labelled=whole.rows(torch.arange(4)).only(["image"]),
            unlabelled=whole.rows(torch.arange(4, 20)),
            test=whole.rows(torch.arange(20, 30)),
            teacher_modalities=("image",),
            classes=3,
            skipped=("one.png: no picture",),
        )

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        recalls = [float((predictions == c)[truth == c].double().mean()) for c in range(3)]
        return {"recall": sum(recalls) / 3, **super().scores(predictions, truth)}

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        return Pixelwise(modalities, width or 6)

    def width(self, modalities: tuple[str, ...]) -> int:
        return 6


@dataclass(frozen=True)
class Branches(Maps):
    """The same maps, by a network with a branch and a decoder for each modality."""

    name: ClassVar[str] = "branches"
    recipe: Recipe = replace(noisy("soft"), from_teacher=True)

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        channels = dict.fromkeys(modalities, 2)
        return segmenter(channels, 3, width=width or 4, stages=1, fusion="late")


@dataclass(frozen=True)
class Questions(Task):
    """Two yes/no questions about two modalities of three numbers."""

    name: ClassVar[str] = "questions"
    title: ClassVar[str] = "questions"
    varies: ClassVar[str] = "everything"
    metric: ClassVar[str] = "correlation"
    recipe: Recipe = noisy("soft", multilabel=True)

    def problem(self, seed: int) -> Problem:
        draw = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 2, (60, 2), generator=draw).float()
        parts = {"a": torch.randn(60, 3, generator=draw), "b": torch.randn(60, 3, generator=draw)}
        inputs = {name: x + 2 * nn.functional.pad(labels, (0, 1)) for name, x in parts.items()}
        whole = Pool(inputs, labels)
        return Problem.of(
            labelled=whole.rows(torch.arange(12)).only(["a"]),
            unlabelled=whole.rows(torch.arange(12, 40)),
            test=whole.rows(torch.arange(40, 60)),
            teacher_modalities=("a",),
            classes=2,
        )

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        if not predictions.is_floating_point():
            raise TypeError("scores of questions are those of probabilities")
        both = torch.stack([predictions.flatten().double(), truth.flatten().double()])
        return {"correlation": float(torch.corrcoef(both)[0, 1])}

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        encoders = {name: MLP([3, width or 6], activate=True) for name in modalities}
        return multimodal(encoders, 2, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return 6


def carried_out(
    arm: str = "mm_student",
    task: Task | None = None,
    seed: int = 0,
    *,
    problem: Problem | None = None,
    configuration: RunConfiguration = ALONE,
) -> Result:
    """The result of one run; `problem` takes the place of the one that belongs to the seed."""
    (done,) = outcomes([Run(task or Toy(), ARMS[arm], seed)], problem, configuration)
    if isinstance(done, Failure):
        raise done.cause or RuntimeError(done.error)
    return done


def outcomes(
    runs: list[Run], problem: Problem | None = None, configuration: RunConfiguration = ALONE
) -> list[Result | Failure]:
    """The runner's results, on `problem` in place of the runs' own where it is given."""
    with pytest.MonkeyPatch.context() as patch:
        if problem is not None:
            patch.setattr(result, "_drawn", lambda *_: problem)
        return run(runs, configuration)


def same(first: nn.Module, second: nn.Module) -> bool:
    """True where both have the same weights, bit for bit."""
    a, b = first.state_dict(), second.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def close(one: Any, other: Any) -> bool:
    """Equal, floats up to 1e-6, or to 1e-6 of their size where they are above 1."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(close, one, other))
    return one == (pytest.approx(other, abs=1e-6, rel=1e-6) if isinstance(one, float) else other)
