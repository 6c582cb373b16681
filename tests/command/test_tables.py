"""Files of one's own, read: columns by group, arrays by name, and all that is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.command.tables import Data, read_data

GROUPS = ("a=a_*", "b=b")
TEXT = "id,a_1,a_2,b,labels,note\nx,1,2,3,0,hi\ny,4,5,,1,\nz,7,8.5,-1e3,,=1+1\n"


def read(path: Path, *groups: str, **changes: Any) -> Data:
    settings: dict[str, Any] = {"labels": "labels", "identity": "id", "answers": None}
    return read_data(path, groups or GROUPS, **(settings | changes))


def written(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_by_hand(tmp_path: Path) -> None:
    found = read(written(tmp_path, TEXT))
    np.testing.assert_array_equal(found.modalities["a"], [[1, 2], [4, 5], [7, 8.5]])
    np.testing.assert_array_equal(found.modalities["b"], [[3], [np.nan], [-1000]])
    assert found.labels.tolist() == [0, 1, None] and found.ids == ["x", "y", "z"]
    assert found.unread == ("note",) and found.answers is None


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        "sep=,\n" + TEXT,
        "\ufeff" + TEXT + "\n,,,,,\n",
        TEXT.replace("z,7,8.5,-1e3,,", "z,7,8.5,-1e3,?,").replace("x,1,2,3,0", "x,1,2,3,0.0"),
    ],
)
def test_as_spreadsheets_leave_it(tmp_path: Path, text: str) -> None:
    found, expected = read(written(tmp_path, text)), read(written(tmp_path, TEXT, "o.csv"))
    for name, x in expected.modalities.items():
        np.testing.assert_array_equal(found.modalities[name], x)
    assert found.labels.tolist() == expected.labels.tolist() and found.ids == expected.ids


def test_labels_that_are_words_stay_words(tmp_path: Path) -> None:
    text = TEXT.replace("3,0,hi", "3,cat,hi").replace("5,,1,", "5,,10,")
    assert read(written(tmp_path, text)).labels.tolist() == ["cat", "10", None]


@pytest.mark.parametrize("folder", [False, True])
def test_arrays(tmp_path: Path, folder: bool) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "sound": rng.normal(size=(4, 3)),
        "picture": rng.integers(0, 255, (4, 2, 2)).astype(np.uint8),
        "labels": np.array([0, 1, -1, -1]),
        "p": np.full((4, 2), 0.5),
    }
    path = tmp_path / ("f" if folder else "f.npz")
    if folder:
        path.mkdir()
        for name, x in arrays.items():
            np.save(path / f"{name}.npy", x)
    else:
        np.savez(path, **arrays)
    found = read_data(path, (), labels="labels", identity="id", answers="p")
    assert set(found.modalities) == {"sound", "picture"} and found.answers is not None
    np.testing.assert_array_equal(found.modalities["picture"], arrays["picture"])
    assert found.labels.tolist() == [0, 1, None, None] and found.ids == ["0", "1", "2", "3"]
    some = read_data(path, ("sound",), labels="labels", identity="id", answers=None)
    assert set(some.modalities) == {"sound"} and set(some.unread) == {"picture", "p"}


def test_answers_in_columns(tmp_path: Path) -> None:
    text = "a,b,p0,p1,labels\n1,2,.25,.75,\n3,4,,,0\n"
    found = read(written(tmp_path, text), "a=a", "b=b", answers="p0,p1")
    np.testing.assert_array_equal(found.answers, [[0.25, 0.75], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("text", "groups", "changes", "message"),
    [
        (TEXT, ("a",), {}, "is not NAME=COLUMNS"),
        (TEXT, ("a=q*",), {}, r"no column 'q\*', of id, a_1"),
        (TEXT, ("a=a_*",), {"labels": "y"}, "no column 'y'; --labels"),
        (TEXT, ("a=labels",), {}, "holds the labels"),
        (TEXT, ("a=note",), {}, "'hi' in row 0, which is no number"),
        (TEXT.replace(",", ";").replace("8.5", "8,5"), GROUPS, {}, "write 0.5 for 0,5"),
        (TEXT.replace("y,4", "x,4"), GROUPS, {}, "the id 'x' stands twice"),
        (TEXT, GROUPS, {"answers": "p_*"}, "no column 'p_"),
        ("", GROUPS, {}, "is empty"),
        (TEXT.replace("5,,1,", "5,,0.5,"), GROUPS, {}, "a label is 0.5; classes are whole"),
        (TEXT.replace("5,,1,", "5,,-99,"), GROUPS, {}, "a label is -99"),
    ],
)
def test_wrong_tables(
    tmp_path: Path, text: str, groups: tuple[str, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(written(tmp_path, text), *groups, **changes)


def test_files_that_are_none_of_these(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="say which columns"):
        read_data(written(tmp_path, TEXT), (), labels="labels", identity="id", answers=None)
    with pytest.raises(ValueError, match="none of"):
        read(written(tmp_path, TEXT, "t.xlsx"))
    with pytest.raises(ValueError, match=r"cannot be read as \.npz"):
        read(written(tmp_path, TEXT, "t.npz"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no \.npy file"):
        read(tmp_path / "empty")
    with pytest.raises(OSError, match="absent"):
        read(tmp_path / "absent.csv")
    np.savez(tmp_path / "o.npz", a=np.zeros((3, 1)), labels=np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"one-hot labels become that by \.argmax"):
        read(tmp_path / "o.npz", "a")
    np.savez(tmp_path / "s.npz", a=np.zeros((2, 1)), labels=np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match="but there are 3 labels"):
        read(tmp_path / "s.npz", "a")
    with pytest.raises(ValueError, match="no array 'c'"):
        read(tmp_path / "s.npz", "c")
