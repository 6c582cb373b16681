"""A bound is its hypotheses, each with a status, and its value; neither is shown without the other.

A hypothesis *holds* or is *violated* where the pool decides it, and is *not checkable* where it
does not: the truth is missing, a number was assumed, or an interval straddles the requirement. It
is *not shown* where more was asked for than the theorem needs, and that much is not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.evaluation.stats import Interval, clopper_pearson
from mke_theory.theory.labelled_pool import LabelledPool

Mask = NDArray[np.bool_]
Status = Literal["holds", "violated", "not shown", "not checkable"]
Measured = float | tuple[float, float] | None
"""A number, an interval (lower, upper) that is certain to hold it, or None where nobody knows."""

ROUNDING = 1e-12
"""An inequality that allows equality may be missed by this, since sums of shares are rounded."""
GAP = 1e-6
"""A strict inequality has to hold by more than this, times the limit where that is above 1.

Sums over a pool are off by about 1e-16, and by 1e-11 over a million points: enough to put a tie on
either side of its limit, and a formula that divides by what is left then says anything. Beyond the
gap a value is off by some 1e-9, and for a million points by 1e-5. Little is lost: closer to its
limit a bound says more than the triangle inequality only where shares agree to about 1e-6, and with
fewer than 100,000 points of equal weight no a, and no ratio of weights in a class, comes that close
without being equal.
"""


@dataclass(frozen=True)
class Hypothesis:
    """One condition of a theorem: the requirement, the number measured, and the status."""

    name: str
    status: Status
    measured: Measured
    required: str
    why: str = ""

    def __str__(self) -> str:
        reason = f" ({self.why})" if self.why else ""
        if self.measured is None:
            return f"{self.status}: {self.name}, must be {self.required}{reason}"
        between = isinstance(self.measured, tuple)
        found = f"{'in' if between else '='} {number(self.measured)}"
        return f"{self.status}: {self.name} {found}, must be {self.required}{reason}"


@dataclass(frozen=True)
class MeasuredError:
    """The bounded quantity, measured on the pool: `share`, and as a count where weights are equal.

    `mistakes` of `points` are None where the points do not weigh alike, or the quantity is no
    share.
    """

    share: float
    mistakes: int | None = None
    points: int | None = None

    def interval(self, level: float = 0.95) -> Interval | None:
        """The exact interval for the error on what the pool was drawn from; None without a count.

        It covers with probability at least `level` if the points are independent draws and the
        student was fixed before they were seen. A student trained on this very pool was not.
        """
        if self.mistakes is None or not self.points:
            return None
        return clopper_pearson(self.mistakes, self.points, level)


@dataclass(frozen=True)
class Bound:
    """An upper bound on `quantity` over `scope`, with the hypotheses it stands on.

    `value` is None where a constant is missing or a denominator does not clearly exceed zero.
    `trivial` is what is known without the theorem: 1 for an error, or where the teacher's error is
    known the triangle inequality, Err(ỹ) + L01(f, ỹ), if that is less. `reference` is a key of the
    bibliography and the number of the theorem.

    Raises ValueError where value, trivial or a constant is NaN, or value is infinite.
    """

    name: str
    reference: str
    scope: str
    quantity: str
    value: float | None
    hypotheses: tuple[Hypothesis, ...]
    constants: Mapping[str, float] = field(default_factory=dict)
    trivial: float = 1.0
    measured: MeasuredError | None = None

    def __post_init__(self) -> None:
        numbers = {"trivial": self.trivial, **self.constants}
        for name, given in numbers.items():
            if math.isnan(given):
                raise ValueError(f"{name} of {self.name!r} is NaN; leave out what is not known")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"the value of {self.name!r} is {self.value}; give None instead")

    @property
    def status(self) -> Status:
        """The worst of its hypotheses: violated, not shown, not checkable, holds."""
        found = {hypothesis.status for hypothesis in self.hypotheses}
        worst_first: tuple[Status, ...] = ("violated", "not shown", "not checkable")
        return next((status for status in worst_first if status in found), "holds")

    @property
    def vacuous(self) -> bool:
        """True where there is a value and it is no smaller than the trivial one."""
        return self.value is not None and self.value >= self.trivial - ROUNDING

    @property
    def about(self) -> str:
        """The bounded quantity and its scope, in one phrase."""
        return self.quantity if self.scope == "pool" else f"{self.quantity}, {self.scope}"

    @property
    def verdict(self) -> str:
        """The status, and "vacuous" where the value is."""
        return f"{self.status}, vacuous" if self.vacuous else self.status

    def failed(self, status: Status = "violated") -> tuple[Hypothesis, ...]:
        """The hypotheses with that status."""
        return tuple(h for h in self.hypotheses if h.status == status)

    def __str__(self) -> str:
        head = f"{self.about} ≤ {shown(self.value)} ({self.verdict})"
        lines = [f"{self.name} [{self.reference}]: {head}"]
        if self.measured is not None:
            lines.append(f"  measured: {number(self.measured.share)}")
        if self.constants:
            shares = (f"{name} = {number(value)}" for name, value in self.constants.items())
            lines.append(f"  constants: {', '.join(shares)}")
        return "\n".join([*lines, *(f"  {hypothesis}" for hypothesis in self.hypotheses)])


def exceeds(value: float, limit: float) -> bool:
    """True where value > limit beyond doubt: by more than `GAP`, so that no tie passes."""
    return value > limit + GAP * max(1.0, abs(limit))


def compared(
    name: str,
    measured: Measured,
    relation: Literal["<", "≤", ">", "≥"],
    limit: float,
    *,
    label: str | None = None,
    required: str | None = None,
    checked: bool = True,
    failure: Status = "violated",
    why: str = "",
) -> Hypothesis:
    """The hypothesis `measured relation limit`; `label` spells the limit, `required` all of it.

    A strict relation has to hold as in `exceeds`. An interval holds (or fails) where both its ends
    do, and is not checkable where they differ. With `checked` False the number is an assumption,
    which can be violated but never holds. `failure` is the status where it fails.
    """
    if required is None:
        required = f"{relation} {number(limit) if label is None else label}"
    if measured is None:
        return Hypothesis(name, "not checkable", None, required, why)
    ends = measured if isinstance(measured, tuple) else (measured,)
    if any(math.isnan(end) for end in ends):
        raise ValueError(f"{name} is {measured}; give a number or leave it out")
    answers = {_satisfies(end, relation, limit) for end in ends}
    if answers == {False}:
        return Hypothesis(name, failure, measured, required, why)
    if len(answers) == 2:
        straddle = why or "the interval straddles the requirement"
        return Hypothesis(name, "not checkable", measured, required, straddle)
    if not checked:
        return Hypothesis(name, "not checkable", measured, required, why or "assumed, not measured")
    return Hypothesis(name, "holds", measured, required, why)


def _satisfies(value: float, relation: str, limit: float) -> bool:
    slack = ROUNDING * max(1.0, abs(limit))
    if relation == "<":
        return exceeds(limit, value)
    if relation == "≤":
        return value <= limit + slack
    if relation == ">":
        return exceeds(value, limit)
    return value >= limit - slack


def lower_end(measured: Measured) -> float | None:
    """The number that is certain: the lower end of an interval, or the number itself."""
    return measured[0] if isinstance(measured, tuple) else measured


def student_error_on(pool: LabelledPool, within: Mask | None = None) -> MeasuredError | None:
    """P(f ≠ y | within), counted where all points weigh alike; None without truth or weight."""
    if pool.truth is None:
        return None
    inside = np.ones(pool.graph.n, np.bool_) if within is None else within
    wrong = inside & (pool.student != pool.truth)
    mass = pool.share(inside)
    if mass == 0:
        return None
    weights = pool.graph.weights
    if np.ptp(weights) > ROUNDING * weights.max():
        return MeasuredError(pool.share(wrong) / mass)
    mistakes, points = int(wrong.sum()), int(inside.sum())
    return MeasuredError(mistakes / points, mistakes, points)


def covered_points(pool: LabelledPool, covered: ArrayLike) -> Mask:
    """`covered` as a mask [n], true where the teacher gave a label; raises ValueError otherwise."""
    mask = np.asarray(covered)
    if mask.dtype != np.bool_ or mask.shape != (pool.graph.n,):
        raise ValueError(
            f"covered is {mask.dtype} of shape {mask.shape}; give one truth value for each of the "
            f"{pool.graph.n} points"
        )
    return mask


def trivial_error(teacher_error: float | None, disagreement: float) -> float:
    """min{1, Err(ỹ) + L01(f, ỹ)}, the bound of the triangle inequality, without a theorem."""
    return 1.0 if teacher_error is None else min(1.0, teacher_error + disagreement)


def checked_share(name: str, value: float) -> float:
    """`value` as a share; raises ValueError outside [0, 1], where rounding is forgiven."""
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise ValueError(f"{name} is {value}; it is a share, so give a number from 0 to 1")
    return min(max(float(value), 0.0), 1.0)


def number(value: Measured) -> str:
    """A number with three digits, an interval as [lower, upper]."""
    if isinstance(value, tuple):
        return f"[{number(value[0])}, {number(value[1])}]"
    if value is None:
        return "unknown"
    return "∞" if value == math.inf else f"{value:.3g}"


def shown(value: float | None) -> str:
    """A value rounded up to three decimals, so that what is printed still bounds; "–" for None."""
    return "–" if value is None else f"{math.ceil(value * 1000 - 1e-9) / 1000:.3f}"
