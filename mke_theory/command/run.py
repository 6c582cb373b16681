"""`mke run`: the paper's comparison on every task whose data are at hand.

`experiments/run_real.py` is the same job, and says what it claims.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mke_theory.command.calls import (
    answered_tasks,
    asked,
    interrupted,
    ready_tasks,
    refuse_unknown,
    refused,
)
from mke_theory.data.console import forgiving_console
from mke_theory.report import found, page
from mke_theory.report import summary as report
from mke_theory.report import theory as theory_report
from mke_theory.report.attempts import Attempts
from mke_theory.study import records
from mke_theory.study.arms import ARMS, Arm
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.overrides import changed
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.result import Run
from mke_theory.study.study import execute, feasible, plan, repeats_another
from mke_theory.study.task import Task
from mke_theory.study.theory_on_runs import appraise_all
from mke_theory.tasks.registry import TASKS, data_root_or_default
from mke_theory.training.hardware import Hardware

ALL = "all"
_IDLE = "would repeat another arm, as the recipe adjusts no decisions"


@dataclass(frozen=True)
class Options:
    """Run the comparison, write records, tables and figures; a rerun does only what is missing."""

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Tasks to run. None means every task whose data are found, but for those that take an hour;
    "all" means those too."""
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Arms to run; none means the usual ones of each task: all, but for `arrays`. The teacher is
    always among them."""
    seeds: int = 5
    """Number of seeds, 0 to seeds − 1."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    teacher_answers: Path | None = None
    """Folder with the answers of teachers whose networks are elsewhere, a file TASK_SEED.npz for
    each task and seed (`mke_theory.data.answer_files`). No teacher is trained then, and tasks
    without a file there are left out."""
    out: Path = Path("results/real")
    """Folder for records, tables and figures."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """The device to train on."""
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""
    workers: int | None = None
    """Runs carried out at the same time, each in a process of its own. Default: one a core, or one
    alone where several processes train each run together."""
    devices: int = 1
    """Processes on a machine that train each run together, on a GPU each. Those that torchrun
    starts have to be as many."""
    nodes: int = 1
    """Machines that train each run together, with as many processes each."""
    micro_batch: int | None = None
    """The most samples that a process computes on at once: a batch is cut into pieces of at most
    that many, and gradients add up."""
    loader_workers: int = 0
    """Processes beside each training process that read batches ahead."""
    channels_last: bool = False
    """Keep the channels of pictures side by side in memory, as tensor cores read them."""
    compile: bool = False
    """Run models through torch.compile."""
    deterministic: bool = False
    """Only algorithms that give the same numbers every time; an error where there is none."""
    one_by_one: bool = False
    """Train every job alone, by the plain loop. By default those of small networks are trained side
    by side, which gives the same numbers up to rounding."""
    skip_bad: bool = False
    """Leave damaged files of a data set out, and say so, instead of refusing the data set."""
    theory: int = 1
    """Seeds at which the MM student is appraised: ledger and certificate; 0 for none."""
    resume: bool = True
    """Skip what is recorded in the output folder; --no-resume does everything again."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH=VALUE ...")] = ()
    """Settings to change, for instance digits.recipe.student.steps=100."""


@forgiving_console()
def main(
    argv: Sequence[str] | None = None, *, called: str = "mke run", description: str | None = None
) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C.

    `called` is the command as it was typed, before its options; `description` heads its help.
    """
    options = asked(Options, argv, description, called)
    given = sys.argv[1:] if argv is None else argv
    try:
        return run_all(options, " ".join([called, shlex.join(given)]).strip())
    except KeyboardInterrupt:
        return interrupted(options.out)


def run_all(options: Options, command: str) -> int:
    """Check everything that can be checked, do what is missing, report on all."""
    try:
        configuration = configuration_of(options)
        if not configuration.hardware.leads:
            return take_part(options, configuration)
        tasks, wanted = planned(options)
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with kept:
        try:
            runs, left_out = feasible(wanted)
            named = {run.task.name: run.task for run in runs}
            files = found.tell(named.values(), options.out)
        except (OSError, ValueError) as problem:
            return refused(problem)
        for line in left_out:
            print(line, file=sys.stderr)
        try:
            done, failures = execute(runs, kept, configuration, resume=options.resume)
        except (OSError, MemoryError) as problem:
            return stopped(problem)
        troubles = [f"{failure.run}: {failure.error}" for failure in failures]
        troubles += leave_and_show(done, tasks, options, configuration, command, files)
    for line in troubles:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if troubles else 0


def leave_and_show(
    done: Sequence[Record],
    tasks: Sequence[Task],
    options: Options,
    configuration: RunConfiguration,
    command: str,
    files: Sequence[Path],
) -> list[str]:
    """Write tables, theory, figures and the page, then print; a line for each that failed.

    `files` were written before the runs.
    """
    folder, made = options.out, Attempts(list(files))
    if done:
        made.write("tables", lambda: report.write(done, folder))
    appraisals: list[Record] = []

    def appraised() -> list[Path]:
        found, failed = appraise_all(
            done,
            tasks,
            folder,
            seeds=options.theory,
            workers=configuration.workers,
            resume=options.resume,
        )
        appraisals.extend(found)
        made.troubles.extend(failed)
        return theory_report.write(found, folder)

    made.write("theory", appraised)
    if done:
        drawn = report.figures(done, folder)
        made.files += drawn.files
        made.troubles += drawn.troubles
        figures = drawn.files
        made.write(
            page.NAME,
            lambda: page.write(done, appraisals, folder, figures=figures, command=command),
        )
    report.show(done, folder)
    theory_report.show(appraisals)
    if done:
        report.show_overview(done)
        print(*made.files, sep="\n")
    return made.troubles


def take_part(options: Options, configuration: RunConfiguration) -> int:
    """The same runs, in step with the first process, which alone records and speaks.

    0 also where a run failed: that is for the first process to say.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what is left out, the first one says
            _, wanted = planned(options)
            runs, _ = feasible(wanted)
    except (OSError, ValueError) as problem:
        return refused(problem)
    try:
        execute(runs, None, configuration, resume=options.resume)
    except (OSError, MemoryError) as problem:
        return stopped(problem)
    return 0


