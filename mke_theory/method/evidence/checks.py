"""Refusals of data, teachers and experts that no evidence student can be made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.method.evidence.experts import Answers, classes_of, is_classifier
from mke_theory.method.evidence.settings import EvidenceJob, Group
from mke_theory.training.ema import weight_of
from mke_theory.training.predict import predict


def refuse(job: EvidenceJob) -> None:
    """Raise ValueError or TypeError where the method cannot run on these data; before any work."""
    known = set(job.unlabelled.modalities)
    if not job.alpha or set(job.alpha) - known:
        raise ValueError(f"alpha is {job.alpha}; D_u has the modalities {sorted(known)}")
    if not known - set(job.alpha):
        raise ValueError(f"every modality of D_u is the teacher's {job.alpha}; give a second one")
    if not isinstance(job.teacher, nn.Module | Answers):
        raise TypeError(
            f"the teacher is a {type(job.teacher).__name__}; give a module, Answers or, of a "
            "fitted classifier, FromClassifier(classifier, alpha, classes)"
        )
    _refuse_labels("D_u", job.unlabelled)
    if job.labelled is not None:
        _refuse_labelled(job, job.labelled)


def _refuse_labels(name: str, pool: Pool) -> None:
    if pool.labels.ndim != 1 or pool.labels.is_floating_point():
        raise ValueError(
            "evidence students answer one question a sample: labels have to be class numbers [n]; "
            f"those of {name} are {pool.labels.dtype} {tuple(pool.labels.shape)}"
        )


def _refuse_labelled(job: EvidenceJob, labelled: Pool) -> None:
    _refuse_labels("D_l", labelled)
    absent = set(job.alpha) - set(labelled.modalities)
    if absent:
        raise ValueError(
            f"D_l lacks the teacher's {sorted(absent)}; it has {list(labelled.modalities)}"
        )
    if int(labelled.labels.min()) < UNKNOWN:
        raise ValueError(
            f"D_l has the label {int(labelled.labels.min())}; labels are class numbers from 0 on, "
            f"or {UNKNOWN} for unknown"
        )
    answers = job.teacher.labelled if isinstance(job.teacher, Answers) else None
    if answers is not None and len(answers) != len(labelled):
        raise ValueError(f"there are {len(answers)} answers for {len(labelled)} samples of D_l")


def classes_with(classifier: Any, labelled: Pool | None, prior: Tensor | None) -> int:
    """The number of classes of a fitted classifier, of D_l and of the prior, whichever is most."""
    most = [int(classes_of(classifier).max()) + 1, 2]
    if labelled is not None and not labelled.labels.is_floating_point():
        most.append(int(labelled.labels.max()) + 1)
    if prior is not None:
        most.append(len(prior))
    return max(most)


def teachers_logits(job: EvidenceJob, present: Tensor) -> Tensor:
    """The teacher's logits on D_u [n, k], 0 where its modality is missing.

    Raises ValueError where no sample has it, or the logits are not finite numbers [n, k] of at
    least the classes that D_l has.
    """
    teacher, pool = job.teacher, job.unlabelled
    if not bool(present.any()):
        raise ValueError(f"no sample of D_u has the teacher's modalities {job.alpha}")
    rows = present.nonzero()[:, 0]
    if isinstance(teacher, Answers):
        if len(teacher.unlabelled) != len(pool):
            raise ValueError(
                f"there are {len(teacher.unlabelled)} answers for {len(pool)} samples of D_u"
            )
        found = teacher.unlabelled.detach().cpu().double()[rows]
    else:
        found = predict(teacher, pool.only(job.alpha).rows(rows)).double()
    if found.ndim != 2 or found.shape[1] < 2:
        raise ValueError(
            f"the teacher's logits are {tuple(found.shape)}; they have to be [n, k], k at least 2"
        )
    if not bool(torch.isfinite(found).all()):
        raise ValueError("the teacher's logits are not all finite")
    last = UNKNOWN if job.labelled is None else int(job.labelled.labels.max())
    if last >= found.shape[1]:
        raise ValueError(
            f"D_l has class {last}; the teacher has outputs for 0 to {found.shape[1] - 1} alone"
        )
    logits = torch.zeros(len(pool), found.shape[1], dtype=torch.float64)
    logits[rows] = found
    return logits


def given_prior(prior: Any, classes: int) -> Tensor:
    """The classes' shares as they are given [k], summing to 1.

    Raises ValueError where they are not finite numbers above 0, one a class.
    """
    shares = torch.as_tensor(np.asarray(prior), dtype=torch.float64)
    good = shares.shape == (classes,) and bool(torch.isfinite(shares).all())
    if not good or not float(shares.min()) > 0:
        raise ValueError(f"prior is {prior}; give {classes} shares above 0")
    return shares / shares.sum()


def refuse_expert(model: Any, group: Group, one: Pool, classes: int) -> None:
    """Raise where a fresh expert is no model, or has other outputs than the teacher has classes.

    `one` is a sample of its modalities.
    """
    if is_classifier(model):
        return
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"build({group}) made a {type(model).__name__}; it has to make a module or a "
            "classifier of scikit-learn"
        )
    _refuse_precision(model, group, one)
    outputs = tuple(predict(model, one).shape[1:])
    if outputs != (classes,):
        raise ValueError(
            f"the expert of {', '.join(group)} has outputs {outputs}; the teacher has {classes} "
            "classes"
        )


def _refuse_precision(model: nn.Module, group: Group, one: Pool) -> None:
    """Raise ValueError where a model cannot be trained on inputs of this precision."""
    weight, inputs = weight_of(model), one[slice(0, 1)].inputs
    kinds = {x.dtype for x in inputs.values()}
    if not weight.is_floating_point() or kinds == {weight.dtype}:
        return
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            model({name: x.to(weight.device) for name, x in inputs.items()})
    except RuntimeError as error:
        raise ValueError(
            f"inputs of {', '.join(group)} are {sorted(map(str, kinds))}, and the expert has "
            f"weights of {weight.dtype}; convert the pool or the model: x.float(), model.double()"
        ) from error
    finally:
        for module, training in modes:
            module.training = training
