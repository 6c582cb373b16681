"""The running average of the weights: its numbers, its precision, its place in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch
from mke_theory.data.rng import Stream
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.ema import RunningAverage, share_kept
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, LossFunction, Moment, TrainConfig, fit
from tests.training.small_runs import (
    ADAMW,
    EVERY,
    TWO,
    WHOLE,
    Killed,
    Scalar,
    Small,
    assert_same_run,
    descend,
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

SLOPE = TrainConfig(steps=3, optimizer="sgd", learning_rate=1.0)

# --- by hand -------------------------------------------------------------------------------------


def test_shares_by_hand() -> None:
    assert [share_kept(t, 0.7) for t in (1, 2, 3, 9)] == pytest.approx([1 / 2, 2 / 3, 0.7, 0.7])
    assert [share_kept(t, 1.0) for t in (1, 9)] == pytest.approx([0.5, 0.9])
    assert share_kept(5, 0.0) == 0.0


# Under `descend` w is 0, −1, −2, −3. With decay 0.6 the average takes the plain mean once, for
# 1 − 1/2 < 0.6: −1/2, then 0.6 · −1/2 + 0.4 · −2 = −1.1, then 0.6 · −1.1 + 0.4 · −3 = −1.86.
@pytest.mark.parametrize(
    ("decay", "path"),
    [(0.6, [0, -0.5, -1.1, -1.86]), (0.0, [0, -1, -2, -3]), (1.0, [0, -0.5, -1, -1.5])],
)
@pytest.mark.parametrize("answers", ["student", "average"])
def test_the_average_by_hand(decay: float, path: list[float], answers: Any) -> None:
    met: list[tuple[float, float]] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is not None and not moment.average(batch.inputs).requires_grad
        met.append((float(moment.progress), moment.average(batch.inputs).item()))
        return descend(model, batch, stream, moment)

    one, model = line([1.0], [0.0]), Scalar()
    done = fit(model, one, watched, SLOPE, seed=0, average_decay=decay, answers=answers)
    assert done.model is model and not model.training and model.weight.requires_grad
    left = -3.0 if answers == "student" else path[3]
    assert model.weight.item() == pytest.approx(left, rel=1e-6)
    assert [at for at, _ in met] == pytest.approx([0, 1 / 3, 2 / 3])
    assert [value for _, value in met] == pytest.approx(path[:3], rel=1e-6)


def test_no_average_is_kept_unasked() -> None:
    met: list[nn.Module | None] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        met.append(moment.average)
        return descend(model, batch, stream, moment)

    fit(Scalar(), line([1.0], [0.0]), watched, SLOPE, seed=0)
    assert met == [None] * 3


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


# --- in a run ------------------------------------------------------------------------------------


def averaged(
    config: TrainConfig = ADAMW,
    *,
    checkpoint: Checkpoint | None = None,
    loss: LossFunction | None = None,
    decay: float = 0.9,
    answers: Any = "average",
) -> Fit:
    return fit(
        Small(),
        points(),
        loss or noisy(points(), anchor="average"),
        config,
        seed=3,
        checkpoint=checkpoint,
        average_decay=decay,
        answers=answers,
    )


@pytest.mark.parametrize("config", [ADAMW, WHOLE], ids=["batches", "whole"])
@pytest.mark.parametrize("kills", [(16,), (18,), (33, 1), (59,)])
def test_a_killed_run_goes_on_with_its_average(
    config: TrainConfig, kills: tuple[int, ...], tmp_path: Path
) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)
    for step in kills:
        deadly = killed_at(step, noisy(points(), anchor="average"))
        with pytest.raises(Killed):
            averaged(config, checkpoint=kept, loss=deadly)
    whole = averaged(config)
    assert_same_run(averaged(config, checkpoint=kept), whole)
    # The finished run is only loaded, and its result is the average again.
    assert_same_run(averaged(config, checkpoint=kept, loss=killed_at(0, plain)), whole)
    assert not same(whole.model, averaged(config, answers="student").model)


def test_an_average_that_nobody_asks_changes_nothing() -> None:
    assert_same_run(averaged(loss=noisy(points()), answers="student"), unbroken())


def test_the_checkpoint_of_another_average_is_refused(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    averaged(checkpoint=kept)
    with pytest.raises(ValueError, match="another run"):
        averaged(checkpoint=kept, decay=0.8)
    with pytest.raises(ValueError, match="another run"):
        averaged(checkpoint=kept, answers="student")
    with pytest.raises(ValueError, match="another run"):
        trained(checkpoint=kept)


def test_the_average_trains_as_the_student_does() -> None:
    # In its own mode a dropout layer would be off, and a model that was set to eval stays so.
    seen: list[bool] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is not None
        seen.extend(module.training for module in moment.average.modules())
        return plain(model, batch, stream, moment)

    model = Small()
    model.eval()
    fit(model, points(), watched, TrainConfig(steps=2), seed=0, average_decay=0.5)
    assert len(seen) == 2 * 7 and all(seen)  # the average, its model, a sequence of four layers
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("32-true", torch.float32), ("64-true", torch.float64), ("bf16-mixed", torch.float32)],
)
def test_the_average_answers_in_the_precision_of_the_student(
    precision: Any, kind: torch.dtype
) -> None:
    met: list[tuple[torch.dtype, torch.dtype]] = []

    def watched(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        assert moment.average is not None
        met.append((moment.average(batch.inputs).dtype, model(batch.inputs).dtype))
        return plain(model, batch, stream, moment)

    config, hardware = TrainConfig(steps=2), Hardware(precision=precision)
    fit(Small(), points(), watched, config, seed=0, hardware=hardware, average_decay=0.5)
    assert met == [(kind, kind)] * 2


def test_averages_that_make_no_sense_are_refused() -> None:
    def refused(decay: float | None, answers: Any = "student") -> None:
        fit(Scalar(), TWO, squared, SLOPE, seed=0, average_decay=decay, answers=answers)

    with pytest.raises(ValueError, match=r"average_decay is 1\.5; .* \[0, 1\]"):
        refused(1.5)
    with pytest.raises(ValueError, match="answers is 'average', but none is kept"):
        refused(None, "average")
    with pytest.raises(ValueError, match="answers is 'teacher'"):
        refused(0.5, "teacher")
