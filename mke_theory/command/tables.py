"""Files of one's own for `mke fit` and `mke diagnose`: modalities, labels, a teacher's answers.

.csv, .parquet     a row a sample; columns are grouped by --modality NAME=COLUMNS
.npz, a folder     an array for each modality, and `labels`, of .npy files in a folder
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mke_theory.audit.spreadsheet import read_table
from mke_theory.data.npz_files import read_npy, read_npz

UNKNOWN = ("", "-1", "nan", "none", "null", "?")
"""Cells of the labels that mean "not known", in any case."""
MISSING = ("", "nan", "na", "null", "none")
"""Cells of a modality that mean "missing", in any case."""
TABLES = (".csv", ".tsv", ".txt", ".parquet")


@dataclass(frozen=True)
class Data:
    """The samples of a file.

    modalities: numbers [n, …] by name, α first. labels: a class or None [n]. ids: [n], the rows
    from 0 on where the file has none. answers: a teacher's [n, k], or None. unread: columns or
    arrays that nobody asked for.
    """

    modalities: dict[str, NDArray[Any]]
    labels: NDArray[np.object_]
    ids: list[str]
    answers: NDArray[np.float64] | None
    unread: tuple[str, ...]


def read_data(
    path: Path,
    groups: Sequence[str],
    *,
    labels: str,
    identity: str,
    answers: str | None,
) -> Data:
    """The samples of a table, an .npz file or a folder of .npy files.

    groups: "name=columns" for each modality, columns by their names or patterns with commas between
    them; of arrays, names alone, and none means all. labels, identity: the columns or arrays of
    labels and ids. answers: the columns, in the order of the sorted classes, or the array, of a
    teacher's answers.

    Raises OSError where the file cannot be read, ValueError for names that are not there, cells
    that are no numbers, and lengths that differ.
    """
    if path.suffix.casefold() in TABLES:
        return _of_table(path, _table(path), groups, labels, identity, answers)
    return _of_arrays(path, _arrays(path), groups, labels, identity, answers)


def _table(path: Path) -> pd.DataFrame:
    if path.suffix.casefold() != ".parquet":
        table = read_table(path)
        return pd.DataFrame([*table.rows], columns=[name for name in table.header if name])
    try:
        return pd.read_parquet(path)
    except ImportError as problem:
        raise ValueError(f"{path}: reading Parquet takes pyarrow: pip install pyarrow") from problem


def _of_table(
    path: Path,
    table: pd.DataFrame,
    groups: Sequence[str],
    labels: str,
    identity: str,
    answers: str | None,
) -> Data:
    names = [str(name) for name in table.columns]
    table = table.set_axis(names, axis=1)
    if not groups:
        raise ValueError(
            f"{path}: say which columns are which modality: --modality audio=a_* image=b1,b2; "
            f"the columns are {_listed(names)}"
        )
    wanted = {name: _columns(path, name, pattern, names) for name, pattern in _pairs(groups)}
    modalities = {name: _numbers(path, table, own) for name, own in wanted.items()}
    if labels not in names:
        raise ValueError(
            f"{path} has no column {labels!r}; --labels names another, of {_listed(names)}"
        )
    theirs = None if answers is None else _columns(path, "answers", answers, names)
    read = {labels, identity, *(one for own in wanted.values() for one in own), *(theirs or ())}
    for name, own in wanted.items():
        if labels in own:
            raise ValueError(f"{path}: modality {name!r} holds the labels' column {labels!r}")
    return Data(
        modalities,
        _labels(path, table[labels].to_numpy(dtype=object)),
        _ids(path, table[identity].tolist() if identity in names else None, len(table)),
        None if theirs is None else _numbers(path, table, theirs),
        tuple(name for name in names if name not in read),
    )


def _of_arrays(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    groups: Sequence[str],
    labels: str,
    identity: str,
    answers: str | None,
) -> Data:
    if labels not in arrays:
        raise ValueError(f"{path} has no array {labels!r}; it has {_listed([*arrays])}")
    reserved = {labels, identity, *([answers] if answers else [])}
    wanted = [name.partition("=")[0] for name in groups]
    wanted = wanted or [name for name in arrays if name not in reserved]
    for name in [*wanted, *([answers] if answers else [])]:
        if name not in arrays:
            raise ValueError(f"{path} has no array {name!r}; it has {_listed([*arrays])}")
    n = len(np.atleast_1d(arrays[labels]))
    for name in [*wanted, *([answers] if answers else [])]:
        if arrays[name].ndim < 1 or len(arrays[name]) != n:
            raise ValueError(f"{path}: {name} is {arrays[name].shape}, but there are {n} labels")
    theirs = None if answers is None else np.asarray(arrays[answers], dtype=np.float64)
    return Data(
        {name: np.atleast_2d(arrays[name].T).T for name in wanted},
        _labels(path, np.asarray(arrays[labels]).astype(object)),
        _ids(path, arrays[identity].tolist() if identity in arrays else None, n),
        theirs,
        tuple(name for name in arrays if name not in {*wanted, *reserved}),
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file or a folder, without objects."""
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
        if not files:
            raise ValueError(f"{path} holds no .npy file, an array each")
        return {file.stem: read_npy(file, "write it by np.save") for file in files}
    if path.suffix.casefold() != ".npz":
        raise ValueError(f"{path} is none of {', '.join(TABLES)}, .npz, or a folder of .npy files")
    return read_npz(path, "write it by np.savez")


