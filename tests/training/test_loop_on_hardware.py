"""The way to carry out a run changes its numbers by rounding at most.

Batches in pieces, read ahead by workers, in another order in memory, compiled, or on a GPU.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, LossFunction, Moment, TrainConfig, fit
from mke_theory.training.predict import predict
from tests.training.small_runs import (
    ADAMW,
    EVERY,
    WHOLE,
    Killed,
    Scalar,
    Small,
    assert_close_run,
    assert_same_run,
    global_generators,
    killed_at,
    line,
    noisy,
    plain,
    points,
    squared,
    trained,
    unbroken,
)

# Python 3.12 and later warn of a fork beside threads; torch's workers are made for that.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def in_batches(
    hardware: Hardware, checkpoint: Checkpoint | None = None, loss: LossFunction | None = None
) -> Fit:
    """23 samples in batches of 9, 9 and 5, with noise, consistency and an average."""
    pool = points(23, dtype=torch.float64)
    return fit(
        Small(dropout=0.0).double(),
        pool,
        loss or noisy(pool, anchor="average"),
        replace(ADAMW, batch_size=9, clip_norm=1.0),
        seed=3,
        hardware=hardware,
        checkpoint=checkpoint,
        average_decay=0.9,
    )


@cache
def uncut() -> Fit:
    return in_batches(Hardware())


# --- pieces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batch", [1, 4, 5, 8])  # 9 is 2 + 2 + 2 + 3, …
def test_pieces_add_up_to_the_batch(micro_batch: int) -> None:
    assert_close_run(in_batches(Hardware(micro_batch=micro_batch)), uncut(), 1e-12)


def test_a_piece_as_large_as_the_batch_is_the_batch() -> None:
    assert_same_run(in_batches(Hardware(micro_batch=9)), uncut())


def test_the_loss_sees_no_more_than_a_piece() -> None:
    seen: list[int] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        seen.append(len(batch))
        return squared(model, batch, stream, moment)

    config = TrainConfig(steps=1, optimizer="sgd", learning_rate=0.1)
    pool = line([1.0, 2.0, 0.0, 0.0, 0.0], [1.0, 5.0, 0.0, 0.0, 0.0])
    model = Scalar(0.5)
    done = fit(model, pool, watched, config, seed=0, hardware=Hardware(micro_batch=2))
    assert seen == [1, 2, 2]
    # The sum of losses is 16.25 and of gradients −17, over five samples now.
    assert done.history == ((1, pytest.approx(16.25 / 5)),)
    assert model.weight.item() == pytest.approx(0.5 + 0.1 * 17 / 5)


# --- workers -------------------------------------------------------------------------------------


@forks
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("micro_batch", [None, 4])
def test_who_reads_the_samples_changes_nothing(workers: int, micro_batch: int | None) -> None:
    here = uncut() if micro_batch is None else in_batches(Hardware(micro_batch=micro_batch))
    assert_same_run(in_batches(Hardware(micro_batch=micro_batch, workers=workers)), here)


@forks
@pytest.mark.parametrize("config", [ADAMW, WHOLE], ids=["batches", "whole"])
def test_workers_leave_all_generators_alone(config: TrainConfig) -> None:
    """Those of the process, and those that the dropout layer of the model draws from."""
    before = global_generators()
    found = trained(config, hardware=Hardware(workers=1))
    assert global_generators() == before
    assert_same_run(found, unbroken(config))


@forks
def test_a_killed_run_goes_on_with_workers_and_pieces(tmp_path: Path) -> None:
    pieces, kept = Hardware(micro_batch=4), Checkpoint(tmp_path / "run.pt", every=EVERY)
    whole, ahead = in_batches(pieces), replace(pieces, workers=2)
    # 9, 9 and 5 samples are 3, 3 and 2 pieces: kills between two steps and inside one.
    for piece in (50, 52, 13):
        loss = noisy(points(23, dtype=torch.float64), anchor="average")
        with pytest.raises(Killed):
            in_batches(ahead, kept, killed_at(piece, loss))
    assert_same_run(in_batches(ahead, kept), whole)


# --- memory order, compiler ----------------------------------------------------------------------


def test_channels_last_and_deterministic_change_no_result_here() -> None:
    assert_same_run(in_batches(Hardware(channels_last=True, deterministic=True)), uncut())
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_is_deterministic_inside_where_that_is_asked() -> None:
    met: list[bool] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        met.append(torch.are_deterministic_algorithms_enabled())
        return plain(model, batch, stream, moment)

    for hardware in (Hardware(deterministic=True), Hardware()):
        fit(Small(), points(), watched, TrainConfig(steps=2), seed=0, hardware=hardware)
    assert met == [True, True, False, False]


class Pictures(nn.Module):
    """A small convolutional net on "image" [n, 2, 6, 6]."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.near = nn.Conv2d(2, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.head(torch.relu(self.near(inputs["image"])).mean(dim=(2, 3)))


