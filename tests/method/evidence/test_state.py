"""The state of a student on its way, with experts that read their logits off the samples."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.method.evidence import Answers, EvidenceSettings
from mke_theory.method.evidence.experts import Through
from mke_theory.method.evidence.rounds import (
    first_round,
    next_round,
)
from mke_theory.method.evidence.settings import Honest
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import Outcome, Trainer, TrainingJob
from mke_theory.training.loop import Fit
from tests.method.evidence.small import Reads, readable, reading, still

N = 60


def carried_out(
    step: Generator[list[TrainingJob], list[Fit], Any], trainer: Trainer = still
) -> Any:
    """The result of one step of a plan."""
    try:
        jobs = next(step)
        while True:
            jobs = step.send([fit for fit in trainer(jobs) if isinstance(fit, Fit)])
    except StopIteration as end:
        return end.value


def begun(pool: Pool, honest: Honest | None = None, **changes: Any) -> EvidenceState:
    state = EvidenceState(reading(pool, **changes), honest)
    carried_out(first_round(state))
    return state


# --- the teacher ---------------------------------------------------------------------------------


def test_the_teacher_alone_before_any_round() -> None:
    pool = readable(N, 0)
    state = EvidenceState(reading(pool), None)
    expected = torch.softmax(pool.inputs["a"].double(), 1)
    torch.testing.assert_close(state.prior, expected.mean(0))
    assert state.prior_from == "mean answer of the teacher" and state.teacher_share == 1.0
    # With those shares the sum's answer is the teacher's own.
    torch.testing.assert_close(state.answers, expected)
    assert state.betas == [("b",)] and state.temperature == 1.0


def test_the_temperature_is_that_of_honest_answers() -> None:
    pool = readable(2000, 1)
    honest = Honest(pool.inputs["a"].double() * 3, pool.labels)  # three times the exact logits
    # The standard error of log T is about 0.04 for 2,000 labels.
    assert EvidenceState(reading(pool), honest).temperature == pytest.approx(3.0, rel=0.15)


def test_shares_that_are_given() -> None:
    state = EvidenceState(reading(readable(N, 0), prior=torch.tensor([3.0, 1.0])), None)
    assert state.prior.tolist() == [0.75, 0.25] and state.prior_from == "given"


def test_a_class_that_the_teacher_never_answers_has_a_share_nevertheless() -> None:
    pool = readable(N, 0)
    logits = torch.cat([pool.inputs["a"], torch.full((N, 1), -5000.0)], dim=1).double()
    wide = torch.cat([pool.inputs["b"], torch.zeros(N, 1)], dim=1)
    given = replace(pool, inputs={**pool.inputs, "b": wide})
    state = begun(given, teacher=Answers(logits))
    assert state.classes == 3 and 0 < float(state.prior[2]) < 1e-8
    assert bool(torch.isfinite(state.posterior()).all())


def test_a_sample_that_the_teacher_cannot_read_has_the_shares_as_its_answer() -> None:
    pool = readable(N, 0)
    pool.inputs["a"][::3] = torch.nan
    state = EvidenceState(reading(pool), None)
    torch.testing.assert_close(state.answers[::3], state.prior.expand(N // 3, 2))
    assert state.pseudo.hard[::3].unique().tolist() == [int(state.prior.argmax())]
    assert float(state.pseudo.confidence[0]) == pytest.approx(float(state.prior.max()))


# --- cross-fitting -------------------------------------------------------------------------------


class Remembers(nn.Module):
    """An expert of a modality that holds the sample's number; class 1 if it was trained on it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.seen = name, set[int]()

    def forward(self, inputs: Any) -> Tensor:
        one = torch.tensor([float(int(x) in self.seen) for x in inputs[self.name][:, 0]])
        return torch.stack([1 - one, one], dim=1)


def by_heart(jobs: Sequence[TrainingJob]) -> list[Outcome]:
    for job in jobs:
        expert = job.model.model if isinstance(job.model, Through) else job.model
        assert isinstance(expert, Remembers)
        assert job.samples.modalities == (expert.name,)
        expert.seen |= set(job.samples.inputs[expert.name][:, 0].int().tolist())
    return still(jobs)


