"""Side information on the truth, without labels on the pool: linear facts, each with its level.

Every fact bounds a weighted sum over the joint table of pseudo label and truth,

    Σ_i p_i table[ỹ_i, y_i] ≤ at_most,

for instance the teacher's error (table 1 off the diagonal), the share of a class (a column), or one
cell of the confusion matrix. A fact that holds for the truth makes a certificate tighter and never
wrong; the probability with which it holds is stated by its source.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

ASSUMED = "assumption"
_MINUS = "minus "


@dataclass(frozen=True, eq=False)
class Fact:
    """Σ_i p_i table[ỹ_i, y_i] ≤ at_most; `table` is [classes, classes], pseudo label by truth.

    `level` is the probability with which all facts of one `source` hold together, 1 where they are
    assumed outright.

    Raises ValueError where the table is not square and finite, or the limit is not finite.
    """

    name: str
    table: Floats
    at_most: float
    level: float = 1.0
    source: str = ASSUMED

    def __post_init__(self) -> None:
        table = np.asarray(self.table, dtype=np.float64)
        if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.isfinite(table).all():
            raise ValueError(f"the table of {self.name!r} has to be square and finite")
        if not np.isfinite(self.at_most):
            raise ValueError(f"the limit of {self.name!r} is {self.at_most}; it has to be finite")
        if not 0 < self.level <= 1:
            raise ValueError(f"the level of {self.name!r} is {self.level}; it is in (0, 1]")
        object.__setattr__(self, "table", table)

    def __str__(self) -> str:
        sure = "" if self.level == 1 else f" with probability {self.level:g}"
        if self.name.startswith(_MINUS):  # a limit from below is kept as one from above
            below = rounded_up if self.level == 1 else rounded_down
            return f"{self.name.removeprefix(_MINUS)} ≥ {below(-self.at_most)}{sure}"
        # An assumption is rounded so that it assumes more, a likely limit so that it claims less.
        above = rounded_down if self.level == 1 else rounded_up
        return f"{self.name} ≤ {above(self.at_most)}{sure}"


def teacher_error_at_most(share: float, classes: int, level: float = 1.0) -> Fact:
    """The teacher errs on at most `share` (ε) of the pool. Raises ValueError outside [0, 1]."""
    _refuse_no_share("the teacher's error", share)
    return Fact("teacher's error", 1 - np.eye(classes), float(share), level)


def teacher_error_at_least(share: float, classes: int, level: float = 1.0) -> Fact:
    """The teacher errs on at least `share` of the pool. Raises ValueError outside [0, 1]."""
    _refuse_no_share("the teacher's error", share)
    return Fact(f"{_MINUS}teacher's error", np.eye(classes) - 1, -float(share), level)


def teacher_error_from_validation(
    errors: int, n: int, pool: int, classes: int, level: float = 0.95
) -> Fact:
    """The limit on the teacher's error on `pool` points after `errors` among n validated ones.

    Points are counted, so all of them have to weigh alike. It holds with probability `level` where
    validation points and pool are draws from one source, in exchangeable order: were more than m of
    the pool wrong, so few errors among the n would have a hypergeometric probability of at most
    1 − level. For a large pool it is the Clopper–Pearson limit; a small one is allowed its own
    luck, which that limit forgets.

    Raises ValueError where counts are impossible or level is outside (0, 1), TypeError where
    counts are no whole numbers.
    Ref: clopper1934confidence.
    """
    # A fraction would make the hypergeometric NaN, and the limit 0.
    errors, n, pool = (operator.index(count) for count in (errors, n, pool))
    if not 0 <= errors <= n or n < 1 or pool < 1:
        raise ValueError(
            f"{errors} errors among {n} validated points and a pool of {pool} cannot be"
        )
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")
    low, high = 0, pool  # the largest m that is still plausible lies in [low, high]
    while low < high:
        m = (low + high + 1) // 2
        if stats.hypergeom.cdf(errors, n + pool, errors + m, n) > 1 - level:
            low = m
        else:
            high = m - 1
    return replace(
        teacher_error_at_most(low / pool, classes, level), source=f"validation, {errors} of {n}"
    )


def class_shares(low: ArrayLike, high: ArrayLike, level: float = 1.0) -> tuple[Fact, ...]:
    """The share of every true class lies within [low, high], both [classes].

    Raises ValueError where an interval is empty or leaves [0, 1], or no shares could sum to one.
    """
    lower, upper = _interval("class shares", low, high, 1)
    if lower.sum() > 1 + 1e-9 or upper.sum() < 1 - 1e-9:
        raise ValueError(
            f"class shares sum to {lower.sum():.4f} at least and {upper.sum():.4f} at most; "
            "1 has to lie between"
        )
    facts: list[Fact] = []
    for k in range(len(lower)):
        table = np.zeros((len(lower), len(lower)))
        table[:, k] = 1
        facts += _both(
            f"share of class {k}", table, lower[k], upper[k], level, f"class shares {lower} {upper}"
        )
    return tuple(facts)


def confusion_between(low: ArrayLike, high: ArrayLike, level: float = 1.0) -> tuple[Fact, ...]:
    """Each share P(ỹ = j, y = k) of the pool lies in [low, high], both [classes, classes].

    Intervals from validation data need one level for all cells together (divide 1 − level by
    their number). Raises ValueError where an interval is empty or leaves [0, 1].
    """
    lower, upper = _interval("confusion", low, high, 2)
    facts: list[Fact] = []
    for j, k in np.ndindex(lower.shape):
        table = np.zeros(lower.shape)
        table[j, k] = 1
        name, low_end, high_end = f"share with ỹ = {j}, y = {k}", float(lower[j, k]), upper[j, k]
        facts += _both(name, table, low_end, float(high_end), level, f"confusion {lower} {upper}")
    return tuple(facts)


def _both(
    name: str, table: Floats, low: float, high: float, level: float, source: str
) -> tuple[Fact, ...]:
    """The facts of the two ends of an interval; an end at 0 or 1 is none."""
    most = Fact(name, table, float(high), level, source)
    least = Fact(f"{_MINUS}{name}", -table, -float(low), level, source)
    return (*((most,) if high < 1 else ()), *((least,) if low > 0 else ()))


def rounded_up(bound: float) -> str:
    """Four digits that a bound from above does not exceed."""
    return f"{math.ceil(bound * 1e4 - 1e-9) / 1e4:.4f}"


def rounded_down(limit: float) -> str:
    """Four digits that promise no less than an assumed limit."""
    return f"{math.floor(limit * 1e4 + 1e-9) / 1e4:.4f}"


def level_of(facts: tuple[Fact, ...]) -> float:
    """The probability with which all facts hold at least: failures of distinct sources add up.

    Facts of one source and level hold together; assumptions are each a source of their own.
    """
    failures = {
        (f"{fact.name} {fact.at_most}" if fact.source == ASSUMED else fact.source, fact.level): 1
        - fact.level
        for fact in facts
    }
    return max(0.0, 1 - sum(failures.values()))


def _interval(name: str, low: ArrayLike, high: ArrayLike, axes: int) -> tuple[Floats, Floats]:
    lower, upper = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if lower.ndim != axes or lower.shape != upper.shape or len(set(lower.shape)) != 1:
        raise ValueError(f"{name}: low and high have shapes {lower.shape} and {upper.shape}")
    if not ((lower >= 0) & (lower <= upper) & (upper <= 1)).all():
        raise ValueError(f"{name}: every interval needs 0 ≤ low ≤ high ≤ 1")
    return lower, upper


def _refuse_no_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is {share}; it is a share in [0, 1]")
