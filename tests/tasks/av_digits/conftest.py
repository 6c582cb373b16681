"""A small copy of the data set, made once a module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tasks.av_digits.made_recordings import prepared, published


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published files."""
    return published(tmp_path_factory.mktemp("av") / "web")


@pytest.fixture(scope="module")
def folder(web: Path) -> Path:
    """The folder that is prepared from them."""
    return prepared(web)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "av_digits"))
