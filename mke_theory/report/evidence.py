"""The evidence student of a task, in words: what it changed, how sure it is, what it trusts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.evaluation.stats import summarise
from mke_theory.method.evidence.guards import USEFUL
from mke_theory.report import tables
from mke_theory.report.plots.reliability import Answers, Confidences
from mke_theory.study.arms import EVIDENCE
from mke_theory.study.artifacts import load
from mke_theory.study.records import Record

NOTES = "evidence"
"""The part of a record's `extra` that an evidence student fills."""
ANSWERS = ("no", "yes")
"""The classes of an answer to one of several questions."""
NAMED = 3
"""The most classes that a sentence names."""
MEANINGS = {
    "trusted": "its expert took part in every round",
    "weak": "it says too little of the teacher's answers",
    "redundant": "it mostly repeats what the teacher reads",
}
"""The verdicts on a modality, in words."""
WHO = ("student", "teacher")

_MEASURED = re.compile(r"(?<== )-?\d+(?:\.\d+)?|-?\d+(?:\.\d+)?(?=%| times)")
"""A number that was measured, in a message; not the number of a class."""


def sentences(own: Sequence[Record], folder: Path | None = None) -> list[str]:
    """Sentences on the evidence student of one task, over all its seeds; none where it was not run.

    `folder` is that of the records: with it there is a sentence on calibration on test too, from
    the files beside them. Numbers are mean ± sd (seeds).
    """
    runs = of_student(own)
    if not runs:
        return []
    return [
        *_changed(runs),
        *_sureness(runs),
        *_calibration(runs, folder),
        *_verdicts(runs),
        *_teacher(runs),
        *_messages(runs),
    ]


def of_student(own: Sequence[Record]) -> list[Record]:
    """The records of the evidence student that say how it came about."""
    return [record for record in own if record.arm == EVIDENCE.name and NOTES in record.extra]


def confidences(own: Sequence[Record], folder: Path) -> Confidences | None:
    """Confidences on test of the evidence student of one task and of its teacher, or None.

    Raises OSError where a file is not there, or damaged.
    """
    runs = [record for record in own if "confidence" in record.artifacts]
    if not runs:
        return None
    loaded = [load(folder / record.artifacts["confidence"]) for record in runs]
    return Confidences(
        runs[0].title or runs[0].task,
        {who: [_answers_of(who, arrays) for arrays in loaded] for who in WHO},
    )


def _answers_of(who: str, arrays: Mapping[str, np.ndarray]) -> Answers:
    return arrays[f"{who}_confidence"], arrays[f"{who}_right"]


def _notes(runs: Sequence[Record], *path: str) -> list[Any]:
    """A value of the notes of every run."""
    found = []
    for record in runs:
        value = record.extra[NOTES]
        for name in path:
            value = value[name]
        found.append(value)
    return found


def _number(values: Sequence[float]) -> str:
    """Mean ± sd (n) of the values as they are: "1.24 ± 0.05 (10)"."""
    return tables.cell(asdict(summarise(values)), scale=1)


def _percent(values: Sequence[float]) -> str:
    """Mean ± sd (n) of shares in percent: "72.4 ± 0.5% (10)"."""
    return tables.cell(asdict(summarise(values))).replace(" (", "% (")


