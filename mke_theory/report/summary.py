"""The end of a study: what is printed, and the tables and figures that it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from mke_theory.report import differences, evidence, plots, table_files, tables
from mke_theory.report.attempts import Attempts
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


def figures(records: Sequence[Record], folder: Path) -> Attempts:
    """Every figure that the records allow, saved in `folder`.

    One that cannot be drawn, because a file beside its record is damaged for instance, costs no
    other.
    """
    made = Attempts()
    tasks = [tables.of_task(records, task) for task in dict.fromkeys(one.task for one in records)]
    for name, drawn in _drawings(records, tasks, folder):
        made.write(f"figure {name}", partial(_saved, drawn, folder / name))
    return made


def _drawings(
    records: Sequence[Record], tasks: Sequence[Sequence[Record]], folder: Path
) -> Iterator[tuple[str, Callable[[], Figure | None]]]:
    """The name of each figure with the way to draw it, which gives None where nothing is shown."""
    if {REFERENCE} < {record.arm for record in records}:
        yield "gain_by_arm.png", lambda: plots.gain_by_arm(records)
    known = [record for record in records if record.metrics.get("unlabelled") is not None]
    if accounted := plots.with_account(known):
        yield "account_by_class.png", lambda: plots.account_by_class(accounted)
    named = [record for record in records if record.class_names]
    if tables_of(named, ARMS_SHOWN):
        yield "confusion.png", lambda: plots.confusion_by_arm(named)
    yield "reliability.png", partial(_reliability, tasks, folder)
    for own in tasks:
        task = table_files.stem(own[0].task)
        yield f"regions_{task}.png", partial(_drawn_regions, own, folder)
        yield f"scenes_{task}.png", partial(_drawn_scenes, own, folder)


def _saved(draw: Callable[[], Figure | None], path: Path) -> list[Path]:
    figure = draw()
    return [] if figure is None else [plots.save(figure, path)]


def _reliability(tasks: Sequence[Sequence[Record]], folder: Path) -> Figure | None:
    sure = [found for own in tasks if (found := evidence.confidences(own, folder))]
    return plots.reliability_by_task(sure) if sure else None


def _drawn_regions(own: Sequence[Record], folder: Path) -> Figure | None:
    regions = _regions(own, folder)
    return plots.decision_regions(regions) if regions else None


def _drawn_scenes(own: Sequence[Record], folder: Path) -> Figure | None:
    arrays = {
        record.arm_title: load(folder / record.artifacts["scenes"])
        for record in _at_first_seed(own, "scenes")
    }
    if not arrays:
        return None
    names = next(iter(arrays.values())).get("names")
    return plots.predicted_scenes(scenes_of(arrays), None if names is None else list(names))


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
