"""The public edge for models of one's own: what is asked of a teacher or a student, and refusals.

A model is a torch module from a dictionary of inputs {modality: [b, …]} to logits [b, k, …]. What
it answers to a few samples is looked at before any work, here and nowhere else.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.training.ema import weight_of
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import logits_of

SAMPLES = 8
"""So many samples are shown to a model before any work."""
_ENOUGH = 4
_WITHIN = 1e-3  # probabilities sum to 1 up to this much


def outputs_of(name: str, model: Any, pool: Pool, *, multilabel: bool = False) -> int:
    """The number of outputs k of a model, which has answered a few samples as it should.

    `name` is the model's part, "the teacher" or "the student". Raises TypeError where it is no
    module or answers by something else than a tensor of logits, ValueError where it cannot read
    the samples, has one output, gives probabilities or another number of rows, or its labels have
    another form.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{name} is a {type(model).__name__}; it has to be a torch module from a dictionary of "
            "inputs to logits"
        )
    few = pool.rows(list(range(min(SAMPLES, len(pool)))))
    found = _answered(name, model, few)
    _refuse_no_logits(name, found, len(few))
    if multilabel:
        _refuse_sigmoid(name, model)
    else:
        _refuse_one_output(name, found)
        refuse_probabilities(name, found)
        _refuse_labels(name, pool.labels, found)
    return found.shape[1]


def _answered(name: str, model: nn.Module, few: Pool) -> Any:
    """The model's answer to a few samples, whatever it is; what it raises is explained."""
    shapes = {name: tuple(x.shape) for name, x in few[slice(0, len(few))].inputs.items()}
    try:
        return next(logits_of(model, few, batch_size=len(few)))
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"{name}, a {type(model).__name__}, cannot read the samples ({type(error).__name__}: "
            f"{error}); it is called as model(inputs) with a dictionary of shapes {shapes}"
        ) from error


def _refuse_no_logits(name: str, found: Any, rows: int) -> None:
    """Raise TypeError or ValueError where an answer is no tensor of floats with `rows` rows."""
    if not isinstance(found, Tensor):
        way = "[0]" if isinstance(found, tuple | list) else "['logits']"
        way = ".logits" if hasattr(found, "logits") else way
        raise TypeError(
            f"{name} answers by a {type(found).__name__}; a tensor of logits [b, k] is needed: "
            f"wrap it in a module whose forward returns model(inputs){way}"
        )
    if not found.is_floating_point():
        raise ValueError(
            f"{name} answers by {found.dtype}; logits are needed, not classes: leave argmax out"
        )
    if found.ndim == 0 or len(found) != rows:
        raise ValueError(
            f"{name} answers {rows} samples by {tuple(found.shape)}; a row a sample is needed"
        )


def _refuse_one_output(name: str, found: Tensor) -> None:
    if found.ndim > 1 and found.shape[1] > 1:
        return
    z = "z" if found.ndim > 1 else "z[:, None]"
    raise ValueError(
        f"{name} has one output, {tuple(found.shape)}; two classes need two logits: with its "
        f"output z, torch.cat([torch.zeros_like({z}), {z}], 1) has the same probabilities"
    )


def refuse_probabilities(name: str, found: Tensor, *, multilabel: bool = False) -> None:
    """Raise ValueError where all answers [n, k, ...] are probabilities, not logits.

    They are none below 0, and sum to 1 over the classes; of several questions they are none below
    0 or above 1.
    """
    few = len(found) < _ENOUGH  # whose logits could sum to 1 by chance
    if few or not bool(torch.isfinite(found).all()) or float(found.min()) < 0:
        return
    high = float(found.max())
    apart = float((found.double().sum(dim=1) - 1).abs().max())
    if multilabel and high <= 1:
        layer, way = "sigmoid", "torch.logit(p, eps=1e-6)"
    elif not multilabel and apart <= _WITHIN:
        layer, way = "softmax", "torch.log(p.clamp(min=1e-6))"
    else:
        return
    raise ValueError(
        f"{name} answers by probabilities, where logits are meant; leave its last {layer} out, or "
        f"return {way}"
    )


