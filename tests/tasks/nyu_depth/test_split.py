"""The authors' split, the fixed blocks and blocks drawn by a seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.nyu_depth import split as splits


def test_the_split_on_paper_is_whole() -> None:
    split = splits.read_split()
    assert {part: len(numbers) for part, numbers in split.items()} == {
        "train": 795,
        "labelled": 105,
        "test": 654,
    }
    both = np.concatenate([split["train"], split["test"]])
    np.testing.assert_array_equal(np.sort(both), np.arange(1, splits.FRAMES + 1))
    by_rule = split["train"][splits.fixed(splits.blocks(795))]
    np.testing.assert_array_equal(by_rule, split["labelled"])


def test_a_changed_split_is_noticed(tmp_path: Path) -> None:
    stated = json.loads(splits.SPLIT.read_text(encoding="utf-8"))
    stated["test"][0] = stated["test"][0].replace("1-2 ", "2 ", 1)
    (tmp_path / "split.json").write_text(json.dumps(stated), encoding="utf-8")
    with pytest.raises(ValueError, match="frames of test are not those"):
        splits.read_split(tmp_path / "split.json")


@pytest.mark.parametrize("kept", [slice(None), slice(1, None), slice(100, 102), slice(100, 101)])
def test_another_split_of_some_or_all_frames_is_refused(kept: slice) -> None:
    split = splits.read_split()
    number = np.arange(1, splits.FRAMES + 1)
    part = np.where(np.isin(number, split["test"]), "test", "train")
    splits.refuse_other_split("index.csv", number[kept], part[kept])
    part[100] = "test" if part[100] == "train" else "train"
    with pytest.raises(ValueError, match=r"index\.csv: 1 frames .* frame 101, which is 'train'"):
        splits.refuse_other_split("index.csv", number[kept], part[kept])


@pytest.mark.parametrize("frame", [0, 1450])
def test_a_frame_outside_the_data_set_is_refused(frame: int) -> None:
    with pytest.raises(ValueError, match=f"lists frame {frame}; the data set has frames 1 to 1449"):
        splits.refuse_other_split("index.csv", np.array([3, frame]), np.array(["train"] * 2))


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_no_unit_is_on_both_sides(sizes: list[int], seed: int, data: st.DataObject) -> None:
    units = np.repeat([f"room {at}" for at in range(len(sizes))], sizes)
    wanted = data.draw(st.integers(1, len(units)))
    labelled, left_over = splits.drawn(units, wanted, seed)
    assert labelled.sum() == wanted and not (labelled & left_over).any()
    assert not set(units[labelled]) & set(units[~labelled & ~left_over])
    assert len(set(units[left_over])) <= 1
