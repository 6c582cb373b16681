"""The closed form against the simulated world: 400 cells, and the noise of chance.

Claim: in `synthetic.gaussian.Gaussian` (two classes, two modalities) a least-squares student that
is fitted to drawn samples under drawn noise gains over the teacher sign t as much as
`theory.gaussian.gain`: over a grid of 20 x 20 cells (m_β, σ) the deviations in standard errors
are those of chance, and in every row the best σ of the grid is the law's, to one step.

    python experiments/run_synthetic.py phase             prints it, after the diagram
    python experiments/closed_form.py [--quick]           alone

A cell has R = 20 students. Each learns from n = 20,000 pairs, with noise drawn on α, and is judged
on 4,000 new samples. z is the deviation of the mean gain in its standard error (from R students, so
Student's distribution with R − 1 degrees of freedom, mapped to the normal one). Under the claim
|z| > 1.96 in 5% of the cells, and Σz² is chi-square. The closed form is about n → ∞, and students
from n pairs are worse by O(1/n). That bias is measured too, at n/20 pairs, where it is 20 times as
large, from the exact errors of 5R students, and printed in standard errors of a cell.

Hardware: two CPU cores, half a minute.
Expected, at seed 0: |z| > 1.96 in 24 of 400 cells with χ² = 417, and with correlation 0.3 in 27
with χ² = 443 (by chance 400 ± 28; bias adds at most 4). The best σ is within a step of σ* in 19 of
20 rows and in 12 of 18; in the others the top is too flat to tell.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import special
from scipy.stats import binom

from mke_theory.command.calls import asked, finished
from mke_theory.data.console import forgiving_console
from mke_theory.data.rng import seed_for
from mke_theory.study.processes import available_cores
from mke_theory.study.records import write_atomic
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.world import Floats
from mke_theory.theory.gaussian.closed_form import gain
from mke_theory.theory.gaussian.perturbation_law import best_noise

FALSE_ALARM = 0.001
"""Of each of the three checks of a grid, if the closed form is true."""

FEWER = 20
"""The bias of finite samples is measured on so many times fewer."""


@dataclass(frozen=True)
class Grid:
    """The cells (m_β, σ), the numbers that all of them share, and the samples of each."""

    m_alpha: float = 0.7
    rho: float = 0.0
    m_beta: tuple[float, ...] = tuple(np.linspace(0.1, 2.0, 20).tolist())
    sigma: tuple[float, ...] = (0.0, *np.geomspace(0.25, 12.0, 19).tolist())
    students: int = 20
    samples: int = 20_000
    tests: int = 4000
    dims: tuple[int, int] = (1, 1)

    def world(self, m_beta: float) -> Gaussian:
        """The world of a row."""
        return Gaussian((self.m_alpha, m_beta), correlation=self.rho, dims=self.dims)


def compare(grid: Grid, *, seed: int = 0, workers: int = 1) -> pd.DataFrame:
    """One row a cell: m_beta, sigma, formula, mean (gain on new samples), se, z and bias."""
    work = (delayed(_row)(grid, m_beta, seed) for m_beta in grid.m_beta)
    # Not the cluster's: rows are short, and its processes need not know this file.
    rows = Parallel(n_jobs=workers, backend="loky" if workers > 1 else "sequential")(work)
    return pd.DataFrame([cell for row in rows for cell in row])


def _row(grid: Grid, m_beta: float, seed: int) -> list[dict[str, float]]:
    world, few = grid.world(m_beta), grid.samples // FEWER
    pair, cells = world.pair(), []
    for sigma in grid.sigma:
        rng = np.random.default_rng(seed_for(seed, f"{m_beta!r}", f"{sigma!r}", f"{grid.rho!r}"))
        weights = students(world, sigma, grid.samples, grid.students, rng)
        gained = measured_gain(world, weights, grid.tests, rng)
        formula, se = gain(pair, sigma), float(gained.std(ddof=1) / len(gained) ** 0.5)
        tail = special.stdtr(len(gained) - 1, (gained.mean() - formula) / se)
        rough = exact_error(world, students(world, sigma, few, 5 * grid.students, rng))
        cells.append(
            {
                "m_beta": m_beta,
                "sigma": sigma,
                "formula": formula,
                "mean": float(gained.mean()),
                "se": se,
                "z": float(special.ndtri(np.clip(tail, 1e-300, 1 - 1e-16))),
                "bias": (pair.teacher_error - float(rough.mean()) - formula) / FEWER,
            }
        )
    return cells


def students(world: Gaussian, sigma: float, n: int, count: int, rng: np.random.Generator) -> Floats:
    """(intercept, weights), [count, 1 + d], of students that learn from n pairs each."""
    x, _, teacher = _drawn(world, n, count, rng)
    size = world.dims[0]
    x[..., :size] += sigma * rng.normal(size=(count, n, size))
    return least_squares(x, teacher)


def measured_gain(world: Gaussian, weights: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Teacher's error minus student's, [count], each on n new samples of its own."""
    x, truth, teacher = _drawn(world, n, len(weights), rng)
    score = np.einsum("rnd,rd->rn", x, weights[:, 1:]) + weights[:, :1]
    return np.asarray((teacher != truth).mean(axis=1) - (np.sign(score) != truth).mean(axis=1))


