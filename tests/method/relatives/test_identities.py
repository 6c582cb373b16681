"""The five statements of the relatives, by enumeration, by gradients and bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.method import relatives as ssl
from mke_theory.method.objective import Objective
from mke_theory.method.student_loss import loss_on, student_loss
from mke_theory.method.transforms import FeatureMasking, InputNoise, Transform
from mke_theory.models import MLP, multimodal
from mke_theory.training.loop import Moment, TrainConfig, fit

FEW = TrainConfig(steps=15, batch_size=6, learning_rate=0.05)
NOISE = (InputNoise(0.5),)


def pool(labelled: int = 20, seed: int = 0) -> Pool:
    draw = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(20, 2, generator=draw) for name in "ab"}
    labels = torch.randint(0, 3, (20,), generator=draw)
    labels[labelled:] = -1
    return Pool(inputs, labels)


def student() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return multimodal({name: MLP([2, 4]) for name in "ab"}, 3, hidden=(5,))


def trained(objective: Objective, labelled: int = 8) -> list[Tensor]:
    model, samples = student(), pool(labelled)
    fit(
        model,
        samples,
        loss_on(objective, samples),
        FEW,
        seed=2,
        average_decay=objective.kept_average,
        answers=objective.answers,
    )
    return list(model.state_dict().values())


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Itself(nn.Module):
    """The logits are the input."""

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return inputs["x"]


def gradient(objective: Objective, logits: Tensor) -> Tensor:
    """The gradient of L_reg in the logits, one view and no labels."""
    x = logits.clone().requires_grad_()
    batch = Batch({"x": x}, torch.full((len(x),), -1))
    student_loss(objective, Transform())(Itself(), batch, Stream(0), Moment()).sum().backward()
    assert x.grad is not None
    return x.grad


# --- 1. perturbed inputs: error, inconsistency, cross-entropy ------------------------------------


@dataclass(frozen=True)
class Move(Transform):
    """A point of a finite world goes where `to` says, one of several ways."""

    to: tuple[int, ...] = ()

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        return {name: torch.tensor(self.to)[x] for name, x in inputs.items()}


class Looked(nn.Module):
    """A table of logits, one row a point."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.rows[inputs["x"]]


def everything(
    answers: Tensor, ways: list[tuple[int, ...]], labels: Tensor
) -> tuple[float, float, float]:
    """(S, L01, R_B) by definition, over all points and ways; the identity is the first way."""
    here = answers
    there = torch.stack([answers[torch.tensor(way)] for way in ways])
    worst = (there != labels).any(dim=0).double().mean().item()
    apart = (here != labels).double().mean().item()
    torn = (there != here).any(dim=0).double().mean().item()
    return worst, apart, torn


def test_the_worst_case_is_error_or_inconsistency_over_all_small_worlds() -> None:
    ways = [(0, 1, 2, 3), (1, 0, 2, 3), (0, 2, 1, 1)]
    for f, y in product(product(range(2), repeat=4), repeat=2):
        answers, labels = torch.tensor(f), torch.tensor(y)
        reach = [{way[x] for way in ways} for x in range(4)]
        union = [f[x] != y[x] or len({f[z] for z in reach[x]}) > 1 for x in range(4)]
        worst, apart, torn = everything(answers, ways, labels)
        assert worst == np.mean(union)
        assert max(apart, torn) <= worst <= apart + torn


def test_without_the_identity_the_worst_case_may_miss_an_error() -> None:
    # Both points move onto each other: f is right at every perturbed input and wrong at each point.
    answers, labels = torch.tensor([0, 1]), torch.tensor([1, 0])
    assert everything(answers, [(1, 0)], labels)[0] == 0.0
    assert everything(answers, [(0, 1), (1, 0)], labels)[0] == 1.0


@given(
    numbers=st.lists(st.floats(-6, 6), min_size=15, max_size=15),
    labels=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    moves=st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=0, max_size=3),
)
def test_cross_entropy_bounds_what_it_should(
    numbers: list[float], labels: list[int], moves: list[list[int]]
) -> None:
    rows = torch.tensor(numbers, dtype=torch.float64).reshape(5, 3)
    ways = [tuple(range(5)), *(tuple(move) for move in moves)]
    y = torch.tensor(labels)
    batch = Batch({"x": torch.arange(5)}, y)
    per_way = torch.stack(
        [
            student_loss(Objective(), Move(way))(Looked(rows), batch, Stream(0), Moment())
            for way in ways
        ]
    )
    there = torch.stack([rows.argmax(dim=1)[torch.tensor(way)] for way in ways])
    wrong = (there != y).double()
    assert bool((wrong <= per_way / math.log(2) + 1e-12).all())
    assert wrong.mean() <= per_way.mean() / math.log(2) + 1e-12
    worst, apart, torn = everything(rows.argmax(dim=1), ways, y)
    least = 1.0 / len(ways)  # each way is as likely
    assert apart + torn <= 2 * worst + 1e-12
    assert 2 * worst <= 2 / (least * math.log(2)) * per_way.mean() + 1e-12


