"""L_pl + γ L_reg: what a student minimises, as settings and as a function of a batch.

    w · mean l_cls(label, f(T(x)))  +  γ(t) · mean l_reg(g(T'(x)), f(T(x)))

The first mean counts the samples that carry a label, the second all of them. Semi-supervised
methods differ from each other, and from Multimodal Knowledge Expansion, only in the settings here
and in the modalities that teacher and student see; `ssl` lists them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Batch, Samples
from mke_theory.data.rng import Stream
from mke_theory.method import losses
from mke_theory.method.augmentation import Augmentation, augmented
from mke_theory.method.transforms import Compose, Transform
from mke_theory.training.loop import LossFunction, Moment, Weights

_CONSISTENCY = {
    "squared_l2": losses.squared_l2,
    "kl": losses.kl_consistency,
    "cross_entropy": losses.cross_entropy_consistency,
    "hard": losses.hard_consistency,
}
_IN_UNIT_INTERVAL = ("threshold", "certainty", "average_decay", "ramp")
_POSITIVE = ("temperature", "anchor_temperature")
_NOT_NEGATIVE = ("gamma", "label_weight", "adjustment")
_AT_A_TIME = 256
_LEAST_SHARE = 1e-3
"""A class that is hardly ever taught counts as this much, or its logits would run away."""

View = Literal["perturbed", "other", "clean"]


@dataclass(frozen=True)
class Objective:
    """The settings of L_pl + γ L_reg. By default a student of hard pseudo labels, and no more.

    labels: hard pseudo labels and cross-entropy, or soft ones and KL at `temperature`.
    threshold: pseudo labels of lower confidence are left out of L_pl, but count in its mean as 0.
    transform: T, its perturbations in order. view: whether L_pl sees T(x), T'(x) or x itself.
    gamma: the weight γ ≥ 0 of L_reg; consistency: its distance, "hard" being cross-entropy to the
    likeliest class. multilabel: k yes/no questions instead of one question with k answers.

    The other view, which L_reg compares T(x) with:
    other: T', its perturbations; () leaves x as it is, and "same" is T(x) again, from one pass.
    anchor: who answers there: the student, learning from both views; the student, stopped (no
    gradient); or the running average of its weights at `average_decay` (no gradient).
    anchor_temperature: its logits are divided by this; below 1 its answer is sharpened.
    certainty: samples where its confidence (at temperature 1) is lower count in L_reg as 0.

    label_weight: w ≥ 0. ramp: the share of training over which γ(t) = γ exp(−5 (1 − t/ramp)²)
    grows to γ, t being the share that is done; 0 keeps it constant.
    answers: whose weights are the result, the student's own or their running average.
    augment: changes of a sample and its label together, seen by every view (crops, flips).
    adjustment: τ ≥ 0; L_pl judges f + τ log π, π being the shares of the classes among the lessons
    (at least 0.001 each), so that f itself does without that much of the classes' frequency. With
    τ = 1 f aims at equal recall; where a model adds the evidence of m modalities, each of which
    would count π, τ = (m − 1)/m counts it once. Ref: menon2021long, section 5.1, equation 10; the
    τ of m modalities is derived here.
    """

    labels: Literal["hard", "soft"] = "hard"
    temperature: float = 1.0
    threshold: float = 0.0
    transform: tuple[Transform, ...] = ()
    view: View = "perturbed"
    gamma: float = 0.0
    consistency: Literal["squared_l2", "kl", "cross_entropy", "hard"] = "squared_l2"
    multilabel: bool = False
    other: tuple[Transform, ...] | Literal["same"] = ()
    anchor: Literal["student", "stopped", "average"] = "student"
    anchor_temperature: float = 1.0
    certainty: float = 0.0
    average_decay: float = 0.999
    label_weight: float = 1.0
    ramp: float = 0.0
    answers: Weights = "student"
    augment: tuple[Augmentation, ...] = ()
    adjustment: float = 0.0

    def __post_init__(self) -> None:
        _refuse_bare("transform", self.transform)
        if not isinstance(self.augment, tuple) or not all(
            isinstance(step, Augmentation) for step in self.augment
        ):
            raise TypeError(
                f"augment is {self.augment!r}; it has to be a tuple such as (CropFlip(),)"
            )
        if self.other != "same":
            _refuse_bare("other", self.other)
        elif self.anchor == "average":
            raise ValueError(
                "other is 'same', one pass of the student; its average answers in a pass of its "
                "own: give other as a tuple of transforms"
            )
        for name in _POSITIVE:
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be positive")
        for name in _IN_UNIT_INTERVAL:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to lie in [0, 1]")
        for name in _NOT_NEGATIVE:
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it has to be finite and not negative"
                )
        if self.adjustment > 0 and self.multilabel:
            raise ValueError("adjustment is by the shares of classes; questions have none")
        for name, allowed in (
            ("labels", ("hard", "soft")),
            ("view", get_args(View)),
            ("consistency", tuple(_CONSISTENCY)),
            ("anchor", ("student", "stopped", "average")),
            ("answers", get_args(Weights)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {allowed}")

    @property
    def kept_average(self) -> float | None:
        """The decay of the running average that training has to keep; None where it needs none."""
        asked = (self.anchor == "average" and self.gamma > 0) or self.answers == "average"
        return self.average_decay if asked else None

    def gamma_at(self, progress: float | Tensor) -> float | Tensor:
        """γ(t) = γ exp(−5 (1 − min(t/ramp, 1))²) at the share t of training; γ where ramp is 0.

        Ref: laine2017temporal, appendix A.
        """
        if self.ramp == 0.0:
            return self.gamma
        short = 1.0 - (torch.as_tensor(progress, dtype=torch.float64) / self.ramp).clamp(max=1.0)
        return self.gamma * torch.exp(-5.0 * short.square())


def _refuse_bare(name: str, steps: object) -> None:
    if not isinstance(steps, tuple) or not all(isinstance(step, Transform) for step in steps):
        raise TypeError(
            f"{name} is {steps!r}; it has to be a tuple of transforms, such as (InputNoise(1.0),)"
        )


def refuse_strange_modalities(objective: Objective, modalities: tuple[str, ...]) -> None:
    """Raise ValueError where T or T' names a modality that is not among `modalities`."""
    refuse_strange((*objective.transform, *_steps_of(objective)), modalities)


