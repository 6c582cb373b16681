"""The account of a student against its teacher: errors corrected, labels kept, damaged, inherited.

| | student right | student wrong |
|---|---|---|
| teacher right | kept | damaged |
| teacher wrong | corrected | inherited |

The gain of a student over its teacher is (corrected − damaged)/n: two students of equal accuracy
can differ in both. Inherited errors that repeat the teacher's very label also count as `copied`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mke_theory.data.pool import UNKNOWN
from mke_theory.evaluation.stats import Interval, clopper_pearson, mcnemar

if TYPE_CHECKING:
    import pandas as pd

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """Counts of the four outcomes on the samples whose truth is known.

    Shares and accuracies are None where their denominator is 0. Their intervals are exact for
    independent samples, and too narrow for pixels of one image or samples of one group.
    """

    corrected: int
    kept: int
    damaged: int
    inherited: int
    copied: int

    def __post_init__(self) -> None:
        counts = (self.corrected, self.kept, self.damaged, self.inherited, self.copied)
        if min(counts) < 0 or self.copied > self.inherited:
            raise ValueError(
                f"counts {counts} (corrected, kept, damaged, inherited, copied) cannot be: all are "
                "at least 0 and copied is at most inherited"
            )

    @property
    def n(self) -> int:
        """Samples of known truth."""
        return self.corrected + self.kept + self.damaged + self.inherited

    @property
    def teacher_right(self) -> int:
        """Samples that the teacher labels correctly."""
        return self.kept + self.damaged

    @property
    def teacher_errors(self) -> int:
        """Samples that the teacher labels wrongly."""
        return self.corrected + self.inherited

    @property
    def student_right(self) -> int:
        """Samples that the student labels correctly."""
        return self.kept + self.corrected

    @property
    def teacher_accuracy(self) -> float | None:
        """(kept + damaged)/n."""
        return _share(self.teacher_right, self.n)

    @property
    def student_accuracy(self) -> float | None:
        """(kept + corrected)/n."""
        return _share(self.student_right, self.n)

    @property
    def gain(self) -> float | None:
        """Student's minus teacher's accuracy, (corrected − damaged)/n, in [−1, 1]."""
        return _share(self.corrected - self.damaged, self.n)

    @property
    def corrected_share(self) -> float | None:
        """The part of the teacher's errors that the student gets right."""
        return _share(self.corrected, self.teacher_errors)

    @property
    def damaged_share(self) -> float | None:
        """The part of the teacher's right answers that the student gets wrong."""
        return _share(self.damaged, self.teacher_right)

    def teacher_accuracy_interval(self, level: float = 0.95) -> Interval | None:
        """Clopper–Pearson interval of `teacher_accuracy`; None where n is 0."""
        return _interval(self.teacher_right, self.n, level)

    def student_accuracy_interval(self, level: float = 0.95) -> Interval | None:
        """Clopper–Pearson interval of `student_accuracy`; None where n is 0."""
        return _interval(self.student_right, self.n, level)

    def corrected_share_interval(self, level: float = 0.95) -> Interval | None:
        """Clopper–Pearson interval of `corrected_share`; None where the teacher never errs."""
        return _interval(self.corrected, self.teacher_errors, level)

    def damaged_share_interval(self, level: float = 0.95) -> Interval | None:
        """Clopper–Pearson interval of `damaged_share`; None where the teacher is never right."""
        return _interval(self.damaged, self.teacher_right, level)

    def to_dict(self, level: float = 0.95) -> dict[str, Any]:
        """Counts, rates and [low, high] intervals as plain JSON types; None where undefined."""
        return {
            "n": self.n,
            "corrected": self.corrected,
            "kept": self.kept,
            "damaged": self.damaged,
            "inherited": self.inherited,
            "copied": self.copied,
            "gain": self.gain,
            "teacher_accuracy": self.teacher_accuracy,
            "teacher_accuracy_interval": _ends(self.teacher_accuracy_interval(level)),
            "student_accuracy": self.student_accuracy,
            "student_accuracy_interval": _ends(self.student_accuracy_interval(level)),
            "corrected_share": self.corrected_share,
            "corrected_share_interval": _ends(self.corrected_share_interval(level)),
            "damaged_share": self.damaged_share,
            "damaged_share_interval": _ends(self.damaged_share_interval(level)),
        }


@dataclass(frozen=True)
class ConfidenceBin:
    """The tally of all samples with low ≤ confidence of the teacher ≤ high, and of no other."""

    low: float
    high: float
    tally: Tally


