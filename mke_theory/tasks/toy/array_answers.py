"""The teacher of `arrays` where the file has its answers: a row a sample, in the file's order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.answers import as_logits, silent
from mke_theory.data.pool import UNKNOWN, Pool, is_present

TEACHER = "teacher"
"""The array's name."""
_ANSWERS = f"the answers in `{TEACHER}`"


def answers_in(
    arrays: Mapping[str, np.ndarray],
    pool: Pool,
    alpha: str,
    part: np.ndarray,
    *,
    cross_fitted: bool,
) -> Tensor | None:
    """The teacher's logits [n, k] for the rows of the file; None where it has no such array.

    `pool` has the modalities of all rows, `part` [n] says where each belongs. Raises ValueError
    where they are no logits or probabilities of at least two classes, a label is beyond them,
    or a row that is asked about has `alpha` and no answer (NaN); and where they are said to be
    cross-fitted, and are not there.
    """
    if TEACHER not in arrays:
        if cross_fitted:
            raise ValueError(
                "arrays.cross_fitted says that the teacher's answers are cross-fitted, but the "
                f"file has no array {TEACHER!r}"
            )
        return None
    logits = as_logits(_ANSWERS, arrays[TEACHER])
    _refuse_classes(logits, arrays["labels"])
    asked = ("labelled", "unlabelled", "test") if cross_fitted else ("unlabelled", "test")
    rows = (silent(_ANSWERS, logits) & torch.from_numpy(np.isin(part, asked))).nonzero()[:, 0]
    readable = is_present(pool.inputs[alpha][rows]) if len(rows) else rows
    if bool(readable.any()):
        row = int(rows[readable][0])
        raise ValueError(
            f"{_ANSWERS} have none (NaN) in row {row}, of the {part[row]} part, which has {alpha}; "
            "give one, or leave the row out"
        )
    return logits


def _refuse_classes(logits: Tensor, labels: np.ndarray) -> None:
    """Raise ValueError where answers have fewer than two columns, or too few for the labels."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"{_ANSWERS} are {tuple(logits.shape)}; they have to be [n, k], a column a class"
        )
    highest = int(labels.max())
    if highest >= logits.shape[1]:
        raise ValueError(
            f"labels has class {highest}, but {_ANSWERS} have {logits.shape[1]} columns, for "
            f"classes 0 to {logits.shape[1] - 1}; {UNKNOWN} is unknown"
        )