def test_a_rare_perturbation_is_where_the_mean_says_nothing() -> None:
    # One way in a thousand turns a sure answer over: the mean is small and the worst case is 1.
    rows = torch.tensor([[9.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    ways = [(0, 1)] * 999 + [(1, 0)]
    y = torch.tensor([0, 1])
    batch = Batch({"x": torch.arange(2)}, y)
    mean = torch.stack(
        [
            student_loss(Objective(), Move(way))(Looked(rows), batch, Stream(0), Moment())
            for way in ways
        ]
    ).mean()
    assert everything(rows.argmax(dim=1), ways, y)[0] == 1.0
    assert mean / math.log(2) < 0.02


# --- 2. entropies --------------------------------------------------------------------------------

LOGITS = 3 * torch.randn((40, 4), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
ENTROPY = ssl.entropy_minimisation.method(gamma=1.0).objective
PSEUDO = ssl.pseudo_label.method(gamma=1.0, ramp=0.0).objective


def values(objective: Objective, logits: Tensor) -> Tensor:
    batch = Batch({"x": logits}, torch.full((len(logits),), -1))
    return student_loss(objective, Transform())(Itself(), batch, Stream(0), Moment())


def test_both_are_renyi_entropies() -> None:
    p = torch.softmax(LOGITS, dim=1)
    torch.testing.assert_close(values(ENTROPY, LOGITS), -(p * p.log()).sum(dim=1))
    torch.testing.assert_close(values(PSEUDO, LOGITS), -p.max(dim=1).values.log())
    assert bool((values(PSEUDO, LOGITS) <= values(ENTROPY, LOGITS)).all())
    # Renyi's entropy of order a tends to the one for a to 1, and to the other as a grows.
    for order, objective in ((1 + 1e-6, ENTROPY), (5000.0, PSEUDO)):
        renyi = torch.logsumexp(order * torch.log_softmax(LOGITS, dim=1), dim=1) / (1 - order)
        torch.testing.assert_close(renyi, values(objective, LOGITS), rtol=1e-3, atol=1e-4)


def test_their_gradients_in_the_logits() -> None:
    p = torch.softmax(LOGITS, dim=1)
    h = -(p * p.log()).sum(dim=1, keepdim=True)
    torch.testing.assert_close(gradient(ENTROPY, LOGITS), -p * (p.log() + h))
    top = nn.functional.one_hot(p.argmax(dim=1), 4)
    torch.testing.assert_close(gradient(PSEUDO, LOGITS), p - top)
    x = LOGITS.clone().requires_grad_()
    (-torch.softmax(x, dim=1).max(dim=1).values.log()).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(gradient(PSEUDO, LOGITS), x.grad)


def stopped_at(temperature: float) -> Objective:
    """Entropy with its target stopped, at this temperature."""
    anchor = replace(ENTROPY.anchor, source="stopped", temperature=temperature)
    return replace(ENTROPY, anchor=anchor)


def test_all_of_the_entropys_gradient_comes_through_its_target() -> None:
    stopped = gradient(stopped_at(1.0), LOGITS)
    torch.testing.assert_close(stopped, torch.zeros_like(stopped), rtol=0, atol=1e-12)


def test_sharpening_leads_from_nothing_to_pseudo_label() -> None:
    p = torch.softmax(LOGITS, dim=1)
    for temperature in (0.5, 0.1):
        found = gradient(stopped_at(temperature), LOGITS)
        torch.testing.assert_close(found, p - torch.softmax(LOGITS / temperature, dim=1))
    limit = gradient(stopped_at(1e-4), LOGITS)
    torch.testing.assert_close(limit, gradient(PSEUDO, LOGITS))


def test_two_classes_by_hand() -> None:
    m = torch.tensor([0.0, 0.5, 1.2784645427610737, 3.0], dtype=torch.float64)
    logits = torch.stack([torch.zeros_like(m), m], dim=1)
    p = torch.sigmoid(m)
    pulls = [-gradient(objective, logits)[:, 1] for objective in (ENTROPY, PSEUDO)]
    torch.testing.assert_close(pulls[0], m * p * (1 - p))
    torch.testing.assert_close(pulls[1][1:], (1 - p)[1:])
    assert pulls[1][0].item() == -0.5  # at a tie the first class is taken, and m is pushed down
    assert (pulls[0] > pulls[1]).tolist() == [True, False, False, True]
    assert pulls[0][2].item() == pytest.approx(pulls[1][2].item(), abs=1e-12)


# --- 3. FixMatch and Pseudo-Label ----------------------------------------------------------------


def test_fixmatch_without_perturbation_or_certainty_is_pseudo_label() -> None:
    fixmatch = ssl.fixmatch.method((), (), certainty=0.0).objective
    pseudo = ssl.pseudo_label.method(ramp=0.0).objective
    for a, b in zip(trained(fixmatch), trained(pseudo), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # two passes of float32 and one
    batch = pool(8)[:]
    losses = [
        student_loss(objective, Transform())(student(), batch, Stream(0), Moment())
        for objective in (fixmatch, pseudo)
    ]
    assert torch.equal(*losses)
    certain = replace(fixmatch, consistency=replace(fixmatch.consistency, certainty=0.5))
    assert not same(trained(certain), trained(pseudo))


def test_uda_with_a_cold_anchor_is_fixmatch_with_a_clean_view() -> None:
    # KL to a target without entropy is cross-entropy to its class.
    uda = ssl.uda.method(NOISE, certainty=0.4, sharpening=1e-4).objective
    fixmatch = ssl.fixmatch.method((), NOISE, certainty=0.4).objective
    for a, b in zip(trained(uda), trained(fixmatch), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# --- 4. Mean Teacher, Π-model --------------------------------------------------------------------


@pytest.mark.parametrize("other", [(), NOISE])
def test_mean_teacher_without_memory_is_the_stopped_student(other: tuple[Transform, ...]) -> None:
    method = ssl.mean_teacher.method(NOISE, other=other, average_decay=0.0)
    stopped = replace(
        method.objective,
        anchor=replace(method.objective.anchor, source="stopped"),
        answers="student",
    )
    assert stopped.kept_average is None
    assert same(trained(method.objective), trained(stopped))
    slow = replace(method.objective, anchor=replace(method.objective.anchor, decay=0.5))
    assert not same(trained(slow), trained(stopped))


def test_the_pi_model_with_a_clean_other_view_has_the_regulariser_of_mke() -> None:
    pi = ssl.pi_model.method(NOISE, other=(), ramp=0.0, gamma=0.7).objective
    assert pi == ssl.mke.method(NOISE, gamma=0.7).objective
    drawn_twice = ssl.pi_model.method(NOISE, ramp=0.0, gamma=0.7).objective
    assert not same(trained(pi), trained(drawn_twice))


# --- the settings, and nothing else --------------------------------------------------------------

T = {"transform": ((InputNoise(1.0),), ())}
LEARNS_FROM = {"learns_from": ("pseudo labels", "labels and unlabelled")}
DECLARED: dict[str, dict[str, tuple[Any, Any]]] = {
    "mke": {},
    "noisy_student": {
        "learns_from": ("pseudo labels", "labels and pseudo labels"),
        "rounds": (1, 3),
        "pseudo_labels.kind": ("hard", "soft"),
        "consistency.gamma": (1.0, 0.0),
    },
    "pseudo_label": {
        **LEARNS_FROM,
        **T,
        "anchor.transform": ((), "same"),
        "anchor.source": ("student", "stopped"),
        "consistency.distance": ("squared_l2", "hard"),
        "consistency.ramp": (0.0, 0.3),
    },
    "entropy_minimisation": {
        **LEARNS_FROM,
        **T,
        "anchor.transform": ((), "same"),
        "consistency.distance": ("squared_l2", "cross_entropy"),
        "consistency.gamma": (1.0, 0.1),
    },
    "pi_model": {
        **LEARNS_FROM,
        "anchor.transform": ((), (InputNoise(1.0),)),
        "consistency.ramp": (0.0, 0.3),
    },
    "mean_teacher": {
        **LEARNS_FROM,
        "anchor.transform": ((), (InputNoise(1.0),)),
        "anchor.source": ("student", "average"),
        "consistency.ramp": (0.0, 0.3),
        "answers": ("student", "average"),
    },
    "uda": {
        **LEARNS_FROM,
        "pseudo_labels.view": ("perturbed", "clean"),
        "anchor.source": ("student", "stopped"),
        "anchor.temperature": (1.0, 0.4),
        "consistency.distance": ("squared_l2", "kl"),
        "consistency.certainty": (0.0, 0.8),
    },
    "fixmatch": {
        **LEARNS_FROM,
        "pseudo_labels.view": ("perturbed", "other"),
        "anchor.transform": ((), (InputNoise(0.2),)),
        "anchor.source": ("student", "stopped"),
        "consistency.distance": ("squared_l2", "hard"),
        "consistency.certainty": (0.0, 0.95),
    },
}


def test_methods_differ_from_mke_in_what_they_declare_and_nothing_else() -> None:
    mke, *_ = every = ssl.methods()
    assert {m.name: ssl.differences(m, mke) for m in every} == DECLARED


def test_the_perturbations_are_those_that_are_given() -> None:
    weak, strong = (FeatureMasking(0.1),), (FeatureMasking(0.5),)
    mke, *others = ssl.methods(weak, strong)
    assert mke.objective.transform == strong
    table = ssl.table([mke, *others])
    assert "FeatureMasking" in table and "strong" not in table


def test_the_table_in_the_documentation_is_the_table_of_the_settings() -> None:
    assert ssl.__doc__ is not None
    assert ssl.table(ssl.methods()) in ssl.__doc__
    assert max(map(len, ssl.table(ssl.methods()).splitlines())) <= 100
