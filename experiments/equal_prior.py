"""NYU's MM student beside arms that keep as much of the classes' frequency as it does: a table.

Every student is taught with τ log π taken off (`Objective.adjustment`). The MM student adds the
evidence of two modalities, so that with τ = 0.6 its answer keeps 2 · (1 − 0.6) = 0.8 of log π; an
arm that adds nothing keeps 1 − τ. With the same τ it names rare classes more often, which changes
mIoU and pixel accuracy whatever it has learned. Question: is the MM student ahead at an equal share
too, and by how much? The other arms come from

    python experiments/run_real.py --tasks nyu_depth --channels-last --out results/prior
        --arms um_teacher_adjusted um_student noisy_student mm_student_noreg
        --set nyu_depth.recipe.objective.adjustment=0.2

Hardware: two CPU cores, about a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from mke_theory.report import tables
from mke_theory.study.arms import MM_STUDENT, REFERENCE
from mke_theory.study.records import Record

TASK = "nyu_depth"
AS_THEY_ARE = ("mm_student", "mm_student_shuffled")
"""Arms that add the evidence of two modalities, and keep 0.8 with τ = 0.6."""


def markdown(usual: Iterable[Record], others: Iterable[Record]) -> str:
    """A row an arm: each metric on test, and by how much the MM student is above it, in points.

    `usual` are records with the recipe's τ = 0.6, of which `AS_THEY_ARE` count; `others` with 0.2.
    """
    kept = [run for run in usual if run.task == TASK and run.arm in AS_THEY_ARE]
    runs = [replace(run, metrics=dict(run.scores["test"])) for run in (*kept, *others)]
    titles = {run.arm: run.arm_title for run in runs}
    rows = {}
    for arm, cells in tables.summary(runs)[TASK].items():
        row = {"τ": "none" if arm == REFERENCE else "0.6" if arm in AS_THEY_ARE else "0.2"}
        for name, found in cells.items():
            row[name] = tables.cell(found)
            row[f"MKE over it, {name}"] = _gain(runs, name, arm)
        rows[titles[arm]] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm").to_markdown()


def _gain(runs: list[Record], name: str, arm: str) -> str:
    if arm == MM_STUDENT.name:
        return "reference"
    found = tables.gains(runs, name, reference=arm).set_index("arm")
    return tables.gain_cell(found.loc[MM_STUDENT.name].to_dict())
