"""The settings of L_pl + γ L_reg, in the parts in which the paper has them.

    w · mean l_cls(label, f(T(x)))  +  γ(t) · mean l_reg(g(T'(x)), f(T(x)))

`PseudoLabelTerm` is the first term and `Consistency` the second; `Anchor` is g and its view T'(x).
Multimodal Knowledge Expansion needs the first two. Semi-supervised methods differ from each other,
and from it, only in these settings and in the modalities that teacher and student see; `relatives`
lists them. The function itself is in `student_loss`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from mke_theory.method.augmentation import Augmentation
from mke_theory.method.ranges import refuse_beyond, refuse_other_than
from mke_theory.method.transforms import Transform, acting
from mke_theory.training.loop import Weights

View = Literal["perturbed", "other", "clean"]
Distance = Literal["squared_l2", "kl", "cross_entropy", "hard"]
Source = Literal["student", "stopped", "average"]


def _refuse_bare(name: str, steps: object) -> None:
    if not isinstance(steps, tuple) or not all(isinstance(step, Transform) for step in steps):
        raise TypeError(
            f"{name} is {steps!r}; it has to be a tuple of transforms, such as (InputNoise(1.0),)"
        )


@dataclass(frozen=True)
class PseudoLabelTerm:
    """L_pl: by default cross-entropy to hard labels on T(x).

    kind: hard labels and cross-entropy, or soft ones and KL at `temperature` > 0.
    threshold: labels of lower confidence, in [0, 1], are left out, but count in the mean as 0.
    view: L_pl sees T(x), T'(x) or x itself. weight: w ≥ 0.
    """

    kind: Literal["hard", "soft"] = "hard"
    temperature: float = 1.0
    threshold: float = 0.0
    view: View = "perturbed"
    weight: float = 1.0

    def __post_init__(self) -> None:
        refuse_beyond(self, positive=("temperature",), share=("threshold",), least_0=("weight",))
        refuse_other_than(self, kind=("hard", "soft"), view=get_args(View))


@dataclass(frozen=True)
class Consistency:
    """γ L_reg: by default γ is 0, and there is none.

    gamma: the weight γ ≥ 0. distance: l_reg, "hard" being cross-entropy to the likeliest class.
    certainty: samples where the anchor's confidence (at temperature 1) is lower count as 0.
    ramp: the share of training over which γ(t) = γ exp(−5 (1 − t/ramp)²) grows to γ, t being the
    share that is done; 0 keeps it constant.
    """

    gamma: float = 0.0
    distance: Distance = "squared_l2"
    certainty: float = 0.0
    ramp: float = 0.0

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("certainty", "ramp"), least_0=("gamma",))
        refuse_other_than(self, distance=get_args(Distance))

    def gamma_at(self, progress: float | Tensor) -> float | Tensor:
        """γ(t) = γ exp(−5 (1 − min(t/ramp, 1))²) at the share t of training; γ where ramp is 0.

        Ref: laine2017temporal, appendix A.
        """
        if self.ramp == 0.0:
            return self.gamma
        short = 1.0 - (torch.as_tensor(progress, dtype=torch.float64) / self.ramp).clamp(max=1.0)
        return self.gamma * torch.exp(-5.0 * short.square())


@dataclass(frozen=True)
class Anchor:
    """g(T'(x)), which L_reg compares f(T(x)) with: by default the student's logits for x itself.

    transform: T', its perturbations; () leaves x as it is, and "same" is T(x) again, from one pass.
    source: g is the student, learning from both views; the student, stopped (no gradient); or the
    running average of its weights at `decay` (no gradient).
    temperature: its logits are divided by this; below 1 its prediction is sharpened.
    """

    transform: tuple[Transform, ...] | Literal["same"] = ()
    source: Source = "student"
    temperature: float = 1.0
    decay: float = 0.999

    def __post_init__(self) -> None:
        if self.transform != "same":
            _refuse_bare("the anchor's transform", self.transform)
        elif self.source == "average":
            raise ValueError(
                "the anchor's transform is 'same', one pass of the student; its average predicts "
                "in a pass of its own: give a tuple of transforms"
            )
        refuse_beyond(self, positive=("temperature",), share=("decay",))
        refuse_other_than(self, source=get_args(Source))

    @property
    def steps(self) -> tuple[Transform, ...]:
        """The steps of a T' of its own."""
        return self.transform if isinstance(self.transform, tuple) else ()


@dataclass(frozen=True, repr=False)
class Objective:
    """L_pl + γ L_reg. By default a student of hard pseudo labels, and no more.

    >>> Objective(consistency=Consistency(gamma=1.0))
    Objective(consistency=Consistency(gamma=1.0, distance='squared_l2', certainty=0.0, ramp=0.0))

    transform: T, its perturbations in order. pseudo_labels, consistency, anchor: see there.
    adjustment: τ ≥ 0; L_pl judges f + τ log π, π being the shares of the classes among the labels
    (at least 0.001 each), so that f itself does without that much of the classes' frequency. With
    τ = 1 f aims at equal recall; where a model adds the evidence of m modalities, each of which
    would count π, τ = (m − 1)/m counts it once. Ref: menon2021long, section 5.1, equation 10; the
    τ of m modalities is derived here.
    multilabel: k yes/no questions instead of one question with k answers.
    augment: changes of a sample and its label together, seen by every view (crops, mirror images).
    answers: whose weights are the result, the student's own or their running average.

    Raises ValueError or TypeError where a setting is out of its range.
    """

    transform: tuple[Transform, ...] = ()
    pseudo_labels: PseudoLabelTerm = PseudoLabelTerm()
    consistency: Consistency = Consistency()
    anchor: Anchor = Anchor()
    adjustment: float = 0.0
    multilabel: bool = False
    augment: tuple[Augmentation, ...] = ()
    answers: Weights = "student"

    def __post_init__(self) -> None:
        _refuse_bare("transform", self.transform)
        for name, kind in _PARTS.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(
                    f"{name} is {getattr(self, name)!r}; it has to be a {kind.__name__}(...)"
                )
        if not isinstance(self.augment, tuple) or not all(
            isinstance(step, Augmentation) for step in self.augment
        ):
            raise TypeError(
                f"augment is {self.augment!r}; it has to be a tuple such as (CropFlip(),)"
            )
        refuse_beyond(self, least_0=("adjustment",))
        refuse_other_than(self, answers=get_args(Weights))
        if self.adjustment > 0 and self.multilabel:
            raise ValueError("adjustment is by the shares of classes; questions have none")

    def __repr__(self) -> str:
        """The settings that are not the default ones."""
        default = type(self)
        changed = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(default, f.name)
        ]
        return f"Objective({', '.join(changed)})"

    @property
    def kept_average(self) -> float | None:
        """The decay of the running average that training has to keep; None where it needs none."""
        anchored = self.anchor.source == "average" and self.consistency.gamma > 0
        return self.anchor.decay if anchored or self.answers == "average" else None


_PARTS = {"pseudo_labels": PseudoLabelTerm, "consistency": Consistency, "anchor": Anchor}


def acting_on(objective: Objective, modalities: tuple[str, ...]) -> Objective:
    """The objective with those parts of T and T' that can act on the modalities of a student."""
    anchor = objective.anchor
    if anchor.transform != "same":
        anchor = replace(anchor, transform=acting(anchor.transform, modalities))
    return replace(objective, transform=acting(objective.transform, modalities), anchor=anchor)


def refuse_strange_modalities(objective: Objective, modalities: tuple[str, ...]) -> None:
    """Raise ValueError where T or T' names a modality that is not among `modalities`."""
    refuse_strange((*objective.transform, *objective.anchor.steps), modalities)


def refuse_strange(steps: Sequence[Transform | Augmentation], modalities: tuple[str, ...]) -> None:
    """Raise ValueError where a step names a modality that is not among `modalities`."""
    for step in steps:
        strange = set(getattr(step, "only", None) or ()) - set(modalities)
        if strange:
            raise ValueError(
                f"{type(step).__name__} acts on {sorted(strange)}; there are "
                f"{', '.join(modalities)}"
            )
