"""The paper's numbers, where its own material shows them, beside ours. Ref: xue2021mke."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mke_theory.report.tables import NOT_AVAILABLE, cell, summary
from mke_theory.study.arms import SIX_ARMS
from mke_theory.study.records import Record


@dataclass(frozen=True)
class Reported:
    """One column of numbers by the paper's authors: metric in percent by arm, and where they stand.

    `tasks` are ours that stand beside it; `apart` is how their set-up differs.
    """

    title: str
    metric: str
    numbers: dict[str, float]
    tasks: tuple[str, ...]
    apart: str


PAPER: tuple[Reported, ...] = (
    Reported(
        "TwoMoon, the authors' notebook",
        "accuracy",
        {"um_teacher": 69.5, "um_student": 72.4, "mm_student": 77.7, "mm_student_sup": 87.6},
        ("twomoon",),
        "the notebook's protocol, with other seeds of the students: its own could not be rebuilt",
    ),
    Reported(
        "NYU Depth V2",
        "mIoU",
        {
            "um_teacher": 44.15,
            "um_student": 46.13,
            "noisy_student": 47.68,
            "mm_student_noreg": 46.14,
            "mm_student": 48.88,
        },
        ("nyu_depth",),
        "by default ours has 13 classes in 80 × 60 pixels, learns from scratch with small "
        "networks, and has D_l (105 frames) and D_u (690) cut from the 795 train frames; the "
        "paper's networks, resolution and D_u are not stated in the material at hand",
    ),
    Reported(
        "RAVDESS",
        "accuracy",
        {},
        ("ravdess", "ravdess_audio", "ravdess_actors", "ravdess_audio_actors"),
        "the paper's table could not be seen; ours reads face action units instead of face images, "
        "and its test actors are apart",
    ),
    Reported(
        "AudioSet → VGGSound",
        "mAP",
        {},
        ("vggsound",),
        "the paper's table and its list of 46 classes could not be seen; ours has 35 classes by "
        "default, and needs the clips",
    ),
)


def beside(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each of the six arms; for each of the paper's tasks its numbers and ours, in %.

    Ours are test metrics as mean ± sd (seeds); "not available" is not reported or not run.
    """
    ours = summary(records)
    columns: dict[str, list[str]] = {}
    for reported in PAPER:
        columns[f"paper: {reported.title}, {reported.metric}"] = [
            f"{reported.numbers[arm.name]:g}" if arm.name in reported.numbers else NOT_AVAILABLE
            for arm in SIX_ARMS
        ]
        for task in reported.tasks:
            cells = ours.get(task, {})
            columns[f"ours: {task}"] = [
                cell(cells.get(arm.name, {}).get("test")) for arm in SIX_ARMS
            ]
    return pd.DataFrame(columns, index=pd.Index([arm.title for arm in SIX_ARMS], name="arm"))


def markdown(records: Iterable[Record]) -> str:
    """The table, arms in columns' order turned so that it fits a page, and what differs."""
    rows = beside(records).T.rename_axis("in %")
    notes = [f"- {reported.title}: {reported.apart}." for reported in PAPER]
    return "\n".join([rows.to_markdown(disable_numparse=True), "", *notes, ""])
