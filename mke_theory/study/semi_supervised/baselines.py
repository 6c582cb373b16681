"""Baselines for few labels: scikit-learn's two classics, and co-training.

The first two read all numbers of a sample side by side. D_l has no β; it is filled in by the mean
of β over D_u, or α is read alone. Co-training was made for two views that both carry labels. Here
the view of β starts without one: its first labels are those that the view of α is surest of.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool, join
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import fit_teacher, pseudo_label, teacher_job
from mke_theory.method.evidence import carry_out
from mke_theory.method.job import TrainingJob
from mke_theory.method.relatives.method import alpha_alone
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.predict import predict

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Classes of the samples of D_u and of test, [n] each; −1 where the method has no answer."""

    unlabelled: Tensor
    test: Tensor


def self_training(
    problem: Problem, modalities: tuple[str, ...] | None = None, *, certainty: float = 0.75
) -> Predictions:
    """Logistic regression that adds its own answers of probability > `certainty` until none is new.

    Inputs are standardised on D_l and D_u together; the truth on D_u is not read.
    Ref: yarowsky1995unsupervised.
    """
    if not 0.0 <= certainty < 1.0:
        raise ValueError(f"certainty is {certainty}; it has to lie in [0, 1)")
    rows = _standardised(problem, modalities)
    base = LogisticRegression(max_iter=2000)
    learner = SelfTrainingClassifier(base, threshold=certainty, max_iter=None)
    learner.fit(rows.known, rows.labels)
    return Predictions(*(torch.as_tensor(learner.predict(x)) for x in (rows.unlabelled, rows.test)))


def label_spreading(
    problem: Problem,
    modalities: tuple[str, ...] | None = None,
    *,
    neighbours: int = 7,
    softness: float = 0.2,
) -> Predictions:
    """Labels that flow from D_l to neighbours among D_l and D_u, and from these to theirs.

    Two samples are neighbours where either is among the nearest of the other: D_l, filled in on β,
    lies apart and is nearest to nobody. `softness` in (0, 1) is the share that its neighbours have
    in a sample's label (α of the paper). A test sample is answered by its own nearest in D_l and
    D_u. −1 where no label arrives. Ref: zhou2004learning.
    """
    if not 0.0 < softness < 1.0:
        raise ValueError(f"softness is {softness}; it has to lie strictly between 0 and 1")
    rows = _standardised(problem, modalities)
    if not 1 <= neighbours < len(rows.known):
        raise ValueError(
            f"neighbours is {neighbours}; D_l and D_u have {len(rows.known)} samples, so allowed "
            f"are 1 to {len(rows.known) - 1}"
        )
    learner = LabelSpreading(_neighbourhood(neighbours), alpha=softness, max_iter=1000)
    learner.fit(rows.known, rows.labels)
    with np.errstate(invalid="ignore"):  # 0/0 where no neighbour has heard of a label
        on_test = learner.predict_proba(rows.test)
    heard = learner.label_distributions_[len(problem.labelled) :]
    return Predictions(*(_likeliest(learner.classes_, share) for share in (heard, on_test)))


@dataclass(frozen=True)
class CoTraining:
    """The result of `co_training`: a model a view, the labels they gave D_u, and predictions.

    `labels` is [n] on D_u, −1 where neither gave one. The answers are those of the product of both
    models' probabilities.
    """

    first: nn.Module
    second: nn.Module
    labels: Tensor
    predictions: Predictions


def co_training(
    problem: Problem,
    build: Callable[[tuple[str, ...]], nn.Module],
    *,
    rounds: int = 10,
    per_class: int = 5,
    config: TrainConfig | None = None,
    seed: int = 0,
) -> CoTraining:
    """Two models, one on α and one on all else, that label the unlabelled samples for each other.

    In every round both are trained afresh on what carries a label (on β: of D_u alone); then each
    labels, for every class, the `per_class` samples it is surest belong to it. Where they name the
    same sample, the surer one counts. It ends when D_u is labelled, or after `rounds`. The paper
    looks at a small pool refilled from D_u, and takes of each class in proportion to its prior.
    `build(modalities)` makes a fresh model. Ref: blum1998combining, Table 1.
    """
    plan = co_training_plan(
        problem, build, rounds=rounds, per_class=per_class, config=config, seed=seed
    )
    (done,) = carry_out([plan])
    if isinstance(done, Exception):
        raise done
    return done


