"""Arrays of one's own, in small, and the parts of a problem."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.tasks.toy import Arrays

PARTS = ("labelled", "unlabelled", "test")
Content = dict[str, np.ndarray]


def content() -> Content:
    """Thirty rows, two modalities, the last ten rows of unknown class."""
    draw = np.random.default_rng(0)
    labels = np.where(np.arange(30) < 20, np.arange(30) % 3, -1)
    return {
        "sound": draw.normal(5, 2, size=(30, 3)),
        "image": draw.normal(size=(30, 2, 2)),
        "labels": labels,
    }


def given_parts() -> Content:
    part = np.repeat(["labelled", "unlabelled", "test"], [9, 12, 9])
    return {**content(), "labels": np.arange(30) % 3, "part": part}


def saved(folder: Path, arrays: Mapping[str, Any]) -> Arrays:
    np.savez(folder / "own.npz", **arrays)
    return Arrays(file=str(folder / "own.npz"))


def parts(problem: Problem) -> dict[str, Pool]:
    return {name: getattr(problem, name) for name in PARTS}


def sizes(problem: Problem) -> list[int]:
    return [len(pool) for pool in parts(problem).values()]


def true_classes(problem: Problem) -> dict[str, np.ndarray]:
    """The true classes of each part; training sees those of D_u as −1."""
    assert bool((problem.unlabelled.labels == -1).all())
    known = {"unlabelled": problem.truth.labels}
    return {name: known.get(name, pool.labels).numpy() for name, pool in parts(problem).items()}