@dataclass(frozen=True)
class Account:
    """The account of a pool: overall, by true class, and by the teacher's confidence.

    `agreed` counts samples on which student and teacher give one label, whether or not the truth is
    known; `unknown` counts those left out of the tallies. `by_confidence` is empty where no
    confidence was given or no truth is known.
    """

    overall: Tally
    by_class: tuple[Tally, ...]
    by_confidence: tuple[ConfidenceBin, ...]
    agreed: int
    unknown: int

    @property
    def samples(self) -> int:
        """All samples, those of unknown truth included."""
        return self.overall.n + self.unknown

    @property
    def agreement(self) -> float:
        """Share of all samples on which student and teacher give one label."""
        return self.agreed / self.samples

    def agreement_interval(self, level: float = 0.95) -> Interval:
        """Clopper–Pearson interval of `agreement`."""
        return clopper_pearson(self.agreed, self.samples, level)

    @property
    def mcnemar(self) -> float | None:
        """Exact p-value of "the student is right as often as its teacher"; None without truth."""
        if self.overall.n == 0:
            return None
        return mcnemar(self.overall.corrected, self.overall.damaged)

    def to_frame(self) -> pd.DataFrame:
        """Counts and rates, first a row for all samples of known truth, then one for each class.

        The index is "all", then the class numbers. Columns: n, the five counts, gain, both
        accuracies and both shares, named as in `Tally`; NaN where a denominator is 0.
        """
        import pandas as pd  # here, because whoever only trains does without

        counts = ["n", "corrected", "kept", "damaged", "inherited", "copied"]
        rates = [
            "gain",
            "teacher_accuracy",
            "student_accuracy",
            "corrected_share",
            "damaged_share",
        ]
        tallies = (self.overall, *self.by_class)
        rows = [[getattr(tally, name) for name in counts + rates] for tally in tallies]
        index = pd.Index(["all", *range(len(self.by_class))], name="class")
        return pd.DataFrame(rows, index, counts + rates).astype(dict.fromkeys(rates, "float64"))

    def __str__(self) -> str:
        """One line for people: accuracies, corrected and damaged with 95% intervals."""
        total = self.overall
        if total.n == 0:
            return f"truth unknown; student and teacher agree on {_percent(self.agreement)}"
        return (
            f"teacher {_percent(total.teacher_accuracy)}, student "
            f"{_percent(total.student_accuracy)} of {total.n}; corrected {total.corrected} of "
            f"{total.teacher_errors} errors{_in_brackets(total.corrected_share_interval())}; "
            f"damaged {total.damaged} of {total.teacher_right} right answers"
            f"{_in_brackets(total.damaged_share_interval())}"
        )

    def to_dict(self, level: float = 0.95) -> dict[str, Any]:
        """The account as plain JSON types; `by_class` is in the order of the class numbers."""
        return {
            "level": level,
            "samples": self.samples,
            "unknown": self.unknown,
            "agreed": self.agreed,
            "agreement": self.agreement,
            "agreement_interval": _ends(self.agreement_interval(level)),
            "mcnemar": self.mcnemar,
            "overall": self.overall.to_dict(level),
            "by_class": [tally.to_dict(level) for tally in self.by_class],
            "by_confidence": [
                {"low": part.low, "high": part.high, **part.tally.to_dict(level)}
                for part in self.by_confidence
            ],
        }


