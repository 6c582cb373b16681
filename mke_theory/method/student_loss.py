"""The loss of students, and of teachers without T and L_reg, as a function of a batch.

    w · mean l_cls(label, f(T(x)))  +  γ(t) · mean l_reg(g(T'(x)), f(T(x)))

The first mean counts the samples that carry a label, the second all of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Batch, Pool, Samples
from mke_theory.data.rng import Stream
from mke_theory.method import losses
from mke_theory.method.augmentation import augmented
from mke_theory.method.objective import Objective, View
from mke_theory.method.transforms import Compose, Transform
from mke_theory.training.loop import LossFunction, Moment

_DISTANCES = {
    "squared_l2": losses.squared_l2,
    "kl": losses.kl_consistency,
    "cross_entropy": losses.cross_entropy_consistency,
    "hard": losses.hard_consistency,
}
_AT_A_TIME = 256
_LEAST_SHARE = 1e-3
"""A class that is hardly ever a label counts as this much, or its logits would run away."""


def loss_on(objective: Objective, samples: Samples) -> LossFunction:
    """`student_loss` with T, T' and the classes' shares as the samples have them."""
    shares = shares_of(samples) if objective.adjustment > 0 else None
    transforms = transforms_on(objective, samples)
    return student_loss(objective, *transforms, shares, complete=is_complete(samples))


def is_complete(samples: Samples) -> bool:
    """True where every label is known: class numbers in memory, none of which is −1."""
    if not isinstance(samples, Pool) or samples.labels.is_floating_point():
        return False
    return not bool((samples.labels == UNKNOWN).any())


def shares_of(samples: Samples) -> Tensor:
    """The share of each class among the labels, [k] in [0, 1], from numbers or probabilities.

    Raises ValueError where no sample has a label.
    """
    total = torch.zeros(0, dtype=torch.float64)
    for start in range(0, len(samples), _AT_A_TIME):
        target = samples[slice(start, start + _AT_A_TIME)].target
        if target.is_floating_point():
            known = target.sum(dim=1, keepdim=True) > 0  # zeros, −1 and NaN mark what is unknown
            given = torch.where(known, target, 0.0).double()
            counts = given.sum(dim=[i for i in range(target.dim()) if i != 1])
        else:
            counts = torch.bincount(target[target != UNKNOWN]).double()
        longer = max(len(total), len(counts))
        total, counts = (nn.functional.pad(x, (0, longer - len(x))) for x in (total, counts))
        total = total + counts
    if not float(total.sum()) > 0:
        raise ValueError("no sample has a label, so classes have no shares; set adjustment to 0")
    return total / total.sum()


def transforms_on(objective: Objective, samples: Samples) -> tuple[Compose, Compose]:
    """T and T' at scales measured on the samples."""
    steps = objective.transform, objective.anchor.steps
    first, second = (Compose(chosen).calibrated(samples) for chosen in steps)
    return first, second


