"""Records of made-up runs whose gains are known by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

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


def notes(**changes: Any) -> dict[str, Any]:
    """The notes of an evidence student on itself, with some parts changed."""
    labels = {
        "unit": "samples",
        "n": 100,
        "changed": 20,
        "by_class": [[40, 5], [30, 0], [20, 12], [10, 3]],
        "confidence_kept": 0.9,
        "confidence_changed": 0.7,
    }
    given = {
        "labels": labels | changes.pop("labels", {}),
        "verdicts": {"sound": "trusted"},
        "usefulness": {"sound": 9.0},
        "redundancy": {"sound": [0.1, 0.2]},
        "temperature": 2.0,
        "honest_accuracy": 0.6,
        "prior": [0.25] * 4,
        "prior_from": "labels of D_l",
        "rounds": [],
        "messages": [],
    }
    return {"evidence": given | changes}


def evidence(seed: int = 0, task: str = "digits", test: float = 0.5, **changes: Any) -> Record:
    """A run of an evidence student."""
    return record(task, "mm_student_evidence", seed, test, extra=notes(**changes))


def sure(folder: Path, one: Record, confidence: float = 0.75) -> Record:
    """The run with the file of its confidence: the student's is `confidence` throughout.

    Of four answers the student has three right and the teacher, whose confidence is 1, two.
    """
    name = f"{one.task}_{one.seed}_confidence.npz"
    np.savez(
        folder / name,
        student_confidence=np.full(4, confidence),
        student_right=np.array([True, True, True, False]),
        teacher_confidence=np.ones(4),
        teacher_right=np.array([True, True, False, False]),
    )
    return replace(one, artifacts={"confidence": name})
