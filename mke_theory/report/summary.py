"""The end of a study: what is printed, and the tables and figures that it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mke_theory.report import differences, evidence, plots, table_files, tables
from mke_theory.report.plots.confusion import ARMS_SHOWN, tables_of
from mke_theory.report.plots.scenes import scenes_of
from mke_theory.study.arms import EVIDENCE, MM_STUDENT, REFERENCE
from mke_theory.study.artifacts import load
from mke_theory.study.records import Record, write_atomic

SHOWN_SIDE_BY_SIDE = (REFERENCE, "um_student", MM_STUDENT.name, EVIDENCE.name, "mm_student_sup")
"""The arms of the paper's figures of regions and scenes, in its order, and the evidence student."""


def show(records: Sequence[Record], folder: Path | None = None) -> None:
    """Print for each task its table, a line of differences, and what its evidence student did.

    `folder` is that of the records, for what is told from files beside them.
    """
    for task in dict.fromkeys(record.task for record in records):
        own = tables.of_task(records, task)
        print(f"\n## {own[0].title} ({task})\n")
        print(tables.table(own, task).to_markdown())
        print(f"\n{differences.beyond_declared(own)}")
        if sentences := evidence.sentences(own, folder):
            print("\nThe evidence student:", *sentences, sep="\n- ")


def show_overview(records: Sequence[Record]) -> None:
    """Print the overview: every arm on test, and the gains of the students."""
    print(
        "\n## Test accuracy (or the metric named) in %, mean ± sd (seeds), and gain in points with "
        "95% interval\n"
    )
    print(f"{tables.overview(records).T.to_markdown()}\n")


def write(records: Sequence[Record], folder: Path) -> list[Path]:
    """summary.json, overview.md, and a table a task as Markdown, CSV and LaTeX; their paths."""
    return [
        table_files.write_summary(records, folder / "summary.json"),
        write_atomic(folder / "overview.md", tables.overview(records).T.to_markdown() + "\n"),
        *table_files.write_tables(records, folder),
    ]


def figures(records: Sequence[Record], folder: Path) -> list[Path]:
    """Every figure that the records allow, saved in `folder`; the paths."""
    made = []
    if {REFERENCE} < {record.arm for record in records}:
        made.append(plots.save(plots.gain_by_arm(records), folder / "gain_by_arm.png"))
    accounted = {
        record.task
        for record in records
        if record.arm == MM_STUDENT.name and record.metrics["unlabelled"] is not None
    }
    if accounted:
        own = [record for record in records if record.task in accounted]
        made.append(plots.save(plots.account_by_class(own), folder / "account_by_class.png"))
    named = [record for record in records if record.class_names]
    if tables_of(named, ARMS_SHOWN):
        made.append(plots.save(plots.confusion_by_arm(named), folder / "confusion.png"))
    tasks = [tables.of_task(records, task) for task in dict.fromkeys(one.task for one in records)]
    sure = [found for own in tasks if (found := evidence.confidences(own, folder))]
    if sure:
        made.append(plots.save(plots.reliability_by_task(sure), folder / "reliability.png"))
    for own in tasks:
        made += _of_task(own, folder)
    return made


def _of_task(own: Sequence[Record], folder: Path) -> list[Path]:
    """The figures of one task, from the arrays beside its records."""
    made, task = [], own[0].task
    if regions := _regions(own, folder):
        made.append(plots.save(plots.decision_regions(regions), folder / f"regions_{task}.png"))
    arrays = {
        record.arm_title: load(folder / record.artifacts["scenes"])
        for record in _at_first_seed(own, "scenes")
    }
    if arrays:
        names = next(iter(arrays.values())).get("names")
        figure = plots.predicted_scenes(scenes_of(arrays), None if names is None else list(names))
        made.append(plots.save(figure, folder / f"scenes_{task}.png"))
    return made


def _regions(own: Sequence[Record], folder: Path) -> list[plots.Region]:
    """The regions of each arm shown, at the first seed; none where the inputs are no plane."""
    found = []
    for record in _at_first_seed(own, "regions"):
        arrays = load(folder / record.artifacts["regions"])
        found.append(
            plots.Region(
                title=f"{record.arm_title}\nseed {record.seed}",
                accuracy=record.metrics["test"],
                **{name: arrays[name] for name in ("x", "y", "prediction", "points", "labels")},
            )
        )
    return found


def _at_first_seed(own: Sequence[Record], artifact: str) -> list[Record]:
    """The records of the first seed that have the artifact, in the order of the paper's figure."""
    first = min(record.seed for record in own)
    by_arm = {record.arm: record for record in own if record.seed == first}
    listed = [by_arm[arm] for arm in SHOWN_SIDE_BY_SIDE if arm in by_arm]
    return [record for record in listed if artifact in record.artifacts]
