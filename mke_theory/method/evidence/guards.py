"""Guards without labels: whether a modality says anything of ỹ, or only repeats the others.

Neither can be known for certain without labels: both guards err both ways, and
`experiments/evidence_guards.py` measures how often, on worlds whose answer is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mke_theory.method.evidence.arithmetic import posterior

USEFUL = 2.0
"""A modality whose `usefulness` is lower drops out of the sum."""
SHARED = 0.18
DOUBLED = 1.0
"""Evidence is called redundant above both: a share of its spread within classes that the others
foretell, and more of it, as information, than the class explains. The first was chosen on worlds
and tasks at seeds 100 to 115. For which expert's evidence, see `verdicts`."""
_PERMUTATIONS = 10


@dataclass(frozen=True)
class Redundancy:
    """The part of a modality's evidence that the others foretell, beyond what the class explains.

    shared: the share of the evidence's spread within classes that the others explain, less what
    they would explain under conditional independence; about 0 there. ratio: that share as
    information, −½ log(1 − shared), over the pair likelihood, the information by the class. Over
    several questions both `shared` and the pair likelihood are means.
    """

    shared: float
    ratio: float

    @classmethod
    def of(cls, shared: float, likelihood: float) -> Redundancy:
        """The two numbers of a share and of the mean pair likelihood."""
        information = -0.5 * math.log(1.0 - min(max(shared, 0.0), 0.999))
        return cls(shared, information / max(likelihood, 1e-3))

    @property
    def refuted(self) -> bool:
        """True where adding this evidence would mostly count the others twice."""
        return self.shared > SHARED and self.ratio > DOUBLED


def usefulness(answers: Tensor, values: Tensor, each: int = 1) -> float:
    """Z of the covariance between the teacher's probabilities and a modality's log evidence.

    Both are [n, k], or [n, q, 2], on samples that the modality's model was not trained on; with
    `each` every such number of rows, the pixels of a picture, are one sample. About normal with
    mean 0 where the modality says nothing of ỹ, if samples are independent, with a deviation of 1.1
    to 1.5 on the worlds of `experiments/evidence_guards.py`; large where it does. 0 where there are
    fewer than two samples, or nothing varies.
    """
    if len(values) < 2 * each:
        return 0.0
    scores = ((answers - answers.mean(0)) * (values - values.mean(0))).flatten(1).sum(1)
    scores = scores.reshape(-1, each).mean(1)
    spread = float(scores.std())
    return float(scores.mean()) / spread * math.sqrt(len(scores)) if spread > 0 else 0.0


def redundancy(
    values: Tensor,
    others: Tensor,
    predictors: Sequence[Tensor],
    log_prior: Tensor,
    folds: Tensor,
    *,
    likelihood: float,
    seed: int,
) -> Redundancy:
    """The part of a modality's log evidence `values` [n, k] that others foretell within a class.

    `others` is their summed log evidence, `predictors` are log probabilities [n, k] that read the
    other modalities alone. Weights of the classes are the posterior of all. The same is done after
    shuffling the evidence within classes drawn from the posterior, which makes it independent given
    the class; the mean of that is taken off. `likelihood` is the mean pair likelihood.
    """
    x = torch.cat([_by_fold(_centred(p), folds) for p in predictors], dim=1)
    weights = posterior([values, others], log_prior).exp()
    found = _explained(_by_fold(_centred(values), folds), x, weights)
    rng, cumulative, null = np.random.default_rng(seed), weights.cumsum(1), []
    for _ in range(_PERMUTATIONS):
        drawn = (torch.from_numpy(rng.random((len(values), 1))) > cumulative).sum(1)
        shuffled = values.clone()
        for k in drawn.unique():
            rows = (drawn == k).nonzero()[:, 0]
            shuffled[rows] = values[rows[torch.from_numpy(rng.permutation(len(rows)))]]
        again = posterior([shuffled, others], log_prior).exp()
        null.append(_explained(_by_fold(_centred(shuffled), folds), x, again))
    return Redundancy.of(found - float(np.mean(null)), likelihood)


def _centred(log_p: Tensor) -> Tensor:
    """All classes but the last, [n, k − 1], of logarithms with mean 0 over the classes."""
    return (log_p - log_p.mean(1, keepdim=True))[:, :-1]


def _by_fold(x: Tensor, folds: Tensor) -> Tensor:
    """Standardised within every fold: models of different folds have scales of their own."""
    result = torch.zeros_like(x)
    for fold in folds.unique():
        here = folds == fold
        part = x[here]
        result[here] = (part - part.mean(0)) / (part.std(0, unbiased=False) + 1e-9)
    return result


def _explained(y: Tensor, x: Tensor, weights: Tensor) -> float:
    """The share of the spread of y within classes that a linear map of x explains, in [0, 1].

    `weights` [n, k] say how far a sample belongs to each class.
    """
    mass = weights.sum(0).clamp(min=1e-12)  # of a class that no sample belongs to
    mean_y, mean_x = (weights.T @ y) / mass[:, None], (weights.T @ x) / mass[:, None]
    within_x = x.T @ x - (mean_x.T * mass) @ mean_x
    within_y = y.T @ y - (mean_y.T * mass) @ mean_y
    between = x.T @ y - (mean_x.T * mass) @ mean_y
    size = (within_x.trace() / len(within_x)).clamp(min=1e-12)  # where no predictor varies
    ridge = 1e-3 * size * torch.eye(len(within_x), dtype=x.dtype)
    explained = (between * torch.linalg.solve(within_x + ridge, between)).sum()
    return float(explained / within_y.trace().clamp(min=1e-12))
