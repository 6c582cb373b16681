"""Your own data: one `.npz` file with an array for each modality, or a folder of such arrays.

    audio, image, …   [n, ...] floats; NaN throughout a row where that sample lacks the modality
    labels            [n] whole numbers, 0 to k − 1, and −1 where the class is not known
    groups            [n], optional: who or what must stay on one side of a split
    part              [n], optional: "labelled", "unlabelled" or "test" for each row
    teacher           [n, k], optional: a teacher's answers, a column a class, logits or
                      probabilities; they are then the teacher, and none is trained

Without `part`, rows of unknown class are D_u; of the labelled rows a share is kept for test (whole
groups, where there are groups) and the rest is D_l. With `part`, rows of D_u may carry their class,
and then the account can be drawn up. A folder is for what is larger than memory, see
`stored_arrays`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from torch import nn

from mke_theory.data.file_hashes import stamp_of
from mke_theory.data.lazy_arrays import SideBySide
from mke_theory.data.npz_files import read_npz
from mke_theory.data.pool import UNKNOWN, Pool, refuse_bad_values
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.data.typed_paths import at_home
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise
from mke_theory.models import MLP, multimodal
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.toy.array_answers import TEACHER, answers_in
from mke_theory.tasks.toy.stored_arrays import (
    OnDisk,
    blocks_of,
    folder_arrays,
    folder_files,
    folder_hash,
    standardised,
    standardised_in_memory,
)
from mke_theory.training.loop import TrainConfig

PARTS = ("labelled", "unlabelled", "test")
RESERVED = ("labels", "groups", "part", TEACHER)
NUMBERED = (
    "numbers = np.full(len(labels), -1); "
    "numbers[known] = np.unique(labels[known], return_inverse=True)[1]"
)
"""The way from classes of any kind to numbers, in which unknown stays −1."""

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
        names = [name for name in arrays if name not in RESERVED]
        alpha = self.alpha or names[0]
        if alpha not in names:
            raise ValueError(f"arrays.alpha is {alpha!r}; the modalities are {', '.join(names)}")
        part = self._parts(arrays, seed)
        for name in PARTS:
            if not (part == name).any():
                raise ValueError(
                    f"the {name} part is empty; every part needs at least one row, and rows of "
                    f"label {UNKNOWN} are the unlabelled ones where no `part` array says which"
                )
        pool = _pool(arrays, names, fit_on=np.isin(part, ("labelled", "unlabelled")))
        # The labels that D_u hides decide nothing: not even how many outputs a model has.
        counted = part == "labelled" if "part" in arrays else arrays["labels"] != UNKNOWN
        answers = answers_in(arrays, pool, alpha, part, cross_fitted=self.cross_fitted)
        if answers is None:
            classes = _classes(arrays["labels"], counted)
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

    def _parts(self, arrays: dict[str, Any], seed: int) -> np.ndarray:
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
        # D_u rows of a test group are on the wrong side of the split: they are left out.
        shared = np.isin(groups, groups[known[at]]) & (part == "unlabelled")
        part[shared] = "left out"
        return part


def _classes(labels: np.ndarray, counted: np.ndarray) -> int:
    """The number of classes among the counted rows, which have to be 0, 1, … without a gap."""
    found = np.unique(labels[counted & (labels != UNKNOWN)])
    if len(found) == 0:
        raise ValueError("no row has a known class; the teacher needs labelled rows")
    classes = max(2, int(found.max()) + 1)
    absent = sorted(set(range(int(found.max()) + 1)) - set(found.tolist()))
    if absent:
        raise ValueError(
            f"no labelled row has class {absent[0]}; number the classes 0, 1, … without a gap: "
            f"with known = labels != {UNKNOWN}, {NUMBERED}"
        )
    if labels.max() >= classes:
        raise ValueError(
            f"labels has class {labels.max()}, of which D_l has no row; label one, or leave the "
            "rows of that class out"
        )
    return classes


def read_arrays(path: Path) -> dict[str, Any]:
    """The checked content of the file or folder; ValueError names what is wrong and expected.

    Modalities of a folder stay on disk; a process looks through them once, until a file changes.
    """
    if path.is_dir():
        return dict(_read_folder(path, stamp_of(folder_files(path))))
    return _checked(path, read_npz(path, "write it by np.savez"))


@lru_cache(maxsize=2)
def _read_folder(path: Path, stamp: str) -> dict[str, Any]:
    return _checked(path, folder_arrays(path, whole=RESERVED))


def _checked(path: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays, if they are what is expected of them."""
    _refuse_labels(path, arrays)
    modalities = [name for name in arrays if name not in RESERVED]
    if len(modalities) < 2:
        raise ValueError(f"{path} has modalities {modalities}; a student needs at least two")
    for name in modalities:
        _refuse_modality(name, arrays[name], len(arrays["labels"]))
    for name in ("groups", "part", TEACHER):
        if name in arrays:
            _refuse_length(name, arrays[name], len(arrays["labels"]))
            if arrays[name].ndim != 1 and name != TEACHER:
                raise ValueError(f"{name} is {arrays[name].shape}; it has to be [n], as labels")
    return arrays


def _refuse_labels(path: Path, arrays: dict[str, Any]) -> None:
    if "labels" not in arrays:
        raise ValueError(f"{path} has no array 'labels'; it has {', '.join(arrays) or 'nothing'}")
    labels = arrays["labels"]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels is {labels.dtype} {labels.shape}; it has to be whole numbers [n], and "
            f"{UNKNOWN} where the class is unknown: {_remedy(labels)}"
        )
    if len(labels) == 0:
        raise ValueError("labels has no rows; every part needs at least one")
    if labels.min() < UNKNOWN:
        raise ValueError(f"labels has {labels.min()}; allowed are 0, 1, … and −1 for unknown")


def _remedy(labels: np.ndarray) -> str:
    """The way from labels of another kind to whole numbers."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "labels[:, 0]"
    if labels.ndim != 1:
        return "one class a row, such as scores.argmax(1)"
    if labels.dtype.kind == "f":
        return "np.where(np.isnan(labels), -1, labels).astype(int), if all others are whole"
    return f"with `known` True where it is known, {NUMBERED}"


def _refuse_modality(name: str, x: np.ndarray | SideBySide, n: int) -> None:
    plain = np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating)
    if not (plain or x.dtype == bool):
        raise ValueError(f"modality {name!r} is {x.dtype}; it has to be real numbers")
    if x.ndim < 2 or x[:1].size == 0:
        raise ValueError(
            f"modality {name!r} is {x.shape}; it has to be [n, …] with at least one number a row"
        )
    _refuse_length(name, x, n)
    if not np.issubdtype(x.dtype, np.floating):
        return
    first = 0
    for block in blocks_of(x):
        refuse_bad_values(name, torch.from_numpy(block.astype(np.float64)), first)
        first += len(block)


def _refuse_length(name: str, x: np.ndarray | SideBySide, n: int) -> None:
    rows = len(x) if x.ndim else 0
    if rows != n:
        raise ValueError(f"{name} has {rows} rows but labels has {n}; give each a row a sample")


def _pool(arrays: dict[str, Any], names: list[str], *, fit_on: np.ndarray) -> Pool:
    inputs: dict[str, Any] = {}
    for name in names:
        if isinstance(arrays[name], OnDisk):
            inputs[name] = standardised(arrays[name], fit_on)
            continue
        inputs[name] = standardised_in_memory(arrays[name], fit_on)
    labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    return Pool(inputs, labels, arrays.get("groups"))
