"""MKE among the semi-supervised methods: the same problems, models, updates and perturbations.

Claim. None in advance: whoever is ahead is reported. The tables say, task by task, what a student
gains over its unimodal teacher by each method, reading α alone or α and β, and who is tied with the
best; a last table compares MKE with every other method that reads α and β.

    python experiments/semi_supervised.py --data-root data       all tasks whose data are found
    python experiments/semi_supervised.py --quick                two seeds of small tasks, few steps

The setting is that of MKE: D_l carries α alone, so there is no labelled pair, and models put zeros
in place of a β that is missing. What was fixed in advance, for all tasks: the budgets below; noise
of strength 1 (strong) and 0.2 (weak), both of which also drop a modality where the student has two;
γ and thresholds as each method's file has them. No setting was chosen by a score. Two came after a
first look: UDA's answering view drops modalities too (at chance on two worlds without), and methods
of several rounds share the budget out, with the whole of it a round in rows of their own.

Hardware: two CPU cores, about half an hour; it can be stopped and goes on where it was.
Expected: `docs/results/generated/semi_supervised.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from cluster import spread

from mke_theory.command.calls import (
    asked,
    ready_tasks,
    refuse_below_one,
    refuse_unknown,
    refused,
    until_interrupted,
)
from mke_theory.data.console import forgiving_console
from mke_theory.evaluation.stats import PairedDifference, paired_difference, summarise
from mke_theory.method import relatives
from mke_theory.report.plots import gain_by_method, save
from mke_theory.report.tables import cell
from mke_theory.study import records
from mke_theory.study.arms import REFERENCE
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.result import Run
from mke_theory.study.semi_supervised.contestants import Contestant, comparable, contestants
from mke_theory.study.study import execute
from mke_theory.study.task import Recipe, Task
from mke_theory.synthetic.decisive import Decisive
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.observed import Lifted, Observed
from mke_theory.synthetic.simulated import Simulated
from mke_theory.synthetic.world import World
from mke_theory.tasks.registry import TASKS, data_root_or_default
from mke_theory.training.loop import TrainConfig

WHOLE = TrainConfig(steps=600, learning_rate=3e-3, weight_decay=1e-2)
"""Small pools: every update sees all of D_l and D_u."""
DIGITS = replace(WHOLE, batch_size=256)
"""A dozen of 256 samples carry a label."""
CONVOLUTIONAL = replace(WHOLE, batch_size=128, steps=200)
"""13 of 128 samples carry a label."""
PEOPLE = replace(WHOLE, batch_size=128, steps=300)
"""Recordings of actors; about 30 of 128 samples carry a label."""
SMALL = ("twomoon_fair", "gaussian")
QUICK_STEPS, QUICK_SEEDS = 30, 2
MKE = "mke_both"


@dataclass(frozen=True)
class Options:
    """Run what is missing, print the tables, write them and the figure."""

    quick: bool = False
    """Two seeds of two small tasks and 30 steps: does everything work?"""
    seeds: int = 10
    """Number of seeds, 0 to seeds − 1."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Tasks to run; none means every task whose data are found."""
    methods: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Contestants to run, by the name in the records; none means all. The teacher is among them."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/semi_supervised")
    """Folder for records, table and figure."""
    workers: int = field(default_factory=available_cores)
    """Stacks of students trained at the same time, each in a process of its own."""
    cluster: Annotated[str | None, tyro.conf.arg(metavar="local|ADDRESS")] = None
    """Spread the stacks with dask: over processes of this machine, or over a cluster at tcp://…"""
    resume: bool = True
    """Skip what is recorded in the output folder; --no-resume does everything again."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C."""
    return main_study(asked(Options, argv, __doc__))


def main_study(options: Options) -> int:
    """Check the call, do what is missing, report on all; the exit code of `main`."""
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """The exit code, after the tables were printed and written."""
    try:
        root = data_root_or_default(options.data_root)
        refuse_below_one(options, "seeds", "workers")
        tasks = chosen_tasks(options, root)
        seeds = range(min(options.seeds, QUICK_SEEDS) if options.quick else options.seeds)
        chosen = chosen_contestants(options.methods)
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with kept:
        try:
            with spread(options.cluster, options.workers) as workers:
                rows, failures = execute(
                    wanted_runs(tasks, seeds, chosen),
                    kept,
                    RunConfiguration(workers=workers),
                    resume=options.resume,
                )
            if rows:
                text = markdown(rows)
                print(text)
                print(records.write_atomic(options.out / "semi_supervised.md", text))
                print(save(gain_by_method(rows), options.out / "semi_supervised.png"))
        except ValueError as problem:  # of the cluster, before any work
            return refused(problem)
        except OSError as problem:
            print(f"error: {problem}; what is recorded stays", file=sys.stderr)
            return 1
    for failure in failures:
        print(f"failed: {failure.run}: {failure.error}", file=sys.stderr)
    return 1 if failures else 0