def student_loss(
    objective: Objective,
    transform: Transform,
    other: Transform | None = None,
    shares: Tensor | None = None,
    *,
    complete: bool = False,
) -> LossFunction:
    """(model, batch, stream, moment) to w l_cls(ỹ, f(T(x))) + γ(t) l_reg(g(T'(x)), f(T(x))), [b].

    `transform` is T and `other` is T', as the objective states them but with their scales measured;
    `shares` [k] are π for an `adjustment` above 0. `loss_on` measures all three. T' is not used
    where the objective's is "same". The first term is 0 for a sample without a label; `complete`
    promises that every sample has one, which saves looking for those that have none. Models are
    called as `model(inputs)`, and as `model(inputs, hidden)` where a transform acts on features; no
    value is looked at, so that the loss can be vmapped.
    """
    axis = -1 if objective.multilabel else 1
    other = Compose(objective.anchor.steps) if other is None else other
    views: dict[View, Transform] = {"perturbed": transform, "other": other, "clean": Compose()}
    twin: dict[View, View] = {}
    if objective.anchor.transform == "same":
        twin = {"other": "perturbed"}
    elif isinstance(other, Compose) and not other.steps:
        twin = {"clean": "other"}
    on_features = {view: _acts_on_features(transform) for view, transform in views.items()}

    def answer(model: nn.Module, view: View, batch: Batch, stream: Stream) -> Tensor:
        inputs, hidden = views[view].inputs(batch.inputs, stream), views[view].hidden
        if on_features[view]:
            logits = model(inputs, lambda features: hidden(features, stream))
        else:
            logits = model(inputs)
        return losses.two_class(logits) if objective.multilabel else logits

    if (shares is None) != (objective.adjustment == 0):
        raise ValueError(
            f"adjustment is {objective.adjustment}, so the classes' shares are "
            + ("needed" if shares is None else "of no use")
        )
    prior = None if shares is None else log_prior(shares)
    labelled_view = twin.get(objective.pseudo_labels.view, objective.pseudo_labels.view)
    weight = objective.pseudo_labels.weight
    all_known = complete and not objective.augment  # a changed sample may have lost its label

    def on_labels(logits: Tensor, target: Tensor) -> Tensor:
        if prior is not None:
            logits = logits + objective.adjustment * along_classes(prior, logits)
        values = losses.per_sample(
            pseudo_label_loss(logits, target, objective, dim=axis, complete=all_known)
        )
        return values if weight == 1 else weight * values

    def loss(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        if objective.augment:
            batch = augmented(batch, objective.augment, stream)
        if objective.consistency.gamma == 0:
            return on_labels(answer(model, labelled_view, batch, stream), batch.target)
        seen: dict[View, Tensor] = {}

        def student(view: View) -> Tensor:
            view = twin.get(view, view)
            if view not in seen:
                seen[view] = answer(model, view, batch, stream)
            return seen[view]

        if objective.anchor.source == "average":
            with torch.no_grad():
                anchor = answer(_averaged(moment), "other", batch, stream)
        else:
            anchor = student("other")
            anchor = anchor.detach() if objective.anchor.source == "stopped" else anchor
        values = consistency_loss(anchor, student("perturbed"), objective, dim=axis)
        apart = losses.per_sample(values)
        gamma = objective.consistency.gamma_at(moment.progress)
        return on_labels(student(objective.pseudo_labels.view), batch.target) + gamma * apart

    return loss


def log_prior(shares: Tensor) -> Tensor:
    """Log π of the classes' shares [k], of which none counts as less than 0.001."""
    return shares.clamp(min=_LEAST_SHARE).log()


def along_classes(prior: Tensor, logits: Tensor) -> Tensor:
    """The classes' numbers [k] beside logits [n, k', ...]; those without labels have the least."""
    rest = logits.shape[1] - len(prior)
    padded = nn.functional.pad(prior, (0, rest), value=math.log(_LEAST_SHARE))
    return padded.to(logits).reshape(-1, *[1] * (logits.dim() - 2))


def _acts_on_features(transform: Transform) -> bool:
    if isinstance(transform, Compose):
        return any(_acts_on_features(step) for step in transform.steps)
    return type(transform).hidden is not Transform.hidden


def _averaged(moment: Moment) -> nn.Module:
    if moment.average is None:
        raise ValueError(
            "the anchor is the running average, but no running average is kept; "
            "train with fit(average_decay=objective.kept_average)"
        )
    return moment.average


def consistency_loss(anchor: Tensor, learning: Tensor, objective: Objective, *, dim: int) -> Tensor:
    """l_reg of two views' logits; 0 where the anchor is less confident than `certainty`."""
    mask = None
    if objective.consistency.certainty > 0:
        certainty = objective.consistency.certainty
        mask = losses.confident(torch.softmax(anchor, dim), certainty, dim=dim)
    if objective.anchor.temperature != 1:
        anchor = anchor / objective.anchor.temperature
    return _DISTANCES[objective.consistency.distance](anchor, learning, dim=dim, mask=mask)


def pseudo_label_loss(
    logits: Tensor, target: Tensor, objective: Objective, *, dim: int, complete: bool = False
) -> Tensor:
    """l_cls: cross-entropy to class numbers, KL to probabilities; 0 where a label was left out.

    `complete` promises that no class number was.
    """
    if not target.is_floating_point():
        mask = None if complete else target != UNKNOWN
        return losses.cross_entropy(logits, target, dim=dim, mask=mask)
    if objective.multilabel:
        mask = target >= 0  # NaN where a label was left out, −1 where the truth is unknown
        target = torch.where(mask, target, 0.5)
        target = torch.stack([1.0 - target, target], dim=-1)
    else:
        mask = target.sum(dim=dim) > 0
    return losses.kl_divergence(
        logits, target, temperature=objective.pseudo_labels.temperature, dim=dim, mask=mask
    )
