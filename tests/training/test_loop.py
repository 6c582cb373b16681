"""The loop does what a hand-written one does, and leaves alone what is not its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream, seed_for
from mke_theory.models import coordinates
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Moment, TrainConfig, fit
from tests.training.small_runs import (
    ADAMW,
    TWO,
    WHOLE,
    Killed,
    Scalar,
    Small,
    assert_same_run,
    descend,
    global_generators,
    killed_at,
    line,
    noisy,
    plain,
    points,
    same,
    squared,
    trained,
    unbroken,
)

# --- one step, a schedule, a whole run: by hand --------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "steps", "expected"),
    [
        ({}, 1, 0.5 + 0.1 * 8.5),
        ({"weight_decay": 0.2}, 1, 0.5 + 0.1 * (8.5 - 0.2 * 0.5)),
        ({"clip_norm": 2.0}, 1, 0.5 + 0.1 * 2.0),
        ({"clip_norm": 100.0}, 1, 0.5 + 0.1 * 8.5),
        # The second gradient, at 1.35, is (0.7 − 9.2)/2 = −4.25.
        ({}, 2, 1.35 + 0.1 * 4.25),
        ({"momentum": 0.9}, 2, 1.35 + 0.1 * (0.9 * 8.5 + 4.25)),
        # Adam's first step has the length of the learning rate whatever the gradient.
        ({"optimizer": "adamw", "weight_decay": 0.2}, 1, 0.5 * (1 - 0.1 * 0.2) + 0.1),
    ],
)
def test_steps_by_hand(changes: dict[str, Any], steps: int, expected: float) -> None:
    config = replace(TrainConfig(optimizer="sgd", learning_rate=0.1, steps=steps), **changes)
    model = Scalar(0.5)
    done = fit(model, TWO, squared, config, seed=0)
    assert model.weight.item() == pytest.approx(expected, rel=1e-6)
    assert done.model is model and not model.training
    assert done.steps == steps
    assert [step for step, _ in done.history] == [steps]


def test_history_is_the_mean_of_the_whole_batch_before_the_update() -> None:
    config = TrainConfig(optimizer="sgd", learning_rate=1e-9, steps=101)
    done = fit(Scalar(0.5), TWO, squared, config, seed=0)
    assert [step for step, _ in done.history] == [50, 100, 101]
    assert [loss for _, loss in done.history] == pytest.approx([8.125] * 3, rel=1e-5)
    once = replace(config, steps=1, learning_rate=0.1)
    assert fit(Scalar(0.5), TWO, squared, once, seed=0).history == ((1, 8.125),)


WARM_COSINE = TrainConfig(
    steps=5, learning_rate=0.8, schedule="cosine", warmup_steps=2, optimizer="sgd"
)


def test_learning_rates_by_hand() -> None:
    rates = [WARM_COSINE.rate_at(step) for step in range(5)]
    assert rates == pytest.approx([0.4, 0.8, 0.8, 0.6, 0.2])  # cos 0, π/3, 2π/3 after the warm-up
    constant = replace(WARM_COSINE, schedule="constant", warmup_steps=4)
    assert [constant.rate_at(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])


def test_the_optimizer_follows_the_schedule() -> None:
    model = Scalar()
    fit(model, line([1.0], [0.0]), descend, WARM_COSINE, seed=0)
    assert model.weight.item() == pytest.approx(-(0.4 + 0.8 + 0.8 + 0.6 + 0.2))


def test_the_loss_is_given_the_share_of_steps_that_are_done() -> None:
    met: list[float] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        met.append(float(moment.progress))
        return descend(model, batch, stream, moment)

    fit(Scalar(), line([1.0], [0.0]), watched, TrainConfig(steps=4), seed=0)
    assert met == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("batch_size", [4, None])
def test_the_loop_is_a_plain_torch_loop_to_the_last_bit(
    optimizer: Any, batch_size: int | None
) -> None:
    pool, seed = points(11), 5
    config = TrainConfig(23, batch_size, optimizer=optimizer, learning_rate=0.05)
    model = Small(dropout=0.0)
    fit(model, pool, plain, config, seed=seed)

    other = Small(dropout=0.0)
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    rule = kind(other.parameters(), lr=0.05, weight_decay=0.0)
    for step in range(23):
        epoch, at = divmod(step, 3)
        draw = torch.Generator().manual_seed(seed_for(seed, "order", epoch))
        rows = torch.randperm(11, generator=draw)[4 * at : 4 * at + 4]
        batch = pool[:] if batch_size is None else pool[rows]
        rule.zero_grad()
        logits = other(batch.inputs)
        losses = nn.functional.cross_entropy(logits, batch.target, reduction="none")
        (losses.sum() * (1 / len(batch))).backward()
        rule.step()
    assert same(model, other)


@pytest.mark.parametrize("batch_size", [5, None])
def test_noise_is_drawn_from_a_seed_of_the_step(batch_size: int | None) -> None:
    drawn: list[Tensor] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        drawn.append(stream.normal(batch.inputs["x"]))
        return plain(model, batch, stream, moment)

    config = TrainConfig(steps=3, batch_size=batch_size)
    fit(Small(), points(10), watched, config, seed=6)
    assert len(drawn) == 3
    for step, found in enumerate(drawn):
        stream = Stream(seed_for(6, "step", step))
        assert torch.equal(found, stream.normal(torch.empty(batch_size or 10, 3)))


def test_every_step_draws_anew_and_the_same_again() -> None:
    drawn: list[float] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        # One number from the stream, one from torch's own generator (for dropout layers).
        drawn.extend([stream.uniform(batch.inputs["x"]).item(), torch.rand(()).item()])
        return squared(model, batch, stream, moment)

    for seed in (0, 1, 0):
        fit(Scalar(), line([1.0], [1.0]), watched, TrainConfig(steps=6), seed=seed)
    assert len(set(drawn[:24])) == 24
    assert drawn[24:] == drawn[:12]


def test_another_seed_is_another_run() -> None:
    assert not same(trained(seed=4).model, unbroken().model)


# --- what is the same at every step --------------------------------------------------------------


class Counted(Pool):
    """Samples that count how often they are read."""

    reads = 0

    def __getitem__(self, index: Any) -> Batch:
        Counted.reads += 1
        return super().__getitem__(index)


@pytest.mark.parametrize(("batch_size", "reads"), [(None, 1), (12, 1), (13, 1), (11, 6)])
def test_a_batch_of_all_samples_is_read_once(batch_size: int | None, reads: int) -> None:
    pool = Counted(points().inputs, points().labels)
    Counted.reads = 0
    fit(Small(), pool, plain, TrainConfig(steps=6, batch_size=batch_size), seed=0)
    assert Counted.reads == reads


@pytest.mark.parametrize(
    ("batch_size", "looks"), [(None, [True, False, False]), (2, [True, True, True])]
)
def test_what_was_searched_for_missing_modalities_is_not_searched_again(
    batch_size: int | None, looks: list[bool]
) -> None:
    model, seen = coordinates({"x": (3,)}, 3, hidden=()), []

    def watched(of: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        seen.append(model.inspects)
        return plain(of, batch, stream, moment)

    fit(model, points(), watched, TrainConfig(steps=3, batch_size=batch_size), seed=0)
    assert seen == looks
    assert model.inspects
    with pytest.raises(Killed):
        fit(model, points(), killed_at(2, watched), TrainConfig(steps=3), seed=0)
    assert model.inspects


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_missing_modality_is_named(batch_size: int | None) -> None:
    x = points().inputs["x"].clone()
    x[7] = math.nan
    model, pool = coordinates({"x": (3,)}, 3, hidden=()), Pool({"x": x}, points().labels)
    with pytest.raises(ValueError, match=r"modality 'x' is missing in some samples"):
        fit(model, pool, plain, TrainConfig(steps=6, batch_size=batch_size), seed=0)


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_loss_that_is_not_finite_is_refused(clip_norm: float | None) -> None:
    def sour(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return squared(model, batch, stream, moment) / 0.0

    config = TrainConfig(steps=60, learning_rate=0.125, clip_norm=clip_norm)
    with pytest.raises(
        FloatingPointError,
        match=rf"the loss .* step 50 .*learning_rate \(now 0\.125\).*clip_norm \(now {clip_norm}\)",
    ):
        fit(Scalar(0.5), TWO, sour, config, seed=0)


def test_a_last_update_that_overflows_is_refused() -> None:
    def steep(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return 1e30 * model(batch.inputs)

    config = TrainConfig(steps=1, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"a weight .* step 1 .*learning_rate"):
        fit(Scalar(), TWO, steep, config, seed=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("momentum", 1.0),
        ("momentum", 0.5),  # adamw would not use it
        ("weight_decay", -0.1),
        ("weight_decay", math.nan),
        ("clip_norm", 0.0),
        ("clip_norm", math.nan),
        ("warmup_steps", 1001),
        ("warmup_steps", -1),
        ("optimizer", "adam"),
        ("schedule", "linear"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field} is {value!r}"):
        replace(TrainConfig(), **{field: value})


def test_a_step_that_needs_too_much_memory_names_what_to_lower() -> None:
    def greedy(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return squared(model, batch, stream, moment) + torch.zeros(2**59)[: len(batch)]

    config = TrainConfig(steps=1, batch_size=2)
    with pytest.raises(MemoryError, match=r"--micro-batch .*now 1.* batch_size \(now 2\)"):
        fit(Scalar(), TWO, greedy, config, seed=0, hardware=Hardware(micro_batch=1))


def test_gradients_of_an_earlier_use_do_not_count() -> None:
    model = Scalar(0.5)
    model.weight.grad = torch.tensor(1000.0)
    fit(model, TWO, squared, TrainConfig(1, optimizer="sgd", learning_rate=0.1), seed=0)
    assert model.weight.item() == pytest.approx(1.35)
    assert model.weight.grad is None


# --- what is left alone --------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ADAMW, WHOLE], ids=["batches", "whole"])
def test_the_global_generators_are_left_alone(config: TrainConfig) -> None:
    torch.manual_seed(11)
    before = global_generators()
    result = trained(config)
    assert global_generators() == before
    torch.manual_seed(12)
    assert_same_run(trained(config), result)  # which began from another state


def test_a_killed_run_leaves_the_global_generators_alone() -> None:
    before = global_generators()
    with pytest.raises(Killed):
        trained(loss=killed_at(3, noisy(points())))
    assert global_generators() == before


def test_the_bar_carries_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    config = TrainConfig(steps=2)
    fit(Scalar(), TWO, squared, config, seed=0, progress="moons um_teacher 0")
    assert "moons um_teacher 0" in capsys.readouterr().err
    fit(Scalar(), TWO, squared, config, seed=0)
    assert capsys.readouterr().err == ""


# --- what a run took -----------------------------------------------------------------------------


def test_a_run_says_what_it_took(tmp_path: Any) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    done = trained(checkpoint=kept)
    # 12 samples in batches of 5, 5 and 2; 60 steps are 20 epochs of 12 samples.
    assert done.seconds is not None and done.seconds > 0
    assert done.samples_per_second == pytest.approx(20 * 12 / done.seconds)
    assert done.waiting is not None and 0.0 < done.waiting < 1.0
    assert done.peak_memory is not None and done.peak_memory > 20 * 2**20  # torch alone takes more
    again = trained(checkpoint=kept)
    took = (again.seconds, again.samples_per_second, again.waiting, again.peak_memory)
    assert took == (None, None, None, None)  # nothing was trained


@pytest.mark.parametrize(
    ("batch_size", "seconds", "waiting", "speed"),
    # Reading takes 3 seconds and a step 1: five of both, or one and five.
    [(1, 20.0, 15 / 20, 5 / 20), (None, 8.0, 3 / 8, 10 / 8)],
)
def test_time_spent_waiting_for_samples_is_reported(
    batch_size: int | None,
    seconds: float,
    waiting: float,
    speed: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    class Late(Pool):
        def __getitem__(self, index: Any) -> Batch:
            now[0] += 3.0
            return super().__getitem__(index)

    def step(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        now[0] += 1.0
        return squared(model, batch, stream, moment)

    pool = Late(TWO.inputs, TWO.labels)
    done = fit(Scalar(), pool, step, TrainConfig(5, batch_size, learning_rate=0.01), seed=0)
    assert (done.seconds, done.waiting, done.samples_per_second) == (seconds, waiting, speed)
