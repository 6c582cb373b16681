"""The cost of an evidence student over that of one plain student, on the same problems.

    python benchmarks/evidence.py --quick           one task, three turns, about a minute
    python benchmarks/evidence.py                   tasks that need no data, seven turns
    python benchmarks/evidence.py --data-root DIR   the written and spoken digits too

A turn trains the MM student and the evidence student of the same seeds, each with the task's own
recipe, and the two take turns, so that a busy machine slows both. A ratio is that of one turn; the
table has the median of the turns with their range. Seconds are those of the processor, on one
thread, for each student; the teacher, which both share, is not among them. `updates` are the steps
of all the experts of an evidence student for one step of the plain one: what the ratio would be if
a step of either took as long and nothing else were done. Cross-fitting of the teacher comes on top;
experts read one modality, and half of D_u.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro

from mke_theory.study.arms import EVIDENCE, MM_STUDENT, Arm
from mke_theory.study.configuration import RunConfiguration, TrainerName
from mke_theory.study.result import Cell, Failure, Run
from mke_theory.study.runner import Teachers, run, train_teachers
from mke_theory.study.task import Task
from mke_theory.tasks.registry import TASKS

ARMS = (MM_STUDENT, EVIDENCE)
FREE, WITH_DATA = ("twomoon_fair", "digits"), ("av_digits",)
WAYS: tuple[TrainerName, ...] = ("vectorised", "one by one")


@dataclass(frozen=True)
class Options:
    """Compare the two students."""

    quick: bool = False
    """One task and three turns instead of seven."""
    seeds: int = 4
    """Seeds whose students are trained together."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set; without it the tasks that need none."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; it has to be at least 1")


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table with a row for each task and trainer."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    torch.set_num_threads(1)
    turns = 3 if options.quick else 7
    names: tuple[str, ...] = FREE[-1:] if options.quick else FREE
    names += () if options.data_root is None else WITH_DATA
    print(f"torch {torch.__version__}, one thread, {options.seeds} seeds, {turns} turns")
    rows = []
    for name in names:
        task = TASKS[name].at(options.data_root)
        for way in WAYS:
            rows.append({"task": name, "trainer": way, **row(task, way, options.seeds, turns)})
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))
    return 0


def row(task: Task, way: TrainerName, seeds: int, turns: int) -> dict[str, str]:
    """Seconds of both students, the ratio of a turn's, and the ratio of their updates."""
    cells = [Cell(task, seed) for seed in range(seeds)]
    configuration = RunConfiguration(trainer=way)
    teachers = train_teachers(cells, configuration)
    taken = []
    for _ in range(turns + 1):
        taken.append([cost(arm, cells, configuration, teachers) for arm in ARMS])
    plain, evidence = np.array(taken[1:]).transpose(1, 2, 0)  # the first turn warms up
    ratios = evidence[0] / plain[0]
    return {
        f"{MM_STUDENT.title}, s": f"{np.median(plain[0]):.2f}",
        f"{EVIDENCE.title}, s": f"{np.median(evidence[0]):.2f}",
        "ratio": f"{np.median(ratios):.1f} [{ratios.min():.1f}, {ratios.max():.1f}]",
        "updates": f"{evidence[1].mean() / plain[1].mean():.1f}",
    }


def cost(
    arm: Arm, cells: Sequence[Cell], configuration: RunConfiguration, teachers: Teachers
) -> tuple[float, float]:
    """Seconds of the processor and steps of a student of the arm; all seeds train together."""
    start = time.process_time()
    found = run([Run(one.task, arm, one.seed) for one in cells], configuration, teachers=teachers)
    seconds, steps = time.process_time() - start, 0
    for one in found:
        if isinstance(one, Failure):
            raise RuntimeError(f"{one.run}: {one.error}")
        assert one.fit is not None  # both arms train something
        steps += one.fit.steps
    return seconds / len(cells), steps / len(cells)


if __name__ == "__main__":
    sys.exit(main())
