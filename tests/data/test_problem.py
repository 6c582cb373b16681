"""Problems refuse a split that is none, and keep the truth of D_u apart from every pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem, Truth, hide, refuse_shared_groups

NAN = float("nan")


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


# --- Problem -------------------------------------------------------------------------------------


def test_the_teachers_modality_comes_first() -> None:
    assert problem().modalities == ("a", "b")
    other = problem(labelled=pool().only(["b"]), teacher_modalities=("b",))
    assert other.modalities == ("b", "a")


def test_unknown_labels_are_allowed_where_nobody_learns_from_them() -> None:
    unknown = torch.full((6,), -1)
    silent = problem(unlabelled=pool(6, start=100).with_labels(unknown))
    assert torch.equal(silent.truth.labels, unknown)
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


@pytest.mark.parametrize("part", ["labelled", "unlabelled", "test"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (labels(0, 1, 2, 0), "labels of {part} run from 0 to 2; allowed are 0 to 1, and -1"),
        (labels(0, 1, -2, 0), "labels have -2; they are whole numbers"),
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


# --- the truth of D_u ----------------------------------------------------------------------------


def test_a_problem_takes_the_truth_off_the_unlabelled_part() -> None:
    given = pool(6, start=100)
    made = problem(unlabelled=given)
    assert made.unlabelled.labels.tolist() == [-1] * 6
    assert made.truth.labels.tolist() == [0, 1, 0, 1, 0, 1] and len(made.truth) == 6
    assert made.unlabelled.inputs is given.inputs
    assert given.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_an_unlabelled_part_that_carries_a_label_is_refused() -> None:
    made = problem()
    for labels in ([0, 1, 0, 1, 0, 1], [-1, -1, -1, -1, -1, 0]):
        carrying = made.unlabelled.with_labels(torch.tensor(labels))
        with pytest.raises(ValueError, match=r"unlabelled part carries labels; .* Problem\.of"):
            replace(made, unlabelled=carrying)


def test_a_truth_of_other_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="the truth has 5 labels for 6 samples"):
        replace(problem(), truth=Truth(torch.zeros(5, dtype=torch.long)))


@pytest.mark.parametrize("kind", [torch.int64, torch.int8, torch.uint8, torch.float16])
def test_labels_of_every_type_can_be_hidden(kind: torch.dtype) -> None:
    labels = torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=kind)
    hidden, truth = hide(pool().with_labels(labels))
    assert hidden.labels.tolist() == [[-1, -1]] * 4
    assert torch.equal(truth.labels, labels) and truth.labels.dtype == kind
    assert hidden.labels.untyped_storage().nbytes() == hidden.labels.element_size()  # one number


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["labelled", "unlabelled"])
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
            {"unlabelled": pool(6, start=100).with_labels(torch.tensor([0, 1, 0, 1, 1, 1]))},
            {"test": relabelled},
            {"test": pool(start=201)},
        )
    ]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("wrong", [2.0, -0.5])
def test_an_answer_to_a_question_is_no_class_number(wrong: float) -> None:
    fine = Pool({"a": torch.zeros(2, 1)}, torch.tensor([[0.0, 1.0, 0.25], [1.0, -1.0, 0.0]]))
    Problem.of(fine, fine, fine, ("a",), 3)
    bad = fine.with_labels(torch.tensor([[0.0, 1.0, 0.0], [1.0, wrong, 0.0]]))
    with pytest.raises(ValueError, match=rf"test hold {wrong}.*\[0, 1\]"):
        Problem.of(fine, fine, bad, ("a",), 3)


def test_the_blind_problem_has_the_same_samples_and_no_truth() -> None:
    whole = problem()
    blind = whole.blind
    assert blind.unlabelled is whole.unlabelled and blind.labelled is whole.labelled
    assert len(blind.truth) == 6 and bool((blind.truth.labels == -1).all())
    assert whole.truth.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_the_truth_is_a_copy_of_the_labels() -> None:
    given = pool(4)
    _, truth = hide(given)
    before = truth.labels.clone()
    given.labels[:] = 1 - given.labels
    assert torch.equal(truth.labels, before)
