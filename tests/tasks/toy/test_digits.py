"""scikit-learn's digits, cut in halves and split by class."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mke_theory.tasks.toy import Digits
from tests.tasks.toy.own_arrays import sizes


def test_digits_are_split_by_class() -> None:
    problem = Digits().problem(0)
    assert sizes(problem) == [60, 1197, 540]
    assert torch.bincount(problem.labelled.labels).tolist() == [6] * 10
    share = torch.bincount(problem.test.labels) / torch.bincount(torch.tensor(load_digits().target))
    np.testing.assert_allclose(share, 0.3, atol=0.005)
    few = Digits(labels_per_class=3).problem(0)
    assert torch.bincount(few.labelled.labels).tolist() == [3] * 10


def test_digits_halves_are_those_of_the_image() -> None:
    problem = Digits().problem(0)
    halves = (problem.test.inputs[name] for name in problem.modalities)
    whole = torch.cat(list(halves), dim=2)
    assert problem.modalities == ("left", "right") and whole.shape == (540, 8, 8)
    # Scaling is one straight line for all pixels: brightest and darkest give it away.
    pixels = 16 * (whole - whole.min()) / (whole.max() - whole.min())
    found = Counter(image.tobytes() for image in pixels.round().numpy().astype(np.uint8))
    there = Counter(image.tobytes() for image in load_digits().images.astype(np.uint8))
    assert found <= there


@pytest.mark.parametrize("count", [0, -1, 100_000])
def test_more_or_fewer_labels_than_there_are_digits_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"labels_per_class is {count}; allowed are 1 to 124"):
        Digits(labels_per_class=count).problem(0)
