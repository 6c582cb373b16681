"""The teacher of `arrays` where the file has its answers: a row a sample, in the file's order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.answers import as_logits, silent
from mke_theory.data.pool import UNKNOWN

TEACHER = "teacher"
"""The array's name."""
_ANSWERS = f"the answers in `{TEACHER}`"


def answers_in(
    arrays: dict[str, np.ndarray], alpha: str, part: np.ndarray, *, cross_fitted: bool
) -> Tensor | None:
    """The teacher's logits [n, k] for the rows of the file; None where it has no such array.

    Raises ValueError where they are no logits or probabilities of at least two classes, a label is
    beyond them, or a row that is asked about has `alpha` and no answer (NaN); and where they are
    said to be cross-fitted, and are not there.
    """
    if TEACHER not in arrays:
        if cross_fitted:
            raise ValueError(
                "arrays.cross_fitted says that the teacher's answers are cross-fitted, but the "
                f"file has no array {TEACHER!r}"
            )
        return None
    logits = as_logits(_ANSWERS, arrays[TEACHER])
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"{_ANSWERS} are {tuple(logits.shape)}; they have to be [n, k], a column a class"
        )
    highest = int(arrays["labels"].max())
    if highest >= logits.shape[1]:
        raise ValueError(
            f"labels has class {highest}, but {_ANSWERS} have {logits.shape[1]} columns, for "
            f"classes 0 to {logits.shape[1] - 1}; {UNKNOWN} is unknown"
        )
    asked = ("labelled", "unlabelled", "test") if cross_fitted else ("unlabelled", "test")
    has_alpha = ~np.isnan(arrays[alpha].reshape(len(logits), -1).astype(np.float64)).all(axis=1)
    unanswered = silent(_ANSWERS, logits) & torch.from_numpy(np.isin(part, asked) & has_alpha)
    if bool(unanswered.any()):
        row = int(unanswered.nonzero()[0])
        raise ValueError(
            f"{_ANSWERS} have none (NaN) in row {row}, of the {part[row]} part, which has {alpha}; "
            "give one, or leave the row out"
        )
    return logits
