"""The committed split by actor, and lists that are no split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mke_theory.tasks.ravdess.split import (
    FOLDS,
    SPLIT,
    SPLIT_SHA256,
    hash_of,
    read_folds,
    read_split,
)
from tests.tasks.ravdess.all_speech import all_speech


def test_the_committed_split_is_the_rule() -> None:
    split = read_split()
    assert list(split) == all_speech() and len(set(split)) == 1440
    assert Counter(one.label for one in split) == {0: 96} | dict.fromkeys(range(1, 8), 192)
    assert {one.actor for one, part in split.items() if part == "test"} == set(range(19, 25))
    assert Counter(split.values()) == {"train": 1080, "test": 360}
    assert hash_of(SPLIT.read_text().splitlines()) == SPLIT_SHA256


def test_every_actor_is_in_one_fold_and_each_has_three_of_either_sex() -> None:
    folds = read_folds()
    assert [sorted(fold) for fold in folds] == [
        [1, 2, 3, 4, 5, 6],
        [7, 8, 9, 10, 11, 12],
        [13, 14, 15, 16, 17, 18],
        [19, 20, 21, 22, 23, 24],
    ]
    assert all(sum(actor % 2 for actor in fold) == 3 for fold in folds)
    tested = {one.actor for one, part in read_split().items() if part == "test"}
    assert folds[-1] == tested


def test_a_changed_list_of_folds_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "folds.txt"
    other.write_text(FOLDS.read_text().replace("0 01", "1 01"))
    monkeypatch.setattr("mke_theory.tasks.ravdess.split.FOLDS", other)
    with pytest.raises(ValueError, match=r"folds\.txt: SHA-256 of the lines is"):
        read_folds()


def test_a_changed_split_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SPLIT.read_text()
    other = tmp_path / "split.txt"
    monkeypatch.setattr("mke_theory.tasks.ravdess.split.SPLIT", other)
    other.write_bytes(text.replace("\n", "\r\n").encode())  # as some systems check text out
    assert len(read_split()) == 1440
    other.write_text(text.replace("test 01-08-02-02-02-24", "train 01-08-02-02-02-24"))
    with pytest.raises(ValueError, match=r"split\.txt: SHA-256 of the lines is"):
        read_split()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["train 01-02-01-01-01-01", "train 01-02-01-01-01-01"], "line 2: .* is listed twice"),
        (["train 01-02-01-01-01-01", "test 01-02-02-01-01-01"], "actor 01 is in train and in test"),
        (["train 01-02-01-01-01-01"], "no recording is in test"),
        (["heldout 01-02-01-01-01-01"], "line 1: the part is 'heldout'"),
        (["train 01-02-01-01-01-99"], "line 1: .*actor is 99"),
        (["train"], "line 1: '' does not name a recording"),
        ([], "no recording is in train"),
    ],
)
def test_splits_that_are_none_are_refused(tmp_path: Path, lines: list[str], why: str) -> None:
    path = tmp_path / "split.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ValueError, match=why):
        read_split(path)
