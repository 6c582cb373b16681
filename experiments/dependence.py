"""The cost of dependence between modalities, given the class: noise and signal in common.

Claim: for a linear student the gain falls as the correlation of α and β given the class rises, as
the closed form has it, from most of the teacher's error to nothing. An MLP does the same down to
moderate negative correlation; below it learns to read the labels from noise that the modalities
share, and gains less again. Signal that both modalities share takes the gain away faster than it
takes away what β has of its own.

    python experiments/run_synthetic.py dependence

First panel: `correlation` ρ of the Gaussian world from −0.9 to 0.9. Second: of each modality's
squared signal m² + s² = 1 the share s² is the very same numbers in both, so that the teacher stays
as good as it was and β repeats it more and more; at 1 they are copies. T is noise on α in both.
Beside the gain stand the exact Bayes errors on α and on both.

Hardware: two CPU cores, about 40 seconds; 20 with `--quick`.
Expected, in points over 20 seeds: linear +12.8 ± 0.2 (s.e.) at ρ = −0.9 (formula +13.2), +7.6 ±
0.1 at 0 (+8.0), +0.2 ± 0.1 at 0.9 (+0.2); MLP +2.3 at −0.9, at most +10.4, at −0.3. No gain is left
where half of the signal is common, although the best error on both is then 5 points below α's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from cluster import recorded
from worlds import LINEAR, StudyOptions, recipe

from mke_theory.report import tables
from mke_theory.report.plots import Curve, gain_along_knob, save
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.records import Record, write_atomic
from mke_theory.study.study import plan
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.simulated import Simulated
from mke_theory.theory.gaussian.closed_form import logistic_student

CORRELATION, SHARED = "correlation given y, ρ", "share of the signal that is common"


@dataclass(frozen=True)
class Options(StudyOptions):
    """Sweep correlation and shared signal; figure, table and records."""

    seeds: int = 20
    """Seeds of every point."""
    points: int = 13
    """Values of ρ; the shared signal has about half as many."""
    sigma: float = 1.5
    """Noise on α, in spreads within a class."""
    out: Path = Path("results/dependence")
    """Folder for records, table and figure."""


@dataclass(frozen=True)
class Point:
    """One value of a knob, and the task there; `formula` is the closed form's gain or None."""

    knob: str
    student: str
    value: float
    task: Simulated
    formula: float | None


def points(options: Options) -> list[Point]:
    """Every point of both sweeps. Raises ValueError where a number is out of range."""
    seeds, count = (10, 5) if options.quick else (options.seeds, options.points)
    if seeds < 2 or count < 2:
        raise ValueError(f"seeds is {seeds} and points {count}; both have to be at least 2")
    return list(_correlations(options.sigma, count)) + list(_shares(options.sigma, count // 2 + 1))


def _correlations(sigma: float, count: int) -> Iterator[Point]:
    for rho in (np.linspace(-0.9, 0.9, count).round(6) + 0.0).tolist():
        world = Gaussian((1.0, 1.0), correlation=rho, dims=(2, 2))
        pair = world.pair()
        formula = pair.teacher_error - logistic_student(pair, sigma).error(pair)
        for student, task in _students(world, sigma, f"correlation {rho:g}"):
            yield Point(CORRELATION, student, rho, task, formula if student == "linear" else None)


def _shares(sigma: float, count: int) -> Iterator[Point]:
    for share in (np.linspace(0.0, 1.0, count).round(6) + 0.0).tolist():
        own = float(np.sqrt(1 - share))
        world = Gaussian((own, own), shared=float(np.sqrt(share)), dims=(2, 2))
        for student, task in _students(world, sigma, f"shared {share:g}"):
            yield Point(SHARED, student, share, task, None)


def _students(world: Gaussian, sigma: float, name: str) -> Iterator[tuple[str, Simulated]]:
    """Both kinds, named after their sweep: at ρ = 0 and at share 0 the world is the same."""
    linear = replace(LINEAR, world=world, recipe=recipe("x1", sigma, steps=200, rate=0.05))
    yield "linear", replace(linear, called=f"{name}, linear")
    network = replace(linear, hidden=(32,), recipe=recipe("x1", sigma, steps=200, rate=0.02))
    yield "MLP", replace(network, called=f"{name}, MLP")


def run(options: Options) -> list[Path]:
    """The files dependence.csv, dependence.md and dependence.png, from records.

    Raises ValueError and OSError before any work where something is wrong with the call, and
    RuntimeError where a run failed; what is recorded stays.
    """
    asked = points(options)
    seeds = range(10 if options.quick else options.seeds)
    jobs = plan([point.task for point in asked], [MM_STUDENT], seeds)
    done = recorded(jobs, options.out, options.cluster, options.workers)
    found = table(asked, done)
    text = markdown(found)
    print(text)
    title = f"σ = {options.sigma:g}; means of {len(seeds)} seeds, 95% intervals"
    return [
        write_atomic(
            options.out / "dependence.csv", found.to_csv(index=False, lineterminator="\n")
        ),
        write_atomic(options.out / "dependence.md", text + "\n"),
        save(gain_along_knob(panels(found), title), options.out / "dependence.png"),
    ]


def table(asked: list[Point], done: list[Record]) -> pd.DataFrame:
    """One row a point: knob, value, student, n, mean, low and high of the gain, formula, Bayes."""
    gains = tables.gains(done).set_index("task")
    rows = []
    for point in asked:
        cell = gains.loc[point.task.name]
        alpha, both = float(point.task.teacher_bayes), float(point.task.student_bayes)
        rows.append(
            {
                "knob": point.knob,
                "value": point.value,
                "student": point.student,
                **{name: cell[name] for name in ("n", "mean", "low", "high")},
                "formula": point.formula,
                "Bayes on α": alpha,
                "Bayes on both": both,
            }
        )
    return pd.DataFrame(rows).sort_values(["knob", "student", "value"], kind="stable")


def panels(found: pd.DataFrame) -> dict[str, tuple[str, list[Curve]]]:
    """A panel a knob, a curve a student."""
    titles = {CORRELATION: "noise in common", SHARED: "signal in common"}
    return {
        titles[knob]: (
            knob,
            [curve(f"{s} student", own) for s, own in rows.groupby("student", sort=True)],
        )
        for knob, rows in found.groupby("knob", sort=True)
    }


def curve(label: str, own: pd.DataFrame) -> Curve:
    """The measured gain along a knob; a point without interval has one of width 0."""
    mean = own["mean"].to_numpy(dtype=np.float64)
    low, high = (own[end].astype(float).fillna(own["mean"]).to_numpy() for end in ("low", "high"))
    known = own["formula"].notna().all()
    formula = own["formula"].to_numpy(dtype=np.float64) if known else None
    return Curve(label, own["value"].to_numpy(dtype=np.float64), mean, low, high, formula)


def signed(x: float) -> str:
    """A share in percentage points; nothing where there is none."""
    return "" if pd.isna(x) else f"{100 * x:+.1f}"


def markdown(found: pd.DataFrame) -> str:
    """All points, gains in percentage points and errors in percent."""
    shown = found[["knob", "student", "value", "n"]].copy()
    shown["gain"] = [
        signed(m) + ("" if pd.isna(lo) else f" [{signed(lo)}, {signed(hi)}]")
        for m, lo, hi in found[["mean", "low", "high"]].to_numpy()
    ]
    shown["closed form"] = found["formula"].astype(float).map(signed)
    for name in ("Bayes on α", "Bayes on both"):
        shown[name] = [f"{100 * x:.1f}" for x in found[name]]
    return str(shown.to_markdown(index=False, disable_numparse=True))
