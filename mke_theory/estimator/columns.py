"""From a table, or a dictionary of arrays, to the numbers of each modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Columns = str | slice | Sequence[int] | Sequence[str] | NDArray[Any]
"""Some columns of a table: names or numbers, a slice of numbers, or a pattern of names ("audio_*").
"""
Floats = NDArray[np.float64]
WHOLE = "all"
"""The name of the only modality of a table whose columns are not grouped."""


def numbers_of(
    table: Floats, columns: Mapping[str, Columns] | None, names: NDArray[Any] | None
) -> dict[str, Floats]:
    """The columns of each modality [n, d] of a table [n, D]; `names` [D] are those of its columns.

    Columns of no modality are not read. Raises ValueError where a modality has no column, names one
    that is not there, or two modalities share one.
    """
    if columns is None:
        return {WHOLE: table}
    if not columns:
        raise ValueError("modalities is empty; name the columns of each: {'audio': [0, 1], …}")
    found = {
        name: _numbers(name, wanted, table.shape[1], names) for name, wanted in columns.items()
    }
    owner: dict[int, str] = {}
    for name, own in found.items():
        for column in own:
            if owner.setdefault(column, name) != name:
                raise ValueError(
                    f"column {column} is of modality {owner[column]!r} and of {name!r}; "
                    "each column has to be of one"
                )
    return {name: table[:, own] for name, own in found.items()}


def _numbers(name: str, wanted: Columns, total: int, names: NDArray[Any] | None) -> list[int]:
    """The numbers of a modality's columns, from 0 on."""
    if isinstance(wanted, slice):
        chosen = list(range(total))[wanted]
    elif isinstance(wanted, str):
        chosen = [i for i, one in enumerate(_named(name, names)) if fnmatchcase(str(one), wanted)]
    else:
        chosen = [_number(name, one, total, names) for one in wanted]
    if not chosen:
        raise ValueError(f"modality {name!r} has no column: {wanted!r} fits none of {total}")
    return list(dict.fromkeys(chosen))


def _number(name: str, wanted: int | str, total: int, names: NDArray[Any] | None) -> int:
    if isinstance(wanted, str):
        there = [str(one) for one in _named(name, names)]
        if wanted not in there:
            raise ValueError(
                f"modality {name!r} names column {wanted!r}; the columns are {_listed(there)}"
            )
        return there.index(wanted)
    number = int(wanted)
    if not -total <= number < total:
        raise ValueError(f"modality {name!r} names column {number}; there are {total}, from 0 on")
    return number % total


def _named(name: str, names: NDArray[Any] | None) -> NDArray[Any]:
    if names is None:
        raise ValueError(
            f"modality {name!r} is given by names of columns, which this table has not; give a "
            "pandas frame, or numbers"
        )
    return names


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def arrays_of(given: Mapping[str, Any], expected: Sequence[str] | None) -> dict[str, Floats]:
    """A dictionary of arrays [n, ...] as rows of numbers [n, d] by modality.

    `expected` are the modalities that the estimator was fitted to: one of them may be absent, and
    counts as missing from every row. Raises ValueError where there are others, none, or lengths
    differ; TypeError where an array holds no real numbers.
    """
    found: dict[str, Floats] = {}
    for name, values in given.items():
        x = np.asarray(values)
        if x.dtype.kind not in "biuf":
            raise TypeError(f"modality {name!r} is {x.dtype}; it has to be real numbers")
        if x.ndim == 0 or x[:1].size == 0:
            raise ValueError(f"modality {name!r} is {x.shape}; it has to be [n, …], n at least 1")
        found[str(name)] = x.reshape(len(x), -1).astype(np.float64)
    if len({len(x) for x in found.values()}) != 1:
        lengths = ", ".join(f"{name} {len(x)}" for name, x in found.items()) or "nothing"
        raise ValueError(f"modalities need a row a sample each, in the same order; got {lengths}")
    strange = sorted(set(found) - set(expected or found))
    if strange:
        raise ValueError(f"there is a modality {strange[0]!r}; the estimator knows {expected}")
    return found


def refuse_text(X: Any) -> None:
    """TypeError where a column of a frame holds what is no number; all else passes."""
    if not isinstance(X, pd.DataFrame):
        return
    for name, column in X.items():
        if not pd.api.types.is_numeric_dtype(column):
            odd = pd.to_numeric(column, errors="coerce").isna() & column.notna()
            if odd.any():
                raise TypeError(
                    f"column {name!r} holds {column[odd].iloc[0]!r}; every column has to be "
                    "numbers: leave it out, or encode it before (ColumnTransformer)"
                )
