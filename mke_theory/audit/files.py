"""Predictions from files: a table in CSV, arrays in .npz or .npy, or several of them joined."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mke_theory.audit.labels import Classes, predicted
from mke_theory.audit.spreadsheet import read_table
from mke_theory.data.npz_files import read_npy, read_npz

ID = "id"
_WHOLE = re.compile(r"(-?[0-9]+)(?:[.,]0+)?")
_FRACTION = re.compile(r"-?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Columns:
    """Columns of text by name [n] and ids [n].

    reordered: files whose rows were put into the order of the first. delimiter: of its cells.
    """

    columns: dict[str, list[str]]
    ids: list[str]
    reordered: tuple[Path, ...] = ()
    delimiter: str = ","

    def named(self, name: str, use: str) -> list[str]:
        """The column of this name; ValueError with those that there are. use: what it is for."""
        if name not in self.columns:
            raise ValueError(
                f"there is no column {name!r} ({use}); there are {', '.join(self.columns)}"
            )
        return self.columns[name]

    def predictions(self, name: str, use: str) -> list[str]:
        """The classes of a column, spreadsheets' "3.0" as "3".

        Raises ValueError where one is empty, or is a fraction and hence no class.
        """
        found = []
        for sample, cell in zip(self.ids, self.named(name, use), strict=True):
            text = cell.strip()
            if not text or text.casefold() == "nan":
                raise ValueError(f"{name} has no prediction for sample {sample!r}; give every one")
            whole = _WHOLE.fullmatch(text)
            if whole is None and _FRACTION.fullmatch(text):
                raise ValueError(
                    f"{name} is {text} for sample {sample!r}; give the predicted class, not its "
                    "probability or score"
                )
            found.append(whole[1] if whole else text)
        return found


def read_columns(paths: Sequence[Path]) -> Columns:
    """The columns of all files, rows matched by their ids, or by order where no file has any.

    Ids are the column, or array, `id`. Without it samples are called by the line on which they
    stand in a table, or in arrays by their position from 0. A file with one other column lends it
    the file's name, if it is a .npy file or a name would stand twice.

    Raises ValueError where ids or lengths of two files differ, an id stands twice, or a file is
    none of these; OSError where one cannot be read.
    """
    if not paths:
        raise ValueError("name at least one file of predictions: .csv, .npz or .npy")
    read = [_one(path) for path in paths]
    first, with_ids = read[0], [ID in columns for columns, _, _ in read]
    if any(with_ids) and not all(with_ids):
        lacking = paths[with_ids.index(False)]
        raise ValueError(f"{lacking} has no column {ID!r}, and another file has; give it one")
    ids = first[0].get(ID, first[1])
    _refuse_repeated(paths[0], ids)
    joined: dict[str, list[str]] = {}
    reordered = []
    for path, (columns, _, _) in zip(paths, read, strict=True):
        rows = _matched(paths[0], ids, path, columns)
        if rows != list(range(len(ids))):
            reordered.append(path)
        own = [name for name in columns if name != ID]
        for name in own:
            shown = path.stem if name in joined and len(own) == 1 else name
            if shown in joined:
                raise ValueError(f"two files have a column {shown!r}; rename one of them")
            joined[shown] = [columns[name][row] for row in rows]
    return Columns(joined, ids, tuple(reordered), first[2])


def classes_of(named: Sequence[str], columns: Sequence[Sequence[str]]) -> Classes:
    """The classes by name: those given, or as many as the one number given, or all predicted."""
    if len(named) == 1 and named[0].isdecimal():
        return Classes.of([str(number) for number in range(int(named[0]))])
    if named:
        return Classes.of(list(named))
    _refuse_other_words(columns)
    found = {cell for column in columns for cell in column}
    if len(found) == 1:
        raise ValueError(
            f"the only class predicted is {found.pop()!r}; name all classes by --classes"
        )
    if all(cell.isdecimal() for cell in found):
        return Classes.of(sorted(found, key=int))
    return Classes.of(sorted(found))


def _refuse_other_words(columns: Sequence[Sequence[str]]) -> None:
    """Raise ValueError where columns write the same classes in different words.

    Those would differ on every sample, and a label could never agree with both. A column of one
    class alone may have a class of its own.
    """
    own = [set(column) for column in columns]
    written: dict[str, str] = {}
    for name in sorted(set().union(*own)):
        other = written.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(
                f"the classes {other!r} and {name!r} differ in case alone; write a class in one "
                "way, or name all classes by --classes"
            )
    for one in own[1:]:
        if min(len(own[0]), len(one)) > 1 and not own[0] & one:
            raise ValueError(
                f"the predictions have no class in common ({_some(own[0])}; {_some(one)}); write "
                "both in the same words, or name all classes by --classes"
            )


def _some(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")


def _one(path: Path) -> tuple[dict[str, list[str]], list[str], str]:
    """The columns of a file, what its rows are called by default, and the delimiter of cells."""
    if path.suffix.casefold() not in (".npz", ".npy"):
        table = read_table(path)
        columns = {name: [row[name] for row in table.rows] for name in table.header if name}
        if not table.rows:
            raise ValueError(f"{path} has no rows; give one for each sample")
        return columns, [str(line) for line in table.lines], table.delimiter
    remedy = "write it by np.savez or np.save"
    if path.suffix.casefold() == ".npz":
        arrays = read_npz(path, remedy)
    else:
        arrays = {path.stem: read_npy(path, remedy)}
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"arrays of {path} have to be of one length; they have {shown or 'none'}")
    found = {name: _text(name, array) for name, array in arrays.items()}
    return found, [str(i) for i in range(next(iter(lengths.values())))], ","


def _text(name: str, array: NDArray[np.generic]) -> list[str]:
    """An array of classes or names as text, one a sample."""
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        predicted(name, array, Classes(2**31))  # says what is wrong with predictions of other kinds
        raise ValueError(f"{name} is {array.dtype} {array.shape}; give classes or names [n]")
    return [str(value) for value in array.tolist()]


def _refuse_repeated(path: Path, ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise ValueError(f"{path} has id {twice!r} twice; every sample needs one of its own")


def _matched(
    first: Path, ids: Sequence[str], path: Path, columns: dict[str, list[str]]
) -> list[int]:
    """The rows of a file in the order of `ids`."""
    own = columns.get(ID)
    length = len(next(iter(columns.values())))
    if own is None:
        if length != len(ids):
            raise ValueError(
                f"{first} has {len(ids)} samples and {path} {length}; give both for the same "
                "samples, in the same order or with a column 'id'"
            )
        return list(range(length))
    _refuse_repeated(path, own)
    row = {name: i for i, name in enumerate(own)}
    odd = sorted(set(ids) ^ set(own))
    if odd:
        raise ValueError(
            f"{first} and {path} are not about the same samples: {len(odd)} ids are in one of them "
            f"alone, for instance {odd[0]!r}"
        )
    return [row[name] for name in ids]
