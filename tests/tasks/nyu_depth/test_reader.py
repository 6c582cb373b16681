"""Frames are read once, kept, and read again when a file changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.data import file_hashes as contents
from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.nyu_depth import reader
from tests.tasks.nyu_depth.made_frames import TEST, WHOLE, same_inputs, task

Image = pytest.importorskip("PIL.Image", reason="needs the extra mke_theory[data]")


def test_what_was_read_once_is_not_read_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = task(tmp_path).at(made).problem(0)
    reader._load.cache_clear()
    monkeypatch.setattr(reader, "read_pictures", None)
    after = task(tmp_path).at(made).problem(0)
    same_inputs(before.test[slice(0, 3)].inputs, after.test[slice(0, 3)].inputs)


def test_a_file_that_changes_is_noticed_by_the_same_process(root: Path, tmp_path: Path) -> None:
    whole = task(tmp_path)
    before, hashed = whole.at(root).problem(0), whole.at(root).data_hash()
    path = root / f"nyudv2/depth/{TEST[0]:04d}.png"
    size = path.stat().st_size
    Image.fromarray(np.full(WHOLE, 250, dtype=np.uint8)).save(path)
    with path.open("ab") as file:
        file.write(bytes(size - path.stat().st_size))  # what follows a picture is not read
    after = whole.at(root).problem(0)
    x, y = (problem.test[slice(0, 3)].inputs["depth"] for problem in (before, after))
    assert not torch.equal(x[0], y[0]) and torch.equal(x[1:], y[1:])
    assert whole.at(root).data_hash() != hashed


def test_a_process_hashes_each_file_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr(contents, "sha256_of", counted)
    for _ in range(3):
        problems = [task(tmp_path).at(root).problem(seed) for seed in (0, 1)]
        assert task(tmp_path).at(root).data_hash()
    assert len(hashed) == len(set(hashed)) == 1 + 3 * 43
    stored = [problem.test.inputs["image"] for problem in problems]
    assert stored[0].values is stored[1].values  # nor are the frames read twice