def accuracy(predictions: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The share of the samples of known class that is right, a float64 scalar; NaN where none is.

    A prediction of −1 is a wrong one. No value is looked at, so that it can be vmapped.
    """
    known = truth != UNKNOWN
    return ((predictions == truth) & known).sum().double() / known.sum()


def account(
    truth: ArrayLike | torch.Tensor,
    teacher: ArrayLike | torch.Tensor,
    student: ArrayLike | torch.Tensor,
    *,
    classes: int,
    confidence: ArrayLike | torch.Tensor | None = None,
    bins: int = 5,
) -> Account:
    """The account of `student` against `teacher` on a pool; counts do not depend on sample order.

    `truth`, `teacher` and `student` are class numbers in 0..classes−1, all [n] or all [n, h, w];
    truth may be −1 for unknown. Dense labels are counted by the pixel: counts and shares stand, but
    neighbouring pixels are no independent samples, so intervals and p-value are too narrow there.
    `confidence`, of the same shape and in [0, 1], is the teacher's: samples of known truth are cut
    into `bins` bins of counts that differ by at most one. Equal confidences stay in one bin, so
    ties make the bins uneven, or fewer.

    Raises TypeError where labels are not integers, and ValueError where shapes differ, the pool is
    empty, a label or a confidence is out of range, classes < 2 or bins < 1.
    """
    if classes < 2 or bins < 1:
        raise ValueError(f"classes is {classes} and bins is {bins}; at least 2 and 1 are needed")
    y = _labels("truth", truth, UNKNOWN, classes)
    pseudo = _labels("teacher", teacher, 0, classes)
    prediction = _labels("student", student, 0, classes)
    _refuse_other_shapes(y.shape, {"teacher": pseudo.shape, "student": prediction.shape})
    agreed = int((pseudo == prediction).sum())
    known = y != UNKNOWN
    outcome = _outcomes(y[known], pseudo[known], prediction[known])
    by_confidence: tuple[ConfidenceBin, ...] = ()
    if confidence is not None:
        sure = _confidence(confidence)
        _refuse_other_shapes(y.shape, {"confidence": sure.shape})
        by_confidence = _by_confidence(outcome, sure[known], bins)
    (overall,) = _tallies(outcome, np.zeros_like(outcome), 1)
    by_class = _tallies(outcome, y[known], classes)
    return Account(overall, by_class, by_confidence, agreed, y.size - overall.n)


def _outcomes(truth: Labels, teacher: Labels, student: Labels) -> Labels:
    """0 corrected, 1 kept, 2 damaged, 3 inherited with another label, 4 inherited and copied."""
    teacher_right, student_right = teacher == truth, student == truth
    return np.select(
        [~teacher_right & student_right, teacher_right & student_right, teacher_right],
        [0, 1, 2],
        np.where(teacher == student, 4, 3),
    )


def _tallies(outcome: Labels, part: Labels, parts: int) -> tuple[Tally, ...]:
    """One tally for each of the parts 0, …, parts − 1 in which the samples lie."""
    table = np.bincount(part * 5 + outcome, minlength=parts * 5).reshape(parts, 5)
    return tuple(
        Tally(corrected, kept, damaged, other + copied, copied)
        for corrected, kept, damaged, other, copied in table.tolist()
    )


def _by_confidence(
    outcome: Labels, confidence: NDArray[np.float64], bins: int
) -> tuple[ConfidenceBin, ...]:
    value, rank, count = np.unique(confidence, return_inverse=True, return_counts=True)
    # Each distinct value goes where the middle of its ranks falls: ties stay in one bin, and
    # without ties the bins are equal. Doubled ranks keep this in whole numbers.
    middle = 2 * np.cumsum(count) - count
    used, bin_of_value = np.unique(middle * bins // (2 * confidence.size), return_inverse=True)
    tallies = _tallies(outcome, bin_of_value[rank], len(used))
    held = [value[bin_of_value == b] for b in range(len(used))]
    return tuple(
        ConfidenceBin(float(inside[0]), float(inside[-1]), tally)
        for inside, tally in zip(held, tallies, strict=True)
    )


def _labels(name: str, labels: ArrayLike | torch.Tensor, lowest: int, classes: int) -> Labels:
    x = labels.detach().cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if x.size == 0:
        raise ValueError(f"{name} has no samples (shape {x.shape}); an account needs at least one")
    if x.dtype.kind not in "iu":
        raise TypeError(
            f"{name} is {x.dtype}; give class numbers as integers (argmax over the class axis "
            "turns scores into them)"
        )
    outside = x[(x < lowest) | (x >= classes)]
    if outside.size:
        unknown = f", and {UNKNOWN} for unknown" if lowest == UNKNOWN else ""
        raise ValueError(f"{name} holds {outside[0]}; allowed are 0 to {classes - 1}{unknown}")
    return x.astype(np.int64)


def _confidence(confidence: ArrayLike | torch.Tensor) -> NDArray[np.float64]:
    if isinstance(confidence, torch.Tensor):
        confidence = confidence.detach().cpu().double().numpy()
    x = np.asarray(confidence, dtype=np.float64)
    outside = x[~((x >= 0) & (x <= 1))]
    if outside.size:
        raise ValueError(
            f"confidence holds {outside[0]}; allowed is [0, 1], for instance the teacher's largest "
            "class probability"
        )
    return x


def _refuse_other_shapes(shape: Sequence[int], others: dict[str, tuple[int, ...]]) -> None:
    for name, other in others.items():
        if tuple(shape) != other:
            raise ValueError(
                f"{name} has shape {other} but truth has {tuple(shape)}; give one entry a sample, "
                f"and {UNKNOWN} as truth where it is unknown"
            )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _interval(part: int, whole: int, level: float) -> Interval | None:
    return clopper_pearson(part, whole, level) if whole else None


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{100 * share:.1f}%"


def _in_brackets(interval: Interval | None) -> str:
    return "" if interval is None else f" [{100 * interval.low:.0f}, {100 * interval.high:.0f}]%"
