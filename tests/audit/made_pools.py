"""Pools for tests: predictions of a student and a teacher with a truth, and people who answer."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Made:
    """A pool of known truth."""

    student: Ints
    teacher: Ints
    truth: Ints

    @property
    def gain(self) -> float:
        return float((self.student == self.truth).mean() - (self.teacher == self.truth).mean())

    @property
    def differing(self) -> list[int]:
        return np.flatnonzero(self.student != self.teacher).tolist()


def made(right: int, wrong: int, neither: int = 0, agreed: int = 20, seed: int = 0) -> Made:
    """Three classes; on `right` samples the student alone is right, on `wrong` the teacher alone.

    On `neither` both are wrong and differ; where they agree they are right half of the time.
    """
    kinds = np.repeat([0, 1, 2, 3], [right, wrong, neither, agreed])
    random = np.random.default_rng(seed)
    kinds = random.permutation(kinds)
    truth = random.integers(0, 3, len(kinds))
    other, third = (truth + 1) % 3, (truth + 2) % 3
    same = np.where(random.random(len(kinds)) < 0.5, truth, other)
    student = np.select([kinds == 0, kinds == 3], [truth, same], other)
    teacher = np.select([kinds == 1, kinds == 2, kinds == 3], [truth, third, same], other)
    return Made(student, teacher, truth)


@dataclass
class Oracle:
    """Somebody who knows the truth, and remembers what was asked."""

    truth: Ints
    asked: list[int] = field(default_factory=list)

    def __call__(self, sample: int) -> int:
        self.asked.append(sample)
        return int(self.truth[sample])


def fill(path: Path, label: Callable[[dict[str, str]], str], **how: str) -> None:
    """Fill in the empty labels of a table; how: encoding and delimiter to save it with."""
    rows = rows_of(path)
    for row in rows:
        row["label"] = row["label"] or label(row)
    save(path, rows, **how)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a table that the audit wrote."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        return list(csv.DictReader(file, delimiter=";" if ";" in first else ","))


def save(
    path: Path, rows: list[dict[str, str]], encoding: str = "utf-8", delimiter: str = ","
) -> None:
    """Write the rows as a spreadsheet would."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
