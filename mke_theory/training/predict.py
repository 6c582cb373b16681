"""Predictions of a trained model, without perturbation or gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool, Samples
from mke_theory.models.known_answers import ANSWERS, reads_answers
from mke_theory.training.ema import answer, weight_of

_MOST_SAMPLES, _MOST_NUMBERS = 1024, 1 << 22
"""At most so many samples, and so many numbers of input, are looked at together."""


def predict(
    model: nn.Module,
    samples: Samples,
    *,
    batch_size: int | None = None,
    then: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Logits [n, k, ...] of all samples, on the CPU, without perturbation or gradient.

    Inputs below the precision of the weights are raised to it, doubles lowered. `then` is
    applied to the logits of each batch on the way: to keep the classes of a million pixels instead
    of forty numbers each. `batch_size` None takes what fits: 1,024 samples, or fewer large ones.
    """
    logits = logits_of(model, samples, batch_size=batch_size)
    return torch.cat([(part if then is None else then(part)).cpu() for part in logits])


def logits_of(
    model: nn.Module, samples: Samples, *, batch_size: int | None = None
) -> Iterator[Tensor]:
    """The logits of all samples, batch by batch, where the model is.

    A teacher that is its answers alone is handed those that the samples carry.
    """
    weight = weight_of(model)
    asks = reads_answers(model)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            size = batch_size or fitting(samples)
            for start in range(0, len(samples), size):
                rows = slice(start, start + size)
                batch = with_answers(samples, rows) if asks else samples[rows]
                yield answer(model, batch.to(weight.device).inputs)
    finally:
        for module, training in modes:
            module.training = training


def with_answers(samples: Samples, rows: slice) -> Batch:
    """Some samples with the teacher's answers that they carry, if any, among their inputs."""
    batch = samples[rows]
    if not isinstance(samples, Pool) or samples.answers is None:
        return batch
    return Batch({**batch.inputs, ANSWERS: samples.answers[rows]}, batch.target)


def fitting(samples: Samples) -> int:
    """The count of samples that are looked at together."""
    numbers = sum(x.numel() for x in samples[slice(0, 1)].inputs.values())
    return max(1, min(_MOST_SAMPLES, _MOST_NUMBERS // max(1, numbers)))


def embed(model: nn.Module, samples: Samples) -> Tensor:
    """The input of the model's last linear layer, [n, d] on the CPU: the model's own embedding.

    "Last" is in the order of the model's definition. Raises TypeError where there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise TypeError(f"{type(model).__name__} has no linear layer to read an embedding from")
    read: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda _, given: read.append(given[0].cpu()))
    try:
        predict(model, samples, then=lambda logits: logits[:0])
    finally:
        hook.remove()
    return torch.cat(read).flatten(1)
