"""Teachers and experts of any kind, as modules from a dictionary of inputs to log probabilities."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor, nn

from mke_theory.data.pool import Inputs, Pool, is_present
from mke_theory.data.rng import seed32_for
from mke_theory.method.evidence.arithmetic import through
from mke_theory.method.evidence.label_forms import logits_of, scores_of

_LEAST = 1e-6
"""Probabilities count as at least this much: a class that a classifier has never met has 0."""


def is_classifier(model: object) -> bool:
    """True for scikit-learn's classifiers: `fit` and `predict_proba`, and no module of torch."""
    return (
        not isinstance(model, nn.Module)
        and hasattr(model, "fit")
        and hasattr(model, "predict_proba")
    )


def classes_of(classifier: Any) -> NDArray[np.int64]:
    """The class numbers that a fitted classifier knows, in the order of its probabilities.

    Raises ValueError where it is not fitted, or its classes are no whole numbers from 0 on.
    """
    if not hasattr(classifier, "classes_"):
        raise ValueError(f"{type(classifier).__name__} is not fitted; fit it to D_l first")
    known = np.asarray(classifier.classes_)
    if known.ndim != 1 or known.dtype.kind not in "biuf" or bool((known != known // 1).any()):
        raise ValueError(f"the classifier's classes are {known}; fit it to numbers 0 to k - 1")
    if bool((known < 0).any()):
        raise ValueError(f"the classifier's classes are {known}; fit it to numbers 0 to k - 1")
    return known.astype(np.int64)


class FromClassifier(nn.Module):
    """A fitted classifier of scikit-learn as a module: log probabilities [n, k].

    It reads the numbers of its modalities side by side, [n, d]. A class that it has not met has a
    probability of 1e-6. Raises ValueError where it is not fitted or knows a class beyond `classes`.
    """

    def __init__(self, classifier: Any, modalities: Sequence[str], classes: int) -> None:
        super().__init__()
        self.classifier, self.modalities, self.classes = classifier, tuple(modalities), classes
        last = int(classes_of(classifier).max())
        if last >= classes:
            raise ValueError(f"the classifier knows class {last}; with {classes} it is beyond")

    def forward(self, inputs: Inputs) -> Tensor:
        rows = side_by_side_numbers(inputs, self.modalities)
        result = np.full((len(rows), self.classes), _LEAST)
        found = self.classifier.predict_proba(rows)
        result[:, classes_of(self.classifier)] = np.maximum(found, _LEAST)
        logits = torch.from_numpy(np.log(result / result.sum(1, keepdims=True)))
        return logits.to(inputs[self.modalities[0]].device)


class Constant(nn.Module):
    """The same answer to every sample: all that labels of one class can teach."""

    def __init__(self, modalities: Sequence[str], classes: int) -> None:
        super().__init__()
        self.modalities, self.classes = tuple(modalities), classes

    def forward(self, inputs: Inputs) -> Tensor:
        x = inputs[self.modalities[0]]
        return torch.zeros(len(x), self.classes, dtype=torch.float64, device=x.device)


def side_by_side_numbers(inputs: Inputs, modalities: Sequence[str]) -> NDArray[np.float64]:
    """The numbers of some modalities as rows [n, d]."""
    parts = [inputs[name].reshape(len(inputs[name]), -1).double() for name in modalities]
    return torch.cat(parts, dim=1).cpu().numpy()


def fitted(
    classifier: Any, samples: Pool, classes: int, *, seed: int = 0, name: str = "a classifier"
) -> FromClassifier:
    """A fresh copy of the classifier, fitted to the samples' labels [n].

    `seed` takes the place of every `random_state` that is None. Raises ValueError where all labels
    are of one class; `name` says in the message whose they are.
    """
    labels = samples.labels.long().numpy()
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"{name}: every label is of class {labels[0]}, and a classifier needs two classes; "
            "give more labels, fewer folds, or networks, which learn from probabilities"
        )
    whole = samples[slice(None)].inputs
    fresh = _fresh(classifier, seed)
    fresh.fit(side_by_side_numbers(whole, samples.modalities), labels)
    return FromClassifier(fresh, samples.modalities, classes)


def _fresh(classifier: Any, seed: int) -> Any:
    """A copy whose numbers follow from the seed, where it says how it draws them."""
    if not hasattr(classifier, "get_params"):
        return copy.deepcopy(classifier)
    fresh = clone(classifier)
    drawing = [name for name, value in fresh.get_params().items() if value is None]
    drawing = [name for name in drawing if name.split("__")[-1] == "random_state"]
    return fresh.set_params(**{name: seed32_for(seed, name) for name in drawing})


def decided(samples: Pool) -> Pool:
    """The samples with classes in place of probabilities."""
    if not samples.labels.is_floating_point():
        return samples
    return samples.with_labels(samples.labels.argmax(1))


class Through(nn.Module):
    """Predictions of the teacher's answer: log Σ_y p(y | x) S[y, ·], of a model that predicts y.

    Trained on ỹ, the model inside learns y: the forward correction. Of several questions each has
    an S of its own, [q, 2, 2]. Ref: patrini2017making.
    """

    def __init__(self, model: nn.Module, confusion: Tensor) -> None:
        super().__init__()
        self.model, self.multilabel = model, confusion.ndim == 3
        self.register_buffer("confusion", confusion.float())

    def forward(self, inputs: Inputs, *more: Any) -> Tensor:
        scores = scores_of(self.model(inputs, *more), multilabel=self.multilabel)
        p = torch.softmax(scores, dim=-1)
        answers = through(p, self.get_buffer("confusion").to(p.dtype))
        return logits_of(torch.log(answers.clamp(min=1e-8)), multilabel=self.multilabel)


class Unmixed(nn.Module):
    """Predictions of y, of a model that was trained on the teacher's answers.

    p(y | x) is the likeliest mixture of the rows of T for the p(ỹ | x) that the model predicts, by
    expectation and maximisation. For classifiers whose loss cannot be corrected.
    """

    def __init__(self, model: nn.Module, confusion: Tensor, *, steps: int = 50) -> None:
        super().__init__()
        self.model, self.steps = model, steps
        self.register_buffer("confusion", confusion.double())

    def forward(self, inputs: Inputs) -> Tensor:
        answers = torch.softmax(self.model(inputs).double(), dim=1)
        table = self.get_buffer("confusion")
        p = torch.full_like(answers, 1.0 / len(table))
        for _ in range(self.steps):
            p = p * ((answers / (p @ table).clamp(min=_LEAST)) @ table.T)
            p = p / p.sum(1, keepdim=True)
        return p.clamp(min=_LEAST).log()


def has_all(pool: Pool, modalities: Sequence[str]) -> Tensor:
    """True [n] where a sample has every one of the modalities."""
    here = torch.ones(len(pool), dtype=torch.bool)
    for name in modalities:
        here &= is_present(pool.inputs[name])
    return here