def refuse_strange(steps: Sequence[Transform | Augmentation], modalities: tuple[str, ...]) -> None:
    """Raise ValueError where a step names a modality that is not among `modalities`."""
    for step in steps:
        strange = set(getattr(step, "only", None) or ()) - set(modalities)
        if strange:
            raise ValueError(
                f"{type(step).__name__} acts on {sorted(strange)}; there are "
                f"{', '.join(modalities)}"
            )


def loss_on(objective: Objective, lessons: Samples) -> LossFunction:
    """`student_loss` with T, T' and the classes' shares as the lessons have them."""
    shares = shares_of(lessons) if objective.adjustment > 0 else None
    return student_loss(objective, *transforms_on(objective, lessons), shares=shares)


def shares_of(lessons: Samples) -> Tensor:
    """The share of each class among the labels, [k] in [0, 1], from numbers or probabilities.

    Raises ValueError where no sample has a label.
    """
    total = torch.zeros(0, dtype=torch.float64)
    for start in range(0, len(lessons), _AT_A_TIME):
        target = lessons[slice(start, start + _AT_A_TIME)].target
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
        raise ValueError("no lesson has a label, so classes have no shares; set adjustment to 0")
    return total / total.sum()


def transforms_on(objective: Objective, lessons: Samples) -> tuple[Compose, Compose]:
    """T and T' at scales measured on the lessons."""
    steps = objective.transform, _steps_of(objective)
    first, second = (Compose(chosen).calibrated(lessons) for chosen in steps)
    return first, second


