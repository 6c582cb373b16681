"""The rounds of an evidence student, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from mke_theory.data.pool import UNKNOWN
from mke_theory.method.evidence import Answers, EvidenceSettings
from mke_theory.method.evidence.arithmetic import posterior
from mke_theory.method.evidence.experts import Through
from mke_theory.method.evidence.rounds import (
    FIRST_SHARE,
    GROWTH,
    expert_in_the_teachers_place,
    first_round,
    next_round,
)
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import Outcome, TrainingJob
from tests.method.evidence.small import readable, reading, still
from tests.method.evidence.test_state import begun, carried_out


def test_the_sum_of_a_first_round_by_hand() -> None:
    pool = readable(400, 2)
    state = begun(pool)
    w = state.exponents["b",]
    assert 0.5 < w < 1.7  # 1 is right; the numbers are exact logits
    parts = [state.teacher, state.evidence(("b",), w).values]
    torch.testing.assert_close(state.posterior(), posterior(parts, state.log_prior))
    (first,) = state.rounds
    assert first.number == 1 and first.exponents == {"b": w} and first.named == 2
    changed = (state.posterior().argmax(1) != pool.inputs["a"].argmax(1)).double().mean()
    assert first.changed == pytest.approx(float(changed))
    # I(a; b) is 0.12 nats here (quadrature gives 0.121 for d' = 2 twice); n = 400.
    assert 0.05 < first.information < 0.25


def test_without_honest_answers_the_pairs_choose_the_temperature() -> None:
    pool = readable(2000, 3)
    sharp = replace(pool, inputs={"a": 5 * pool.inputs["a"], "b": pool.inputs["b"]})
    assert begun(sharp).temperature in (3.0, 5.0, 8.0)
    assert begun(pool).temperature in (1.0, 1.5)


def test_every_round_learns_from_more_of_each_class() -> None:
    asked: list[list[TrainingJob]] = []

    def noted(jobs: Sequence[TrainingJob]) -> list[Outcome]:
        asked.append(list(jobs))
        return still(jobs)

    pool = readable(200, 4)
    known = readable(10, 5).only(("a",))
    known.labels[0] = UNKNOWN
    known.inputs["a"][1] = torch.nan
    job = reading(pool, labelled=known, settings=EvidenceSettings(rounds=5))
    state = EvidenceState(job, None)
    carried_out(first_round(state), noted)
    state.verdicts["b",] = "trusted"
    shares = []
    while state.goes_on:
        named = state.posterior().argmax(1)
        carried_out(next_round(state), noted)
        alpha, beta = asked[-1][:2], asked[-1][2:]
        assert [one.samples.modalities for one in asked[-1]] == [("a",), ("a",), ("b",), ("b",)]
        shares.append(sum(len(one.samples) for one in beta) / len(pool))
        for one, other in zip(alpha, beta, strict=True):  # α's expert has D_l before D_u
            assert one.samples.labels[:8].tolist() == known.labels[2:].tolist()
            assert torch.equal(one.samples.labels[8:], other.samples.labels)
        inside = beta[0].samples.labels.bincount()
        outside = named[state.folds != 0].bincount()
        assert bool((inside > 0).all()) and bool((inside <= outside).all())
    assert shares == pytest.approx([FIRST_SHARE + GROWTH * r for r in range(2)] + [1, 1], abs=0.02)
    assert [one.number for one in state.rounds] == [1, 2, 3, 4, 5]
    assert all(isinstance(one.model, Through) for one in asked[0])
    assert not any(isinstance(one.model, Through) for some in asked[1:] for one in some)


def test_α_is_half_the_teacher_and_half_its_expert() -> None:
    state = begun(readable(100, 6))
    assert state.teacher_share == 1.0 and torch.equal(state.alpha(), state.teacher)
    state.verdicts["b",] = "trusted"
    carried_out(next_round(state))
    assert state.teacher_share == 0.5
    own = state.evidence(("a",)).values
    torch.testing.assert_close(state.alpha(), (state.teacher + own) / 2)


def test_answers_are_replaced_by_an_expert() -> None:
    pool = readable(100, 6)
    state = begun(pool, teacher=Answers(pool.inputs["a"]))
    carried_out(expert_in_the_teachers_place(state))
    assert state.teacher_share == 0.0 and ("a",) in state.models
    assert torch.equal(state.alpha(), state.evidence(("a",)).values)
    before = state.models["a",]
    carried_out(expert_in_the_teachers_place(state))  # one that is there stays
    assert state.models["a",] is before
