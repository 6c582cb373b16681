"""Intervals and p-values: how far chance alone could have moved a number, refused where unknown.

Shares get `clopper_pearson`, repeated runs `summarise` and `paired_difference`, and two classifiers
on one pool `mcnemar`. Everything is float64.

The limits of a share are beta quantiles from `scipy.special`. `scipy.stats.binomtest` seeks them to
within 5e-13 instead, which is all of a limit where few of millions of pixels are right, and takes
sixty times as long: with hundreds of classes, seconds for each account.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

_ROUNDING = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Interval:
    """A confidence interval: [low, high] covers the true value with probability about `level`."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Summary:
    """Mean and spread of n runs; `sd` divides by n − 1 and is None for a single run."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """Mean of first minus second over n pairs, with Student's interval and p-value.

    Both are None where n or the spread does not allow them (see `paired_difference`).
    """

    mean: float
    sd: float | None
    n: int
    interval: Interval | None
    p_value: float | None


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval for a share: it covers at least `level`, for every n and every true share.

    low is the (1 − level)/2 quantile of Beta(s, n − s + 1), or 0 at s = 0; high is the
    (1 + level)/2 quantile of Beta(s + 1, n − s), or 1 at s = n. Assumes that the n trials are
    independent: for pixels of one image, or clips of one actor, it is too narrow.

    Raises ValueError for n < 1, successes outside 0..n or level outside (0, 1), TypeError for
    counts that are not whole numbers.
    Ref: clopper1934confidence.
    """
    right, total = _count("successes", successes), _count("n", n)
    if total < 1:
        raise ValueError("n is 0; a share of no trials has no interval, so leave it out")
    if right > total:
        raise ValueError(f"successes is {right}; allowed are 0 to n = {total}")
    tail = (1 - _checked_level(level)) / 2
    low, high = 0.0, 1.0
    if right > 0:
        low = float(special.betaincinv(right, total - right + 1, tail))
    if right < total:
        high = float(special.betaincinv(right + 1, total - right, 1 - tail))
    return Interval(low, high, level)


def summarise(values: ArrayLike) -> Summary:
    """Mean, standard deviation (n − 1 in the denominator; None for n = 1) and n of `values` [n].

    Raises ValueError where `values` is empty, not one-dimensional, or holds NaN or an infinity.
    """
    x = _sequence("values", values)
    return Summary(float(x.mean()), _sd(x, scale=float(np.abs(x).max())), len(x))


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> PairedDifference:
    """The mean of a − b over pairs (seeds) with Student's t interval and two-sided p-value.

    interval = mean ± t · sd/√n, with t the (1 + level)/2 quantile at n − 1 degrees of freedom;
    exact where the differences are normal. With n = 1 there is no spread: sd, interval and p_value
    are None. Where all differences are equal up to rounding, sd is 0 and interval and p_value are
    None: t would be 0/0 or infinite, and equal runs do not prove that the next one is equal too.

    Raises ValueError where a and b ([n] each) differ in length, are empty or hold NaN or an
    infinity, or where level is outside (0, 1).
    """
    first, second = _sequence("a", a), _sequence("b", b)
    _checked_level(level)
    if len(first) != len(second):
        raise ValueError(
            f"a has {len(first)} values but b has {len(second)}; pair them by seed and leave out "
            "the seeds that only one of them has"
        )
    difference, n = first - second, len(first)
    mean = float(difference.mean())
    sd = _sd(difference, scale=float(max(np.abs(first).max(), np.abs(second).max())))
    if not sd:
        return PairedDifference(mean, sd, n, None, None)
    error = sd / n**0.5
    reach = float(special.stdtrit(n - 1, (1 + level) / 2)) * error
    p_value = 2 * float(special.stdtr(n - 1, -abs(mean) / error))
    return PairedDifference(mean, sd, n, Interval(mean - reach, mean + reach, level), p_value)


def mcnemar(only_first_right: int, only_second_right: int) -> float:
    """The exact two-sided p-value of "both classifiers are right equally often".

    Only the m samples count that one gets right and the other does not. Under the hypothesis each
    count is Binomial(m, 1/2): p = min(1, 2 P(X ≤ smaller count)), and 1 where m = 0. Assumes
    independent samples, as `clopper_pearson` does.

    Raises ValueError for negative counts, TypeError for counts that are not whole numbers.
    Ref: mcnemar1947note.
    """
    first = _count("only_first_right", only_first_right)
    second = _count("only_second_right", only_second_right)
    if first == second:
        return 1.0  # also where nothing counts, which the test would refuse
    from scipy.stats import binomtest  # here, because it imports slowly

    return float(binomtest(first, first + second).pvalue)


def _sd(x: Floats, scale: float) -> float | None:
    """The spread of x: None for one value, and 0 where they differ by rounding at `scale` only."""
    if len(x) < 2:
        return None
    return 0.0 if np.ptp(x) <= _ROUNDING * scale else float(x.std(ddof=1))


def _count(name: str, value: SupportsIndex) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it counts samples, so give a whole number") from None
    if count < 0:
        raise ValueError(f"{name} is {count}; a count is at least 0")
    return count


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")
    return level


def _sequence(name: str, values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}; give a sequence of numbers, one a run")
    return _finite(name, x)


def _finite(name: str, x: Floats) -> Floats:
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"{name} has no values (shape {x.shape}); give at least one")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        at = ", ".join(str(i) for i in bad[0])
        raise ValueError(f"{name}[{at}] is {x[tuple(bad[0])]}; leave out or mend what is behind it")
    return x