def co_training_plan(
    problem: Problem,
    build: Callable[[tuple[str, ...]], nn.Module],
    *,
    rounds: int,
    per_class: int,
    config: TrainConfig | None,
    seed: int,
) -> Generator[list[TrainingJob], list[Fit], CoTraining]:
    """`co_training` step by step: each `yield` asks for training jobs and is sent their fits.

    So that seeds train side by side; arguments and errors are those of `co_training`.
    """
    alpha = problem.teacher_modalities
    beta = tuple(name for name in problem.modalities if name not in alpha)
    if not beta:
        raise ValueError("co-training needs a second view; every modality is the teacher's")
    for name, value in (("rounds", rounds), ("per_class", per_class)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it has to be at least 1")
    labels = torch.full((len(problem.unlabelled),), UNKNOWN)

    def job(view: tuple[str, ...], number: int) -> TrainingJob:
        samples = _labelled_so_far(problem, labels, view)
        at = seed_for(seed, "co-training", number, *view)
        return teacher_job(build(view), samples, config or TrainConfig(), seed=at)

    for number in range(rounds):
        views = [alpha] if bool((labels == UNKNOWN).all()) else [alpha, beta]
        fits = yield [job(view, number) for view in views]
        models = [fit.model for fit in fits]
        labels = with_the_surest(problem, labels, views, models, per_class)
        if not bool((labels == UNKNOWN).any()):
            break
    fits = yield [job(view, rounds) for view in (alpha, beta)]
    first, second = (fit.model for fit in fits)
    both = (_product(first, second, pool) for pool in (problem.unlabelled, problem.test))
    return CoTraining(first, second, labels, Predictions(*both))


def late_average(
    problem: Problem,
    teacher: nn.Module,
    build: Callable[[tuple[str, ...]], nn.Module],
    *,
    config: TrainConfig | None = None,
    seed: int = 0,
) -> Predictions:
    """The mean of the teacher's logits and of those of a model of β that learned its classes.

    Nothing is corrected, calibrated or cross-fitted: what one does first. `build(modalities)` makes
    a fresh model, trained on all of D_u. Raises ValueError where every modality is the teacher's.
    """
    beta = tuple(name for name in problem.modalities if name not in problem.teacher_modalities)
    if not beta:
        raise ValueError("there is no second view; every modality is the teacher's")
    named = pseudo_label(teacher, problem.unlabelled).hard
    at = seed_for(seed, "late average")
    with torch_seed(at):
        model = build(beta)
    fit_teacher(model, problem.unlabelled.only(beta).with_labels(named), config, seed=at)
    parts = (problem.unlabelled, problem.test)
    sums = [predict(teacher, pool).double() + predict(model, pool).double() for pool in parts]
    return Predictions(*(logits.argmax(dim=1) for logits in sums))


def _labelled_so_far(problem: Problem, labels: Tensor, view: tuple[str, ...]) -> Pool:
    known = (labels != UNKNOWN).nonzero()[:, 0]
    named = None
    if len(known):
        named = problem.unlabelled.only(view).rows(known).with_labels(labels[known])
    if view != problem.teacher_modalities:
        assert named is not None
        return named
    given = problem.labelled.only(view)
    return given if named is None else join(given, named)


def with_the_surest(
    problem: Problem,
    labels: Tensor,
    views: list[tuple[str, ...]],
    models: list[nn.Module],
    per_class: int,
) -> Tensor:
    """The labels, and those that the models of the views add to them."""
    result, sureness = labels.clone(), torch.zeros(len(labels), dtype=torch.float64)
    for view, model in zip(views, models, strict=True):
        pseudo = pseudo_label(model, problem.unlabelled.only(view))
        for k in range(problem.classes):
            named = ((labels == UNKNOWN) & (pseudo.hard == k)).nonzero()[:, 0]
            order = pseudo.confidence[named].argsort(descending=True, stable=True)
            chosen = named[order[:per_class]]
            chosen = chosen[pseudo.confidence[chosen] > sureness[chosen]]
            result[chosen], sureness[chosen] = k, pseudo.confidence[chosen].double()
    return result


def _product(first: nn.Module, second: nn.Module, pool: Pool) -> Tensor:
    odds = [torch.log_softmax(predict(model, pool), dim=1) for model in (first, second)]
    return (odds[0] + odds[1]).argmax(dim=1)


@dataclass(frozen=True)
class _Rows:
    """Numbers side by side, [n, d]: `known` is D_l, then D_u, with −1 for the labels of D_u."""

    known: Floats
    labels: NDArray[np.int64]
    unlabelled: Floats
    test: Floats


def _standardised(problem: Problem, modalities: tuple[str, ...] | None) -> _Rows:
    used = problem.modalities if modalities is None else modalities
    strange = set(used) - set(problem.modalities)
    if strange or not used:
        raise ValueError(
            f"modalities is {used!r}; give a tuple of one or more of {problem.modalities}"
        )
    if problem.labelled.labels.ndim != 1:
        raise ValueError("this baseline answers one question a sample; labels have to be [n]")
    parts = (alpha_alone(problem, used), problem.unlabelled, problem.test)
    labelled, unlabelled, test = (
        np.concatenate([whole.inputs[m].double().flatten(1).numpy() for m in used], axis=1)
        for whole in (pool[slice(0, len(pool))] for pool in parts)
    )
    if np.isnan(unlabelled).all(axis=0).any():
        raise ValueError(
            "a number is missing (NaN) in all of D_u, so no mean can fill it in; leave its "
            "modality out"
        )
    mean = np.nanmean(unlabelled, axis=0)
    labelled, unlabelled, test = (
        np.where(np.isnan(x), mean, x) for x in (labelled, unlabelled, test)
    )
    scaler = StandardScaler().fit(np.concatenate([labelled, unlabelled]))
    labelled, unlabelled, test = (scaler.transform(x) for x in (labelled, unlabelled, test))
    silent = np.full(len(unlabelled), UNKNOWN)
    labels = np.concatenate([problem.labelled.labels.numpy(), silent])
    return _Rows(np.concatenate([labelled, unlabelled]), labels, unlabelled, test)


def _neighbourhood(neighbours: int) -> Callable[[Floats, Floats], Any]:
    """A kernel: 1 between neighbours, else 0, as a sparse matrix [known, asked]."""

    def kernel(known: Floats, asked: Floats) -> Any:
        search = NearestNeighbors(n_neighbors=neighbours).fit(known)
        if asked is not known:
            return search.kneighbors_graph(asked).T
        nearest = search.kneighbors_graph()
        return nearest.maximum(nearest.T)

    return kernel


def _likeliest(classes: NDArray[np.int64], share: Floats) -> Tensor:
    heard = np.nan_to_num(share).sum(axis=1) > 0
    return torch.as_tensor(np.where(heard, classes[np.nan_to_num(share).argmax(axis=1)], UNKNOWN))
