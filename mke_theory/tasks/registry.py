"""The tasks by name: where the data come from, how they are cut, and what model fits them."""

from __future__ import annotations

import os
from pathlib import Path

from mke_theory.study.task import Task
from mke_theory.tasks.av_digits.task import AVDigits, VADigits
from mke_theory.tasks.nyu_depth.task import DepthNYU, NYUDepth
from mke_theory.tasks.ravdess.task import (
    FaceSpeech,
    FaceSpeechByActor,
    SpeechFace,
    SpeechFaceByActor,
)
from mke_theory.tasks.toy.arrays import Arrays
from mke_theory.tasks.toy.digits import Digits
from mke_theory.tasks.toy.twomoon import TwoMoon, TwoMoonPublished
from mke_theory.tasks.vggsound.task import VGGSound

_ALL: tuple[Task, ...] = (
    TwoMoonPublished(),
    TwoMoon(),
    Digits(),
    AVDigits(),
    VADigits(),
    FaceSpeech(),
    SpeechFace(),
    FaceSpeechByActor(),
    SpeechFaceByActor(),
    NYUDepth(),
    DepthNYU(),
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
        Path(os.environ["MKE_DATA_ROOT"]) if os.environ.get("MKE_DATA_ROOT") else None
    )
    if named is not None and not named.is_dir():
        raise FileNotFoundError(
            f"the data root {named} is not a folder; pass an existing one by --data-root or "
            "MKE_DATA_ROOT, or leave both out to run what needs no data"
        )
    return named or Path("data")
