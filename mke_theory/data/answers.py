"""A teacher that is known by its answers alone: the forms that answers may have, and their checks.

    one class a sample      [n, k]          logits, or probabilities that sum to 1 over the classes
    a class for each pixel  [n, k, h, w]    the same at every pixel
    several questions       [n, q]          log odds of yes, or probabilities in [0, 1]

A row is a sample, in the order of its part. A row of NaN is no answer: it is allowed where the
sample lacks the teacher's modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.pool import Pool, is_present

LEAST = 1e-6
"""Probabilities count as at least this much: none is ever quite 0."""
WITHIN = 1e-3
"""Probabilities sum to 1 up to this much, and are as far below 0 or above 1 at most; those in half
precision err by half of it."""
ALIKE = 0.05
"""Rows whose sums differ by less than this share are no logits: percentages, rounded perhaps."""


def as_logits(name: str, values: Tensor | NDArray[Any], *, multilabel: bool = False) -> Tensor:
    """Answers as logits, in single precision, or in half where they came so.

    Numbers from 0 on that sum to 1 over the classes are probabilities, and become log
    probabilities; all others are logits and stay as they are. Of several questions, numbers in
    [0, 1] are probabilities and become log odds. Rounding may put a probability 1e-3 outside.

    Raises ValueError where they have another form, a number is infinite, a row is NaN in part, or
    they are from 0 on and sum to something else than 1: percentages, votes, or a class left out;
    for questions, where they are from 0 on and go beyond 1.
    """
    x = _numbers(name, values)
    refuse_form(name, x)
    if x.dtype != torch.float16:
        x = x.float()
    heard = ~silent(name, x)
    if not bool(heard.any()):
        raise ValueError(f"{name} has no answer at all: every row is NaN")
    some = x if bool(heard.all()) else x[heard]
    low, high = float(some.min()), float(some.max())
    if multilabel:
        return torch.logit(x.float(), eps=LEAST) if _in_0_to_1(name, low, high) else x
    if low >= -WITHIN and _sum_to_one(name, some):
        return x.float().clamp(min=LEAST).log_()
    return x


def _numbers(name: str, values: Tensor | NDArray[Any]) -> Tensor:
    """The answers as a tensor; ValueError where they are no real numbers."""
    if isinstance(values, Tensor):
        x = values.detach().cpu()
    else:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} are {array.dtype}; answers have to be real numbers")
        native = array.dtype.newbyteorder("=")
        x = torch.from_numpy(np.require(array, native, ["C", "W"]))  # torch wants no other kind
    if x.is_complex():
        raise ValueError(f"{name} are {x.dtype}; answers have to be real numbers")
    return x


def refuse_form(name: str, x: Tensor) -> None:
    """Raise ValueError where answers are no table [n, k] or maps [n, k, h, w]."""
    if x.ndim == 1:
        raise ValueError(
            f"{name} are {tuple(x.shape)}; they have to be [n, k], a number a class: classes as "
            "they are become np.eye(k)[classes]"
        )
    if x.ndim not in (2, 4) or x.numel() == 0:
        raise ValueError(
            f"{name} are {tuple(x.shape)}; they have to be [n, k], or [n, k, h, w] for pixels, or "
            "[n, q] for questions"
        )


def silent(name: str, x: Tensor | Stored) -> Tensor:
    """True [n] where a row is no answer: NaN throughout.

    Raises ValueError for an infinite number, or a row that is NaN in part.
    """
    parts, done = [], 0
    for part in x.parts() if isinstance(x, Stored) else x.split(256):
        flat = part.reshape(len(part), -1)
        nan = torch.isnan(flat)
        absent = nan.all(dim=1)
        for wrong, what, remedy in (
            (torch.isinf(flat).any(dim=1), "an infinite number", "clip it: np.clip(x, -20, 20)"),
            (nan.any(dim=1) & ~absent, "NaN", "NaN throughout a row alone is no answer"),
        ):
            if bool(wrong.any()):
                raise ValueError(
                    f"{name} have {what} in row {done + int(wrong.nonzero()[0])}; {remedy}"
                )
        parts.append(absent)
        done += len(part)
    return torch.cat(parts)


def _in_0_to_1(name: str, low: float, high: float) -> bool:
    """True for probabilities of yes, false for log odds, some of which are below 0."""
    if low < -WITHIN:
        return False
    if high > 1 + WITHIN:
        raise ValueError(
            f"{name} are numbers from {low:.4g} to {high:.4g}; answers to questions are "
            "probabilities in [0, 1] (percentages: p / 100) or log odds, which are below 0 where "
            "the answer is no. If these are log odds that all say yes, give 1 / (1 + np.exp(-x))"
        )
    return True


def _sum_to_one(name: str, some: Tensor) -> bool:
    """True for probabilities of classes, false for logits that happen to be above 0."""
    total = some.float().sum(dim=1)
    low, high = float(total.min()), float(total.max())
    if max(abs(low - 1), abs(high - 1)) <= WITHIN:
        return True
    if float(some.min()) < 0:
        return False
    alike = high - low <= ALIKE * high  # logits do not sum to one number in every row
    if alike or float(some.max()) <= 1 or _whole(some):
        raise ValueError(
            f"{name} are numbers from 0 on that sum to {low:.4g} to {high:.4g} over the classes; "
            "probabilities sum to 1: p / p.sum(1, keepdims=True), with a column for every class. "
            "For logits of this kind take the mean of each row off"
        )
    return False


def _whole(some: Tensor) -> bool:
    """True where all numbers are whole, as votes and rounded percentages are."""
    return all(bool((part == part.round()).all()) for part in some.float().split(256))


def refuse_answers(part: str, pool: Pool, alpha: Sequence[str], classes: int) -> None:
    """Raise ValueError where the answers that a part of a problem carries do not fit it.

    They need a row a sample, the form of the labels, and a number for each of `classes`; a row may
    be NaN where the sample lacks a modality of the teacher, `alpha`.
    """
    if pool.answers is None:
        return
    name, shape = f"the teacher's answers on the {part} part", tuple(pool.labels.shape)
    wanted = shape if len(shape) == 2 else (len(pool), classes, *shape[1:])
    if tuple(pool.answers.shape) != wanted:
        raise ValueError(
            f"{name} are {tuple(pool.answers.shape)}; they have to be {wanted}: a row a sample, "
            f"{'a question' if len(shape) == 2 else 'a class'} a column"
        )
    absent = silent(name, pool.answers)
    if not bool(absent.any()):
        return
    rows = absent.nonzero()[:, 0]
    readable = torch.ones(len(rows), dtype=torch.bool)
    for modality in alpha:
        readable &= is_present(pool.inputs[modality][rows])
    if bool(readable.any()):
        raise ValueError(
            f"{name} have none (NaN) for sample {int(rows[readable][0])}, which has "
            f"{', '.join(alpha)}; give one, or leave the sample out"
        )
