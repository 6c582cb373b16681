"""What a trained model says about samples, without perturbation or gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mke_theory.running_average import answer, weight_of
from mke_theory.types import Samples


def predict(model: nn.Module, samples: Samples, *, batch_size: int = 1024) -> Tensor:
    """Logits [n, k, ...] of all samples, on the CPU, without perturbation or gradient.

    They are in the precision of the weights or of the inputs, whichever is higher.
    """
    weight = weight_of(model)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            parts = []
            for start in range(0, len(samples), batch_size):
                batch = samples[slice(start, start + batch_size)].to(weight.device)
                parts.append(answer(model, batch.inputs).cpu())
    finally:
        for module, training in modes:
            module.training = training
    return torch.cat(parts)


def embed(model: nn.Module, samples: Samples) -> Tensor:
    """What the model's last linear layer reads, [n, d] on the CPU: the student's own embedding.

    "Last" is in the order of the model's definition. Raises TypeError where there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise TypeError(f"{type(model).__name__} has no linear layer to read an embedding from")
    read: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda _, given: read.append(given[0].cpu()))
    try:
        predict(model, samples)
    finally:
        hook.remove()
    return torch.cat(read).flatten(1)
