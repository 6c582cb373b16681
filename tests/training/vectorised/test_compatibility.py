"""Jobs that go together, and jobs that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.pool import Pool
from mke_theory.method.augmentation import CropFlip
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Consistency, Objective
from mke_theory.method.transforms import GaussianNoise, InputNoise
from mke_theory.models import ConvEncoder, coordinates, multimodal
from mke_theory.training.loop import TrainConfig
from mke_theory.training.vectorised.compatibility import kind_of, ready, reason_against


def job(seed: int = 0, n: int = 10, **changes: Any) -> TrainingJob:
    torch.manual_seed(seed)
    pool = Pool({"x": torch.randn(n, 2)}, torch.arange(n) % 2)
    model = coordinates({"x": (2,)}, 2, hidden=(3,))
    made = TrainingJob(
        model, pool, Objective(transform=(GaussianNoise(0.5),)), TrainConfig(5), seed
    )
    return replace(made, **changes)


def test_numbers_alone_make_no_other_kind() -> None:
    other = job(
        1,
        n=14,
        objective=Objective(transform=(GaussianNoise(2.0),)),
        config=TrainConfig(5, learning_rate=0.5),
    )
    assert kind_of(job()) == kind_of(other)
    whole = job(config=TrainConfig(5, batch_size=99))
    assert kind_of(job()) == kind_of(whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": TrainConfig(6)},
        {"config": TrainConfig(5, batch_size=4)},
        {"config": TrainConfig(5, optimizer="sgd")},
        {"objective": Objective()},
        {"objective": Objective(transform=(InputNoise(0.5),))},
        {
            "objective": Objective(
                transform=(GaussianNoise(0.5),), consistency=Consistency(gamma=1.0)
            )
        },
        {"model": coordinates({"x": (2,)}, 2, hidden=(4,))},
        {"model": coordinates({"x": (2,)}, 2, hidden=(3,)).requires_grad_(False)},
        {"samples": Pool({"x": torch.ones(10, 2).double()}, torch.zeros(10).long())},
    ],
)
def test_all_else_does(changes: dict[str, Any]) -> None:
    assert kind_of(job()) != kind_of(job(**changes))


def test_a_hook_makes_another_kind() -> None:
    def turned(module: nn.Module, inputs: Any, outputs: torch.Tensor) -> torch.Tensor:
        return -outputs

    hooked, alike = job(), job(1)
    for one in (hooked, alike):
        one.model.register_forward_hook(turned)
    assert kind_of(hooked) != kind_of(job()) and kind_of(hooked) == kind_of(alike)
    before = job()
    before.model.register_forward_pre_hook(lambda module, inputs: None)
    assert kind_of(before) != kind_of(job())


def test_what_is_read_off_the_samples() -> None:
    labels = torch.tensor([0, 0, 0, 1, -1, -1, -1, -1, -1, -1])
    objective = Objective(transform=(InputNoise(0.5),), adjustment=0.5)
    one = ready(job(samples=Pool({"x": torch.full((10, 2), 3.0)}, labels), objective=objective))
    assert one.shares is not None and one.shares.tolist() == [0.75, 0.25]
    (noise,) = one.transforms[0].steps
    assert noise.scale == (("x", 3.0),)  # type: ignore[attr-defined]
    assert ready(job()).shares is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": nn.Sequential(coordinates({"x": (2,)}, 2, hidden=()), nn.Dropout())}, "Dropout"),
        ({"objective": Objective(augment=(CropFlip(),))}, "augment is"),
    ],
)
def test_reasons_to_train_a_job_alone(changes: dict[str, Any], message: str) -> None:
    assert reason_against(job()) is None
    against = reason_against(job(**changes))
    assert against is not None and message in against
    with pytest.raises(ValueError, match=f"{message}.*train one by one"):
        ready(job(**changes))


def test_large_pictures_large_models_and_samples_on_disk_are_said_not_to_pay(
    tmp_path: Path,
) -> None:
    def pictures(side: int) -> TrainingJob:
        model = multimodal({"x": ConvEncoder((1, side, side))}, 2)
        pool = Pool({"x": torch.randn(4, 1, side, side)}, torch.zeros(4).long())
        return job(model=model, samples=pool)

    assert reason_against(pictures(64)) is None
    assert "4225 numbers" in str(reason_against(pictures(65)))
    np.save(tmp_path / "x.npy", np.ones((10, 2), np.float32))
    stored = Stored(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert "from disk" in str(
        reason_against(job(samples=Pool({"x": stored}, torch.zeros(10).long())))
    )
    in_memory = Pool({"x": Stored(torch.ones(10, 2))}, torch.zeros(10).long())
    assert reason_against(job(samples=in_memory)) is None
    large = coordinates({"x": (2,)}, 2, hidden=(2048, 2048))
    assert "4206594 weights" in str(reason_against(job(model=large)))
