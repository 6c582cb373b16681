"""OpenFace's CSVs: numbers worked out by hand, their quirks, and those that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.tasks.ravdess.tracking import (
    DISTANCES,
    GEOMETRY,
    INTENSITIES,
    PRESENCES,
    UNITS,
    read_tracking,
)
from tests.tasks.ravdess.made_archives import COLUMNS, csv_of, frame

TWO = [frame(1, AU01_r=1.0, AU04_c=1), frame(2, AU01_r=2.5)]


def test_the_columns_are_openfaces() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 714
    assert (len(INTENSITIES), len(PRESENCES), len(UNITS), len(GEOMETRY)) == (17, 18, 35, 41)
    assert set(PRESENCES) - {f"{name[:4]}_c" for name in INTENSITIES} == {"AU28_c"}
    assert all(0 <= point < 68 for pair in DISTANCES for point in pair)


def test_action_units_are_means_over_frames() -> None:
    found = read_tracking(csv_of(TWO))
    assert dict(zip(UNITS, found.units, strict=True)) == dict.fromkeys(UNITS, 0.0) | {
        "AU01_r": 1.75,
        "AU04_c": 0.5,
    }
    assert (found.frames, found.failed, found.others) == (2, 0, 0)


def test_geometry_worked_out_by_hand() -> None:
    # Mouth width (48 to 54) 1 and 3 mm, that is 0.5 and 1.5 of the 2 mm between the eyes' corners;
    # in the second frame along the depth. The chin (8) is 4 mm below the lip in one frame.
    rows = [
        frame(1, X_54=1, Y_8=8, pose_Rx=0.1, pose_Tz=500, gaze_angle_y=0.4),
        frame(2, Z_54=3, pose_Rx=0.3, pose_Tz=510),
    ]
    found = dict(zip(GEOMETRY, _geometry(rows), strict=True))
    expected = {
        "landmarks_48_54_mean": 1.0,
        "landmarks_48_54_sd": 0.5,
        "landmarks_8_57_mean": 2.0,
        "landmarks_8_57_sd": 2.0,
        "pose_Rx_mean": 0.2,
        "pose_Rx_sd": 0.1,
        "pose_Tz_sd": 5.0,
        "gaze_angle_y_mean": 0.2,
        "gaze_angle_y_sd": 0.2,
        "landmarks_36_48_mean": 0.0,
        "landmarks_45_54_mean": (1 + np.hypot(2, 3)) / 4,
        "landmarks_45_54_sd": (np.hypot(2, 3) - 1) / 4,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    others = set(GEOMETRY) - set(expected)
    # 24 lies on 44 and so on: at the origin.
    assert {found[name] for name in others} == {0.0}


@settings(max_examples=20)
@given(
    turn=st.floats(-3, 3),
    scale=st.floats(0.5, 2),
    shift=st.floats(-500, 500),
    seed=st.integers(0, 99),
)
def test_distances_do_not_depend_on_where_the_head_is(
    turn: float, scale: float, shift: float, seed: int
) -> None:
    points = np.random.default_rng(seed).normal(0, 50, (3, 68))
    c, s = np.cos(turn), np.sin(turn)
    moved = scale * np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ points + shift
    both = [
        {f"{axis}_{at}": x[i, at] for i, axis in enumerate("XYZ") for at in range(68)}
        for x in (points, moved)
    ]
    found = [_geometry([frame(1, **cells)]) for cells in both]
    assert np.allclose(found[0], found[1], rtol=1e-6, atol=1e-6)


def _geometry(rows: Sequence[dict[str, float]]) -> np.ndarray:
    geometry = read_tracking(csv_of(rows)).geometry
    assert geometry is not None
    return geometry


@pytest.mark.parametrize("space", [",", ", ", " , ", ",\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_spaces_and_line_ends_change_nothing(space: str, ending: str) -> None:
    text = csv_of(TWO, space=space).replace("\n", ending)
    for other in (text, "\ufeff" + text, text.rstrip()):
        found = read_tracking(other)
        assert found.units[0] == 1.75 and (found.frames, found.failed) == (2, 0)


@settings(max_examples=10)
@given(order=st.permutations(range(len(COLUMNS))))
def test_the_order_of_columns_changes_nothing(order: list[int]) -> None:
    rows = [frame(at, AU12_r=at, pose_Ry=at / 9, X_48=at) for at in (1, 2)]
    first, other = read_tracking(csv_of(rows)), _permuted(rows, order)
    assert np.array_equal(first.units, other.units)
    assert np.array_equal(first.geometry, other.geometry)  # type: ignore[arg-type]


def _permuted(rows: Sequence[dict[str, float]], order: Sequence[int]) -> Any:
    return read_tracking(csv_of(rows, [COLUMNS[at] for at in order]))


def test_columns_of_no_use_may_be_absent() -> None:
    """As in the public archive, which has 712 columns and neither face_id nor success."""
    columns = [name for name in COLUMNS if name not in ("face_id", "success")]
    assert read_tracking(csv_of(TWO, columns)).units[0] == 1.75
    least = ["confidence", *UNITS]
    found = read_tracking(csv_of(TWO, least), geometry=False)
    assert found.units[0] == 1.75 and found.geometry is None


FAILED: list[dict[str, Any]] = [
    {"success": 0},
    {"confidence": 0},
    {"confidence": 0, "success": 0, "AU01_r": 9.0},  # whatever its cells say
    {"confidence": "nan"},
    {"AU01_r": "nan"},
    {"AU45_c": "-nan(ind)"},
    {"X_48": "inf"},
    {"pose_Rx": ""},
    {"AU02_r": "high"},
]


@pytest.mark.parametrize("cells", FAILED)
def test_failed_frames_are_left_out_and_counted(cells: dict[str, Any]) -> None:
    found = read_tracking(csv_of([*TWO, frame(3, AU01_r=5.0) | cells]))
    assert found.units[0] == 1.75 and (found.frames, found.failed, found.others) == (2, 1, 0)


def test_a_broken_row_is_left_out_and_counted() -> None:
    text = csv_of(TWO)
    for row in ("3, 0, 0.1", text.splitlines()[1] + ", 7"):
        found = read_tracking(f"{text}{row}\n")
        assert found.units[0] == 1.75 and (found.frames, found.failed) == (2, 1)


def test_of_several_faces_the_one_seen_most_counts() -> None:
    rows = [
        *(frame(at, face_id=0, AU01_r=4.0, success=int(at < 2)) for at in (1, 2, 3)),
        *(frame(at, face_id=1, AU01_r=1.0) for at in (1, 2)),
    ]
    found = read_tracking(csv_of(rows))
    assert (found.frames, found.failed, found.others) == (2, 2, 1) and found.units[0] == 1.0
    equal = read_tracking(csv_of([frame(1, face_id=3, AU01_r=3.0), frame(1, face_id=2, AU01_r=2)]))
    assert equal.units[0] == 2.0 and equal.others == 1


LACKING = [name for name in COLUMNS if name != "pose_Rx"]
REFUSED: list[tuple[str, str]] = [
    ("", "lacks the columns AU01_r, AU02_r"),
    ("\n", "lacks the columns"),
    ("<html>not found</html>\n", "lacks the columns AU01_r"),
    (csv_of([]), "has no rows"),
    (csv_of(TWO, LACKING), "lacks the columns pose_Rx; a CSV of OpenFace's"),
    (csv_of(TWO, [n for n in COLUMNS if n != "confidence"]), "lacks the columns confidence"),
    (csv_of(TWO, [n for n in COLUMNS if n[0] not in "XYZ"]), r"lacks .*X_8.* and \d\d more"),
    (csv_of(TWO, [*COLUMNS, "AU01_r"]), "has the column AU01_r 2 times"),
    (csv_of([frame(1, success=0), frame(2, confidence=0)]), "in none of 2 frames a face"),
    (csv_of([frame(1, AU01_r=5.1)]), "AU01_r is 5.1; allowed are 0 to 5"),
    (csv_of([frame(1), frame(2, AU28_c=2)]), "AU28_c is 2; allowed are 0 to 1"),
    (csv_of([frame(1, AU01_r=-1)]), "AU01_r is -1"),
    (csv_of([frame(1, X_45=0)]), "landmarks 36 and 45, lie in one point"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_no_tracking_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_tracking(text)
