"""The action units of RAVDESS's faces, row by row, so that a damaged row costs one recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

UNITS = 35
MOST = {"r": 5.0, "c": 1.0}
"""The largest intensity (AU.._r) and the largest presence (AU.._c) that OpenFace gives; both are at
least 0."""

_UNIT = re.compile("AU[0-9]{2}_([rc])")


def read_units(path: Path, clips: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The action units [35] float32 of `clips`, by clip, and a line for each row that is no good.

    That is one of a clip that has no row, several, or one with another number of cells than the
    header or with cells out of their range (see `MOST`), and a row of none of `clips`. Raises
    ValueError, with the file, where the header is another one.
    """
    # A byte that is no text becomes a sign that is in no number: the harm stays in its row.
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line.replace('"', "").split(",") for line in text.splitlines()]
    head = lines[0] if lines else []
    columns = {name: at for at, name in enumerate(head) if _UNIT.fullmatch(name)}
    if len(columns) != UNITS or head.count("clip") != 1:
        raise ValueError(
            f"{path}: has {len(columns)} columns AU.._r and AU.._c and {head.count('clip')} called "
            f"clip; {UNITS} and one are wanted"
        )
    most = np.array([MOST[name[-1]] for name in columns])
    rows: dict[str, list[list[str]]] = {clip: [] for clip in clips}
    bad = []
    for number, cells in enumerate(lines[1:], 2):
        clip = cells[head.index("clip")] if len(cells) > head.index("clip") else ""
        if clip in rows:
            rows[clip].append(cells)
        elif cells != [""]:
            bad.append(f"{path}: line {number} is of {clip!r}, which is no clip of the index")
    found = {}
    for clip, of_clip in rows.items():
        try:
            found[clip] = _units(of_clip, len(head), list(columns.values()), most)
        except ValueError as error:
            bad.append(f"{path}: clip {clip} {error}")
    return found, bad


def _units(
    rows: Sequence[Sequence[str]], width: int, columns: Sequence[int], most: np.ndarray
) -> np.ndarray:
    if len(rows) != 1:
        raise ValueError(f"has {len(rows)} rows; one is expected")
    if len(rows[0]) != width:
        raise ValueError(f"has {len(rows[0])} cells; {width} are expected")
    values = np.array([_number(rows[0][at]) for at in columns])
    if not ((values >= 0) & (values <= most)).all():  # False for NaN
        raise ValueError(
            f"has cells that are no number from 0 to {MOST['r']:g} (AU.._r) or {MOST['c']:g} "
            "(AU.._c)"
        )
    return values.astype(np.float32)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
