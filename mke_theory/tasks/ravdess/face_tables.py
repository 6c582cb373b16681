"""Tables of the face, a row a recording, read so that a damaged row costs one recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mke_theory.tasks.ravdess.tracking import GEOMETRY, MOST, UNITS

Range = tuple[float, float]

FACE, SHAPE = "face_au.csv", "face_geometry.csv"
COLUMNS: Mapping[str, Mapping[str, Range]] = {
    FACE: {name: (0.0, MOST[name[-1]]) for name in UNITS},
    SHAPE: {name: (-1e4, 1e4) for name in GEOMETRY},
}
"""The columns that are read of each table, in the order of the features, with their ranges."""


def read_face(path: Path, clips: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The features [d] float32 of `clips`, by clip, and a line for each row that is no good.

    `path` is called as one of `COLUMNS`. No good is a clip with no row, several, one with another
    number of cells than the header or with cells out of their range, and a row of none of `clips`.
    Raises ValueError, with the file, where a column or `clip` is absent or there twice.
    """
    # A byte that is no text becomes a sign that is in no number: the harm stays in its row.
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    head, *lines = [line.replace('"', "").split(",") for line in text.splitlines()] or [[]]
    wanted = COLUMNS[path.name]
    if odd := [name for name in ("clip", *wanted) if head.count(name) != 1]:
        raise ValueError(
            f"{path}: has {head.count(odd[0])} columns called {odd[0]}; one is wanted of each of "
            f"clip, {', '.join(list(wanted)[:2])}, ... ({len(wanted)})"
        )
    at, name_at = [head.index(name) for name in wanted], head.index("clip")
    rows: dict[str, list[list[str]]] = {clip: [] for clip in clips}
    bad = []
    for number, cells in enumerate(lines, 2):
        clip = cells[name_at] if len(cells) > name_at else ""
        if clip in rows:
            rows[clip].append(cells)
        elif cells != [""]:
            bad.append(f"{path}: line {number} is of {clip!r}, which is no clip of the index")
    found = {}
    for clip, of_clip in rows.items():
        try:
            found[clip] = _features(of_clip, len(head), at, wanted)
        except ValueError as error:
            bad.append(f"{path}: clip {clip} {error}")
    return found, bad


def write_face(path: Path, rows: Mapping[str, np.ndarray]) -> None:
    """Write the features of recordings, by clip, as `read_face` reads them."""
    lines = [",".join(("clip", *COLUMNS[path.name]))]
    lines += [",".join((clip, *(f"{x:.6g}" for x in row))) for clip, row in rows.items()]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _features(
    rows: Sequence[Sequence[str]], width: int, at: Sequence[int], ranges: Mapping[str, Range]
) -> np.ndarray:
    if len(rows) != 1:
        raise ValueError(f"has {len(rows)} rows; one is expected")
    if len(rows[0]) != width:
        raise ValueError(f"has {len(rows[0])} cells; {width} are expected")
    values = np.array([_number(rows[0][place]) for place in at])
    for value, (name, (least, most)) in zip(values, ranges.items(), strict=True):
        if not least <= value <= most:  # also NaN
            raise ValueError(f"has no number from {least:g} to {most:g} in {name}")
    return values.astype(np.float32)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
