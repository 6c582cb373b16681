"""Models of a few weights, their losses, and runs that are killed on the way."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.method.losses import cross_entropy
from mke_theory.method.objective import Anchor, Consistency, Objective
from mke_theory.method.student_loss import loss_on
from mke_theory.method.transforms import InputNoise
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, LossFunction, Moment, TrainConfig, fit

STEPS, EVERY = 60, 17
ADAMW = TrainConfig(
    steps=STEPS,
    batch_size=5,
    learning_rate=0.01,
    weight_decay=0.01,
    schedule="cosine",
    warmup_steps=10,
)
SGD = replace(ADAMW, optimizer="sgd", momentum=0.9)
WHOLE = replace(ADAMW, batch_size=None)


class Scalar(nn.Module):
    """w · x, one number a sample."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.weight * inputs["x"]


class Small(nn.Module):
    """An MLP on "x" [n, 3] with a dropout layer of its own."""

    layers: nn.Sequential

    def __init__(self, classes: int = 3, dropout: float = 0.3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.layers = nn.Sequential(
                nn.Linear(3, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, classes)
            )

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.layers(inputs["x"])


def points(n: int = 12, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> Pool:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=draw, dtype=torch.float64).to(dtype)
    return Pool({"x": x}, torch.randint(0, 3, (n,), generator=draw))


def line(x: list[float], y: list[float]) -> Pool:
    return Pool({"x": torch.tensor(x)}, torch.tensor(y))


TWO = line([1.0, 2.0], [1.0, 5.0])
"""At w = 0.5 the losses are (0.5 − 1)² and (1 − 5)², their mean 8.125, its gradient −8.5."""


def squared(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return (model(batch.inputs) - batch.target) ** 2


def descend(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return model(batch.inputs)  # where x is 1 so is the gradient: w falls by the learning rate


def plain(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return cross_entropy(model(batch.inputs), batch.target)


def noisy(pool: Pool, gamma: float = 0.5, anchor: Any = "student") -> LossFunction:
    objective = Objective(
        transform=(InputNoise(0.5),),
        consistency=Consistency(gamma=gamma),
        anchor=Anchor(source=anchor),
    )
    return loss_on(objective, pool)


class Killed(Exception):
    pass


def killed_at(
    call: int, loss: LossFunction, kill: Callable[[], None] | None = None
) -> LossFunction:
    """The loss, until it is called for the given time (0, 1, …): once a step, or once a piece."""
    calls = iter(range(10**9))

    def deadly(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        if next(calls) == call:
            if kill is not None:
                kill()
            raise Killed
        return loss(model, batch, stream, moment)

    return deadly


def trained(
    config: TrainConfig = ADAMW,
    *,
    loss: LossFunction | None = None,
    seed: int = 3,
    hardware: Hardware | None = None,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """A run with batches, noise, consistency and a dropout layer."""
    chosen = noisy(points()) if loss is None else loss
    return fit(
        Small(), points(), chosen, config, seed=seed, hardware=hardware, checkpoint=checkpoint
    )


@cache
def unbroken(config: TrainConfig = ADAMW) -> Fit:
    """`trained` in one go; not to be changed, as it is made once."""
    return trained(config)


def weights(model: nn.Module) -> list[Tensor]:
    return [x.detach().clone() for x in model.state_dict().values()]


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(weights(first), weights(second), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def assert_same_run(first: Fit, second: Fit) -> None:
    assert same(first.model, second.model)
    assert first.history == second.history
    assert first.steps == second.steps


def assert_close_run(first: Fit, second: Fit, tolerance: float) -> None:
    assert [step for step, _ in first.history] == [step for step, _ in second.history]
    losses = [torch.tensor([loss for _, loss in run.history]) for run in (first, second)]
    torch.testing.assert_close(*losses, rtol=0.0, atol=tolerance)
    for a, b in zip(weights(first.model), weights(second.model), strict=True):
        torch.testing.assert_close(a, b, rtol=0.0, atol=tolerance)


def global_generators() -> tuple[Any, ...]:
    """The states of the generators of torch, `random` and NumPy, to be compared."""
    state = np.random.get_state(legacy=False)
    return torch.get_rng_state().tolist(), random.getstate(), str(state)


def environment() -> dict[str, str]:
    """The environment in which a test file runs as a script."""
    root = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
