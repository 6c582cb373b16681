"""The first step of evidence students: the teacher, calibrated on labels it was not trained on.

The folds and the classes' shares, which the later steps share with it, are found here too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool, is_present
from mke_theory.data.rng import seed_for
from mke_theory.method.answers import Answers
from mke_theory.method.evidence.checks import given_prior, teachers_logits
from mke_theory.method.evidence.experts import FromClassifier, fitted, has_all
from mke_theory.method.evidence.label_forms import classified, known_samples, shares_among
from mke_theory.method.evidence.settings import EvidenceJob, Honest
from mke_theory.method.job import TrainingJob
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict

LEAST_SHARE = 1e-9
"""A class that the teacher never answers at all counts as this much."""


def folds_of(pool: Pool, folds: int, seed: int) -> Tensor:
    """The fold of every sample [n], of nearly equal size; whole groups together.

    Folds are 0 to `folds` − 1; where there are fewer groups, or samples, than folds there are as
    many folds as those. Groups of a pool that has one alone are set aside.
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


def known_rows(labelled: Pool, alpha: Sequence[str]) -> Tensor:
    """The rows of D_l that have a known label and every modality of the teacher."""
    return (known_samples(labelled.labels) & has_all(labelled, alpha)).nonzero()[:, 0]


def honest_answers(job: EvidenceJob) -> Generator[list[TrainingJob], list[Fit], Honest | None]:
    """Cross-fitted answers on D_l; None where nobody can give them, or D_l has less than 2 samples.

    A classifier of scikit-learn is fitted again, a network is trained by `retrain`, and answers
    that were handed in, by `Answers` or with D_l itself, count as cross-fitted. Raises ValueError
    where a classifier would be left with one class.
    """
    teacher, labelled = job.teacher, job.labelled
    if labelled is None:
        return None
    known = known_rows(labelled, job.alpha)
    given = teacher.labelled if isinstance(teacher, Answers) else labelled.answers
    if given is not None:
        known = known[is_present(given[known])]
    labels = labelled.labels[known]
    if len(known) < 2:
        return None
    if given is not None:
        pools = [has_all(job.unlabelled, job.alpha)]
        on_u = (teachers_logits(job, here)[here] for here in pools)  # pixels never ask for it
        return _honest(job, given[known].double(), labels, on_u)
    if isinstance(teacher, Answers) or (
        job.retrain is None and not isinstance(teacher, FromClassifier)
    ):
        return None
    samples = labelled.only(job.alpha).rows(known)
    place = folds_of(samples, job.settings.teacher_folds, seed_for(job.seed, "labelled folds"))
    models = yield from _cross_fitted(job, samples, place)
    parts, rows = [], []
    for fold, model in enumerate(models):
        rows.append((place == fold).nonzero()[:, 0])
        parts.append(predict(model, samples.rows(rows[-1])).double())
    logits = torch.empty_like(torch.cat(parts))
    logits[torch.cat(rows)] = torch.cat(parts)
    readable = has_all(job.unlabelled, job.alpha).nonzero()[:, 0]
    pool = job.unlabelled.only(job.alpha).rows(readable)
    return _honest(job, logits, labels, (predict(model, pool) for model in models))


def _honest(job: EvidenceJob, logits: Tensor, labels: Tensor, on_u: Iterable[Tensor]) -> Honest:
    """Logits on D_l as honest answers; `on_u` has those of the same models on D_u, where α is."""
    found = Honest(*classified(logits, labels, multilabel=job.multilabel, seed=job.seed))
    if labels.ndim > 1 or job.multilabel:
        return found
    p = [torch.softmax(each.double() / found.temperature, 1) for each in on_u]
    return replace(found, on_unlabelled=torch.stack(p).mean(0))


def _cross_fitted(
    job: EvidenceJob, samples: Pool, place: Tensor
) -> Generator[list[TrainingJob], list[Fit], list[nn.Module]]:
    """A teacher for each fold, trained on the samples of all others."""
    outside = [(place != fold).nonzero()[:, 0] for fold in range(int(place.max()) + 1)]
    parts = [samples.rows(rows) for rows in outside]
    teacher = job.teacher
    if isinstance(teacher, FromClassifier):
        return [
            fitted(
                teacher.classifier,
                part,
                teacher.classes,
                seed=seed_for(job.seed, "teacher", fold),
                name=f"D_l without fold {fold} of {len(parts)}",
            )
            for fold, part in enumerate(parts)
        ]
    assert job.retrain is not None
    fits = yield [job.retrain(part, number) for number, part in enumerate(parts)]
    return [fit.model for fit in fits]


def class_shares(job: EvidenceJob, classes: int, scores: Tensor) -> tuple[Tensor, str]:
    """The classes' shares [k], of several questions [q, 2], and where they are from.

    They are given, or those of D_l, or those of the teacher's mean answer by its `scores` on D_u, a
    table, as for a question that D_l never answers. Raises ValueError where those that are given
    are no shares.
    """
    given, labelled, multilabel = job.prior, job.labelled, job.multilabel
    if given is not None:
        return given_prior(given, classes, multilabel=multilabel), "given"
    shares = torch.softmax(scores, -1).mean(0).clamp(min=LEAST_SHARE)
    shares = shares / shares.sum(-1, keepdim=True)
    if labelled is None or not bool(known_samples(labelled.labels).any()):
        return shares, "mean answer of the teacher"
    found = shares_among(labelled.labels, classes, multilabel=multilabel)
    asked = (labelled.labels >= 0).any(0) if multilabel else torch.ones(1, dtype=torch.bool)
    if bool(asked.all()):
        return found, "labels of D_l"
    found = torch.where(asked.unsqueeze(-1), found, shares)
    return found, "labels of D_l, and where it has none the mean answer of the teacher"
