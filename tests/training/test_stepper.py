"""A step by torch alone and one through Fabric are the same step, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mke_theory.data.pool import Batch
from mke_theory.data.rng import Stream
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, Moment, TrainConfig, fit
from mke_theory.training.optimizers import optimizer_of
from mke_theory.training.stepper import Plain, Stepper, ThroughFabric, stepper_for
from tests.training.small_runs import (
    ADAMW,
    SGD,
    TWO,
    WHOLE,
    Killed,
    Scalar,
    Small,
    assert_same_run,
    global_generators,
    killed_at,
    noisy,
    points,
    squared,
    trained,
)


def through_fabric() -> ThroughFabric:
    return ThroughFabric(Hardware().fabric())


KINDS: list[Callable[[], Stepper]] = [Plain, through_fabric]
both_kinds = pytest.mark.parametrize("kind", KINDS, ids=["plain", "fabric"])


def taken(kind: Callable[[], Stepper], model: Scalar) -> Stepper:
    stepper = kind()
    stepper.take(
        model,
        optimizer_of(model.parameters(), "sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.0),
    )
    return stepper


def given(batch: Batch) -> tuple[Batch, Stream, Moment]:
    return batch, Stream(0), Moment()


def gradient(model: Scalar) -> Tensor:
    assert model.weight.grad is not None
    return model.weight.grad


@both_kinds
def test_a_step_by_hand(kind: Callable[[], Stepper]) -> None:
    model = Scalar(0.5)
    model.weight.grad = torch.tensor(1000.0)  # of an earlier use, to be forgotten
    stepper = taken(kind, model)
    values = stepper.differentiate(squared, given(TWO[:]), 2, last=True)
    assert values.tolist() == [0.25, 16.0]
    assert gradient(model).item() == -8.5
    stepper.update(None)
    assert model.weight.item() == pytest.approx(1.35)
    assert model.weight.grad is None
    # (0.7 − 9.2)/2 = −4.25
    stepper.differentiate(squared, given(TWO[:]), 2, last=True)
    assert gradient(model).item() == pytest.approx(-4.25)


@both_kinds
def test_pieces_of_a_batch_add_up(kind: Callable[[], Stepper]) -> None:
    model = Scalar(0.5)
    stepper = taken(kind, model)
    # −1/2 of the first sample's loss, −16/2 of the second's; then both as two of four samples.
    for row, expected in ((0, -0.5), (1, -8.5)):
        stepper.differentiate(squared, given(TWO[row : row + 1]), 2, last=row == 1)
        assert gradient(model).item() == expected
    stepper.update(None)
    model.weight.data.fill_(0.5)
    stepper.differentiate(squared, given(TWO[0:1]), 4, last=False)
    stepper.differentiate(squared, given(TWO[:]), 4, last=True)
    assert gradient(model).item() == -0.25 - 4.25


@both_kinds
def test_gradients_are_clipped_to_their_norm(kind: Callable[[], Stepper]) -> None:
    for clip_norm, expected in ((2.0, 0.7), (100.0, 1.35)):
        model = Scalar(0.5)
        stepper = taken(kind, model)
        stepper.differentiate(squared, given(TWO[:]), 2, last=True)
        stepper.update(clip_norm)
        assert model.weight.item() == pytest.approx(expected, rel=1e-6)


@both_kinds
def test_one_process_has_all_there_is(kind: Callable[[], Stepper]) -> None:
    stepper = kind()
    assert (stepper.processes, stepper.rank, stepper.device) == (1, 0, torch.device("cpu"))
    x = torch.tensor([1.0, 2.0])
    assert stepper.mean(x).tolist() == [1.0, 2.0]
    assert [part.tolist() for part in stepper.gathered(x)] == [[1.0, 2.0]]
    assert stepper.from_first({"step": 3}) == {"step": 3}


@pytest.mark.parametrize(
    ("hardware", "kind"),
    [
        (Hardware(), Plain),
        (Hardware(micro_batch=2, workers=1, channels_last=True), Plain),
        (Hardware(precision="64-true"), ThroughFabric),
        (Hardware(precision="bf16-mixed"), ThroughFabric),
    ],
)
def test_fabric_is_used_where_it_is_needed(hardware: Hardware, kind: type) -> None:
    assert type(stepper_for(hardware)) is kind


def test_processes_of_torchrun_have_to_be_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    for hardware in (Hardware(), Hardware(precision="64-true")):
        with pytest.raises(
            ValueError, match=r"torchrun started 4 processes, but devices=1 .* makes 1"
        ):
            stepper_for(hardware)


# --- whole runs ----------------------------------------------------------------------------------


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, runs go through Fabric."""

    def force() -> None:
        monkeypatch.setattr(
            "mke_theory.training.loop.stepper_for", lambda hardware: through_fabric()
        )

        def no_other(*_: Any) -> None:
            raise AssertionError("a step was taken without Fabric")

        monkeypatch.setattr(Plain, "differentiate", no_other)

    return force


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize(
    "config",
    [ADAMW, replace(SGD, clip_norm=1.0), replace(WHOLE, clip_norm=0.1)],
    ids=["adamw", "sgd", "whole"],
)
def test_both_kinds_give_the_same_run_to_the_last_bit(
    config: TrainConfig, micro_batch: int | None, forced: Callable[[], None]
) -> None:
    hardware = Hardware(micro_batch=micro_batch)
    alone = trained(config, hardware=hardware)
    forced()
    assert_same_run(trained(config, hardware=hardware), alone)


def test_both_kinds_keep_the_same_average(forced: Callable[[], None]) -> None:
    def averaged() -> Fit:
        return fit(
            Small(),
            points(),
            noisy(points(), anchor="average"),
            ADAMW,
            seed=3,
            average_decay=0.9,
            answers="average",
        )

    alone = averaged()
    forced()
    assert_same_run(averaged(), alone)


def test_fabric_leaves_the_global_generators_alone(forced: Callable[[], None]) -> None:
    forced()
    before = global_generators()
    trained()
    with pytest.raises(Killed):
        trained(loss=killed_at(3, noisy(points())))
    assert global_generators() == before
