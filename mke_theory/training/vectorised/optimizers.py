"""SGD and AdamW on the weights of many jobs: torch's updates, with a learning rate for each job.

The weights of S jobs are tensors [S, …]; nothing here mixes one job with another, the norm to which
gradients are clipped included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from mke_theory.training.loop import TrainConfig

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class UpdateRule(Protocol):
    """One update of all weights, in place, from their gradients."""

    def step(self, gradients: Sequence[Tensor], rates: Sequence[float]) -> None:
        """`rates` has the learning rate of each job."""
        ...


def update_rule(config: TrainConfig, weights: Sequence[Tensor]) -> UpdateRule:
    """The rule that `config` names, equal to torch's optimiser on each job alone."""
    rule = _SGD(config, weights) if config.optimizer == "sgd" else _AdamW(config, weights)
    return rule if config.clip_norm is None else _Clipped(config.clip_norm, rule)


class _SGD:
    """m ← momentum · m + g + decay · θ; θ ← θ − rate · m."""

    def __init__(self, config: TrainConfig, weights: Sequence[Tensor]) -> None:
        self.config, self.weights = config, list(weights)
        self.momenta: list[Tensor] | None = None

    def step(self, gradients: Sequence[Tensor], rates: Sequence[float]) -> None:
        moves, config = list(gradients), self.config
        if config.weight_decay:
            moves = list(torch._foreach_add(moves, self.weights, alpha=config.weight_decay))
        if config.momentum:
            if self.momenta is None:
                self.momenta = [move.clone() for move in moves]
            else:
                torch._foreach_mul_(self.momenta, config.momentum)
                torch._foreach_add_(self.momenta, moves)
            moves = self.momenta
        if len(set(rates)) == 1 and rates[0] < torch.finfo(moves[0].dtype).max:
            torch._foreach_add_(self.weights, moves, alpha=-rates[0])
            return
        each = [_each(rates, move) for move in moves]
        torch._foreach_sub_(self.weights, torch._foreach_mul(moves, each))


class _AdamW:
    """β = (0.9, 0.999) and ε = 1e-8, as in torch, by torch's own update in one pass.

    Ref: loshchilov2019decoupled.
    """

    def __init__(self, config: TrainConfig, weights: Sequence[Tensor]) -> None:
        self.config, self.weights = config, list(weights)
        self.moments = [[torch.zeros_like(w) for w in weights] for _ in _BETAS]
        self.updates = [torch.zeros((), dtype=torch.float32, device=w.device) for w in weights]

    def step(self, gradients: Sequence[Tensor], rates: Sequence[float]) -> None:
        torch._foreach_add_(self.updates, 1)
        # torch's update reads memory in order, whatever the order of the axes.
        state = [self.weights, [g.contiguous() for g in gradients], *self.moments]
        if len(set(rates)) == 1:
            self._update(state, rates[0])
            return
        for i, rate in enumerate(rates):
            self._update([[x[i] for x in tensors] for tensors in state], rate)

    def _update(self, state: Sequence[Sequence[Tensor]], rate: float) -> None:
        weights, gradients, first, second = (list(tensors) for tensors in state)
        torch._fused_adamw_(
            weights,
            gradients,
            first,
            second,
            [],
            self.updates,
            lr=rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=self.config.weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )


class _Clipped:
    """Gradients of a job shortened to the norm `longest`, all its weights taken together."""

    def __init__(self, longest: float, rule: UpdateRule) -> None:
        self.longest, self.rule = longest, rule

    def step(self, gradients: Sequence[Tensor], rates: Sequence[float]) -> None:
        squares = [g.flatten(1).square().sum(1) for g in gradients]
        norm = torch.stack(squares).sum(0).sqrt()
        factor = (self.longest / (norm + 1e-6)).clamp(max=1.0)
        self.rule.step([g * _shaped(factor, g) for g in gradients], rates)


def _each(rates: Sequence[float], like: Tensor) -> Tensor:
    return _shaped(torch.tensor(rates, dtype=like.dtype, device=like.device), like)


def _shaped(values: Tensor, like: Tensor) -> Tensor:
    """[S], shaped to multiply [S, …]."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))
