"""TwoMoon twice: the published notebook's protocol, and a fair one over many draws of the data.

Claims. As published (one draw, ten student seeds) the accuracies of the notebook come out again.
Over 1,000 draws with equal widths and a scaler that never sees test points, neither input noise nor
the second modality gains anything to speak of alone, and both together do: MKE is an interaction.
It still loses to its teacher in some draws.

    python experiments/twomoon.py                 10 seeds and 1,000 draws
    python experiments/twomoon.py --draws 20

Hardware: two CPU cores, under three minutes for the draws, whose students are trained vectorised,
and one for the published protocol, one student at a time; stopped, it goes on where it was.
Expected: `twomoon_published.md` and `twomoon_fair.md` in `docs/results/generated`; as published
within 0.6 points of the notebook.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from mke_theory.command.calls import asked, refuse_below_one, refused, until_interrupted
from mke_theory.data.console import forgiving_console
from mke_theory.evaluation import stats
from mke_theory.report import summary as report
from mke_theory.report import tables
from mke_theory.study import records
from mke_theory.study.arms import ARMS, Arm
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.result import Run
from mke_theory.study.study import execute, plan
from mke_theory.tasks.toy.twomoon import TwoMoon, TwoMoonPublished

NOISE_ALONE = Arm("um_student_noise", "UM student, noise", modalities="teacher's")
"""The UM student with the MM student's noise: the effect of T without the second modality."""

PUBLISHED = {"um_teacher": 69.5, "um_student": 72.4, "mm_student": 77.7, "mm_student_sup": 87.6}
"""Test accuracy in the authors' notebook, percent, mean of ten seeds (xue2021mke)."""

FIRST_STUDY = {"um_student_noise": "+0.3", "mm_student_noreg": "+0.4", "mm_student": "+6.5 ± 0.4"}
"""Gain over the teacher in points over 120 draws, from before this package: no record backs it."""

CORNERS = ("um_student", NOISE_ALONE.name, "mm_student_noreg", "mm_student")
"""Neither, noise alone, second modality alone, both."""

PAIRS = "twomoon_fair.csv"
"""The file of the fair protocol's gains, a row for each arm and draw."""

RUNS = 750
"""Runs trained together: 125 draws of six arms."""


@dataclass(frozen=True)
class Options:
    """Run what is missing of the study, print its two tables, write its figure."""

    draws: int = 1000
    """Draws of the fair protocol."""
    seeds: int = 10
    """Student seeds of the published protocol."""
    out: Path = Path("results/twomoon")
    """Folder for records, tables and figures."""
    workers: int = field(default_factory=available_cores)
    """Runs carried out at the same time."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """Do what is missing of the study, then print and write what it shows."""
    try:
        refuse_below_one(options, "draws", "seeds")
        alone = RunConfiguration(options.out, workers=options.workers, trainer="one by one")
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    published = plan([TwoMoonPublished()], [ARMS[name] for name in PUBLISHED], range(options.seeds))
    fair = plan([TwoMoon()], fair_arms(), range(options.draws))
    together = replace(alone, folder=None, trainer="vectorised", draws="shared", together=RUNS)
    with kept:
        done, failures = execute(published, kept, alone)
        drawn, lost = execute(fair, kept, together)
        done = [*done, *drawn]
        made = report.figures(done, options.out)
        made.files[:0] = report.write(done, options.out)
        if drawn:
            pairs = tables.gains_by_seed(drawn).round(9)  # as the file has them
            pairs.to_csv(options.out / PAIRS, index=False, lineterminator="\n")
        print("\n## TwoMoon as published, accuracy in %, mean ± sd (seeds)\n")
        print(published_table(of(done, published)).to_markdown(disable_numparse=True))
        print("\n## TwoMoon, fair: gain in points of test accuracy, mean ± standard error\n")
        if drawn:
            print(fair_markdown(pairs))
        print(*made.files, sep="\n")
    troubles = [f"{failure.run}: {failure.error}" for failure in (*failures, *lost)]
    for line in [*troubles, *made.troubles]:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if troubles or made.troubles else 0


def fair_arms() -> list[Arm]:
    """Nothing, noise alone, modality alone, both; and the ceiling."""
    chosen = [ARMS[name] for name in ("um_student", "mm_student_noreg", "mm_student")]
    return [*chosen, NOISE_ALONE, ARMS["mm_student_sup"]]


def of(done: Sequence[Record], runs: Sequence[Run]) -> list[Record]:
    """The records of the task that the runs belong to."""
    return [record for record in done if record.task == runs[0].task.name] if runs else []


def published_table(done: Sequence[Record]) -> pd.DataFrame:
    """Test and D_u accuracy in percent, mean ± sd (seeds), beside the notebook's."""
    cells = tables.summary(done).get(TwoMoonPublished.name, {})
    rows = {}
    for arm, printed in PUBLISHED.items():
        if arm in cells:
            test, unlabelled = cells[arm]["test"], cells[arm]["unlabelled"]
            rows[ARMS[arm].title] = {
                "test": _percent(test),
                "D_u": _percent(unlabelled),
                "notebook, test": f"{printed:.1f}",
                "difference": f"{100 * test['mean'] - printed:+.1f}",
            }
    return pd.DataFrame(rows).T


