"""A teacher known by its answers alone, as a value: what is left of a network that is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mke_theory.data.answers import LEAST, WITHIN, silent
from mke_theory.data.pool import Pool, is_present
from mke_theory.models.known_answers import KnownAnswers


@dataclass(frozen=True)
class Answers:
    """A teacher known by its answers alone: logits on D_u [n, k] and, if there are any, on D_l.

    `labelled` [n_l, k] are answers for D_l of a model that was not trained on it (cross-fitted).
    Both are [n, k, h, w] where every pixel has a class, and [n, q] for q questions. A row of NaN is
    no answer: Algorithm 1 learns nothing from it, and evidence students need none where a sample
    lacks the teacher's modality.

    Raises TypeError where they are no tensors, ValueError where another number is not finite or
    shapes do not fit.
    """

    unlabelled: Tensor
    labelled: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("unlabelled", "labelled"):
            x = getattr(self, name)
            if x is None:
                continue
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"{name} answers are a {type(x).__name__}; give a tensor: torch.as_tensor(x)"
                )
            if x.ndim not in (2, 4) or x.shape[1] < 1:
                raise ValueError(
                    f"{name} answers are {tuple(x.shape)}; they have to be [n, k], or "
                    "[n, k, h, w] for pixels, or [n, q] for questions"
                )
            if bool(silent(f"{name} answers", x).all()):
                raise ValueError(f"{name} answers are NaN in every row; give those that there are")
            if _are_probabilities(x):
                raise ValueError(
                    f"{name} answers are probabilities of classes; Answers takes logits: "
                    "Answers.of_probabilities(p)"
                )
        if self.labelled is not None and self.labelled.shape[1:] != self.unlabelled.shape[1:]:
            raise ValueError(
                f"answers on D_l are {tuple(self.labelled.shape)}, on D_u "
                f"{tuple(self.unlabelled.shape)}; but for n they have to be equal"
            )

    @classmethod
    def of_probabilities(
        cls, unlabelled: Tensor | NDArray[Any], labelled: Tensor | NDArray[Any] | None = None
    ) -> Answers:
        """Answers given as probabilities of classes; ValueError where they do not sum to 1 ± 1e-3.

        Of several questions give logits.
        """
        parts = [None if x is None else _logarithms(x) for x in (unlabelled, labelled)]
        assert parts[0] is not None
        return cls(parts[0], parts[1])

    def asked_on(self, unlabelled: Pool) -> tuple[KnownAnswers, Pool]:
        """The teacher as a model, and D_u with the answers that it reads there.

        Raises ValueError where D_u has another number of samples than the answers, or asks several
        questions and the answers are probabilities.
        """
        if len(self.unlabelled) != len(unlabelled):
            raise ValueError(
                f"there are {len(self.unlabelled)} answers for {len(unlabelled)} samples of D_u"
            )
        x = self.unlabelled[is_present(self.unlabelled)]
        if unlabelled.labels.ndim == 2 and 0 <= float(x.min()) <= float(x.max()) <= 1:
            raise ValueError(
                "unlabelled answers lie in [0, 1], so that they are probabilities; of several "
                "questions Answers takes log odds: Answers(torch.logit(p, eps=1e-6))"
            )
        carrying = replace(unlabelled, answers=self.unlabelled.detach().cpu())
        return KnownAnswers.on(carrying), carrying


def _are_probabilities(x: Tensor) -> bool:
    """True where numbers are not below 0 and sum to 1 over several classes, as no logits do."""
    x = x[is_present(x)]
    total = x.double().sum(1)
    apart = float((total - 1).abs().max())  # rounding may put a probability a little below 0
    return x.shape[1] > 1 and float(x.min()) >= -WITHIN and apart <= WITHIN


def _logarithms(given: Tensor | NDArray[Any]) -> Tensor:
    x = torch.as_tensor(np.asarray(given), dtype=torch.float64)
    heard = x[is_present(x)] if x.ndim in (2, 4) else x[:0]
    if len(heard) == 0 or not (
        float(heard.min()) >= 0 and float((heard.sum(1) - 1).abs().max()) <= WITHIN
    ):
        raise ValueError(
            "probabilities are [n, k] or [n, k, h, w], at least 0, and sum to 1 over the classes; "
            "of several questions give logits: Answers(torch.logit(p, eps=1e-6))"
        )
    return x.clamp(min=LEAST).log()
