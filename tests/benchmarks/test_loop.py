"""The benchmark of the single loop: its three ways take the same steps, and its table adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import loop as benchmark


def test_the_jobs_have_the_protocol_of_twomoon() -> None:
    shapes = {
        name: (len(job.samples), *(tuple(x.shape) for x in job.model.parameters() if x.dim() == 2))
        for name, job in benchmark.jobs(2000).items()
    }
    one, two = ((32, 1), (32, 32), (2, 32)), ((16, 2), (16, 16), (2, 16))
    assert shapes["teacher"] == (30, *one) and shapes["UM student"] == (270, *one)
    assert shapes["MM student"] == shapes["MM student, L_reg"] == (270, *two)
    every = [job.config for job in benchmark.jobs(7).values()]
    assert {(c.steps, c.batch_size, c.learning_rate) for c in every} == {(7, None, 0.01)}
    assert [c.optimizer for c in every] == ["sgd"] * 4 + ["adamw"]


def test_bare_layers_are_the_models_own() -> None:
    job = benchmark.jobs(1)["MM student"]
    net = benchmark.bare(job.model)
    kinds = [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in net] == kinds
    assert all(map(torch.equal, net.parameters(), job.model.parameters()))
    x = torch.cat(list(job.samples.inputs.values()), dim=1)
    assert torch.equal(net(x), job.model(job.samples.inputs))


def test_without_noise_fit_is_the_published_loop_to_the_last_bit() -> None:
    made = benchmark.jobs(60)
    assert benchmark.ends_alike(made["teacher"])
    assert not benchmark.ends_alike(made["MM student"])  # each way has noise of its own
    quiet = replace(made["MM student"], objective=made["teacher"].objective)
    assert benchmark.ends_alike(quiet)
    before = [x.clone() for x in made["teacher"].model.parameters()]
    after = benchmark.published_loop(made["teacher"]).parameters()
    assert not any(map(torch.equal, before, after))
    assert all(map(torch.equal, before, made["teacher"].model.parameters()))


def test_a_row_by_hand() -> None:
    turns = [
        {"published": 1.0, "same model": 2.0, "fit": 2.0},
        {"published": 2.0, "same model": 2.0, "fit": 3.0},
        {"published": 4.0, "same model": 4.0, "fit": 5.0},
    ]
    assert benchmark.row(turns) == {
        "published, s": "2.000",
        "same model, s": "2.000",
        "fit, s": "3.000",
        "fit / published": "1.50 [1.25, 2.00]",
        "fit / same model": "1.25 [1.00, 1.50]",
    }


def test_a_short_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--quick", "--steps", "3"]) == 0
    printed = capsys.readouterr().out
    assert "3 steps, 3 turns" in printed and "published loop and fit: equal" in printed
    assert all(f"| {name} " in printed for name in benchmark.jobs(1))
    assert printed.splitlines()[-1].startswith("fit / published loop, MM student: ")


def test_steps_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="steps is 0; it has to be at least 1"):
        benchmark.Options(steps=0)
