"""The benchmark of the engine runs, and counts what a step has to do as one does by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks import real
from mke_theory.data.pool import Batch
from mke_theory.training.hardware import Hardware


class OneConvolution(nn.Module):
    """Three classes from the five channels of "image", pixel by pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Conv2d(5, 3, 1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.classify(inputs["image"])


def test_the_work_of_a_step_by_hand() -> None:
    batch = Batch({"image": torch.randn(2, 5, 4, 4)}, torch.zeros(2, 4, 4, dtype=torch.long))
    model = OneConvolution()
    work = real.work_of(model, batch, Hardware().fabric())
    # Each of 32 pixels: 5 × 3 products and sums forward, and as many for the weights' gradient.
    assert work.operations == 2 * (2 * 32 * 15)
    # 160 floats and 32 class numbers come in; 18 weights move ten times; logits, at least, are kept
    least = 160 * 4 + 32 * 8 + 10 * 18 * 4 + 2 * (96 * 4)
    assert least <= work.bytes <= least + 2 * 4 * (96 * 4)
    assert all(weight.grad is None for weight in model.parameters())


def test_the_floor_is_the_larger_of_two_times() -> None:
    work = real.Work(operations=600.0, bytes=100.0)
    assert work.floor(speed=200.0, bandwidth=100.0) == 3.0
    assert work.floor(speed=200.0, bandwidth=20.0) == 5.0


def turn(**changes: float) -> real.Turn:
    usual = {"reading": 9.0, "step": 4.0, "both": 4.0, "waiting": 0.02}
    return real.Turn(**usual | {"speed": 200.0, "bandwidth": 100.0} | changes)  # type: ignore[arg-type]


def test_shares_and_verdict_by_hand() -> None:
    work, options = real.Work(600.0, 100.0), real.Options(device="cuda", batch=20)
    turns = [turn(), turn(step=5.0), turn(speed=300.0)]
    # A step takes 5, 4 and 5 s; its floor is 3, 3 and 2 s.
    assert real.shares(turns, work, options) == pytest.approx([0.6, 0.75, 0.4])
    text = real.verdict(turns, work, options)
    assert "waiting 2.0% (goal: below 5%): met" in text
    assert "floor / step 60% (goal: 60% or more): met" in text
    assert "that of its operations" in text
    slow = real.verdict([turn(waiting=0.2, step=1.0, bandwidth=10.0)], work, options)
    assert "waiting 20.0% (goal: below 5%): not met" in slow and "of its bytes" in slow
    shown = real.table(turns, work, options)
    assert shown.loc["floor / step, %"].tolist() == ["60", "50 to 67.5", "3"]


@pytest.mark.parametrize("asked", [{"batch": 0}, {"pictures": 3}, {"turns": 0}, {"seconds": 0.0}])
def test_what_cannot_be_measured_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(asked))} is"):
        real.Options(**asked)


def test_a_small_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    small = "--size 16 --width 2 --batch 2 --pictures 4 --seconds 0.02 --turns 2"
    more = "--loader-workers 1 --channels-last"
    assert real.main(["--quick", *small.split(), *more.split()]) == 0
    text = capsys.readouterr().out
    assert f"torch {torch.__version__}" in text and "batches of 2" in text
    for row in ("reading alone", "step alone", "both", "waiting", "floor of the step"):
        assert row in text
    assert "goals (waiting, and floor over step) are for a GPU" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert real.main(["--quick", "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
