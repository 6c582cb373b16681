"""Pairs by a rule that gives everybody the same, and tables of pairs that are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.tasks.av_digits.manifest import MANIFEST
from mke_theory.tasks.av_digits.reader import PAIRS, read_labels, read_writers, recording_names
from mke_theory.tasks.av_digits.split import (
    RANKS,
    TEST_SPEAKERS,
    TRAIN_SPEAKERS,
    held_out_writers,
    make_pairs,
    read_pairs,
    write_pairs,
)


def test_pairs_by_hand() -> None:
    """Digit 0 only. Writers 10, 20, 30, 40: the third, 30, is for test."""
    names = ["0_theo_0.wav", "0_lucas_10.wav", "0_lucas_9.wav"]
    labels = np.zeros(6, dtype=np.int64)
    writers = np.array([10, 20, 30, 40, 10, 30])
    order = sorted(range(6), key=lambda i: hashlib.sha256(f"mnist-t10k-{i}".encode()).hexdigest())
    train, test = [i for i in order if i not in (2, 5)], [i for i in order if i in (2, 5)]
    pairs = make_pairs(names, labels, writers)
    assert pairs.split.tolist() == ["train"] * 4 + ["test"]
    assert pairs.image.tolist() == [*train, test[0]]
    assert pairs.recording.tolist() == [2, 1, 2, 1, 0]  # take 9 before take 10
    assert pairs.rank.tolist() == [0, 0, 1, 1, 0]
    assert pairs.speaker.tolist() == ["lucas"] * 4 + ["theo"]
    assert pairs.writer.tolist() == writers[pairs.image].tolist()
    assert len(pairs) == 5


@settings(max_examples=25)
@given(seed=st.integers(0, 999), images=st.integers(30, 120))
def test_pairs_in_general(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    labels, writers = rng.integers(0, 10, images), rng.integers(0, 9, images)
    everyone = [*TRAIN_SPEAKERS, *TEST_SPEAKERS]
    names = [f"{d}_{s}_{t}.wav" for d in range(10) for s in everyone for t in range(2)]
    shuffled = rng.permutation(len(names))
    pairs = make_pairs(names, labels, writers)
    assert len(np.unique(pairs.image)) == len(pairs)
    assert len(np.unique(np.stack([pairs.recording, pairs.rank]), axis=1).T) == len(pairs)
    np.testing.assert_array_equal(pairs.digit, labels[pairs.image])
    assert [names[r].split("_")[:2] for r in pairs.recording] == [
        [str(d), s] for d, s in zip(pairs.digit, pairs.speaker, strict=True)
    ]
    test = pairs.split == "test"
    assert set(pairs.writer[test]) <= set(held_out_writers(writers))
    assert not set(pairs.writer[~test]) & set(held_out_writers(writers))
    assert set(pairs.speaker[test]) <= set(TEST_SPEAKERS)
    assert not set(pairs.speaker[~test]) & set(TEST_SPEAKERS)
    assert pairs.rank[test].max(initial=0) < RANKS["test"] and pairs.rank.max() < RANKS["train"]
    again = make_pairs([names[i] for i in shuffled], labels, writers)  # no order of files matters
    np.testing.assert_array_equal(shuffled[again.recording], pairs.recording)
    np.testing.assert_array_equal(again.image, pairs.image)


def test_pairs_refuse_what_the_rule_does_not_know() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match=r"speakers \['eve'\]"):
        make_pairs(["0_eve_0.wav"], one, one)
    with pytest.raises(ValueError, match=r"odd\.wav"):
        make_pairs(["odd.wav"], one, one)
    with pytest.raises(ValueError, match="no pairs"):
        make_pairs(["1_theo_0.wav"], one, one)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("split", "validation", "line 3 has split validation"),
        ("rank", "-1", "ranks begin at 0"),
        ("digit", "7", "line 3 has digit 7"),
        ("wav", "recordings/0_theo_99.wav", "is not there"),
        ("speaker", "lucas", "line 3 has speaker lucas"),
        ("mnist_index", "90", "allowed are 0 to 89"),
        ("mnist_index", "many", "not a table of"),
        ("writer", "", "not a table of|empty cells"),
        ("split", "test", "speaker george is in train and in test"),
    ],
)
def test_a_table_with_a_wrong_cell_is_refused(
    copy: Path, column: str, value: str, message: str
) -> None:
    lines = (copy / PAIRS).read_text().splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[2] = ",".join(cells)
    (copy / PAIRS).write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_pairs(copy / PAIRS, recording_names(copy), read_labels(copy))
    assert "pairs.csv" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\0", b"split\n"])
def test_a_file_that_is_no_such_table_is_refused(copy: Path, content: bytes) -> None:
    (copy / PAIRS).write_bytes(content)
    with pytest.raises(ValueError, match="not a table"):
        read_pairs(copy / PAIRS, recording_names(copy), read_labels(copy))


@pytest.mark.data("av_digits")
def test_the_rule_gives_the_published_pairs(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "av_digits"
    names, labels = recording_names(folder), read_labels(folder)
    writers = read_writers(folder, labels)
    pairs = make_pairs(names, labels, writers)
    write_pairs(tmp_path / PAIRS, pairs, names)
    assert (tmp_path / PAIRS).read_bytes() == (folder / PAIRS).read_bytes()
    split = json.loads((MANIFEST.parent / "av_digits_split.json").read_text())
    counts = {
        part: [int(((pairs.split == part) & (pairs.rank == rank)).sum()) for rank in range(ranks)]
        for part, ranks in RANKS.items()
    }
    assert split["pairs"] == counts == {"train": [2000, 2000, 1980], "test": [1000]}
    assert held_out_writers(writers).tolist() == split["writers"]["test"]
