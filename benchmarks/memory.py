"""The peak of memory of a run of `arrays`, over the size of its arrays.

    python benchmarks/memory.py --quick    64 MiB of pictures of each type
    python benchmarks/memory.py            192 MiB of each

Each row is a process of its own, which reads the file, draws the problem, trains a teacher and the
MM student for some steps and lets the student predict, as the main job does at a seed. The peak is
the largest resident memory of that process, less what it had taken before the file was opened. It
should be at most 3 times the arrays and a fixed part. The row without pictures shows what of that
part comes from libraries; blocks of 32 MiB, some at a time, come with the first large array.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Run
from mke_theory.study.runner import run
from mke_theory.tasks.toy.arrays import Arrays
from mke_theory.training.loop import TrainConfig

KINDS = ("uint8", "float32", "float64")
MIB = 2**20
SIDE = 64


@dataclass(frozen=True)
class Options:
    """Measure the peak of memory of runs on pictures of one's own."""

    quick: bool = False
    """64 MiB instead of 192."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table; the last line is the largest peak over the arrays, less the fixed part."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    size = 64 if options.quick else 192
    fixed = measured("uint8", 0)
    rows, times = {"no pictures": ["0", f"{fixed:.0f}", ""]}, []
    for kind in KINDS:
        peak = measured(kind, size)
        times.append((peak - fixed) / size)
        rows[kind] = [str(size), f"{peak:.0f}", f"{times[-1]:.1f}"]
    columns = ["arrays, MiB", "peak, MiB", "(peak − fixed)/arrays"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    print(table.to_markdown(disable_numparse=True))
    print(f"{max(times):.1f}")
    return 0


def measured(kind: str, size: int) -> float:
    """The peak in MiB, of a process of its own that has not made the arrays."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "pictures.npz", kind, size)
        code = f"from benchmarks.memory import peak; print(peak({str(path)!r}))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True, check=True
        )
    return float(done.stdout)


def peak(path: str) -> float:
    """The peak in MiB that this process adds for a run on the file."""
    before = _resident()
    few = TrainConfig(steps=5, batch_size=64)
    task = Arrays(file=path)
    task = replace(task, recipe=replace(task.recipe, teacher=few, student=few))
    list(run([Run(task, MM_STUDENT, 0)], RunConfiguration(trainer="one by one")))
    return _resident() - before


def write(path: Path, kind: str, size: int) -> Path:
    """A file of pictures of 3 × 64 × 64, at least 30 of them, beside four other numbers."""
    random = np.random.default_rng(0)
    n = max(30, size * MIB // (3 * SIDE**2 * np.dtype(kind).itemsize))
    side = SIDE if size else 1
    pictures = np.empty((n, 3, side, side), kind)
    for row in pictures:
        row[:] = random.integers(0, 255, row.shape)
    labels = np.where(np.arange(n) % 2, np.arange(n) % 3, -1)
    np.savez(path, image=pictures, other=random.normal(size=(n, 4)), labels=labels)
    return path


def _resident() -> float:
    """The largest resident memory so far, in MiB; bytes on macOS, KiB elsewhere."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


if __name__ == "__main__":
    sys.exit(main())
