"""Models of one's own are looked at once, before any work; what they mean otherwise is refused."""

from __future__ import annotations

import copy
from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.method.algorithm import expand, fit_teacher, pseudo_label
from mke_theory.method.foreign_models import outputs_of, samples_for
from mke_theory.method.objective import Objective
from mke_theory.models import MLP, multimodal
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import predict

Output = namedtuple("Output", "logits")
QUICK = TrainConfig(steps=2)


class Reading(nn.Module):
    """Whatever a function makes of modality a, through a layer that can be trained."""

    def __init__(self, then: Any, outputs: int = 2) -> None:
        super().__init__()
        self.layer, self.then = nn.Linear(4, outputs), then

    def forward(self, inputs: dict[str, Tensor]) -> Any:
        return self.then(self.layer(inputs["a"]))


def pool(n: int = 12, kind: torch.dtype = torch.float32, labels: Any = None) -> Pool:
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 4, generator=draw).to(kind) for _ in range(2))
    return Pool({"a": a, "b": b}, torch.full((n,), -1) if labels is None else labels)


def student(outputs: int = 2) -> nn.Module:
    return multimodal({m: MLP([4, 6], activate=True) for m in "ab"}, outputs)


STRANGE: dict[str, tuple[nn.Module, str]] = {
    "one logit [n, 1]": (Reading(lambda z: z, 1), r"one output, \(8, 1\); two classes need two"),
    "one logit [n]": (Reading(lambda z: z[:, 0]), r"one output, \(8,\); two classes need two"),
    "an output object": (Reading(lambda z: Output(z)), r"answers by a Output; .*\.logits"),
    "a tuple": (Reading(lambda z: (z, z)), r"answers by a tuple; .*model\(inputs\)\[0\]"),
    "a dictionary": (Reading(lambda z: {"logits": z}), r"answers by a dict; .*\['logits'\]"),
    "softmax inside": (
        Reading(lambda z: z.softmax(1)),
        "by probabilities.* its last softmax",
    ),
    "classes": (Reading(lambda z: z.argmax(1)), "answers by torch.int64; logits are needed"),
    "a row too few": (Reading(lambda z: z[1:]), "answers 8 samples by"),
    "one row for all": (Reading(lambda z: z.mean(0, keepdim=True)), "answers 8 samples by"),
    "no dictionary": (nn.Linear(4, 2), r"a Linear, cannot read .* dictionary of shapes \{'a'"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_model_is_refused_as_teacher_and_as_student(case: str) -> None:
    model, message = STRANGE[case]
    with pytest.raises((ValueError, TypeError), match=rf"the teacher.*({message})"):
        pseudo_label(model, pool())
    with pytest.raises((ValueError, TypeError), match=rf"the teacher.*({message})"):
        fit_teacher(model, pool(labels=torch.arange(12) % 2), QUICK)
    with pytest.raises((ValueError, TypeError), match=rf"the student.*({message})"):
        expand(Reading(lambda z: z), pool(), model, config=QUICK)


def test_the_remedy_for_one_logit_keeps_its_probability() -> None:
    z = torch.tensor([[-2.0], [0.5]])
    both = torch.cat([torch.zeros_like(z), z], 1)
    torch.testing.assert_close(both.softmax(1)[:, 1:], torch.sigmoid(z))


@pytest.mark.parametrize("model", [None, lambda inputs: inputs["a"], "teacher", nn.Linear])
def test_what_is_no_module_is_refused(model: Any) -> None:
    with pytest.raises(TypeError, match=r"the teacher is a .* has to be a torch module"):
        pseudo_label(model, pool())


def test_sigmoid_inside_is_refused_of_several_questions() -> None:
    objective = Objective(multilabel=True)
    questions = pool(labels=torch.full((12, 3), -1.0))
    hidden = Reading(torch.sigmoid, 3)
    with pytest.raises(ValueError, match=r"the teacher answers by probabilities.*last sigmoid"):
        pseudo_label(hidden, questions, objective)
    ends = Reading(nn.Sigmoid(), 3)
    with pytest.raises(ValueError, match="the student ends in a Sigmoid"):
        expand(Reading(lambda z: z, 3), questions, ends, objective=objective, config=QUICK)
    assert pseudo_label(Reading(lambda z: z, 3), questions, objective).hard.shape == (12, 3)


class Built(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(10, 2)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.head(torch.cat([self.encoder(inputs["a"]), inputs["b"]], 1))


def teacher_with(*layers: nn.Module) -> nn.Module:
    return multimodal({"a": nn.Sequential(MLP([4, 6], activate=True), *layers)}, 2)


def test_a_student_on_the_teachers_own_encoder_is_refused() -> None:
    teacher = multimodal({"a": MLP([4, 6], activate=True)}, 2)
    before = predict(teacher, pool())
    encoder: nn.Module = teacher.encoders["a"]
    with pytest.raises(ValueError, match="share 2 weights or layers, such as encoder"):
        expand(teacher, pool(), Built(encoder), config=QUICK)
    expand(teacher, pool(), Built(copy.deepcopy(encoder)), config=QUICK)
    encoder.requires_grad_(False)
    expand(teacher, pool(), Built(encoder), config=TrainConfig(steps=20, learning_rate=0.1))
    assert torch.equal(predict(teacher, pool()), before)


def test_frozen_batch_norm_that_both_hold_is_refused_too() -> None:
    # Its weights would stay, its running means would not.
    shared = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)).requires_grad_(False)
    with pytest.raises(ValueError, match=r"share 1 weights or layers, such as encoder\.1"):
        expand(Built(shared), pool(), Built(shared), config=QUICK)


@pytest.mark.parametrize(("n", "size", "bad"), [(13, 4, True), (12, 4, False), (12, 1, True)])
def test_batch_norm_and_a_batch_of_one(n: int, size: int, bad: bool) -> None:
    config = TrainConfig(steps=5, batch_size=size)
    student = Built(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    if not bad:
        expand(Reading(lambda z: z), pool(n), student, config=config)
        return
    with pytest.raises(ValueError, match=f"batch_size {size} is left with one sample"):
        expand(Reading(lambda z: z), pool(n), student, config=config)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_inputs_are_computed_in_the_models_precision(kind: torch.dtype) -> None:
    given = pool(kind=kind, labels=torch.arange(12) % 2)
    single = Pool({m: x.float() for m, x in given.inputs.items()}, given.labels)
    found = []
    for one in (given, single):
        torch.manual_seed(0)
        teacher = fit_teacher(multimodal({"a": MLP([4, 6])}, 2), one.only("a"), QUICK).model
        found.append(expand(teacher, one, student(), config=QUICK))
    assert torch.equal(predict(found[0].student, given), predict(found[1].student, single))
    double = student().double()
    assert predict(double, given).dtype == torch.float64
    assert samples_for(double, given).inputs["a"].dtype == torch.float64


def test_a_double_that_no_single_can_hold_is_refused_by_name() -> None:
    given = pool(kind=torch.float64, labels=torch.arange(12) % 2)
    given.inputs["b"][3, 1] = 1e300
    with pytest.raises(
        ValueError, match=r"modality 'b' is torch.float64 and has numbers up to 1e\+300"
    ):
        samples_for(student(), given)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((torch.arange(12) % 2).float(), r"labels are torch.float32 \(12,\); .*\.long\(\)"),
        ((torch.arange(12) % 2)[:, None], r"labels are \(12, 1\).*labels\[:, 0\]"),
    ],
)
def test_labels_of_another_form_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_teacher(multimodal({"a": MLP([4, 6])}, 2), pool(labels=labels), QUICK)


def test_a_model_that_answers_as_it_should_is_counted() -> None:
    assert outputs_of("the student", student(5), pool()) == 5
