"""`mke fit`: a student from a file of one's own, and its predictions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

from mke_theory.audit.spreadsheet import write_table
from mke_theory.command.calls import asked, interrupted, refused
from mke_theory.command.tables import Data, read_data
from mke_theory.data.console import forgiving_console
from mke_theory.estimator import MKEClassifier
from mke_theory.report.attempts import Attempts
from mke_theory.report.verdict_page import write_verdict

EVERY, AUDITED, PAGE = "predictions.csv", "to_audit.csv", "report.html"
"""The files: a row for every sample; the unlabelled ones as `mke audit` reads them; the page."""

ASSUMED = (
    "The labels of the file are true.",
    "Labelled and unlabelled samples are alike, but for the labels.",
    "Modalities that are called trusted err independently of the teacher, given the class. Nobody "
    "can be sure of that without labels; the guards err both ways.",
)
UNCHECKED = (
    "Whether the student is better than its teacher: mke audit shows it by a few labels.",
    "Other samples than these, and other people, places or devices.",
)


@dataclass(frozen=True)
class Input:
    """A file, and what is what in it."""

    file: Annotated[Path, tyro.conf.Positional]
    """.csv or .parquet with a row a sample, .npz, or a folder of .npy files."""
    modality: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=COLUMNS ...")] = ()
    """Columns of each modality, names or patterns with commas between: audio=a_* image=b1,b2.
    Of arrays names alone; none means all."""
    alpha: str | None = None
    """The teacher's modality; by default the first."""
    labels: str = "labels"
    """The column or array of labels; empty, −1 or "?" where nobody knows."""
    id: str = "id"
    """The column or array of names of samples; without it rows count from 0."""
    teacher_answers: str | None = None
    """Columns (in the sorted order of the classes) or array of a teacher's probabilities. On rows
    with a label they have to be of models that were not trained on them."""
    seed: int = 0
    """Of weights, batches and folds."""

    def read(self) -> Data:
        """The content of the file."""
        return read_data(
            self.file,
            self.modality,
            labels=self.labels,
            identity=self.id,
            answers=self.teacher_answers,
        )

    def student(self, data: Data) -> MKEClassifier:
        """The student of these samples."""
        estimator = MKEClassifier(alpha=self.alpha, random_state=self.seed)
        return estimator.fit(data.modalities, data.labels, answers=data.answers)


@dataclass(frozen=True)
class Options(Input):
    """Train a student on a file of yours, and write its predictions."""

    out: Path = Path("results/fit")
    """Folder of the predictions and the page."""


@forgiving_console()
def main(argv: Sequence[str]) -> int:
    """0 with a student, 1 where a file could not be written, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, None, "mke fit")
    try:
        data = options.read()
        print_found(data)
        student = options.student(data)
    except (OSError, TypeError, ValueError) as problem:
        return refused(problem)
    except KeyboardInterrupt:
        return interrupted()
    made = Attempts()
    every, audited = predictions_of(student, data)
    made.write(EVERY, lambda: written(options.out / EVERY, every))
    if len(audited):
        made.write(AUDITED, lambda: written(options.out / AUDITED, audited))
    account = student.account_
    made.write(
        PAGE,
        lambda: write_verdict(
            options.out / PAGE,
            f"A student of {', '.join(student.modalities_)}",
            str(account).splitlines(),
            tables={
                "What was found in the file": found_table(data),
                "Unlabelled samples by the teacher's class": account.by_class.rename_axis("class"),
            },
            assumed=ASSUMED,
            unchecked=UNCHECKED,
            command=shlex.join(["mke", "fit", *argv]),
        ),
    )
    print(account, *made.files, sep="\n")
    if len(audited) and account.changed:
        print(f"Is it better than its teacher? mke audit compare {options.out / AUDITED}")
    for line in made.troubles:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if made.troubles else 0


def print_found(data: Data) -> None:
    """Print what was found, and what nobody asked for."""
    known = sum(label is not None for label in data.labels)
    for name, x in data.modalities.items():
        print(f"{name}: {' × '.join(map(str, x.shape[1:])) or 1} numbers a sample")
    print(f"{known} of {len(data.labels)} samples have a label")
    if data.unread:
        print(f"not read: {', '.join(data.unread)}")


def found_table(data: Data) -> pd.DataFrame:
    """Samples by what they are, and modalities by their numbers."""
    rows = {name: f"{int(np.prod(x.shape[1:]))} numbers" for name, x in data.modalities.items()}
    rows["samples"] = str(len(data.labels))
    rows["with a label"] = str(sum(label is not None for label in data.labels))
    rows["not read"] = ", ".join(data.unread) or "nothing"
    return pd.DataFrame({"": rows}).rename_axis("what")


def predictions_of(student: MKEClassifier, data: Data) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for every sample, and a row for every unlabelled one that both classified."""
    p = student.predict_proba(data.modalities)
    every = pd.DataFrame(
        {
            "id": data.ids,
            "label": ["" if label is None else str(label) for label in data.labels],
            "teacher": "",
            "student": [str(one) for one in student.classes_[p.argmax(axis=1)]],
            "confidence": [f"{one:.4f}" for one in p.max(axis=1)],
        }
    )
    found = student.expansion_
    if found is None:
        return every, every.iloc[:0]
    rows = student.unlabelled_rows_[found.readable.numpy()]
    teacher = student.classes_[found.pseudo.hard.numpy()[found.readable.numpy()]]
    every.loc[rows, "teacher"] = [str(one) for one in teacher]
    return every, every.loc[rows, ["id", "student", "teacher"]]


def written(path: Path, table: pd.DataFrame) -> Path:
    """The path of the table as a spreadsheet reads it."""
    write_table(path, [*table.columns], table.to_dict("records"))
    return path
