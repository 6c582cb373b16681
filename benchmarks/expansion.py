"""Relative expansion by minimum cuts, timed against one linear programme in HiGHS.

    python benchmarks/expansion.py            100,000 good and 100,000 bad points, five minutes
    python benchmarks/expansion.py --quick    a tenth of that, under a minute

Good and bad points are two Gaussian clouds in the plane, half a standard deviation apart, and every
good point reaches its ten nearest bad ones. The programme is the dual: the largest λ for which a
flow sends λ w from every good point of weight w and brings no bad point more than it weighs. Both
answers are compared at the size that the programme manages; the last line is the ratio of times
there. With equal weights the cuts are exact, `gap` is what is left between value and proof.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from scipy.spatial import cKDTree

from mke_theory.theory.expansion.relative import (
    relative_expansion_between,
    relative_expansion_profile_between,
)

Answer = TypeVar("Answer")
NEIGHBOURS = 10


def clouds(n: int, seed: int = 0) -> sparse.csr_array:
    """The bad points that each of n good points reaches, [n, n]."""
    rng = np.random.default_rng(seed)
    good, bad = rng.normal(size=(n, 2)), rng.normal([0.5, 0.0], size=(n, 2))
    near = cKDTree(bad).query(good, NEIGHBOURS)[1].ravel()
    return sparse.csr_array(
        (np.ones(len(near)), (np.repeat(np.arange(n), NEIGHBOURS), near)), shape=(n, n)
    )


def by_programme(near: sparse.csr_array) -> float:
    """The minimum ratio from one linear programme over flows, equal weights."""
    pairs = near.tocoo()
    (good, bad), m = near.shape, near.nnz
    each = np.arange(m)
    sends = sparse.csr_array((np.ones(m), (pairs.row, each)), shape=(good, m))
    brings = sparse.csr_array((np.ones(m), (pairs.col, each)), shape=(bad, m))
    answer = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=sparse.hstack([brings, sparse.csr_array((bad, 1))]),
        b_ub=np.full(bad, 1 / bad),
        A_eq=sparse.hstack([sends, sparse.csr_array(np.full((good, 1), -1 / good))]),
        b_eq=np.zeros(good),
        method="highs",
    )
    return -float(answer.fun)


def timed(ask: Callable[[], Answer]) -> tuple[Answer, float]:
    """The answer, and the seconds it took."""
    start = time.perf_counter()
    answer = ask()
    return answer, time.perf_counter() - start


def compare(n: int) -> float:
    """The time of the linear programme over that of the cuts, for n and n points."""
    near = clouds(n)
    found, cuts = timed(lambda: relative_expansion_between(near))
    value, programme = timed(lambda: by_programme(near))
    if abs(value - found.value) > 1e-6:
        raise SystemExit(f"the answers differ: {found.value} by cuts, {value} by the programme")
    print(f"{n:>7,} × {n:,}  ratio {found.value:.6f}  cuts {cuts:.2f} s  HiGHS {programme:.2f} s")
    return programme / cuts


def measure(n: int, *, weighted: bool) -> None:
    """Ratio and profile for n and n points, without comparison."""
    near, rng = clouds(n), np.random.default_rng(1)
    weights = (rng.random(n), rng.random(n)) if weighted else (None, None)
    found, seconds = timed(lambda: relative_expansion_between(near, *weights))
    print(
        f"{n:>7,} × {n:,}  {'random' if weighted else 'equal'} weights  ratio {found.value:.6f}  "
        f"gap {found.value - found.lower:.0e}  {found.cuts} cuts  {seconds:.1f} s"
    )
    profile, seconds = timed(lambda: relative_expansion_profile_between(near, *weights))
    print(
        f"{'':>{len(f'{n:,} × {n:,}') + 1}}  profile with {len(profile.shares) - 1} corners  "
        f"{profile.cuts} cuts  {seconds:.1f} s"
    )


def main() -> None:
    """Prints the times; the last line is the speedup over HiGHS."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="smaller pools, under a minute")
    quick = parser.parse_args().quick
    measure(10_000 if quick else 100_000, weighted=False)
    measure(10_000 if quick else 100_000, weighted=True)
    compare(1000 if quick else 10_000)
    print(f"speedup: {compare(10_000 if quick else 50_000):.1f}")


if __name__ == "__main__":
    main()
