"""The trainer of each job: vectorised where jobs allow it, alone where they do not."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.method.job import Outcome, TrainingJob, one_by_one
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise
from mke_theory.models import coordinates
from mke_theory.study import trainers
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.trainers import trainer_called, trainer_of
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, TrainConfig
from tests.study.toys import Broken, Maps, Toy, same

TOGETHER = RunConfiguration(trainer="vectorised")
FEW = TrainConfig(steps=8, learning_rate=0.05)
NOISY = Objective(transform=(InputNoise(0.5),))


def model(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return coordinates({"a": (2,), "b": (2,)}, 2, hidden=(4,))


def job(seed: int = 0, **changes: Any) -> TrainingJob:
    draw = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(9, 2, generator=draw) for name in "ab"}
    samples = Pool(inputs, torch.arange(9) % 2)
    return replace(TrainingJob(model(seed), samples, NOISY, FEW, seed), **changes)


def dropping(seed: int = 0) -> TrainingJob:
    """A job whose model draws numbers of its own."""
    return job(seed, model=nn.Sequential(model(seed), nn.Dropout(0.3)))


@dataclass
class Watched:
    """The trainers of the module under test, and the jobs that each was given."""

    side_by_side: list[int]
    alone: list[TrainingJob]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen = Watched([], [])
    stack, plain = trainers.side_by_side, trainers.one_by_one

    def side_by_side(jobs: Sequence[TrainingJob], **named: Any) -> list[Outcome]:
        seen.side_by_side.append(len(jobs))
        return stack(jobs, **named)

    def counted(jobs: Sequence[TrainingJob], **named: Any) -> list[Outcome]:
        seen.alone.extend(jobs)
        return plain(jobs, **named)

    monkeypatch.setattr(trainers, "side_by_side", side_by_side)
    monkeypatch.setattr(trainers, "one_by_one", counted)
    return seen


def close(one: Outcome, other: Outcome) -> bool:
    assert isinstance(one, Fit) and isinstance(other, Fit)
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=1e-5) for a, b in pairs)


# --- the choice ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dropping(Toy):
    """A task whose students of both modalities draw numbers of their own."""

    name: ClassVar[str] = "dropping"

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        made = super().model(problem, modalities, width)
        return nn.Sequential(made, nn.Dropout(0.3)) if len(modalities) > 1 else made


@pytest.mark.parametrize(
    ("task", "trainer"),
    [
        (Toy(), "vectorised"),
        (Maps(), "vectorised"),  # it convolves on small pictures
        (Toy(replace(Toy().recipe, objective=Objective(adjustment=0.5))), "vectorised"),
        (Broken(), "vectorised"),  # seed 1 alone is broken
        (Broken(broken_seed=0), "one by one"),  # its runs say what is wrong
        (Dropping(), "one by one"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_trainer_follows_from_the_jobs_of_a_task(task: Toy, trainer: str) -> None:
    assert trainer_of(task, RunConfiguration()) == trainer


def test_a_trainer_that_is_asked_for_is_taken_and_hardware_can_forbid_it() -> None:
    assert trainer_of(Toy(), RunConfiguration(trainer="one by one")) == "one by one"
    assert trainer_of(Maps(), RunConfiguration(trainer="vectorised")) == "vectorised"
    exact = RunConfiguration(hardware=Hardware(precision="64-true"))
    assert trainer_of(Toy(), exact) == "one by one"


@dataclass(frozen=True)
class Drawn(Toy):
    """A task that counts its draws."""

    name: ClassVar[str] = "drawn"
    count: ClassVar[list[int]] = []

    def problem(self, seed: int) -> Problem:
        self.count.append(seed)
        return super().problem(seed)


def test_the_trainer_of_a_task_is_found_once_a_process_and_data_root() -> None:
    Drawn.count.clear()
    for _ in range(3):
        trainer_of(Drawn(), RunConfiguration())
    assert Drawn.count == [0]
    trainer_of(Drawn().at(Path("elsewhere")), RunConfiguration())  # other data may be larger
    trainer_of(Drawn(), TOGETHER)
    assert Drawn.count == [0, 0]


# --- training ------------------------------------------------------------------------------------


def test_one_by_one_is_the_plain_trainer_with_a_checkpoint_for_each_key(
    tmp_path: Path, watched: Watched
) -> None:
    stored = RunConfiguration(tmp_path, trainer="one by one", checkpoint_every=3)
    first, second = trainer_called("one by one", stored, ["x", "y"])([job(0), job(1)])
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["x.pt", "y.pt"]
    plain = one_by_one([job(0), job(1)])
    for one, other in zip((first, second), plain, strict=True):
        assert isinstance(one, Fit) and isinstance(other, Fit) and same(one.model, other.model)
    assert watched.side_by_side == []


def test_jobs_are_trained_side_by_side_and_models_that_draw_alone(watched: Watched) -> None:
    jobs = [job(0), dropping(), job(1), job(2)]
    found = trainer_called("vectorised", TOGETHER, list("abcd"))(jobs)
    assert watched.side_by_side == [3] and watched.alone == [jobs[1]]
    plain = one_by_one([job(0), dropping(), job(1), job(2)])
    assert all(close(one, other) for one, other in zip(found, plain, strict=True))


def test_the_seconds_of_a_vectorised_fit_are_its_share(watched: Watched) -> None:
    found = trainer_called("vectorised", TOGETHER, list("ab"))([job(0), job(1)])
    seconds = [one.seconds for one in found if isinstance(one, Fit)]
    assert len(seconds) == 2 and seconds[0] == seconds[1] and seconds[0] is not None
    assert seconds[0] > 0


def test_a_job_that_diverges_is_not_tried_again_and_ends_no_other(watched: Watched) -> None:
    wild = replace(FEW, optimizer="sgd", learning_rate=1e30)
    jobs = [job(0), job(1, config=wild), job(2)]
    found = trainer_called("vectorised", TOGETHER, list("abc"))(jobs)
    assert isinstance(found[1], FloatingPointError) and watched.alone == []
    plain = one_by_one([job(0), job(2)])
    assert close(found[0], plain[0]) and close(found[2], plain[1])


class Looking(nn.Module):
    """A model whose step cannot be written down: it looks at the values that it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = model(5)

    def forward(self, inputs: Any) -> Tensor:
        found: Tensor = self.inner(inputs)
        return -found if bool((found > 1e9).any()) else found


def test_a_job_that_is_refused_is_trained_alone_from_its_first_weights(watched: Watched) -> None:
    start = Looking()
    jobs = [job(0), job(3, model=copy.deepcopy(start)), job(2)]
    found = trainer_called("vectorised", TOGETHER, list("abc"))(jobs)
    assert watched.alone == [jobs[1]]
    plain = one_by_one([job(0), job(3, model=start), job(2)])
    assert all(close(one, other) for one, other in zip(found, plain, strict=True))


def test_a_job_that_fails_alone_too_says_its_own_error(watched: Watched) -> None:
    class Failing(Looking):
        def forward(self, inputs: Any) -> Tensor:
            raise RuntimeError("no such layer")

    found = trainer_called("vectorised", TOGETHER, list("ab"))([job(1, model=Failing()), job(0)])
    assert isinstance(found[0], RuntimeError) and str(found[0]) == "no such layer"
    assert isinstance(found[1], Fit)


def test_no_jobs_are_no_work() -> None:
    assert trainer_called("vectorised", TOGETHER, [])([]) == []
    assert trainer_called("one by one", TOGETHER, [])([]) == []
