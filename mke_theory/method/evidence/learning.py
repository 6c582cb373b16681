"""The training of experts: one for each fold, on the samples of all others."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from mke_theory.data.pool import Pool, join
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.evidence.calibration import known_rows
from mke_theory.method.evidence.checks import refuse_expert
from mke_theory.method.evidence.experts import (
    Constant,
    FromClassifier,
    Through,
    Unmixed,
    decided,
    fitted,
    has_all,
    is_classifier,
)
from mke_theory.method.evidence.settings import EvidenceJob, Group
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.foreign_models import refuse_shared
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise, mean_magnitude, spread
from mke_theory.training.loop import Fit, TrainConfig


def train(
    state: EvidenceState,
    wanted: Sequence[tuple[Group, Tensor, Tensor]],
    name: str,
    *,
    corrected: bool = False,
    learn_on: bool = True,
    constant: bool = False,
    labels: bool = False,
    config: TrainConfig | None = None,
) -> Generator[list[TrainingJob], list[Fit], dict[Group, list[nn.Module]]]:
    """A model for each fold of every (modalities, rows, targets), trained outside its fold.

    `rows` [n] says which samples take part; targets are classes [n, ...] or probabilities
    [n, k, ...]. With `labels` α's expert learns D_l too. With `corrected` targets are the teacher's
    answers, and models learn the class behind them. With `learn_on` experts begin as they are,
    where they are. With `constant` a classifier that meets one class is a constant, elsewhere an
    error (ValueError). `config` is another training than the job's.
    """
    job, jobs = state.job, list[TrainingJob]()
    models: dict[Group, list[Any]] = {}
    for group, rows, targets in wanted:
        models[group] = []
        for fold in range(state.fold_count):
            seed = seed_for(job.seed, name, *group, fold)
            samples = samples_for(job, group, rows & state.outside(fold), targets, labels=labels)
            model = _begun(state, group, fold, seed, learn_on=learn_on)
            if is_classifier(model):
                samples, place = decided(samples), f"{name}, expert of {', '.join(group)}"
                own = fitted_or_constant(
                    model, samples, state.classes, seed=seed, name=place, constant=constant
                )
                models[group].append(Unmixed(own, state.called) if corrected else own)
                continue
            made = [*models.values(), *state.models.values()]
            refuse_again(model, [job.teacher, *(other for some in made for other in some)])
            models[group].append(model)
            learner = Through(model, state.confusion) if corrected else model
            objective = objective_on(
                samples, job.settings.noise, multilabel=job.multilabel, augment=job.augment
            )
            jobs.append(TrainingJob(learner, samples, objective, config or job.config, seed))
    state.fits += yield jobs
    return models


def _begun(state: EvidenceState, group: Group, fold: int, seed: int, *, learn_on: bool) -> Any:
    """The expert as it is so far, or a new one."""
    before = state.models[group][fold] if learn_on and group in state.models else None
    if before is not None and not isinstance(before, FromClassifier | Unmixed):
        return copy.deepcopy(before)
    job = state.job
    with torch_seed(seed):
        model = job.build(group)
    one = has_all(job.unlabelled, group).nonzero()[:1, 0]
    sample, shape = job.unlabelled.only(group).rows(one), tuple(state.logits.shape[1:])
    refuse_expert(model, group, sample, shape, multilabel=job.multilabel)
    return model


def samples_for(
    job: EvidenceJob, group: Group, rows: Tensor, targets: Tensor, *, labels: bool = False
) -> Pool:
    """The samples of D_u at `rows` [n] with their targets; for α, with `labels`, D_l before them.

    Raises ValueError where there are none.
    """
    at = rows.nonzero()[:, 0]
    if len(at) == 0:
        raise ValueError(
            f"no sample of D_u is left for the expert of {', '.join(group)}: it learns from those "
            "of another fold that have its modality and, at first, the teacher's; leave the "
            "modality out, or give more samples"
        )
    samples = job.unlabelled.only(group).rows(at).with_labels(targets[at])
    if group != job.alpha or job.labelled is None or not labels:
        return samples
    known = known_rows(job.labelled, group)
    if len(known) == 0:
        return samples
    own = job.labelled.only(group).rows(known)
    return join(own.with_labels(own.labels.to(targets.dtype)), samples)


def noise_on(samples: Pool, strength: float) -> tuple[InputNoise, ...]:
    """Noise of `strength`, in units of mean|x| or of the spread of a modality, if that is less.

    The two are alike in data that are centred; in others the mean would drown what varies.
    """
    if strength == 0:
        return ()
    by_name: dict[str, float] = {}
    for name in samples.modalities:
        size, sd = mean_magnitude(samples, name), spread(samples, name)
        by_name[name] = strength if sd >= size else strength * sd / size
    if set(by_name.values()) == {strength}:
        return (InputNoise(strength),)
    return tuple(InputNoise(own, only=(name,)) for name, own in by_name.items())


def objective_on(
    samples: Pool,
    noise: float,
    *,
    multilabel: bool = False,
    augment: tuple[Augmentation, ...] = (),
) -> Objective:
    """Cross-entropy to classes, or KL to probabilities, on inputs with noise."""
    kind: Literal["hard", "soft"] = "soft" if samples.labels.is_floating_point() else "hard"
    return Objective(
        pseudo_labels=PseudoLabelTerm(kind=kind),
        transform=noise_on(samples, noise),
        multilabel=multilabel,
        augment=augment,
    )


def fitted_or_constant(
    classifier: Any, samples: Pool, classes: int, *, seed: int, name: str, constant: bool
) -> nn.Module:
    """A fresh classifier, fitted; with `constant`, a constant where the labels are of one class.

    Without `constant` that is an error, as in `fitted`.
    """
    if constant and len(samples.labels.unique()) == 1:
        return Constant(samples.modalities, classes)
    return fitted(classifier, samples, classes, seed=seed, name=name)


def refuse_again(model: nn.Module, others: Sequence[object]) -> None:
    """Raise ValueError where a model is not fresh: it would answer what it was trained on."""
    if any(model is other for other in others):
        raise ValueError(
            "build returned a module that is in use already; it has to make a fresh one"
        )
    for other in others:
        if isinstance(other, nn.Module):
            refuse_shared("a fresh expert", model, other, "a model that is in use already")
