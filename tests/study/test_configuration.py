"""A run configuration refuses what no run could be carried out with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mke_theory.study.configuration import RunConfiguration
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware


@pytest.mark.parametrize("name", ["workers", "threads", "together", "checkpoint_every"])
def test_numbers_below_one_are_refused(name: str) -> None:
    wrong: Any = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0; it has to be at least 1"):
        RunConfiguration(**wrong)


def test_draws_and_trainers_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="draws is 'none'; choose own or shared"):
        RunConfiguration(draws="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'stacked'; choose auto, one by one or vectorised"):
        RunConfiguration(trainer="stacked")  # type: ignore[arg-type]


def test_runs_beside_each_other_are_refused_where_processes_share_one() -> None:
    RunConfiguration(workers=1, hardware=Hardware(devices=2))
    with pytest.raises(ValueError, match="workers is 2, but 4 processes train each run together"):
        RunConfiguration(workers=2, hardware=Hardware(devices=2, num_nodes=2))


@pytest.mark.parametrize(
    ("hardware", "can"),
    [
        (Hardware(), True),
        (Hardware("cuda"), True),
        (Hardware(workers=3), True),  # who reads ahead changes nothing
        (Hardware(precision="64-true"), False),
        (Hardware(devices=2), False),
        (Hardware(micro_batch=4), False),
        (Hardware(compile=True), False),
    ],
)
def test_vectorised_training_has_one_device_and_one_precision(
    hardware: Hardware, can: bool
) -> None:
    assert RunConfiguration(hardware=hardware).can_vectorise is can
    if can:
        RunConfiguration(hardware=hardware, trainer="vectorised")
        return
    with pytest.raises(ValueError, match="vectorised training is in '32-true' on one device"):
        RunConfiguration(hardware=hardware, trainer="vectorised")


def test_a_checkpoint_lies_in_the_folder_under_the_key() -> None:
    assert RunConfiguration().checkpoint("key") is None
    placed = RunConfiguration(Path("out"), checkpoint_every=7)
    assert placed.checkpoint("key") == Checkpoint(Path("out/checkpoints/key.pt"), 7)


@pytest.mark.parametrize(
    ("workers", "together", "runs", "size"),
    [
        (1, 512, 4000, 512),
        (1, 512, 3, 32),
        (2, 512, 400, 50),  # four parts a worker
        (2, 512, 401, 51),
        (2, 512, 40, 32),  # a few are not worth a part of their own
        (4, 10, 400, 10),
    ],
)
def test_the_size_of_a_part_by_hand(workers: int, together: int, runs: int, size: int) -> None:
    assert RunConfiguration(workers=workers, together=together).part_size(runs) == size
