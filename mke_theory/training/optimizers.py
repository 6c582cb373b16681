"""torch's own optimisers, as a training configuration names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

Rule = Literal["adamw", "sgd"]
"""AdamW of loshchilov2019decoupled, or stochastic gradient descent with momentum."""


def optimizer_of(
    weights: Iterable[nn.Parameter],
    rule: Rule,
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """The optimiser of these weights. `momentum` is of SGD alone, AdamW keeps torch's defaults."""
    if rule == "sgd":
        return SGD(weights, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    return AdamW(weights, lr=learning_rate, weight_decay=weight_decay)
