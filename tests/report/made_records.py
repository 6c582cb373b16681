"""Records of made-up runs whose gains are known by hand."""

from __future__ import annotations

from typing import Any

from mke_theory.study.arms import ARMS
from mke_theory.study.records import Record

GAINS = {"um_student": 0.01, "mm_student": 0.2, "mm_student_shuffled": -0.1}


def tally(kept: int, corrected: int, inherited: int, damaged: int) -> dict[str, int]:
    return {"kept": kept, "corrected": corrected, "inherited": inherited, "damaged": damaged}


def record(
    task: str = "digits",
    arm: str = "mm_student",
    seed: int = 0,
    test: float | None = 0.5,
    by_class: list[dict[str, int]] | None = None,
    **changes: Any,
) -> Record:
    given: dict[str, Any] = {
        "key": f"{task}/{arm}/{seed}",
        "title": f"the task {task}",
        "arm_title": ARMS[arm].title if arm in ARMS else arm,
        "config_hash": arm,
        "metrics": {"test": test},
        "account": {} if by_class is None else {"unlabelled": {"by_class": by_class}},
    }
    return Record(task=task, arm=arm, seed=seed, **(given | changes))


def example(tasks: tuple[str, ...] = ("digits", "twomoon"), seeds: int = 3) -> list[Record]:
    """Gains are those of GAINS, less 0.01, plus 0 and plus 0.01 at seeds 0, 1, 2."""
    found = []
    for task in tasks:
        for seed in range(seeds):
            found.append(record(task, "um_teacher", seed, 0.6 + seed / 100))
            for arm, gain in GAINS.items():
                by_class = [tally(6, 2, 1, 1), tally(1, 0, seed, 0), tally(0, 0, 0, 0)]
                found.append(record(task, arm, seed, 0.59 + seed / 50 + gain, by_class))
    return found
