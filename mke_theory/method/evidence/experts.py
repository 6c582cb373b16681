"""Teachers and experts of any kind, as modules from a dictionary of inputs to log probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mke_theory.data.pool import Inputs, Pool, is_present

_LEAST = 1e-6
"""Probabilities count as at least this much: a class that a classifier has never met has 0."""


@dataclass(frozen=True)
class Answers:
    """A teacher known by its answers alone: logits on D_u [n, k] and, if there are any, on D_l.

    `labelled` [n_l, k] are answers for D_l of a model that was not trained on it (cross-fitted).
    Raises ValueError where a number is not finite or shapes do not fit.
    """

    unlabelled: Tensor
    labelled: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("unlabelled", "labelled"):
            x = getattr(self, name)
            if x is None:
                continue
            if x.ndim != 2 or x.shape[1] < 2:
                raise ValueError(f"{name} answers are {tuple(x.shape)}; they have to be [n, k]")
            if not bool(torch.isfinite(x).all()):
                raise ValueError(f"{name} answers hold a number that is not finite")
        if self.labelled is not None and self.labelled.shape[1] != self.unlabelled.shape[1]:
            raise ValueError("answers on D_l and on D_u have different numbers of classes")

    @classmethod
    def of_probabilities(
        cls, unlabelled: Tensor | NDArray[Any], labelled: Tensor | NDArray[Any] | None = None
    ) -> Answers:
        """Answers given as probabilities; ValueError where rows do not sum to 1 within 1e-3."""
        parts = [None if x is None else _logarithms(x) for x in (unlabelled, labelled)]
        assert parts[0] is not None
        return cls(parts[0], parts[1])


def _logarithms(given: Tensor | NDArray[Any]) -> Tensor:
    x = torch.as_tensor(np.asarray(given), dtype=torch.float64)
    if x.ndim != 2 or float(x.min()) < 0 or float((x.sum(1) - 1).abs().max()) > 1e-3:
        raise ValueError(
            "probabilities are [n, k], at least 0, and every row sums to 1; for logits build "
            "Answers(logits)"
        )
    return x.clamp(min=_LEAST).log()


def is_classifier(model: object) -> bool:
    """True for scikit-learn's classifiers: `fit` and `predict_proba`, and no module of torch."""
    return (
        not isinstance(model, nn.Module)
        and hasattr(model, "fit")
        and hasattr(model, "predict_proba")
    )


class FromClassifier(nn.Module):
    """A fitted classifier of scikit-learn as a module: log probabilities [n, k].

    It reads the numbers of its modalities side by side, [n, d].
    """

    def __init__(self, classifier: Any, modalities: Sequence[str], classes: int) -> None:
        super().__init__()
        self.classifier, self.modalities, self.classes = classifier, tuple(modalities), classes

    def forward(self, inputs: Inputs) -> Tensor:
        rows = side_by_side_numbers(inputs, self.modalities)
        result = np.full((len(rows), self.classes), _LEAST)
        at = np.asarray(self.classifier.classes_, dtype=int)
        result[:, at] = np.maximum(self.classifier.predict_proba(rows), _LEAST)
        return torch.from_numpy(np.log(result / result.sum(1, keepdims=True)))


def side_by_side_numbers(inputs: Inputs, modalities: Sequence[str]) -> NDArray[np.float64]:
    """The numbers of some modalities as rows [n, d]."""
    return np.concatenate([inputs[m].flatten(1).double().numpy() for m in modalities], axis=1)


def fitted(classifier: Any, samples: Pool, classes: int) -> FromClassifier:
    """The classifier fitted to the samples' labels [n].

    A classifier that meets one class alone learns nothing; ValueError says so.
    """
    labels = samples.labels.numpy()
    if len(np.unique(labels)) < 2:
        raise ValueError("every label is of one class; a classifier needs at least two")
    whole = samples[slice(None)].inputs
    classifier.fit(side_by_side_numbers(whole, samples.modalities), labels)
    return FromClassifier(classifier, samples.modalities, classes)


def decided(samples: Pool) -> Pool:
    """The samples with classes in place of probabilities."""
    if not samples.labels.is_floating_point():
        return samples
    return samples.with_labels(samples.labels.argmax(1))


class Through(nn.Module):
    """Predictions of the teacher's answer: log Σ_y p(y | x) S[y, ·], of a model that predicts y.

    Trained on ỹ, the model inside learns y: the forward correction. Ref: patrini2017making.
    """

    def __init__(self, model: nn.Module, confusion: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("confusion", confusion.float())

    def forward(self, inputs: Inputs, *more: Any) -> Tensor:
        p = torch.softmax(self.model(inputs, *more), dim=1)
        return torch.log((p @ self.get_buffer("confusion").to(p.dtype)).clamp(min=1e-8))


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
        x = pool.inputs[name]
        here &= is_present(x) if isinstance(x, Tensor) else _present_on_disk(x)
    return here


def _present_on_disk(x: Any) -> Tensor:
    return torch.cat([is_present(part) for part in x.parts()])
