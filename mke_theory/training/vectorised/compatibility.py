"""Jobs that can be trained together, and those that are better trained one by one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.lazy_arrays import on_disk
from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.method.job import TrainingJob
from mke_theory.method.student_loss import (
    is_complete,
    shares_of,
    student_loss,
    transforms_on,
)
from mke_theory.method.transforms import Compose
from mke_theory.models import MultimodalModel
from mke_theory.training.batches import batch_rows, batches_an_epoch
from mke_theory.training.loop import LossFunction, Moment
from mke_theory.training.predict import fitting
from mke_theory.training.vectorised.hyperparameters import form_of

_LARGEST_PICTURE, _MOST_WEIGHTS = 2**12, 2**22
_OF_TORCH = frozenset(vars(nn.Module()))  # attributes that every module has


@dataclass(frozen=True)
class Ready:
    """A job with what its loss reads off its samples: the scales of T and T', the classes' shares.

    `shares` [k] are there where the objective's `adjustment` is above 0. `complete` is true where
    every label is known.
    """

    job: TrainingJob
    transforms: tuple[Compose, Compose]
    shares: Tensor | None
    complete: bool

    @property
    def loss(self) -> LossFunction:
        """The loss that `fit` would be given."""
        return student_loss(
            self.job.objective, *self.transforms, self.shares, complete=self.complete
        )

    @property
    def kind(self) -> Any:
        """The properties that jobs need in common to be trained together."""
        return kind_of(self.job), form_of(self.transforms), self.complete


def ready(job: TrainingJob) -> Ready:
    """The job, measured. Raises ValueError where it has to be trained one by one, or not at all."""
    against = refusal(job)
    if against is not None:
        raise ValueError(f"{against}; vectorised training has no such thing: train one by one")
    objective, samples = job.objective, job.samples
    _refuse_missing(job.model, samples)
    shares = shares_of(samples) if objective.adjustment > 0 else None
    return Ready(job, transforms_on(objective, samples), shares, is_complete(samples))


def kind_of(job: TrainingJob) -> Any:
    """The properties that jobs need in common, but for those read off their samples.

    Pools of other values and lengths, initial weights, seeds, learning rates and the strengths of
    perturbations are each job's own.
    """
    samples, config = job.samples, replace(job.config, learning_rate=1.0)
    whole = batches_an_epoch(len(samples), config.batch_size) == 1
    other = job.objective.anchor.transform
    return (
        _kind_of_model(job.model),
        _kind_of_pool(samples),
        replace(
            job.objective,
            transform=(),
            anchor=replace(job.objective.anchor, transform=other if other == "same" else ()),
        ),
        form_of((job.objective.transform, other)),
        replace(config, batch_size=None) if whole else config,
    )


def _kind_of_pool(pool: Pool) -> Any:
    tensors = [*pool.inputs.items(), ("labels", pool.labels)]
    return tuple((name, x.shape[1:], x.dtype) for name, x in tensors)


def _kind_of_model(model: nn.Module) -> Any:
    """Modules by class, settings and hooks, tensors by name and shape: all but their values."""
    modules = tuple(
        (
            name,
            type(module),
            _settings({k: v for k, v in vars(module).items() if k not in _OF_TORCH}),
            tuple(map(id, (*module._forward_hooks.values(), *module._forward_pre_hooks.values()))),
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


def refusal(job: TrainingJob) -> str | None:
    """The reason why a job cannot be trained with others, whatever its samples; None if unknown.

    It takes no step: what shows in a step alone is refused by `refuse_company`.
    """
    for module in job.model.modules():
        own = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
        if own or getattr(module, "track_running_stats", False):
            return f"the model has {type(module).__name__}, which draws or keeps statistics"
        if isinstance(module, nn.RNNBase):
            return f"the model has {type(module).__name__}, for which torch has no vmap"
    if job.objective.augment:
        return f"augment is {job.objective.augment}, which changes labels too"
    return None


def reason_against(job: TrainingJob) -> str | None:
    """The reason to train a job one by one; None where it can be vectorised and that pays.

    It is read off settings and shapes. What pays was measured on a processor by
    `benchmarks/vectorised.py`: networks of up to millions of weights do, few jobs as well as many.
    """
    inputs = job.samples.inputs.values()
    if any(on_disk(x) for x in inputs):
        return "samples are read from disk, where one by one can read ahead"
    largest = max(math.prod(x.shape[1:]) for x in inputs)
    convolves = any(isinstance(module, nn.Conv2d) for module in job.model.modules())
    if convolves and largest > _LARGEST_PICTURE:
        return (
            f"samples have {largest} numbers; convolutions on more than {_LARGEST_PICTURE} are "
            "faster one by one"
        )
    weights = sum(weight.numel() for weight in job.model.parameters())
    if weights > _MOST_WEIGHTS:
        return f"the model has {weights} weights; above {_MOST_WEIGHTS} there is nothing to gain"
    return refusal(job)


def refuse_company(one: Ready) -> None:
    """Raise ValueError where a job cannot be trained with others, and what its loss itself raises.

    The job stands for all of its kind.
    """
    job = one.job
    batch = job.samples[batch_rows(len(job.samples), job.config.batch_size, job.seed, 0)]
    with _in_training(job.model):
        _try(one, batch)
        _refuse_other_samples(job.model, batch)


def error_of(one: Ready) -> Exception | None:
    """The error of the loss on the job's own samples, some at a time; None where there is none."""
    try:
        with _in_training(one.job.model):
            size = fitting(one.job.samples)
            for start in range(0, len(one.job.samples), size):
                _try(one, one.job.samples[slice(start, start + size)])
    except Exception as error:  # whatever it is, it is what this job fails by
        return error
    return None


def _try(one: Ready, batch: Batch) -> None:
    average = one.job.model if one.job.objective.kept_average is not None else None
    one.loss(one.job.model, batch, Stream(0), Moment(0.0, average))


@contextmanager
def _in_training(model: nn.Module) -> Iterator[None]:
    """Inside the block the model is in training, and nothing is differentiated."""
    before = model.training
    model.train()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


def _refuse_other_samples(model: nn.Module, batch: Batch) -> None:
    """Raise ValueError where a sample's logits depend on who else is in its batch."""
    alone = model(batch.inputs)
    longer = model({name: torch.cat([x, x[:1]]) for name, x in batch.inputs.items()})[:-1]
    # Batches are padded. The root of the rounding unit is far above any rounding.
    limit = torch.finfo(alone.dtype).eps ** 0.5 if alone.is_floating_point() else 0.0
    if not torch.allclose(alone, longer, rtol=limit, atol=limit, equal_nan=True):
        raise ValueError(
            "the model's logits of a sample depend on the other samples of its batch, or are drawn "
            "anew each time; vectorised training pads batches: train one by one"
        )


def _refuse_missing(model: nn.Module, samples: Pool) -> None:
    """Raise ValueError where a model that needs all modalities would miss one in some sample."""
    asking = [
        part
        for part in model.modules()
        if isinstance(part, MultimodalModel) and part.missing == "refuse"
    ]
    size = fitting(samples) if asking else 1
    for start in range(0, len(samples), size) if asking else ():
        inputs = samples[slice(start, start + size)].inputs
        for part in asking:
            known = {name: inputs[name] for name in part.modalities if name in inputs}
            if known:  # a model inside another may read what is made on the way
                part.refuse_missing(known)