def stopped(problem: Exception) -> int:
    """1, after one line on what interrupted the study half-way."""
    print(f"error: {problem}; what is recorded stays", file=sys.stderr)
    return 1


def configuration_of(options: Options) -> RunConfiguration:
    """The run configuration; ValueError where the hardware is not here."""
    hardware = Hardware(
        options.device,
        options.devices,
        options.precision,
        options.nodes,
        options.micro_batch,
        options.loader_workers,
        options.channels_last,
        options.compile,
        options.deterministic,
    )
    hardware.refuse_absent()
    workers = 1 if hardware.processes > 1 else available_cores()
    return RunConfiguration(
        folder=options.out,
        hardware=hardware,
        workers=workers if options.workers is None else options.workers,
        trainer="one by one" if options.one_by_one else "auto",
    )


def planned(options: Options) -> tuple[list[Task], list[Run]]:
    """The tasks and all runs asked for; ValueError where an arm named runs on none of the tasks."""
    tasks, seeds = chosen_tasks(options), whole_seeds(options.seeds)
    if options.teacher_answers is not None:
        named = bool(options.tasks) and options.tasks != (ALL,)
        tasks = answered_tasks(tasks, options.teacher_answers, seeds, insist=named)
    arms = chosen_arms(options.arms) if options.arms else None
    runs = plan(tasks, arms, range(seeds))
    for arm in arms or ():
        idle = [task.name for task in tasks if repeats_another(arm, task)]
        if idle and len(idle) == len(tasks):
            raise ValueError(f"{arm.name} {_IDLE} ({', '.join(idle)}); leave it out")
        for name in idle:
            print(f"left out {name} {arm.name}: it {_IDLE}", file=sys.stderr)
    return tasks, runs


def chosen_tasks(options: Options) -> list[Task]:
    """The tasks by name, with their settings and the data root.

    Those that cannot run are named on the way.
    """
    if ALL in options.tasks and options.tasks != (ALL,):
        raise ValueError(f"--tasks {ALL} stands alone; leave the other names out")
    if options.tasks != (ALL,):
        refuse_unknown("task", options.tasks, TASKS)
    root = data_root_or_default(options.data_root)
    tasks = {name: task.at(root) for name, task in TASKS.items()}
    wanted: dict[str, list[str]] = {}
    for assignment in options.set:
        name, dot, rest = assignment.partition(".")
        if not dot or name not in tasks:
            raise ValueError(f"{assignment!r} does not begin with a task: {', '.join(tasks)}")
        wanted.setdefault(name, []).append(rest)
    for name, assignments in wanted.items():
        try:
            tasks[name] = changed(tasks[name], *assignments)
        except ValueError as problem:
            listed = " ".join(f"{name}.{rest}" for rest in assignments)
            raise ValueError(f"--set {listed}: {problem}") from None
    if options.skip_bad:
        tasks = {name: without_bad_files(task) for name, task in tasks.items()}
    if options.tasks == (ALL,):
        return ready_tasks(tasks, tuple(tasks), insist=False)
    if options.tasks:
        return ready_tasks(tasks, options.tasks, insist=True)
    long = [n for n, task in tasks.items() if task.lasts and task.missing() is None]
    for name in long:
        print(f"left out {name}: it takes long; name it, or --tasks {ALL}", file=sys.stderr)
    short = tuple(name for name in tasks if name not in long)
    return ready_tasks(tasks, short, insist=False)


def without_bad_files(task: Task) -> Task:
    """The task told to leave damaged files out, where it reads any that can be left out."""
    if "skip_bad" not in {field.name for field in fields(task)}:
        return task
    return replace(task, skip_bad=True)  # type: ignore[call-arg]  # a field of some tasks


def chosen_arms(names: Sequence[str]) -> list[Arm]:
    """The arms by name, in the order of the tables."""
    refuse_unknown("arm", names, ARMS)
    return [arm for arm in ARMS.values() if arm.name in names]


def whole_seeds(seeds: int) -> int:
    """The number of seeds, refused where it is below 1."""
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; it has to be at least 1")
    return seeds
