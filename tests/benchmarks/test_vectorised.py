"""The benchmark of vectorised training: its ways train the same jobs, and its tables add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks import vectorised as benchmark
from mke_theory.training.loop import Fit
from mke_theory.training.vectorised.engine import side_by_side


def test_loop_and_jobs_side_by_side_have_the_protocol_of_twomoon() -> None:
    problem, ready = benchmark.protocol()
    assert len(ready.samples) == 270 and ready.config.steps == benchmark.STEPS
    assert ready.config.batch_size is None and ready.config.learning_rate == 0.01
    one = benchmark.fresh(ready, 3)
    shapes = [tuple(x.shape) for x in one.model.parameters()]
    assert shapes == [(16, 2), (16,), (16, 16), (16,), (2, 16), (2,)]
    before = [x.detach().clone() for x in one.model.parameters()]
    benchmark.loop(one.model, ready, steps=2)
    assert all(not torch.equal(x, y) for x, y in zip(one.model.parameters(), before, strict=True))
    assert 0.3 < benchmark.accuracy_of(one.model, problem.test) < 1.0


def test_without_noise_the_loop_is_a_job_side_by_side() -> None:
    _, ready = benchmark.protocol()
    quiet = replace(ready.objective, transform=())
    one = replace(
        benchmark.fresh(ready, 1), objective=quiet, config=replace(ready.config, steps=20)
    )
    looped = benchmark.fresh(ready, 1).model
    x = {name: torch.zeros_like(x) for name, x in ready.samples.inputs.items()}
    nothing = replace(one, samples=replace(ready.samples, inputs=x))  # its noise has no scale
    benchmark.loop(looped, nothing, steps=20)
    (outcome,) = side_by_side([nothing])
    assert isinstance(outcome, Fit)
    for a, b in zip(looped.parameters(), outcome.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_what_is_spent_once_is_told_from_what_a_step_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []

    def trainer(jobs: list[benchmark.TrainingJob]) -> None:
        steps.append(jobs[0].config.steps)

    def seconds(work: object) -> float:
        work()  # type: ignore[operator]
        return 1.0 + 0.25 * steps[-1]

    monkeypatch.setattr(benchmark, "seconds", seconds)
    jobs = benchmark.mlp_jobs(2, 4)
    once, a_step = benchmark.once_and_a_step(jobs, trainer, benchmark.Options(quick=True))
    assert once == pytest.approx(1.0) and a_step == pytest.approx(0.25)


def test_the_ratio_of_a_turn() -> None:
    assert benchmark.Turn(6.0, 1.5, [], []).ratio == 4.0
    assert benchmark.spread([3.0, 1.0, 2.0]) == "2.0000 [1.0000, 3.0000]"


def test_jobs_of_the_table_differ_in_weights_and_seed() -> None:
    for jobs in (benchmark.mlp_jobs(4, 8), benchmark.convolutional_jobs(8)):
        assert [job.seed for job in jobs] == [0, 1, 2, 3, 4]
        first, second = (next(job.model.parameters()) for job in jobs[:2])
        assert first.shape == second.shape and not torch.equal(first, second)
