"""Runs whose labels are maps of pixels, or several yes/no questions, go the way of all others."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.lazy_arrays import Normalise, Stored
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import GaussianNoise
from mke_theory.models import MLP, multimodal
from mke_theory.models.segmentation import segmenter
from mke_theory.study.arm_setup import build_student, student_to_be
from mke_theory.study.arms import ARMS
from mke_theory.study.runner import Place, run, train_teacher
from mke_theory.study.task import Recipe, Task
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import predict

SHORT = TrainConfig(steps=40, batch_size=8, learning_rate=0.03)
PLACE = Place()


def recipe(labels: Literal["hard", "soft"], multilabel: bool) -> Recipe:
    noise = (GaussianNoise(0.3),)
    return Recipe(
        SHORT, SHORT, Objective(labels, transform=noise, gamma=0.5, multilabel=multilabel)
    )


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


@dataclass(frozen=True)
class Maps(Task):
    """Three classes on 4 × 5 pixels, kept as bytes; one pixel of every map is void."""

    name: ClassVar[str] = "maps"
    title: ClassVar[str] = "maps"
    varies: ClassVar[str] = "everything"
    metric: ClassVar[str] = "recall"
    recipe: Recipe = recipe("hard", False)

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

    def scores(self, said: Tensor, truth: Tensor) -> dict[str, float]:
        recalls = [float((said == c)[truth == c].double().mean()) for c in range(3)]
        return {"recall": sum(recalls) / 3, **super().scores(said, truth)}

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        return Pixelwise(modalities, width or 6)

    def width(self, modalities: tuple[str, ...]) -> int:
        return 6


@dataclass(frozen=True)
class Questions(Task):
    """Two yes/no questions about two modalities of three numbers."""

    name: ClassVar[str] = "questions"
    title: ClassVar[str] = "questions"
    varies: ClassVar[str] = "everything"
    metric: ClassVar[str] = "correlation"
    recipe: Recipe = recipe("soft", True)

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

    def scores(self, said: Tensor, truth: Tensor) -> dict[str, float]:
        assert said.is_floating_point() and 0 <= float(said.min()) <= float(said.max()) <= 1
        both = torch.stack([said.flatten().double(), truth.flatten().double()])
        return {"correlation": float(torch.corrcoef(both)[0, 1])}

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        encoders = {name: MLP([3, width or 6], activate=True) for name in modalities}
        return multimodal(encoders, 2, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return 6


@pytest.mark.parametrize("arm", list(ARMS))
def test_maps_of_pixels_in_every_arm(arm: str) -> None:
    task = Maps()
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, PLACE)
    record, model = run(task, ARMS[arm], 0, problem, teacher, PLACE)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    said = predict(model, problem.test).argmax(dim=1)
    assert record["metrics"]["test"] == task.scores(said, problem.test.labels)["recall"]
    assert record["metric"] == "recall" and record["skipped"] == ["one.png: no picture"]
    account = record["account"]["test"]
    assert account["overall"]["n"] == 10 * 19 and account["unknown"] == 10
    assert record["scores"]["test"]["accuracy"] == account["overall"]["student_accuracy"]
    assert record["metrics"]["test"] > 0.5  # chance is a third


@pytest.mark.parametrize("arm", ["mm_student", "mm_student_sup", "mm_student_flips"])
def test_soft_maps_are_kept_in_half_precision_and_learned_from(arm: str) -> None:
    task = Maps(recipe("soft", False))
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, PLACE)
    ready, pseudo = student_to_be(task, ARMS[arm], 0, problem, teacher.model)
    assert pseudo.target.dtype == torch.float16 and pseudo.hard.dtype == torch.int8
    assert ready.samples[slice(0, 2)].target.dtype == torch.float32
    void = ready.samples.labels[:, :, 0, 0].float().sum(dim=1)
    if arm == "mm_student":
        assert torch.allclose(void, torch.ones(16), atol=2e-3)
    else:  # labels made from the truth are certain, and none where it is void
        assert torch.equal(void, torch.zeros(16))
        known, truth = ready.samples.labels.sum(dim=1) == 1, problem.unlabelled.labels
        assert torch.equal(known, truth != UNKNOWN)
        wrong = int((ready.samples.labels.argmax(dim=1) != truth)[known].sum())
        errors = int((pseudo.hard != truth)[known].sum())
        assert errors > 0 and wrong == (errors if arm == "mm_student_flips" else 0)
    assert run(task, ARMS[arm], 0, problem, teacher, PLACE)[0]["metrics"]["test"] > 0.5


@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("arm", [name for name in ARMS if name != "mm_student_flips"])
def test_several_questions_in_every_arm(arm: str, labels: Literal["hard", "soft"]) -> None:
    task = Questions(recipe(labels, True))
    problem = task.problem(1)
    teacher = train_teacher(task, 1, problem, PLACE)
    record, model = run(task, ARMS[arm], 1, problem, teacher, PLACE)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    logits = predict(model, problem.test)
    expected = task.scores(torch.sigmoid(logits.double()), problem.test.labels.double())[
        "correlation"
    ]
    assert record["metrics"]["test"] == pytest.approx(expected, abs=1e-12)
    right = ((logits >= 0).float() == problem.test.labels).double().mean().item()
    assert record["account"]["test"]["overall"]["student_accuracy"] == pytest.approx(right)
    assert record["metrics"]["test"] > 0.3


def test_the_teachers_word_on_questions_is_a_probability() -> None:
    task = Questions()
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, PLACE)
    record, _ = run(task, ARMS["um_student"], 0, problem, teacher, PLACE)
    own, _ = run(task, ARMS["um_teacher"], 0, problem, teacher, PLACE)
    assert record["metrics"]["pseudo_labels"] == pytest.approx(own["metrics"]["unlabelled"])


def test_no_truth_on_the_unlabelled_maps_leaves_no_number() -> None:
    task = Maps()
    problem = task.problem(0)
    silent = problem.unlabelled.with_labels(torch.full_like(problem.unlabelled.labels, UNKNOWN))
    problem = replace(problem, unlabelled=silent)
    teacher = train_teacher(task, 0, problem, PLACE)
    record, _ = run(task, ARMS["mm_student"], 0, problem, teacher, PLACE)
    assert record["metrics"]["unlabelled"] is None and record["metrics"]["pseudo_labels"] is None
    assert record["metrics"]["test"] is not None


@dataclass(frozen=True)
class Branches(Maps):
    """The same maps, by a network with a branch and a decoder for each modality."""

    name: ClassVar[str] = "branches"
    recipe: Recipe = replace(recipe("soft", False), from_teacher=True)

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        channels = dict.fromkeys(modalities, 2)
        return segmenter(channels, 3, width=width or 4, stages=1, fusion="late")


def test_the_teachers_branch_begins_as_the_teacher() -> None:
    task = Branches()
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, PLACE).model
    student = build_student(task, ARMS["mm_student"], problem, ("image", "depth"), 0, teacher)
    test = problem.test.only(["image"])  # depth is missing: the sum has one term
    assert torch.allclose(predict(student, test), predict(teacher, test), atol=1e-6)
    fresh = build_student(Branches(recipe("soft", False)), ARMS["mm_student"], problem,
                          ("image", "depth"), 0, teacher)  # fmt: skip
    assert not torch.allclose(predict(fresh, test), predict(teacher, test), atol=1e-2)


def test_an_arm_that_cannot_begin_as_the_teacher_says_so() -> None:
    """The student of matched size is wider: it begins anew, and that is no part of its size."""
    task = Branches()
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, PLACE)
    found = {
        arm: run(task, ARMS[arm], 0, problem, teacher, PLACE)[0]
        for arm in ("um_teacher", "um_student", "um_student_matched")
    }
    assert found["um_student_matched"]["differences"]["begins as"] == ["the teacher", "new"]
    assert all("begins as" not in found[a]["differences"] for a in ("um_teacher", "um_student"))


def test_the_cost_of_a_teacher_is_that_of_its_training(tmp_path: Path) -> None:
    """Once trained it is only loaded, and then nothing was paid."""
    task, place = Branches(), Place(folder=tmp_path)
    problem = task.problem(0)
    for paid in (True, False):
        teacher = train_teacher(task, 0, problem, place)
        record, _ = run(task, ARMS["um_teacher"], 0, problem, teacher, place)
        assert (record["training"]["seconds"] is not None) is paid
        assert record["rule"] == "as the teacher" and record["selected_step"] == SHORT.steps


def test_the_adjusted_teacher_is_the_teacher_less_the_classes_frequency() -> None:
    """By hand: π is its mean answer on D_u, and τ log π comes off the logits; its labels stay."""
    task = Branches(replace(recipe("soft", False), objective=Objective("soft", adjustment=2.0)))
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, PLACE)
    record, model = run(task, ARMS["um_teacher_adjusted"], 0, problem, teacher, PLACE)
    plain, _ = run(task, ARMS["um_teacher"], 0, problem, teacher, PLACE)
    own = predict(teacher.model, problem.unlabelled)
    shares = torch.softmax(own, dim=1).half().double().mean(dim=[0, 2, 3])
    shares = shares / shares.sum()  # halves do not add up to 1 by themselves
    expected = own - 2.0 * shares.log().reshape(1, -1, 1, 1)
    assert torch.allclose(predict(model, problem.unlabelled).double(), expected, atol=1e-5)
    assert record["metrics"]["pseudo_labels"] == plain["metrics"]["pseudo_labels"]
    assert 0.0 < record["metrics"]["agreement"] < 1.0 == plain["metrics"]["agreement"]
    assert record["differences"]["decision"] == ["as trained", "adjusted"]
    assert record["counts"]["parameters"] == plain["counts"]["parameters"]
