"""The paper's comparison on every task whose data are at hand: six arms and three placebos.

Claim: a multimodal student that learns from its unimodal teacher's labels ends up better than that
teacher; the table says on which tasks, by how much (paired over seeds, 95% interval), and what the
placebos leave of the gain.

    python experiments/run_real.py                        all tasks, all arms, five seeds
    python experiments/run_real.py --tasks digits --seeds 10
    python experiments/run_real.py --set digits.labels_per_class=3

Hardware: two CPU cores and 2 GiB of memory; about four minutes with all data at hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from calls import ended, ready_tasks, refuse_unknown, refused

from mke_theory import records, report, theory_report
from mke_theory.appraisals import appraise_all
from mke_theory.arms import ARMS, Arm
from mke_theory.hardware import Hardware
from mke_theory.settings import changed
from mke_theory.study import Means, available_cores, execute, feasible, plan
from mke_theory.task import Task
from mke_theory.tasks import TASKS, data_root_or_default


@dataclass(frozen=True)
class Options:
    """Run the comparison, write records, tables and figures; a rerun does only what is missing."""

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Tasks to run; none means every task whose data are found."""
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Arms to run; none means all. The teacher is always among them."""
    seeds: int = 5
    """Number of seeds, 0 to seeds − 1."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/real")
    """Folder for records, tables and figures."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where to train."""
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""
    workers: int = field(default_factory=available_cores)
    """Runs carried out at the same time, each in a process of its own."""
    theory: int = 1
    """Seeds at which the MM student is appraised: ledger and certificate; 0 for none."""
    resume: bool = True
    """Skip what is recorded in the output folder; --no-resume does everything again."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH=VALUE ...")] = ()
    """Settings to change, for instance digits.recipe.student.steps=100."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    return ended(lambda: run_all(options), options.out)


def run_all(options: Options) -> int:
    """Check everything that can be checked, do what is missing, report on all."""
    try:
        means = Means(
            data_root=data_root_or_default(options.data_root),
            hardware=Hardware(options.device, 1, options.precision),
            workers=options.workers,
        )
        means.hardware.refuse_absent()
        tasks = chosen_tasks(options, means.data_root)
        wanted = plan(tasks, chosen_arms(options.arms), range(whole_seeds(options.seeds)))
        book = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with book:
        try:
            jobs, left_out = feasible(wanted, means.data_root)
        except (OSError, ValueError) as problem:
            return refused(problem)
        for line in left_out:
            print(line, file=sys.stderr)
        try:
            done, failures = execute(jobs, book, means, resume=options.resume)
            if done:
                report.show(done)
            appraisals, troubles = appraise_all(
                done,
                tasks,
                options.out,
                data_root=means.data_root,
                seeds=options.theory,
                workers=means.workers,
                resume=options.resume,
            )
            theory_report.show(appraisals)
            if done:
                for path in [
                    *report.write(done, options.out),
                    *theory_report.write(appraisals, options.out),
                    *report.figures(done, options.out),
                ]:
                    print(path)
        except OSError as problem:
            print(f"error: {problem}; what is recorded stays", file=sys.stderr)
            return 1
    for line in [*(f"{failure.job}: {failure.error}" for failure in failures), *troubles]:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures or troubles else 0


def chosen_tasks(options: Options, data_root: Path | None) -> list[Task]:
    """The tasks by name with their settings; those that cannot run are named on the way."""
    refuse_unknown("task", options.tasks, TASKS)
    tasks = dict(TASKS)
    for assignment in options.set:
        name, dot, rest = assignment.partition(".")
        if not dot or name not in tasks:
            raise ValueError(f"{assignment!r} does not begin with a task: {', '.join(tasks)}")
        try:
            tasks[name] = changed(tasks[name], rest)
        except ValueError as problem:
            raise ValueError(f"--set {assignment}: {problem}") from None
    names = options.tasks or tuple(tasks)
    return ready_tasks(tasks, names, data_root, insist=bool(options.tasks))


def chosen_arms(names: Sequence[str]) -> list[Arm]:
    """The arms by name, in the order of the tables."""
    refuse_unknown("arm", names, ARMS)
    return [arm for arm in ARMS.values() if not names or arm.name in names]


def whole_seeds(seeds: int) -> int:
    """The number of seeds, refused where it is below 1."""
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; it has to be at least 1")
    return seeds


if __name__ == "__main__":
    sys.exit(main())
