"""An audit beside the same audit on a grid of means, as `betting_cs` of confseq computes it.

    python benchmarks/audit.py            10⁶ samples that differ, up to 3,000 labels
    python benchmarks/audit.py --quick    up to 300 labels

Both mix the same 50 shares of the largest bet and reject a total where the evidence against it ever
reached 1/α. `betting_cs` (confseq 0.0.11) asks that of 1,000 evenly spaced means, each from the
first label on, and its answer is as fine as their distance; it is written out here, since its
installation needs a compiler. The audit bisects, which it may because evidence falls with the
total, and is exact to half a sample. Seconds are wall clock, on one thread, for the lower end of
the sequence after the last of so many labels; `a label` is what the test alone takes for one more.
The last line is the ratio, grid over audit, at the largest number of labels.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import tyro

from mke_theory.audit import compare
from mke_theory.audit.betting import SHARES, Bet, Floats, least_total

SAMPLES, ALPHA, MEANS = 10**6, 0.05, 1000
LABELS = (30, 100, 300, 1000, 3000)
REPEATS = 5
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """Time the audit and the grid."""

    quick: bool = False
    """Up to 300 labels."""


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 where the two ends contradict each other; the last line is `speedup: <ratio>`."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    values = drawn(LABELS[-1])
    rows = [row(values[:labels]) for labels in LABELS[: 3 if options.quick else None]]
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False, floatfmt=".3g"))
    print(f"a whole audit, {whole()}")
    apart = table["grid"] - table["audit"]  # the grid's end is the next of its means
    wrong = (apart < -1e-9) | (apart > 1 / MEANS + 1e-9)
    if wrong.any():
        print(f"error: the two ends contradict each other:\n{table[wrong]}")
        return 1
    print(f"speedup: {table['s, grid'].iloc[-1] / table['s, audit'].iloc[-1]:.0f}")
    return 0


def drawn(labels: int) -> Floats:
    """The first values of a pool in which the student is right on 45%, its teacher on 35%."""
    random = np.random.default_rng(0)
    return random.choice([1.0, 0.0, 0.5], labels, p=[0.45, 0.35, 0.2])


def row(values: Floats) -> dict[str, float]:
    """Both lower ends of the mean of y, their seconds, and those of one more label."""
    found, audit = timed(lambda: least_total(values, SAMPLES, ALPHA, step=0.5) / SAMPLES)
    beside, grid = timed(lambda: on_a_grid(values), 1)
    _, every = timed(lambda: tested(values), 1)
    return {
        "labels": len(values),
        "audit": found,
        "grid": beside,
        "s, audit": audit,
        "s, grid": grid,
        "s, a label": every / len(values),
    }


def tested(values: Floats) -> float:
    """The largest evidence against "the mean is at most ½", value by value."""
    bet = Bet(SAMPLES / 2, SAMPLES)
    for value in values:
        bet.push(value)
    return bet.greatest


def on_a_grid(values: Floats) -> float:
    """The smallest of evenly spaced means that is not rejected, each computed from the start."""
    before = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    left = SAMPLES - np.arange(len(values))
    for mean in np.arange(MEANS + 1) / MEANS:
        means = (SAMPLES * mean - before) / left
        if (means < 0).any():
            continue
        capital = np.zeros(len(values))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for share in SHARES:
                bets = np.where(means > 0, share / means, np.inf)
                factors = 1 + bets * (values - means)
                capital += np.nan_to_num(np.cumprod(factors), posinf=np.inf) / len(SHARES)
        if capital.max() < 1 / ALPHA:
            return float(mean)
    return 1.0


def whole() -> str:
    """The seconds of `compare` on a pool of 10⁶ samples that all differ, the interval included."""
    random = np.random.default_rng(1)
    truth = random.choice([0, 1, 2], SAMPLES, p=[0.45, 0.35, 0.2])
    student, teacher = np.zeros(SAMPLES, int), np.ones(SAMPLES, int)
    found, seconds = timed(
        lambda: compare(student, teacher, lambda i: truth[i], classes=3, budget=300), 1
    )
    return f"{found.labels} labels: {seconds:.2f} s, {seconds / found.labels:.4f} s a label"


def timed(work: Callable[[], T], repeats: int = REPEATS) -> tuple[T, float]:
    """The result of `work`, and the median of its seconds."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - started)
    return found, float(np.median(seconds))


if __name__ == "__main__":
    sys.exit(main())
