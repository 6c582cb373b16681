"""Your own data: one `.npz` file with an array for each modality, or a folder of such arrays.

    audio, image, …   [n, ...] floats; NaN throughout a row where that sample lacks the modality
    labels            [n] whole numbers, 0 to k − 1, and −1 where the class is not known
    groups            [n], optional: who or what must stay on one side of a split
    part              [n], optional: "labelled", "unlabelled" or "test" for each row
    teacher           [n, k], optional: a teacher's answers, a column a class, logits or
                      probabilities; they are then the teacher, and none is trained

Without `part`, rows of unknown class are D_u; of the labelled rows a share is kept for test (whole
groups, where there are groups; rows that are equal stay together) and the rest is D_l. With `part`,
rows of D_u may carry their class, and then the account can be drawn up. A folder is for what is
larger than memory, see `stored_arrays`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from torch import nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.data.typed_paths import at_home
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise
from mke_theory.models import MLP, multimodal
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.toy.array_answers import answers_in
from mke_theory.tasks.toy.array_findings import Found, found_in
from mke_theory.tasks.toy.array_reading import (
    RESERVED,
    classes_in,
    passed_over,
    read_arrays,
    row_numbers,
)
from mke_theory.tasks.toy.stored_arrays import (
    OnDisk,
    folder_hash,
    standardised,
    standardised_in_memory,
)
from mke_theory.training.loop import TrainConfig

PARTS = ("labelled", "unlabelled", "test")

RECIPE = Recipe(
    teacher=TrainConfig(steps=500, batch_size=128, learning_rate=2e-3, weight_decay=1e-2),
    student=TrainConfig(steps=1000, batch_size=128, learning_rate=2e-3, weight_decay=1e-2),
    objective=Objective(transform=(InputNoise(0.5),)),
)


@dataclass(frozen=True)
class Arrays(Task):
    """Any data as arrays.

    `file` is the .npz file or the folder, `alpha` the teacher's modality ("" for the first one).
    `cross_fitted` says that the answers in the file's `teacher` are of models that were not trained
    on rows of D_l: then they calibrate the teacher for evidence students.
    """

    name: ClassVar[str] = "arrays"
    title: ClassVar[str] = "arrays"
    varies: ClassVar[str] = "split (if the file has no `part`), weights, noise"
    usual_arms: ClassVar[tuple[str, ...]] = (
        "mm_student_evidence",
        "mm_student_evidence_shuffled",
        "um_student",
        "mm_student",
        "mm_student_shuffled",
        "mm_student_sup",
    )
    """Evidence students need no recipe; plain MKE, whose recipe is nobody's choice here, is beside
    them."""

    recipe: Recipe = RECIPE
    file: str = ""
    alpha: str = ""
    test_share: float = 0.3
    hidden: int = 64
    cross_fitted: bool = False

    def missing(self) -> str | None:
        if not self.file:
            return "name your file by --set arrays.file=PATH.npz, or a folder of .npy files"
        path = self._path()
        return None if path.exists() else f"there is no file {self.file} here, nor {path}"

    def data_hash(self) -> str | None:
        path = self._path()
        if path.is_dir():
            return folder_hash(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def knows_truth(self) -> bool:
        arrays = read_arrays(self._path())
        unlabelled = arrays.get("part", np.array([])).astype(str) == "unlabelled"
        return bool(unlabelled.any()) and bool((arrays["labels"][unlabelled] != UNKNOWN).all())

    def problem(self, seed: int) -> Problem:
        """The parts of the file: by its `part` array, else by a split that belongs to the seed."""
        arrays = read_arrays(self._path())
        names, alpha = self._modalities(arrays)
        part = self._parts(arrays, seed)
        pool = _pool(arrays, names, fit_on=np.isin(part, ("labelled", "unlabelled")))
        # The labels that D_u hides decide nothing: not even how many outputs a model has.
        counted = part == "labelled" if "part" in arrays else arrays["labels"] != UNKNOWN
        answers = answers_in(arrays, pool, alpha, part, cross_fitted=self.cross_fitted)
        if answers is None:
            classes = classes_in(arrays["labels"], counted)
        else:
            pool, classes = replace(pool, answers=answers), answers.shape[1]
        labelled = pool.rows(np.flatnonzero(part == "labelled")).only([alpha])
        return Problem.of(
            labelled=labelled if self.cross_fitted else replace(labelled, answers=None),
            unlabelled=pool.rows(np.flatnonzero(part == "unlabelled")),
            test=pool.rows(np.flatnonzero(part == "test")),
            teacher_modalities=(alpha,),
            classes=classes,
        )

    def found(self, seed: int) -> Found:
        """The table of what is in the file, as it is divided at a seed."""
        arrays = read_arrays(self._path())
        names, alpha = self._modalities(arrays)
        part, copies = self._parts(arrays, seed), row_numbers(self._path(), arrays)
        return found_in(arrays, names, alpha, part, copies, passed_over(self._path()))

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """One hidden layer for each modality, side by side, then one for all."""
        width = width or self.hidden
        encoders = {
            name: MLP([problem.test.inputs[name][0].numel(), width], activate=True)
            for name in modalities
        }
        return multimodal(encoders, problem.classes, hidden=(width,), missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.hidden

    def _path(self) -> Path:
        path = at_home(self.file)
        if not path.is_absolute() and not path.exists() and self.data_root is not None:
            return self.data_root / path
        return path

    def _modalities(self, arrays: dict[str, Any]) -> tuple[list[str], str]:
        """The names of all modalities, and of the teacher's."""
        names = [name for name in arrays if name not in RESERVED]
        alpha = self.alpha or names[0]
        if alpha not in names:
            raise ValueError(f"arrays.alpha is {alpha!r}; the modalities are {', '.join(names)}")
        return names, alpha

    def _parts(self, arrays: dict[str, Any], seed: int) -> np.ndarray:
        """The part of each row [n]; ValueError where a part is empty."""
        part = self._divided(arrays, seed)
        for name in PARTS:
            if not (part == name).any():
                raise ValueError(
                    f"the {name} part is empty; every part needs at least one row, and rows of "
                    f"label {UNKNOWN} are the unlabelled ones where no `part` array says which"
                )
        return part

    def _divided(self, arrays: dict[str, Any], seed: int) -> np.ndarray:
        if "part" in arrays:
            strange = set(arrays["part"].astype(str).tolist()) - set(PARTS)
            if strange:
                raise ValueError(f"part has {sorted(strange)}; allowed are {', '.join(PARTS)}")
            return arrays["part"].astype(str)
        labels, groups = arrays["labels"], arrays.get("groups")
        part = np.where(labels == UNKNOWN, "unlabelled", "labelled")
        known = np.flatnonzero(labels != UNKNOWN)
        if len(known) < 2:
            raise ValueError(f"{len(known)} rows have a known class; D_l and test need some each")
        split = seed32_for(seed, "split")
        if groups is None:
            groups = self._copies_together(arrays)
        if groups is None:
            _, test = train_test_split(known, test_size=self.test_share, random_state=split)
            part[test] = "test"
            return part
        if len(np.unique(groups[known])) < 2:
            raise ValueError(
                "the labelled rows are of one group; D_l and test need at least one group each"
            )
        splitter = GroupShuffleSplit(n_splits=1, test_size=self.test_share, random_state=split)
        _, at = next(splitter.split(known, groups=groups[known]))
        part[known[at]] = "test"
        # D_u rows of a test group, or equal to a test row, are on the wrong side: left out.
        shared = np.isin(groups, groups[known[at]]) & (part == "unlabelled")
        part[shared] = "left out"
        return part

    def _copies_together(self, arrays: dict[str, Any]) -> np.ndarray | None:
        """A number for equal rows, which a split must not divide; None where it may.

        That is where no row is there twice, and where most are: then rows are a few cells, which
        new data will fall into as well.
        """
        copies = row_numbers(self._path(), arrays)
        repeated = len(copies) - len(np.unique(copies))
        return copies if 0 < repeated <= len(copies) / 2 else None


def _pool(arrays: dict[str, Any], names: list[str], *, fit_on: np.ndarray) -> Pool:
    inputs: dict[str, Any] = {}
    for name in names:
        if isinstance(arrays[name], OnDisk):
            inputs[name] = standardised(arrays[name], fit_on)
            continue
        inputs[name] = standardised_in_memory(arrays[name], fit_on)
    labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    return Pool(inputs, labels, arrays.get("groups"))
