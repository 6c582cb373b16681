"""The values that travel between the rooms of the package, and the legend of their shapes.

Shapes: n samples, k classes, h × w pixels. A modality is a key of a dictionary
(`{"audio": [n, 1, 40, 48], "image": [n, 1, 28, 28]}`), never a position. Labels are [n] class
numbers (or [n, h, w] for dense prediction); −1 means unknown. Multi-label targets are [n, k] in
[0, 1]. A sample that lacks a modality has NaN in every entry of that modality.

Many or large samples are kept as `Stored` numbers, on disk or as bytes, and dense labels in any
type of integer; a batch of them has float32 inputs and int64 labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.label_checks import marker_without_sign
from mke_theory.data.lazy_arrays import Stored, concatenated, taken

UNKNOWN = -1
"""The label of a sample whose class is not known."""

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Some samples of a pool: `inputs[modality]` is [b, ...], `target` is [b, ...]."""

    inputs: dict[str, Tensor]
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return Batch(
            {name: x.to(device, non_blocking=True) for name, x in self.inputs.items()},
            self.target.to(device, non_blocking=True),
        )


class Samples(Protocol):
    """The samples that training reads: a length, the modalities, and batches by row number.

    `Pool` keeps everything in memory; a task with more data than memory reads from disk instead.
    """

    @property
    def modalities(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Batch: ...


@dataclass(frozen=True)
class Pool:
    """n samples: inputs by modality, one target and optionally one group a sample.

    An input is a tensor of floats [n, ...] or `Stored`. `groups` names what a split must not
    divide (an actor, a scene, a writer). `answers` are a teacher's logits [n, k, ...] where it is
    known by them alone, NaN throughout a sample to which it has none; only such a teacher reads
    them (see `models.known_answers`), and no batch that a student learns from holds them.

    Raises ValueError where lengths differ, the pool is empty, or an input is infinite or NaN in
    some entries only (NaN in all entries of a sample means that the modality is missing there), a
    group id is missing, or a label is a whole number below −1, or 255 where −1 lost its sign.
    """

    inputs: dict[str, Any]
    labels: Tensor
    groups: np.ndarray | None = None
    answers: Tensor | Stored | None = None

    def __post_init__(self) -> None:
        for name, x in {**self.inputs, "labels": self.labels}.items():
            if not isinstance(x, Tensor) and (name == "labels" or not isinstance(x, Stored)):
                raise TypeError(
                    f"{name} is a {type(x).__name__}; a pool holds tensors: torch.as_tensor(x)"
                )
        if self.groups is not None and not isinstance(self.groups, np.ndarray):
            raise TypeError(
                f"groups is a {type(self.groups).__name__}; it has to be a NumPy array: np.array(x)"
            )
        for name, x in {**self.inputs, "labels": self.labels}.items():
            if x.dim() == 0:
                raise ValueError(f"{name} is one number; a pool needs a row for each sample")
        if not self.inputs:
            raise ValueError("a pool needs at least one modality; got none")
        n = len(self.labels)
        if n == 0:
            raise ValueError("a pool needs at least one sample; got none")
        for name, x in self.inputs.items():
            if len(x) != n:
                raise ValueError(f"modality {name!r} has {len(x)} samples but there are {n} labels")
            if not x.is_floating_point():
                raise ValueError(f"modality {name!r} is {x.dtype}; convert it to floating point")
            refuse_bad_values(name, x)
        if self.groups is not None and self.groups.shape != (n,):
            raise ValueError(f"groups has shape {self.groups.shape}; {n} labels need ({n},)")
        if self.groups is not None:
            refuse_missing_groups(self.groups)
        refuse_strange_labels(self.labels)
        if self.answers is not None and len(self.answers) != n:
            raise ValueError(f"there are {len(self.answers)} answers but {n} labels")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.inputs)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Batch:
        inputs = {name: x[index] for name, x in self.inputs.items()}
        return Batch(inputs, _widened(self.labels[index]))

    def rows(self, index: np.ndarray | Tensor | list[int]) -> Pool:
        """The pool of the given rows, in the given order."""
        at = torch.as_tensor(index)
        groups = None if self.groups is None else self.groups[at.numpy()]
        inputs = {name: taken(x, at) for name, x in self.inputs.items()}
        answers = None if self.answers is None else taken(self.answers, at)
        return Pool(inputs, self.labels[at], groups, answers)

    def only(self, modalities: Iterable[str]) -> Pool:
        """The same samples seen through some of their modalities."""
        wanted = tuple(modalities)
        absent = [name for name in wanted if name not in self.inputs]
        if absent:
            raise ValueError(f"no modality {absent}; this pool has {list(self.inputs)}")
        return replace(self, inputs={name: self.inputs[name] for name in wanted})

    def with_labels(self, labels: Tensor) -> Pool:
        """The same inputs with other targets."""
        return replace(self, labels=labels)


