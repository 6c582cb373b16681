"""A small corpus of films and recordings, made once a module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tasks.ravdess.made_films import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording as three files, one as two, one as the two halves, one as a film alone."""
    for library in ("av", "soundfile", "transformers"):
        pytest.importorskip(library, reason="needs the extra mke_theory[data]")
    return write_corpus(tmp_path_factory.mktemp("root") / "ravdess")


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(corpus, tmp_path / "ravdess"))
