"""Updates of the weights of many jobs: equal to torch's optimisers on each alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mke_theory.training.loop import TrainConfig
from mke_theory.training.vectorised.optimizers import update_rule

RATES = [0.1, 0.02, 0.1]


def by_torch(config: TrainConfig, start: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """The weights of one job after torch's own optimiser has seen the gradients in turn."""
    weight = torch.nn.Parameter(start.clone())
    options = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        optimizer = torch.optim.SGD([weight], momentum=config.momentum, **options)
    else:
        optimizer = torch.optim.AdamW([weight], **options)
    for gradient in gradients:
        weight.grad = gradient.clone()
        if config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([weight], config.clip_norm)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(optimizer="sgd"),
        TrainConfig(optimizer="sgd", momentum=0.9),
        TrainConfig(optimizer="sgd", momentum=0.5, weight_decay=0.1),
        TrainConfig(),
        TrainConfig(weight_decay=0.3),
        TrainConfig(weight_decay=0.3, clip_norm=0.7),
        TrainConfig(optimizer="sgd", clip_norm=0.7),
    ],
)
@pytest.mark.parametrize("rates", [RATES, [0.1] * 3])
def test_every_job_moves_as_under_torch(config: TrainConfig, rates: list[float]) -> None:
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, 2, generator=draw, dtype=torch.float64)
    gradients = torch.randn(6, 3, 4, 2, generator=draw, dtype=torch.float64)
    weights = start.clone()
    rule = update_rule(config, [weights])
    for gradient in gradients:
        rule.step([gradient], rates)
    for i, rate in enumerate(rates):
        own = replace(config, learning_rate=rate)
        expected = by_torch(own, start[i], gradients[:, i])
        torch.testing.assert_close(weights[i], expected, rtol=0, atol=1e-13)


def test_a_step_by_hand() -> None:
    weights = torch.tensor([[1.0], [2.0]])
    rule = update_rule(TrainConfig(optimizer="sgd", momentum=0.5), [weights])
    rates = [0.1, 1.0]
    rule.step([torch.tensor([[1.0], [1.0]])], rates)  # momentum 1: 1 − .1, 2 − 1
    rule.step([torch.tensor([[0.0], [2.0]])], rates)  # momenta .5 and 2.5
    torch.testing.assert_close(weights, torch.tensor([[0.85], [-1.5]]))
