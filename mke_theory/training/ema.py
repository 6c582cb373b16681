"""The running average of a model's weights: the teacher of Mean Teacher, and a steadier student."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.pool import Inputs


class RunningAverage(nn.Module):
    """A model whose weights θ' follow the weights θ of another, and which never learns itself.

        θ' ← a θ' + (1 − a) θ,   a = min(1 − 1/(t + 1), decay)   after update t = 1, 2, …

    It starts as a copy. Until a reaches `decay` in [0, 1], θ' is the plain mean of all θ so far;
    with decay 1 it stays that, with decay 0 it is θ. Buffers are copied. Weights are averaged in
    their own precision. Ref: tarvainen2017mean, section 2; the warm-up is that of its code.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"average_decay is {decay}; it has to lie in [0, 1]")
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, model: nn.Module, update: int) -> None:
        """Take in the weights of `model` after its update number 1, 2, and so on."""
        kept = share_kept(update, self.decay)
        for mine, new in zip(self.model.parameters(), model.parameters(), strict=True):
            mine.lerp_(new, 1.0 - kept)
        for held, newest in zip(self.model.buffers(), model.buffers(), strict=True):
            held.copy_(newest)

    def forward(self, inputs: Inputs, *more: Any) -> Tensor:
        logits = answer(self.model, inputs, *more)
        return logits.to(weight_of(self.model).dtype)  # as a student does in mixed precision


def share_kept(update: int, decay: float) -> float:
    """At update t = 1, 2, … the average keeps the share a = min(1 − 1/(t + 1), decay) of itself."""
    return min(1.0 - 1.0 / (update + 1), decay)


def answer(model: nn.Module, inputs: Inputs, *more: Any) -> Tensor:
    """The model's logits; inputs below its weights' precision are raised to it, doubles lowered."""
    least = weight_of(model).dtype
    fitting = {name: x.to(_precision(x.dtype, least)) for name, x in inputs.items()}
    return model(fitting, *more)


def _precision(inputs: torch.dtype, weights: torch.dtype) -> torch.dtype:
    if inputs == torch.float64 and weights == torch.float32:
        return weights  # numbers of NumPy, whose own precision nobody chose
    return torch.promote_types(inputs, weights)


def weight_of(model: nn.Module) -> Tensor:
    """A weight of the model, for its type and device; one that claims neither if it has none."""
    return next(model.parameters(), torch.empty(0, dtype=torch.bool))
