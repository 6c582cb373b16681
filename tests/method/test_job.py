"""Training one by one is `fit` for each job, in order, whatever becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Anchor, Consistency, Objective
from mke_theory.method.student_loss import loss_on
from mke_theory.method.transforms import InputNoise
from mke_theory.models import coordinates
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.loop import Fit, TrainConfig, fit

FEW = TrainConfig(steps=6, batch_size=4, learning_rate=0.05)
NOISY = Objective(transform=(InputNoise(0.5),), consistency=Consistency(gamma=0.5))


def pool(n: int = 9) -> Pool:
    draw = torch.Generator().manual_seed(n)
    inputs = {name: torch.randn(n, 2, generator=draw) for name in "ab"}
    return Pool(inputs, torch.arange(n) % 2)


def model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return coordinates({"a": (2,), "b": (2,)}, 2, hidden=(4,))


def job(**changes: Any) -> TrainingJob:
    return replace(TrainingJob(model(), pool(), NOISY, FEW, seed=3), **changes)


def train(ready: TrainingJob) -> Fit:
    (outcome,) = one_by_one([ready])
    assert isinstance(outcome, Fit)
    return outcome


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_a_job_is_trained_in_place_by_the_plain_loop() -> None:
    averaged = Objective(
        transform=(InputNoise(0.5),),
        consistency=Consistency(gamma=1.0),
        anchor=Anchor(source="average", decay=0.9),
    )
    averaged = replace(averaged, answers="average")
    for objective in (NOISY, averaged):
        own, ready = model(), job(objective=objective)
        found = train(ready)
        direct = fit(
            own,
            pool(),
            loss_on(objective, pool()),
            FEW,
            seed=3,
            average_decay=objective.kept_average,
            answers=objective.answers,
        )
        assert found.model is ready.model and same(ready.model, own)
        assert found.history == direct.history and found.steps == 6
        assert not same(own, model())


def test_outcomes_come_in_the_order_of_their_jobs_and_one_that_fails_stops_no_other() -> None:
    jobs = [job(), job(config=replace(FEW, learning_rate=1e30)), job(model=model(1), seed=5)]
    first, lost, last = one_by_one(jobs)
    assert isinstance(first, Fit) and isinstance(last, Fit)
    assert isinstance(lost, FloatingPointError)
    assert (first.model, last.model) == (jobs[0].model, jobs[2].model)
    alone = (train(job()), train(job(model=model(1), seed=5)))
    assert same(first.model, alone[0].model) and same(last.model, alone[1].model)


def test_each_job_has_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    places = [Checkpoint(tmp_path / "first.pt", 3), None]
    first, second = one_by_one([job(), job(model=model(1))], checkpoints=places)
    assert [path.name for path in tmp_path.iterdir()] == ["first.pt"]
    again, _ = one_by_one([job(), job(model=model(1))], checkpoints=places)
    assert isinstance(first, Fit) and isinstance(second, Fit) and isinstance(again, Fit)
    assert same(first.model, again.model)
    assert (first.seconds is None, again.seconds is None) == (False, True)  # it was only loaded
    with pytest.raises(ValueError, match="shorter"):
        one_by_one([job(), job()], checkpoints=places[:1])
