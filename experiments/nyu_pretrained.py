"""NYU Depth V2 with a pre-trained encoder: how much depth still adds to a good teacher, by labels.

Claim: with 105 labelled frames students of both are better than their RGB teacher (by 3.0 points
for the evidence student, 2.8 for MKE), and than what can be had from RGB alone: the teacher with
adjusted decisions, and an RGB student with the same (by 1.9 and 1.7), at five seeds.

    python experiments/nyu_pretrained.py                        105 frames, 13 classes, 5 seeds
    python experiments/nyu_pretrained.py --frames 105 200 398   other sizes of D_l
    python experiments/nyu_pretrained.py --classes 40           39 classes: the 40 without "other"
    python experiments/nyu_pretrained.py --split "fixed blocks" one D_l: what weights and noise do
    python experiments/nyu_pretrained.py --split "all frames"   all 795 labelled, and D_u as well

Hardware: two CPU cores and 16 GiB; features once, 14 minutes on one core and 5 GB of disk, then 43
minutes for five seeds of the usual arms, all on a machine that was not idle.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import tyro

from mke_theory.command.calls import (
    asked,
    refuse_below_one,
    refuse_unknown,
    refused,
    until_interrupted,
)
from mke_theory.data.console import forgiving_console
from mke_theory.evaluation.stats import paired_difference, summarise
from mke_theory.report import summary
from mke_theory.study import records
from mke_theory.study.arms import ARMS, EVIDENCE, MM_STUDENT, REFERENCE
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.study import execute, feasible, plan
from mke_theory.tasks.nyu_depth import NYUDepthPretrained
from mke_theory.tasks.nyu_depth.task import Split
from mke_theory.tasks.registry import data_root_or_default

RGB_ONLY = ("um_teacher_adjusted", "um_student")
"""The arms without depth that a multimodal student has to beat."""
COMPARED = (REFERENCE, *RGB_ONLY, MM_STUDENT.name, EVIDENCE.name)
FULL = "test at full size"


@dataclass(frozen=True)
class Options:
    """Run NYU Depth V2 on features of a frozen encoder, and set gains beside RGB-only rivals."""

    frames: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...")] = (105,)
    """Labelled frames."""
    classes: Literal[13, 40] = 13
    """Classes; of 40 those are left that are no "other"."""
    split: Split = "random blocks"
    """Which frames are labelled (see the task)."""
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = COMPARED
    """Arms to run; the teacher is always among them."""
    seeds: int = 5
    """Number of seeds, first_seed to first_seed + seeds − 1."""
    first_seed: int = 0
    """The first seed."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    features: Path | None = None
    """Folder that features are kept in. Default: one in the cache."""
    out: Path = Path("results/nyu_pretrained")
    """Folder for records, tables and figures; runs of other settings may go to the same."""
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
    """The exit code, after the table was written and printed, and the figure of scenes drawn."""
    try:
        refuse_below_one(options, "seeds", "workers")
        refuse_unknown("arm", options.arms, ARMS)
        tasks = chosen_tasks(options)
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    arms = [ARMS[name] for name in dict.fromkeys((REFERENCE, *options.arms))]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with kept:
        try:
            runs, _ = feasible(plan(tasks, arms, seeds))
        except (OSError, ValueError) as problem:
            return refused(problem)
        configuration = RunConfiguration(folder=options.out, workers=options.workers)
        done, failures = execute(runs, kept, configuration, resume=options.resume)
    troubles = [f"{failure.run}: {failure.error}" for failure in failures]
    if done:
        text = markdown(done)
        written = records.write_atomic(options.out / "nyu_pretrained.md", text)
        drawn = summary.figures(done, options.out)
        troubles += drawn.troubles
        print(text, written, *drawn.files, sep="\n")
    for line in troubles:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if troubles else 0


def chosen_tasks(options: Options) -> list[NYUDepthPretrained]:
    """The task with each number of labelled frames; ValueError where it cannot run."""
    root, found = data_root_or_default(options.data_root), []
    frames = options.frames if options.split == "random blocks" else (105,)
    for count in dict.fromkeys(frames):
        task = NYUDepthPretrained(
            labelled_frames=count,
            classes=options.classes,
            split=options.split,
            features=options.features,
        ).at(root)
        lacking = task.missing()
        if lacking is not None:
            raise ValueError(f"{task.name}: {lacking}")
        found.append(task)
    return found


