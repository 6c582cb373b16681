"""The account of a student without the truth: what it changed, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Changes:
    """The unlabelled rows to which the student gives another class than its teacher.

    n: unlabelled rows that the teacher can read. changed: those with another class. by_class: for
    each class of the teacher its rows and the changed ones. kept_confidence, changed_confidence:
    the mean probability of the student's class, NaN where there is no such row. verdicts: on each
    further modality, "trusted", "weak" or "redundant". messages: what to know beside, in words.
    """

    n: int
    changed: int
    by_class: pd.DataFrame
    kept_confidence: float
    changed_confidence: float
    verdicts: dict[str, str]
    messages: tuple[str, ...]

    @classmethod
    def between(
        cls,
        teacher: NDArray[np.int64],
        student: NDArray[np.int64],
        sureness: NDArray[np.float64],
        classes: NDArray[Any],
        verdicts: dict[str, str],
        messages: tuple[str, ...],
    ) -> Changes:
        """The changes between two rows of class numbers [n]; `sureness` [n] is the student's."""
        changed = teacher != student
        counts = [np.bincount(x, minlength=len(classes)) for x in (teacher, teacher[changed])]
        table = pd.DataFrame({"rows": counts[0], "changed": counts[1]}, index=list(classes))
        return cls(
            len(teacher),
            int(changed.sum()),
            table,
            _mean(sureness[~changed]),
            _mean(sureness[changed]),
            verdicts,
            messages,
        )

    @classmethod
    def none(cls, classes: NDArray[Any], why: str) -> Changes:
        """The account of a plain classifier, which has no teacher to differ from."""
        empty = np.zeros(0, dtype=np.int64)
        return cls.between(empty, empty, np.zeros(0), classes, {}, (why,))

    def __str__(self) -> str:
        """Sentences for people."""
        share = f" ({self.changed / self.n:.1%})" if self.n else ""
        lines = [
            f"The student gives another class than its teacher to {self.changed} of {self.n} "
            f"unlabelled rows{share}."
        ]
        if self.changed:
            lines.append(
                f"It gives its class {self.changed_confidence:.2f} there in the mean, and "
                f"{self.kept_confidence:.2f} where they agree."
            )
        lines += [f"{name} is {verdict}." for name, verdict in self.verdicts.items()]
        return "\n".join([*lines, *self.messages])


def _mean(x: NDArray[np.float64]) -> float:
    return float(x.mean()) if len(x) else float("nan")
