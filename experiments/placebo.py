"""The parts of the gain: six arms and three placebos on worlds whose best errors are known.

Claim: where α and β are independent given the class, MKE comes near a student that learns from the
truth, and shuffling β takes that away. Where α and β are independent outright there is nothing to
gain, whatever β decides: pseudo labels are a function of α, so P(ỹ | α, β) = P(ỹ | α). XOR is such
a world, and so is decisive but for its shared part. Random errors in place of the teacher's
leave almost the whole gain on gaussian and moons: there it is the structure of the teacher's errors
that a student has to overcome, not their number.

    python experiments/run_synthetic.py placebo

Worlds: moons, gaussian, decisive at three shares (β alone decides 10, 40 and 70% of the class), an
XOR table, and moons seen as a curled-up vector and an image. Every teacher reads the first
modality, and T is noise on that.

Hardware: two CPU cores, about 90 seconds; half a minute with `--quick`.
Expected, gain in points over 10 seeds with its 95% interval: gaussian +7.4 [7.1, 7.8], observed
moons +3.7 [1.4, 6.0], moons +1.4 [-0.1, 3.0], XOR 0, decisive -2.0 [-2.7, -1.2], +0.4 [-0.4, 1.1]
and +0.7 [-0.1, 1.6]; with the truth instead +7.5 to +44.7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from cluster import recorded
from worlds import WORLDS, StudyOptions, recipe

from mke_theory.evaluation.stats import summarise
from mke_theory.report import tables
from mke_theory.report.plots import gain_by_arm, save
from mke_theory.study.arms import ARMS
from mke_theory.study.records import Record, write_atomic
from mke_theory.study.study import plan
from mke_theory.synthetic.decisive import Decisive
from mke_theory.synthetic.simulated import Simulated


@dataclass(frozen=True)
class Options(StudyOptions):
    """Run every arm on every world; tables, figure and records."""

    seeds: int = 10
    """Seeds of every arm on every world."""
    out: Path = Path("results/placebo")
    """Folder for records, tables and figure."""


def tasks() -> dict[str, Simulated]:
    """The worlds by name, each under that name in every table."""
    decisive = WORLDS["decisive"]
    shares = {"10%": (0.7, 0.1), "40%": (0.4, 0.4), "70%": (0.1, 0.7)}
    decided = {
        f"decisive, β {share}": replace(
            decisive, world=Decisive(private, 0.2, dims=(4, 4), shared_dims=4)
        )
        for share, private in shares.items()
    }
    # Hidden units, because a linear model has no size that could be matched.
    gaussian = replace(WORLDS["gaussian"], hidden=(32,), recipe=recipe("x1", 1.0))
    chosen = {"moons": WORLDS["moons"], "gaussian": gaussian, **decided}
    chosen |= {"XOR": WORLDS["xor"], "moons, observed": WORLDS["observed"]}
    return {name: replace(task, called=name) for name, task in chosen.items()}


def run(options: Options) -> list[Path]:
    """The files placebo.md, placebo.csv and placebo.png, from records.

    Raises ValueError and OSError before any work where something is wrong with the call, and
    RuntimeError where a run failed; what is recorded stays.
    """
    if options.seeds < 2:
        raise ValueError(f"seeds is {options.seeds}; an interval needs at least 2")
    worlds = tasks()
    if options.quick:
        worlds = {name: worlds[name] for name in ("gaussian", "XOR")}
    jobs = plan(worlds.values(), ARMS.values(), range(3 if options.quick else options.seeds))
    done = recorded(jobs, options.out, options.cluster, options.workers)
    text = page(done, worlds)
    print(text)
    table = tables.gains(done).to_csv(index=False, lineterminator="\n")
    return [
        write_atomic(options.out / "placebo.md", text + "\n"),
        write_atomic(options.out / "placebo.csv", table),
        save(gain_by_arm(done), options.out / "placebo.png"),
    ]


def page(done: Sequence[Record], worlds: Mapping[str, Simulated]) -> str:
    """Two tables: errors of teacher and student beside the exact ones, and the gain of each arm."""
    seeds = len({record.seed for record in done})
    return (
        f"Error on test in percent, mean ± sd over {seeds} seeds, beside the exact Bayes errors\n\n"
        f"{errors(done, worlds).to_markdown(disable_numparse=True)}\n\n"
        "Gain over the teacher in points, with its 95% interval, paired by seed\n\n"
        f"{gains(done).to_markdown(disable_numparse=True)}"
    )


def errors(done: Sequence[Record], worlds: Mapping[str, Simulated]) -> pd.DataFrame:
    """One row a world: Bayes on α, the teacher, the student, the ceiling, Bayes on all."""
    rows = {}
    for name, task in worlds.items():
        own = [record for record in done if record.task == name]
        row = {"Bayes, α": f"{100 * float(task.teacher_bayes):.1f}"}
        for arm in ("um_teacher", "mm_student", "mm_student_sup"):
            row[ARMS[arm].title] = _spread(
                [1 - record.metrics["test"] for record in own if record.arm == arm]
            )
        rows[name] = row | {"Bayes, all": f"{100 * float(task.student_bayes):.1f}"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")


def _spread(values: Sequence[float]) -> str:
    found = summarise(values)
    return f"{100 * found.mean:.1f}" + ("" if found.sd is None else f" ± {100 * found.sd:.1f}")


def gains(done: Sequence[Record]) -> pd.DataFrame:
    """One row an arm, one column a world: the gain and its interval."""
    cells: dict[str, dict[str, str]] = {}
    for row in tables.gains(done).to_dict("records"):
        ends = "" if row["low"] is None else f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        arm = ARMS[row["arm"]].title
        cells.setdefault(row["task"], {})[arm] = f"{100 * row['mean']:+.1f}{ends}"
    return pd.DataFrame(cells).rename_axis("arm")
