"""Shards read as one array; their index is whole, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.tasks.vggsound.clips import Reading, read_clip
from mke_theory.tasks.vggsound.prepare import prepare
from mke_theory.tasks.vggsound.shards import INDEX, PREPARED, Shards, read_shards
from tests.tasks.vggsound.made_clips import READING, TASK, Corpus, again


def test_shards_read_as_one_array() -> None:
    whole = np.arange(60).reshape(20, 3)
    shards = Shards([whole[:7], whole[7:7], whole[7:8], whole[8:]])
    assert (len(shards), shards.shape) == (20, (20, 3))
    rows = np.random.default_rng(0).integers(0, 20, 50)
    np.testing.assert_array_equal(shards[rows], whole[rows])
    assert shards[rows[:0]].shape == (0, 3)
    with pytest.raises(ValueError, match="no sample"):
        Shards([whole[:0]])


def test_prepared_clips_are_the_clips_read_one_by_one(made: Corpus) -> None:
    prepared = read_shards(made.root / PREPARED)
    assert prepared.reading == READING and prepared.bad == ()
    assert len(prepared.audioset.clips) == 18 and len(prepared.vggsound.clips) == 42
    shelf = prepared.vggsound
    audio, video = (Shards(shelf.arrays[name]) for name in ("audio", "video"))
    for row in (0, 17, 41):  # in the first, second and third shard
        alone = read_clip(made.file("vggsound", shelf.clips[row]), READING, pictures=True)
        np.testing.assert_array_equal(audio[np.array([row])][0], alone.audio)
        np.testing.assert_array_equal(video[np.array([row])][0], alone.video)


def test_what_is_done_is_not_done_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    read_one = read_clip

    def counted(path: Path, reading: Reading, *, pictures: bool) -> Any:
        read.append(path)
        return read_one(path, reading, pictures=pictures)

    monkeypatch.setattr("mke_theory.tasks.vggsound.shards.read_clip", counted)
    again(corpus)
    assert read == []
    # Another clip in place of one: its shard of 16 is made anew, and the old one is removed.
    members = sorted(corpus.clips["labelled"])
    shutil.copy(corpus.file("audioset", members[5]), corpus.file("audioset", members[0]))
    again(corpus)
    assert len(read) == 16
    shards = [path for path in (corpus.root / PREPARED).iterdir() if path.is_dir()]
    assert len(shards) == 2 + 3
    read.clear()
    prepare(corpus.root, reading=replace(READING, pictures=1), clips_per_shard=16)
    assert len(read) == 60


def test_a_damaged_or_removed_shard_is_refused(corpus: Corpus) -> None:
    folder = corpus.root / PREPARED
    shard = next(folder.glob("vggsound-*"))
    video = shard / "video.npy"
    video.write_bytes(video.read_bytes()[:-1] + b"\0\0")
    with (
        pytest.warns(RuntimeWarning, match="has changed"),
        pytest.raises(ValueError, match="missing or damaged; prepare the clips again"),
    ):
        read_shards(folder)
    shutil.rmtree(shard)
    with pytest.raises(ValueError, match="missing or damaged"):
        read_shards(folder)
    again(corpus)
    assert len(read_shards(folder).vggsound.clips) == 42


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[]",
        '{"version": 2, "reading": {}, "shards": {}}',
        '{"version": 0}',
        '{"version": 1, "reading": 3}',
    ],
)
def test_a_damaged_index_is_refused(corpus: Corpus, text: str) -> None:
    (corpus.root / PREPARED / INDEX).write_text(text)
    with pytest.raises(ValueError, match="prepare the clips again"):
        read_shards(corpus.root / PREPARED)


def without_a_shard(index: dict[str, Any]) -> None:
    index["shards"]["vggsound"].pop()


def without_any_shard(index: dict[str, Any]) -> None:
    index["shards"] = {"audioset": [], "vggsound": []}


def without_a_seal(index: dict[str, Any]) -> None:
    without_a_shard(index)
    del index["sha256"]


@pytest.mark.parametrize("change", [without_a_shard, without_any_shard, without_a_seal])
@pytest.mark.parametrize("removed", [False, True])
def test_an_index_that_lost_shards_is_refused(
    corpus: Corpus, change: Callable[[dict[str, Any]], None], removed: bool
) -> None:
    """Also where the folders of the shards are gone with their entries."""
    folder = corpus.root / PREPARED
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))
    if removed:
        for shard in folder.glob("vggsound-*"):
            shutil.rmtree(shard)
    with pytest.raises(ValueError, match="prepare the clips again"):
        read_shards(folder)
    with pytest.raises(ValueError, match="prepare the clips again"):
        TASK.at(corpus.root).problem(0)
    again(corpus)
    assert len(read_shards(folder).vggsound.clips) == 42


def test_a_relative_folder_keeps_its_shards(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus.root)
    again(replace(corpus, root=Path()))
    assert len(read_shards(Path(PREPARED)).vggsound.clips) == 42


def test_a_shard_that_is_not_listed_is_noticed(corpus: Corpus) -> None:
    folder = corpus.root / PREPARED
    shutil.copytree(min(folder.glob("vggsound-*")), folder / f"vggsound-{0:016x}")
    with pytest.warns(RuntimeWarning, match=f"1 shards are left out.*vggsound-{0:016x}"):
        assert len(read_shards(folder).vggsound.clips) == 42
    again(corpus)
    assert len(read_shards(folder).vggsound.clips) == 42


def test_the_versions_of_the_libraries_are_listed_and_count_for_the_hash(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, before = corpus.root / PREPARED, TASK.at(corpus.root).data_hash()
    index = json.loads((folder / INDEX).read_text())
    assert [one["numpy"] for one in index["libraries"]] == [np.__version__]
    monkeypatch.setattr("mke_theory.tasks.files.cache.versions_of", lambda *_: {"numpy": "0.1"})
    again(corpus)  # nothing is made anew
    assert TASK.at(corpus.root).data_hash() == before
    shutil.rmtree(min(folder.glob("vggsound-*")))
    again(corpus)
    found = {one["numpy"] for one in json.loads((folder / INDEX).read_text())["libraries"]}
    assert found == {np.__version__, "0.1"}
    assert TASK.at(corpus.root).data_hash() != before
