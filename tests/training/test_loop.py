"""The loop does what a hand-written one does, and a run that was killed ends like one that was not.

Run as a script, this file is one of the processes that the tests start.
"""

from __future__ import annotations

import io
import math
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream, seed_for
from mke_theory.method.losses import cross_entropy
from mke_theory.method.objective import Anchor, Consistency, Objective
from mke_theory.method.student_loss import student_loss
from mke_theory.method.transforms import Compose, InputNoise
from mke_theory.training.batches import batch_rows
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.ema import RunningAverage
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import RULES, Fit, LossFunction, Moment, TrainConfig, fit
from mke_theory.training.predict import predict

STEPS, EVERY = 60, 17
ADAMW = TrainConfig(
    steps=STEPS,
    batch_size=5,
    learning_rate=0.01,
    weight_decay=0.01,
    schedule="cosine",
    warmup_steps=10,
)
SGD = replace(ADAMW, optimizer="sgd", momentum=0.9)
CHOOSY = replace(ADAMW, select="labelled", evaluate_every=15)


class Scalar(nn.Module):
    """w · x, one number a sample."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.weight * inputs["x"]


class Small(nn.Module):
    """An MLP on "x" [n, 3] with a dropout layer of its own."""

    layers: nn.Sequential

    def __init__(self, classes: int = 3, dropout: float = 0.3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.layers = nn.Sequential(
                nn.Linear(3, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, classes)
            )

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.layers(inputs["x"])


def points(n: int = 12, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> Pool:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=draw, dtype=torch.float64).to(dtype)
    return Pool({"x": x}, torch.randint(0, 3, (n,), generator=draw))


def line(x: list[float], y: list[float]) -> Pool:
    return Pool({"x": torch.tensor(x)}, torch.tensor(y))


def squared(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return (model(batch.inputs) - batch.target) ** 2


def plain(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return cross_entropy(model(batch.inputs), batch.target)


def noisy(pool: Pool, gamma: float = 0.0, anchor: Any = "student") -> LossFunction:
    objective = Objective(consistency=Consistency(gamma=gamma), anchor=Anchor(source=anchor))
    return student_loss(objective, Compose((InputNoise(0.5),)).calibrated(pool))


@pytest.fixture(scope="module")
def fabric() -> Any:
    return Hardware().fabric()


def weights(model: nn.Module) -> list[Tensor]:
    return [x.detach().clone() for x in model.state_dict().values()]


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(weights(first), weights(second), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- one step, a schedule, an epoch: by hand -----------------------------------------------------

# At w = 0.5 the losses are (0.5 − 1)² and (1 − 5)², their mean 8.125, its gradient −8.5.
TWO = line([1.0, 2.0], [1.0, 5.0])


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
def test_steps_by_hand(changes: dict[str, Any], steps: int, expected: float, fabric: Any) -> None:
    config = replace(TrainConfig(optimizer="sgd", learning_rate=0.1, steps=steps), **changes)
    model = Scalar(0.5)
    done = fit(model, TWO, squared, config, seed=0, fabric=fabric)
    assert model.weight.item() == pytest.approx(expected, rel=1e-6)
    assert done.model is model and not model.training
    assert (done.steps, done.selected_step, done.selected_score) == (steps, steps, None)
    assert done.rule == "last step"
    if steps == 1:
        assert done.history == ((1, 8.125),)


def test_history_is_the_mean_of_the_whole_batch_before_the_update(fabric: Any) -> None:
    config = TrainConfig(optimizer="sgd", learning_rate=1e-9, steps=101)
    done = fit(Scalar(0.5), TWO, squared, config, seed=0, fabric=fabric)
    assert [step for step, _ in done.history] == [50, 100, 101]
    assert [loss for _, loss in done.history] == pytest.approx([8.125] * 3, rel=1e-5)


WARM_COSINE = TrainConfig(
    steps=5, learning_rate=0.8, schedule="cosine", warmup_steps=2, optimizer="sgd"
)


def test_learning_rates_by_hand() -> None:
    rates = [WARM_COSINE.rate_at(step) for step in range(5)]
    assert rates == pytest.approx([0.4, 0.8, 0.8, 0.6, 0.2])  # cos 0, π/3, 2π/3 after the warm-up
    constant = replace(WARM_COSINE, schedule="constant", warmup_steps=4)
    assert [constant.rate_at(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])


def descend(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return model(batch.inputs)  # the gradient is 1, so w falls by the learning rate


def test_the_optimizer_follows_the_schedule(fabric: Any, tmp_path: Path) -> None:
    model, one = Scalar(), line([1.0], [0.0])
    fit(model, one, descend, WARM_COSINE, seed=0, fabric=fabric)
    assert model.weight.item() == pytest.approx(-(0.4 + 0.8 + 0.8 + 0.6 + 0.2))
    kept = Checkpoint(tmp_path / "run.pt", every=2)
    with pytest.raises(Killed):
        fit(
            Scalar(),
            one,
            killed_at(3, descend),
            WARM_COSINE,
            seed=0,
            fabric=fabric,
            checkpoint=kept,
        )
    again = Scalar()
    fit(again, one, descend, WARM_COSINE, seed=0, fabric=fabric, checkpoint=kept)
    assert same(model, again)


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 45),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 5),
)
def test_every_epoch_meets_every_row_once(n: int, batch_size: int, seed: int, epoch: int) -> None:
    if batch_size >= n:
        assert batch_rows(n, batch_size, seed, epoch) == slice(0, n)
        return
    batches = math.ceil(n / batch_size)
    rows = [batch_rows(n, batch_size, seed, epoch * batches + i) for i in range(batches)]
    sizes = [len(part) for part in rows if isinstance(part, Tensor)]
    assert sizes == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    met = torch.cat([part for part in rows if isinstance(part, Tensor)])
    assert sorted(met.tolist()) == list(range(n))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        parts = [torch.as_tensor(batch_rows(20, 10, seed, 2 * epoch + i)) for i in range(2)]
        return torch.cat(parts).tolist()

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert len({tuple(found) for found in orders}) == 3
    assert order(0, 0) == orders[0]
    assert batch_rows(20, None, 0, 3) == slice(0, 20)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_loop_is_a_plain_torch_loop_to_the_last_bit(optimizer: Any, fabric: Any) -> None:
    pool, seed = points(11), 5
    config = TrainConfig(steps=23, batch_size=4, optimizer=optimizer, learning_rate=0.05)
    model = Small(dropout=0.0)
    fit(model, pool, plain, config, seed=seed, fabric=fabric)

    other = Small(dropout=0.0)
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    stepper = kind(other.parameters(), lr=0.05, weight_decay=0.0)
    for step in range(23):
        epoch, at = divmod(step, 3)
        draw = torch.Generator().manual_seed(seed_for(seed, "order", epoch))
        rows = torch.randperm(11, generator=draw)[4 * at : 4 * at + 4]
        batch = pool[rows]
        stepper.zero_grad()
        (plain(other, batch, Stream(0), Moment()).sum() * (1 / len(rows))).backward()
        stepper.step()
    assert same(model, other)
    reference = torch.nn.functional.cross_entropy(other({"x": pool.inputs["x"]}), pool.labels)
    assert plain(model, pool[:], Stream(0), Moment()).mean().item() == pytest.approx(
        reference.item()
    )


# --- killed and continued ------------------------------------------------------------------------


class Killed(Exception):
    pass


def killed_at(
    step: int, loss: LossFunction, kill: Callable[[], None] | None = None
) -> LossFunction:
    """The loss, until it is asked for the given step (0, 1, …) of this process."""
    calls = iter(range(10**9))

    def deadly(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        if next(calls) == step:
            if kill is not None:
                kill()
            raise Killed
        return loss(model, batch, stream, moment)

    return deadly


def trained(config: TrainConfig, fabric: Any, checkpoint: Checkpoint | None = None) -> Fit:
    select_on = points(9, seed=1) if config.select != "last" else None
    return fit(
        Small(),
        points(),
        noisy(points(), gamma=0.5),
        config,
        seed=3,
        fabric=fabric,
        select_on=select_on,
        checkpoint=checkpoint,
    )


@pytest.fixture(scope="module")
def unbroken(fabric: Any) -> Callable[[TrainConfig], Fit]:
    known: dict[TrainConfig, Fit] = {}

    def result(config: TrainConfig) -> Fit:
        if config not in known:
            known[config] = trained(config, fabric)
        return known[config]

    return result


def assert_same_run(first: Fit, second: Fit) -> None:
    assert same(first.model, second.model)
    assert first.history == second.history
    assert (first.selected_step, first.selected_score) == (
        second.selected_step,
        second.selected_score,
    )


@pytest.mark.parametrize("config", [ADAMW, SGD, CHOOSY], ids=["adamw", "sgd", "selected"])
@pytest.mark.parametrize("kills", [(0,), (16,), (17,), (18,), (33, 1), (59,), (30, 25, 15)])
def test_a_killed_run_ends_like_one_that_was_not(
    config: TrainConfig, kills: tuple[int, ...], fabric: Any, unbroken: Any, tmp_path: Path
) -> None:
    kept = Checkpoint(tmp_path / "deep" / "run.pt", every=EVERY)
    select_on = points(9, seed=1) if config.select != "last" else None
    for step in kills:
        deadly = killed_at(step, noisy(points(), gamma=0.5))
        with pytest.raises(Killed):
            fit(
                Small(),
                points(),
                deadly,
                config,
                seed=3,
                fabric=fabric,
                select_on=select_on,
                checkpoint=kept,
            )
    assert kept.path.exists() is (sum(kills) >= EVERY)
    assert_same_run(trained(config, fabric, kept), unbroken(config))


def test_a_run_killed_by_sigkill_ends_like_one_that_was_not(
    fabric: Any, unbroken: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    child = subprocess.run([sys.executable, __file__, "die", str(path)], env=environment())
    assert child.returncode == -signal.SIGKILL
    assert torch.load(path, weights_only=True)["state"]["step"] == EVERY
    assert_same_run(trained(ADAMW, fabric, Checkpoint(path, EVERY)), unbroken(ADAMW))


def test_a_finished_run_is_only_loaded(fabric: Any, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=1000)
    for config in (ADAMW, CHOOSY):
        kept.path.unlink(missing_ok=True)
        first = trained(config, fabric, kept)
        written = kept.path.read_bytes()
        model = Small()
        with torch.no_grad():
            model.layers[0].weight.zero_()
        select_on = None if config is ADAMW else points(9, seed=1)
        second = fit(
            model,
            points(),
            killed_at(0, plain),
            config,
            seed=3,
            fabric=fabric,
            select_on=select_on,
            checkpoint=kept,
        )
        assert_same_run(first, second)
        assert not model.training
        assert kept.path.read_bytes() == written


def test_how_often_a_run_is_saved_changes_nothing(
    fabric: Any, unbroken: Any, tmp_path: Path
) -> None:
    for every in (7, 30):
        kept = Checkpoint(tmp_path / f"{every}.pt", every=every)
        assert_same_run(trained(CHOOSY, fabric, kept), unbroken(CHOOSY))


@pytest.mark.parametrize("other", ["config", "seed", "samples", "model"])
def test_the_checkpoint_of_another_run_is_refused(other: str, fabric: Any, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    config = replace(ADAMW, steps=3, warmup_steps=0)
    fit(Small(), points(), plain, config, seed=0, fabric=fabric, checkpoint=kept)
    written = kept.path.read_bytes()
    changed = replace(config, learning_rate=0.02) if other == "config" else config
    with pytest.raises(ValueError, match=r"run\.pt is the checkpoint of another run.*remove it"):
        fit(
            Small(4) if other == "model" else Small(),
            points(13) if other == "samples" else points(),
            plain,
            changed,
            seed=1 if other == "seed" else 0,
            fabric=fabric,
            checkpoint=kept,
        )
    assert kept.path.read_bytes() == written


class Evil:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("executed"), "by the checkpoint"))


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    state = torch.load(io.BytesIO(content), weights_only=True)["model"]
    at = content.index(state["layers.0.weight"].numpy().tobytes()) + 3
    yield "empty", b""
    yield "text", b"not a checkpoint\n" * 50
    yield "cut", content[: len(content) // 2]
    yield "tail cut", content[:-100]
    yield "changed", content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for kind, held in (("not ours", [1.0]), ("code", {"fingerprint": Evil()})):
        file = io.BytesIO()
        torch.save(held, file)
        yield kind, file.getvalue()


def test_a_damaged_checkpoint_is_refused_with_the_remedy(
    fabric: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Checkpoint(tmp_path / "run.pt")
    config = replace(ADAMW, steps=3, warmup_steps=0)

    def again() -> Fit:
        return fit(Small(), points(), plain, config, seed=0, fabric=fabric, checkpoint=kept)

    again()
    for kind, content in damaged(kept.path.read_bytes()):
        kept.path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.pt cannot be read.*remove it") as refused:
            again()
        assert "weights_only" not in str(refused.value), kind
    assert not Path("executed").exists()
    kept.path.unlink()
    assert again().steps == 3


def test_a_checkpoint_holds_plain_weights(fabric: Any, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    trained(CHOOSY, fabric, kept)
    content = torch.load(kept.path, weights_only=True)
    assert set(content) == {"model", "optimizer", "state", "fingerprint"}
    assert content["state"]["step"] == STEPS


def test_a_half_written_part_is_harmless(fabric: Any, unbroken: Any, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)
    with pytest.raises(Killed):
        fit(
            Small(),
            points(),
            killed_at(30, noisy(points(), gamma=0.5)),
            ADAMW,
            seed=3,
            fabric=fabric,
            checkpoint=kept,
        )
    half = kept.path.read_bytes()[:300]
    for name in ("run.pt.part", "run.pt.1.part", f"run.pt.{os.getpid()}.part"):
        (tmp_path / name).write_bytes(half)
    assert_same_run(trained(ADAMW, fabric, kept), unbroken(ADAMW))
    assert not (tmp_path / f"run.pt.{os.getpid()}.part").exists()


def test_a_checkpoint_that_cannot_be_written_is_an_error_and_costs_nothing(
    fabric: Any, unbroken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"file.run\.pt cannot be written.*choose another folder"):
        trained(ADAMW, fabric, Checkpoint(tmp_path / "file" / "run.pt"))

    save, calls = torch.save, iter(range(9))

    def full_disk(content: Any, path: Path) -> None:
        if next(calls) == 1:
            path.write_bytes(b"as much as there was room for")
            raise RuntimeError("unexpected pos 64 vs 0")
        save(content, path)

    monkeypatch.setattr(torch, "save", full_disk)
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)
    with pytest.raises(OSError, match=r"cannot be written \(unexpected pos"):
        trained(ADAMW, fabric, kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run.pt"]
    assert torch.load(kept.path, weights_only=True)["state"]["step"] == EVERY
    assert_same_run(trained(ADAMW, fabric, kept), unbroken(ADAMW))


# --- the running average -------------------------------------------------------------------------

SLOPE = TrainConfig(steps=3, optimizer="sgd", learning_rate=1.0)
# Under `descend` w is 0, −1, −2, −3. With decay 0.6 the average takes the plain mean once, for
# 1 − 1/2 < 0.6: −1/2, then 0.6 · −1/2 + 0.4 · −2 = −1.1, then 0.6 · −1.1 + 0.4 · −3 = −1.86.


@pytest.mark.parametrize(
    ("decay", "path"),
    [(0.6, [0, -0.5, -1.1, -1.86]), (0.0, [0, -1, -2, -3]), (1.0, [0, -0.5, -1, -1.5])],
)
def test_the_average_by_hand(decay: float, path: list[float], fabric: Any) -> None:
    met: list[tuple[float, float]] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is not None and not moment.average(batch.inputs).requires_grad
        met.append((float(moment.progress), moment.average(batch.inputs).item()))
        return descend(model, batch, stream, moment)

    one = line([1.0], [0.0])
    for answers, left in (("student", -3.0), ("average", path[3])):
        met.clear()
        model = Scalar()
        done = fit(
            model,
            one,
            watched,
            SLOPE,
            seed=0,
            fabric=fabric,
            average_decay=decay,
            answers=answers,  # type: ignore[arg-type]
        )
        assert done.model is model and not model.training and model.weight.requires_grad
        assert model.weight.item() == pytest.approx(left, rel=1e-6)
        assert [at for at, _ in met] == pytest.approx([0, 1 / 3, 2 / 3])
        assert [value for _, value in met] == pytest.approx(path[:3], rel=1e-6)


def test_no_average_is_kept_unasked(fabric: Any) -> None:
    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is None
        return descend(model, batch, stream, moment)

    fit(Scalar(), line([1.0], [0.0]), watched, SLOPE, seed=0, fabric=fabric)


def averaged(
    config: TrainConfig,
    fabric: Any,
    checkpoint: Checkpoint | None = None,
    loss: LossFunction | None = None,
    decay: float = 0.9,
    answers: Any = "average",
) -> Fit:
    return fit(
        Small(),
        points(),
        loss or noisy(points(), gamma=0.5, anchor="average"),
        config,
        seed=3,
        fabric=fabric,
        select_on=points(9, seed=1) if config.select != "last" else None,
        checkpoint=checkpoint,
        average_decay=decay,
        answers=answers,
    )


@pytest.mark.parametrize("config", [ADAMW, CHOOSY], ids=["adamw", "selected"])
@pytest.mark.parametrize("kills", [(16,), (18,), (33, 1), (59,)])
def test_a_killed_run_goes_on_with_its_average(
    config: TrainConfig, kills: tuple[int, ...], fabric: Any, tmp_path: Path
) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)
    for step in kills:
        deadly = killed_at(step, noisy(points(), gamma=0.5, anchor="average"))
        with pytest.raises(Killed):
            averaged(config, fabric, kept, deadly)
    whole = averaged(config, fabric)
    assert_same_run(averaged(config, fabric, kept), whole)
    # The finished run is only loaded, and its result is the average again.
    assert_same_run(averaged(config, fabric, kept, killed_at(0, plain)), whole)
    assert not same(whole.model, averaged(config, fabric, answers="student").model)


def test_an_average_that_nobody_asks_changes_nothing(fabric: Any, unbroken: Any) -> None:
    alone = averaged(CHOOSY, fabric, loss=noisy(points(), gamma=0.5), answers="student")
    assert_same_run(alone, unbroken(CHOOSY))


def test_the_checkpoint_of_another_average_is_refused(fabric: Any, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    averaged(ADAMW, fabric, kept)
    for other in ({"decay": 0.8}, {"answers": "student"}):
        with pytest.raises(ValueError, match="another run"):
            averaged(ADAMW, fabric, kept, **other)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another run"):
        trained(ADAMW, fabric, kept)


def test_the_average_is_what_is_selected_by(fabric: Any) -> None:
    # w is s/10 after step s, and the plain mean of all so far is half of that.
    config = replace(CLIMB, select="labelled", steps=20)
    lesson = line([0.0], [0.0])
    model = Threshold()
    done = fit(
        model,
        lesson,
        climb,
        config,
        seed=0,
        fabric=fabric,
        select_on=JUDGES,
        average_decay=1.0,
        answers="average",
    )
    # Right while 0.25 < s/20 < 0.65, so at step 12 last; the student itself would be at 1.2.
    assert (done.selected_step, done.selected_score) == (12, 1.0)
    assert model.weight.item() == pytest.approx(0.6)


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.norm(inputs["x"])


def test_buffers_are_copied_and_weights_averaged() -> None:
    student, other = Normalised(), Normalised()
    average = RunningAverage(student, 0.5)
    with torch.no_grad():
        other.norm.weight.fill_(3.0)
        other.norm.running_mean.fill_(7.0)  # type: ignore[union-attr]
        other.norm.num_batches_tracked.fill_(9)  # type: ignore[union-attr]
    average.follow(other, 1)
    found = average.state_dict()
    assert found["model.norm.weight"].tolist() == [2.0] * 3
    assert found["model.norm.running_mean"].tolist() == [7.0] * 3
    assert found["model.norm.num_batches_tracked"].item() == 9
    assert student.norm.weight.tolist() == [1.0] * 3 and student.norm.weight.requires_grad


def test_the_average_trains_as_the_student_does(fabric: Any) -> None:
    # In its own mode a dropout layer would be off, and a model that was set to eval stays so.
    seen: list[bool] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is not None
        seen.extend(module.training for module in moment.average.modules())
        return plain(model, batch, stream, moment)

    model = Small()
    model.eval()
    config = TrainConfig(steps=2)
    fit(model, points(), watched, config, seed=0, fabric=fabric, average_decay=0.5)
    assert all(seen) and not any(module.training for module in model.modules())


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_the_average_answers_in_the_precision_of_the_student(precision: Any) -> None:
    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is not None
        assert moment.average(batch.inputs).dtype == model(batch.inputs).dtype
        return plain(model, batch, stream, moment)

    config, there = TrainConfig(steps=2), Hardware(precision=precision).fabric()
    fit(Small(), points(), watched, config, seed=0, fabric=there, average_decay=0.5)


def test_averages_that_make_no_sense_are_refused(fabric: Any) -> None:
    def refused(**changes: Any) -> None:
        fit(Scalar(), TWO, squared, SLOPE, seed=0, fabric=fabric, **changes)

    with pytest.raises(ValueError, match=r"average_decay is 1\.5; .* \[0, 1\]"):
        refused(average_decay=1.5)
    with pytest.raises(ValueError, match="answers is 'average', but none is kept"):
        refused(answers="average")
    with pytest.raises(ValueError, match="answers is 'teacher'"):
        refused(answers="teacher", average_decay=0.5)


# --- what goes wrong, and what is left alone -----------------------------------------------------


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_loss_that_is_not_finite_is_refused(clip_norm: float | None, fabric: Any) -> None:
    def sour(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return squared(model, batch, stream, moment) / 0.0

    config = TrainConfig(steps=60, learning_rate=0.125, clip_norm=clip_norm)
    with pytest.raises(FloatingPointError, match=r"loss .* step 50 .*learning_rate \(now 0\.125\)"):
        fit(Scalar(0.5), TWO, sour, config, seed=0, fabric=fabric)


def test_a_last_update_that_overflows_is_refused(fabric: Any) -> None:
    def steep(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return 1e30 * model(batch.inputs)

    config = TrainConfig(steps=1, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"a weight .* step 1 .*learning_rate"):
        fit(Scalar(), TWO, steep, config, seed=0, fabric=fabric)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("evaluate_every", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("momentum", 1.0),
        ("momentum", 0.5),  # adamw would not use it
        ("weight_decay", -0.1),
        ("clip_norm", 0.0),
        ("clip_norm", math.nan),
        ("warmup_steps", 1001),
        ("warmup_steps", -1),
        ("optimizer", "adam"),
        ("schedule", "linear"),
        ("select", "best"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field} is {value!r}"):
        replace(TrainConfig(), **{field: value})


def test_a_checkpoint_every_0_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="every is 0"):
        Checkpoint(Path("run.pt"), every=0)


def test_the_global_generators_are_left_alone(fabric: Any, unbroken: Any) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    result = trained(CHOOSY, fabric)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), str(np.random.get_state())) == before[1:]
    assert_same_run(result, unbroken(CHOOSY))  # which began from another state


def test_a_killed_run_leaves_the_global_generator_alone(fabric: Any) -> None:
    before = torch.get_rng_state()
    with pytest.raises(Killed):
        fit(Small(), points(), killed_at(3, noisy(points())), ADAMW, seed=3, fabric=fabric)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_step_draws_anew_and_the_same_again(fabric: Any) -> None:
    drawn: list[float] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        # One number from the stream, one from torch's own generator (for dropout layers).
        drawn.extend([stream.normal(batch.target[:1]).item(), torch.rand(()).item()])
        return squared(model, batch, stream, moment)

    config = TrainConfig(steps=6)
    for seed in (0, 1, 0):
        fit(Scalar(), line([1.0], [1.0]), watched, config, seed=seed, fabric=fabric)
    assert len(set(drawn[:24])) == 24
    assert drawn[24:] == drawn[:12]


def test_another_seed_is_another_run(fabric: Any, unbroken: Any) -> None:
    loss = noisy(points(), gamma=0.5)
    other = fit(Small(), points(), loss, ADAMW, seed=4, fabric=fabric)
    assert not same(other.model, unbroken(ADAMW).model)


def test_the_bar_carries_its_name(fabric: Any, capsys: pytest.CaptureFixture[str]) -> None:
    config = TrainConfig(steps=2)
    fit(Scalar(), TWO, squared, config, seed=0, fabric=fabric, progress="moons um_teacher 0")
    assert "moons um_teacher 0" in capsys.readouterr().err
    fit(Scalar(), TWO, squared, config, seed=0, fabric=fabric)
    assert capsys.readouterr().err == ""


# --- selection -----------------------------------------------------------------------------------


class Threshold(nn.Module):
    """Says 1 where w exceeds the sample's threshold; w starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        score = self.weight - inputs["x"]
        return torch.stack([torch.zeros_like(score), score], dim=1)


