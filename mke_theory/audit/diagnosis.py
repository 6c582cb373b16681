"""A look ahead: is a second modality worth training on, before any student and without labels.

Five questions, each with its number: can β foretell the teacher's answers at all; may α and β be
independent given the class; what gain follows if they are; where would it come from; and how many
labels would an audit of it take. The first decides without assumption, the others rest on
conditional independence and on a calibrated teacher, and where the table of cells refutes the one,
no gain is promised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from mke_theory.audit.betting import Floats, log_evidence
from mke_theory.audit.comparison import points
from mke_theory.audit.implied import (
    Implied,
    Ints,
    decided,
    implied,
    temperature_of,
    tempered,
)
from mke_theory.audit.independence import RankTest, rank_test
from mke_theory.audit.reading import cells_of, read
from mke_theory.data.rng import seed_for
from mke_theory.evaluation.stats import Interval

Outlook = Literal["worth training", "adds nothing", "undecidable"]

WORTH = 0.01
"""A gain whose upper end is below a point is none."""
_SMALLEST = 1e-6
_ORDERS = 200


@dataclass(frozen=True)
class Diagnosis:
    """The result of `diagnose`.

    outlook: the verdict, and `reason` in words.
    information: I(ỹ; β) in nats that classifiers show of samples that they were not trained on.
    chance: as much as it shows by chance at 5% if there is none, at least 0. p_value: of none.
    independence: the test of the rank; None where there are too few cells for it.
    regression_p: of chances of β's cells as far below 0 as the lowest, if α ⟂ β | y; the largest
    over the temperatures that the labels leave.
    gain: predicted accuracy of the sum of evidence − the teacher's on these samples, if α and β are
    independent given the class. teacher, beta: predicted accuracies of the teacher and of β alone.
    measured: the teacher's accuracy on D_l; None without labels. temperature: that calibrates it.
    condition: of the teacher's confusion; its root multiplies the noise of all that is implied.
    changed: the share of samples that the sum would label otherwise; changed_by_class: the same
    among those that the teacher gives each class, None where it gives one never.
    labels: of an audit if the prediction is right, the median and 90% of orders; infinite where
    none would show the gain. decisions: the class of each sample by the sum of evidence [n].
    """

    outlook: Outlook
    reason: str
    information: float
    chance: float
    p_value: float
    independence: RankTest | None
    regression_p: float
    gain: Interval
    teacher: float
    beta: float
    measured: float | None
    temperature: float
    condition: float
    changed: float
    changed_by_class: tuple[float | None, ...]
    labels: tuple[float, float]
    decisions: Ints = field(compare=False, repr=False)

    @property
    def refuted(self) -> bool:
        """True where conditional independence is refuted at 5%, by either of the two tests."""
        found = [self.regression_p]
        if self.independence is not None:
            found.append(self.independence.p_value)
        return min(found) * len(found) <= 0.05

    def __str__(self) -> str:
        """Sentences for people: the verdict, and the numbers behind it."""
        low, high = (points(end, sign=True) for end in (self.gain.low, self.gain.high))
        lines = [
            f"{self.outlook.capitalize()}: {self.reason}",
            f"beta tells {self.information:.3f} nats of the teacher's answers "
            f"(by chance up to {self.chance:.3f}, p = {self.p_value:.3f}).",
            f"If both are independent given the class: gain {low} to {high} points "
            f"({100 * self.gain.level:g}%), teacher {points(self.teacher)}%, beta alone "
            f"{points(self.beta)}%; {points(self.changed)}% of the samples would change.",
            f"That independence is {'refuted' if self.refuted else 'not refuted'}{self._tests()}.",
        ]
        if math.isfinite(self.labels[0]):
            most = f", in 90% of orders at most {self.labels[1]:.0f}"
            most *= math.isfinite(self.labels[1])
            lines.append(f"An audit would take about {self.labels[0]:.0f} labels{most}.")
        return "\n".join(lines)

    def _tests(self) -> str:
        if self.independence is None:
            return f" (negative chances: p = {self.regression_p:.3f})"
        seen = self.independence.visible
        power = f"{seen:.2f} or more" if seen is not None else "of no size tried"
        return (
            f" (rank: p = {self.independence.p_value:.3f}; negative chances: p = "
            f"{self.regression_p:.3f}; a correlation within classes {power} would mostly be seen)"
        )


def diagnose(
    teacher: ArrayLike,
    beta: ArrayLike,
    *,
    labelled: tuple[ArrayLike, ArrayLike] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Diagnosis:
    """Look at a teacher and a second modality before a student is trained, without labels of D_u.

    teacher: its probabilities on D_u [n, classes]. beta: the second modality of the same samples in
    the same order [n, ...], numbers without NaN; of images give embeddings by an encoder, rather
    than pixels.
    labelled: the teacher's probabilities on D_l [m, classes], from models that were not trained on
    the sample (cross-fitted), and the labels [m]; they calibrate it by a temperature. Without them
    it is taken to be calibrated.
    level: of the interval of the gain. It covers the chance of D_u and of the temperature, and is
    right only if α and β are independent given the class and the teacher is calibrated.

    Raises ValueError and TypeError where arrays do not fit, rows are no probabilities, a number is
    missing, or there are fewer than 20 samples a class; what to do about it is said.
    """
    p, x = _probabilities("teacher", teacher), _features(beta)
    _refuse_unfit(p, x, level)
    temperature, error, measured = 1.0, 0.0, None
    if labelled is not None:
        known, labels = _labelled(labelled, p.shape[1])
        temperature, error = temperature_of(np.log(known), labels)
        measured = float((known.argmax(axis=1) == labels).mean())
    return _found(np.log(p), x, (temperature, error), measured, level, seed)


def _found(
    logs: Floats,
    x: Floats,
    temperature: tuple[float, float],
    measured: float | None,
    level: float,
    seed: int,
) -> Diagnosis:
    n, classes = logs.shape
    answers, p = logs.argmax(axis=1), tempered(logs, temperature[0])
    reading = read(x, answers, classes, seed)
    levels = 4 if classes == 2 else max(2, min(4, n // (30 * classes)))
    cells, count = cells_of(reading.probabilities, levels), levels * classes
    rank = rank_test(
        cells_of(p, levels), cells, (count, count), p, seed_for(seed, "diagnosis", "rank")
    )
    found = implied(p, cells, count, seed_for(seed, "diagnosis", "implied"))
    sums, q = decided(p, cells, found.confusion)
    changed = sums != answers
    others = [
        implied(
            tempered(logs, temperature[0] * math.exp(side * temperature[1])), cells, count, seed
        )
        for side in ((-1, 1, -2, 2) if temperature[1] else ())
    ]
    # The larger move of the prediction by one standard error of the temperature.
    by_temperature = max((abs(one.gain - found.gain) for one in others[:2]), default=0.0)
    gain = _interval(found, q, sums, answers, by_temperature, level)
    shares = [
        float(changed[answers == k].mean()) if (answers == k).any() else None
        for k in range(classes)
    ]
    numbers = Diagnosis(
        "undecidable",
        "",
        reading.information,
        max(0.0, float(np.quantile(reading.null, 0.95))),
        reading.p_value,
        rank,
        max(one.p_value for one in (found, *others)),
        gain,
        found.teacher,
        found.beta,
        measured,
        temperature[0],
        found.condition,
        float(changed.mean()),
        tuple(shares),
        _labels(q[changed], sums[changed], answers[changed], seed),
        sums,
    )
    outlook, reason = _judged(numbers)
    return replace(numbers, outlook=outlook, reason=reason)


def _judged(found: Diagnosis) -> tuple[Outlook, str]:
    """The verdict and its reason."""
    if found.p_value > 0.05:
        return "adds nothing", "beta says nothing of the teacher's answers that could be learned."
    about = "a few dozen"
    if math.isfinite(found.labels[1]):
        about = f"about {found.labels[1]:.0f}"
    if found.refuted:
        return "undecidable", (
            "alpha and beta have more in common than the class, and what that does to a student "
            f"no unlabelled pair can tell. Train one, and look up {about} labels to see."
        )
    if found.gain.high < WORTH:
        return "adds nothing", "the gain that beta could bring is below a point."
    if found.gain.low > 0:
        return "worth training", "a gain is predicted; an audit of the student will show it."
    return "undecidable", (
        "the gain that is predicted cannot be told from none. Train a student, and look up "
        f"{about} labels to see."
    )


def _interval(
    found: Implied, q: Floats, sums: Ints, answers: Ints, by_temperature: float, level: float
) -> Interval:
    """The interval of the gain on these samples: its prediction's error, and chance on them."""
    n, each = len(q), np.arange(len(q))
    up, down = q[each, sums], q[each, answers]
    # The gain of a sample is 1, 0 or −1; on n samples its mean has chance of its own.
    chance = (float(np.where(sums != answers, up + down, 0.0).mean()) - found.gain**2) / n
    error = math.sqrt(found.error**2 + max(chance, 0.0) + by_temperature**2)
    reach = float(ndtri((1 + level) / 2)) * error
    return Interval(found.gain - reach, found.gain + reach, level)


