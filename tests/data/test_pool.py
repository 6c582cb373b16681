"""Pools refuse what training could not survive, and are read by rows and modalities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.data.pool import Batch, Pool, is_present, join, refuse_bad_values

NAN, INF = float("nan"), float("inf")


def pool(n: int = 4, start: float = 0.0, groups: list[Any] | None = None) -> Pool:
    """Modalities a [n, 2] and b [n, 1, 2], all numbers different; labels 0, 1, 0, …"""
    numbers = start + torch.arange(4.0 * n).reshape(n, 4)
    return Pool(
        {"a": numbers[:, :2], "b": numbers[:, None, 2:]},
        torch.arange(n) % 2,
        None if groups is None else np.array(groups),
    )


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


def test_what_is_no_tensor_is_refused_by_name() -> None:
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(TypeError, match="a is a ndarray"):
        Pool({"a": np.zeros((2, 1))}, labels)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="labels is a list"):
        Pool({"a": torch.zeros(2, 1)}, [0, 1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="groups is a list"):
        Pool({"a": torch.zeros(2, 1)}, labels, ["x", "y"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "groups",
    [
        np.array([1.0, np.nan, 2.0]),
        np.array(["a", "", "b"]),
        np.array(["a", "nan", "b"]),
        np.array(["a", None, 3], dtype=object),
        np.array([5, -1, 7]),
        np.array(["2020-01-01", "NaT", "2020-01-02"], dtype="M8[D]"),
    ],
)
def test_a_missing_group_is_refused_with_its_sample(groups: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no id in 1 of 3 samples, such as sample 1"):
        Pool({"a": torch.zeros(3, 1)}, torch.zeros(3, dtype=torch.long), groups)


@pytest.mark.parametrize("groups", [np.array([0, 1, 2]), np.array(["-1", "x", "0"])])
def test_groups_that_are_there_are_taken(groups: np.ndarray) -> None:
    assert Pool({"a": torch.zeros(3, 1)}, torch.zeros(3, dtype=torch.long), groups).groups is groups


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 255, 1], dtype=torch.uint8), "have class 255, which is what -1"),
        (torch.tensor([0, -100, 1]), r"labels have -100; .*clamp\(min=-1\)"),
    ],
)
def test_labels_that_lost_their_meaning_are_refused(labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pool({"a": torch.zeros(3, 1)}, labels)


def test_255_is_a_class_where_254_is_one_too() -> None:
    labels = torch.tensor([254, 255, 0], dtype=torch.uint8)
    assert Pool({"a": torch.zeros(3, 1)}, labels)[:].target.tolist() == [254, 255, 0]
