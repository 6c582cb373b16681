"""SGD and AdamW on stacked weights: torch's updates, with a learning rate for each student.

The weights of S students are tensors [S, …]; nothing here mixes one student with another, the norm
to which gradients are clipped included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from mke_theory.training.loop import TrainConfig


class UpdateRule(Protocol):
    """One update of all weights, in place, from their gradients."""

    def step(self, gradients: Sequence[Tensor], rates: Tensor) -> None:
        """`rates` is [S], the learning rate of each student."""
        ...


def update_rule(config: TrainConfig, weights: Sequence[Tensor]) -> UpdateRule:
    """The rule that `config` names, equal to torch's optimiser on each student alone."""
    rule = _SGD(config, weights) if config.optimizer == "sgd" else _AdamW(config, weights)
    return rule if config.clip_norm is None else _Clipped(config.clip_norm, rule)


class _SGD:
    """m ← momentum · m + g + decay · θ; θ ← θ − rate · m."""

    def __init__(self, config: TrainConfig, weights: Sequence[Tensor]) -> None:
        self.config, self.weights = config, list(weights)
        self.momenta: list[Tensor] | None = None

    def step(self, gradients: Sequence[Tensor], rates: Tensor) -> None:
        moves = list(gradients)
        if self.config.weight_decay:
            pairs = zip(moves, self.weights, strict=True)
            moves = [torch.add(g, w, alpha=self.config.weight_decay) for g, w in pairs]
        if self.config.momentum:
            if self.momenta is None:
                self.momenta = [move.clone() for move in moves]
            else:
                for momentum, move in zip(self.momenta, moves, strict=True):
                    momentum.mul_(self.config.momentum).add_(move)
            moves = self.momenta
        _descend(self.weights, moves, rates)


class _AdamW:
    """Ref: loshchilov2019decoupled; β = (0.9, 0.999) and ε = 1e-8, as in torch."""

    def __init__(self, config: TrainConfig, weights: Sequence[Tensor]) -> None:
        self.config, self.weights, self.updates = config, list(weights), 0
        self.first = [torch.zeros_like(w) for w in weights]
        self.second = [torch.zeros_like(w) for w in weights]

    def step(self, gradients: Sequence[Tensor], rates: Tensor) -> None:
        self.updates += 1
        decayed = 1.0 - rates * self.config.weight_decay
        unbiased = [1.0 - beta**self.updates for beta in (0.9, 0.999)]
        moves = []
        for weight, first, second, g in zip(
            self.weights, self.first, self.second, gradients, strict=True
        ):
            if self.config.weight_decay:
                weight.mul_(_each(decayed, weight))
            first.lerp_(g, 0.1)
            second.mul_(0.999).addcmul_(g, g, value=0.001)
            size = (second.sqrt() / unbiased[1] ** 0.5).add_(1e-8)
            moves.append(first / size)
        _descend(self.weights, moves, rates / unbiased[0])


class _Clipped:
    """Gradients of a student shortened to the norm `longest`, all its weights taken together."""

    def __init__(self, longest: float, rule: UpdateRule) -> None:
        self.longest, self.rule = longest, rule

    def step(self, gradients: Sequence[Tensor], rates: Tensor) -> None:
        squares = [g.flatten(1).square().sum(1) for g in gradients]
        norm = torch.stack(squares).sum(0).sqrt()
        factor = (self.longest / (norm + 1e-6)).clamp(max=1.0)
        self.rule.step([g * _each(factor, g) for g in gradients], rates)


def _descend(weights: Sequence[Tensor], moves: Sequence[Tensor], rates: Tensor) -> None:
    most = torch.finfo(weights[0].dtype).max
    if bool((rates == rates[0]).all()) and float(rates[0]) < most:
        for weight, move in zip(weights, moves, strict=True):
            weight.sub_(move, alpha=float(rates[0]))
        return
    for weight, move in zip(weights, moves, strict=True):
        weight.sub_(move * _each(rates, weight))


def _each(values: Tensor, like: Tensor) -> Tensor:
    """[S] in the type of `like`, shaped to multiply [S, …]."""
    shaped = values.to(like.device, like.dtype)
    return shaped.reshape(-1, *[1] * (like.dim() - 1))
