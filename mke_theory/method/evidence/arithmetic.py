"""Evidence and its sum: the numbers of experts that each read a modality of their own.

    r_m(k | x) = [p_m(k | x)/π_k]^w / mean of the same over D_u       evidence of modality m
    log p(k | x) = log π_k + Σ_m log r_m(k | x) + const               the posterior

If the modalities are independent given the class, r_m is p(x_m | k)/p(x_m), whose mean over x is 1
for every class, and the sum is exact. Evidence that is missing, or says nothing, is 1 and drops out
by itself. The pair likelihood log Σ_k π_k Π_m r_m(k | x) is what such evidence says of modalities
occurring together: its mean is greatest for the true r_m, so exponents w are found without a label.

Shapes: n samples, k classes, float64. Evidence is kept as its logarithm, 0 where it is missing.
`folds` [n] says which of an expert's models a sample was kept from. Where [n, k] is written, axes
may stand between the two, such as the questions of `label_forms.py`, of which each is a problem of
its own: [n, q, 2], with a prior of [q, 2].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EXPONENTS = tuple(float(w) for w in torch.linspace(-3.0, 1.2, 29, dtype=torch.float64).exp())
"""The exponents that are tried: 0.05 to 3.3, evenly on a logarithmic scale."""
HOTTEST = 20.0
"""A teacher's temperature of at least this is at the end of the grid."""
_LEAST = 1e-12


@dataclass(frozen=True)
class Evidence:
    """log r_m on D_u [n, k], and for each fold the logarithm of its mean [f, k]."""

    values: Tensor
    offsets: Tensor


def evidence_of(
    log_p: Tensor, log_prior: Tensor, exponent: float, folds: Tensor, present: Tensor
) -> Evidence:
    """The evidence of predictions log p_m [n, k], with mean 1 in every fold and for every class.

    `present` [n] is False where the sample lacks the modality: its evidence is 1, and its row of
    `log_p` is not read. A fold without a sample has the mean offset of the others, or 0.
    """
    tempered = exponent * (log_p - log_prior)
    values = torch.zeros_like(tempered)
    count = int(folds.max()) + 1
    offsets = torch.zeros(count, *log_p.shape[1:], dtype=log_p.dtype)
    met = torch.zeros(count, dtype=torch.bool)
    for fold in range(count):
        here = (folds == fold) & present
        if bool(here.any()):
            met[fold] = True
            offsets[fold] = torch.logsumexp(tempered[here], 0) - math.log(int(here.sum()))
            values[here] = tempered[here] - offsets[fold]
    if bool(met.any()):
        offsets[~met] = offsets[met].mean(0)
    return Evidence(values, offsets)


def posterior(parts: Sequence[Tensor], log_prior: Tensor) -> Tensor:
    """Log p(k | x) [n, k] of the sum of the parts' log evidence."""
    return torch.log_softmax(log_prior + sum(parts[1:], parts[0]), dim=-1)


def pair_likelihood(parts: Sequence[Tensor], log_prior: Tensor) -> Tensor:
    """Log Σ_k π_k Π_m r_m(k | x) [n]; its mean estimates the information that parts share by y."""
    return torch.logsumexp(log_prior + sum(parts[1:], parts[0]), dim=-1)


def best_exponent(likelihood: Callable[[float], float]) -> float:
    """The exponent among `EXPONENTS` of the greatest likelihood."""
    return max(EXPONENTS, key=likelihood)


def soft_confusion(probabilities: Tensor) -> Tensor:
    """S[y, j] = E[p_y p_j]/E[p_y] [k, k]: the mean answer of a calibrated teacher, given the class.

    `probabilities` [n, k] are its answers on D_u. Where they are calibrated, S[y] is E[p | y]: no
    label is needed. A class without any mass has the mean answer of all.
    """
    mass = probabilities.sum(0).unsqueeze(-1)
    together = probabilities.movedim(0, -2)
    table = (together.mT @ together) / mass.clamp(min=_LEAST)
    everywhere = probabilities.mean(0).unsqueeze(-2).expand_as(table)
    return torch.where(mass > _LEAST, table, everywhere)


def hard_confusion(probabilities: Tensor) -> Tensor:
    """T[y, j] [k, k], the share of class y that a calibrated teacher calls j, without a label.

    `probabilities` [n, k] are its answers on D_u. The row of a class without any mass is 0.
    """
    called = torch.nn.functional.one_hot(probabilities.argmax(-1), probabilities.shape[-1])
    counts = probabilities.movedim(0, -2).mT @ called.to(probabilities).movedim(0, -2)
    return counts / probabilities.sum(0).clamp(min=_LEAST).unsqueeze(-1)


def through(probabilities: Tensor, confusion: Tensor) -> Tensor:
    """Σ_y p(y) S[y, ·]: probabilities of the class [n, k] as those of the teacher's answer."""
    if confusion.ndim == 2:
        return probabilities @ confusion
    return (probabilities.unsqueeze(-2) @ confusion).squeeze(-2)


def as_answered(values: Tensor, log_prior: Tensor, confusion: Tensor) -> Tensor:
    """Log evidence of what the teacher would answer, [n, k], instead of evidence of the class.

    p(ỹ | x_m) = Σ_y p(y | x_m) S[y, ỹ] is closer to the classes' frequency than p(y | x_m): it
    counts what the modality says no more than the teacher's own answers bear out. It is divided by
    the answers' own frequency p(ỹ) = Σ_y π_y S[y, ỹ], so that what says nothing of y says nothing.
    """
    p = torch.softmax(log_prior + values, dim=-1)
    answers = through(log_prior.exp(), confusion).clamp(min=_LEAST)
    return torch.log(through(p, confusion).clamp(min=_LEAST)) - answers.log()


def temperature_of(logits: Tensor, labels: Tensor) -> float:
    """The temperature in [0.14, 20] of the greatest likelihood of the labels [n].

    `logits` [n, k] have to be of models that were not trained on these labels.
    """
    grid = torch.linspace(-2.0, 3.0, 101, dtype=torch.float64).exp().tolist()
    logits, labels = logits.double(), labels.long()
    return min(grid, key=lambda t: float(torch.nn.functional.cross_entropy(logits / t, labels)))


def prior_of(labels: Tensor, classes: int) -> Tensor:
    """The classes' shares [k] among the labels, each class counted once more than it occurs.

    Raises ValueError where a label is not in 0 to `classes` − 1.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; with {classes} classes "
            f"they have to lie in 0 to {classes - 1}"
        )
    counts = torch.bincount(labels, minlength=classes).double() + 1.0
    return counts / counts.sum()


def surest(log_p: Tensor, share: float) -> Tensor:
    """True [n] for the surest `share` of the samples that the posterior gives each class.

    At least one sample of every class that is named at all. Taken by class, since the surest of all
    are often of one class, and rounds then collapse onto it.
    """
    confidence, named = log_p.max(dim=1)
    if share >= 1.0:
        return torch.ones(len(log_p), dtype=torch.bool)
    chosen = torch.zeros(len(log_p), dtype=torch.bool)
    for k in range(log_p.shape[1]):
        rows = (named == k).nonzero()[:, 0]
        order = confidence[rows].argsort(descending=True, stable=True)
        chosen[rows[order[: max(1, round(share * len(rows)))]]] = True
    return chosen
