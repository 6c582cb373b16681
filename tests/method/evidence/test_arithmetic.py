"""Evidence and its sum, by hand and against worlds that are enumerated."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mke_theory.method.evidence.arithmetic import (
    EXPONENTS,
    as_answered,
    best_exponent,
    evidence_of,
    hard_confusion,
    pair_likelihood,
    posterior,
    prior_of,
    soft_confusion,
    surest,
    temperature_of,
)
from mke_theory.theory import evidence as exact

HALVES = torch.tensor([0.5, 0.5], dtype=torch.float64)
THREE = torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.2, 0.8]], dtype=torch.float64)
"""The probabilities of three samples, with mean (1/2, 1/2)."""


def whole(n: int) -> tuple[Tensor, Tensor]:
    """One fold in which nothing is missing."""
    return torch.zeros(n, dtype=torch.long), torch.ones(n, dtype=torch.bool)


def evidence(p: Tensor, prior: Tensor, exponent: float = 1.0) -> Tensor:
    return evidence_of(p.log(), prior.log(), exponent, *whole(len(p))).values


class Enumerated:
    """Every draw of (y, x_1, …, x_m) as often as it is likely, the x_i independent given y.

    Tables p(x_i | y) have quarters, π has (1/2, 1/4, 1/4).
    """

    tables = torch.tensor(
        [
            [[3, 1, 0], [1, 2, 1], [0, 1, 3]],
            [[2, 1, 1], [1, 3, 0], [1, 1, 2]],
            [[1, 1, 2], [2, 2, 0], [0, 3, 1]],
        ],
        dtype=torch.float64,
    )

    def __init__(self, modalities: int) -> None:
        self.m = modalities
        self.prior = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
        rows = []
        for y, x in product(range(3), product(range(3), repeat=modalities)):
            times = int(
                4 * self.prior[y] * math.prod(float(self.tables[i, y, x[i]]) for i in range(self.m))
            )
            rows += [(y, *x)] * times
        self.rows = torch.tensor(rows)

    def posterior(self, *chosen: int) -> Tensor:
        """The exact p(y | some modalities) of every row [n, 3]."""
        joint = self.prior * torch.stack(
            [self.tables[i][:, self.rows[:, 1 + i]].T / 4 for i in chosen]
        ).prod(0)
        return joint / joint.sum(1, keepdim=True)

    def evidence(self, i: int, exponent: float = 1.0) -> Tensor:
        """Of log probabilities that are −∞ in exact numbers, 1e-30 here."""
        return evidence(self.posterior(i).clamp(min=1e-30), self.prior, exponent)


# --- evidence ------------------------------------------------------------------------------------


def test_evidence_by_hand() -> None:
    values = evidence(THREE, HALVES).exp()
    torch.testing.assert_close(values, torch.tensor([[1.6, 0.4], [1, 1], [0.4, 1.6]]).double())
    # With exponent 2 it is 2.56, 1 and 0.16 over their mean, 1.24.
    found = evidence_of(THREE.log(), HALVES.log(), 2.0, *whole(3))
    squares = torch.tensor([[2.56, 0.16], [1, 1], [0.16, 2.56]]).double()
    torch.testing.assert_close(found.values.exp(), squares / 1.24)
    torch.testing.assert_close(found.offsets, torch.full((1, 2), math.log(1.24)).double())
    # p/π is 3.2, 2, 0.8 and 4/15, 2/3, 16/15 where π is (1/4, 3/4): the means are 2 and 2/3.
    quarter = torch.tensor([0.25, 0.75], dtype=torch.float64)
    torch.testing.assert_close(evidence(THREE, quarter).exp(), values)


@given(seed=st.integers(0, 10**6), k=st.sampled_from([2, 3, 7]), exponent=st.floats(0.05, 3.0))
def test_the_mean_is_1_in_every_fold_and_for_every_class(
    seed: int, k: int, exponent: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    log_p = torch.log_softmax(3 * torch.randn(40, k, generator=draw, dtype=torch.float64), 1)
    prior = torch.softmax(torch.randn(k, generator=draw, dtype=torch.float64), 0)
    folds = torch.arange(40) % 3
    present = torch.rand(40, generator=draw) < 0.8
    log_p[~present] = torch.nan  # what nobody reads
    found = evidence_of(log_p, prior.log(), exponent, folds, present)
    for fold in range(3):
        mean = found.values[(folds == fold) & present].exp().mean(0)
        torch.testing.assert_close(mean, torch.ones(k, dtype=torch.float64))
    assert not bool(found.values[~present].any())
    here = present & (folds == 1)
    again = exponent * (log_p - prior.log())[here] - found.offsets[1]
    torch.testing.assert_close(found.values[here], again)


def test_a_fold_that_lacks_the_modality_has_the_mean_offset_of_the_others() -> None:
    p = torch.cat([THREE, THREE, THREE])
    folds, present = torch.arange(9) // 3, torch.arange(9) < 6
    found = evidence_of(p.log(), HALVES.log(), 2.0, folds, present)
    torch.testing.assert_close(found.offsets, torch.full((3, 2), math.log(1.24)).double())
    nobody = evidence_of(p.log(), HALVES.log(), 2.0, folds, torch.zeros(9, dtype=torch.bool))
    assert not bool(nobody.offsets.any()) and not bool(nobody.values.any())


# --- the sum -------------------------------------------------------------------------------------


def test_the_posterior_by_hand() -> None:
    # π = (1/4, 3/4) and evidence 4 : 1 twice: 1/4 · 16 : 3/4 · 1 = 16 : 3.
    part = torch.tensor([[4.0, 1.0]], dtype=torch.float64).log()
    prior = torch.tensor([0.25, 0.75], dtype=torch.float64)
    found = posterior([part, part], prior.log()).exp()
    torch.testing.assert_close(found, torch.tensor([[16 / 19, 3 / 19]], dtype=torch.float64))
    torch.testing.assert_close(
        pair_likelihood([part, part], prior.log()), torch.tensor([math.log(4.75)]).double()
    )


@pytest.mark.parametrize("modalities", [2, 3])
def test_the_posterior_is_exact_where_modalities_are_independent_given_the_class(
    modalities: int,
) -> None:
    world = Enumerated(modalities)
    parts = [world.evidence(i) for i in range(modalities)]
    exact = world.posterior(*range(modalities))
    torch.testing.assert_close(posterior(parts, world.prior.log()).exp(), exact)
    # Of every subset too: what is missing drops out of the sum.
    parts[1] = torch.zeros_like(parts[1])
    rest = world.posterior(*(i for i in range(modalities) if i != 1))
    torch.testing.assert_close(posterior(parts, world.prior.log()).exp(), rest)


def test_an_expert_that_says_nothing_drops_out() -> None:
    world = Enumerated(2)
    constant = world.prior.expand(len(world.rows), 3)
    for exponent in (0.05, 1.0, 3.0):
        nothing = evidence(constant, world.prior, exponent)
        torch.testing.assert_close(nothing, torch.zeros_like(nothing), rtol=0, atol=1e-12)
    # So does any constant answer, whatever it is.
    other = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).expand(len(world.rows), 3)
    nothing = evidence(other, world.prior)
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), rtol=0, atol=1e-12)


def test_the_pair_likelihood_is_greatest_for_true_evidence() -> None:
    world = Enumerated(2)
    alpha = world.evidence(0)

    def likelihood(w: float, i: int = 1) -> float:
        return float(pair_likelihood([alpha, world.evidence(i, w)], world.prior.log()).mean())

    assert best_exponent(likelihood) == 1.0
    # It is then I(x_1; x_2), in nats.
    joint = torch.einsum("y,ya,yb->ab", world.prior, world.tables[0] / 4, world.tables[1] / 4)
    alone = torch.outer(joint.sum(1), joint.sum(0))
    shared = (joint * (joint / alone).log())[joint > 0].sum()
    assert likelihood(1.0) == pytest.approx(float(shared), abs=1e-12)
    # Evidence that is squared gets the exponent 1/2, or its neighbour among those that are tried.
    squared = world.posterior(1).clamp(min=1e-30).square() / world.prior

    def of_squared(w: float) -> float:
        own = evidence(squared, world.prior, w)
        return float(pair_likelihood([alpha, own], world.prior.log()).mean())

    assert best_exponent(of_squared) == pytest.approx(0.5, rel=0.1)


def test_the_pair_likelihood_of_evidence_that_says_nothing_is_0() -> None:
    world = Enumerated(2)
    alpha = world.evidence(0)
    found = pair_likelihood([alpha, torch.zeros_like(alpha)], world.prior.log())
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-12)
    # Evidence that is drawn at random costs: the least exponent is the best.
    draw = torch.Generator().manual_seed(0)
    p = torch.softmax(torch.randn(len(alpha), 3, generator=draw, dtype=torch.float64), 1)

    def likelihood(w: float) -> float:
        own = evidence(p, world.prior, w)
        shuffled = alpha[torch.randperm(len(alpha), generator=torch.Generator().manual_seed(1))]
        return float(pair_likelihood([shuffled, own], world.prior.log()).mean())

    assert best_exponent(likelihood) <= 0.3


def test_exponents_that_are_tried() -> None:
    assert len(EXPONENTS) == 29 and tuple(sorted(EXPONENTS)) == EXPONENTS
    assert (EXPONENTS[0], EXPONENTS[-1]) == pytest.approx((math.exp(-3), math.exp(1.2)))
    assert 1.0 in EXPONENTS


# --- the teacher's confusion ----------------------------------------------------------------------


def test_the_soft_confusion_of_a_calibrated_teacher_is_its_mean_answer_by_class() -> None:
    world = Enumerated(1)
    answers = world.posterior(0)
    by_class = torch.stack([answers[world.rows[:, 0] == y].mean(0) for y in range(3)])
    torch.testing.assert_close(soft_confusion(answers), by_class)
    called = torch.nn.functional.one_hot(answers.argmax(1), 3).double()
    shares = torch.stack([called[world.rows[:, 0] == y].mean(0) for y in range(3)])
    torch.testing.assert_close(hard_confusion(answers), shares)


def test_a_class_that_is_never_answered_has_the_mean_answer_of_all() -> None:
    p = torch.tensor([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]], dtype=torch.float64)
    found = soft_confusion(p)
    torch.testing.assert_close(found[0], torch.tensor([0.625, 0.375, 0.0], dtype=torch.float64))
    torch.testing.assert_close(found[2], torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))
    assert hard_confusion(p)[2].tolist() == [0.0, 0.0, 0.0]


def test_evidence_of_the_answer_is_closer_to_the_shares() -> None:
    # p = (0.9, 0.1) through S = [[0.7, 0.3], [0.3, 0.7]] is (0.66, 0.34), over π = 1/2.
    p = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    table = torch.tensor([[0.7, 0.3], [0.3, 0.7]], dtype=torch.float64)
    values = p.log() - HALVES.log()
    found = as_answered(values, HALVES.log(), table)
    torch.testing.assert_close(found, torch.tensor([[1.32, 0.68]], dtype=torch.float64).log())
    same = as_answered(values, HALVES.log(), torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(same, values)
    # Shares (1/2, 1/2) through S = [[0.9, 0.1], [0.5, 0.5]] are (0.7, 0.3): what says nothing of y
    # says nothing of the answer, though the teacher answers 0 more often.
    bent = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    still = as_answered(torch.zeros_like(values), HALVES.log(), bent)
    torch.testing.assert_close(still, torch.zeros_like(values), rtol=0, atol=1e-12)
    nothing = as_answered(values, HALVES.log(), HALVES.expand(2, 2))
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), rtol=0, atol=1e-12)


@given(seed=st.integers(0, 10**6))
def test_evidence_of_the_answer_of_a_calibrated_teacher_says_less(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    teacher, p = (
        torch.softmax(2 * torch.randn(50, 3, generator=draw, dtype=torch.float64), 1)
        for _ in range(2)
    )
    prior = teacher.mean(0)
    table = soft_confusion(teacher)
    torch.testing.assert_close(prior @ table, prior)  # S leaves the shares as they are
    values = p.log() - prior.log()
    less = as_answered(values, prior.log(), table)
    q = posterior([less], prior.log()).exp()

    def distance(p: Tensor) -> Tensor:
        return (p * (p / prior).log()).sum(1)

    # The data processing inequality: S is a channel that keeps π.
    assert bool((distance(q) <= distance(p) + 1e-12).all())


# --- the teacher's temperature and the classes' shares ------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    # The standard error of log T is about 0.02 at n = 4000 (0.03 for T = 4): 0.1 is 3 of them, and
    # the grid is 0.05 wide.
    draw = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(4000, 3, generator=draw, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(logits / temperature, 1), 1, generator=draw)[:, 0]
    assert temperature_of(logits, labels) == pytest.approx(temperature, rel=0.1)
    assert temperature_of(logits.float(), labels.int()) == temperature_of(
        logits.float().double(), labels
    )


def test_a_temperature_is_bounded() -> None:
    logits = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert temperature_of(logits, torch.tensor([0, 1])) == pytest.approx(math.exp(-2.0))
    assert temperature_of(logits, torch.tensor([1, 0])) == pytest.approx(math.exp(3.0))


def test_shares_count_each_class_once_more() -> None:
    assert prior_of(torch.tensor([0, 0, 2]), 3).tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6])
    assert prior_of(torch.zeros(0, dtype=torch.long), 2).tolist() == [0.5, 0.5]
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="0 to 2"):
            prior_of(torch.tensor(labels), 3)


# --- the surest ----------------------------------------------------------------------------------


def test_the_surest_share_of_each_class() -> None:
    one = [0.99, 0.9, 0.8, 0.7, 0.6, 0.95]  # all but the last two are named 0
    p = torch.tensor([[x, 1 - x] for x in one[:4]] + [[1 - x, x] for x in one[4:]])
    assert surest(p.log(), 0.5).tolist() == [True, True, False, False, False, True]
    # Never fewer than one of a class that is named, and none of a class that is not.
    assert surest(p.log(), 0.01).tolist() == [True, False, False, False, False, True]
    wide = torch.cat([p, torch.zeros(6, 1)], dim=1).clamp(min=1e-9)
    assert surest(wide.log(), 0.01).tolist() == [True, False, False, False, False, True]
    assert bool(surest(p.log(), 1.0).all())


@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
def test_the_surest_are_surer_than_the_rest_of_their_class(seed: int, share: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    log_p = torch.log_softmax(torch.randn(60, 4, generator=draw), 1)
    chosen = surest(log_p, share)
    confidence, named = log_p.max(1)
    for k in named.unique():
        inside, outside = chosen & (named == k), ~chosen & (named == k)
        assert int(inside.sum()) == max(1, round(share * int((named == k).sum())))
        if bool(outside.any()):
            assert float(confidence[inside].min()) >= float(confidence[outside].max())


# --- the theory, in other code --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_those_of_the_theory_on_a_population_of_these_samples(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.dirichlet([1.0, 2.0, 0.5], size=(2, 40))
    prior = draw.dirichlet([3.0, 3.0, 3.0])
    alpha, beta, pi = (torch.from_numpy(x) for x in (first, second, prior))
    np.testing.assert_allclose(soft_confusion(alpha), exact.soft_confusion(first), rtol=1e-12)
    np.testing.assert_allclose(hard_confusion(alpha), exact.hard_confusion(first), rtol=1e-12)
    np.testing.assert_allclose(
        posterior([(alpha / pi).log(), (beta / pi).log()], pi.log()).exp(),
        exact.posterior_of_sum([first, second], prior),
        rtol=1e-10,
    )
    for w in (0.3, 1.0, 2.0):
        own, other = evidence(alpha, pi), evidence(beta, pi, w)
        theirs = exact.tempered(exact.evidence_of(second, prior), w)
        np.testing.assert_allclose(other.exp(), theirs, rtol=1e-10)
        found = float(pair_likelihood([own, other], pi.log()).mean())
        assert found == pytest.approx(
            exact.pair_likelihood(own.exp().numpy(), theirs, prior), rel=1e-10, abs=1e-12
        )
