"""Side information on the truth, without labels on the pool: linear facts, each with its level.

Every fact bounds a weighted sum over the joint table of pseudo label and truth,

    Σ_i p_i table[ỹ_i, y_i] ≤ at_most,

for instance the teacher's error (table 1 off the diagonal), the share of a class (a column), or one
cell of the confusion matrix. A fact that holds for the truth makes a certificate tighter and never
wrong; the probability with which it holds is stated by its source. A fact with a level below 1 is
about the pool that it was made for, by the number of its points and their weights, and a
certificate on a pool that differs in these refuses it.
"""

from __future__ import annotations

import hashlib
import math
import operator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

ASSUMED = "assumption"
EQUAL = "equal"
_MINUS = "minus "


@dataclass(frozen=True)
class PoolKey:
    """The identity of a pool, as far as facts go: its number of points, and how they weigh."""

    points: int
    weights: str = EQUAL

    def __str__(self) -> str:
        return f"{self.points} points of {self.weights} weights"


def pool_key(weights: ArrayLike) -> PoolKey:
    """The key of a pool with point weights [n]: "equal", or a hash of them to nine digits."""
    p = np.asarray(weights, dtype=np.float64)
    if np.ptp(p) <= 1e-9 * p.max():
        return PoolKey(len(p))
    digest = hashlib.sha256(np.round(p / p.max(), 9).tobytes()).hexdigest()
    return PoolKey(len(p), digest[:12])


@dataclass(frozen=True, eq=False)
class Fact:
    """Σ_i p_i table[ỹ_i, y_i] ≤ at_most; `table` is [classes, classes], pseudo label by truth.

    `level` is the probability with which all facts of one `source` hold together, 1 where they are
    assumed outright. `made_for` is the pool that it speaks of, None for any (an assumption).

    Raises ValueError where the table is not square and finite, or the limit is not finite.
    """

    name: str
    table: Floats
    at_most: float
    level: float = 1.0
    source: str = ASSUMED
    made_for: PoolKey | None = None

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
    most = most_in_pool(errors, n, pool, level)
    fact = teacher_error_at_most(most / pool, classes, level)
    source = f"validation, {operator.index(errors)} of {operator.index(n)}"
    return replace(fact, source=source, made_for=PoolKey(pool))


def most_in_pool(count: int, n: int, pool: int, level: float) -> int:
    """The most points of a pool that have a property which `count` of n validated points have.

    It holds with probability `level` for n validation points and `pool` others in exchangeable
    order. Errors are as for `teacher_error_from_validation`.
    """
    # A fraction would make the hypergeometric NaN, and the limit 0.
    count, n, pool = (operator.index(number) for number in (count, n, pool))
    if not 0 <= count <= n or n < 1 or pool < 1:
        raise ValueError(
            f"{count} errors among {n} validated points and a pool of {pool} cannot be"
        )
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")
    low, high = 0, pool  # the largest m that is still plausible lies in [low, high]
    while low < high:
        m = (low + high + 1) // 2
        if stats.hypergeom.cdf(count, n + pool, count + m, n) > 1 - level:
            low = m
        else:
            high = m - 1
    return low


def class_shares_from_validation(
    counts: ArrayLike, pool: int, level: float = 0.95
) -> tuple[Fact, ...]:
    """The share of every true class in a *pool* of that many points, from validated `counts` [k].

    Hypergeometric, as `teacher_error_from_validation` and under its conditions: the pool's own luck
    is allowed for. Both ends for every class hold together with probability `level`; each is given
    (1 − level)/2k. `class_shares` takes intervals from elsewhere: those of Clopper and Pearson
    bound the shares of a population, and a pool drawn from it misses them more often than they say.

    Raises ValueError for fewer than two counts, or as the teacher's error does; TypeError where
    they are no whole numbers. Ref: clopper1934confidence.
    """
    seen = _counts(counts, 1)
    low, high = _ends(seen, pool, level)
    facts = class_shares(low, high, level)
    source = f"class shares, validated {seen.tolist()}"
    return tuple(replace(fact, source=source, made_for=PoolKey(pool)) for fact in facts)


def confusion_from_validation(
    counts: ArrayLike, pool: int, level: float = 0.95
) -> tuple[Fact, ...]:
    """Every share P(ỹ = j, y = k) in a *pool* of that many points, from `counts` [k, k].

    Both ends of every cell hold together with probability `level`. What is said of
    `class_shares_from_validation` holds here, beside `confusion_between`.

    Raises ValueError and TypeError as `class_shares_from_validation`.
    """
    seen = _counts(counts, 2)
    low, high = _ends(seen, pool, level)
    facts = confusion_between(low, high, level)
    source = f"confusion, validated {seen.tolist()}"
    return tuple(replace(fact, source=source, made_for=PoolKey(pool)) for fact in facts)


def _counts(counts: ArrayLike, axes: int) -> NDArray[np.int64]:
    seen = np.asarray(counts)
    if seen.dtype.kind not in "iu":
        raise TypeError(f"counts are {seen.dtype}; give whole numbers of validated points")
    if seen.ndim != axes or len(set(seen.shape)) != 1 or len(seen) < 2 or seen.min() < 0:
        raise ValueError(
            f"counts have shape {seen.shape}; give a count ≥ 0 for every class or cell"
        )
    return seen.astype(np.int64)


def _ends(seen: NDArray[np.int64], pool: int, level: float) -> tuple[Floats, Floats]:
    """The least and the largest share of a pool in every cell, all together with `level`."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")
    n, each = int(seen.sum()), 1 - (1 - level) / (2 * seen.size)
    most = [most_in_pool(int(count), n, pool, each) for count in seen.ravel()]
    others = [most_in_pool(n - int(count), n, pool, each) for count in seen.ravel()]
    high = np.array(most, np.float64).reshape(seen.shape) / pool
    low = 1 - np.array(others, np.float64).reshape(seen.shape) / pool
    return np.maximum(low, 0.0), high


def class_shares(low: ArrayLike, high: ArrayLike, level: float = 1.0) -> tuple[Fact, ...]:
    """The share of every true class lies within [low, high], both [classes], in the pool.

    An interval for the population that the pool was drawn from is none for the pool: it forgets the
    pool's own luck. From validated points take `class_shares_from_validation`.

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

    Intervals need one level for all cells together (divide 1 − level by their number), and are
    about the pool, not its population: `confusion_from_validation` makes them so.

    Raises ValueError where an interval is empty or leaves [0, 1].
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

    Facts of one source, level and pool hold together; assumptions are each a source of their own.
    """
    failures = {
        (
            f"{fact.name} {fact.at_most}" if fact.source == ASSUMED else fact.source,
            fact.level,
            fact.made_for,
        ): 1 - fact.level
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
