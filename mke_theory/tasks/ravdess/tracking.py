"""OpenFace's tracking of one film as numbers: action units, and the geometry of the face.

A CSV has a row a frame. OpenFace 2.1.0 writes 714 columns; their order is free here, names may
begin with a space, and `face_id` and `success` may be absent, as public code says they are in the
public archive. A frame counts where a face was found in it (success 1, where that is told, and
confidence above 0) and all its cells are there and finite. Of several faces the one with the most
such frames counts, the lowest `face_id` among equals. What is left out is counted.

Ref: baltrusaitis2018openface; livingstone2018ravdess.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Floats = np.ndarray

INTENSITIES = tuple(
    f"AU{unit:02}_r" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
)
PRESENCES = tuple(f"{name[:4]}_c" for name in (*INTENSITIES[:-1], "AU28_c", "AU45_c"))
UNITS = (*INTENSITIES, *PRESENCES)
"""Action units: 17 intensities, 0 to 5, and 18 presences, 0 or 1 a frame."""

MOST = {"r": 5.0, "c": 1.0}
"""The largest intensity and the largest presence; both are at least 0."""

DISTANCES = (
    *((21, 22), (19, 37), (24, 44), (21, 39), (22, 42)),  # between the brows, brows above eyes
    *((37, 41), (44, 46)),  # how far the eyes are open
    *((48, 54), (62, 66), (51, 57)),  # the mouth: width, opening, lips
    *((33, 51), (8, 57), (36, 48), (45, 54)),  # nose, chin and eye corners to the mouth
)
"""Pairs of the 68 landmarks, counted from 0, whose distance in space is taken."""

SCALE = (36, 45)
"""The outer corners of the eyes, whose distance is the unit of all others."""

_TURNS, _PLACES = ("pose_Rx", "pose_Ry", "pose_Rz"), ("pose_Tx", "pose_Ty", "pose_Tz")
_GAZE = ("gaze_angle_x", "gaze_angle_y")
_POINTS = sorted({point for pair in (*DISTANCES, SCALE) for point in pair})
_CELLS = (*_TURNS, *_GAZE, *_PLACES, *(f"{axis}_{point}" for point in _POINTS for axis in "XYZ"))
_MOVING = (*_TURNS, *_GAZE, *(f"landmarks_{a}_{b}" for a, b in DISTANCES))

GEOMETRY = (
    *(f"{name}_{kind}" for name in _MOVING for kind in ("mean", "sd")),
    *(f"{name}_sd" for name in _PLACES),
)
"""41 numbers of a film: mean and sd over its frames of the head's turns and the gaze (radians) and
of `DISTANCES`, and the sd of the head's place (mm). Where an actor sits says nothing of an emotion,
how much he moves does."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """The numbers of one film, and of its frames.

    units: [35] means of `UNITS`. geometry: [41], see `GEOMETRY`, or None where it was not asked
    for. frames, failed, others: rows that count, those without a face or with damaged cells, and
    those of another face.
    """

    units: Floats
    geometry: Floats | None
    frames: int
    failed: int
    others: int


def read_tracking(text: str, *, geometry: bool = True) -> Tracked:
    """The action units and the geometry in the text of a CSV.

    Raises ValueError, without the file's name, where it is empty, a column is absent or there
    twice, no frame counts, or a frame has an action unit out of its range.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    head = [name.strip(' "\t') for name in lines[0].split(",")] if lines else []
    wanted = (*UNITS, *(_CELLS if geometry else ()))
    at = _places(head, wanted)
    rows = [line.split(",") for line in lines[1:] if line.strip()]
    if not rows:
        raise ValueError("has no rows; fetch the archive again")
    cells = np.array([_cells(row, len(head), at[: len(wanted)]) for row in rows])
    good = np.isfinite(cells).all(axis=1)
    for name, least in (("confidence", 0.0), ("success", 0.5)):
        if name in head:
            state = [_cells(row, len(head), [head.index(name)])[0] for row in rows]
            good &= np.array(state) > least  # False for NaN
    _refuse_odd_units(cells[good, : len(UNITS)])
    mine = good & _chosen(head, rows, good)
    if not mine.any():
        raise ValueError(f"in none of {len(rows)} frames a face was found")
    units = cells[mine, : len(UNITS)].mean(axis=0)
    shape = _geometry(cells[mine, len(UNITS) :]) if geometry else None
    kept = int(mine.sum())
    return Tracked(units, shape, kept, int((~good).sum()), int(good.sum()) - kept)


def _places(head: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The columns of `wanted`; ValueError where one is not there, or there twice."""
    needed = (*wanted, "confidence")
    absent = [name for name in needed if name not in head]
    if absent:
        more = f" and {len(absent) - 10} more" if len(absent) > 10 else ""
        raise ValueError(
            f"lacks the columns {', '.join(absent[:10])}{more}; a CSV of OpenFace's "
            "FeatureExtraction with action units, pose, gaze and 3D landmarks is wanted"
        )
    count = Counter(head)
    twice = [name for name in (*needed, "success", "face_id") if count[name] > 1]
    if twice:
        raise ValueError(f"has the column {twice[0]} {count[twice[0]]} times")
    return [head.index(name) for name in needed]


def _cells(row: Sequence[str], width: int, at: Sequence[int]) -> list[float]:
    """The numbers in some cells; NaN for what is none, and for all of a row of another length."""
    if len(row) != width:
        return [math.nan] * len(at)
    return [_number(row[place]) for place in at]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:  # such as OpenFace's -nan(ind)
        return math.nan


def _chosen(head: Sequence[str], rows: Sequence[Sequence[str]], good: Floats) -> Floats:
    """True [n] for the rows of the face that counts."""
    if "face_id" not in head:
        return np.ones(len(rows), dtype=bool)
    place = head.index("face_id")
    face = np.array([_cells(row, len(head), [place])[0] for row in rows])
    count = Counter(face[good & np.isfinite(face)].tolist())
    best = min(count, key=lambda one: (-count[one], one), default=math.nan)
    return np.asarray(face == best)


def _refuse_odd_units(units: Floats) -> None:
    most = np.array([MOST[name[-1]] for name in UNITS])
    odd = np.argwhere((units < 0) | (units > most))
    if len(odd):
        row, column = odd[0]
        raise ValueError(
            f"{UNITS[column]} is {units[row, column]:g}; allowed are 0 to {most[column]:g}"
        )


def _geometry(cells: Floats) -> Floats:
    """The numbers of `GEOMETRY` from [frames, cells], the cells being those of `_CELLS`."""
    turns, places = cells[:, :5], cells[:, 5:8]
    point = dict(zip(_POINTS, cells[:, 8:].reshape(len(cells), -1, 3).swapaxes(0, 1), strict=True))

    def distance(a: int, b: int) -> Floats:
        return np.asarray(np.linalg.norm(point[a] - point[b], axis=1))

    unit = distance(*SCALE)
    if not (unit > 0).all():
        raise ValueError("the outer corners of the eyes, landmarks 36 and 45, lie in one point")
    moving = np.column_stack([turns, *(distance(a, b) / unit for a, b in DISTANCES)])
    both = np.column_stack([moving.mean(axis=0), moving.std(axis=0)]).ravel()
    return np.concatenate([both, places.std(axis=0)])