def numbered(groups: Any = None) -> Pool:
    ids = torch.arange(N, dtype=torch.float32)[:, None]
    return Pool({"a": ids, "b": ids.clone()}, torch.full((N,), UNKNOWN), groups)


@pytest.mark.parametrize("folds", [2, 3])
def test_evidence_of_a_sample_is_by_a_model_that_was_never_trained_on_it(folds: int) -> None:
    logits = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    job = reading(
        numbered(),
        teacher=Answers(logits),
        build=lambda names: Remembers(names[0]),
        settings=EvidenceSettings(folds=folds, rounds=4),
    )
    state = EvidenceState(job, None)
    carried_out(first_round(state), by_heart)
    state.verdicts[("b",)] = "trusted"
    while state.goes_on:
        carried_out(next_round(state), by_heart)
    assert set(state.log_p) == {("a",), ("b",)} and len(state.rounds) == 4
    for group, log_p in state.log_p.items():
        assert log_p.argmax(1).tolist() == [0] * N, group  # "never seen"
    for models in state.models.values():  # models learn on, so all of a fold's others were seen
        assert len(models) == folds
        for fold, model in enumerate(models):
            assert isinstance(model, Remembers)
            assert model.seen <= set((state.folds != fold).nonzero()[:, 0].tolist())
    betas = [model.seen for model in state.models["b",] if isinstance(model, Remembers)]
    assert [len(seen) for seen in betas] == [N - N // folds] * folds


def test_one_fold_answers_its_own_samples() -> None:
    job = reading(
        numbered(),
        teacher=Answers(torch.randn(N, 2, generator=torch.Generator().manual_seed(0))),
        build=lambda names: Remembers(names[0]),
        settings=EvidenceSettings(folds=1),
    )
    state = EvidenceState(job, None)
    carried_out(first_round(state), by_heart)
    assert state.log_p["b",].argmax(1).tolist() == [1] * N


def test_fewer_groups_than_folds() -> None:
    groups = torch.arange(N).numpy() % 3
    job = reading(
        numbered(groups),
        teacher=Answers(torch.randn(N, 2, generator=torch.Generator().manual_seed(0))),
        build=lambda names: Remembers(names[0]),
        settings=EvidenceSettings(folds=5),
    )
    state = EvidenceState(job, None)
    carried_out(first_round(state), by_heart)
    assert state.fold_count == 3 and len(state.models["b",]) == 3
    assert state.log_p["b",].argmax(1).tolist() == [0] * N
    assert state.evidence(("b",)).offsets.shape == (3, 2)


# --- verdicts and refusals ----------------------------------------------------------------------


def test_redundant_evidence_is_counted_as_that_of_the_answer_and_0_where_missing() -> None:
    pool = readable(100, 7)
    pool.inputs["b"][::4] = torch.nan
    state = begun(pool)
    whole = state.values(("b",))
    assert torch.equal(whole, state.evidence(("b",)).values)
    state.verdicts["b",] = "redundant"
    less = state.values(("b",))
    assert not bool(less[::4].any()) and float(less.abs().mean()) < float(whole.abs().mean())


def test_a_model_that_is_not_fresh_is_refused() -> None:
    class Sole(Reads):
        def forward(self, inputs: Any) -> Tensor:
            (x,) = inputs.values()
            return self.weight * x

    pool, same, teacher = readable(30, 0), Sole("b"), Sole("a")
    for build in (lambda names: same, lambda names: teacher):
        with pytest.raises(ValueError, match="in use already"):
            begun(pool, teacher=teacher, build=build)


def test_nobody_is_left_to_learn_from() -> None:
    pool = readable(30, 0)
    pool.inputs["b"][:] = torch.nan
    with pytest.raises(ValueError, match="no sample of D_u is left for the expert of b"):
        begun(pool)
    pool = readable(30, 0)
    pool.inputs["b"][1:] = torch.nan
    with pytest.raises(ValueError, match="leave the modality out, or give more samples"):
        begun(pool)