def of_pictures(hardware: Hardware, loss: LossFunction = plain) -> Fit:
    draw = torch.Generator().manual_seed(2)
    image = torch.randn(12, 2, 6, 6, generator=draw, dtype=torch.float64)
    pool = Pool({"image": image}, torch.randint(0, 3, (12,), generator=draw))
    config = TrainConfig(steps=20, batch_size=5, learning_rate=0.01)
    return fit(Pictures().double(), pool, loss, config, seed=0, hardware=hardware)


def test_channels_last_reaches_inputs_and_weights() -> None:
    met: list[bool] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        pictures = [batch.inputs["image"], *(w for w in model.parameters() if w.dim() == 4)]
        met.append(all(x.is_contiguous(memory_format=torch.channels_last) for x in pictures))
        return plain(model, batch, stream, moment)

    whole, last = (
        of_pictures(Hardware(), watched),
        of_pictures(Hardware(channels_last=True), watched),
    )
    assert met == [False] * 20 + [True] * 20
    assert_close_run(last, whole, 1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the compiler's own
def test_a_compiled_model_learns_the_same() -> None:
    for run, whole in (
        (in_batches(Hardware(compile=True, micro_batch=4)), uncut()),
        (of_pictures(Hardware(compile=True, channels_last=True)), of_pictures(Hardware())),
    ):
        assert_close_run(run, whole, 1e-10)
        assert list(run.model.state_dict()) == list(whole.model.state_dict())
        assert run.model._compiled_call_impl is None


# --- precision -----------------------------------------------------------------------------------


def test_double_precision_is_double_throughout() -> None:
    config, model = TrainConfig(steps=20, batch_size=5), Small(dropout=0.0)
    double = Hardware(precision="64-true")
    done = fit(model, points(), plain, config, seed=0, hardware=double)
    other = Small(dropout=0.0).double()
    widened = Pool({"x": points().inputs["x"].double()}, points().labels)
    assert_same_run(done, fit(other, widened, plain, config, seed=0))
    assert predict(model, points()).dtype == torch.float64


def test_half_precision_stays_near_full_precision() -> None:
    config = TrainConfig(steps=20, batch_size=5, learning_rate=0.01, clip_norm=5.0)
    half, whole = (
        trained(config, loss=noisy(points(), gamma=1.0), hardware=hardware)
        for hardware in (Hardware(precision="bf16-mixed"), Hardware())
    )
    assert half.history != whole.history
    assert half.history[-1][1] == pytest.approx(whole.history[-1][1], rel=0.05)
    assert predict(half.model, points()).dtype == torch.float32


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
@pytest.mark.parametrize("kill", [16, 30, 59])
def test_a_killed_run_goes_on_in_its_precision(precision: Any, kill: int, tmp_path: Path) -> None:
    hardware, kept = Hardware(precision=precision), Checkpoint(tmp_path / "run.pt", EVERY)
    with pytest.raises(Killed):
        trained(loss=killed_at(kill, noisy(points())), hardware=hardware, checkpoint=kept)
    assert_same_run(trained(hardware=hardware, checkpoint=kept), trained(hardware=hardware))


# --- a GPU ---------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("more", [{}, {"channels_last": True}, {"deterministic": True}])
def test_a_gpu_learns_as_the_processor_does(more: dict[str, Any]) -> None:
    hardware = replace(Hardware("cuda", micro_batch=2, workers=1), **more)
    found, whole = of_pictures(hardware), of_pictures(Hardware())
    found.model.cpu()
    assert_close_run(found, whole, 1e-8)
    assert found.peak_memory is not None and 0 < found.peak_memory < 2**30


@pytest.mark.gpu
def test_a_deterministic_run_on_a_gpu_repeats_itself() -> None:
    kind = Hardware("cuda", precision="bf16-mixed", channels_last=True, deterministic=True)
    assert_same_run(of_pictures(kind), of_pictures(kind))


@pytest.mark.gpu
def test_a_run_killed_on_a_gpu_goes_on_with_its_dropout_layers(tmp_path: Path) -> None:
    hardware, kept = Hardware("cuda", deterministic=True), Checkpoint(tmp_path / "run.pt", EVERY)
    before = torch.cuda.get_rng_state()
    with pytest.raises(Killed):
        trained(loss=killed_at(30, noisy(points())), hardware=hardware, checkpoint=kept)
    assert_same_run(trained(hardware=hardware, checkpoint=kept), trained(hardware=hardware))
    assert torch.equal(torch.cuda.get_rng_state(), before)