def all_tasks() -> dict[str, Task]:
    """Every task by name, under its budget."""
    pair = Gaussian(signal=(1.0, 1.5), dims=(8, 8), classes=3)
    seen = Observed(replace(pair, dims=(3, 3)), (Lifted("x1", size=32), Lifted("x2", size=32)))
    given: list[tuple[Task, TrainConfig]] = [
        (TASKS["twomoon_fair"], WHOLE),
        (_simulated("gaussian", pair), WHOLE),
        (_simulated("observed", seen), WHOLE),
        (_simulated("decisive", Decisive()), WHOLE),
        (TASKS["digits"], DIGITS),
        (TASKS["av_digits"], CONVOLUTIONAL),
        (TASKS["av_digits_image"], CONVOLUTIONAL),
        *((task, PEOPLE) for name, task in TASKS.items() if name.startswith("ravdess")),
    ]
    return {task.name: comparable(task, budget) for task, budget in given}


def _simulated(name: str, world: World) -> Simulated:
    return Simulated(
        recipe=Recipe(),
        world=world,
        labelled=60,
        unlabelled=440,
        test=2000,
        network="encoders",
        if_missing="zero",
        called=name,
    )


def chosen_tasks(options: Options, root: Path | None) -> list[Task]:
    """The tasks by name; those whose data are not found are named on the way, or refused."""
    tasks = {name: task.at(root) for name, task in all_tasks().items()}
    names = options.tasks or (SMALL if options.quick else tuple(tasks))
    ready = ready_tasks(tasks, names, insist=bool(options.tasks))
    if options.quick:
        ready = [
            comparable(task, replace(task.recipe.student, steps=QUICK_STEPS)) for task in ready
        ]
    return ready


def chosen_contestants(names: Sequence[str]) -> list[Contestant]:
    """The contestants by name, all where none is named; the teacher comes first."""
    known = {one.name: one for one in contestants()}
    refuse_unknown("method", names, known)
    return [one for name, one in known.items() if not names or name in (REFERENCE, *names)]


def wanted_runs(
    tasks: Sequence[Task], seeds: Sequence[int], chosen: Sequence[Contestant]
) -> list[Run]:
    """Every contestant at every task and seed."""
    return [Run(task, one, seed) for task in tasks for one in chosen for seed in seeds]


# The tables


def markdown(rows: Sequence[Record]) -> str:
    """The page of results: settings, a table a task, and MKE against every other method."""
    of_alpha = [
        one.how
        for one in contestants()
        if one.sees == "α" and isinstance(one.how, relatives.Method) and not one.each_round
    ]
    parts = [
        "# Semi-supervised methods side by side\n",
        "D_l carries α alone; β is missing there, in every method. One model, one budget and one "
        "pair of perturbations a task; nothing selected. A method of several rounds shares its "
        "updates out among them; rows with more updates are marked. Accuracies in percent, mean ± "
        "standard deviation (seeds); gains in percentage points over the UM teacher, paired by "
        "seed, with Student's 95% interval. Ranks are by mean test accuracy; = marks a row whose "
        "paired 95% interval against the first row contains 0 (not corrected for the number of "
        "rows). Seconds are those of one student, all rounds together.\n",
        "Settings, read off the methods. Weak and strong are noise of strength 0.2 and 1. For "
        "students of α and β each perturbation also drops either modality with probability 1/2 "
        "(never both), and so does UDA's T'.\n",
        f"```\n{relatives.table(of_alpha)}\n```\n",
    ]
    tasks = dict.fromkeys(row.task for row in rows)
    for task in tasks:
        parts.append(_task_section([row for row in rows if row.task == task]))
    parts += ["## MKE against the others on α and β\n", against_mke(rows)]
    return "\n".join(parts)


