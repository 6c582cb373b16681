"""The batches of many jobs are those that each would meet alone."""

from __future__ import annotations

import torch

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.pool import Pool
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Objective
from mke_theory.models import coordinates
from mke_theory.training.batches import batch_rows
from mke_theory.training.loop import TrainConfig
from mke_theory.training.vectorised.batches import Batches
from mke_theory.training.vectorised.compatibility import Ready, ready

CPU = torch.device("cpu")


def job(n: int, seed: int, batch_size: int | None) -> Ready:
    x = torch.arange(float(n)).unsqueeze(1) + 1000 * seed
    model = coordinates({"x": (1,)}, 2, hidden=())
    pool = Pool({"x": x}, torch.arange(n) % 2)
    return ready(TrainingJob(model, pool, Objective(), TrainConfig(9, batch_size), seed))


def test_every_step_has_the_rows_of_the_single_loop() -> None:
    jobs = [job(20, 1, 8), job(31, 2, 8)]
    batches = Batches(jobs, 8, CPU)
    assert not batches.whole and batches.rows == 16
    batches.load(jobs)
    for step in range(9):
        batches.turn_to(step)
        for i, one in enumerate(jobs):
            rows = batch_rows(len(one.job.samples), 8, one.job.seed, step)
            expected = one.job.samples[rows]
            assert batches.taken[i] == len(expected)
            assert torch.equal(batches.inputs["x"][i, : len(expected)], expected.inputs["x"])
            assert torch.equal(batches.target[i, : len(expected)], expected.target)
            share = torch.zeros(16)
            share[: len(expected)] = 1 / len(expected)
            torch.testing.assert_close(batches.share[i], share, rtol=1e-6, atol=0)


def test_whole_pools_stay_and_are_filled_up_with_a_sample_of_no_weight() -> None:
    jobs = [job(5, 1, None), job(7, 2, None)]
    batches = Batches(jobs, 7, CPU)
    batches.load(jobs)
    batches.turn_to(3)
    assert batches.whole and batches.taken == [5, 7]
    assert batches.inputs["x"][0, :6, 0].tolist() == [1000, 1001, 1002, 1003, 1004, 1000]
    assert batches.share[0].tolist() == [0.20000000298023224] * 5 + [0.0] * 11


def test_other_jobs_take_the_place_of_earlier_ones() -> None:
    first, second = [job(20, 1, 8)], [job(12, 3, 8)]
    batches, fresh = Batches(first, 8, CPU), Batches(second, 8, CPU)
    batches.load(first)
    for step in range(4):
        batches.turn_to(step)
    batches.load(second)
    fresh.load(second)
    for step in range(4):
        batches.turn_to(step)
        fresh.turn_to(step)
        assert torch.equal(
            batches.inputs["x"][0, : fresh.taken[0]], fresh.inputs["x"][0, : fresh.taken[0]]
        )
        assert torch.equal(batches.share, fresh.share)


def test_stored_samples_and_compact_labels_are_widened() -> None:
    values = torch.arange(12, dtype=torch.uint8).reshape(12, 1)
    pool = Pool({"x": Stored(values)}, torch.ones(12, dtype=torch.int8))
    model = coordinates({"x": (1,)}, 2, hidden=())
    one = ready(TrainingJob(model, pool, Objective(), TrainConfig(3, 5), 0))
    batches = Batches([one], 5, CPU)
    batches.load([one])
    assert batches.inputs["x"].dtype == torch.float32 and batches.target.dtype == torch.int64
    expected = values[batch_rows(12, 5, 0, 0)].float()
    assert torch.equal(batches.inputs["x"][0, :5], expected)
