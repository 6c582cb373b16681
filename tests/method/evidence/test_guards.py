"""The guards on draws whose answer is known. Seeds are fixed: a level beside a test is its own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mke_theory.method.evidence.arithmetic import evidence_of, pair_likelihood
from mke_theory.method.evidence.guards import (
    DOUBLED,
    SHARED,
    USEFUL,
    Redundancy,
    redundancy,
    usefulness,
)

HALVES = torch.tensor([0.5, 0.5], dtype=torch.float64)


def two_classes(x: Tensor, signal: float) -> Tensor:
    """Log p(y | x) [n, 2] where x ~ N(±signal, 1), the classes being equally frequent."""
    return torch.log_softmax(torch.stack([-signal * x, signal * x], dim=1), dim=1)


def evidence(log_p: Tensor, folds: Tensor) -> Tensor:
    return evidence_of(log_p, HALVES.log(), 1.0, folds, torch.ones(len(log_p)).bool()).values


def pairs(n: int, seed: int, *, second: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """y [n] and x_1, x_2 ~ N(±1, 1) and N(±second, 1), independent given y."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=draw)
    sign = 2.0 * y.double() - 1
    noise = torch.randn(2, n, generator=draw, dtype=torch.float64)
    return y, sign + noise[0], second * sign + noise[1]


# --- usefulness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 5])
def test_usefulness_is_about_standard_normal_where_a_modality_says_nothing(k: int) -> None:
    draw = torch.Generator().manual_seed(k)
    z = []
    for _ in range(2000):
        answers = torch.softmax(2 * torch.randn(100, k, generator=draw, dtype=torch.float64), 1)
        z.append(usefulness(answers, torch.randn(100, k, generator=draw, dtype=torch.float64)))
    found = torch.tensor(z)
    # 2,000 draws: a normal z is above 2 in 45.5 of them, within 4 standard errors 18.8 to 72.2 (a
    # false alarm in 1 of 16,000), and has mean 0 within 4/√2000.
    for tail in (found > USEFUL, found < -USEFUL):
        assert 19 <= int(tail.sum()) <= 72
    assert abs(float(found.mean())) < 4 / math.sqrt(2000)
    assert float(found.std()) == pytest.approx(1.0, abs=4 / math.sqrt(4000))


def test_usefulness_finds_a_modality_that_says_something() -> None:
    # With x_2 ~ N(±0.5, 1), of 100 samples, at least 90% of 200 draws are above the threshold.
    found = []
    for seed in range(200):
        _, first, second = pairs(100, seed, second=0.5)
        answers, folds = two_classes(first, 1.0).exp(), torch.zeros(100, dtype=torch.long)
        found.append(usefulness(answers, evidence(two_classes(second, 0.5), folds)))
    assert sum(z >= USEFUL for z in found) >= 180


def test_usefulness_is_negative_where_a_modality_speaks_against_the_teacher() -> None:
    _, first, second = pairs(200, 0)
    answers, folds = two_classes(first, 1.0).exp(), torch.zeros(200, dtype=torch.long)
    assert usefulness(answers, evidence(two_classes(-second, 1.0), folds)) < -USEFUL


@pytest.mark.filterwarnings("error")
def test_usefulness_of_nothing_is_0() -> None:
    for n in (0, 1):
        assert usefulness(HALVES.expand(n, 2), torch.zeros(n, 2, dtype=torch.float64)) == 0.0
    answers = torch.rand(10, 2, dtype=torch.float64)
    assert usefulness(answers, torch.zeros(10, 2, dtype=torch.float64)) == 0.0
    assert usefulness(HALVES.expand(10, 2), answers) == 0.0


def test_usefulness_by_hand() -> None:
    # Scores are 2 · (±0.5)(±1) = 1, 1, 1, −1 about means of 0: mean 0.5, sd 1, times √4.
    answers = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]], dtype=torch.float64)
    values = torch.tensor([[1.0, -1], [-1, 1], [1, -1], [-1, 1]], dtype=torch.float64)
    values[3] *= -1
    centred = values - values.mean(0)
    scores = ((answers - 0.5) * centred).sum(1)
    expected = float(scores.mean() / scores.std()) * 2
    assert usefulness(answers, values) == pytest.approx(expected)
    assert scores.tolist() == [0.5, 1.5, 0.5, -0.5] and expected == pytest.approx(1.2247, abs=1e-4)


