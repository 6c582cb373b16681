"""One draw of a task: who is labelled, who is not, who judges, and the truth of D_u kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from mke_theory.data.answers import refuse_answers
from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.pool import UNKNOWN, Pool


@dataclass(frozen=True, eq=False)
class Truth:
    """The true labels of a pool whose own labels are all unknown, in the order of its samples.

    `labels` are those of a `Pool`, −1 where nobody knows. They are handed by name to the account
    and the metrics on D_u, to the theory on finished runs, and to the two arms that learn from
    them: the supervised ceiling and the placebo of random errors. No other training job has them.
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def hide(pool: Pool) -> tuple[Pool, Truth]:
    """The pool with every label unknown, and its labels as a value of their own."""
    kind = pool.labels.dtype
    signed = kind if kind.is_signed else torch.int64  # numbers without a sign have no −1
    unknown = torch.full((), UNKNOWN, dtype=signed).expand(pool.labels.shape)  # takes no memory
    return pool.with_labels(unknown), Truth(pool.labels.clone())


@dataclass(frozen=True)
class Problem:
    """One draw of a task.

    `labelled` (D_l) and `unlabelled` (D_u) are what the method sees; every label of D_u is −1, and
    `truth` holds the labels that it would have. The report opens `test`. `skipped` has a line for
    each damaged file that was left out because that was asked for. Where D_u and test carry answers
    of a teacher, these are the teacher, and none is trained; answers that `labelled` carries are
    those of a model that was not trained on it.

    Raises ValueError where a part has no known label or one that is no class, `unlabelled` carries
    a label, the teacher's modality is absent, a group stands on both sides of the split, or answers
    are there for D_u or test alone, or do not fit.
    """

    labelled: Pool
    unlabelled: Pool
    truth: Truth
    test: Pool
    teacher_modalities: tuple[str, ...]
    classes: int
    skipped: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        labelled: Pool,
        unlabelled: Pool,
        test: Pool,
        teacher_modalities: tuple[str, ...],
        classes: int,
        skipped: tuple[str, ...] = (),
    ) -> Self:
        """The problem of a D_u that still carries its true labels: they are taken off it."""
        return cls(labelled, *hide(unlabelled), test, teacher_modalities, classes, skipped)

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes must be at least 2; got {self.classes}")
        if not bool((self.unlabelled.labels == UNKNOWN).all()):
            raise ValueError(
                "the unlabelled part carries labels; give a pool that still has its truth to "
                "Problem.of, which takes it off"
            )
        if self.truth.labels.shape[:1] != self.unlabelled.labels.shape[:1]:
            raise ValueError(
                f"the truth has {len(self.truth)} labels for {len(self.unlabelled)} samples"
            )
        for part, labels in self._labels().items():
            refuse_no_classes(part, labels, self.classes)
        for part in ("labelled", "unlabelled", "test"):
            absent = set(self.teacher_modalities) - set(getattr(self, part).modalities)
            if absent:
                raise ValueError(f"the {part} part lacks the teacher's modality {sorted(absent)}")
        self._refuse_unknown_labels()
        if self.answered != (self.test.answers is not None) or (
            self.labelled.answers is not None and not self.answered
        ):
            raise ValueError("the teacher's answers have to be there for D_u and test, or for none")
        for part in ("labelled", "unlabelled", "test"):
            refuse_answers(part, getattr(self, part), self.teacher_modalities, self.classes)
        refuse_shared_groups({"test": self.test, "training": (self.labelled, self.unlabelled)})

    def _labels(self) -> dict[str, Tensor]:
        return {
            "labelled": self.labelled.labels,
            "unlabelled": self.truth.labels,
            "test": self.test.labels,
        }

    def _refuse_unknown_labels(self) -> None:
        for part in ("labelled", "test"):
            pool: Pool = getattr(self, part)
            if bool((pool.labels == UNKNOWN).all()):
                raise ValueError(f"the {part} part has no known label")
        known = self.labelled.labels != UNKNOWN
        if not bool(known.reshape(len(known), -1).any(dim=1).all()):  # void pixels are allowed
            raise ValueError("the labelled part has samples of unknown class")
        if len(torch.unique(self.labelled.labels[known])) < 2:
            only = int(self.labelled.labels[known][0])
            raise ValueError(
                f"the labelled part has class {only} alone; a teacher needs at least two classes"
            )

    @cached_property
    def blind(self) -> Self:
        """The problem with an unknown truth: models, methods and baselines are made from this."""
        return replace(self, truth=Truth(self.unlabelled.labels))

    @property
    def answered(self) -> bool:
        """True where the teacher is the answers that the parts carry."""
        return self.unlabelled.answers is not None

    @property
    def modalities(self) -> tuple[str, ...]:
        """Every modality, the teacher's (α) first."""
        rest = [m for m in self.unlabelled.modalities if m not in self.teacher_modalities]
        return (*self.teacher_modalities, *rest)

    @cached_property
    def split_hash(self) -> str:
        """A hash of who is where: equal exactly if every part holds the same samples.

        It reads all samples, and is therefore found once for all arms of a seed.
        """
        digest = hashlib.sha256()
        labels = self._labels()
        for part in ("labelled", "unlabelled", "heldout", "validation", "test"):
            digest.update(part.encode())
            if part not in labels:  # parts of former versions: the hash of a split stays the same
                continue
            for name, x in sorted(getattr(self, part).inputs.items()):
                digest.update(name.encode() + str(tuple(x.shape)).encode())
                for some in x.parts() if isinstance(x, Stored) else (x,):
                    digest.update(some.contiguous().numpy().tobytes())
            digest.update(labels[part].contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def refuse_no_classes(part: str, labels: Tensor, classes: int) -> None:
    """Raise ValueError where a label is no class, no share in [0, 1], and not −1 either."""
    low, high = labels.min().item(), labels.max().item()
    if not UNKNOWN <= low <= high < classes:  # also where they are NaN
        raise ValueError(
            f"labels of {part} run from {low} to {high}; allowed are 0 to {classes - 1}, and "
            f"{UNKNOWN} for unknown"
        )
    if labels.is_floating_point() and labels.dim() > 1:
        shares = ((labels >= 0) & (labels <= 1)) | (labels == UNKNOWN)
        if not bool(shares.all()):
            raise ValueError(
                f"labels of {part} hold {labels[~shares][0].item()}; answers to several questions "
                f"lie in [0, 1], or are {UNKNOWN} for unknown"
            )


def refuse_shared_groups(parts: Mapping[str, Pool | Iterable[Pool | None]]) -> None:
    """Raise ValueError where a group stands on both sides of a split."""
    seen: dict[object, str] = {}
    for part, pools in parts.items():
        listed = (pools,) if isinstance(pools, Pool) else tuple(pools)
        here = {
            group
            for pool in listed
            if pool is not None and pool.groups is not None
            for group in pool.groups.tolist()
        }
        for group in here:
            if group in seen:
                raise ValueError(
                    f"group {group!r} is in {seen[group]} and in {part}; a group has to stay on "
                    "one side of the split"
                )
            seen[group] = part
