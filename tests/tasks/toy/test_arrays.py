"""Arrays of one's own: parts, groups and scales, and files that are refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.toy import Arrays, array_reading
from mke_theory.tasks.toy.array_reading import read_arrays
from mke_theory.training.predict import predict
from tests.tasks.toy.own_arrays import (
    Content,
    content,
    given_parts,
    parts,
    saved,
    sizes,
    true_classes,
)


def test_arrays_without_parts_keep_a_share_of_the_labelled_rows_for_test(tmp_path: Path) -> None:
    problem = saved(tmp_path, content()).problem(0)
    assert sizes(problem) == [14, 10, 6]
    assert problem.modalities == ("sound", "image") and problem.classes == 3
    assert (problem.truth.labels == -1).all()
    seen = torch.cat([problem.labelled.labels, problem.test.labels])
    assert torch.bincount(seen).tolist() == [7, 7, 6]


def test_arrays_with_parts_keep_every_row_where_it_was_put(tmp_path: Path) -> None:
    task = saved(tmp_path, given_parts())
    problem = task.problem(0)
    assert sizes(problem) == [9, 12, 9]
    for own in true_classes(
        problem
    ).values():  # D_u carries its classes, and the account can be drawn up
        np.testing.assert_array_equal(own, np.arange(len(own)) % 3)
    assert task.problem(1).split_hash == problem.split_hash


def test_arrays_are_standardised_column_by_column(tmp_path: Path) -> None:
    arrays = given_parts()
    problem = saved(tmp_path, arrays).problem(0)
    mean, sd = arrays["sound"][:21].mean(0), arrays["sound"][:21].std(0)
    expected = (arrays["sound"][21:] - mean) / sd
    np.testing.assert_allclose(problem.test.inputs["sound"], expected, rtol=1e-5)


def test_arrays_take_any_modality_for_the_teacher(tmp_path: Path) -> None:
    task = replace(saved(tmp_path, content()), alpha="image")
    problem = task.problem(0)
    assert problem.labelled.modalities == ("image",)
    assert problem.modalities == ("image", "sound")


@given(st.integers(0, 10**6), st.integers(3, 9))
def test_arrays_never_cut_a_group(
    tmp_path_factory: pytest.TempPathFactory, seed: int, groups: int
) -> None:
    group = np.random.default_rng(seed).permutation(np.arange(30) % groups)
    task = saved(tmp_path_factory.mktemp("groups"), {**content(), "groups": group})
    problem = task.problem(seed)
    held = {part: set(pool.groups.tolist()) for part, pool in parts(problem).items()}  # type: ignore[union-attr]
    assert not held["test"] & (held["labelled"] | held["unlabelled"])
    known, unknown = group[:20], group[20:]
    assert sizes(problem) == [
        sum(g not in held["test"] for g in known),
        sum(g not in held["test"] for g in unknown),
        sum(g in held["test"] for g in known),
    ]


def test_arrays_do_not_scale_by_rows_they_leave_out(tmp_path: Path) -> None:
    arrays = {**content(), "groups": np.arange(30) % 5}
    problem = saved(tmp_path, arrays).problem(0)
    assert problem.test.groups is not None
    outside = np.isin(arrays["groups"], problem.test.groups)
    assert outside[20:].any()  # rows of unknown class that belong to a test group
    arrays["sound"] = np.where(outside[:, None], 1000.0, arrays["sound"])
    again = saved(tmp_path, arrays).problem(0)
    assert torch.equal(again.labelled.inputs["sound"], problem.labelled.inputs["sound"])


def test_a_missing_modality_stays_missing_and_the_model_answers(tmp_path: Path) -> None:
    arrays = given_parts()
    gone = [0, 9, 10, 29]
    arrays["image"][gone] = np.nan
    arrays["sound"][[5, 21]] = np.nan
    task = saved(tmp_path, arrays)
    problem = task.problem(0)
    absent = {
        name: [
            int(torch.isnan(pool.inputs[name]).flatten(1).all(1).sum())
            for pool in (problem.unlabelled, problem.test)
        ]
        for name in problem.modalities
    }
    assert absent == {"image": [2, 1], "sound": [0, 1]}
    assert int(torch.isnan(problem.labelled.inputs["sound"]).any(1).sum()) == 1
    for pool in (problem.unlabelled, problem.test):
        logits = predict(task.model(problem, problem.modalities), pool)
        assert bool(torch.isfinite(logits).all())


def test_arrays_are_looked_for_in_the_data_root_too(tmp_path: Path) -> None:
    saved(tmp_path, content())
    task = Arrays(file="own.npz")
    assert task.at(tmp_path).missing() is None
    assert sum(sizes(task.at(tmp_path).problem(0))) == 30
    assert "own.npz" in (task.missing() or "")
    assert "--set arrays.file" in (Arrays().missing() or "")


def test_the_hash_of_the_data_follows_the_content_of_the_file(tmp_path: Path) -> None:
    task = saved(tmp_path, content())
    before = task.data_hash()
    assert task.data_hash() == before
    saved(tmp_path, given_parts())
    assert task.data_hash() != before


def with_value(name: str, at: Any, value: float) -> Callable[[Content], Content]:
    def change(arrays: Content) -> Content:
        x = arrays[name].astype(float)
        x[at] = value
        return {**arrays, name: x}

    return change


BAD: dict[str, tuple[Callable[[Content], Content], str]] = {
    "no labels": (
        lambda a: {name: x for name, x in a.items() if name != "labels"},
        "no array 'labels'; it has sound, image",
    ),
    "labels with a fraction": (
        lambda a: {**a, "labels": a["labels"] + 0.5},
        "labels is float64 .* whole numbers",
    ),
    "labels in columns": (
        lambda a: {**a, "labels": a["labels"][:, None]},
        r"labels is int64 \(30, 1\)",
    ),
    "a label below -1": (lambda a: {**a, "labels": a["labels"] - 1}, "labels has -2; allowed are"),
    "one modality": (
        lambda a: {"sound": a["sound"], "labels": a["labels"]},
        r"modalities \['sound'\]; a student needs at least two",
    ),
    "other lengths": (
        lambda a: {**a, "image": a["image"][:20]},
        "image has 20 rows but labels has 30",
    ),
    "groups of another length": (
        lambda a: {**a, "groups": np.arange(29)},
        "groups has 29 rows but labels has 30",
    ),
    "one number for all": (lambda a: {**a, "image": np.array(3.0)}, "image"),
    "nothing in a row": (lambda a: {**a, "image": np.zeros((30, 0))}, "at least one number"),
    "no rows": (lambda a: {name: x[:0] for name, x in a.items()}, "no row|at least one"),
    "infinity": (
        with_value("image", (3, 0, 1), np.inf),
        "'image' has an infinite value in sample 3",
    ),
    "part of a row is NaN": (
        with_value("image", (3, 0, 1), np.nan),
        "'image' has NaN in sample 3; fill it in, or mark",
    ),
    "a modality that nobody has": (with_value("image", slice(None), np.nan), "leave that modality"),
    "words": (lambda a: {**a, "image": np.full((30, 2), "a")}, "'image' is <U1; .* numbers"),
    "complex numbers": (lambda a: {**a, "image": a["image"] * 1j}, "'image' is complex128"),
    "no known class": (lambda a: {**a, "labels": np.full(30, -1)}, "0 rows have a known class"),
    "one known class": (
        lambda a: {**a, "labels": np.minimum(a["labels"], 0)},
        "class 0 alone; a teacher needs at least two",
    ),
    "nothing unlabelled": (
        lambda a: {**a, "labels": np.arange(30) % 3},
        "unlabelled part is empty",
    ),
    "one group": (lambda a: {**a, "groups": np.zeros(30, int)}, "group"),
    "a part of another name": (
        lambda a: {**a, "part": np.full(30, "dev")},
        r"part has \['dev'\]; allowed are labelled, unlabelled, test",
    ),
    "parts in columns": (lambda a: {**a, "part": np.full((30, 2), "test")}, "part"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(case: str, tmp_path: Path) -> None:
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, change(content())).problem(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": np.repeat(["labelled", "test"], 15)}, "the unlabelled part is empty"),
        ({"part": np.repeat(["unlabelled", "test"], 15)}, "the labelled part is empty"),
        ({"part": np.repeat(["labelled", "unlabelled"], 15)}, "the test part is empty"),
        ({"labels": np.full(30, -1)}, "no row has a known class"),
        ({"labels": np.where(np.arange(30) == 4, -1, np.arange(30) % 3)}, "unknown class"),
        ({"labels": np.where(np.arange(30) > 20, -1, np.arange(30) % 2)}, "test part has no"),
        ({"labels": 1 + np.arange(30) % 2}, "no labelled row has class 0; number the classes"),
        ({"labels": np.where(np.arange(30) == 12, 7, np.arange(30) % 3)}, "class 7, of which D_l"),
        ({"groups": np.arange(30) % 4}, "group .* is in .* stay on one side"),
    ],
)
def test_bad_parts_are_refused(change: Content, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, given_parts() | change).problem(0)


def test_a_teachers_modality_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    task = replace(saved(tmp_path, content()), alpha="smell")
    with pytest.raises(
        ValueError, match=r"arrays\.alpha is 'smell'; the modalities are sound, image"
    ):
        task.problem(0)


class Trap:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "own.npz"
    arrays: Any = {**content(), "image": np.array([Trap(sprung)] * 30, dtype=object)}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"cannot be read as \.npz without objects"):
        read_arrays(path)
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match=r"cannot be read as \.npz"):
        read_arrays(path)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(kept: float, tmp_path: Path) -> None:
    saved(tmp_path, content())
    path = tmp_path / "own.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"own\.npz cannot be read as \.npz"):
        read_arrays(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    arrays: Any = content()
    np.savez_compressed(path, **arrays)
    whole = path.read_bytes()
    refused = 0
    for flipped in range(0, len(whole), 7):
        path.write_bytes(whole[:flipped] + bytes([whole[flipped] ^ 0xFF]) + whole[flipped + 1 :])
        try:
            found = read_arrays(path)
        except ValueError:
            refused += 1
            continue
        # Some bytes (a date, a name) mean nothing for the numbers; the numbers have to be right.
        assert all(np.array_equal(found[name], arrays[name]) for name in found)
    assert refused > 100


def test_an_array_alone_is_no_npz(tmp_path: Path) -> None:
    with (tmp_path / "own.npz").open("wb") as file:
        np.save(file, content()["sound"])
    with pytest.raises(ValueError, match=r"cannot be read as \.npz"):
        read_arrays(tmp_path / "own.npz")


KNOWN = np.array(["b", "?", "a", "?", "b"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (KNOWN, r"numbers\[known\] = np.unique\(labels\[known\]"),
        (np.array([0.0, np.nan, 1.0]), r"np.where\(np.isnan\(labels\), -1, labels\).astype\(int\)"),
        (np.zeros((3, 1), dtype=int), r"labels\[:, 0\]"),
        (np.zeros((3, 4)), r"scores.argmax\(1\)"),
    ],
)
def test_labels_of_another_kind_have_a_remedy_of_their_own(
    labels: np.ndarray, message: str, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=(len(labels), 2))
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, {"audio": x, "image": x, "labels": labels}).problem(0)


def test_the_remedy_numbers_classes_and_keeps_the_unknown() -> None:
    assert array_reading.NUMBERED.count(";") == 1
    scope = {"np": np, "labels": KNOWN, "known": KNOWN != "?"}
    exec(array_reading.NUMBERED, scope)
    assert np.asarray(scope["numbers"]).tolist() == [1, -1, 0, -1, 1]
