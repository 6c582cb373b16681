"""Pseudo labels by hand, and the truth in their form."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mke_theory.data.pool import UNKNOWN
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.pseudo_labels import PseudoLabels, as_classes, as_target, decide, label

LN3 = math.log(3.0)
ln = math.log
# Class 1 with probability 3/4, and with 1/2 (a tie, which the first class wins).
TEACHER = torch.tensor([[0.0, LN3], [0.0, 0.0]], dtype=torch.float64)


def test_decisions_by_hand() -> None:
    assert decide(torch.tensor([[0.1, 0.3, 0.2], [5.0, 1.0, 1.0]])).tolist() == [1, 0]
    assert decide(torch.tensor([[0.0, -0.1, 2.0]]), multilabel=True).tolist() == [[1, 0, 1]]
    assert decide(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5)


def test_pseudo_labels_by_hand() -> None:
    hard = label(TEACHER, Objective())
    assert (hard.hard.tolist(), hard.target.tolist(), hard.classes) == ([1, 0], [1, 0], 2)
    assert hard.confidence.tolist() == pytest.approx([0.75, 0.5])
    soft = label(TEACHER, Objective(pseudo_labels=PseudoLabelTerm(kind="soft")))
    assert soft.target.flatten().tolist() == pytest.approx([0.25, 0.75, 0.5, 0.5])
    warm = label(
        2 * TEACHER, Objective(pseudo_labels=PseudoLabelTerm(kind="soft", temperature=2.0))
    )
    assert warm.target.flatten().tolist() == pytest.approx([0.25, 0.75, 0.5, 0.5])
    assert warm.confidence.tolist() == pytest.approx([0.75, 0.5])


def test_a_threshold_leaves_out_what_is_less_sure() -> None:
    hard = label(TEACHER, Objective(pseudo_labels=PseudoLabelTerm(threshold=0.6)))
    assert hard.target.tolist() == [1, UNKNOWN]
    assert hard.hard.tolist() == [1, 0]  # the account still hears what the teacher said
    soft = label(TEACHER, Objective(pseudo_labels=PseudoLabelTerm(kind="soft", threshold=0.6)))
    assert soft.target.flatten().tolist() == pytest.approx([0.25, 0.75, 0.0, 0.0])
    # A confidence that equals the threshold is enough.
    assert label(
        TEACHER[1:], Objective(pseudo_labels=PseudoLabelTerm(threshold=0.5))
    ).target.tolist() == [0]


def test_multi_label_pseudo_labels_by_hand() -> None:
    logits = torch.tensor([[LN3, -LN3, 0.0]], dtype=torch.float64)
    hard = label(logits, Objective(multilabel=True, pseudo_labels=PseudoLabelTerm(threshold=0.6)))
    assert (hard.hard.tolist(), hard.target.tolist()) == ([[1, 0, 1]], [[1, 0, UNKNOWN]])
    assert hard.confidence.flatten().tolist() == pytest.approx([0.75, 0.75, 0.5])
    assert hard.classes == 2
    soft = label(
        logits,
        Objective(multilabel=True, pseudo_labels=PseudoLabelTerm(kind="soft", threshold=0.6)),
    )
    assert soft.target[0, :2].tolist() == pytest.approx([0.75, 0.25])
    assert math.isnan(soft.target[0, 2])


def test_dense_pseudo_labels_by_hand() -> None:
    logits = TEACHER.T[None, :, None, :]  # one image of 1 × 2 pixels
    found = label(logits, Objective(pseudo_labels=PseudoLabelTerm(threshold=0.6)))
    assert (found.hard.tolist(), found.target.tolist()) == ([[[1, 0]]], [[[1, UNKNOWN]]])
    soft = label(logits, Objective(pseudo_labels=PseudoLabelTerm(kind="soft", threshold=0.6)))
    assert soft.target.flatten().tolist() == pytest.approx([0.25, 0.0, 0.75, 0.0])


def pseudo(target: Tensor, hard: Tensor, classes: int) -> PseudoLabels:
    return PseudoLabels(target, hard, torch.ones(hard.shape), classes)


def test_truth_in_the_form_of_hard_labels() -> None:
    like = pseudo(torch.tensor([2]), torch.tensor([2]), 3)
    assert as_target(torch.tensor([0, 2, UNKNOWN]), like).tolist() == [0, 2, UNKNOWN]


def test_truth_in_the_form_of_soft_labels() -> None:
    like = pseudo(torch.ones(1, 3) / 3, torch.tensor([2]), 3)
    found = as_target(torch.tensor([2, 0, UNKNOWN]), like)
    assert found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert found.dtype == torch.float32
    sure = torch.tensor([[0.5, 0.25, 0.25]])
    assert torch.equal(as_target(sure, like), sure)
    dense = pseudo(torch.ones(1, 3, 1, 2) / 3, torch.zeros(1, 1, 2, dtype=torch.long), 3)
    assert as_target(torch.tensor([[[1, UNKNOWN]]]), dense).tolist() == [
        [[[0, 0]], [[1, 0]], [[0, 0]]]
    ]


@pytest.mark.parametrize("truth", [[[1, 0, -1]], [[1.0, 0.0, -1.0]]])
def test_truth_in_the_form_of_multi_label_targets(truth: Any) -> None:
    hard = torch.tensor([[0, 1, 1]])
    found = as_target(torch.tensor(truth), pseudo(hard, hard, 2))
    assert found.tolist() == [[1, 0, UNKNOWN]] and not found.is_floating_point()
    soft = as_target(torch.tensor(truth), pseudo(hard.float(), hard, 2))
    assert soft[0, :2].tolist() == [1.0, 0.0] and math.isnan(soft[0, 2])


def test_classes_of_targets() -> None:
    single = pseudo(torch.tensor([0]), torch.tensor([0]), 3)
    assert as_classes(torch.tensor([2, UNKNOWN]), single).tolist() == [2, UNKNOWN]
    assert as_classes(torch.tensor([[0.2, 0.5, 0.3]]), single).tolist() == [1]
    many = pseudo(torch.tensor([[0, 1]]), torch.tensor([[0, 1]]), 2)
    assert as_classes(torch.tensor([[0.5, -1.0]]), many).tolist() == [[1, UNKNOWN]]
