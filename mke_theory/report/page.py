"""One page on a study, in a file that needs nothing beside itself: report.html."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mke_theory.report import differences, evidence, found, html, table_files, tables, theory
from mke_theory.report.cautions import (
    BETTER,
    WORSE,
    by_student,
    by_task,
    cautions,
    gain_of_student,
    verdict,
)
from mke_theory.study.arms import ARMS, EVIDENCE, MM_STUDENT, REFERENCE
from mke_theory.study.records import Record, write_atomic

NAME = "report.html"

STRONG = (ARMS[REFERENCE].title, MM_STUDENT.title, EVIDENCE.title)
"""The rows of a table that stand out."""

CAPTIONS = {
    "gain_by_arm": (
        "Gain of each arm over the UM teacher on test, in points: mean and 95% interval of the "
        "paired differences; faint dots are single seeds, rings placebos and rivals."
    ),
    "account_by_class": (
        "The teacher's labels on unlabelled data by true class, and their fate in the MM student: "
        "up to the end of “corrected” the student is right."
    ),
    "confusion": "Predicted classes on test in percent of each true class, summed over seeds.",
    "reliability": (
        "Confidence on test against the share of answers that are right, of the evidence student "
        "and its teacher, seeds pooled; on the dotted line confidence is what it says. Large "
        "points hold many answers; ECE is the expected calibration error, in points."
    ),
    "regions_": "Decisions over the plane of both modalities, and the test points by true class.",
    "scenes_": "Frames of test: input, truth and the classes that each arm predicts.",
}
"""The caption of a figure by its file's name, or the beginning of it."""


def write(
    records: Sequence[Record],
    appraisals: Sequence[Record],
    folder: Path,
    *,
    figures: Sequence[Path] = (),
    command: str = "",
    date: str = "",
) -> Path:
    """The path of report.html in `folder`: tables, theory and figures, and how they were made.

    `folder` is that of the records and of the files beside them. `figures` are PNG files, such as
    `summary.figures` returns; `command` and `date` are shown as given. Equal input gives an equal
    file. Raises ValueError where there is no record.
    """
    if not records:
        raise ValueError("there is no record; run the study first")
    tasks = {task: tables.of_task(records, task) for task in dict.fromkeys(_tasks(records))}
    body = [
        *_head(tasks, appraisals),
        *_whole(records, figures, tasks),
        *(line for own in tasks.values() for line in _task(own, appraisals, figures, folder)),
        *_theory(appraisals),
        *_how_made(records, command, date),
    ]
    title = f"Multimodal knowledge expansion: {len(tasks)} task{'s' * (len(tasks) > 1)}"
    return write_atomic(folder / NAME, html.document(title, body))


def _tasks(records: Iterable[Record]) -> list[str]:
    return [record.task for record in records]


def _head(tasks: Mapping[str, Sequence[Record]], appraisals: Sequence[Record]) -> list[str]:
    links = [(task, own[0].title) for task, own in tasks.items()]
    links += [("theory", "Theory")] if appraisals else []
    return [
        html.text("h1", "Multimodal knowledge expansion"),
        html.text(
            "p",
            "A teacher reads one modality and labels unlabelled samples of two; a student learns "
            "those labels from both, under a perturbation. Does it end up better than its teacher, "
            "and is it the second modality that makes it so?",
        ),
        *html.paragraphs(*by_task(tasks.values())),
        html.links([*links, ("made", "How it was made")]),
    ]


def _whole(
    records: Sequence[Record], figures: Sequence[Path], tasks: Mapping[str, Sequence[Record]]
) -> list[str]:
    by_arm = tables.overview(records)
    gains = tables.COMPARED_WITH | tables.EVIDENCE_COMPARED_WITH
    compared = [name for name in by_arm if name in gains]
    names = {table_files.stem(task) for task in tasks}
    own = [path for path in figures if _task_of(path) not in names]
    return [
        html.text("h2", "Overview"),
        html.text("p", table_files.LEGEND, "note"),
        *_gains("MM student", by_arm, tables.COMPARED_WITH, MM_STUDENT.name, tasks),
        *_gains("evidence student", by_arm, tables.EVIDENCE_COMPARED_WITH, EVIDENCE.name, tasks),
        html.text("h3", "Every arm on test"),
        html.table(by_arm.drop(columns=compared).T.rename_axis("arm"), STRONG),
        *(html.picture(path, _caption(path)) for path in own),
    ]


def _gains(
    student: str,
    by_arm: pd.DataFrame,
    references: Iterable[str],
    arm: str,
    tasks: Mapping[str, Sequence[Record]],
) -> list[str]:
    """The table of a student's gains over other arms, and the verdicts; none where none is."""
    names = [name for name in references if name in by_arm]
    if not names:
        return []
    verdicts = [verdict(gain_of_student(own, arm=arm)) for own in tasks.values()]
    gains = by_arm[names].assign(**{"student beside its teacher": verdicts})
    return [
        html.text("h3", f"Gains of the {student}"),
        html.table(gains, kinds={BETTER: "good", WORSE: "bad"}),
    ]


