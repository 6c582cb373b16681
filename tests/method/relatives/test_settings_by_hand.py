"""One step of every method on a linear softmax model, against its gradient written in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.rng import Stream
from mke_theory.method import relatives as ssl
from mke_theory.method.objective import Objective
from mke_theory.method.relatives import Method
from mke_theory.method.student_loss import loss_on
from mke_theory.method.transforms import Transform
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Moment, TrainConfig, fit

N, D, K = 9, 4, 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shift(Transform):
    """x + by: a perturbation without chance."""

    by: float = 0.0

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        return {name: x + self.by for name, x in inputs.items()}


class Linear(nn.Module):
    """Logits x Wᵀ."""

    def __init__(self, weight: Floats) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return inputs["x"] @ self.weight.T


DRAW = np.random.default_rng(5)
X: Floats = DRAW.normal(size=(N, D))
W: Floats = DRAW.normal(size=(K, D))
EARLIER: Floats = W + 0.3 * DRAW.normal(size=(K, D))
HALF = np.array([0, 2, 1, -1, -1, -1, 1, -1, -1])
NONE = np.full(N, UNKNOWN)
STRONG, WEAK = 0.7, -0.2


def softmax(z: Floats) -> Floats:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def spread(p: Floats, v: Floats) -> Floats:
    """(diag p − p pᵀ) v, row by row: from a gradient in p to one in the logits."""
    return p * (v - (p * v).sum(axis=1, keepdims=True))


def supervised(x: Floats, labels: NDArray[Any]) -> Floats:
    """The gradient of the mean cross-entropy over the samples that carry a label."""
    known = labels >= 0
    if not known.any():
        return np.zeros((K, D))
    error = softmax(x[known] @ W.T) - np.eye(K)[labels[known]]
    return error.T @ x[known] / known.sum()


def squared(x: Floats, other: Floats, anchor: Floats, both: bool) -> Floats:
    p, q = softmax(x @ W.T), softmax(other @ anchor.T)
    gradient = 2 * spread(p, p - q).T @ x / N
    return gradient + (2 * spread(q, q - p).T @ other / N if both else 0.0)


def hard(x: Floats, other: Floats, certainty: float) -> Floats:
    q = softmax(other @ W.T)
    sure = q.max(axis=1, keepdims=True) >= certainty
    return (sure * (softmax(x @ W.T) - np.eye(K)[q.argmax(axis=1)])).T @ x / N


def divergence(x: Floats, other: Floats, certainty: float, temperature: float) -> Floats:
    q = softmax(other @ W.T)
    sure = q.max(axis=1, keepdims=True) >= certainty
    return (sure * (softmax(x @ W.T) - softmax(other @ W.T / temperature))).T @ x / N


def entropy(x: Floats) -> Floats:
    p = softmax(x @ W.T)
    h = -(p * np.log(p)).sum(axis=1, keepdims=True)
    return (-p * (np.log(p) + h)).T @ x / N


def soft_supervised(x: Floats, target: Floats) -> Floats:
    return (softmax(x @ W.T) - target).T @ x / N


S, V = X + STRONG, X + WEAK
strong, weak = (Shift(STRONG),), (Shift(WEAK),)
GAMMA = 0.6

ROWS: dict[str, tuple[Method, Callable[[NDArray[Any]], Floats]]] = {
    "mke": (
        ssl.mke.method(strong, gamma=GAMMA),
        lambda y: supervised(S, y) + GAMMA * squared(S, X, W, True),
    ),
    "noisy_student": (ssl.noisy_student.method(strong, labels="hard"), lambda y: supervised(S, y)),
    "pseudo_label": (
        ssl.pseudo_label.method(gamma=GAMMA, ramp=0.0),
        lambda y: supervised(X, y) + GAMMA * hard(X, X, 0.0),
    ),
    "entropy_minimisation": (
        ssl.entropy_minimisation.method(gamma=GAMMA),
        lambda y: supervised(X, y) + GAMMA * entropy(X),
    ),
    "pi_model": (
        ssl.pi_model.method(strong, other=weak, gamma=GAMMA, ramp=0.0),
        lambda y: supervised(S, y) + GAMMA * squared(S, V, W, True),
    ),
    "mean_teacher": (
        ssl.mean_teacher.method(strong, other=weak, gamma=GAMMA, ramp=0.0),
        lambda y: supervised(S, y) + GAMMA * squared(S, V, EARLIER, False),
    ),
    "uda": (
        ssl.uda.method(strong, gamma=GAMMA, certainty=0.6, sharpening=0.4),
        lambda y: supervised(X, y) + GAMMA * divergence(S, X, 0.6, 0.4),
    ),
    "fixmatch": (
        ssl.fixmatch.method(weak, strong, gamma=GAMMA, certainty=0.6),
        lambda y: supervised(V, y) + GAMMA * hard(S, V, 0.6),
    ),
}


def weighted(objective: Objective, labels: NDArray[Any]) -> Objective:
    """L_pl as a mean over the samples that carry a label."""
    known = int((labels >= 0).sum())
    return replace(
        objective,
        pseudo_labels=replace(objective.pseudo_labels, weight=N / known if known else 1.0),
    )


def pool(labels: NDArray[Any]) -> Pool:
    return Pool({"x": torch.tensor(X)}, torch.tensor(labels))


def gradient(objective: Objective, labels: NDArray[Any], progress: float = 1.0) -> Floats:
    model, given = Linear(W), pool(labels)
    loss = loss_on(objective, given)
    moment = Moment(progress, Linear(EARLIER))
    loss(model, given[:], Stream(0), moment).mean().backward()
    assert model.weight.grad is not None
    return model.weight.grad.numpy()


def test_every_method_is_here() -> None:
    assert set(ROWS) == {method.name for method in ssl.methods()}


@pytest.mark.parametrize("labels", [HALF, NONE], ids=["labels", "none"])
@pytest.mark.parametrize("name", list(ROWS))
def test_the_gradient_is_the_one_on_paper(name: str, labels: NDArray[Any]) -> None:
    method, by_hand = ROWS[name]
    found = gradient(weighted(method.objective, labels), labels)
    np.testing.assert_allclose(found, by_hand(labels), rtol=0, atol=1e-10)
    if name != "noisy_student" or labels is HALF:  # without labels it learns nothing
        assert np.abs(found).max() > 1e-3


def test_soft_labels_of_the_noisy_student() -> None:
    target = softmax(DRAW.normal(size=(N, K)))
    model, given = Linear(W), pool(NONE).with_labels(torch.tensor(target))
    objective = ssl.noisy_student.method(strong).objective
    loss_on(objective, given)(model, given[:], Stream(0), Moment()).mean().backward()
    assert model.weight.grad is not None
    np.testing.assert_allclose(model.weight.grad.numpy(), soft_supervised(S, target), atol=1e-10)


def test_thresholds_leave_out_some_and_not_all() -> None:
    # Otherwise the two tests above would say nothing of certainty.
    for view in (X, V):
        sure = softmax(view @ W.T).max(axis=1) >= 0.6
        assert 0 < sure.sum() < N


@pytest.mark.parametrize("name", list(ROWS))
def test_one_step_of_training_is_one_step_down_the_gradient(name: str) -> None:
    method, by_hand = ROWS[name]
    objective = weighted(method.objective, HALF)
    # At the first step the average is a copy of the student, and after it their mean.
    config = TrainConfig(steps=1, optimizer="sgd", learning_rate=0.1)
    model, given = Linear(W), pool(HALF)
    fit(
        model,
        given,
        loss_on(objective, given),
        config,
        seed=0,
        hardware=Hardware(precision="64-true"),
        average_decay=objective.kept_average,
        answers=objective.answers,
    )
    step = 0.1 * by_hand(HALF)
    if name == "mean_teacher":
        expected = supervised(S, HALF) + GAMMA * squared(S, V, W, False)
        step = 0.1 * expected / 2  # the result is the mean of the first weights and the second
    np.testing.assert_allclose(model.weight.detach().numpy(), W - step, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, np.exp(-5)), (0.2, np.exp(-5 / 4)), (0.4, 1.0), (0.7, 1.0)]
)
@pytest.mark.parametrize(
    "form", [float, np.float64, lambda t: torch.tensor(t, dtype=torch.float64)]
)
def test_the_ramp_by_hand(progress: float, share: float, form: Any) -> None:
    objective = weighted(ssl.pseudo_label.method(gamma=GAMMA, ramp=0.4).objective, HALF)
    found = gradient(objective, HALF, form(progress))
    expected = supervised(X, HALF) + GAMMA * share * hard(X, X, 0.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
