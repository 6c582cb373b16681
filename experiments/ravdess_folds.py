"""RAVDESS over all actors: four folds of six, each tested, so that the interval speaks of actors.

Claim: none in advance. The tables of RAVDESS have one test part, six actors who are the same at
every seed; here each of the 24 actors is tested. A fold is drawn twice (seeds s and s + 4: other
labels, weights and noise) and its two gains are averaged first, so that the interval has four
values, and the spread between folds stands beside that between the draws of one.

    python experiments/ravdess_folds.py                                 four settings, 8 seeds
    python experiments/ravdess_folds.py --ears log-mel embedding both   with a pre-trained ear too

Hardware: two CPU cores, about two minutes for each ear, and as many to hear all recordings once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro

from mke_theory.command.calls import (
    asked,
    ready_tasks,
    refuse_below_one,
    refuse_unknown,
    refused,
    until_interrupted,
)
from mke_theory.data.console import forgiving_console
from mke_theory.evaluation.stats import paired_difference, summarise
from mke_theory.study import records
from mke_theory.study.arms import ARMS, REFERENCE
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.study import execute, feasible, plan
from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.ravdess.task import Ear, Face
from mke_theory.tasks.registry import TASKS, data_root_or_default

FOLDS = 4
SETTINGS = {name: task for name, task in TASKS.items() if isinstance(task, Ravdess)}
COMPARED = (REFERENCE, "um_student", "mm_student", "mm_student_evidence", "mm_student_sup")


@dataclass(frozen=True)
class Options:
    """Run the settings of RAVDESS over four folds of test actors, and set folds beside draws."""

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = tuple(SETTINGS)
    """Settings to run."""
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = COMPARED
    """Arms to run; the teacher is always among them."""
    draws: int = 2
    """Draws of each fold; draw d of fold k has the seed first_seed + k + 4 d."""
    first_seed: int = 0
    """The first seed, a multiple of four."""
    ears: Annotated[tuple[Ear, ...], tyro.conf.arg(metavar="EAR ...")] = ("log-mel",)
    """What is made of the sound: log-mel, embedding, both; the settings are run with each."""
    face: Face = "action units"
    """What is made of the face."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/ravdess_folds")
    """Folder for records and tables."""
    workers: int = field(default_factory=available_cores)
    """Runs carried out at the same time, each in a process of its own."""
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
        refuse_below_one(options, "draws", "workers")
        refuse_unknown("arm", options.arms, ARMS)
        if options.first_seed < 0 or options.first_seed % FOLDS:
            raise ValueError(
                f"first_seed is {options.first_seed}; it has to be 0 or a multiple of {FOLDS}, so "
                "that every fold is drawn equally often"
            )
        tasks = chosen_tasks(options)
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    arms = [ARMS[name] for name in dict.fromkeys((REFERENCE, *options.arms))]
    seeds = range(options.first_seed, options.first_seed + FOLDS * options.draws)
    with kept:
        try:
            runs, _ = feasible(plan(tasks, arms, seeds))
        except (OSError, ValueError) as problem:
            return refused(problem)
        configuration = RunConfiguration(workers=options.workers)
        done, failures = execute(runs, kept, configuration, resume=options.resume)
    if done:
        text = markdown(done)
        print(text)
        print(records.write_atomic(options.out / "folds.md", text))
    for failure in failures:
        print(f"failed: {failure.run}: {failure.error}", file=sys.stderr)
    return 1 if failures else 0


def chosen_tasks(options: Options) -> list[Ravdess]:
    """The settings by name, in four folds, with each ear; ValueError where data are missing."""
    root, found = data_root_or_default(options.data_root), []
    for ear in dict.fromkeys(options.ears):
        chosen = {
            name: replace(task.at(root), test_actors="four folds", ear=ear, face=options.face)
            for name, task in SETTINGS.items()
        }
        found += ready_tasks(chosen, options.tasks, insist=True)
    return found


def markdown(rows: Sequence[Record]) -> str:
    """The page of results: for each setting accuracy and gain by fold, and over folds."""
    parts = [
        "Test accuracy in percent, and gain over the UM teacher in points, by fold of six test "
        "actors (mean of its draws); over folds the mean, the gain's 95% interval (Student, one "
        "value a fold), and the standard deviation of gains between folds and between draws of one "
        "fold.\n"
    ]
    names, arms = list(SETTINGS), list(ARMS)
    rows = sorted(rows, key=lambda row: (names.index(row.task), row.title, arms.index(row.arm)))
    for title in dict.fromkeys(row.title for row in rows):
        own = [row for row in rows if row.title == title]
        draws = len({row.seed for row in own}) // FOLDS
        parts.append(f"### {title} ({own[0].task})\n")
        parts.append(f"{table(own).to_markdown(index=False, disable_numparse=True)}\n")
        parts.append(f"{FOLDS} folds, {draws} draws each.\n")
    return "\n".join(parts)


def compact(record: Record) -> Record:
    """The record with what the page needs: accuracies, and the sizes of the parts."""
    return replace(
        record,
        metrics={name: record.metrics[name] for name in ("test", "unlabelled")},
        counts={name: record.counts[name] for name in ("labelled", "unlabelled", "test")},
        config={},
        environment={},
        history=[],
        artifacts={},
        training={},
        account={},
        differences={},
        scores={},
        confusion=None,
        extra={},
    )


def table(own: Sequence[Record]) -> pd.DataFrame:
    """The table of one setting, a row an arm; ValueError where arms have different seeds."""
    by_arm = {arm: _by_fold(own, arm) for arm in dict.fromkeys(row.arm for row in own)}
    if len({x.shape for x in by_arm.values()}) > 1:
        raise ValueError(f"{own[0].task}: arms have other seeds than the teacher; run them again")
    titles = {row.arm: row.arm_title for row in own}
    lines = [_line(titles[arm], x, by_arm[REFERENCE]) for arm, x in by_arm.items()]
    return pd.DataFrame(lines).fillna("")


def _by_fold(own: Sequence[Record], arm: str) -> np.ndarray:
    """Test accuracies in percent, [folds, draws]."""
    found = {row.seed: 100 * row.metrics["test"] for row in own if row.arm == arm}
    seeds = sorted(found)
    if len(seeds) % FOLDS or any(seed % FOLDS != at % FOLDS for at, seed in enumerate(seeds)):
        raise ValueError(f"{own[0].task}, {arm}: seeds {seeds} are not every fold equally often")
    return np.array([found[seed] for seed in seeds]).reshape(-1, FOLDS).T


def _line(title: str, test: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    mean = summarise(test.mean(axis=1))
    line = {"arm": title} | {
        f"actors {6 * k + 1} to {6 * k + 6}": f"{x:.1f}" for k, x in enumerate(test.mean(axis=1))
    }
    line["all actors"] = f"{mean.mean:.1f} ± {mean.sd:.1f} ({mean.n})"
    if test is reference:
        return line | {"gain by fold": "reference"}
    gains = test - reference
    found = paired_difference(test.mean(axis=1), reference.mean(axis=1))
    line["gain by fold"] = ", ".join(f"{gain:+.1f}" for gain in gains.mean(axis=1))
    low, high = (found.interval.low, found.interval.high) if found.interval else (np.nan, np.nan)
    line["gain"] = f"{found.mean:+.1f} [{low:.1f}, {high:.1f}] ({found.n})"
    within = float(np.sqrt(gains.var(axis=1, ddof=1).mean())) if gains.shape[1] > 1 else np.nan
    line["sd between folds, draws"] = f"{found.sd or 0:.1f}, {within:.1f}"
    return line


if __name__ == "__main__":
    raise SystemExit(main())
