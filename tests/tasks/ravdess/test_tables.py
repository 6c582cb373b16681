"""Tables: read in the split's order whatever their own, and every disagreement named."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.ravdess.face_tables import FACE, SHAPE
from mke_theory.tasks.ravdess.names import Recording
from mke_theory.tasks.ravdess.speech import BANDS, statistics
from mke_theory.tasks.ravdess.split import Part, read_split
from mke_theory.tasks.ravdess.tables import (
    INDEX,
    SPEECH,
    SUMS,
    check_tables,
    content_hash,
    files,
    read_tables,
)
from mke_theory.tasks.ravdess.tracking import GEOMETRY, UNITS

SPLIT: dict[Recording, Part] = {
    Recording(1, 3, 1, 1, 1, 1): "train",
    Recording(1, 5, 2, 1, 1, 1): "train",
    Recording(1, 1, 1, 1, 1, 2): "train",
    Recording(1, 3, 1, 1, 1, 19): "test",
}
LENGTHS = (12, 20, 15, 13)


def write_tables(folder: Path, order: list[int] | None = None) -> Path:
    """The recordings of SPLIT, row i with action units i/4 and the bands of `bands(i)`."""
    folder.mkdir(exist_ok=True)
    order = [0, 1, 2, 3] if order is None else order
    listed = list(SPLIT)
    index = pd.DataFrame(
        {
            "clip": [str(listed[at]) for at in order],
            "label": [listed[at].label for at in order],
            "actor": [listed[at].actor for at in order],
        }
    )
    index.to_csv(folder / INDEX, index=False)
    for name, columns in ((FACE, UNITS), (SHAPE, GEOMETRY)):
        rows = pd.DataFrame([[at / 4] * len(columns) for at in range(4)], columns=list(columns))
        rows.insert(0, "clip", [str(one) for one in listed])
        rows.to_csv(folder / name, index=False)
    write_bands(folder)
    return folder


def bands(at: int) -> np.ndarray:
    return np.random.default_rng(at).normal(size=(LENGTHS[at], BANDS)).astype(np.float16)


def write_bands(folder: Path, **other: np.ndarray) -> None:
    arrays = {
        "clip": np.array([str(one) for one in SPLIT]),
        "frames": np.concatenate([bands(at) for at in range(4)]),
        "start": np.array([0, 12, 32, 47]),
        "length": np.array(LENGTHS),
    }
    np.savez(folder / SPEECH, **(arrays | other))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_rows_come_in_the_order_of_the_split(tmp_path: Path, order: list[int]) -> None:
    clips = read_tables(write_tables(tmp_path, order), SPLIT)
    assert clips.recordings == tuple(SPLIT) and clips.skipped == ()
    assert clips.face.tolist() == [[at / 4] * 35 for at in range(4)]
    assert np.array_equal(clips.speech, np.stack([statistics(bands(at)) for at in range(4)]))
    more = read_tables(tmp_path, SPLIT, geometry=True)
    assert more.face.tolist() == [[at / 4] * 76 for at in range(4)]


def test_columns_come_in_their_own_order(tmp_path: Path) -> None:
    write_tables(tmp_path)
    table = pd.read_csv(tmp_path / FACE)
    table["AU45_c"], table["age"] = 1.0, 40
    table[sorted(table.columns)].to_csv(tmp_path / FACE, index=False)
    face = read_tables(tmp_path, SPLIT).face
    assert face[:, -1].tolist() == [1.0] * 4 and face[:, -2].tolist() == [0.0, 0.25, 0.5, 0.75]


def edited(name: str, edit: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(edit((folder / name).read_text()))


def of_a_later_zip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 6] = 255  # the version of zip that reads the first array
    path.write_bytes(content)


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (edited(INDEX, lambda text: text.replace("03-01-01-01-01,2", "03-01-01-01-01,4", 1)),
     r"index\.csv: clip 01-03-01-01-01-01 has label 4 and actor 1; its name says 2 and 1"),
    (edited(INDEX, lambda text: text.replace("01-03-01", "01-03-03", 1)),
     r"index\.csv: 01-03-03.*intensity is 03"),
    (edited(INDEX, lambda text: text + text.splitlines()[-1] + "\n"), r"csv: lists .* twice"),
    (edited(INDEX, lambda text: text.replace("label", "emotion")), r"index\.csv: needs rows with"),
    (edited(INDEX, lambda text: text.replace(",2,1\n", ",happy,1\n")), r"csv: not a table"),
    (edited(INDEX, lambda text: text.splitlines()[0] + "\n"), r"index\.csv: needs rows"),
    (edited(FACE, lambda text: text.replace("AU04_c", "age")),
     r"face_au\.csv: has 0 columns called AU04_c"),
    (edited(FACE, lambda text: text.replace("AU04_c", "AU02_c")),
     r"face_au\.csv: has 2 columns called AU02_c"),
    (edited(FACE, lambda text: text.replace("clip", "name", 1)), r"csv: has 0 columns called clip"),
    (edited(FACE, lambda text: ""), r"face_au\.csv: has 0 columns called clip"),
    (lambda folder: (folder / SPEECH).write_bytes((folder / SPEECH).read_bytes()[:900]),
     r"logmel40\.npz: damaged"),
    (lambda folder: write_bands(folder, length=np.array([12, 20, 15, 14])),
     r"logmel40\.npz: clip .*-19 is listed as frames 47 to 61; .* there are 60"),
    (lambda folder: write_bands(folder, start=np.array([1, 13, 33, 48])),
     r"logmel40\.npz: clip .*-01 is listed as frames 1 to 13; the clip before it ends at 0"),
    (lambda folder: write_bands(folder, start=np.array([12, 0, 32, 47])),
     r"logmel40\.npz: clip .*-01 is listed as frames 12 to 24; the clip before it ends at 0"),
    (lambda folder: write_bands(folder, length=np.array([12, 20, 15, 12])),
     r"logmel40\.npz: has 60 frames, but its clips end at 59"),
    (lambda folder: write_bands(folder, start=np.array(0)), "start and length are not"),
    (lambda folder: of_a_later_zip(folder / SPEECH),
     r"logmel40\.npz: damaged, .*zip file version 25"),
    (lambda folder: write_bands(folder, frames=np.zeros((60, 39), np.float16)), "have shape"),
    (lambda folder: write_bands(folder, frames=np.full((60, 40), np.inf, np.float16)),
     "no recording of a train actor that can be used"),
    (lambda folder: write_bands(folder, clip=np.array(["a", "b", "c", "d"])), "has other clips"),
    (lambda folder: write_bands(folder, clip=np.array(["a", "b"], dtype=object)), "damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "why"), DAMAGE)
def test_what_is_wrong_is_named_by_file(
    tmp_path: Path, damage: Callable[[Path], object], why: str
) -> None:
    damage(write_tables(tmp_path))
    with pytest.raises(ValueError, match=why):
        read_tables(tmp_path, SPLIT, skip_bad=True)


def in_row(old: str, new: str) -> Callable[[Path], object]:
    """Replaces text in the row of the third recording, of which all action units are 0.5."""

    def edit(text: str) -> str:
        return "".join(
            line.replace(old, new, 1) if line.startswith(THIRD) else line
            for line in text.splitlines(keepends=True)
        )

    return edited(FACE, edit)


def other_byte(folder: Path) -> None:
    """Makes one byte of that row none of any text."""
    content = bytearray((folder / FACE).read_bytes())
    content[content.index(f"{THIRD},0.5".encode()) + len(THIRD) + 2] = 0xFF
    (folder / FACE).write_bytes(content)


THIRD = "01-01-01-01-01-02"
NO_NUMBER = rf"face_au\.csv: clip {THIRD} has no number from 0 to [15] in AU"
BAD_ROWS: list[tuple[Callable[[Path], object], str]] = [
    (in_row("0.5", "nan"), NO_NUMBER),
    (in_row("0.5", "high"), NO_NUMBER),
    (in_row("0.5", ""), NO_NUMBER),
    (in_row("0.5", "-0.5"), NO_NUMBER),
    (in_row("0.5", "5.1"), NO_NUMBER),
    (in_row("0.5\n", "1.1\n"), NO_NUMBER),  # the last column is a presence
    (in_row("0.5", "1e300"), NO_NUMBER),
    (other_byte, NO_NUMBER),
    (in_row("0.5,", ""), rf"clip {THIRD} has 35 cells; 36 are expected"),
    (in_row("0.5,", "0.5,0.5,"), rf"clip {THIRD} has 37 cells; 36 are expected"),
    (in_row(THIRD, "01-01"), r"line 4 is of '01-01', which is no clip of the index"),
    (in_row(THIRD, "01-01"), rf"clip {THIRD} has 0 rows; one is expected"),
    (in_row("\n", f"\n{THIRD}{35 * ',0.1'}\n"), rf"clip {THIRD} has 2 rows; one is expected"),
    (lambda folder: write_bands(folder, start=np.array([0, 12, 37, 40]),
                                length=np.array([12, 25, 3, 20])),
     rf"logmel40\.npz: clip {THIRD}: needs \[t, bands\]"),
    (lambda folder: write_bands(folder, frames=np.concatenate(
        [np.full((15, BANDS), np.nan if at == 2 else 0, np.float16) for at in range(4)]),
        start=np.arange(0, 60, 15), length=np.full(4, 15)),
     rf"logmel40\.npz: clip {THIRD}: .* NaN or infinite"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "why"), BAD_ROWS)
def test_a_damaged_recording_is_named_or_left_out(
    tmp_path: Path, damage: Callable[[Path], object], why: str
) -> None:
    damage(write_tables(tmp_path))
    with pytest.raises(ValueError, match=why) as caught:
        read_tables(tmp_path, SPLIT)
    assert "--skip-bad" in str(caught.value)
    clips = read_tables(tmp_path, SPLIT, skip_bad=True)
    others = [one for one in SPLIT if str(one) != THIRD]
    assert list(clips.recordings) == others and len(clips.speech) == 3
    assert clips.face[:, 0].tolist() == [0.0, 0.25, 0.75]
    assert any(re.search(why, line) for line in clips.skipped)


def test_a_stray_quote_costs_no_other_row(tmp_path: Path) -> None:
    in_row("0.5", '"0.5')(write_tables(tmp_path))
    assert read_tables(tmp_path, SPLIT).face.tolist() == [[at / 4] * 35 for at in range(4)]


def test_the_hash_follows_the_files(tmp_path: Path) -> None:
    """Also within one process, and where the size stays."""
    write_tables(tmp_path)
    names = files(geometry=False)
    found = [content_hash(tmp_path, names)]
    in_row("0.5", "0.6")(tmp_path)
    found.append(content_hash(tmp_path, names))
    (tmp_path / FACE).unlink()
    found.append(content_hash(tmp_path, names))
    assert len(set(found)) == 3 and len(found[0]) == 16
    assert content_hash(write_tables(tmp_path), names) == found[0]


def test_the_task_reads_again_what_has_changed_and_nothing_else(tmp_path: Path) -> None:
    folder, task = write_tables(tmp_path / "ravdess"), Ravdess(skip_bad=True)
    before, hashed = task.at(tmp_path)._clips(), task.at(tmp_path).data_hash()
    assert task.at(tmp_path)._clips() is before and before.face[2, 0] == 0.5
    in_row("0.5", "0.7")(folder)
    after = task.at(tmp_path)._clips()
    assert after.face[2, 0] == np.float32(0.7) and task.at(tmp_path).data_hash() != hashed
    assert task.at(tmp_path)._clips() is after


@pytest.mark.parametrize("name", [INDEX, FACE, SHAPE, SPEECH])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    (write_tables(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: no such file"):
        read_tables(tmp_path, SPLIT, geometry=True)
    if name == SHAPE:
        assert read_tables(tmp_path, SPLIT).face.shape == (4, 35)


def test_absent_recordings_are_refused_or_noted(tmp_path: Path) -> None:
    more: dict[Recording, Part] = {Recording(1, 2, 1, 1, 1, 2): "train", **SPLIT}
    with pytest.raises(ValueError, match="1 of 2 recordings of actor 02 are not there\nAdd them"):
        read_tables(write_tables(tmp_path), more)
    clips = read_tables(tmp_path, more, skip_bad=True)
    assert clips.recordings == tuple(SPLIT)
    assert clips.skipped == (f"{tmp_path}: 1 of 2 recordings of actor 02 are not there",)


def test_song_is_left_out(tmp_path: Path) -> None:
    write_tables(tmp_path)
    for name in (INDEX, FACE, SHAPE):
        path = tmp_path / name
        path.write_text(path.read_text().replace("01-03-01-01-01-01", "02-03-01-01-01-01"))
    write_bands(tmp_path, clip=np.array(["02-03-01-01-01-01", *map(str, list(SPLIT)[1:])]))
    spoken = dict(list(SPLIT.items())[1:])
    clips = read_tables(tmp_path, spoken)
    assert clips.recordings == tuple(spoken)
    assert clips.skipped == ()  # no file is bad


def test_hashes_are_compared_where_there_are_some(tmp_path: Path) -> None:
    write_tables(tmp_path)
    assert "4 recordings, all readable; no SHA256SUMS" in check_tables(tmp_path, SPLIT)
    found = hashlib.sha256((tmp_path / FACE).read_bytes()).hexdigest()
    (tmp_path / SUMS).write_text(f"{found}  ./{FACE}\n")
    assert "1 files are those of SHA256SUMS" in check_tables(tmp_path, SPLIT)
    (tmp_path / FACE).write_text((tmp_path / FACE).read_text() + "\n")
    with pytest.raises(ValueError, match=rf"{FACE}: is not the file"):
        check_tables(tmp_path, SPLIT)
    (tmp_path / SUMS).write_text(f"{found}  gone.csv\n")
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        check_tables(tmp_path, SPLIT)


@pytest.mark.data("ravdess")
def test_the_real_tables_are_whole(data_root: Path) -> None:
    clips = read_tables(data_root / "ravdess", read_split())
    assert clips.recordings == tuple(read_split()) and clips.skipped == ()
    assert clips.face.shape == (1440, 35) and clips.speech.shape == (1440, 720)
    table = pd.read_csv(data_root / "ravdess" / INDEX).set_index("clip")
    assert [table["label"][str(one)] for one in clips.recordings] == [
        one.label for one in clips.recordings
    ]
    # The muscles of a smile (units 6 and 12, columns 4 and 8) are strongest where it is happy.
    label = np.array([one.label for one in clips.recordings])
    for column in (4, 8):
        means = [clips.face[label == at, column].mean() for at in range(8)]
        assert np.argmax(means) == 2
