"""The index of prepared shards is whole, or refused; what it does not list is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.tasks.vggsound.prepare import PREPARED, prepare
from mke_theory.tasks.vggsound.shards import INDEX, read_shards
from mke_theory.tasks.vggsound.task import VGGSound
from tests.tasks.vggsound.made_clips import READING, Corpus, make_corpus

TASK = VGGSound(channels=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus, prepared; no test changes it."""
    corpus = make_corpus(tmp_path_factory.mktemp("whole"))
    again(corpus)
    return corpus


@pytest.fixture
def corpus(made: Corpus, tmp_path: Path) -> Corpus:
    """A copy of its own for each test."""
    shutil.copytree(made.root, tmp_path / "copy")
    return replace(made, root=tmp_path / "copy")


def again(corpus: Corpus) -> None:
    prepare(corpus.root, reading=READING, clips_per_shard=16)


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