# --- redundancy ----------------------------------------------------------------------------------


def redundancy_of(first: Tensor, second: Tensor, *, seed: int = 0) -> Redundancy:
    """The redundancy of the evidence of the second, foretold from the first."""
    folds = torch.arange(len(first)) % 2
    log_p = two_classes(first, 1.0)
    others, values = evidence(log_p, folds), evidence(two_classes(second, 1.0), folds)
    likelihood = float(pair_likelihood([values, others], HALVES.log()).mean())
    return redundancy(
        values, others, [log_p], HALVES.log(), folds, likelihood=likelihood, seed=seed
    )


def test_redundancy_is_about_0_where_modalities_are_independent_given_the_class() -> None:
    found = [redundancy_of(*pairs(300, seed)[1:]) for seed in range(50)]
    shared = torch.tensor([one.shared for one in found])
    # 50 draws of 300: the mean is 0 within 0.02, and none is called redundant.
    assert abs(float(shared.mean())) < 0.02 and float(shared.max()) < SHARED
    assert not any(one.refuted for one in found)


def test_redundancy_of_a_copy_is_large() -> None:
    for seed in range(10):
        _, first, _ = pairs(300, seed)
        found = redundancy_of(first, first)
        assert found.shared > 0.8 and found.ratio > DOUBLED and found.refuted


def test_redundancy_of_noise_in_common_lies_between() -> None:
    y, first, second = pairs(2000, 5)
    sign = 2.0 * y.double() - 1
    common = first - sign
    # Given y the correlation is 0.6, so 0.36 of the spread can be foretold where y is known; the
    # posterior knows it in part.
    mixed = sign + 0.6 * common + 0.8 * (second - sign)
    assert 0.15 < redundancy_of(first, mixed).shared < 0.5


def test_predictors_are_standardised_in_every_fold() -> None:
    _, first, second = pairs(400, 1)
    folds = torch.arange(400) % 2
    log_p, other = two_classes(first, 1.0), two_classes(second, 1.0)
    given = (evidence(other, folds), evidence(log_p, folds))

    def found(predictor: Tensor) -> Redundancy:
        return redundancy(*given, [predictor], HALVES.log(), folds, likelihood=0.2, seed=0)

    # One fold's model is three times as sure, and both have an offset of their own.
    scale = torch.where(folds == 0, 1.0, 3.0)[:, None].double()
    offset = torch.where(folds == 0, 0.5, -2.0).double()
    moved = scale * log_p + torch.stack([offset, -offset], dim=1)
    assert found(moved).shared == pytest.approx(found(log_p).shared, abs=1e-6)


def test_redundancy_follows_from_the_seed() -> None:
    _, first, second = pairs(100, 2)
    assert redundancy_of(first, second, seed=1) == redundancy_of(first, second, seed=1)
    assert redundancy_of(first, second, seed=1) != redundancy_of(first, second, seed=2)


def test_redundancy_is_finite_where_a_class_has_no_mass_or_nothing_varies() -> None:
    n = 40
    folds, log_prior = torch.arange(n) % 2, torch.full((3,), 1 / 3, dtype=torch.float64).log()
    draw = torch.Generator().manual_seed(0)
    values, other = torch.randn(2, n, 3, generator=draw, dtype=torch.float64)
    never = values.clone()
    never[:, 2] = -2000.0  # exp(-2000) is 0 in double precision
    constant, zero = log_prior.expand(n, 3), torch.zeros(n, 3).double()
    for own, predictor in ((never, other), (values, constant), (zero, zero)):
        found = redundancy(
            own, torch.zeros_like(own), [predictor], log_prior, folds, likelihood=0.1, seed=0
        )
        assert math.isfinite(found.shared) and math.isfinite(found.ratio) and not found.refuted


def test_refuted_needs_both() -> None:
    assert Redundancy(SHARED + 0.01, DOUBLED + 0.01).refuted
    assert not Redundancy(SHARED + 0.01, DOUBLED).refuted
    assert not Redundancy(SHARED, DOUBLED + 0.01).refuted