def _drawn(world: Gaussian, n: int, count: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """(inputs [count, n, d] side by side, truth [count, n], the teacher's sign t_1), in ±1."""
    draw = world.sample(n * count, rng)
    own, _ = world.statistics({"x1": draw.inputs["x1"]})
    x = np.concatenate([draw.inputs[name] for name in world.modalities], axis=1)
    truth = 2.0 * draw.labels - 1.0
    teacher = np.where(own["x1"][:, 0] > 0, 1.0, -1.0)
    return x.reshape(count, n, -1), truth.reshape(count, n), teacher.reshape(count, n)


def least_squares(x: Floats, labels: Floats) -> Floats:
    """(intercept, weights), [count, 1 + d], of the least-squares fits of labels [count, n]."""
    ones = np.concatenate([np.ones((*x.shape[:2], 1)), x], axis=2)
    gram = np.swapaxes(ones, 1, 2) @ ones
    return np.linalg.solve(gram, np.swapaxes(ones, 1, 2) @ labels[..., None])[..., 0]


def exact_error(world: Gaussian, weights: Floats) -> Floats:
    """P(f ≠ y) of linear classifiers [count, 1 + d] on clean input, from the world's moments."""
    parts = np.split(weights[:, 1:], np.cumsum(world.dims)[:-1], axis=1)
    turned = [w @ world.mixing(name) for w, name in zip(parts, world.modalities, strict=True)]
    along = sum(m * w[:, 0] for m, w in zip(world.signal, turned, strict=True))
    spread = np.square(np.concatenate(turned, axis=1)).sum(axis=1)
    spread = spread + 2 * world.correlation * turned[0][:, 0] * turned[1][:, 0]
    sides = np.stack([along + weights[:, 0], along - weights[:, 0]])
    return np.asarray(special.ndtr(-sides / np.sqrt(spread)).mean(axis=0))


# Verdicts


@dataclass(frozen=True)
class Verdict:
    """The checks of a grid, each of which would fail at a rate of `FALSE_ALARM` by chance.

    outside: cells with |z| > 1.96, allowed: the central interval of Binomial(cells, 5%).
    chi_square: Σz², p_value: of a larger one by chance. worst_bias: the largest |bias|/se.
    rows: rows in which the law has a σ*; near: of those, with the best σ of the grid within one
    step of it; apart: the largest z by which a σ further off was better than all within.
    limit: the most that `apart` may reach by chance.
    """

    cells: int
    outside: int
    allowed: tuple[int, int]
    chi_square: float
    p_value: float
    worst_bias: float
    noncentrality: float
    rows: int
    near: int
    apart: float
    limit: float

    @property
    def agrees(self) -> bool:
        """True where all checks pass."""
        low, high = self.allowed
        counts = low <= self.outside <= high
        return counts and self.p_value >= FALSE_ALARM and self.apart <= self.limit

    def __str__(self) -> str:
        return (
            f"|z| > 1.96 in {self.outside} of {self.cells} cells (by chance {self.allowed[0]} to "
            f"{self.allowed[1]}); chi-square {self.chi_square:.1f} on {self.cells}, p = "
            f"{self.p_value:.3f}; bias of finite samples at most {self.worst_bias:.2f} se (adds "
            f"{self.noncentrality:.1f} to chi-square); best σ within one step of σ* in {self.near} "
            f"of {self.rows} rows, elsewhere better by at most {self.apart:.2f} se (by chance "
            f"{self.limit:.2f}): {'agrees' if self.agrees else 'DISAGREES'}"
        )


def judge(cells: pd.DataFrame, grid: Grid) -> Verdict:
    """The three checks of a grid."""
    z, count = cells["z"].to_numpy(), len(cells)
    tails = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], count, 2 * special.ndtr(-1.96))
    bias = (cells["bias"] / cells["se"]).to_numpy()
    judged = [_apart(own, grid) for _, own in cells.groupby("m_beta")]
    rows = [apart for apart in judged if apart is not None]
    others = max(1, len(rows) * (len(grid.sigma) - 1))
    return Verdict(
        cells=count,
        outside=int((np.abs(z) > 1.96).sum()),
        allowed=(int(tails[0]), int(tails[1])),
        chi_square=float(z @ z),
        p_value=float(special.chdtrc(count, z @ z)),
        worst_bias=float(np.abs(bias).max()),
        noncentrality=float(bias @ bias),
        rows=len(rows),
        near=sum(apart == 0 for apart in rows),
        apart=max((apart for apart in rows), default=0.0),
        limit=float(-special.ndtri(FALSE_ALARM / others)),
    )