def markdown(rows: Sequence[Record]) -> str:
    """The page of results: a table for each setting, mIoU in percent and gains in points."""
    parts = [
        "Test mIoU in percent, mean ± sd (seeds), with labels and answers at 60 × 80, and at "
        "240 × 320; pixel accuracy; and differences in mIoU at 60 × 80, in points, paired by "
        "seed, with their 95% interval.\n"
    ]
    for setting in sorted({setting_of(row) for row in rows}):
        own = [row for row in rows if setting_of(row) == setting]
        parts.append(f"### {setting[-1]}\n")
        parts.append(table(own).to_markdown(index=False, disable_numparse=True) + "\n")
    return "\n".join(parts)


def setting_of(row: Record) -> tuple[int, str, int, str]:
    """The setting that a table is of: classes, split, labelled frames, and all this in words."""
    split, count = row.config["task"]["split"], row.counts["labelled"]
    which = {"random blocks": "", "fixed blocks": ", always the same", "all frames": ", D_u too"}
    classes = len(row.class_names)
    return classes, split, count, f"{classes} classes, {count} frames labelled{which[split]}"


def is_usual(row: Record) -> bool:
    """True for 13 classes and random blocks of 105 frames, the setting of the README's table."""
    classes, split, count, _ = setting_of(row)
    return (classes, split, count) == (13, "random blocks", NYUDepthPretrained.labelled_frames)


def table(rows: Sequence[Record]) -> pd.DataFrame:
    """A row an arm: mIoU at both sizes, pixel accuracy, and gains over the teacher and rivals."""
    by_arm = {
        name: {row.seed: row for row in rows if row.arm == name}
        for name in ARMS
        if any(row.arm == name for row in rows)
    }
    rival = best_rival(by_arm)
    lines = []
    for name, own in by_arm.items():
        line = {
            "arm": ARMS[name].title,
            "mIoU": summarised([100 * row.scores["test"]["mIoU"] for row in own.values()]),
            "at 240 × 320": summarised([100 * row.scores[FULL]["mIoU"] for row in own.values()]),
            "pixels": summarised(
                [100 * row.scores["test"]["pixel accuracy"] for row in own.values()]
            ),
            "over the teacher": against(own, by_arm.get(REFERENCE, {}))
            if name != REFERENCE
            else "",
        }
        if rival is not None:
            depth = ARMS[name].modalities == "all" and name != rival
            line[f"over {ARMS[rival].title}"] = against(own, by_arm[rival]) if depth else ""
        lines.append(line)
    return pd.DataFrame(lines)


def best_rival(by_arm: dict[str, dict[int, Record]]) -> str | None:
    """The RGB-only arm with the highest mean mIoU on test, which favours the rivals."""
    there = [name for name in RGB_ONLY if by_arm.get(name)]
    means = {
        name: np.mean([row.scores["test"]["mIoU"] for row in by_arm[name].values()])
        for name in there
    }
    return max(there, key=lambda name: means[name], default=None)


def summarised(values: Sequence[float]) -> str:
    """Mean ± standard deviation (n)."""
    found = summarise(values)
    spread = "" if found.sd is None else f" ± {found.sd:.1f}"
    return f"{found.mean:.1f}{spread} ({found.n})"


def against(own: dict[int, Record], other: dict[int, Record]) -> str:
    """The paired difference in mIoU, in points, with its 95% interval and n."""
    seeds = sorted(set(own) & set(other))
    if not seeds:
        return ""
    pairs = [[100 * part[s].scores["test"]["mIoU"] for s in seeds] for part in (own, other)]
    found = paired_difference(pairs[0], pairs[1])
    ends = found.interval
    limits = "" if ends is None else f" [{ends.low:.1f}, {ends.high:.1f}]"
    return f"{found.mean:+.1f}{limits} ({found.n})"


def compact(record: Record) -> Record:
    """The record with what the page needs: scores, and which part is how large."""
    settings = {name: record.config["task"][name] for name in ("split", "classes")}
    return replace(
        record,
        config={"task": settings},
        history=[],
        confusion=None,
        account={},
        artifacts={},
        environment={},
        extra={},
    )


if __name__ == "__main__":
    sys.exit(main())