def _pairs(groups: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for group in groups:
        name, equals, columns = group.partition("=")
        if not (name and equals and columns):
            raise ValueError(f"--modality {group} is not NAME=COLUMNS, such as audio=a_1,a_2")
        found.append((name, columns))
    return found


def _columns(path: Path, group: str, wanted: str, names: Sequence[str]) -> list[str]:
    """The columns that names and patterns with commas between them mean, each once."""
    found: dict[str, None] = {}
    for part in wanted.split(","):
        fits = [one for one in names if one == part] or [
            one for one in names if fnmatchcase(one, part)
        ]
        if not fits:
            raise ValueError(
                f"{path}: {group}={wanted}: there is no column {part!r}, of {_listed(names)}"
            )
        found |= dict.fromkeys(fits)
    return list(found)


def _numbers(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """Columns as numbers [n, d], NaN where a cell is empty."""
    found = []
    for name in columns:
        column = table[name]
        if column.dtype.kind in "biuf":
            found.append(column.to_numpy(dtype=np.float64))
            continue
        cells = [str(cell).strip() for cell in column]
        missing = [cell.casefold() in MISSING for cell in cells]
        try:
            found.append(
                np.array([np.nan if no else float(c) for c, no in zip(cells, missing, strict=True)])
            )
        except ValueError:
            row = next(i for i, cell in enumerate(cells) if not missing[i] and not _number(cell))
            hint = "; write 0.5 for 0,5" if "," in cells[row] else ""
            raise ValueError(
                f"{path}: column {name!r} has {cells[row]!r} in row {row}, which is no number{hint}"
            ) from None
    return np.stack(found, axis=1)


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _labels(path: Path, cells: NDArray[np.object_]) -> NDArray[np.object_]:
    """Labels as numbers where all are whole, else as text; None where unknown.

    Raises ValueError where all are numbers and one is a fraction or below −1, hence no class.
    """
    if cells.ndim != 1:
        raise ValueError(
            f"{path}: labels are {cells.shape}; give a class a sample, [n]: one-hot labels become "
            "that by .argmax(axis=1)"
        )
    found = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        whole = isinstance(cell, float | np.floating) and float(cell).is_integer()
        text = str(int(cell)) if whole else ("" if cell is None else str(cell).strip())
        if text.endswith(".0") and text[:-2].lstrip("-").isdecimal():
            text = text[:-2]  # a spreadsheet's 3.0
        found[i] = None if text.casefold() in UNKNOWN else text
    known = [one for one in found if one is not None]
    odd = [one for one in known if not one.isdecimal()]
    if odd and all(_number(one.replace(",", ".")) for one in known):
        raise ValueError(
            f"{path}: a label is {odd[0]}; classes are whole numbers from 0 on or names, and -1 or "
            "an empty cell where nobody knows"
        )
    if known and all(one.isdecimal() for one in known):  # 10 comes after 9, not after 1
        found[:] = [None if one is None else int(one) for one in found]
    return found


def _ids(path: Path, given: Sequence[Any] | None, n: int) -> list[str]:
    ids = [str(one) for one in (range(n) if given is None else given)]
    if len(ids) != n:
        raise ValueError(f"{path} has {len(ids)} ids for {n} samples")
    if len(set(ids)) < n:
        twice = pd.Series(ids)[pd.Series(ids).duplicated()].iloc[0]
        raise ValueError(
            f"{path}: the id {twice!r} stands twice; every sample needs one of its own"
        )
    return ids


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