def refuse_missing_groups(groups: np.ndarray) -> None:
    """Raise ValueError where a group id is missing: None, NaN, NaT, an empty word, or −1 among ids.

    Samples of no known group could be on both sides of a split, and nobody would see it.
    """
    values = groups.tolist() if groups.dtype.kind not in "mM" else list(groups)
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    if groups.dtype.kind in "if" and len(groups) and np.max(groups, initial=UNKNOWN) > UNKNOWN:
        missing |= groups == UNKNOWN
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"groups has no id in {int(missing.sum())} of {len(groups)} samples, such as sample "
            f"{row} ({groups[row]}); give each of them its group, or one of its own, or leave it "
            "out"
        )


def _is_missing(value: object) -> bool:
    if value is None or isinstance(value, str | bytes):
        word = value.decode(errors="replace") if isinstance(value, bytes) else value
        return word is None or word.strip().lower() in ("", "nan", "none", "null", "<na>", "nat")
    return bool(value != value)  # NaN and NaT alone differ from themselves


def _widened(labels: Tensor) -> Tensor:
    """Whole numbers as int64 and half precision as float32, as the losses take them."""
    if not labels.is_floating_point():
        return labels.long()
    return labels.float() if labels.dtype == torch.float16 else labels


def refuse_strange_labels(labels: Tensor) -> None:
    """Raise ValueError where whole numbers are below −1, or one is what −1 becomes unsigned."""
    if labels.is_complex():
        raise ValueError(f"labels are {labels.dtype}; they have to be real numbers")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        return
    marker = marker_without_sign(labels)
    if marker is not None:
        raise ValueError(
            f"labels are {labels.dtype} and have class {marker}, which is what {UNKNOWN} (unknown) "
            f"becomes there; if it is, labels.long() and {UNKNOWN} for {marker}; if it is a class, "
            "labels.long()"
        )
    least = int(labels.min()) if labels.numel() and labels.dtype.is_signed else 0
    if least < UNKNOWN:
        raise ValueError(
            f"labels have {least}; they are whole numbers from 0 on, and {UNKNOWN} for unknown: "
            f"labels.clamp(min={UNKNOWN}), if that is unknown too"
        )


def is_present(x: Tensor | Stored) -> Tensor:
    """True [n] where the sample has the modality; a missing one is NaN throughout."""
    if isinstance(x, Stored):
        return x.present()
    return ~torch.isnan(x.reshape(len(x), -1)[:, 0])


def refuse_bad_values(name: str, x: Tensor | Stored, first: int = 0) -> None:
    """Raise ValueError where `x` is empty, has an infinity, or a row that is NaN in part only.

    `first` is the number of the first sample, for the message.
    """
    if isinstance(x, Stored):
        x.check(lambda part, first: refuse_bad_values(name, part, first))
        return
    if x.numel() == 0:
        raise ValueError(
            f"modality {name!r} has shape {tuple(x.shape)}; a sample needs at least one number"
        )
    flat = x.reshape(len(x), -1)
    if bool(torch.isinf(flat).any()):
        row = first + int(torch.isinf(flat).any(dim=1).nonzero()[0])
        raise ValueError(f"modality {name!r} has an infinite value in sample {row}")
    nan = torch.isnan(flat)
    partly = nan.any(dim=1) & ~nan.all(dim=1)
    if bool(partly.any()):
        row = first + int(partly.nonzero()[0])
        raise ValueError(
            f"modality {name!r} has NaN in sample {row}; fill it in, or mark the whole modality as "
            "missing there by NaN in every entry"
        )


def join(first: Pool, second: Pool) -> Pool:
    """The samples of both pools, first those of `first`; both need the same modalities.

    Groups are kept where both pools have them, a teacher's answers never.
    """
    if set(first.inputs) != set(second.inputs):
        raise ValueError(
            f"cannot join pools with modalities {list(first.inputs)} and {list(second.inputs)}; "
            "a student that also learns from D_l reads the modalities of D_l alone"
        )
    inputs = {name: concatenated(x, second.inputs[name]) for name, x in first.inputs.items()}
    groups = None
    if first.groups is not None and second.groups is not None:
        groups = np.array([*first.groups.tolist(), *second.groups.tolist()], dtype=object)
    return Pool(inputs, torch.cat([first.labels, second.labels]), groups)
