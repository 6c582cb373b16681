"""A placebo changes what its name says, and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import Tensor

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Truth
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.study.placebos import certain, matching_width, random_errors, shuffle_pairs


def labelled(hard: Tensor, classes: int) -> PseudoLabels:
    return PseudoLabels(hard, hard, torch.full(hard.shape, 0.7), classes)


@given(
    n=st.integers(1, 40),
    classes=st.integers(2, 5),
    seed=st.integers(0, 2**40),
    share=st.floats(0, 1),
)
def test_random_errors_are_as_many_as_the_teachers(
    n: int, classes: int, seed: int, share: float
) -> None:
    draw = np.random.default_rng(seed)
    truth = torch.from_numpy(draw.integers(0, classes, n))
    wrong = torch.from_numpy(draw.random(n) < share)
    hard = torch.where(wrong, (truth + 1) % classes, truth)
    before = truth.clone(), hard.clone()
    like = labelled(hard, classes)
    flipped = random_errors(Truth(truth), like, seed)
    assert int((flipped != truth).sum()) == int(wrong.sum())
    assert flipped.shape == truth.shape and flipped.dtype == truth.dtype
    assert int(flipped.min()) >= 0 and int(flipped.max()) < classes
    assert torch.equal(flipped, random_errors(Truth(truth), like, seed))
    assert torch.equal(truth, before[0]) and torch.equal(hard, before[1])


def test_random_errors_fall_anywhere_and_on_any_other_class() -> None:
    # The teacher errs on the first 10 of 40 samples; the placebo on 10 of 40, 500 times.
    truth = torch.arange(40) % 4
    hard = torch.where(torch.arange(40) < 10, (truth + 1) % 4, truth)
    like = labelled(hard, 4)
    draws = torch.stack([random_errors(Truth(truth), like, seed) for seed in range(500)])
    wrong = draws != truth
    # Counts of places have variance 500 · p(1 − p) and sum to 5000, so Σ(o − e)²/var · 39/40 is χ²
    # with 39 degrees of freedom; each of the two tests rejects a true claim once in a million.
    count = wrong.sum(dim=0).double()
    places = float(((count - 125) ** 2).sum() / (500 * 0.25 * 0.75)) * 39 / 40
    assert chi2.sf(places, 39) > 1e-6
    step = ((draws - truth) % 4)[wrong]
    count = torch.bincount(step, minlength=4)[1:].double()
    assert chi2.sf(float(((count - 5000 / 3) ** 2 / (5000 / 3)).sum()), 2) > 1e-6


def test_random_errors_on_dense_labels_and_without_truth() -> None:
    truth = torch.zeros(2, 3, 4, dtype=torch.long)
    hard = truth.clone()
    hard[0, 1] = 2
    flipped = random_errors(Truth(truth), labelled(hard, 3), 0)
    assert flipped.shape == (2, 3, 4) and int((flipped != 0).sum()) == 4
    with pytest.raises(ValueError, match="needs the truth"):
        random_errors(Truth(truth - 1), labelled(hard, 3), 0)


def test_void_pixels_stay_void_and_have_no_errors() -> None:
    truth = torch.zeros(1, 3, 4, dtype=torch.int8)
    truth[0, 0] = UNKNOWN
    hard = torch.ones(1, 3, 4, dtype=torch.int8)
    hard[0, 2] = 0  # wrong on the four pixels of the middle row, and on no other known one
    found = random_errors(Truth(truth), labelled(hard, 3), 5)
    assert found.dtype == torch.int8 and bool((found[0, 0] == UNKNOWN).all())
    assert int((found[0, 1:] != 0).sum()) == 4


@pytest.mark.parametrize("form", ["hard", "soft"])
def test_given_labels_are_certain_and_void_ones_are_none(form: Any) -> None:
    hard = torch.tensor([0, 2, 1])
    target = hard if form == "hard" else torch.tensor([[0.8, 0.1, 0.1]] * 3)
    like = PseudoLabels(target, hard, torch.full((3,), 0.7), 3)
    found = certain(torch.tensor([2, UNKNOWN, 1]), like)
    expected = [2, UNKNOWN, 1] if form == "hard" else [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert found.target.tolist() == expected and found.target.dtype == target.dtype
    assert found.hard.tolist() == [2, 2, 1]  # where nothing is known, the teacher's
    assert found.confidence.tolist() == [1, 1, 1] and found.classes == 3


@given(n=st.integers(1, 30), seed=st.integers(0, 2**40))
def test_shuffling_keeps_alpha_and_moves_all_else_together(n: int, seed: int) -> None:
    row = torch.arange(float(n))
    inputs = {"a": row[:, None], "b": 100 + row[:, None], "c": (200 + row).reshape(n, 1, 1)}
    pool = Pool(inputs, torch.arange(n) % 3)
    found = shuffle_pairs(pool, ("a",), seed)
    assert torch.equal(found.inputs["a"], inputs["a"]) and torch.equal(found.labels, pool.labels)
    order = found.inputs["b"].flatten() - 100
    assert torch.equal(found.inputs["c"].flatten() - 200, order)
    assert sorted(order.tolist()) == row.tolist()
    assert found.modalities == pool.modalities and torch.equal(pool.inputs["b"], inputs["b"])


def test_every_partner_is_equally_likely() -> None:
    # 6 × 6 counts over 600 permutations, 100 each. Rows and columns have fixed sums: there are 25
    # degrees of freedom; their variances, 36 · 600 · 1/6 · 5/6 in all, are 120 in each direction.
    pool = Pool({"a": torch.zeros(6, 1), "b": torch.arange(6.0)[:, None]}, torch.zeros(6).long())
    count = Counter(
        (i, int(partner))
        for seed in range(600)
        for i, partner in enumerate(shuffle_pairs(pool, ("a",), seed).inputs["b"].flatten())
    )
    spread = sum((count[i, j] - 100) ** 2 for i in range(6) for j in range(6)) / 120
    assert chi2.sf(spread, 25) > 1e-6  # one false alarm in a million


@given(
    a=st.integers(0, 5),
    b=st.integers(1, 50),
    target=st.integers(0, 2_000),
    start=st.integers(1, 99),
)
def test_the_matching_width_is_the_nearest(a: int, b: int, target: int, start: int) -> None:
    def size(width: int) -> int:
        return a * width * width + b * width + 3

    best = min(abs(size(width) - target) for width in range(1, 2_001))
    assert abs(size(matching_width(size, target, start)) - target) == best
