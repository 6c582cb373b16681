"""Files with a teacher's answers: written, read, and refused for any other problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.data.answer_files import answered, file_name, load_answers, save_answers
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem

Content = dict[str, np.ndarray]


def problem(seed: int = 0) -> Problem:
    """Three classes; six samples of D_l, ten of D_u, eight of test."""
    draw = torch.Generator().manual_seed(seed)
    x = {name: torch.randn(24, 2, generator=draw) for name in "ab"}
    whole = Pool(x, torch.arange(24) % 3)
    parts = [whole.rows(torch.arange(a, b)) for a, b in ((0, 6), (6, 16), (16, 24))]
    return Problem.of(parts[0].only("a"), parts[1], parts[2], ("a",), 3)


def logits(seed: int = 0) -> Content:
    draw = np.random.default_rng(seed)
    sizes = {"labelled": 6, "unlabelled": 10, "test": 8}
    return {part: draw.normal(size=(n, 3)).astype(np.float32) for part, n in sizes.items()}


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    given, path = logits(), tmp_path / "deeper" / file_name("mine", 3)
    assert save_answers(path, problem(), **given) == path
    assert path.name == "mine_3.npz" and list(path.parent.iterdir()) == [path]
    found = load_answers(path, problem())
    for part, x in given.items():
        carried = getattr(found, part).answers
        assert torch.equal(carried, torch.from_numpy(x))
    assert found.split_hash == problem().split_hash == replace(found).split_hash
    del given["labelled"]
    save_answers(path, problem(), **given)
    assert load_answers(path, problem()).labelled.answers is None


def test_an_order_of_the_samples_is_another_split(tmp_path: Path) -> None:
    path = save_answers(tmp_path / "a.npz", problem(), **logits())
    turned = problem().unlabelled.rows(torch.arange(9, -1, -1))
    for other in (replace(problem(), unlabelled=turned), problem(1)):
        with pytest.raises(ValueError, match=r"a\.npz answers another problem: its split is"):
            load_answers(path, other)


def with_rows(part: str, n: int) -> Callable[[Content], Content]:
    return lambda given: {**given, part: np.resize(given[part], (n, given[part].shape[1]))}


BAD: dict[str, tuple[Callable[[Content], Content], str]] = {
    "a row too few": (
        with_rows("unlabelled", 9),
        "on the unlabelled part have 9 rows, but it has 10 samples; give a row a sample",
    ),
    "a row too many": (with_rows("test", 9), "on the test part have 9 rows, but it has 8"),
    "rows of D_l": (with_rows("labelled", 5), "on the labelled part have 5 rows"),
    "a class too few": (
        lambda given: {part: x[:, :2] for part, x in given.items()},
        r"\(10, 3\): a row a sample, a class a column|\(6, 3\)",
    ),
    "NaN": (
        lambda given: {
            **given,
            "test": np.where(np.arange(8)[:, None] == 5, np.nan, given["test"]),
        },
        r"test part have none \(NaN\) for sample 5, which has a",
    ),
    "NaN in part": (
        lambda given: {**given, "test": np.where(given["test"] > 1, np.nan, given["test"])},
        "test part have NaN in row",
    ),
    "unnormalised": (
        lambda given: {**given, "unlabelled": np.exp(given["unlabelled"]) / 100},
        "unlabelled part are numbers from 0 on that sum to",
    ),
    "pixels": (
        lambda given: {**given, "test": given["test"][:, :, None, None]},
        r"\(8, 3, 1, 1\); they have to be \(8, 3\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_answers_that_do_not_fit_are_neither_written_nor_read(case: str, tmp_path: Path) -> None:
    change, message = BAD[case]
    given: Any = change(logits())
    with pytest.raises(ValueError, match=message):
        answered(problem(), **given)
    with pytest.raises(ValueError, match=message):
        save_answers(tmp_path / "a.npz", problem(), **given)
    assert not (tmp_path / "a.npz").exists()
    np.savez(tmp_path / "a.npz", split=np.array(problem().split_hash), **given)
    with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
        load_answers(tmp_path / "a.npz", problem())


@pytest.mark.parametrize("absent", ["unlabelled", "test", "split"])
def test_a_file_without_a_part_is_refused(absent: str, tmp_path: Path) -> None:
    arrays: Any = {**logits(), "split": np.array(problem().split_hash)}
    del arrays[absent]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=r"has the arrays .*; it has to have unlabelled, test and"):
        load_answers(tmp_path / "a.npz", problem())


def test_an_array_of_another_name_is_refused(tmp_path: Path) -> None:
    arrays: Any = {**logits(), "split": np.array(problem().split_hash)}
    np.savez(tmp_path / "a.npz", labeled=arrays.pop("labelled"), **arrays)
    with pytest.raises(ValueError, match="labeled"):
        load_answers(tmp_path / "a.npz", problem())


def test_no_file_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match=r"there is no .*a\.npz; write"):
        load_answers(path, problem())
    whole = save_answers(path, problem(), **logits()).read_bytes()
    middle = len(whole) // 3
    damaged = [whole[:middle], b"", b"no archive", whole[: len(whole) - 30]]
    damaged.append(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz"):
            load_answers(path, problem())
    with path.open("wb") as file:
        np.save(file, logits()["test"])
    with pytest.raises(ValueError, match="one array, without names"):
        load_answers(path, problem())
    objects: Any = {"split": np.array([problem()], dtype=object)}
    np.savez(path, **objects)
    with pytest.raises(ValueError, match=r"cannot be read as \.npz without objects"):
        load_answers(path, problem())
