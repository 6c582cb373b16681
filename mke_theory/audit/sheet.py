"""A file of samples to label that a person fills in, in as many sittings as he likes.

The file is a table: `row` is the order in which to look (drawn by the audit's seed), `id` and what
else is shown say which sample it is, `label` is to be filled in, and `check` ties the row to the
pool. Nobody who fills it in sees what was predicted. Rows may be sorted, and columns for notes
added; a cell of `label` may be corrected at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mke_theory.audit.labels import CANNOT_TELL, Classes, Labels
from mke_theory.audit.spreadsheet import DELIMITERS, Table, read_table, write_table

ROW, ID, LABEL, CHECK = "row", "id", "label", "check"
_LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels: no spreadsheet takes them for a date or a word


@dataclass(frozen=True)
class Sheet:
    """The file, and how samples are shown in it.

    ids: what a sample is called [n], each once; by default its position from 0. shown: further
    columns by name [n], for instance the path of a recording. batch: rows added at a time.
    delimiter: of a new file (a comma, a semicolon or a tab); one that is there keeps its own.

    Raises ValueError where an id is empty or stands twice, a column has the name of another, or
    batch is below 1.
    """

    path: str | Path
    ids: Sequence[str | int] | None = None
    shown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    batch: int = 20
    delimiter: str = ","

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch is {self.batch}; at least 1 row has to be asked at a time")
        if self.delimiter not in DELIMITERS:
            raise ValueError(f"delimiter is {self.delimiter!r}; allowed are , ; and a tab")
        taken = {ROW, ID, LABEL, CHECK} & {name.casefold() for name in self.shown}
        if taken:
            raise ValueError(f"a column to show is called {taken.pop()!r}, as one of the file's is")
        if self.ids is not None:
            _refuse_unusable(self.ids)

    def name_of(self, sample: int) -> str:
        """The id of a sample as text."""
        return str(sample if self.ids is None else self.ids[sample])

    def refuse_other_samples(self, n: int) -> None:
        """Raise ValueError where ids or a column are not those of n samples."""
        columns = {**self.shown, **({} if self.ids is None else {ID: self.ids})}
        for name, column in columns.items():
            if len(column) != n:
                raise ValueError(
                    f"column {name!r} has {len(column)} entries, the predictions {n}; give one for "
                    "each sample, in the same order"
                )

    def read(self, order: Sequence[int], classes: Classes, tag: str) -> dict[int, int | None]:
        """Position to class number of every label filled in, None for "cannot tell".

        Raises ValueError, with the line of the file, for a label that is no class, a row that is
        not of this pool or was changed, and a row that stands twice with different labels; OSError
        where the file is there and cannot be read. The file itself is never changed by that.
        """
        path = Path(self.path)
        if not path.exists():
            return {}
        table = read_table(path, (ROW, LABEL, CHECK))
        found: dict[int, int | None] = {}
        for index, number in self._numbers(table, len(order), tag).items():
            text = _cell(table, index, LABEL)
            if not text:
                continue
            where = f"{path}, line {table.lines[index]}: label"
            sample, value = order[number - 1], _label(text, classes, where)
            if found.get(sample, value) != value:
                raise ValueError(
                    f"{where} is {text!r}, and row {number} stands twice with different labels; "
                    "leave one of them"
                )
            found[sample] = value
        return found

    def extend(self, order: Sequence[int], needed: Sequence[int], tag: str) -> int:
        """The number of rows that wait; where none does, the next of `needed` are added first."""
        path = Path(self.path)
        table = read_table(path, (ROW, LABEL, CHECK)) if path.exists() else None
        number_of = {sample: number for number, sample in enumerate(order, 1)}
        there = {} if table is None else self._numbers(table, len(order), tag)
        wanted = {number_of[sample] for sample in needed}
        waiting = {
            number
            for index, number in there.items()
            if table is not None and number in wanted and not _cell(table, index, LABEL)
        }
        new = sorted(wanted - set(there.values()))[: self.batch]
        if waiting or not new:
            return len(waiting)
        rows = [self._row(order, number, tag) for number in new]
        if table is None:
            write_table(path, list(rows[0]), rows, self.delimiter)
            return len(rows)
        names = {name.casefold(): name for name in table.header}
        header = [*table.header, *(name for name in rows[0] if name.casefold() not in names)]
        own = [{names.get(name.casefold(), name): x for name, x in row.items()} for row in rows]
        write_table(path, header, [*table.rows, *own], table.delimiter)
        return len(rows)

    def _row(self, order: Sequence[int], number: int, tag: str) -> dict[str, str]:
        sample = order[number - 1]
        shown = {name: str(column[sample]) for name, column in self.shown.items()}
        check = _check(tag, number)
        return {ROW: str(number), ID: self.name_of(sample), **shown, LABEL: "", CHECK: check}

    def _numbers(self, table: Table, most: int, tag: str) -> dict[int, int]:
        """Index of a row in the table to its number; rows without label and number are left out."""
        found: dict[int, int] = {}
        strange: list[int] = []
        for index in range(len(table.rows)):
            number = _whole(_cell(table, index, ROW))
            check = _cell(table, index, CHECK).casefold()
            if number is None and not check and not _cell(table, index, LABEL):
                continue  # a total, a note below the table
            if number is not None and 1 <= number <= most and check == _check(tag, number):
                found[index] = number
            else:
                strange.append(index)
        if strange and not found:
            raise ValueError(
                f"{self.path} belongs to another pool, other predictions or another seed: none of "
                "its rows is one of this audit's; give the file of this audit, or another name"
            )
        if strange:
            line = table.lines[strange[0]]
            raise ValueError(
                f"{self.path}, line {line}: the cells of {ROW} and {CHECK} do not belong together "
                f"({_cell(table, strange[0], ROW)!r}, {_cell(table, strange[0], CHECK)!r}); undo "
                "the change there, or move what is not part of the table to another file"
            )
        return found


def tag_of(purpose: str, order: Sequence[int], predictions: Sequence[Labels], classes: int) -> str:
    """A hash of all that decides which rows a file has, and in which order."""
    digest = hashlib.sha256(f"{purpose}:{classes}".encode())
    for array in (np.asarray(order, dtype=np.int64), *predictions):
        digest.update(np.ascontiguousarray(array).astype("<i8").tobytes() + b"|")
    return digest.hexdigest()


def _check(tag: str, number: int) -> str:
    digest = hashlib.sha256(f"{tag}:{number}".encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:8])


def _cell(table: Table, index: int, column: str) -> str:
    row = table.rows[index]
    return next((row[name] for name in table.header if name.casefold() == column), "").strip()


def _whole(text: str) -> int | None:
    """The whole number of a cell, also as "3.0" or "3,0"; None where it is none."""
    digits, _, rest = text.replace(",", ".").partition(".")
    return int(digits) if digits.isdecimal() and not rest.strip("0") else None


def _label(text: str, classes: Classes, where: str) -> int | None:
    if text.casefold() in CANNOT_TELL:
        return None
    try:
        return classes.number_of(text)
    except KeyError:
        raise ValueError(
            f"{where} is {text!r}; {classes.allowed()}. One that nobody predicts has to be named "
            "among `classes`. If a spreadsheet changed it (into a date, for instance), format "
            "the column as text and write it again"
        ) from None


def _refuse_unusable(ids: Sequence[str | int]) -> None:
    seen: set[str] = set()
    for i, name in enumerate(map(str, ids)):
        if not name.strip() or name == "nan":
            raise ValueError(f"the id of sample {i} is empty; every sample needs one")
        if name in seen:
            raise ValueError(f"id {name!r} stands twice; every sample needs one of its own")
        seen.add(name)