def student_loss(
    objective: Objective,
    transform: Transform,
    other: Transform | None = None,
    shares: Tensor | None = None,
) -> LossFunction:
    """(model, batch, stream, moment) to w l_cls(ỹ, f(T(x))) + γ(t) l_reg(g(T'(x)), f(T(x))), [b].

    `transform` is T and `other` is T', as the objective states them but with their scales measured;
    `shares` [k] are π for an `adjustment` above 0. `loss_on` measures all three. T' is not used
    where the objective's is "same". The first term is 0 for a sample without a label. Models are
    called as `model(inputs)`, and as `model(inputs, hidden)` where a transform acts on features; no
    value is looked at, so that the loss can be vmapped.
    """
    axis = -1 if objective.multilabel else 1
    other = Compose(_steps_of(objective)) if other is None else other
    views: dict[View, Transform] = {"perturbed": transform, "other": other, "clean": Compose()}
    twin: dict[View, View] = {}
    if objective.other == "same":
        twin = {"other": "perturbed"}
    elif isinstance(other, Compose) and not other.steps:
        twin = {"clean": "other"}

    def answer(model: nn.Module, view: View, batch: Batch, stream: Stream) -> Tensor:
        logits = _through(views[view], model, batch, stream)
        return losses.two_class(logits) if objective.multilabel else logits

    if (shares is None) != (objective.adjustment == 0):
        raise ValueError(
            f"adjustment is {objective.adjustment}, so the classes' shares are "
            + ("needed" if shares is None else "of no use")
        )
    prior = None if shares is None else log_prior(shares)

    def loss(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        batch = augmented(batch, objective.augment, stream)
        seen: dict[View, Tensor] = {}

        def student(view: View) -> Tensor:
            view = twin.get(view, view)
            if view not in seen:
                seen[view] = answer(model, view, batch, stream)
            return seen[view]

        def taught(logits: Tensor) -> Tensor:
            if prior is not None:
                logits = logits + objective.adjustment * along_classes(prior, logits)
            values = pseudo_label_loss(logits, batch.target, objective, dim=axis)
            return objective.label_weight * losses.per_sample(values)

        if objective.gamma == 0:
            return taught(student(objective.view))
        if objective.anchor == "average":
            with torch.no_grad():
                anchor = answer(_averaged(moment), "other", batch, stream)
        else:
            anchor = student("other")
            anchor = anchor.detach() if objective.anchor == "stopped" else anchor
        values = consistency_loss(anchor, student("perturbed"), objective, dim=axis)
        apart = losses.per_sample(values)
        return taught(student(objective.view)) + objective.gamma_at(moment.progress) * apart

    return loss


def log_prior(shares: Tensor) -> Tensor:
    """Log π of the classes' shares [k], of which none counts as less than 0.001."""
    return shares.clamp(min=_LEAST_SHARE).log()


def along_classes(prior: Tensor, logits: Tensor) -> Tensor:
    """The classes' numbers [k] beside logits [n, k', ...]; classes never taught have the least."""
    rest = logits.shape[1] - len(prior)
    padded = nn.functional.pad(prior, (0, rest), value=math.log(_LEAST_SHARE))
    return padded.to(logits).reshape(-1, *[1] * (logits.dim() - 2))


def _through(transform: Transform, model: nn.Module, batch: Batch, stream: Stream) -> Tensor:
    inputs = transform.inputs(batch.inputs, stream)
    if not _acts_on_features(transform):
        return model(inputs)
    return model(inputs, lambda features: transform.hidden(features, stream))


def _acts_on_features(transform: Transform) -> bool:
    if isinstance(transform, Compose):
        return any(_acts_on_features(step) for step in transform.steps)
    return type(transform).hidden is not Transform.hidden


def _averaged(moment: Moment) -> nn.Module:
    if moment.average is None:
        raise ValueError(
            "anchor is 'average', but no running average is kept; "
            "train with fit(average_decay=objective.kept_average)"
        )
    return moment.average


def _steps_of(objective: Objective) -> tuple[Transform, ...]:
    """The steps of a T' of its own."""
    return objective.other if isinstance(objective.other, tuple) else ()


def consistency_loss(anchor: Tensor, learning: Tensor, objective: Objective, *, dim: int) -> Tensor:
    """l_reg of two views' logits; 0 where the anchor is less confident than `certainty`."""
    mask = None
    if objective.certainty > 0:
        mask = losses.confident(torch.softmax(anchor, dim), objective.certainty, dim=dim)
    if objective.anchor_temperature != 1:
        anchor = anchor / objective.anchor_temperature
    return _CONSISTENCY[objective.consistency](anchor, learning, dim=dim, mask=mask)


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
