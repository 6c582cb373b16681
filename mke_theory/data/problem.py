"""One draw of a task: who is labelled, who is not, and who judges."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.pool import UNKNOWN, Pool


@dataclass(frozen=True)
class Problem:
    """One draw of a task: who is labelled, who is not, and who judges.

    `labelled` (D_l) and `unlabelled` (D_u) are what the method sees; the report opens `test`.
    The labels inside `unlabelled` are the truth where it is known; only the account and the
    supervised ceiling read them. `heldout` is the part of D_u kept out of training for selection by
    agreement with the teacher; `validation` are samples whose class somebody has looked up, kept
    out for selection by labels. `skipped` has a line for each damaged file that was left out
    because that was asked for.
    """

    labelled: Pool
    unlabelled: Pool
    test: Pool
    teacher_modalities: tuple[str, ...]
    classes: int
    heldout: Pool | None = None
    validation: Pool | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes must be at least 2; got {self.classes}")
        for part in ("labelled", "unlabelled", "test", "heldout", "validation"):
            pool: Pool | None = getattr(self, part)
            if pool is None:
                continue
            low, high = pool.labels.min().item(), pool.labels.max().item()
            if not UNKNOWN <= low <= high < self.classes:  # also where they are NaN
                raise ValueError(
                    f"labels of {part} run from {low} to {high}; allowed are 0 to "
                    f"{self.classes - 1}, and {UNKNOWN} for unknown"
                )
            if pool.labels.is_floating_point() and pool.labels.dim() > 1:
                shares = ((pool.labels >= 0) & (pool.labels <= 1)) | (pool.labels == UNKNOWN)
                if not bool(shares.all()):
                    raise ValueError(
                        f"labels of {part} hold {pool.labels[~shares][0].item()}; answers to "
                        f"several questions lie in [0, 1], or are {UNKNOWN} for unknown"
                    )
        for part in ("labelled", "unlabelled", "test"):
            absent = set(self.teacher_modalities) - set(getattr(self, part).modalities)
            if absent:
                raise ValueError(f"the {part} part lacks the teacher's modality {sorted(absent)}")
        self._refuse_labels()
        refuse_shared_groups(
            {
                "test": self.test,
                "training": (self.labelled, self.unlabelled, self.heldout, self.validation),
            }
        )

    def _refuse_labels(self) -> None:
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
        for part in ("labelled", "unlabelled", "heldout", "validation", "test"):
            pool: Pool | None = getattr(self, part)
            digest.update(part.encode())
            if pool is None:
                continue
            for name, x in sorted(pool.inputs.items()):
                digest.update(name.encode() + str(tuple(x.shape)).encode())
                for some in x.parts() if isinstance(x, Stored) else (x,):
                    digest.update(some.contiguous().numpy().tobytes())
            digest.update(pool.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


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
