"""Arrays of one's own at default settings: the gain of each student on data nobody tuned for.

Claim. None in advance. Thirteen real multi-view data sets are written as `.npz` files, as somebody
with data of his own would write them, and given to the `arrays` task as it is. The tables say what
each student gains over the teacher on test samples, by how much it is below it where it is, and
what share of the teacher's errors it corrects on D_u.

    python experiments/own_data.py --data-root data      all sets whose data are found
    python experiments/own_data.py --quick               two seeds of two small sets, few steps

The sets are in `multi_view.py`, their split into D_l, D_u and test in `npz_tasks.py`; five of them
ship inside scikit-learn. No setting depends on the data, and none was chosen by a score here. A
look at other seeds than those reported takes `--first-seed 100`. The files stay in the output
folder, one a set and seed.

Hardware: one CPU core, twelve minutes for ten seeds; it can be stopped and goes on where it was.
Expected: over the thirteen sets the evidence student gains 12 points in the mean, MKE 3; on the
least of them, RAVDESS from low to high bands, it is 1.2 below its teacher.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tyro

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from npz_tasks import TASKS, Cut

from mke_theory.command.calls import (
    asked,
    ready_tasks,
    refuse_below_one,
    refused,
    until_interrupted,
)
from mke_theory.data.console import forgiving_console
from mke_theory.evaluation.stats import summarise
from mke_theory.report import tables
from mke_theory.report.plots import gain_by_arm, save
from mke_theory.study import records
from mke_theory.study.arms import ARMS, REFERENCE
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.study import execute, feasible, plan
from mke_theory.tasks.registry import data_root_or_default

COMPARED = tuple(
    ARMS[name]
    for name in (REFERENCE, "um_student", "mm_student", "mm_student_evidence")
    if name in ARMS
)
"""The teacher, and the students whose gain over it is asked for."""
SMALL = ("digits_halves", "wine")
QUICK_STEPS, QUICK_SEEDS = 30, 2


@dataclass(frozen=True)
class Options:
    """Write the files, run what is missing, print the tables, write them and the figure."""

    quick: bool = False
    """Two seeds of two small sets and 30 steps: does everything work?"""
    sets: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Data sets to run; none means every one whose data are found."""
    seeds: int = 10
    """Number of seeds."""
    first_seed: int = 0
    """The first of them; each seed has a split of its own."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/own_data")
    """Folder for .npz files, records, tables and figure."""
    workers: int = field(default_factory=available_cores)
    """Parts of the study carried out at the same time, each in a process of its own."""
    resume: bool = True
    """Skip what is recorded in the output folder; --no-resume does everything again."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """The exit code, after the tables were printed and written."""
    try:
        refuse_below_one(options, "seeds", "workers")
        if options.first_seed < 0:
            raise ValueError(f"first_seed is {options.first_seed}; it has to be at least 0")
        tasks = chosen_tasks(options, data_root_or_default(options.data_root))
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with kept:
        try:
            runs, left_out = feasible(plan(tasks, COMPARED, wanted_seeds(options)))
        except (OSError, ValueError) as problem:
            return refused(problem)
        for line in left_out:
            print(line, file=sys.stderr)
        try:
            done, failures = execute(
                runs, kept, RunConfiguration(workers=options.workers), resume=options.resume
            )
            write(done, options.out)
        except OSError as problem:
            print(f"error: {problem}; what is recorded stays", file=sys.stderr)
            return 1
    for failure in failures:
        print(f"failed: {failure.run}: {failure.error}", file=sys.stderr)
    return 1 if failures else 0


def chosen_tasks(options: Options, root: Path) -> list[Cut]:
    """The sets by name; those whose data are not found are named on the way, or refused."""
    tasks = {
        name: replace(task.at(root), files=options.out / "files") for name, task in TASKS.items()
    }
    names = options.sets or (SMALL if options.quick else tuple(tasks))
    ready = ready_tasks(tasks, names, insist=bool(options.sets))
    return [shortened(task) for task in ready] if options.quick else ready


def shortened(task: Cut) -> Cut:
    """The task with few steps."""
    teacher, student = (
        replace(config, steps=QUICK_STEPS) for config in (task.recipe.teacher, task.recipe.student)
    )
    return replace(task, recipe=replace(task.recipe, teacher=teacher, student=student))


def wanted_seeds(options: Options) -> range:
    """The seeds asked for."""
    count = min(options.seeds, QUICK_SEEDS) if options.quick else options.seeds
    return range(options.first_seed, options.first_seed + count)


def write(rows: Sequence[Record], folder: Path) -> None:
    """Print and write the tables, and draw the gains; nothing where no run ended well."""
    if not rows:
        return
    text = markdown(rows)
    print(text)
    print(records.write_atomic(folder / "own_data.md", text))
    if any(row.arm != REFERENCE for row in rows):
        print(save(gain_by_arm(rows), folder / "own_data.png"))


# The tables


def markdown(rows: Sequence[Record]) -> str:
    """The page of results: accuracies, gains over the teacher, and the account on D_u."""
    parts = [
        "# Arrays of one's own, default settings\n",
        "Each set is a .npz file, given to the `arrays` task as it is: one recipe for all, nothing "
        "tuned. Accuracies on test samples in percent, mean ± standard deviation (seeds). Between "
        f"seeds differ: {rows[0].varies}.\n",
        f"{_accuracies(rows)}\n",
        "Gains over the UM teacher in percentage points, paired by seed, with Student's 95% "
        "interval (seeds); then, over the sets, mean ± standard deviation (sets) and the least.\n",
        f"{_gains(rows)}\n",
        "The account on D_u in percent, mean ± standard deviation (seeds): the share of the "
        "teacher's errors that the student corrects / the share of its right answers that the "
        "student damages.\n",
        f"{_accounts(rows)}\n",
    ]
    return "\n".join(parts)


def _accuracies(rows: Sequence[Record]) -> str:
    found, lines = tables.summary(rows), []
    for task, first in _sets(rows).items():
        line = {
            "data set": first.title,
            "labelled / unlabelled / test": " / ".join(
                str(first.counts[part]) for part in ("labelled", "unlabelled", "test")
            ),
            "classes": "" if first.confusion is None else str(len(first.confusion)),
        }
        for arm, title in _arms(rows).items():
            line[title] = tables.cell(found[task].get(arm, {}).get("test"))
        lines.append(line)
    return _table(lines)


def _gains(rows: Sequence[Record]) -> str:
    found = tables.gains(rows)
    cells = {(row.task, row.arm): row._asdict() for row in found.itertuples(index=False)}
    students = {arm: title for arm, title in _arms(rows).items() if arm != REFERENCE}
    lines = []
    for task, first in _sets(rows).items():
        line = {"data set": first.title}
        for arm, title in students.items():
            own = cells.get((task, arm))
            line[title] = tables.NOT_AVAILABLE if own is None else tables.gain_cell(own)
        lines.append(line)
    means = {title: found[found["arm"] == arm]["mean"].tolist() for arm, title in students.items()}
    lines.append({"data set": "mean of the sets"} | {t: _mean(own) for t, own in means.items()})
    lines.append({"data set": "least of the sets"} | {t: _least(own) for t, own in means.items()})
    return _table(lines)


def _accounts(rows: Sequence[Record]) -> str:
    found, lines = tables.summary(rows), []
    for task, first in _sets(rows).items():
        line = {"data set": first.title}
        for arm, title in _arms(rows).items():
            if arm != REFERENCE:
                own: Mapping[str, Any] = found[task].get(arm, {})
                shares = (tables.cell(own.get(name)) for name in ("corrected", "damaged"))
                line[title] = " / ".join(shares)
        lines.append(line)
    return _table(lines)


def _sets(rows: Sequence[Record]) -> dict[str, Record]:
    """A record of each set, in the order of `TASKS`."""
    first = {row.task: row for row in reversed(rows)}
    return {name: first[name] for name in TASKS if name in first}


def _arms(rows: Sequence[Record]) -> dict[str, str]:
    """The titles of the arms that were run, in the order of the study."""
    there = {row.arm for row in rows}
    return {arm.name: arm.title for arm in COMPARED if arm.name in there}


def _mean(gains: Sequence[float]) -> str:
    if not gains:
        return tables.NOT_AVAILABLE
    found = summarise(gains)
    spread = "" if found.sd is None else f" ± {100 * found.sd:.1f}"
    return f"{_signed(found.mean)}{spread} ({found.n} sets)"


def _least(gains: Sequence[float]) -> str:
    return f"{_signed(min(gains))} ({len(gains)} sets)" if gains else tables.NOT_AVAILABLE


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def _table(lines: Sequence[Mapping[str, str]]) -> str:
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    sys.exit(main())