def fair_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Gain over the teacher in points, mean ± standard error, and how many draws are a loss.

    `pairs` has a row for each arm and draw, as `tables.gains_by_seed` returns them.
    """
    rows = {}
    for arm in fair_arms():
        gain = pairs.loc[pairs["arm"] == arm.name, "gain"].to_numpy()
        if len(gain) < 2:
            continue
        error = 100 * gain.std(ddof=1) / len(gain) ** 0.5
        lost = int((gain < 0).sum())
        share = stats.clopper_pearson(lost, len(gain))
        rows[arm.title] = {
            "gain over teacher": f"{100 * gain.mean():+.2f} ± {error:.2f}",
            "draws": str(len(gain)),
            "earlier study": FIRST_STUDY.get(arm.name, "not available"),
            "loses to teacher": f"{lost} of {len(gain)} "
            f"[{100 * share.low:.1f}, {100 * share.high:.1f}]%",
        }
    return pd.DataFrame(rows).T


def fair_markdown(pairs: pd.DataFrame) -> str:
    """The table and, below it, the interaction."""
    return f"{fair_table(pairs).to_markdown(disable_numparse=True)}\n\n{interaction(pairs)}"


def interaction(pairs: pd.DataFrame) -> str:
    """The interaction of noise and second modality, draw by draw: both − noise − β + neither.

    The 95% interval is Student's over draws; the same for each of the three alone. Empty text where
    there are fewer than two draws.
    """
    gains = pairs.pivot(index="seed", columns="arm", values="gain").dropna()
    if len(gains) < 2:
        return ""
    neither, noise, beta, both = (gains[name].to_numpy() for name in CORNERS)
    parts = {
        "noise alone": noise - neither,
        "second modality alone": beta - neither,
        "both": both - neither,
        "interaction": both - noise - beta + neither,
    }
    shown = []
    for name, values in parts.items():
        apart = stats.paired_difference(values, values * 0)
        between = "no spread"
        if apart.interval is not None:
            between = f"{100 * apart.interval.low:.2f}, {100 * apart.interval.high:.2f}"
        shown.append(f"{name} {100 * apart.mean:+.2f} [{between}]")
    return (
        f"Beyond the UM student without noise, in points with 95% intervals over {len(gains)} "
        f"draws: {', '.join(shown)}."
    )


def _percent(cell: dict[str, float]) -> str:
    sd = "" if cell["sd"] is None else f" ± {100 * cell['sd']:.1f}"
    return f"{100 * cell['mean']:.1f}{sd} ({cell['n']})"


if __name__ == "__main__":
    sys.exit(main())
