"""The parts of placebo arms: random errors, shuffled pairs, and models of equal size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mke_theory.data.lazy_arrays import taken
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Truth
from mke_theory.method.pseudo_labels import PseudoLabels, as_classes, as_target


def random_errors(truth: Truth, pseudo: PseudoLabels, seed: int) -> Tensor:
    """The truth with exactly as many errors as the teacher makes, in places drawn at random.

    The wrong class is drawn evenly from the others. Void pixels stay −1; raises ValueError where a
    sample has no truth at all.
    """
    labels = truth.labels
    known = labels != UNKNOWN
    if not bool(known.reshape(len(known), -1).any(dim=1).all()):
        raise ValueError("the placebo of random errors needs the truth on all of D_u")
    wrong = int((pseudo.hard != labels)[known].sum())
    changed = labels.long().clone()
    drawn = _with_errors(changed[known].numpy(), wrong, pseudo.classes, seed)
    changed[known] = torch.from_numpy(drawn)
    return changed.to(labels.dtype)


def _with_errors(
    truth: NDArray[np.int64], wrong: int, classes: int, seed: int
) -> NDArray[np.int64]:
    """Labels [n] that differ from the truth in exactly `wrong` random places."""
    draw = np.random.default_rng(seed)
    labels = truth.copy()
    at = draw.choice(len(labels), size=wrong, replace=False)
    labels[at] = (labels[at] + draw.integers(1, classes, size=wrong)) % classes
    return labels


def certain(labels: Tensor, like: PseudoLabels) -> PseudoLabels:
    """Labels given with full confidence, in the form of the teacher's; none where unknown (−1)."""
    hard = as_classes(labels, like)
    hard = torch.where(hard == UNKNOWN, like.hard, hard)
    return PseudoLabels(
        as_target(labels, like), hard, torch.ones_like(like.confidence), like.classes
    )


def shuffle_pairs(pool: Pool, teacher_modalities: tuple[str, ...], seed: int) -> Pool:
    """The pool with all modalities but the teacher's taken from another sample, by permutation."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pool)))
    inputs = {
        name: x if name in teacher_modalities else taken(x, order)
        for name, x in pool.inputs.items()
    }
    return replace(pool, inputs=inputs)


def matching_width(size: Callable[[int], int], target: int, start: int) -> int:
    """The width whose `size`, which grows with it, comes nearest to `target`."""
    low, high = 1, max(start, 2)
    while size(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return low if target - size(low) < size(high) - target else high
