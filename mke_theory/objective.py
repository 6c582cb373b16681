"""L_pl + γ L_reg: what a student minimises, as settings and as a function of a batch.

Semi-supervised methods differ from each other, and from Multimodal Knowledge Expansion, only in the
settings here and in the modalities that teacher and student see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mke_theory import losses
from mke_theory.rng import Stream
from mke_theory.train import LossFunction
from mke_theory.transforms import Compose, Transform
from mke_theory.types import UNKNOWN, Batch, Pool

_CONSISTENCY = {
    "squared_l2": losses.squared_l2,
    "kl": losses.kl_consistency,
    "cross_entropy": losses.cross_entropy_consistency,
}


@dataclass(frozen=True)
class Objective:
    """The settings of L_pl + γ L_reg.

    labels: hard pseudo labels and cross-entropy, or soft ones and KL at `temperature`.
    threshold: pseudo labels of lower confidence are left out of L_pl, but count in its mean as 0.
    transform: T, its perturbations in order. view: whether L_pl sees T(x) or x itself.
    gamma: the weight γ ≥ 0 of L_reg; consistency: its distance.
    multilabel: k yes/no questions instead of one question with k answers.
    """

    labels: Literal["hard", "soft"] = "hard"
    temperature: float = 1.0
    threshold: float = 0.0
    transform: tuple[Transform, ...] = ()
    view: Literal["perturbed", "clean"] = "perturbed"
    gamma: float = 0.0
    consistency: Literal["squared_l2", "kl", "cross_entropy"] = "squared_l2"
    multilabel: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.transform, tuple) or not all(
            isinstance(step, Transform) for step in self.transform
        ):
            raise TypeError(
                f"transform is {self.transform!r}; it has to be a tuple of transforms, such as "
                "(InputNoise(1.0),)"
            )
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}; it has to be positive")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold is {self.threshold}; it has to lie in [0, 1]")
        if not 0.0 <= self.gamma < float("inf"):
            raise ValueError(f"gamma is {self.gamma}; it has to be finite and not negative")
        for name, allowed in (
            ("labels", ("hard", "soft")),
            ("view", ("perturbed", "clean")),
            ("consistency", tuple(_CONSISTENCY)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {allowed}")


@dataclass(frozen=True)
class PseudoLabels:
    """The teacher's word on a pool, for one question with `classes` answers.

    hard: [n] classes; confidence: [n] in [0, 1], the probability of `hard`; target: what the
    student learns, `hard` with −1 where the threshold left a label out, or soft [n, k] with zeros
    there. Multi-label: hard, confidence and target are [n, k], NaN marks a soft label left out, and
    `classes` is 2 (absent, present).
    """

    target: Tensor
    hard: Tensor
    confidence: Tensor
    classes: int


def label(logits: Tensor, objective: Objective) -> PseudoLabels:
    """Pseudo labels from a teacher's logits [n, k, ...], in the form the objective asks for."""
    scaled = logits / objective.temperature
    if objective.multilabel:
        soft = torch.sigmoid(scaled)
        hard, confidence = (soft >= 0.5).long(), torch.maximum(soft, 1.0 - soft)
        sure = confidence >= objective.threshold
        left_out = torch.where(sure, soft, torch.nan)
        classes = 2
    else:
        soft = torch.softmax(scaled, dim=1)
        confidence, hard = soft.max(dim=1)
        sure = losses.confident(soft, objective.threshold)
        left_out = soft * sure.unsqueeze(1)
        classes = logits.shape[1]
    target = torch.where(sure, hard, UNKNOWN) if objective.labels == "hard" else left_out
    return PseudoLabels(target, hard, confidence, classes)


def refuse_strange_modalities(objective: Objective, modalities: tuple[str, ...]) -> None:
    """Raise ValueError where T names a modality that is not among `modalities`."""
    for step in objective.transform:
        strange = set(getattr(step, "only", None) or ()) - set(modalities)
        if strange:
            raise ValueError(
                f"{type(step).__name__} acts on {sorted(strange)}; there are "
                f"{', '.join(modalities)}"
            )