def in_order(rows: Sequence[Record]) -> list[Record]:
    """The rows as tables list them: by task, contestant and seed, whichever was done first."""
    tasks, arms = list(all_tasks()), [contestant.name for contestant in contestants()]
    return sorted(rows, key=lambda row: (tasks.index(row.task), arms.index(row.arm), row.seed))


def against_mke(rows: Sequence[Record]) -> str:
    """MKE beside every other method that reads α and β, a column a task."""
    tasks = list(dict.fromkeys(row.task for row in rows))
    return (
        "Test accuracy of MKE minus the other's in points, paired by seed, with its 95% interval "
        f"(seeds). Bold: the interval leaves out 0.\n\n{table(_against(rows, tasks))}"
    )


def _task_section(rows: Sequence[Record]) -> str:
    by_arm: dict[str, list[Record]] = {}
    for row in rows:
        by_arm.setdefault(row.arm, []).append(row)
    order = sorted(by_arm, key=lambda arm: -summarise(_tests(by_arm[arm])).mean)
    lines = []
    for place, arm in enumerate(order, start=1):
        own, first = by_arm[arm], by_arm[order[0]]
        mark = "=" if place > 1 and _tied(difference(own, first)) else ""
        base = None if arm == REFERENCE else difference(own, by_arm.get(REFERENCE, []))
        lines.append(
            {
                "rank": f"{place}{mark}",
                "method": own[0].arm_title,
                "student reads": own[0].extra["sees"],
                "test": percent(_tests(own)),
                "D_u": percent([row.metrics["unlabelled"] for row in own]),
                "gain": "reference" if arm == REFERENCE else gain(base),
                "seconds": f"{summarise([row.seconds or 0.0 for row in own]).mean:.2f}",
            }
        )
    counts, budget = rows[0].counts, rows[0].config["task"]["recipe"]["student"]
    batch = budget["batch_size"] or "all samples"
    return (
        f"## {rows[0].title}\n\n"
        f"{counts['labelled']} labelled, {counts['unlabelled']} unlabelled, {counts['test']} test "
        f"samples; {budget['steps']} updates of {batch}, {budget['optimizer']} at "
        f"{budget['learning_rate']:g}. Between seeds differ: {rows[0].varies}.\n\n"
        f"{table(pd.DataFrame(lines))}"
    )


def _against(rows: Sequence[Record], tasks: Sequence[str]) -> pd.DataFrame:
    own = [row for row in rows if row.arm != REFERENCE and row.extra["sees"] != "α"]
    lines = []
    for arm, title in dict.fromkeys((row.arm, row.arm_title) for row in own):
        if arm == MKE:
            continue
        line = {"MKE against": title}
        for task in tasks:
            sides = [
                [row for row in own if row.task == task and row.arm == name] for name in (MKE, arm)
            ]
            found = difference(*sides)
            line[task] = gain(found) if _tied(found) else f"**{gain(found)}**"
        lines.append(line)
    return pd.DataFrame(lines)


def _tests(rows: Sequence[Record]) -> list[float]:
    return [row.metrics["test"] for row in rows]


def difference(first: Sequence[Record], second: Sequence[Record]) -> PairedDifference | None:
    """First minus second at the seeds that both have; None where there is none."""
    sides = [{row.seed: row.metrics["test"] for row in side} for side in (first, second)]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if not seeds:
        return None
    first_values, second_values = ([side[seed] for seed in seeds] for side in sides)
    return paired_difference(first_values, second_values)


def _tied(found: PairedDifference | None) -> bool:
    """True where the interval contains 0, or the pairs are too few or too equal for one."""
    if found is None or found.interval is None:
        return True
    return found.interval.low <= 0 <= found.interval.high


def percent(values: Sequence[float]) -> str:
    """The mean, standard deviation and number of some shares, in percent."""
    found = summarise(values)
    return cell({"mean": found.mean, "sd": found.sd, "n": found.n})


def gain(found: PairedDifference | None) -> str:
    """A paired difference in points, with its interval and number of pairs."""
    if found is None:
        return "not available"
    ends = found.interval
    interval = "" if ends is None else f" [{100 * ends.low:.1f}, {100 * ends.high:.1f}]"
    return f"{100 * found.mean:+.1f}{interval} ({found.n})"


def table(cells: pd.DataFrame) -> str:
    """Cells as a table of Markdown."""
    rows = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
