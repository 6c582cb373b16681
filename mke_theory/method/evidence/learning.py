"""The samples and the objective that an expert learns from, and what it is fitted by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from mke_theory.data.pool import Pool, join
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.evidence.calibration import known_rows
from mke_theory.method.evidence.experts import Constant, fitted
from mke_theory.method.evidence.settings import EvidenceJob, Group
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise


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


def objective_on(
    samples: Pool,
    noise: float,
    *,
    multilabel: bool = False,
    augment: tuple[Augmentation, ...] = (),
) -> Objective:
    """Cross-entropy to classes, or KL to probabilities, on inputs with noise."""
    kind: Literal["hard", "soft"] = "soft" if samples.labels.is_floating_point() else "hard"
    steps = (InputNoise(noise),) if noise > 0 else ()
    return Objective(
        pseudo_labels=PseudoLabelTerm(kind=kind),
        transform=steps,
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
