"""A teacher that is its answers alone, as a model: it reads them off the samples."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from mke_theory.data.pool import Inputs, Pool, is_present

ANSWERS = "the teacher's answers"
"""The name under which the answers that a pool carries are handed to models that read them."""


class KnownAnswers(nn.Module):
    """The teacher's logits [n, k, ...] as the samples carry them, under the name `ANSWERS`.

    A sample to which it has none is given `otherwise`, log probabilities [k] or log odds [q]. It
    has no weights; whoever asks it by `training.predict` need not hand it the answers.
    """

    def __init__(self, otherwise: Tensor) -> None:
        super().__init__()
        self.register_buffer("otherwise", otherwise)

    @classmethod
    def on(cls, pool: Pool) -> Self:
        """The teacher whose answers the pool carries; its mean answer there stands for others.

        Raises ValueError where the pool carries none.
        """
        if pool.answers is None:
            raise ValueError("the samples carry no answers of a teacher; give them as Pool.answers")
        heard = is_present(pool.answers).nonzero()[:, 0]
        questions = pool.labels.ndim == 2
        total = torch.zeros(pool.answers.shape[1], dtype=torch.float64)
        for start in range(0, len(heard), 64):  # pixels of all samples would be too many at once
            x = pool.answers[heard[start : start + 64]].double()
            p = torch.sigmoid(x) if questions else torch.softmax(x, dim=1)
            total += p.flatten(2).mean(2).sum(0) if p.ndim > 2 else p.sum(0)
        mean = (total / max(1, len(heard))).clamp(1e-6, 1 - 1e-6)
        return cls((torch.logit(mean) if questions else mean.log()).float())

    def forward(self, inputs: Inputs) -> Tensor:
        """The logits; ValueError where the samples carry no answers."""
        if ANSWERS not in inputs:
            raise ValueError(
                "the teacher is its answers alone, and these samples carry none of it; it cannot "
                "be asked about others"
            )
        x = inputs[ANSWERS]
        x = x.float() if x.dtype == torch.float16 else x
        absent = ~is_present(x)
        if not bool(absent.any()):
            return x
        between = [1] * (x.ndim - 2)
        otherwise = self.get_buffer("otherwise").to(x).reshape(1, -1, *between)
        return torch.where(absent.reshape(-1, 1, *between), otherwise, x)


def reads_answers(model: nn.Module) -> bool:
    """True where the model, or one inside it, is a teacher that is its answers alone."""
    return any(isinstance(module, KnownAnswers) for module in model.modules())
