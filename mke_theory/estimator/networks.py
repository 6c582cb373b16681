"""The teacher and the experts of `MKEClassifier`: networks of one hidden layer, or classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import fit_teacher, teacher_job
from mke_theory.method.evidence.experts import FromClassifier, fitted, is_classifier
from mke_theory.method.job import TrainingJob
from mke_theory.models import MLP, multimodal
from mke_theory.tasks.files.standardise import moments
from mke_theory.training.loop import TrainConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scale:
    """The standardising of a modality: mean and spread [d] of each column over the fitted rows."""

    mean: Floats
    spread: Floats

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.mean)

    def __call__(self, x: Floats) -> Tensor:
        """Columns of mean 0 and deviation 1, in single precision; NaN stays."""
        if x.shape[1] != self.width:
            raise ValueError(f"a modality has {x.shape[1]} columns; it was fitted to {self.width}")
        return torch.tensor((x - self.mean) / self.spread, dtype=torch.float32)

    def undone(self, x: Floats) -> Floats:
        """The numbers as they were, but for rounding."""
        return x * self.spread + self.mean


def scale_of(name: str, x: Floats, *, as_it_is: bool = False) -> Scale:
    """The scale of a modality by rows [n, d], those that lack it left out.

    A column that is constant becomes 0 at every row, as `standardiser` has it; with `as_it_is` it
    is only centred, for a classifier that was fitted elsewhere. Raises ValueError where no row has
    the modality.
    """
    here = x[~np.isnan(x).any(axis=1)]
    if len(here) == 0:
        raise ValueError(f"modality {name!r} is NaN in every row; leave it out")
    mean, spread = moments(here)
    return Scale(mean, np.where(np.isinf(spread), 1.0, spread) if as_it_is else spread)


@dataclass(frozen=True)
class Networks:
    """Networks with one hidden layer: how wide, how long trained, from which seed."""

    widths: Mapping[str, int]
    classes: int
    hidden: int
    steps: int
    seed: int

    @property
    def config(self) -> TrainConfig:
        """The training of each."""
        return TrainConfig(steps=self.steps, batch_size=128, learning_rate=2e-3, weight_decay=1e-2)

    def fresh(self, modalities: Sequence[str], name: str) -> nn.Module:
        """A network of some modalities, whose weights follow from the seed and the name."""
        with torch_seed(seed_for(self.seed, "weights", name)):
            encoders = {
                one: MLP([self.widths[one], self.hidden], activate=True) for one in modalities
            }
            return multimodal(encoders, self.classes, missing="zero")

    def expert(self, modalities: tuple[str, ...]) -> nn.Module:
        """A fresh expert, as `expand_by_evidence` asks for it."""
        return self.fresh(modalities, "+".join(modalities))

    def retrain(self, samples: Pool, number: int) -> TrainingJob:
        """The job of a teacher of some of the labelled rows: for its calibration."""
        model = self.fresh(samples.modalities, f"teacher {number}")
        return teacher_job(model, samples, self.config, seed=seed_for(self.seed, "again", number))


@dataclass(frozen=True, eq=False)
class Teacher:
    """A teacher before training: None for a network, a classifier, or one that is frozen."""

    kind: Any
    modalities: tuple[str, ...]
    scales: Mapping[str, Scale]

    def __post_init__(self) -> None:
        if self.kind is not None and not is_classifier(self.kind):
            raise TypeError(
                f"teacher is a {type(self.kind).__name__}; it has to be a classifier with "
                "predict_proba, or None. Of any other network hand in its answers: fit(answers=…)"
            )

    @property
    def is_network(self) -> bool:
        """True where a network is trained."""
        return self.kind is None

    def trained(self, known: Pool, networks: Networks) -> nn.Module:
        """The teacher, trained on labelled rows unless it is frozen."""
        if self.kind is None:
            model = networks.fresh(self.modalities, "teacher")
            return fit_teacher(model, known, networks.config, seed=networks.seed).model
        if isinstance(self.kind, FrozenEstimator):
            frozen = AsItWas(self.kind, [self.scales[name] for name in self.modalities])
            return FromClassifier(frozen, self.modalities, networks.classes)
        return fitted(self.kind, known, networks.classes, seed=networks.seed, name="the labels")


class AsItWas:
    """A fitted classifier that reads columns as they were before they were standardised.

    Its classes are taken to be those of the labels, in sorted order. `fit` leaves it as it is.
    """

    def __init__(self, classifier: Any, scales: Sequence[Scale]) -> None:
        check_is_fitted(classifier)
        self.classifier, self.scales = classifier, list(scales)
        self.classes_ = np.arange(len(classifier.classes_))

    def fit(self, x: Floats, y: Any) -> AsItWas:
        """The same classifier."""
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Probabilities [n, k] of standardised rows."""
        ends = np.cumsum([scale.width for scale in self.scales])[:-1]
        parts = np.split(x, ends, axis=1)
        whole = [scale.undone(part) for scale, part in zip(self.scales, parts, strict=True)]
        return np.asarray(self.classifier.predict_proba(np.concatenate(whole, axis=1)))
