"""A trained model whose decisions do without a share of the classes' frequency.

    decision(x) = argmax_k  f_k(x) − τ log π_k

A student under `Objective.adjustment` learns such an f. A teacher can be given the same by hand,
for free: what it gains by that is no merit of a student. Ref: menon2021long, section 4.1.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mke_theory.method.student_loss import along_classes, log_prior


class Adjusted(nn.Module):
    """A model with τ log π taken off its logits [n, k, ...].

    `shares` [k] are π, in [0, 1], and `strength` is τ ≥ 0. Shares below 0.001 count as that much,
    as in the students' objective.
    """

    def __init__(self, model: nn.Module, shares: Tensor, strength: float) -> None:
        super().__init__()
        self.model, self.strength = model, strength
        self.register_buffer("prior", log_prior(shares))

    def forward(self, *given: Any) -> Tensor:
        """The logits of `model` on the same arguments, less τ log π."""
        logits = self.model(*given)
        prior = self.get_buffer("prior")
        return logits - self.strength * along_classes(prior, logits)
