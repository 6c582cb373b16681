"""`mke audit`: predictions in files, and a table that a person fills in.

    mke audit compare predictions.csv --labels to_label.csv

The first call writes the table. Fill in its column `label` and call again, until the answer is
there.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mke_theory.audit.comparison import Comparison, compare, many
from mke_theory.audit.error_rate import ErrorRate, error
from mke_theory.audit.files import Columns, classes_of, read_columns
from mke_theory.audit.selection import Selection, best
from mke_theory.audit.sheet import Sheet
from mke_theory.data.console import forgiving_console
from mke_theory.data.typed_paths import with_homes
from mke_theory.report.verdict_page import write_verdict

DECIDED, REFUSED, UNDECIDED = 0, 2, 3
"""Exit codes: a verdict, a call that cannot be carried out, labels wanted or used up."""

Files = Annotated[tuple[Path, ...], tyro.conf.Positional]


@dataclass(frozen=True)
class Common:
    """Options of every audit."""

    files: Files
    """Predictions: .csv with a line of names first, .npz, or .npy; matched by the column `id`."""
    labels: Path = Path("to_label.csv")
    """The table to fill in; written where it is not there."""
    classes: tuple[str, ...] = ()
    """Names of all classes, or their number; by default those that are predicted."""
    show: tuple[str, ...] = ()
    """Columns of the files to show beside the id, for instance the path of a recording."""
    batch: int = 20
    """Rows added to the table at a time."""
    delimiter: str | None = None
    """Between the cells of a new table; by default as in the predictions."""
    level: float = 0.95
    """The probability with which the answer is right."""
    seed: int = 0
    """Decides the order of the samples; choose it once."""
    page: Path | None = None
    """Write the answer as a page of HTML too, into this file."""

    def sheet(self, read: Columns) -> Sheet:
        """The table to fill in."""
        shown = {name: read.named(name, "to show") for name in self.show}
        return Sheet(self.labels, read.ids, shown, self.batch, self.delimiter or read.delimiter)


@dataclass(frozen=True)
class Compare(Common):
    """Compare a student with its teacher: is it better."""

    student: str = "student"
    """The column of the student's predictions."""
    teacher: str = "teacher"
    """The column of the teacher's predictions."""
    sides: int = 1
    """1 asks for "better" alone, 2 also for "worse"."""
    margin: float = 0.0
    """The gain to be exceeded: 0.01 is a point."""
    budget: int | None = None
    """The most labels, all told."""

    def carry_out(self, read: Columns) -> tuple[Comparison, bool]:
        """The result, and whether there is a verdict."""
        student = read.predictions(self.student, "of the student; --student names another")
        teacher = read.predictions(self.teacher, "of the teacher; --teacher names another")
        found = compare(
            student,
            teacher,
            self.sheet(read),
            classes=classes_of(self.classes, [student, teacher]).names,
            level=self.level,
            sides=self.sides,
            margin=self.margin,
            budget=self.budget,
            seed=self.seed,
        )
        return found, found.verdict != "undecided"


@dataclass(frozen=True)
class Error(Common):
    """Bound the share of predictions that are wrong."""

    column: str = "student"
    """The column of the predictions."""
    count: int = 100
    """Labels to look up; choose it before the first."""
    sides: int = 2
    """2 asks for both limits, 1 for the upper one alone."""

    def carry_out(self, read: Columns) -> tuple[ErrorRate, bool]:
        """The result, and whether all labels are there."""
        predictions = read.predictions(self.column, "to audit; --column names another")
        found = error(
            predictions,
            self.sheet(read),
            classes=classes_of(self.classes, [predictions]).names,
            labels=self.count,
            level=self.level,
            sides=self.sides,
            seed=self.seed,
        )
        return found, not found.waiting


@dataclass(frozen=True)
class Best(Common):
    """Choose which of several candidates to ship."""

    columns: tuple[str, ...] = ()
    """The columns of their predictions, of equals the preferred one first; by default all."""
    tolerance: float = 0.0
    """A difference that does not matter: 0.01 is a point."""
    budget: int | None = None
    """The most labels, all told."""

    def carry_out(self, read: Columns) -> tuple[Selection, bool]:
        """The result, and whether one is chosen."""
        names = self.columns or tuple(name for name in read.columns if name not in self.show)
        candidates = {name: read.predictions(name, "a candidate") for name in names}
        found = best(
            candidates,
            self.sheet(read),
            classes=classes_of(self.classes, list(candidates.values())).names,
            level=self.level,
            tolerance=self.tolerance,
            budget=self.budget,
            seed=self.seed,
        )
        return found, found.best is not None


Call = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Error, tyro.conf.subcommand("error")]
    | Annotated[Best, tyro.conf.subcommand("best")]
)


ASSUMED = (
    "Labels that were looked up are true; they had no part in training or choosing the student.",
    "The order of the samples was drawn once, before any label was looked up.",
)
UNCHECKED = ("Samples that are not in this pool: other people, places, devices, times.",)


@forgiving_console()
def main(argv: Sequence[str]) -> int:
    """0 with an answer, 3 where labels are wanted or used up, 2 after one line on a bad call."""
    parse: Callable[..., Compare | Error | Best] = tyro.cli
    call = parse(Call, args=argv, description=__doc__, prog="mke audit")
    try:
        call = with_homes(call)
        read = read_columns(call.files)
        found, decided = call.carry_out(read)
    except (OSError, TypeError, ValueError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return REFUSED
    for path in read.reordered:
        print(f"{path} has its rows in another order; they were matched by their ids.")
    print(found)
    if found.waiting:
        print(
            f"Fill in the column 'label' of {call.labels} ({many(found.waiting, 'row')} to go; "
            "'?' where you cannot tell), save it as CSV, and call again."
        )
    if call.page is not None:
        try:
            print(page_of(call, found, argv))
        except OSError as problem:
            print(f"error: {problem}", file=sys.stderr)
            return REFUSED
    return DECIDED if decided else UNDECIDED


def page_of(call: Common, found: Comparison | ErrorRate | Selection, given: Sequence[str]) -> Path:
    """The path of the page on an answer."""
    assert call.page is not None
    return write_verdict(
        call.page,
        "Audit",
        str(found).splitlines(),
        tables={},
        assumed=(*ASSUMED, f"The answer is wrong with probability {1 - call.level:.2g} at most."),
        unchecked=UNCHECKED,
        command=shlex.join(["mke", "audit", *given]),
    )
