"""Files with a teacher's answers to the samples of one problem: a task at a seed.

A file `<task>_<seed>.npz` holds these arrays, a row a sample, in the order of the problem's parts:

    unlabelled, test    [n, k], [n, k, h, w] or [n, q]: logits or probabilities (see `data.answers`)
    labelled            the same for D_l, optional: by a model that was not trained on the sample
    split               the problem's `split_hash`, by which another draw of it is refused
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mke_theory.data.answers import as_logits
from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.npz_files import read_npz
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem

SPLIT = "split"
GIVEN = ("unlabelled", "test")
"""The parts that have to be answered."""
Array = NDArray[Any]


def file_name(task: str, seed: int) -> str:
    """The name of the file with the answers for a task at a seed."""
    return f"{task}_{seed}.npz"


def answered(
    problem: Problem,
    *,
    unlabelled: Tensor | Array,
    test: Tensor | Array,
    labelled: Tensor | Array | None = None,
) -> Problem:
    """The problem whose teacher is these answers: logits, or probabilities that sum to 1.

    They are [n, k] for the n samples of a part, [n, k, h, w] where every pixel has a class and
    [n, q] for q questions. `labelled` are those of a model that was not trained on D_l, by which
    evidence students calibrate the teacher. A row of NaN is no answer.

    Raises ValueError where the problem carries answers already, or these do not fit it.
    """
    if problem.answered:
        raise ValueError("the problem carries answers of its teacher already; give them once")
    return replace(
        problem,
        labelled=_with("labelled", problem.labelled, labelled),
        unlabelled=_with("unlabelled", problem.unlabelled, unlabelled),
        test=_with("test", problem.test, test),
    )


def _with(part: str, pool: Pool, values: Tensor | Array | None) -> Pool:
    if values is None:
        return pool
    name = f"the teacher's answers on the {part} part"
    logits = as_logits(name, values, multilabel=pool.labels.ndim == 2)
    if len(logits) != len(pool):
        raise ValueError(
            f"{name} have {len(logits)} rows, but it has {len(pool)} samples; give a row a sample, "
            "in the order of the part"
        )
    # Maps are many numbers: parts of a pool are to share them.
    return replace(pool, answers=logits if logits.ndim == 2 else Stored(logits))


def save_answers(
    path: Path | str,
    problem: Problem,
    *,
    unlabelled: Tensor | Array,
    test: Tensor | Array,
    labelled: Tensor | Array | None = None,
) -> Path:
    """Write a teacher's answers for one problem, as they are given; returns the path.

    Arguments and errors are those of `answered`: a file that could not be loaded is not written.
    """
    answered(problem, unlabelled=unlabelled, test=test, labelled=labelled)
    given = {"unlabelled": unlabelled, "test": test, "labelled": labelled}
    arrays = {name: np.asarray(x) for name, x in given.items() if x is not None}
    content = io.BytesIO()
    np.savez_compressed(content, split=np.array(problem.split_hash), **arrays)  # type: ignore[arg-type]  # its stub has no keywords
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content.getvalue())
    os.replace(part, path)
    return path


def load_answers(path: Path | str, problem: Problem) -> Problem:
    """The problem with the answers that `save_answers` wrote for it.

    Raises FileNotFoundError where there is no such file; ValueError where it is damaged, lacks a
    part, was written for another draw, data or version of the problem, or does not fit it.
    """
    path = Path(path)
    arrays = _read(path)
    absent = [name for name in (*GIVEN, SPLIT) if name not in arrays]
    strange = sorted(set(arrays) - {*GIVEN, SPLIT, "labelled"})
    if absent or strange:
        raise ValueError(
            f"{path} has the arrays {sorted(arrays)}; it has to have unlabelled, test and split, "
            "and may have labelled: write it by save_answers"
        )
    if str(arrays[SPLIT]) != problem.split_hash:
        raise ValueError(
            f"{path} answers another problem: its split is {arrays[SPLIT]!s}, that of the samples "
            f"is {problem.split_hash}. Another seed, setting or version of the data puts other "
            "samples, or the same in another order, into the parts: ask the teacher about these"
        )
    try:
        found = answered(
            problem,
            unlabelled=arrays["unlabelled"],
            test=arrays["test"],
            labelled=arrays.get("labelled"),
        )
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}") from None
    found.__dict__["split_hash"] = problem.split_hash  # the same samples need no second reading
    return found


def _read(path: Path) -> Mapping[str, Array]:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}; write the teacher's answers there by save_answers"
        )
    return read_npz(path, "write it by save_answers")
