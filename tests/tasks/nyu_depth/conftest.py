"""Small folders of frames, as pictures and as the authors' .mat files, each made once a module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tasks.nyu_depth.made_frames import write_mat_files, write_pictures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of pictures: 40 train frames in blocks of 15, 15 and 10, and 3 of test."""
    root = tmp_path_factory.mktemp("root")
    write_pictures(root / "nyudv2")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture(scope="module")
def mat_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of .mat files: four train frames and two of test."""
    return write_mat_files(tmp_path_factory.mktemp("matlab") / "nyudv2")


@pytest.fixture
def mat_copy(mat_files: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(mat_files, tmp_path / "nyudv2"))
