"""Refusals of data, teachers and experts that no evidence student can be made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.method.answers import Answers
from mke_theory.method.evidence.experts import classes_of, is_classifier
from mke_theory.method.evidence.settings import EvidenceJob, Group
from mke_theory.method.foreign_models import outputs_of
from mke_theory.models.known_answers import reads_answers
from mke_theory.training.ema import weight_of
from mke_theory.training.predict import predict


def refuse(job: EvidenceJob) -> None:
    """Raise ValueError or TypeError where the method cannot run on these data; before any work."""
    known = set(job.unlabelled.modalities)
    if not job.alpha or set(job.alpha) - known:
        raise ValueError(f"alpha is {job.alpha}; D_u has the modalities {sorted(known)}")
    if not known - set(job.alpha):
        raise ValueError(f"every modality of D_u is the teacher's {job.alpha}; give a second one")
    if hasattr(job.teacher, "fit") and not hasattr(job.teacher, "predict_proba"):
        raise TypeError(
            f"the teacher, a {type(job.teacher).__name__}, has no predict_proba; evidence is made "
            "of probabilities (SVC has them with probability=True)"
        )
    if not isinstance(job.teacher, nn.Module | Answers):
        raise TypeError(
            f"the teacher is a {type(job.teacher).__name__}; give a module, Answers or, of a "
            "fitted classifier, FromClassifier(classifier, alpha, classes)"
        )
    _refuse_labels("D_u", job.unlabelled, multilabel=job.multilabel)
    if job.labelled is not None:
        _refuse_labelled(job, job.labelled)


def _refuse_labels(name: str, pool: Pool, *, multilabel: bool) -> None:
    labels = pool.labels
    if multilabel:
        wanted, right = "answers [n, q] to several questions", labels.ndim == 2
    else:
        wanted = "class numbers [n], or [n, h, w] for pixels"
        right = labels.ndim in (1, 3) and not labels.is_floating_point()
    if not right:
        raise ValueError(
            f"labels have to be {wanted}; those of {name} are {labels.dtype} "
            f"{tuple(labels.shape)}, and multilabel is {multilabel}"
        )
    if not multilabel:
        return
    strange = ~(labels.isnan() | (labels == UNKNOWN) | ((labels >= 0) & (labels <= 1)))
    if bool(strange.any()):
        raise ValueError(
            f"{name} has the answer {labels[strange][0].item():g}; answers lie in [0, 1], and "
            f"{UNKNOWN} or NaN is unknown"
        )


def _refuse_labelled(job: EvidenceJob, labelled: Pool) -> None:
    _refuse_labels("D_l", labelled, multilabel=job.multilabel)
    shapes = [tuple(pool.labels.shape[1:]) for pool in (labelled, job.unlabelled)]
    if len(shapes[0]) != len(shapes[1]) or (job.multilabel and shapes[0] != shapes[1]):
        raise ValueError(
            f"labels of D_l are {tuple(labelled.labels.shape)}, those of D_u "
            f"{tuple(job.unlabelled.labels.shape)}; both have to be of samples, of pixels, or of "
            "the same questions"
        )
    absent = set(job.alpha) - set(labelled.modalities)
    if absent:
        raise ValueError(
            f"D_l lacks the teacher's {sorted(absent)}; it has {list(labelled.modalities)}"
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
    """The teacher's logits on D_u [n, k, ...], 0 where its modality is missing.

    Of pixels they are in single precision. Raises ValueError where no sample has it, or the logits
    are not finite numbers of the form of the labels, of at least the classes that D_l has.
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
        found = teacher.unlabelled.detach().cpu()[rows]
    else:
        asked = pool.only(job.alpha).rows(rows)
        if not reads_answers(teacher):
            outputs_of("the teacher", teacher, asked, multilabel=job.multilabel)
        found = predict(teacher, asked)
    found = found.float() if found.ndim > 2 else found.double()
    _refuse_shape(found, pool.labels, multilabel=job.multilabel)
    if not bool(torch.isfinite(found).all()):
        raise ValueError("the teacher's logits are not all finite")
    labelled = None if job.multilabel else job.labelled
    last = UNKNOWN if labelled is None else int(labelled.labels.max())
    if last >= found.shape[1]:
        raise ValueError(
            f"D_l has class {last}; the teacher has outputs for 0 to {found.shape[1] - 1} alone"
        )
    logits = torch.zeros(len(pool), *found.shape[1:], dtype=found.dtype)
    logits[rows] = found
    return logits


def _refuse_shape(logits: Tensor, labels: Tensor, *, multilabel: bool) -> None:
    """Raise ValueError where a teacher's logits do not have the form of the labels."""
    least, rest = (1, logits.shape[1:]) if multilabel else (2, logits.shape[2:])
    if logits.ndim < 2 or logits.shape[1] < least or rest != labels.shape[1:]:
        wanted = "[n, q] as the labels are" if multilabel else "[n, k, ...], k at least 2"
        raise ValueError(
            f"the teacher's logits are {tuple(logits.shape)} for labels of {tuple(labels.shape)}; "
            f"they have to be {wanted}"
        )


def given_prior(prior: Any, classes: int, *, multilabel: bool = False) -> Tensor:
    """The classes' shares as they are given [k], summing to 1.

    Of several questions they are the shares answered by yes [q], and become those of no and yes
    [q, 2]. Raises ValueError where they are not finite numbers above 0, and then below 1.
    """
    shares = torch.as_tensor(np.asarray(prior), dtype=torch.float64)
    good = shares.shape == (classes,) and bool(torch.isfinite(shares).all())
    if not good or not float(shares.min()) > 0 or (multilabel and not float(shares.max()) < 1):
        wanted = "above 0 and below 1" if multilabel else "above 0"
        raise ValueError(f"prior is {prior}; give {classes} shares {wanted}")
    return torch.stack([1 - shares, shares], dim=-1) if multilabel else shares / shares.sum()


def refuse_expert(
    model: Any, group: Group, one: Pool, shape: tuple[int, ...], *, multilabel: bool = False
) -> None:
    """Raise where a fresh expert is no model, or has other outputs than the teacher's `shape`.

    That is (k, ...). `one` is a sample of its modalities. A classifier answers one class a sample.
    """
    if is_classifier(model):
        if multilabel or len(shape) > 1:
            raise ValueError(
                f"build({group}) made a classifier of scikit-learn, which answers one class a "
                "sample; pixels and several questions need a network"
            )
        return
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"build({group}) made a {type(model).__name__}; it has to make a module or a "
            "classifier of scikit-learn"
        )
    _refuse_precision(model, group, one)
    outputs = tuple(predict(model, one).shape[1:])
    if outputs != shape:
        raise ValueError(
            f"the expert of {', '.join(group)} has outputs {outputs}; the teacher has {shape}"
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