def climb(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
    return -model(batch.inputs)[:, 1]  # w grows by the learning rate at every step


CLIMB = TrainConfig(steps=10, optimizer="sgd", learning_rate=0.1, evaluate_every=1)
# w is s/10 after step s. Both are right while 0.25 < w < 0.65: steps 3 to 6.
JUDGES = Pool({"x": torch.tensor([0.25, 0.65, 0.05, 0.95])}, torch.tensor([1, 0, -1, -1]))


@pytest.mark.parametrize("select", ["agreement", "labelled"])
@pytest.mark.parametrize(
    ("every", "best", "score"), [(1, 6, 1.0), (4, 4, 1.0), (7, 10, 0.5), (100, 10, 0.5)]
)
def test_the_best_step_is_known_and_found(
    select: Any, every: int, best: int, score: float, fabric: Any
) -> None:
    config = replace(CLIMB, select=select, evaluate_every=every)
    model, lesson = Threshold(), line([0.0], [0.0])
    done = fit(model, lesson, climb, config, seed=0, fabric=fabric, select_on=JUDGES)
    assert (done.selected_step, done.selected_score, done.steps) == (best, score, 10)
    assert model.weight.item() == pytest.approx(best / 10)
    assert done.rule == RULES[select]
    last = fit(Threshold(), lesson, climb, CLIMB, seed=0, fabric=fabric)
    assert last.model.weight.item() == pytest.approx(1.0)


def test_multi_label_selection_asks_every_question(fabric: Any) -> None:
    class Questions(Threshold):
        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return self.weight - inputs["x"]

    def climb(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return -model(batch.inputs).mean(dim=1)

    # Two samples, two questions; three of four are right while 0.45 < w < 0.75, one is unknown.
    x = torch.tensor([[0.15, 0.45], [0.75, 0.05]])
    truth = torch.tensor([[1, 1], [0, -1]])
    for labels in (truth, truth.float()):
        done = fit(
            Questions(),
            Pool({"x": x}, truth),
            climb,
            replace(CLIMB, select="labelled"),
            seed=0,
            fabric=fabric,
            select_on=Pool({"x": x}, labels),
        )
        assert (done.selected_step, done.selected_score) == (7, 1.0)


def test_selection_reads_some_samples_at_a_time(fabric: Any) -> None:
    """What is selected on may be larger than memory: no look takes all of it."""

    class OnDisk:
        def __init__(self, pool: Pool) -> None:
            self.pool, self.modalities, self.most = pool, pool.modalities, 0

        def __len__(self) -> int:
            return len(self.pool)

        def __getitem__(self, index: Any) -> Batch:
            batch = self.pool[index]
            self.most = max(self.most, len(batch))
            return batch

    wide = torch.rand(1500, 1, generator=torch.Generator().manual_seed(0))
    judges = Pool({"x": wide}, (wide[:, 0] < 0.45).long())
    lesson, config = line([0.0], [0.0]), replace(CLIMB, select="labelled")
    found = []
    for select_on in (judges, OnDisk(judges)):
        done = fit(Threshold(), lesson, climb, config, seed=0, fabric=fabric, select_on=select_on)
        found.append((done.selected_step, done.selected_score))
    assert found[0] == found[1]
    assert isinstance(select_on, OnDisk) and select_on.most == 1024


def test_selection_needs_what_it_selects_on(fabric: Any) -> None:
    lesson = line([0.0], [0.0])
    with pytest.raises(ValueError, match="select is 'agreement': it needs select_on"):
        fit(Threshold(), lesson, climb, replace(CLIMB, select="agreement"), seed=0, fabric=fabric)
    with pytest.raises(ValueError, match="select is 'last': select_on would not be used"):
        fit(Threshold(), lesson, climb, CLIMB, seed=0, fabric=fabric, select_on=JUDGES)
    blind = JUDGES.with_labels(torch.full((4,), -1))
    with pytest.raises(ValueError, match="no known label"):
        config = replace(CLIMB, select="labelled")
        fit(Threshold(), lesson, climb, config, seed=0, fabric=fabric, select_on=blind)


# --- prediction ----------------------------------------------------------------------------------


def test_predict_does_not_depend_on_the_batch_size() -> None:
    model, pool = Small(), points(37)
    model.eval()
    with torch.no_grad():
        whole = model({"x": pool.inputs["x"]})
    for size in (1, 5, 36, 37, 4096):
        torch.testing.assert_close(predict(model, pool, batch_size=size), whole)


def test_predict_leaves_every_part_in_its_mode() -> None:
    model = Small()
    model.train()
    model.layers[2].eval()
    modes = [module.training for module in model.modules()]
    assert torch.equal(predict(model, points()), predict(model, points()))
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(KeyError):
        predict(model, Pool({"y": torch.zeros(2, 3)}, torch.zeros(2, dtype=torch.long)))
    assert [module.training for module in model.modules()] == modes


def test_predictions_can_be_learned_from() -> None:
    logits = predict(Small(), points())
    assert not logits.requires_grad and not logits.is_inference()
    weight = torch.ones((), requires_grad=True)
    (weight * logits).sum().backward()
    assert weight.grad is not None


def test_a_model_without_weights_can_predict() -> None:
    class Fixed(nn.Module):
        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return inputs["x"] * 2

    assert torch.equal(predict(Fixed(), points()), 2 * points().inputs["x"])


# --- precision and processes ---------------------------------------------------------------------


def test_double_precision_is_double_throughout(fabric: Any) -> None:
    config = TrainConfig(steps=20, batch_size=5)
    model = Small(dropout=0.0)
    done = fit(
        model, points(), plain, config, seed=0, fabric=Hardware(precision="64-true").fabric()
    )
    other = Small(dropout=0.0).double()
    widened = Pool({"x": points().inputs["x"].double()}, points().labels)
    reference = fit(other, widened, plain, config, seed=0, fabric=fabric)
    assert same(model, other)
    assert done.history == reference.history
    assert predict(model, points()).dtype == torch.float64


def test_half_precision_stays_near_full_precision(fabric: Any) -> None:
    config = TrainConfig(steps=20, batch_size=5, learning_rate=0.01, clip_norm=5.0)
    half = Hardware(precision="bf16-mixed").fabric()
    found = [
        fit(Small(), points(), noisy(points(), gamma=1.0), config, seed=0, fabric=f)
        for f in (half, fabric)
    ]
    assert found[0].history != found[1].history
    assert found[0].history[-1][1] == pytest.approx(found[1].history[-1][1], rel=0.05)
    assert predict(found[0].model, points()).dtype == torch.float32


# --- batches in pieces, read ahead ---------------------------------------------------------------


def cut(hardware: Hardware, checkpoint: Checkpoint | None = None, loss: Any = None) -> Fit:
    """23 samples in batches of 9, 9 and 5, with noise, consistency, selection and an average."""
    pool = points(23, dtype=torch.float64)
    return fit(
        Small(dropout=0.0).double(),
        pool,
        loss or noisy(pool, 0.5, "average"),
        replace(CHOOSY, batch_size=9, clip_norm=1.0),
        seed=3,
        fabric=hardware.fabric(),
        select_on=points(9, dtype=torch.float64, seed=1),
        checkpoint=checkpoint,
        average_decay=0.9,
    )


@pytest.fixture(scope="module")
def uncut() -> Fit:
    return cut(Hardware())


@pytest.mark.parametrize("micro_batch", [1, 4, 5, 8])  # 9 is 2 + 2 + 2 + 3, …
def test_pieces_add_up_to_the_batch(micro_batch: int, uncut: Fit) -> None:
    pieces = cut(Hardware(micro_batch=micro_batch))
    losses = [torch.tensor([x for _, x in run.history]) for run in (pieces, uncut)]
    torch.testing.assert_close(*losses, rtol=0.0, atol=1e-12)
    for mine, whole in zip(weights(pieces.model), weights(uncut.model), strict=True):
        torch.testing.assert_close(mine, whole, rtol=0.0, atol=1e-12)
    assert pieces.selected_step == uncut.selected_step


def test_a_piece_as_large_as_the_batch_is_the_batch(uncut: Fit) -> None:
    assert_same_run(cut(Hardware(micro_batch=9)), uncut)


def test_the_loss_sees_no_more_than_a_piece(fabric: Any) -> None:
    seen: list[int] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        seen.append(len(batch))
        return squared(model, batch, stream, moment)

    config = TrainConfig(steps=1, optimizer="sgd", learning_rate=0.1)
    pool = line([1.0, 2.0, 0.0, 0.0, 0.0], [1.0, 5.0, 0.0, 0.0, 0.0])
    model, there = Scalar(0.5), Hardware(micro_batch=2).fabric()
    done = fit(model, pool, watched, config, seed=0, fabric=there)
    assert seen == [1, 2, 2]
    # The sum of losses is 16.25 and of gradients −17, over five samples now.
    assert done.history == ((1, pytest.approx(16.25 / 5)),)
    assert model.weight.item() == pytest.approx(0.5 + 0.1 * 17 / 5)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("micro_batch", [None, 4])
def test_who_reads_the_samples_changes_nothing(
    workers: int, micro_batch: int | None, uncut: Fit
) -> None:
    here = uncut if micro_batch is None else cut(Hardware(micro_batch=micro_batch))
    assert_same_run(cut(Hardware(micro_batch=micro_batch, workers=workers)), here)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_killed_run_goes_on_with_workers_and_pieces(tmp_path: Path) -> None:
    pieces, kept = Hardware(micro_batch=4), Checkpoint(tmp_path / "run.pt", every=EVERY)
    whole, ahead = cut(pieces), replace(pieces, workers=2)
    # 9, 9 and 5 samples are 3, 3 and 2 pieces: kills between two steps and inside one.
    for piece in (50, 52, 13):
        loss = noisy(points(23, dtype=torch.float64), 0.5, "average")
        with pytest.raises(Killed):
            cut(ahead, kept, killed_at(piece, loss))
    assert_same_run(cut(ahead, kept), whole)


def test_channels_last_and_deterministic_change_no_result_here(uncut: Fit) -> None:
    assert_same_run(cut(Hardware(channels_last=True, deterministic=True)), uncut)
    assert not torch.are_deterministic_algorithms_enabled()


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


def pictures() -> Pool:
    draw = torch.Generator().manual_seed(2)
    image = torch.randn(12, 2, 6, 6, generator=draw, dtype=torch.float64)
    return Pool({"image": image}, torch.randint(0, 3, (12,), generator=draw))


def of_pictures(hardware: Hardware, loss: LossFunction = plain) -> Fit:
    config = TrainConfig(steps=20, batch_size=5, learning_rate=0.01)
    return fit(Pictures().double(), pictures(), loss, config, seed=0, fabric=hardware.fabric())


def test_channels_last_reaches_inputs_and_weights() -> None:
    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        kind = torch.channels_last
        assert batch.inputs["image"].is_contiguous(memory_format=kind)
        assert all(w.is_contiguous(memory_format=kind) for w in model.parameters() if w.dim() == 4)
        return plain(model, batch, stream, moment)

    whole, last = of_pictures(Hardware()), of_pictures(Hardware(channels_last=True), watched)
    for mine, usual in zip(weights(last.model), weights(whole.model), strict=True):
        torch.testing.assert_close(mine, usual, rtol=0.0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the compiler's own
def test_a_compiled_model_learns_the_same(uncut: Fit) -> None:
    for hardware, whole in (
        (Hardware(compile=True, micro_batch=4), uncut),
        (Hardware(compile=True, channels_last=True), of_pictures(Hardware())),
    ):
        run = cut(hardware) if whole is uncut else of_pictures(hardware)
        losses = [torch.tensor([x for _, x in r.history]) for r in (run, whole)]
        torch.testing.assert_close(*losses, rtol=0.0, atol=1e-10)
        for mine, usual in zip(weights(run.model), weights(whole.model), strict=True):
            torch.testing.assert_close(mine, usual, rtol=0.0, atol=1e-10)
        assert list(run.model.state_dict()) == list(whole.model.state_dict())
        assert run.model._compiled_call_impl is None


@pytest.mark.gpu
def test_a_gpu_learns_as_the_processor_does() -> None:
    whole, there = of_pictures(Hardware()), Hardware("cuda", micro_batch=2, workers=1)
    for more in ({}, {"channels_last": True}, {"deterministic": True}):
        found = of_pictures(replace(there, **more))  # type: ignore[arg-type]
        for mine, usual in zip(weights(found.model), weights(whole.model), strict=True):
            torch.testing.assert_close(mine.cpu(), usual, rtol=0.0, atol=1e-8)
        assert found.peak_memory is not None and 0 < found.peak_memory < 2**30


@pytest.mark.gpu
def test_a_deterministic_run_on_a_gpu_repeats_itself() -> None:
    kind = Hardware("cuda", precision="bf16-mixed", channels_last=True, deterministic=True)
    assert_same_run(of_pictures(kind), of_pictures(kind))


# --- what a run took -----------------------------------------------------------------------------


def test_a_run_says_what_it_took(fabric: Any, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    done = trained(ADAMW, fabric, kept)
    # 12 samples in batches of 5, 5 and 2; 60 steps are 20 epochs of 12 samples.
    assert done.seconds is not None and done.seconds > 0
    assert done.samples_per_second == pytest.approx(20 * 12 / done.seconds)
    assert done.waiting is not None and 0.0 < done.waiting < 1.0
    assert done.peak_memory is not None and done.peak_memory > 0
    again = trained(ADAMW, fabric, kept)
    took = (again.seconds, again.samples_per_second, again.waiting, again.peak_memory)
    assert took == (None, None, None, None)  # nothing was trained


def test_samples_that_have_to_be_waited_for_are_told(
    fabric: Any, monkeypatch: pytest.MonkeyPatch
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

    done = fit(
        Scalar(),
        Late(TWO.inputs, TWO.labels),
        step,
        TrainConfig(steps=5, learning_rate=0.01),
        seed=0,
        fabric=fabric,
    )
    assert (done.seconds, done.waiting, done.samples_per_second) == (20.0, 0.75, 0.5)


def test_a_step_that_needs_too_much_memory_names_what_to_lower() -> None:
    def greedy(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        return squared(model, batch, stream, moment) + torch.zeros(2**59)[: len(batch)]

    config, there = TrainConfig(steps=1, batch_size=2), Hardware(micro_batch=1).fabric()
    with pytest.raises(MemoryError, match=r"--micro-batch .*now 1.* batch_size \(now 2\)"):
        fit(Scalar(), TWO, greedy, config, seed=0, fabric=there)


def test_processes_of_torchrun_have_to_be_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"torchrun started 4 processes, but devices=1 .* makes 1"):
        Hardware().fabric()


@dataclass(frozen=True)
class Setting:
    """A run to be shared by two processes: 11 samples, whose last batch of an epoch is odd."""

    dtype: torch.dtype
    batch_size: int | None
    gamma: float
    tolerance: float
    average_decay: float | None = None
    micro_batch: int | None = None


SHARED = [
    Setting(torch.float32, 4, 0.5, 1e-6),
    Setting(torch.float64, 4, 0.5, 1e-12),
    Setting(torch.float64, None, 0.0, 1e-12),
    Setting(torch.float64, 4, 0.5, 1e-12, average_decay=0.9),
    Setting(torch.float64, None, 0.5, 1e-12, micro_batch=2),
]


def shared_run(setting: Setting, fabric: Any, folder: Path) -> Fit:
    pool = points(11, dtype=setting.dtype)
    return fit(
        Small(dropout=0.0).to(setting.dtype),
        pool,
        noisy(pool, setting.gamma, "student" if setting.average_decay is None else "average"),
        replace(SGD, steps=25, batch_size=setting.batch_size, clip_norm=1.0, select="labelled"),
        seed=3,
        fabric=fabric,
        select_on=points(9, dtype=setting.dtype, seed=1),
        checkpoint=Checkpoint(folder / f"{SHARED.index(setting)}.pt", every=EVERY),
        average_decay=setting.average_decay,
        answers="student" if setting.average_decay is None else "average",
    )


def test_two_processes_train_like_one(fabric: Any, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "share", str(tmp_path)],
            env=environment()
            | {
                "TORCHELASTIC_RUN_ID": "test",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
            },
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=240) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    first, second = (torch.load(tmp_path / f"rank{rank}", weights_only=True) for rank in range(2))
    assert first["refused"] == second["refused"]
    assert first["refused"].startswith("the smallest batch of an epoch has 1 of 11 samples")
    for setting, a, b in zip(SHARED, first["runs"], second["runs"], strict=True):
        alone = shared_run(setting, fabric, tmp_path / "alone")
        assert a["history"] == b["history"]
        assert a["selected"] == b["selected"] == (alone.selected_step, alone.selected_score)
        assert [step for step, _ in a["history"]] == [step for step, _ in alone.history]
        tolerance = setting.tolerance
        losses = [torch.tensor([loss for _, loss in h]) for h in (a["history"], alone.history)]
        torch.testing.assert_close(*losses, rtol=0.0, atol=tolerance)
        for mine, theirs, single in zip(
            a["weights"], b["weights"], weights(alone.model), strict=True
        ):
            assert torch.equal(mine, theirs)
            torch.testing.assert_close(mine, single, rtol=0.0, atol=tolerance)


# --- the processes that the tests start ----------------------------------------------------------


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    return os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def die(path: Path) -> None:
    """Train until SIGKILL comes in the middle of step 30."""
    deadly = killed_at(
        30, noisy(points(), gamma=0.5), kill=lambda: os.kill(os.getpid(), signal.SIGKILL)
    )
    fabric = Hardware().fabric()
    fit(Small(), points(), deadly, ADAMW, seed=3, fabric=fabric, checkpoint=Checkpoint(path, EVERY))


def share(folder: Path) -> None:
    """Be one of two processes, and write down what came out."""
    runs = []
    for setting in SHARED:
        fabric = Hardware(devices=2, micro_batch=setting.micro_batch).fabric()
        # What the other processes say about checkpoints does not count: the first one's is used.
        own = folder if fabric.is_global_zero else folder / "elsewhere"
        runs.append(shared_run(setting, fabric, own))
    try:
        fit(Small(), points(11), plain, replace(ADAMW, batch_size=5), seed=0, fabric=fabric)
        refused = "not refused"
    except ValueError as problem:
        refused = str(problem)
    content = [
        {
            "weights": weights(done.model),
            "history": done.history,
            "selected": (done.selected_step, done.selected_score),
        }
        for done in runs
    ]
    torch.save({"runs": content, "refused": refused}, folder / f"rank{fabric.global_rank}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"die": die, "share": share}[sys.argv[1]](Path(sys.argv[2]))
