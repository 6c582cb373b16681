"""Who can share a stack with whom, and who cannot be stacked at all."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import student_loss, transforms_on
from mke_theory.models import MultimodalModel
from mke_theory.training.batches import batch_rows
from mke_theory.training.loop import Moment
from mke_theory.training.vectorised.hyperparameters import form_of

_OF_TORCH = frozenset(vars(nn.Module()))  # attributes that every module has


def kind_of(student: TrainingJob) -> Any:
    """What students of one stack have in common."""
    samples, config = student.samples, replace(student.config, learning_rate=1.0)
    whole = config.batch_size is None or config.batch_size >= len(samples)
    other: Any = "same" if student.objective.other == "same" else ()
    return (
        _kind_of_model(student.model),
        _kind_of_pool(samples),
        replace(student.objective, transform=(), other=other),
        form_of(transforms_on(student.objective, samples)),
        replace(config, batch_size=None) if whole else config,
    )


def _kind_of_pool(pool: Pool) -> Any:
    tensors = [*pool.inputs.items(), ("labels", pool.labels)]
    return tuple((name, x.shape[1:], x.dtype) for name, x in tensors)


def _kind_of_model(model: nn.Module) -> Any:
    """Modules by class and settings, tensors by name and shape: all but the tensors' values."""
    modules = tuple(
        (
            name,
            type(module),
            _settings({k: v for k, v in vars(module).items() if k not in _OF_TORCH}),
        )
        for name, module in model.named_modules()
    )
    named = [*model.named_parameters(), *model.named_buffers()]
    return modules, tuple((name, x.shape, x.dtype, x.requires_grad) for name, x in named)


def _settings(value: Any) -> Any:
    """The value in a form that can be compared; what cannot be is equal to itself alone."""
    if isinstance(value, nn.Parameter):
        return "weight"
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, str(value.tolist())
    if isinstance(value, dict):
        return tuple((_settings(key), _settings(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(_settings(one) for one in value)
    return value if isinstance(value, Hashable) else id(value)


def reason_against(job: TrainingJob) -> str | None:
    """The reason to train a job alone: it cannot be vectorised, or that would not pay."""
    if any(isinstance(module, nn.Conv2d) for module in job.model.modules()):
        return "convolutions of several models train faster one by one"
    try:
        refuse_unstackable(job)
        refuse_pools(job)
    except Exception as error:  # trained alone, it says the same
        return str(error)
    return None


def refuse_unstackable(student: TrainingJob) -> None:
    """Raise ValueError for what a stack cannot train, and whatever the loss itself would raise."""
    for module in student.model.modules():
        own = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
        if own or getattr(module, "track_running_stats", False):
            raise ValueError(
                f"the model has {type(module).__name__}, which draws or keeps statistics of its "
                "own; a stack cannot: leave it out, or train by fit"
            )
    if student.objective.augment:
        raise ValueError(
            f"augment is {student.objective.augment}; a stack changes inputs alone, never their "
            "labels: leave it out, or train by fit"
        )
    if student.objective.adjustment > 0:
        raise ValueError(
            f"adjustment is {student.objective.adjustment}; a stack has no classes' shares for "
            "each student: leave it at 0, or train by fit"
        )
    rows = batch_rows(len(student.samples), student.config.batch_size, student.seed, 0)
    loss = student_loss(student.objective, *transforms_on(student.objective, student.samples))
    average = student.model if student.objective.kept_average is not None else None
    training, batch = student.model.training, student.samples[rows]
    student.model.train()
    try:
        with torch.no_grad():
            loss(student.model, batch, Stream(0), Moment(0.0, average))
            _refuse_company(student.model, batch)
    finally:
        student.model.train(training)


def _refuse_company(model: nn.Module, batch: Batch) -> None:
    """Raise ValueError where a sample's answer depends on who else is in its batch."""
    alone = model(batch.inputs)
    longer = model({name: torch.cat([x, x[:1]]) for name, x in batch.inputs.items()})[:-1]
    # A stack pads its batches. The root of the rounding unit is far above any rounding.
    limit = torch.finfo(alone.dtype).eps ** 0.5 if alone.is_floating_point() else 0.0
    if not torch.allclose(alone, longer, rtol=limit, atol=limit, equal_nan=True):
        raise ValueError(
            "the model's answer to a sample depends on the other samples of its batch, or is drawn "
            "anew each time; a stack cannot train it: train by fit"
        )


def refuse_pools(student: TrainingJob) -> None:
    """Raise ValueError where selection has nothing to go by, or a model would miss a modality."""
    pools = [student.samples]
    for model in student.model.modules():
        if not (isinstance(model, MultimodalModel) and model.missing == "refuse"):
            continue
        for pool in pools:
            known = {name: pool.inputs[name] for name in model.modalities if name in pool.inputs}
            if known:  # a model inside another may read what is made on the way
                model.refuse_missing(known)