def _changed(runs: Sequence[Record]) -> list[str]:
    """The samples of D_u that changed their class, and the teacher's classes of most of them."""
    labels = _notes(runs, "labels")
    unit = labels[0]["unit"]
    changed, n = ([one[name] for one in labels] for name in ("changed", "n"))
    share = _percent([c / of for c, of in zip(changed, n, strict=True)])
    whole = (
        f"Of {np.mean(n):,.0f} unlabelled {unit} it gave {np.mean(changed):,.0f} another class "
        f"than the teacher did: {share}."
    )
    by_class = np.sum([one["by_class"] for one in labels], axis=0)
    largest = [int(k) for k in np.argsort(-by_class[:, 1], kind="stable")[:NAMED]]
    named = [
        f"{ANSWERS[k] if unit == 'answers' else _name(runs[0], k)} "
        f"({by_class[k, 1]:,} of {by_class[k, 0]:,})"
        for k in largest
        if by_class[k, 1]
    ]
    if not named:
        return [whole]
    often = "Most often" if len(named) < int((by_class[:, 1] > 0).sum()) else "Before,"
    over = "" if len(runs) == 1 else f"; {unit} of {tables.seeds(len(runs))} together"
    return [whole, f"{often} the teacher had called them {', '.join(named)}{over}."]


def _name(record: Record, k: int) -> str:
    """The class by its name, else by its number."""
    return record.class_names[k] if k < len(record.class_names) else f"class {k}"


def _sureness(runs: Sequence[Record]) -> list[str]:
    """The student's mean confidence where it changed the class, and where it did not."""
    parts = []
    for name, where in (("changed", "where it changed the class"), ("kept", "where it kept it")):
        known = [x for x in _notes(runs, "labels", f"confidence_{name}") if x is not None]
        parts += [f"{_percent(known)} {where}"] if known else []
    return [
        "Its mean confidence, by models that did not train on the sample, is "
        f"{' and '.join(parts)}."
    ]


def _calibration(runs: Sequence[Record], folder: Path | None) -> list[str]:
    """The expected calibration error on test, where the files are at hand and whole."""
    try:
        found = None if folder is None else confidences(runs, folder)
    except OSError as problem:
        return [f"Its calibration is not known: {problem}."]
    if found is None:
        return []
    student, teacher = (tables.cell(asdict(found.error_of(who))) for who in WHO)
    return [
        "On test the mean distance between confidence and the share right (expected calibration "
        f"error, in points) is {student}, its teacher's {teacher}."
    ]


def _verdicts(runs: Sequence[Record]) -> list[str]:
    """The verdicts on every modality, and its usefulness."""
    found = []
    for name in dict.fromkeys(name for one in _notes(runs, "verdicts") for name in one):
        here = [one for one in runs if name in one.extra[NOTES]["verdicts"]]
        counts = Counter(_notes(here, "verdicts", name))
        verdicts = "; ".join(
            f"{verdict} at {count} of {tables.seeds(len(here))} ({MEANINGS[verdict]})"
            for verdict, count in counts.most_common()
        )
        z = _number(_notes(here, "usefulness", name))
        found.append(f"“{name}” is {verdicts}; usefulness z = {z}, weak below {USEFUL:g}.")
    return found


def _teacher(runs: Sequence[Record]) -> list[str]:
    """The teacher's temperature, and its accuracy on labels that it was not trained on."""
    heat = _number(_notes(runs, "temperature"))
    line = f"The teacher's temperature is {heat}; above 1 it is surer than it is right."
    honest = [x for x in _notes(runs, "honest_accuracy") if x is not None]
    if not honest:
        return [f"{line} Nobody answered labels of D_l that were not trained on."]
    return [f"{line} Of labels of D_l that it was not trained on it knows {_percent(honest)}."]


def _messages(runs: Sequence[Record]) -> list[str]:
    """The messages, and at how many seeds each came up.

    Those that differ in measured numbers alone are listed once, with the numbers of the first seed.
    """
    by_form: dict[str, list[tuple[int, str]]] = {}
    for record in runs:
        own = {_MEASURED.sub("#", text): text for text in record.extra[NOTES]["messages"]}
        for form, text in own.items():
            by_form.setdefault(form, []).append((record.seed, text))
    found = []
    for some in by_form.values():
        first, text = some[0]
        also = "" if len({one for _, one in some}) == 1 else f" (the numbers are of seed {first})"
        found.append(f"At {len(some)} of {tables.seeds(len(runs))}: {text}{also}.")
    return found