def _refuse_sigmoid(name: str, model: nn.Module) -> None:
    """Raise ValueError where the last layer gives probabilities; untrained, numbers do not show."""
    last = list(model.modules())[-1]
    if isinstance(last, nn.Sigmoid | nn.Softmax):
        raise ValueError(
            f"{name} ends in a {type(last).__name__}, so that it answers by probabilities, where "
            "logits are meant; leave that layer out"
        )


def _refuse_labels(name: str, labels: Tensor, found: Tensor) -> None:
    """Raise ValueError where class numbers have not the form of the answers without classes."""
    if labels.is_floating_point() and labels.ndim < 2:
        raise ValueError(
            f"labels are {labels.dtype} {tuple(labels.shape)}; classes are whole numbers, and "
            f"{UNKNOWN} is unknown: torch.where(labels.isnan(), {UNKNOWN}, labels).long(), if all "
            "others are whole"
        )
    if labels.is_floating_point() or labels.shape[1:] == found.shape[2:]:
        return
    way = ": labels[:, 0]" if labels.shape[1:] == (1,) else ""
    raise ValueError(
        f"labels are {tuple(labels.shape)}, and {name} answers by {tuple(found.shape)}; labels "
        f"have to be [n, ...] for answers [n, k, ...]{way}"
    )


def refuse_shared(
    name: str, student: nn.Module, teacher: nn.Module, other: str = "the teacher"
) -> None:
    """Raise ValueError where training the student would change the teacher too, or another model.

    Weights that both hold are allowed where they are frozen, and layers that keep running means
    (batch norm) where they are not the same.
    """
    own = {id(x): path for path, x in student.named_parameters() if x.requires_grad}
    counted = {
        id(layer): path
        for path, layer in student.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats
    }
    held = [*map(id, teacher.parameters()), *map(id, teacher.modules())]
    shared = [(own | counted)[x] for x in held if x in own or x in counted]
    if shared:
        raise ValueError(
            f"{name} and {other} share {len(shared)} weights or layers, such as {shared[0]}, "
            "so that training one changes the other; give it a copy: copy.deepcopy(encoder)"
        )


def refuse_batch_of_one(model: nn.Module, pool: Pool, config: TrainConfig) -> None:
    """Raise ValueError where batch norm would meet a batch of one sample, of which it has no sd."""
    n, size = len(pool), config.batch_size
    smallest = n if size is None or size >= n else n % size or size
    layers = [x for x in model.modules() if isinstance(x, nn.modules.batchnorm._BatchNorm)]
    if smallest > 1 or not any(layer.training or not model.training for layer in layers):
        return
    tried = copy.deepcopy(model).train()
    try:
        with torch.no_grad():
            tried(samples_for(model, pool.rows([0]))[slice(0, 1)].inputs)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            return
        raise ValueError(
            f"a batch of {n} samples with batch_size {size} is left with one sample, and batch "
            "norm needs two; take another batch_size, or a layer norm"
        ) from error
    except Exception:
        return  # for training itself to say


def samples_for(model: nn.Module, pool: Pool) -> Pool:
    """The pool with its inputs in the precision of the model's weights.

    Raises ValueError where a number is too large for it.
    """
    wanted = weight_of(model).dtype
    if wanted not in (torch.float32, torch.float64):
        return pool
    cast: dict[str, Any] = {}
    for name, x in pool.inputs.items():
        if not isinstance(x, Tensor) or x.dtype == wanted:
            continue
        cast[name] = x.to(wanted)
        if bool(torch.isinf(cast[name]).any()):
            raise ValueError(
                f"modality {name!r} is {x.dtype} and has numbers up to "
                f"{float(x.nan_to_num(0).abs().max()):.3g}, too large for the model's {wanted}; "
                "scale it"
            )
    return replace(pool, inputs={**pool.inputs, **cast}) if cast else pool