def _apart(row: pd.DataFrame, grid: Grid) -> float | None:
    """0 where the best σ of a row is within a step of σ*, else by how many se it is better.

    None where the law has no σ* for the row.
    """
    try:
        best = best_noise(grid.world(float(row["m_beta"].iloc[0])).pair())
    except ValueError:
        return None
    place = np.interp(best, grid.sigma, np.arange(len(grid.sigma)))
    near = np.abs(np.arange(len(grid.sigma)) - place) <= 1
    mean, se = row["mean"].to_numpy(), row["se"].to_numpy()
    top, inside = int(mean.argmax()), int(np.where(near, mean, -np.inf).argmax())
    if near[top]:
        return 0.0
    return float((mean[top] - mean[inside]) / np.hypot(se[top], se[inside]))


# The study

GRIDS = {"independent given y": Grid(), "correlation 0.3 given y": Grid(rho=0.3)}
SMALL = {
    name: Grid(
        rho=grid.rho,
        m_beta=grid.m_beta[::4],
        sigma=grid.sigma[::4],
        tests=1000,
    )
    for name, grid in GRIDS.items()
}


@dataclass(frozen=True)
class Options:
    """Compare simulated and exact gain over both grids; print the verdicts."""

    quick: bool = False
    """A sixteenth of the cells, and fewer samples in each."""
    out: Path = Path("results/phase")
    """Folder for the table of cells."""
    workers: int = field(default_factory=available_cores)
    """Rows carried out at the same time."""
    seed: int = 0
    """Another seed draws everything anew."""


def run(options: Options) -> list[Path]:
    """The table of all cells and the verdicts, as files; the verdicts are printed.

    Raises RuntimeError where a grid disagrees with the closed form.
    """
    tables, lines, wrong = [], [], []
    for name, grid in (SMALL if options.quick else GRIDS).items():
        cells = compare(grid, seed=options.seed, workers=options.workers)
        verdict = judge(cells, grid)
        lines.append(
            f"Closed form, m_α {grid.m_alpha:g}, {name}; {grid.students} students a cell, each "
            f"of {grid.samples:,} pairs: {verdict}"
        )
        print(lines[-1])
        tables.append(cells.assign(rho=grid.rho))
        wrong += [] if verdict.agrees else [name]
    options.out.mkdir(parents=True, exist_ok=True)
    text = pd.concat(tables).to_csv(index=False, lineterminator="\n", float_format="%.6g")
    paths = [
        write_atomic(options.out / "closed_form.csv", text),
        write_atomic(options.out / "closed_form.md", "\n\n".join(lines) + "\n"),
    ]
    if wrong:
        raise RuntimeError(f"simulation and closed form disagree: {', '.join(wrong)}")
    return paths


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where the closed form agrees, 1 where it does not, 2 for a bad call."""
    options = asked(Options, argv, __doc__)
    return finished(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
