"""What a study prints and leaves behind: tables, summary and figures, all from records alone."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.report import tables
from mke_theory.report.plots import confusion as plots_confusion
from mke_theory.report.plots import gains as plots
from mke_theory.report.plots import scenes as plots_scenes
from mke_theory.study.arms import MM_STUDENT, REFERENCE
from mke_theory.study.records import Record, write_atomic

REGION_ARMS = ("um_teacher", "um_student", "mm_student", "mm_student_sup")


def show(done: Sequence[Record]) -> None:
    """Print for each task its table, the sizes, the rule of selection, and how the arms differ."""
    tasks = dict.fromkeys(record.task for record in done)
    for task in tasks:
        own = [record for record in done if record.task == task]
        print(f"\n## {own[0].title} ({task})\n")
        print(tables.table(own, task).to_markdown())
        if tables.has_more_scores(own):
            print(f"\nOn test, in %:\n\n{tables.scores(own, task).to_markdown()}")
        print(f"\n{sizes(own)}")
        print("Arms, as they differ from MM student (MKE):")
        for name, text in declared_differences(own).items():
            print(f"  {name}: {text}")
    if len(tasks) > 1:
        print(
            "\n## Test accuracy (or the metric named) in %, mean ± sd (seeds), and gain in points "
            "with 95% interval\n"
        )
        print(tables.overview(done).T.to_markdown())


def sizes(own: Sequence[Record]) -> str:
    """Who was labelled, unlabelled and test, and by which rule the weights were chosen."""
    counts = own[0].counts
    seeds = sorted({record.seed for record in own})
    skipped = {line for record in own for line in record.skipped}
    left_out = f" Left out: {len(skipped)}, listed in the records." if skipped else ""
    return (
        f"D_l {counts['labelled']}, D_u {counts['unlabelled']}, test {counts['test']} samples; "
        f"seeds {seeds[0]} to {seeds[-1]}.{left_out}\n"
        f"Between seeds vary: {own[0].varies}."
    )


def declared_differences(own: Sequence[Record]) -> dict[str, str]:
    """Arm title to the fields in which it departs from the base, with both values and its size."""
    found = {}
    for record in {record.arm: record for record in reversed(own)}.values():
        changes = record.differences.items()
        parts = [f"{name} {_word(a)} → {_word(b)}" for name, (a, b) in changes]
        size = f"{record.counts['parameters']:,} parameters"
        found[record.arm_title] = "; ".join([*parts, size])
    return dict(reversed(found.items()))


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else value


def write(done: Sequence[Record], folder: Path) -> list[Path]:
    """summary.json, overview.md, and a table a task as Markdown, CSV and LaTeX; their paths."""
    overview = tables.overview(done).T.to_markdown() + "\n"
    return [
        tables.write_summary(done, folder / "summary.json"),
        write_atomic(folder / "overview.md", overview),
        *tables.write_tables(done, folder),
    ]


def figures(done: Sequence[Record], folder: Path) -> list[Path]:
    """Every figure that the records allow; returns the paths."""
    made = []
    if {REFERENCE} < {record.arm for record in done}:
        made.append(plots.gain_by_arm(done, folder / "gain_by_arm.png"))
    told = {
        record.task
        for record in done
        if record.arm == MM_STUDENT.name and record.metrics["unlabelled"] is not None
    }
    if told:
        shown = [record for record in done if record.task in told]
        made.append(plots.account_by_class(shown, folder / "account_by_class.png"))
    named = [record for record in done if record.class_names]
    if plots_confusion.tables_of(named, plots_confusion.ARMS_SHOWN):
        made.append(plots_confusion.confusion(named, folder / "confusion.png"))
    for task in dict.fromkeys(record.task for record in done):
        panels = _regions([record for record in done if record.task == task], folder)
        if panels:
            made.append(plots.decision_regions(panels, folder / f"regions_{task}.png"))
        arrays = _scenes([record for record in done if record.task == task], folder)
        if arrays:
            panes, names = plots_scenes.scenes_of(arrays), next(iter(arrays.values())).get("names")
            path = folder / f"scenes_{task}.png"
            made.append(plots_scenes.scenes(panes, path, None if names is None else list(names)))
    return made


def _scenes(own: Sequence[Record], folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Arm title to the arrays of its scenes at the first seed; empty where there are none."""
    return {
        record.arm_title: _loaded(folder / record.artifacts["scenes"])
        for record in _at_first_seed(own, "scenes")
    }


def _at_first_seed(own: Sequence[Record], artifact: str) -> list[Record]:
    """The records of the first seed that have the artifact, in the order of the paper's figure."""
    first = min(record.seed for record in own)
    by_arm = {record.arm: record for record in own if record.seed == first}
    listed = [by_arm[arm] for arm in REGION_ARMS if arm in by_arm]
    return [record for record in listed if artifact in record.artifacts]


def _loaded(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
        raise OSError(
            f"{path} is damaged ({problem}); restore it, or repeat the run by --no-resume"
        ) from problem


def _regions(own: Sequence[Record], folder: Path) -> list[plots.Region]:
    """Panels for the first seed, in the order of the paper's figure; none where none is planar."""
    panels = []
    for record in _at_first_seed(own, "regions"):
        drawn = _loaded(folder / record.artifacts["regions"])
        panels.append(
            plots.Region(
                title=f"{record.arm_title}, seed {record.seed}",
                accuracy=record.metrics["test"],
                **{name: drawn[name] for name in ("x", "y", "prediction", "points", "labels")},
            )
        )
    return panels