def _found(task: str, folder: Path) -> list[str]:
    """The table of what was found in a user's data; none where the data are no user's."""
    rows = found.table_of(task, folder)
    if rows is None:
        return []
    return [html.text("h3", "What was found in your data"), html.table(rows)]


def _task(
    own: Sequence[Record], appraisals: Sequence[Record], figures: Sequence[Path], folder: Path
) -> list[str]:
    task, stem = own[0].task, table_files.stem(own[0].task)
    titles = {record.arm: record.arm_title for record in own}
    lines = [
        html.text("h2", own[0].title, anchor=task),
        html.text("p", " ".join([f"{task}.", *by_student(own)])),
        *_found(task, folder),
        html.table(tables.table(own, task).rename(index=titles), STRONG),
        html.text("p", differences.beyond_declared(own)),
    ]
    if warnings := cautions(own):
        lines += [html.text("h3", "Read with care"), html.bullets(warnings)]
    if sentences := evidence.sentences(own, folder):
        lines += [html.text("h3", "What the evidence student did"), html.bullets(sentences)]
    if tables.has_more_scores(own):
        scores = tables.scores(own, task).rename(index=titles)
        lines += [html.text("h3", "Every metric on test"), html.table(scores, STRONG)]
    lines += [html.picture(path, _caption(path)) for path in figures if _task_of(path) == stem]
    if task in _tasks(appraisals):
        lines += [
            html.text("h3", "Certificates on D_u"),
            html.table(theory.table(appraisals, task)),
            *html.paragraphs(theory.sentence(appraisals, task), theory.vacuous(appraisals, task)),
        ]
    settings = _flat(own[0].config.get("task", {}))
    return [
        *lines,
        html.text("h3", "How it was made"),
        *html.paragraphs(table_files.samples(own), table_files.left_out(own)),
        html.table(differences.table(own)),
        html.folded("Settings of the task", html.table(_column(settings, "setting"))),
    ]


def _theory(appraisals: Sequence[Record]) -> list[str]:
    if not appraisals:
        return []
    verdicts = theory.verdicts(appraisals)
    idle = [str(theorem) for theorem in verdicts.index[verdicts["useful"] == 0]]
    return [
        html.text("h2", "Theory", anchor="theory"),
        html.text(
            "p",
            "A certificate is the largest error of the student that is possible on its pool if the "
            "teacher errs on no more than a share ε of it and the truth changes over no more than "
            "a share μ of the graph's edges; both are those of the truth here. Published bounds "
            "are evaluated on the same graphs. Of the rows of all ledgers, hypotheses hold and the "
            "value is below the error known without the theorem (useful), hold and it is not "
            "(vacuous), are violated, or cannot be checked:",
        ),
        html.table(verdicts),
        *html.paragraphs(f"Never useful here: {', '.join(idle)}." if idle else ""),
    ]


def _how_made(records: Sequence[Record], command: str, date: str) -> list[str]:
    given = {"command": command, "date": date}
    facts = {name: value for name, value in given.items() if value}
    facts["runs"] = f"{len(records):,}"
    facts["seconds, all runs together"] = f"{sum(run.seconds or 0 for run in records):,.0f}"
    facts["version of the code"] = ", ".join(dict.fromkeys(run.code for run in records))
    versions: dict[str, dict[str, None]] = {}
    for run in records:
        for name, value in run.environment.items():
            versions.setdefault(name, {})[str(value)] = None
    facts |= {name: ", ".join(values) for name, values in versions.items()}
    return [
        html.text("h2", "How it was made", anchor="made"),
        html.text(
            "p",
            "Every number is computed from the records of runs (records.jsonl) in this folder; "
            "ledgers and tables of single tasks are files beside this page. Between seeds vary "
            "only the things named with each task, and intervals speak of nothing else.",
        ),
        html.table(_column(facts, "")),
    ]


def _task_of(path: Path) -> str:
    """The task of a figure named KIND_TASK."""
    return path.stem.partition("_")[2]


def _caption(path: Path) -> str:
    names = [name for name in CAPTIONS if path.stem.startswith(name)]
    return CAPTIONS[names[0]] if names else path.stem.replace("_", " ")


def _column(values: Mapping[str, Any], head: str) -> pd.DataFrame:
    frame = pd.DataFrame({"value": pd.Series(values, dtype=object)})
    return frame.rename_axis(head)


def _flat(settings: Any, path: str = "") -> dict[str, str]:
    """Settings by their dotted path, as `--set` names them."""
    inside: Iterable[tuple[str, Any]]
    if isinstance(settings, Mapping):
        inside = ((str(name), value) for name, value in settings.items())
    elif isinstance(settings, list) and any(isinstance(one, Mapping) for one in settings):
        inside = ((str(at), value) for at, value in enumerate(settings))
    else:
        return {path: str(settings)}
    found: dict[str, str] = {}
    for name, value in inside:
        found |= _flat(value, f"{path}.{name}" if path else name)
    return found
