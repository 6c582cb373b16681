"""The teacher, calibrated on labels it was not trained on: the first step of evidence students."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.rng import seed_for
from mke_theory.method.evidence.experts import Answers, FromClassifier, fitted
from mke_theory.method.job import TrainingJob
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict

Training = Generator[list[TrainingJob], list[Fit], Any]
"""A step that asks for training jobs to be carried out, is sent their fits, and has a result."""

Retrain = Callable[[Pool, int], TrainingJob]
"""From some samples of D_l and a number to the job of a teacher that learns from them alone."""


@dataclass(frozen=True)
class Honest:
    """A teacher's answers on D_l by models that were not trained on the sample they answer.

    logits: [n_l, k]. labels: [n_l]. The error of `logits` is an honest one.
    """

    logits: Tensor
    labels: Tensor

    @property
    def accuracy(self) -> float:
        """The share of D_l that is answered right."""
        return float((self.logits.argmax(1) == self.labels).double().mean())


def folds_of(pool: Pool, folds: int, seed: int) -> Tensor:
    """The fold of every sample [n], 0 to folds − 1, of nearly equal size; whole groups together.

    Where there are fewer groups than folds there are as many folds as groups; groups of a pool that
    has one alone are set aside.
    """
    draw = np.random.default_rng(seed)
    groups = None if pool.groups is None else np.unique(pool.groups, return_inverse=True)[1]
    if groups is None or groups.max() == 0:
        return torch.from_numpy(draw.permutation(np.arange(len(pool)) % folds))
    names, sizes = np.unique(groups, return_counts=True)
    order = draw.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    total, place = np.zeros(min(folds, len(names)), dtype=int), np.zeros(len(names), dtype=int)
    for group in order:  # the largest first, each to the fold that is smallest so far
        place[group] = int(total.argmin())
        total[place[group]] += sizes[group]
    return torch.from_numpy(place[groups])


def honest_answers(
    teacher: nn.Module | Answers,
    labelled: Pool | None,
    retrain: Retrain | None,
    folds: int,
    seed: int,
) -> Generator[list[TrainingJob], list[Fit], Honest | None]:
    """Cross-fitted answers on D_l; None where nobody can give them.

    A classifier of scikit-learn is fitted again, a network is trained by `retrain`, and answers
    that were handed in count as cross-fitted.
    """
    if labelled is None:
        return None
    known = (labelled.labels != UNKNOWN).nonzero()[:, 0]
    labelled = labelled.rows(known)
    if isinstance(teacher, Answers):
        if teacher.labelled is None:
            return None
        return Honest(teacher.labelled[known].double(), labelled.labels)
    if retrain is None and not isinstance(teacher, FromClassifier):
        return None
    place = folds_of(labelled, folds, seed_for(seed, "labelled folds"))
    parts = [(place != fold).nonzero()[:, 0] for fold in range(int(place.max()) + 1)]
    models: list[nn.Module]
    if isinstance(teacher, FromClassifier):
        own = labelled.only(teacher.modalities)
        models = [
            fitted(clone(teacher.classifier), own.rows(rows), teacher.classes) for rows in parts
        ]
    else:
        assert retrain is not None
        fits = yield [retrain(labelled.rows(rows), number) for number, rows in enumerate(parts)]
        models = [fit.model for fit in fits]
    logits: Tensor | None = None
    for fold, model in enumerate(models):
        rows = (place == fold).nonzero()[:, 0]
        found = predict(model, labelled.rows(rows)).double()
        logits = torch.zeros(len(labelled), found.shape[1]).double() if logits is None else logits
        logits[rows] = found
    assert logits is not None
    return Honest(logits, labelled.labels)
