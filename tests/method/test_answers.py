"""A teacher known by its answers: what they may be, and Algorithm 1 by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.method.answers import Answers


def test_answers_are_logits() -> None:
    given = Answers(torch.zeros(3, 2), torch.ones(1, 2))
    assert given.unlabelled.shape == (3, 2)
    p = np.array([[0.2, 0.8], [1.0, 0.0]])
    found = Answers.of_probabilities(p, torch.tensor([[0.5, 0.5]]))
    again = torch.softmax(found.unlabelled, 1)
    torch.testing.assert_close(again, torch.from_numpy(p), atol=2e-6, rtol=0)
    assert found.labelled is not None and bool(torch.isfinite(found.unlabelled).all())
    assert Answers.of_probabilities(p).labelled is None


@pytest.mark.parametrize(
    ("unlabelled", "labelled", "message"),
    [
        (torch.zeros(3), None, r"unlabelled answers are \(3,\)"),
        (torch.zeros(3, 0), None, r"\[n, q\] for questions"),
        (torch.tensor([[0.2, 0.8]]), None, r"probabilities of classes; Answers takes logits"),
        (torch.zeros(3, 2, 4), None, r"have to be \[n, k\], or \[n, k, h, w\] for pixels, or"),
        (torch.tensor([[0.0, torch.nan]]), None, "unlabelled answers hold a number that is not"),
        (torch.zeros(3, 2), torch.tensor([[0.0, torch.inf]]), "labelled answers hold"),
        (torch.zeros(3, 2), torch.zeros(3, 3), "but for n they have to be equal"),
    ],
)
def test_answers_that_are_refused(unlabelled: Tensor, labelled: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Answers(unlabelled, labelled)


def test_answers_have_to_be_tensors() -> None:
    with pytest.raises(TypeError, match="unlabelled answers are a ndarray"):
        Answers(np.zeros((3, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "p", [[[0.5, 0.6]], [[1.5, -0.5]], [0.5, 0.5], [[np.nan, 1.0]], [[2.0, -3.0]]]
)
def test_probabilities_that_are_refused(p: Any) -> None:
    with pytest.raises(ValueError, match=r"probabilities are|not finite"):
        Answers.of_probabilities(np.array(p))
