"""A small corpus: its lists alone, prepared, and a copy to be damaged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tasks.vggsound.made_clips import Corpus, again, make_corpus


@pytest.fixture(scope="package", autouse=True)
def few_shards() -> Iterator[None]:
    """Sixteen shards a set, as each takes the time of some files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mke_theory.tasks.vggsound.store.SHARDS", 16)
        yield


@pytest.fixture
def lists(tmp_path: Path) -> Corpus:
    """The lists without the clips."""
    return make_corpus(tmp_path, clips=False)


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
