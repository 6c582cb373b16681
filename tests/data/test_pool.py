"""Pools and problems refuse what training could not survive, and say who is where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.data.pool import Batch, Pool, is_present, join, refuse_bad_values
from mke_theory.data.problem import Problem, refuse_shared_groups

NAN, INF = float("nan"), float("inf")


def pool(n: int = 4, start: float = 0.0, groups: list[Any] | None = None) -> Pool:
    """Modalities a [n, 2] and b [n, 1, 2], all numbers different; labels 0, 1, 0, …"""
    numbers = start + torch.arange(4.0 * n).reshape(n, 4)
    return Pool(
        {"a": numbers[:, :2], "b": numbers[:, None, 2:]},
        torch.arange(n) % 2,
        None if groups is None else np.array(groups),
    )


def problem(**changes: Any) -> Problem:
    parts = {
        "labelled": pool(start=0).only(["a"]),
        "unlabelled": pool(6, start=100),
        "test": pool(start=200),
    }
    return Problem.of(**{"teacher_modalities": ("a",), "classes": 2, **parts, **changes})


# --- Pool ----------------------------------------------------------------------------------------


def test_a_pool_is_read_by_rows() -> None:
    whole = pool(groups=["u", "v", "v", "w"])
    assert len(whole) == 4
    assert whole.modalities == ("a", "b")
    batch = whole[torch.tensor([2, 0])]
    assert len(batch) == 2
    assert batch.inputs["a"].tolist() == [[8, 9], [0, 1]]
    assert batch.inputs["b"].tolist() == [[[10, 11]], [[2, 3]]]
    assert batch.target.tolist() == [0, 0]
    assert whole[1:3].inputs["a"].tolist() == [[4, 5], [8, 9]]


@pytest.mark.parametrize(
    "index", [np.array([3, 1]), torch.tensor([3, 1]), np.array([False, True, False, True])]
)
def test_rows_keep_inputs_labels_and_groups_together(index: np.ndarray | Tensor) -> None:
    some = pool(groups=["u", "v", "w", "x"]).rows(index)
    assert some.groups is not None
    in_order = zip(some.inputs["a"][:, 0].tolist(), some.groups.tolist(), strict=True)
    assert set(in_order) == {(12, "x"), (4, "v")}
    assert some.labels.tolist() == [1, 1]
    assert pool().rows(index).groups is None


def test_a_pool_without_rows_is_refused_by_rows_too() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        pool().rows(np.flatnonzero(np.zeros(4)))


def test_only_and_with_labels_keep_the_rest() -> None:
    whole = pool(groups=[1, 2, 3, 4])
    seen = whole.only(["b"])
    assert seen.modalities == ("b",)
    assert seen.groups is whole.groups
    assert whole.only(["b", "a"]).modalities == ("b", "a")
    other = whole.with_labels(torch.tensor([1, 1, 1, -1]))
    assert other.labels.tolist() == [1, 1, 1, -1]
    assert other.inputs is whole.inputs
    with pytest.raises(ValueError, match=r"no modality \['c'\]; this pool has \['a', 'b'\]"):
        whole.only(["a", "c"])


def test_a_batch_moves_as_a_whole() -> None:
    batch = pool()[0:2]
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    assert {x.device.type for x in [*moved.inputs.values(), moved.target]} == {"meta"}
    assert batch.target.device.type == "cpu"


def changed_entry(value: float) -> Tensor:
    x = torch.zeros(3, 2)
    x[1, 1] = value
    return x


THREE = torch.tensor([0, 1, 0])


@pytest.mark.parametrize(
    ("inputs", "labels", "groups", "message"),
    [
        ({}, THREE, None, "at least one modality"),
        ({"a": torch.zeros(0, 2)}, torch.zeros(0), None, "at least one sample"),
        ({"a": torch.zeros(2, 2)}, THREE, None, "'a' has 2 samples but there are 3 labels"),
        ({"a": torch.zeros(3), "b": torch.zeros(4)}, THREE, None, "'b' has 4 samples"),
        ({"a": torch.zeros(3, 2, dtype=torch.long)}, THREE, None, "'a' is torch.int64"),
        ({"a": torch.zeros(3, 0)}, THREE, None, r"'a' has shape \(3, 0\)"),
        ({"a": changed_entry(INF)}, THREE, None, "'a' has an infinite value in sample 1"),
        ({"a": changed_entry(-INF)}, THREE, None, "'a' has an infinite value in sample 1"),
        ({"a": changed_entry(NAN)}, THREE, None, "'a' has NaN in sample 1; fill it in"),
        ({"a": torch.zeros(3)}, THREE, np.array([1, 2]), r"groups has shape \(2,\); 3 labels"),
        ({"a": torch.zeros(3)}, THREE, np.zeros((3, 2)), r"groups has shape \(3, 2\)"),
    ],
)
def test_pool_refuses(
    inputs: dict[str, Tensor], labels: Tensor, groups: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Pool(inputs, labels, groups)


def test_a_missing_modality_is_nan_throughout() -> None:
    x = torch.tensor([[[1.0, 2.0]], [[NAN, NAN]], [[0.0, 0.0]]])
    refuse_bad_values("x", x)
    assert is_present(x).tolist() == [True, False, True]
    assert is_present(torch.tensor([NAN, 3.0])).tolist() == [False, True]
    assert len(Pool({"x": x}, THREE)) == 3


# --- join ----------------------------------------------------------------------------------------


def test_join_puts_one_pool_after_the_other() -> None:
    first, second = pool(2, groups=["u", "v"]), pool(3, start=50, groups=[1, 2, 2])
    # The order in which a pool names its modalities does not matter.
    joined = join(first, second.only(["b", "a"]))
    assert joined.modalities == ("a", "b")
    assert joined.inputs["a"][:, 0].tolist() == [0, 4, 50, 54, 58]
    assert joined.labels.tolist() == [0, 1, 0, 1, 0]
    assert joined.groups is not None
    assert joined.groups.tolist() == ["u", "v", 1, 2, 2]
    assert join(first, pool(3)).groups is None
    with pytest.raises(ValueError, match=r"modalities \['a', 'b'\] and \['a'\]"):
        join(first, second.only(["a"]))


# --- Problem -------------------------------------------------------------------------------------


def test_the_teachers_modality_comes_first() -> None:
    assert problem().modalities == ("a", "b")
    other = problem(labelled=pool().only(["b"]), teacher_modalities=("b",))
    assert other.modalities == ("b", "a")


def test_unknown_labels_are_allowed_where_nobody_learns_from_them() -> None:
    unknown = torch.full((6,), -1)
    problem(unlabelled=pool(6, start=100).with_labels(unknown), heldout=pool(6, start=300))
    partly = pool(start=200).with_labels(torch.tensor([-1, 0, 1, -1]))
    assert len(problem(test=partly).test) == 4


def test_dense_and_multilabel_targets_are_allowed() -> None:
    dense = torch.randint(0, 2, (4, 3, 3))
    dense[0, 0] = torch.tensor([0, 1, 1])
    problem(labelled=pool().with_labels(dense), test=pool(start=9).with_labels(dense))
    shares = torch.tensor([[0.0, 1.0], [0.5, 0.2], [1.0, 1.0], [0.0, 0.0]])
    problem(labelled=pool().with_labels(shares), test=pool(start=9).with_labels(shares))


def labels(*values: float) -> Callable[[Pool], Pool]:
    return lambda pool: pool.with_labels(torch.tensor(values))


@pytest.mark.parametrize("part", ["labelled", "test", "heldout", "validation"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (labels(0, 1, 2, 0), "labels of {part} run from 0 to 2; allowed are 0 to 1, and -1"),
        (labels(0, 1, -2, 0), "labels of {part} run from -2 to 1"),
        (labels(0.0, 1.0, -1.5, 0.0), "labels of {part} run from -1.5 to 1"),
        (labels(0.0, 1.0, NAN, 0.0), "labels of {part} run from nan to nan"),
    ],
)
def test_labels_outside_the_classes_are_refused(
    part: str, change: Callable[[Pool], Pool], message: str
) -> None:
    with pytest.raises(ValueError, match=message.format(part=part)):
        problem(**{part: change(pool(start=400))})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "classes must be at least 2; got 1"),
        ({"labelled": labels(-1, -1, -1, -1)(pool())}, "labelled part has no known label"),
        ({"test": labels(-1, -1, -1, -1)(pool())}, "test part has no known label"),
        ({"labelled": labels(0, 1, -1, 1)(pool())}, "labelled part has samples of unknown class"),
        ({"labelled": labels(1, 1, 1, 1)(pool())}, "class 1 alone; a teacher needs at least two"),
        ({"teacher_modalities": ("b",)}, r"labelled part lacks the teacher's modality \['b'\]"),
        ({"unlabelled": pool().only(["b"])}, r"unlabelled part lacks .* modality \['a'\]"),
        ({"test": pool().only(["b"])}, r"test part lacks the teacher's modality \['a'\]"),
    ],
)
def test_problem_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        problem(**changes)


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["labelled", "unlabelled", "heldout", "validation"])
def test_split_groups_overlap_raises(part: str) -> None:
    test = pool(start=200, groups=["actor 1", "actor 2", "actor 2", "actor 1"])
    near = pool(start=0, groups=["actor 3", "actor 4", "actor 2", "actor 3"])
    with pytest.raises(ValueError, match="group 'actor 2' is in test and in training"):
        problem(test=test, **{part: near})
    apart = replace(near, groups=np.array(["actor 3", "actor 4", "actor 5", "actor 3"]))
    problem(test=test, **{part: apart})


def test_training_parts_may_share_groups() -> None:
    same = ["writer 1", "writer 2", "writer 1", "writer 2"]
    problem(labelled=pool(groups=same), unlabelled=pool(start=100, groups=same))


def test_groups_of_any_number_of_parts_are_kept_apart() -> None:
    one, two, three = (pool(groups=[i, i, i, i + 1]) for i in (0, 10, 20))
    refuse_shared_groups({"train": one, "validation": (two, None), "test": [three, pool()]})
    with pytest.raises(ValueError, match=r"group 1[01] is in validation and in test"):
        refuse_shared_groups({"train": one, "validation": (None, two), "test": [three, two]})


def test_an_audio_only_copy_stays_with_its_clip() -> None:
    # RAVDESS: the same take exists as audio-video and as audio alone. Groups without the modality
    # in them catch a copy on the other side; file names would not.
    takes = np.array([f"{actor}-{take}" for actor in (1, 2) for take in (1, 2)])
    clips, copies = replace(pool(), groups=takes), replace(pool().only(["a"]), groups=takes)
    with pytest.raises(ValueError, match="stay on one side"):
        refuse_shared_groups({"training": clips, "test": copies})


# --- split_hash ----------------------------------------------------------------------------------


def test_the_split_hash_is_stable() -> None:
    # A golden number: a change here makes every recorded split look like another one.
    assert problem().split_hash == problem().split_hash == "d189dd005734a93b"
    # Neither the order of the modalities nor the layout in memory matters.
    assert problem(test=pool(start=200).only(["b", "a"])).split_hash == problem().split_hash
    strided = pool(start=200)
    strided = replace(strided, inputs={n: x.mT.contiguous().mT for n, x in strided.inputs.items()})
    assert problem(test=strided).split_hash == problem().split_hash


def test_the_split_hash_changes_with_any_part() -> None:
    moved = pool(6, start=100).rows(np.array([1, 0, 2, 3, 4, 5]))
    relabelled = pool(start=200).with_labels(torch.tensor([0, 1, 1, 1]))
    hashes = [
        problem(**changes).split_hash
        for changes in (
            {},
            {"labelled": pool(start=1).only(["a"])},
            {"labelled": pool(start=0)},
            {"unlabelled": moved},
            {"unlabelled": pool(5, start=100)},
            {"test": relabelled},
            {"test": pool(start=201)},
            {"heldout": pool(start=300)},
            {"validation": pool(start=300)},
            {"heldout": pool(start=300), "validation": pool(start=400)},
            {"heldout": pool(start=400), "validation": pool(start=300)},
        )
    ]
    assert len(set(hashes)) == len(hashes)


def test_what_is_no_tensor_is_refused_by_name() -> None:
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(TypeError, match="a is a ndarray"):
        Pool({"a": np.zeros((2, 1))}, labels)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="labels is a list"):
        Pool({"a": torch.zeros(2, 1)}, [0, 1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="groups is a list"):
        Pool({"a": torch.zeros(2, 1)}, labels, ["x", "y"])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [2.0, -0.5])
def test_an_answer_to_a_question_is_no_class_number(wrong: float) -> None:
    fine = Pool({"a": torch.zeros(2, 1)}, torch.tensor([[0.0, 1.0, 0.25], [1.0, -1.0, 0.0]]))
    Problem.of(fine, fine, fine, ("a",), 3)
    bad = fine.with_labels(torch.tensor([[0.0, 1.0, 0.0], [1.0, wrong, 0.0]]))
    with pytest.raises(ValueError, match=rf"test hold {wrong}.*\[0, 1\]"):
        Problem.of(fine, fine, bad, ("a",), 3)
