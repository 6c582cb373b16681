"""Pseudo labels: what a teacher says about a pool, and the truth in the form of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN
from mke_theory.method import losses
from mke_theory.method.objective import Objective


@dataclass(frozen=True)
class PseudoLabels:
    """The teacher's word on a pool, for one question with `classes` answers.

    hard: [n] classes; confidence: [n] in [0, 1], the probability of `hard`; target: what the
    student learns, `hard` with −1 where the threshold left a label out, or soft [n, k] with zeros
    there. Dense labels are kept compactly, classes in the least integers and soft ones in half
    precision. Multi-label: hard, confidence and target are [n, k], NaN marks a soft label left
    out, and `classes` is 2 (absent, present).
    """

    target: Tensor
    hard: Tensor
    confidence: Tensor
    classes: int


def label(logits: Tensor, objective: Objective) -> PseudoLabels:
    """Pseudo labels from a teacher's logits [n, k, ...], in the form the objective asks for."""
    scaled = logits / objective.pseudo_labels.temperature
    if objective.multilabel:
        soft = torch.sigmoid(scaled)
        hard, confidence = (soft >= 0.5).long(), torch.maximum(soft, 1.0 - soft)
        sure = confidence >= objective.pseudo_labels.threshold
        left_out = torch.where(sure, soft, torch.nan)
        classes = 2
    else:
        soft = torch.softmax(scaled, dim=1)
        confidence, hard = soft.max(dim=1)
        sure = losses.confident(soft, objective.pseudo_labels.threshold)
        left_out = soft * sure.unsqueeze(1)
        classes = logits.shape[1]
    if logits.dim() > 2:
        hard, left_out = hard.to(_least_integers(classes)), left_out.half()
    target = (
        torch.where(sure, hard, UNKNOWN) if objective.pseudo_labels.kind == "hard" else left_out
    )
    return PseudoLabels(target, hard, confidence, classes)


def together(parts: Sequence[PseudoLabels]) -> PseudoLabels:
    """The pseudo labels of several pools as those of one."""
    target, hard, confidence = (
        torch.cat([getattr(part, name) for part in parts])
        for name in ("target", "hard", "confidence")
    )
    return PseudoLabels(target, hard, confidence, parts[0].classes)


def without(labels: PseudoLabels, rows: Tensor) -> PseudoLabels:
    """The labels, of which a student learns none where `rows` [n] is true."""
    if not labels.target.is_floating_point():
        nothing: float = UNKNOWN
    else:
        nothing = torch.nan if labels.target.shape == labels.hard.shape else 0.0
    at = rows.reshape(-1, *[1] * (labels.target.ndim - 1))
    return replace(labels, target=torch.where(at, nothing, labels.target))


def decide(logits: Tensor, *, multilabel: bool = False) -> Tensor:
    """The class with the largest logit [n, ...]; multi-label: 1 where the logit is not negative."""
    return (logits >= 0).long() if multilabel else logits.argmax(dim=1)


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


def as_target(labels: Tensor, like: PseudoLabels) -> Tensor:
    """True labels in the form of the pseudo labels beside them: numbers, or probabilities.

    Where the truth is unknown there is −1, zeros, or (multi-label probabilities) NaN.
    """
    if not like.target.is_floating_point():
        return as_classes(labels, like)
    if like.hard.shape == like.target.shape:
        return torch.where(labels >= 0, labels.to(like.target.dtype), torch.nan)
    if labels.is_floating_point():
        return labels.to(like.target.dtype)
    one_hot = nn.functional.one_hot(labels.clamp(min=0).long(), like.classes).movedim(-1, 1)
    return one_hot.to(like.target.dtype) * (labels != UNKNOWN).unsqueeze(1)


def _least_integers(classes: int) -> torch.dtype:
    return torch.int8 if classes <= torch.iinfo(torch.int8).max else torch.int16
