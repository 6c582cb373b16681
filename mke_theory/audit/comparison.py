"""The student against its teacher: labels where they differ, until one of them is shown better."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from mke_theory.audit.asking import Ask, Asking
from mke_theory.audit.labels import Classes
from mke_theory.audit.pair import Pair, drawn_order, predictions_of
from mke_theory.audit.race import Race, Verdict
from mke_theory.audit.sheet import Sheet
from mke_theory.evaluation.stats import Interval


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    verdict: of the gain against the margin. "better" is above it, "worse" below, "equal" the same;
    "not better" is at most the margin whatever the other labels are; "undecided" is not shown.
    certain: no probability is in it, for what is not looked up cannot change it.
    gain: a confidence interval of accuracy of the student − accuracy of the teacher on the pool,
    valid whenever one stops; one-sided, its upper end is the largest that is still possible.
    samples: N, all samples of the pool. differing: M, those on which student and teacher differ.
    labels: looked up, of which the student is right on `student_right`, the teacher on
    `teacher_right`, neither on `neither`, and nobody could tell on `cannot_tell`; of images, the
    student has more pixels right on the first number, fewer on the second, as many on the third.
    decided_after: the number of labels at which the verdict was reached, None without one.
    evidence: the largest W of the claim "better" so far.
    margin: the gain that was to be exceeded. sides: 1, or 2 where "worse" was asked for too.
    waiting: rows of the file that wait for a label.
    """

    verdict: Verdict
    certain: bool
    gain: Interval
    samples: int
    differing: int
    labels: int
    student_right: int
    teacher_right: int
    neither: int
    cannot_tell: int
    decided_after: int | None
    evidence: float
    margin: float
    sides: int
    waiting: int = 0

    @property
    def p_value(self) -> float:
        """The p-value of "the gain is at most the margin", valid whenever one stops."""
        return min(1.0, 1 / self.evidence)

    def __str__(self) -> str:
        """Sentences for people: the verdict, what it rests on, and what it does not speak of."""
        unsure = f"; {self.cannot_tell} could not be told" if self.cannot_tell else ""
        return (
            f"{self._verdict()}\nGain on these samples: {self._gain()}. "
            "This says nothing of others.\n"
            f"They differ on {self.differing} of {self.samples} samples; "
            f"of {self.labels} looked up the student is right on {self.student_right}, "
            f"the teacher on {self.teacher_right}, neither on {self.neither}{unsure}."
        )

    def _verdict(self) -> str:
        than = "its teacher"
        if self.margin:
            than = f"its teacher {points(self.margin, sign=True)} points"
        if self.verdict == "undecided":
            claims = "better or worse" if self.sides == 2 else "better"
            against = self.sides == 1 and self.teacher_right > self.student_right
            hint = " So far the teacher is right more often; sides=2 asks for that." * against
            return f"Not shown to be {claims} than {than} by {many(self.labels, 'label')}.{hint}"
        words = "as good as" if self.verdict == "equal" else f"{self.verdict} than"
        sure = "certain" if self.certain else f"{100 * self.gain.level:g}%"
        after = many(self.decided_after or 0, "label")
        return f"The student is {words} {than} ({sure}), after {after}."

    def _gain(self) -> str:
        low, high = (points(end, sign=True) for end in (self.gain.low, self.gain.high))
        return f"exactly {low} points" if low == high else f"{low} to {high} points"


def compare(
    student: ArrayLike,
    teacher: ArrayLike,
    ask: Ask | Sheet,
    *,
    classes: int | Sequence[str],
    answers: MutableMapping[int, Any] | None = None,
    level: float = 0.95,
    sides: int = 1,
    margin: float = 0.0,
    budget: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Look up labels where student and teacher differ until the student is shown to be better.

    The claim "better" is false with probability at most 1 − level, for every pool, however often
    one looks and whenever one stops; the samples are drawn from those that differ, without
    replacement, in an order that `seed` fixes. Labels are taken to be true, and to have had no part
    in making the student.

    student, teacher: class numbers (or names) [n] for the same samples in the same order. Maps
    [n, h, w] are allowed: a sample is then an image, a label its map, −1 where unknown, and the
    gain the mean over images of the share of pixels (unlabelled ones included) that the student
    alone has right, minus that of the teacher alone.
    ask: from a position to its class, None for "cannot tell"; or a `Sheet` for a person.
    classes: their number, or their names.
    answers: classes by position that are known already; new ones are added at once, so that an
    interrupted audit goes on, and a corrected one is computed again.
    level: of the verdict and of the interval.
    sides: 1 asks for "better" alone; 2 also for "worse", each with half of 1 − level.
    margin: the gain to be exceeded, in (−1, 1).
    budget: the most labels, those that are known included.
    seed: of the order.

    "Cannot tell" counts against either claim. Where all differing samples are looked up the gain
    is exact; where they never differ it is 0 and nobody is asked.

    Raises TypeError and ValueError for predictions, labels or settings that are not as described,
    OSError where the file of a `Sheet` cannot be read or written. Answers so far are kept.
    Ref: waudbysmith2024estimating, section 5; stark2023alpha.
    """
    refuse_settings(level, sides, margin, budget)
    named = Classes.of(classes)
    pair = Pair(*predictions_of([("student", student), ("teacher", teacher)], named))
    order = drawn_order(pair.rows, seed)
    asking = Asking.of(ask, order, (pair.first, pair.second), named, answers, "compare")
    race = Race(pair, (1 - level) / sides, margin, sides)

    def goes_on(given: int) -> bool:
        return race.verdict == "undecided" and (budget is None or given < budget)

    for sample, label in asking.labels(goes_on):
        race.push(*pair.value(sample, label))
    waiting = asking.write(order[:budget]) if race.verdict == "undecided" else 0
    return Comparison(
        race.verdict,
        race.certain,
        race.interval(level),
        pair.samples,
        len(order),
        len(race.lows),
        *race.counts(),
        race.decided_after,
        math.exp(min(race.better.greatest, 700.0)),  # e⁷⁰⁰ is about the largest number
        margin,
        sides,
        waiting,
    )


def refuse_settings(level: float, sides: int, margin: float, budget: int | None) -> None:
    """Raise ValueError where one of them is out of range."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")
    if sides not in (1, 2):
        raise ValueError(f"sides is {sides}; 1 asks for 'better', 2 for 'better' or 'worse'")
    if not -1 < margin < 1:
        raise ValueError(
            f"margin is {margin}; a difference of accuracies lies between −1 and 1 (a point is "
            "0.01)"
        )
    if budget is not None and budget < 0:
        raise ValueError(f"budget is {budget}; give the most labels to look up, or None")


def points(share: float, *, sign: bool = False) -> str:
    """A share in points, with one decimal place: "7.4", or "+7.4" with its sign."""
    text = f"{100 * share:+.1f}" if sign else f"{100 * share:.1f}"
    return "0.0" if text.strip("+-") == "0.0" else text


def many(n: int, noun: str) -> str:
    """The number and its noun: "1 label", "2 labels"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