def decide(logits: Tensor, *, multilabel: bool = False) -> Tensor:
    """The class with the largest logit [n, ...]; multi-label: 1 where the logit is not negative."""
    return (logits >= 0).long() if multilabel else logits.argmax(dim=1)


def student_loss(objective: Objective, transform: Transform) -> LossFunction:
    """(model, batch, stream) to l_cls(ỹ, f(T(x))) + γ l_reg(f(x), f(T(x))) for each sample, [b].

    The model is called as `model(inputs)`, and as `model(inputs, hidden)` where T acts on features.
    """
    distance = _CONSISTENCY[objective.consistency]
    axis = -1 if objective.multilabel else 1
    hidden = _acts_on_features(transform)

    def answer(logits: Tensor) -> Tensor:
        return losses.two_class(logits) if objective.multilabel else logits

    def clean(model: nn.Module, batch: Batch) -> Tensor:
        return answer(model(batch.inputs))

    def perturbed(model: nn.Module, batch: Batch, stream: Stream) -> Tensor:
        moved = transform.inputs(batch.inputs, stream)
        if not hidden:
            return answer(model(moved))
        return answer(model(moved, lambda features: transform.hidden(features, stream)))

    def taught(logits: Tensor, batch: Batch) -> Tensor:
        return losses.per_sample(pseudo_label_loss(logits, batch.target, objective, dim=axis))

    def loss(model: nn.Module, batch: Batch, stream: Stream) -> Tensor:
        if objective.gamma > 0:
            views = clean(model, batch), perturbed(model, batch, stream)
            seen = views[0] if objective.view == "clean" else views[1]
            apart = losses.per_sample(distance(*views, dim=axis))
            return taught(seen, batch) + objective.gamma * apart
        if objective.view == "clean":
            return taught(clean(model, batch), batch)
        return taught(perturbed(model, batch, stream), batch)

    return loss


def _acts_on_features(transform: Transform) -> bool:
    if isinstance(transform, Compose):
        return any(_acts_on_features(step) for step in transform.steps)
    return type(transform).hidden is not Transform.hidden


def pseudo_label_loss(logits: Tensor, target: Tensor, objective: Objective, *, dim: int) -> Tensor:
    """l_cls: cross-entropy to class numbers, KL to probabilities; 0 where a label was left out."""
    if not target.is_floating_point():
        return losses.cross_entropy(logits, target, dim=dim, mask=target != UNKNOWN)
    if objective.multilabel:
        mask = target >= 0  # NaN where a label was left out, −1 where the truth is unknown
        target = torch.where(mask, target, 0.5)
        target = torch.stack([1.0 - target, target], dim=-1)
    else:
        mask = target.sum(dim=dim) > 0
    return losses.kl_divergence(
        logits, target, temperature=objective.temperature, dim=dim, mask=mask
    )


def as_classes(labels: Tensor, like: PseudoLabels) -> Tensor:
    """Class numbers in the shape of `like.hard`; unknown stays −1. Numbers pass unchanged.

    Probabilities become the likeliest class or, multi-label, 1 where they reach 0.5.
    """
    if not labels.is_floating_point() or labels.dim() < 2:
        return labels
    if labels.shape[1:] == like.hard.shape[1:]:
        return torch.where(labels >= 0, (labels >= 0.5).long(), UNKNOWN)
    known = labels.sum(dim=1) > 0  # no row of probabilities is all zero, −1 or NaN
    return torch.where(known, labels.argmax(dim=1), UNKNOWN)


def as_target(known: Pool, like: PseudoLabels) -> Pool:
    """Samples of known truth, their labels in the form of the pseudo labels beside them."""
    labels = known.labels
    if not like.target.is_floating_point():
        return known.with_labels(as_classes(labels, like))
    if like.hard.shape == like.target.shape:
        return known.with_labels(torch.where(labels >= 0, labels.to(like.target.dtype), torch.nan))
    if labels.is_floating_point():
        return known.with_labels(labels.to(like.target.dtype))
    one_hot = nn.functional.one_hot(labels.clamp(min=0), like.classes).movedim(-1, 1)
    return known.with_labels(one_hot.to(like.target.dtype) * (labels != UNKNOWN).unsqueeze(1))