def _labels(q: Floats, sums: Ints, answers: Ints, seed: int) -> tuple[float, float]:
    """Labels of an audit if q is right: the median and the 90% quantile over orders."""
    if not len(q):
        return math.inf, math.inf
    random = np.random.default_rng(seed_for(seed, "diagnosis", "labels"))
    each = np.arange(len(q))
    up, down = q[each, sums], q[each, answers]
    needed = np.full(_ORDERS, math.inf)
    for i in range(_ORDERS):
        u, order = random.random(len(q)), random.permutation(len(q))
        y = np.where(u < up, 1.0, np.where(u < up + down, 0.0, 0.5))[order]
        reached = np.flatnonzero(log_evidence(y, len(y) / 2, len(y)) >= math.log(20))
        needed[i] = reached[0] + 1 if len(reached) else math.inf
    needed.sort()
    return float(needed[_ORDERS // 2]), float(needed[9 * _ORDERS // 10])


# Input


def _probabilities(name: str, values: ArrayLike) -> Floats:
    """Probabilities [n, classes] above 0; says what else they look like."""
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2 or not len(p):
        raise ValueError(f"{name} has shape {p.shape}; give probabilities [n, classes]")
    if not np.isfinite(p).all():
        row = int((~np.isfinite(p)).any(axis=1).argmax())
        raise ValueError(f"{name} holds {p[row].tolist()} in sample {row}; give numbers")
    off = np.abs(p.sum(axis=1) - 1)
    if p.min() < 0 or off.max() > 1e-3:
        row = int(off.argmax())
        looks = "logits; give their softmax" if p.min() < 0 or p.max() > 1 else "no distribution"
        raise ValueError(f"{name} has the row {p[row].tolist()} in sample {row}: {looks}")
    p = np.maximum(p, _SMALLEST)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _features(beta: ArrayLike) -> Floats:
    x = np.asarray(beta, dtype=np.float64)
    if x.ndim < 1 or not x.size:
        raise ValueError(f"beta has shape {x.shape}; give numbers [n, ...]")
    if not np.isfinite(x).all():
        row = int((~np.isfinite(x.reshape(len(x), -1))).any(axis=1).argmax())
        raise ValueError(f"beta has a missing or infinite number in sample {row}; leave it out")
    return x.reshape(len(x), -1)


def _refuse_unfit(p: Floats, x: Floats, level: float) -> None:
    if len(p) != len(x):
        raise ValueError(
            f"teacher has {len(p)} samples and beta {len(x)}; give both for the same samples"
        )
    if len(p) < 20 * p.shape[1]:
        raise ValueError(
            f"there are {len(p)} samples for {p.shape[1]} classes; at least 20 a class are needed"
        )
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")


def _labelled(labelled: tuple[ArrayLike, ArrayLike], classes: int) -> tuple[Floats, Ints]:
    known, labels = _probabilities("labelled", labelled[0]), np.asarray(labelled[1])
    if known.shape != (len(labels), classes):
        raise ValueError(
            f"labelled has probabilities {known.shape} and {labels.shape} labels; give "
            f"[m, {classes}] and [m]"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels of labelled have to be class numbers 0 to {classes - 1}")
    return known, labels.astype(np.int64)
