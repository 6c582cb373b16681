"""The samples of a method, the modalities that its student sees, and rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem, Truth
from mke_theory.data.rng import Stream, seed_for
from mke_theory.method import relatives as ssl
from mke_theory.method.algorithm import expand, pseudo_label
from mke_theory.method.objective import Consistency, Objective
from mke_theory.method.relatives import Method, learn, objective_on, samples_of
from mke_theory.method.student_loss import loss_on
from mke_theory.method.transforms import InputNoise
from mke_theory.models import MLP, multimodal
from mke_theory.training.loop import Moment, TrainConfig

FEW = TrainConfig(steps=12, batch_size=8, learning_rate=0.05)
NOISE = (InputNoise(0.5),)
ALPHA, BOTH = ("a",), ("a", "b")


def drawn(n: int, seed: int) -> Pool:
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (n,), generator=draw)
    y[:3] = torch.arange(3)
    means = torch.eye(3)[y]
    inputs = {
        "a": means[:, :2] + 0.5 * torch.randn(n, 2, generator=draw),
        "b": means + 0.3 * torch.randn(n, 3, generator=draw),
    }
    return Pool(inputs, y)


def problem() -> Problem:
    return Problem.of(drawn(7, 0), drawn(21, 1), drawn(30, 2), ALPHA, 3)


def build(number: int, names: tuple[str, ...] = BOTH) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        encoders = {name: MLP([{"a": 2, "b": 3}[name], 4]) for name in names}
        return multimodal(encoders, 3, hidden=(5,), missing="learned")


def teacher() -> nn.Module:
    return build(9, ALPHA)


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


# --- samples -------------------------------------------------------------------------------------


def test_labels_and_unlabelled_by_hand() -> None:
    here = problem()
    samples = samples_of(ssl.fixmatch.method(), here)
    assert samples.modalities == BOTH and len(samples) == 28
    assert samples.labels.tolist() == [*here.labelled.labels.tolist(), *[-1] * 21]
    assert torch.equal(samples.inputs["a"][:7], here.labelled.inputs["a"])
    assert bool(samples.inputs["b"][:7].isnan().all())  # though this D_l was recorded with β
    assert torch.equal(samples.inputs["b"][7:], here.unlabelled.inputs["b"])
    alpha = samples_of(ssl.fixmatch.method(), here, modalities=ALPHA)
    assert alpha.modalities == ALPHA and not bool(alpha.inputs["a"].isnan().any())


def test_a_labelled_part_without_beta_gives_the_same_samples() -> None:
    here = problem()
    bare = replace(here, labelled=here.labelled.only(ALPHA))
    for method in (ssl.fixmatch.method(), ssl.noisy_student.method()):
        a, b = (samples_of(method, each, teacher()) for each in (here, bare))
        assert torch.equal(a.labels, b.labels)
        torch.testing.assert_close(a.inputs, b.inputs, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_samples_of_a_teacher(labels: Any) -> None:
    here, method = problem(), ssl.noisy_student.method(labels=labels)
    of_teacher = pseudo_label(teacher(), here.unlabelled, method.objective).target
    both = samples_of(method, here, teacher())
    own = here.labelled.labels if labels == "hard" else torch.eye(3)[here.labelled.labels]
    assert torch.equal(both.labels, torch.cat([own, of_teacher]))
    alone = samples_of(replace(method, learns_from="pseudo labels"), here, teacher())
    assert torch.equal(alone.labels, of_teacher) and alone.modalities == BOTH


@pytest.mark.parametrize("method", ssl.methods(), ids=lambda m: m.name)
def test_the_truth_on_unlabelled_samples_is_not_read(method: Method) -> None:
    here = problem()
    other = replace(here, truth=Truth((here.truth.labels + 1) % 3))
    a, b = (samples_of(method, each, teacher()) for each in (here, other))
    assert torch.equal(a.labels, b.labels)


def test_l_pl_is_a_mean_over_the_samples_with_a_label() -> None:
    here, method = problem(), ssl.mean_teacher.method((), gamma=0.0)
    samples = samples_of(method, here, modalities=ALPHA)
    objective = objective_on(method, samples)
    assert objective == replace(
        method.objective, pseudo_labels=replace(method.objective.pseudo_labels, weight=28 / 7)
    )
    model = teacher()
    found = loss_on(objective, samples)(model, samples[:], Stream(0), Moment()).mean()
    logits = model({"a": here.labelled.inputs["a"]})
    torch.testing.assert_close(found, nn.functional.cross_entropy(logits, here.labelled.labels))
    with_teacher = ssl.noisy_student.method()
    assert (
        objective_on(with_teacher, samples_of(with_teacher, here, teacher()))
        == with_teacher.objective
    )


def test_labels_alone_say_nothing_of_beta() -> None:
    # D_l has no β, so L_pl does not reach its encoder: only L_reg can, by a T that drops β.
    here, method = problem(), ssl.fixmatch.method((), (), certainty=0.0, gamma=0.0)
    samples, model = samples_of(method, here), build(0)
    loss_on(method.objective, samples)(model, samples[:], Stream(0), Moment()).mean().backward()
    reached = {
        name.split(".")[1]: bool((x.grad != 0).any())
        for name, x in model.named_parameters()
        if name.startswith("encoders.") and x.grad is not None
    }
    assert reached == {"a": True, "b": False}


# --- learning ------------------------------------------------------------------------------------


def test_the_row_mke_is_algorithm_1_to_the_last_bit() -> None:
    here, method = problem(), ssl.mke.method(NOISE, gamma=0.5)
    found = learn(method, here, teacher(), build, config=FEW, seed=4)
    direct = expand(
        teacher(),
        here.unlabelled.with_labels(here.truth.labels),
        build(0),
        objective=Objective(transform=NOISE, consistency=Consistency(gamma=0.5)),
        config=FEW,
        seed=4,
    )
    assert same(found.student, direct.student)
    assert found.account == direct.account


def test_noisy_student_with_one_round_and_without_labels_is_mke() -> None:
    here = problem()
    noisy = ssl.noisy_student.method(NOISE, labels="hard", rounds=1)
    plain = ssl.mke.method(NOISE, gamma=0.0)
    assert ssl.differences(noisy, plain) == {
        "learns_from": ("pseudo labels", "labels and pseudo labels")
    }
    found = [
        learn(method, here, teacher(), build, config=FEW, seed=4).student
        for method in (replace(noisy, learns_from="pseudo labels"), plain, noisy)
    ]
    assert same(found[0], found[1]) and not same(found[0], found[2])


def test_in_later_rounds_the_student_is_the_teacher() -> None:
    here, method = problem(), ssl.noisy_student.method(NOISE, rounds=2)
    built: list[int] = []

    def watched(number: int) -> nn.Module:
        built.append(number)
        return build(number)

    found = learn(method, here, teacher(), watched, config=FEW, seed=4)
    assert built == [0, 1]
    one = replace(method, rounds=1)
    first = learn(one, here, teacher(), build, config=FEW, seed=4)
    second = learn(
        one,
        here,
        first.student,
        lambda _: build(1),
        config=FEW,
        seed=seed_for(4, "round", 1),
    )
    assert same(found.student, second.student)
    # The account still speaks of the errors of the teacher that all began with.
    of_teacher = pseudo_label(teacher(), here.unlabelled, method.objective)
    assert torch.equal(found.pseudo.hard, of_teacher.hard)
    errors = int((of_teacher.hard != here.truth.labels).sum())
    assert found.account.overall.teacher_errors == errors


@pytest.mark.parametrize("method", ssl.methods(), ids=lambda m: m.name)
@pytest.mark.parametrize("modalities", [ALPHA, BOTH])
def test_every_method_learns_on_one_modality_and_on_both(
    method: Method, modalities: tuple[str, ...]
) -> None:
    here = problem()
    found = learn(
        method,
        here,
        teacher(),
        lambda number: build(number, modalities),
        modalities=modalities,
        config=FEW,
    )
    fresh = build(0, modalities).state_dict()
    now = found.student.state_dict()
    assert all(bool(torch.isfinite(x).all()) for x in now.values())
    assert any(not torch.equal(now[name], fresh[name]) for name in fresh)
    assert found.account.samples == 21


def test_a_student_need_not_see_what_its_teacher_sees() -> None:
    found = learn(
        ssl.mke.method(NOISE),
        problem(),
        teacher(),
        lambda number: build(number, ("b",)),
        modalities=("b",),
        config=FEW,
    )
    of_teacher = pseudo_label(teacher(), problem().unlabelled)
    assert torch.equal(found.pseudo.hard, of_teacher.hard)


# --- refused -------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused() -> None:
    here = problem()
    with pytest.raises(ValueError, match="MKE learns from pseudo labels; it needs a teacher"):
        samples_of(ssl.mke.method(), here)
    with pytest.raises(ValueError, match="rounds is 0"):
        replace(ssl.noisy_student.method(), rounds=0)
    with pytest.raises(ValueError, match=r"rounds is 2, but labels and unlabelled have no teacher"):
        replace(ssl.fixmatch.method(), rounds=2)
    with pytest.raises(ValueError, match="learns_from is 'labels'; choose one of"):
        replace(ssl.mke.method(), learns_from="labels")  # type: ignore[arg-type]
    sure = ssl.mke.method()
    sure = replace(
        sure,
        objective=replace(
            sure.objective, pseudo_labels=replace(sure.objective.pseudo_labels, threshold=1.0)
        ),
    )
    with pytest.raises(ValueError, match=r"threshold 1\.0"):
        samples_of(sure, here, teacher())


def test_a_student_that_needs_beta_is_refused() -> None:
    def proud(number: int) -> nn.Module:
        encoders = {"a": MLP([2, 4]), "b": MLP([3, 4])}
        return multimodal(encoders, 3)

    with pytest.raises(ValueError, match="modality 'b' is missing in some samples"):
        learn(ssl.fixmatch.method(), problem(), teacher(), proud, config=FEW)


class Average(nn.Module):
    """Logits (0, w x): class 1 where w x is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        x = self.weight * inputs["a"][:, 0]
        return torch.stack([torch.zeros_like(x), x, torch.full_like(x, -9.0)], dim=1)


def test_the_result_of_mean_teacher_is_the_average() -> None:
    # With decay 1 it is the mean of all weights so far: here those of two steps and the start.
    here = problem()
    method = ssl.mean_teacher.method((), gamma=0.0, ramp=0.0, average_decay=1.0)
    config = TrainConfig(steps=2, optimizer="sgd", learning_rate=0.1)
    whole = learn(method, here, teacher(), lambda _: Average(), modalities=ALPHA, config=config)
    own = replace(method, objective=replace(method.objective, answers="student"))
    path = [1.0]
    for steps in (1, 2):
        last = learn(
            own,
            here,
            teacher(),
            lambda _: Average(),
            modalities=ALPHA,
            config=replace(config, steps=steps),
        )
        path.append(last.student.state_dict()["weight"].item())
    assert len(set(path)) == 3
    assert whole.student.state_dict()["weight"].item() == pytest.approx(sum(path) / 3, rel=1e-6)


def test_samples_without_any_label_are_refused() -> None:
    unlabelled = drawn(6, 0)
    silent = unlabelled.with_labels(torch.full_like(unlabelled.labels, -1))
    with pytest.raises(ValueError, match="no sample carries one"):
        objective_on(ssl.pseudo_label.method(), silent)
