"""Evidence students on worlds: the seeds of a setting side by side, and a record of each.

Every student of a setting has one budget, that of `semi_supervised`: 600 updates, each of which
sees all samples. The experts of an evidence student share it out among folds and rounds. All seeds
of a setting are one block: they train together, draw their noise from one generator, and so are
done together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure
from semi_supervised import WHOLE
from torch import nn
from tqdm import tqdm

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.method.algorithm import predictions_of
from mke_theory.method.evidence import (
    EvidenceExpansion,
    EvidenceSettings,
    carry_out,
    evidence_plan,
)
from mke_theory.report.plots import save
from mke_theory.study import records
from mke_theory.study.arm_setup import teacher_of
from mke_theory.study.evidence_setup import job_of
from mke_theory.study.keys import config_hash, run_key, versions
from mke_theory.study.processes import over_processes
from mke_theory.study.records import Record, write_atomic
from mke_theory.study.semi_supervised.contestants import comparable
from mke_theory.study.task import Recipe
from mke_theory.synthetic.simulated import Simulated
from mke_theory.synthetic.world import World
from mke_theory.training.vectorised.engine import side_by_side

T = TypeVar("T")
TRAINER = partial(side_by_side, draws="shared")


@dataclass(frozen=True)
class Block:
    """A setting and its seeds. `about` are columns of the table that describe the setting."""

    task: Simulated
    seeds: tuple[int, ...]
    about: Mapping[str, str | float]

    def key(self, arm: str, seed: int) -> str:
        """The key of a seed's record; it changes with the seeds that train beside it."""
        return run_key(
            task=self.task.name,
            arm=arm,
            seed=seed,
            config_hash=config_hash([self.task, self.seeds, EvidenceSettings()]),
            environment=versions(),
        )


@dataclass(frozen=True)
class Start:
    """A seed's problem, and its teacher after training."""

    task: Simulated
    seed: int
    problem: Problem
    teacher: nn.Module

    def score(self, model: nn.Module) -> float:
        """The accuracy on test."""
        return self.accuracy(model, self.problem.test)

    @staticmethod
    def accuracy(model: nn.Module, pool: Pool) -> float:
        """The share of a pool whose class the model names."""
        return float((predictions_of(model, pool) == pool.labels).double().mean())


def task_of(
    world: World, name: str, *, labelled: int, unlabelled: int, test: int = 2000, steps: int = 600
) -> Simulated:
    """The world as a task, with the networks and the budget of the semi-supervised comparison."""
    task = Simulated(
        recipe=Recipe(),
        world=world,
        labelled=labelled,
        unlabelled=unlabelled,
        test=test,
        network="encoders",
        if_missing="zero",
        called=name,
    )
    budgeted = comparable(task, replace(WHOLE, steps=steps))
    assert isinstance(budgeted, Simulated)
    return budgeted


def begun(block: Block) -> list[Start]:
    """The problem and the trained teacher of every seed. Raises RuntimeError where one fails."""
    task = block.task
    problems = [task.problem(seed) for seed in block.seeds]
    pairs = zip(block.seeds, problems, strict=True)
    fits = sound(TRAINER([teacher_of(task, seed, problem) for seed, problem in pairs]), block)
    return [
        Start(task, seed, problem, fit.model)
        for seed, problem, fit in zip(block.seeds, problems, fits, strict=True)
    ]


def evidence_students(
    block: Block, starts: Sequence[Start], settings: EvidenceSettings
) -> list[EvidenceExpansion]:
    """The evidence student of every start, whose experts share one student's budget out.

    Raises RuntimeError where one fails.
    """
    whole = block.task.recipe.student
    config = replace(whole, steps=max(1, whole.steps // settings.trainings))
    plans = [
        evidence_plan(
            job_of(s.task, s.seed, s.problem, s.teacher, config=config, settings=settings)
        )
        for s in starts
    ]
    return sound(carry_out(plans, TRAINER), block)


def sound(outcomes: Sequence[T | Exception], block: Block) -> list[T]:
    """The outcomes; RuntimeError where one of them is an error."""
    for seed, outcome in zip(block.seeds, outcomes, strict=False):
        if isinstance(outcome, Exception):
            raise RuntimeError(f"{block.task.name}, seed {seed}: {outcome}") from outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


def recorded(
    blocks: Sequence[Block],
    arm: str,
    work: Callable[[Block], list[Record]],
    out: Path,
    workers: int,
) -> pd.DataFrame:
    """A row a seed: what describes its setting, its seed, its metrics and its extra values.

    Blocks that are recorded already are not done again. Raises OSError and ValueError before any
    work where the folder cannot be used, and RuntimeError where a run fails.
    """
    keys = {block.task.name: [block.key(arm, seed) for seed in block.seeds] for block in blocks}
    with records.Records.open(out) as kept:
        todo = [b for b in blocks if not all(kept.has(key) for key in keys[b.task.name])]
        with tqdm(total=len(todo), desc=arm, disable=not todo) as bar:
            for _, done in over_processes(todo, work, workers):
                for record in done:
                    if not kept.has(record.key):
                        kept.append(record)
                bar.update()
        rows = []
        for block in blocks:
            for record in kept.of(keys[block.task.name]):
                rows.append({**block.about, "seed": record.seed, **record.metrics, **record.extra})
    return pd.DataFrame(rows)


def files_of(rows: pd.DataFrame, text: str, drawn: Figure, out: Path, name: str) -> list[Path]:
    """The rows as a table of numbers, the page and the figure, written in that order."""
    table = rows.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    return [
        write_atomic(out / f"{name}.csv", table),
        write_atomic(out / f"{name}.md", text),
        save(drawn, out / f"{name}.png"),
    ]


def markdown_of(table: pd.DataFrame) -> str:
    """A table as Markdown, its cells as they are."""
    return str(table.to_markdown(index=False, disable_numparse=True))
