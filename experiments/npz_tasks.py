"""The sets of `multi_view` as tasks: a `.npz` file a seed, read as anybody's own file is.

A seed splits the samples: a third is test, or those of a third of the people (writers, rooms) where
samples have any; of the rest some are labelled and the others are D_u. The file carries this as
`part`, with the classes of D_u for the account.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from multi_view import SETS, Array, Views
from sklearn.model_selection import train_test_split

from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.study.records import write_atomic
from mke_theory.study.task import Task
from mke_theory.tasks.toy.arrays import Arrays

MOST_UNLABELLED = MOST_TEST = 1500
"""The most samples of D_u and of test, so that every set trains in seconds."""


@dataclass(frozen=True)
class Cut(Arrays):
    """The `arrays` task with its default settings, on a file for each seed.

    cut: the name of the set in `multi_view.SETS`. heading: its title. per_class: labelled samples,
    as a mean over the classes, which are drawn as frequent as they are. source: the task that knows
    whether the data are at hand. files: the folder that the .npz files are written to.
    """

    varies: ClassVar[str] = (
        "who is labelled, who is test (unless the data have a test part of their own), weights, "
        "noise"
    )

    cut: str = field(kw_only=True)
    heading: str = field(kw_only=True, compare=False)
    per_class: int = field(kw_only=True)
    source: Task | None = field(default=None, kw_only=True, compare=False)
    files: Path = field(default=Path("files"), kw_only=True, compare=False)

    @property
    def name(self) -> str:  # type: ignore[override]  # the cut decides it
        """The key in records."""
        return self.cut

    @property
    def title(self) -> str:  # type: ignore[override]
        """The data, what the teacher sees → what the student sees."""
        return self.heading

    def missing(self) -> str | None:
        return None if self.source is None else self.source.at(self.data_root).missing()

    def libraries(self) -> tuple[str, ...]:
        return () if self.source is None else self.source.at(self.data_root).libraries()

    def data_hash(self) -> str | None:
        """A hash of what seed 0 gives, so that it changes with the data and with their cut."""
        return _hash_of(self, self.data_root)

    def knows_truth(self) -> bool:
        return True

    def problem(self, seed: int) -> Problem:
        """The file of that seed, written and then read as anybody's is."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = self.arrays(seed)
        np.savez_compressed(buffer, **arrays)
        self.files.mkdir(parents=True, exist_ok=True)
        path = write_atomic(self.files / f"{self.cut}_{seed}.npz", buffer.getvalue())
        return Arrays.problem(replace(self, file=str(path)), seed)

    def arrays(self, seed: int) -> dict[str, Array]:
        """The content of the file: modalities, labels, part, and groups where there are any."""
        views = _views(self.cut, self.data_root or Path())
        part = split(views, self.per_class, seed)
        kept = np.flatnonzero(part != "")
        found = {name: np.asarray(x)[kept] for name, x in views.inputs.items()}
        found |= {"labels": views.labels[kept].astype(np.int64), "part": part[kept]}
        return found if views.groups is None else found | {"groups": views.groups[kept]}


def split(views: Views, per_class: int, seed: int) -> Array:
    """The part [n] of each sample: "labelled", "unlabelled", "test", or "" for one left out.

    All draws but that of groups keep the classes as frequent as they are.
    """

    def some(rows: Array, count: int, name: str) -> Array:
        if len(rows) <= count:
            return rows
        drawn, _ = train_test_split(
            rows,
            train_size=count,
            stratify=views.labels[rows],
            random_state=seed32_for(seed, "own data", name),
        )
        return np.asarray(drawn)

    everyone = np.arange(len(views.labels))
    if views.test is not None:
        test = np.flatnonzero(views.test)
    elif views.groups is not None:
        names = np.unique(views.groups)
        order = np.random.default_rng(seed32_for(seed, "own data", "groups")).permutation(names)
        test = np.flatnonzero(np.isin(views.groups, order[: len(names) // 3]))
    else:
        test = some(everyone, len(everyone) // 3, "test")
    rest = np.setdiff1d(everyone, test)
    labelled = some(rest, per_class * len(np.unique(views.labels)), "labelled")
    unlabelled = some(np.setdiff1d(rest, labelled), MOST_UNLABELLED, "unlabelled")
    part = np.full(len(everyone), "", dtype="U10")
    part[labelled], part[unlabelled] = "labelled", "unlabelled"
    part[some(test, MOST_TEST, "judges")] = "test"
    return part


@lru_cache(maxsize=2)
def _views(cut: str, root: Path) -> Views:
    of = {of.__name__: of for of, *_ in SETS}
    return of[cut](root)


@lru_cache(maxsize=64)
def _hash_of(task: Cut, root: Path | None) -> str:
    """`root` is that of the task, which is no part of its being equal to another."""
    digest = hashlib.sha256()
    for name, x in task.arrays(0).items():
        digest.update(f"{name} {x.dtype} {x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()[:16]


TASKS: dict[str, Cut] = {
    of.__name__: Cut(cut=of.__name__, heading=heading, per_class=per_class, source=source)
    for of, heading, per_class, source in SETS
}
"""A task a set, by name, in the order of the tables."""
