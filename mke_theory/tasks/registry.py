"""The tasks by name, with their default settings."""

from __future__ import annotations

import os
from pathlib import Path

from mke_theory.data.typed_paths import at_home
from mke_theory.study.task import Task
from mke_theory.tasks.av_digits import AVDigits
from mke_theory.tasks.nyu_depth import NYUDepth, NYUDepthPretrained
from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.toy import Arrays, Digits, TwoMoon, TwoMoonPublished
from mke_theory.tasks.vggsound import VGGSound

_ALL: tuple[Task, ...] = (
    TwoMoonPublished(),
    TwoMoon(),
    Digits(),
    AVDigits(),
    AVDigits(teacher="image"),
    AVDigits(ear="embedding"),
    AVDigits(teacher="image", ear="embedding"),
    Ravdess(),
    Ravdess(teacher="speech"),
    Ravdess(labels="by actor"),
    Ravdess(teacher="speech", labels="by actor"),
    NYUDepth(),
    NYUDepth(teacher="depth"),
    NYUDepthPretrained(),
    VGGSound(),
    Arrays(),
)
TASKS = {task.name: task for task in _ALL}
"""Every task with its default settings, in the order of the tables."""


def data_root_or_default(given: Path | None) -> Path:
    """The folder that holds one sub-folder a data set: as given, else $MKE_DATA_ROOT, else ./data.

    Raises FileNotFoundError where a folder was named and does not exist.
    """
    named = given or (
        at_home(os.environ["MKE_DATA_ROOT"]) if os.environ.get("MKE_DATA_ROOT") else None
    )
    if named is not None and not named.is_dir():
        raise FileNotFoundError(
            f"the data root {named} is not a folder; pass an existing one by --data-root or "
            "MKE_DATA_ROOT, or leave both out to run what needs no data"
        )
    return named or Path("data")
