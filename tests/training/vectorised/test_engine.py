"""Jobs trained side by side end as those of `fit`."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Anchor, Consistency, Objective, PseudoLabelTerm
from mke_theory.method.transforms import (
    Dropout,
    FeatureMasking,
    GaussianNoise,
    HiddenNoise,
    InputNoise,
    ModalityDropout,
    Transform,
)
from mke_theory.models import ConvEncoder, coordinates, multimodal
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.vectorised.engine import side_by_side

STEPS = 40


def pool(n: int, seed: int) -> Pool:
    draw = torch.Generator().manual_seed(seed)
    inputs = {
        "a": torch.randn(n, 3, generator=draw, dtype=torch.float64),
        "b": torch.randn(n, 2, generator=draw, dtype=torch.float64),
    }
    return Pool(inputs, torch.randint(0, 3, (n,), generator=draw))


def model(seed: int, missing: Any = "refuse") -> nn.Module:
    torch.manual_seed(seed)
    return coordinates({"a": (3,), "b": (2,)}, 3, hidden=(8, 6), missing=missing).double()


def scaled(step: Transform, factor: float) -> Transform:
    own = {
        name: getattr(step, name) * factor
        for name in ("strength", "sigma", "probability")
        if hasattr(step, name)
    }
    return replace(step, **own)


OBJECTIVES = {
    "mke": Objective(transform=(InputNoise(1.0),)),
    "regularised": Objective(
        transform=(InputNoise(1.0), FeatureMasking(0.3)), consistency=Consistency(gamma=1.0)
    ),
    "kl, clean": Objective(
        transform=(GaussianNoise(0.5),),
        consistency=Consistency(gamma=1.0, distance="kl"),
        pseudo_labels=PseudoLabelTerm(view="clean"),
    ),
    "modality dropout": Objective(transform=(ModalityDropout(0.4),)),
    "features": Objective(transform=(HiddenNoise(0.5), Dropout(0.2))),
    "mean teacher": Objective(
        transform=(InputNoise(1.0),),
        anchor=Anchor(transform=(InputNoise(0.5),), source="average", decay=0.9),
        consistency=Consistency(gamma=2.0, ramp=0.5),
        answers="average",
    ),
    "fixmatch": Objective(
        transform=(InputNoise(1.0),),
        anchor=Anchor(transform=(InputNoise(0.1),), source="stopped"),
        consistency=Consistency(gamma=1.0, distance="hard", certainty=0.4),
    ),
    "entropy": Objective(
        consistency=Consistency(gamma=1.0, distance="cross_entropy"),
        anchor=Anchor(transform="same"),
    ),
    "soft": Objective(
        pseudo_labels=PseudoLabelTerm(kind="soft", temperature=2.0), transform=(InputNoise(1.0),)
    ),
}
CONFIGS = {
    "sgd": TrainConfig(STEPS, optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": TrainConfig(
        STEPS,
        batch_size=16,
        learning_rate=0.01,
        weight_decay=0.1,
        clip_norm=0.5,
        schedule="cosine",
        warmup_steps=10,
    ),
}


def jobs(objective: Objective, config: TrainConfig, count: int = 3) -> list[TrainingJob]:
    """Jobs that differ in data, size of pool, weights, seed, rate and strength of T."""
    made = []
    for i in range(count):
        samples = pool(40 + 5 * i, i)
        if objective.pseudo_labels.kind == "soft":
            soft = torch.softmax(pool(len(samples), 50 + i).inputs["a"], dim=1)
            samples = samples.with_labels(soft)
        if objective.consistency.gamma > 0:
            labels = samples.labels.clone()
            labels[10:30] = UNKNOWN
            samples = samples.with_labels(labels)
        steps = tuple(scaled(step, 1 + 0.1 * i) for step in objective.transform)
        may_drop = any(isinstance(step, ModalityDropout) for step in steps)
        made.append(
            TrainingJob(
                model(i, "zero" if may_drop else "refuse"),
                samples,
                replace(objective, transform=steps),
                replace(config, learning_rate=config.learning_rate * (1 + 0.2 * i)),
                seed=i,
            )
        )
    return made


def fresh(ready: list[TrainingJob]) -> list[TrainingJob]:
    return [replace(one, model=copy.deepcopy(one.model)) for one in ready]


def fits_alone(ready: list[TrainingJob]) -> list[Fit]:
    """The fits of copies of the jobs, one by one."""
    fits = []
    for outcome in one_by_one(fresh(ready)):
        assert isinstance(outcome, Fit)
        fits.append(outcome)
    return fits


def same(one: Fit, other: Fit, tolerance: float = 1e-12) -> None:
    weights = one.model.state_dict(), other.model.state_dict()
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=tolerance)
    assert [step for step, _ in one.history] == [step for step, _ in other.history]
    values = [[value for _, value in each.history] for each in (one, other)]
    assert values[0] == pytest.approx(values[1], abs=tolerance)
    assert one.steps == other.steps


@pytest.mark.parametrize(
    ("objective", "config"),
    [
        *[("mke", config) for config in CONFIGS],
        *[(objective, "adamw") for objective in OBJECTIVES if objective != "mke"],
        *[
            pytest.param(objective, "sgd", marks=pytest.mark.slow)
            for objective in OBJECTIVES
            if objective != "mke"
        ],
    ],
)
def test_jobs_side_by_side_end_as_one_by_one(objective: str, config: str) -> None:
    ready = jobs(OBJECTIVES[objective], CONFIGS[config])
    alone = fits_alone(ready)
    for one, other in zip(alone, side_by_side(ready), strict=True):
        assert isinstance(other, Fit)
        same(one, other)


def test_outcomes_are_in_the_order_of_the_jobs_whatever_their_kind() -> None:
    ready = [
        *jobs(OBJECTIVES["mke"], CONFIGS["sgd"]),
        *jobs(OBJECTIVES["regularised"], CONFIGS["adamw"]),
        *jobs(OBJECTIVES["mke"], CONFIGS["sgd"], 5)[3:],
    ]
    ready = [
        replace(ready[i], config=replace(ready[i].config, steps=10))
        for i in (3, 0, 6, 1, 4, 2, 5, 7)
    ]
    alone = fits_alone(ready)
    for size in (2, None):
        for one, ours, job in zip(alone, side_by_side(fresh(ready), size=size), ready, strict=True):
            assert isinstance(ours, Fit)
            same(one, ours)
            assert ours.model is not job.model


def test_the_model_of_a_job_is_trained_in_place_and_left_in_evaluation() -> None:
    ready = jobs(OBJECTIVES["mke"], CONFIGS["sgd"])
    for job, made in zip(ready, side_by_side(ready), strict=True):
        assert isinstance(made, Fit)
        assert made.model is job.model
        assert not made.model.training


def test_convolutions_missing_modalities_and_frozen_weights() -> None:
    def build(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        encoders = {
            "x": ConvEncoder((1, 8, 8), features=5),
            "y": ConvEncoder((1, 8, 8), features=4),
        }
        made = multimodal(encoders, 2, hidden=(6,), missing="learned", fusion="gated").double()
        made.encoders["y"].requires_grad_(False)
        return made

    def draw(n: int, seed: int) -> Pool:
        noise = torch.Generator().manual_seed(seed)
        x = {m: torch.randn(n, 1, 8, 8, generator=noise, dtype=torch.float64) for m in ("x", "y")}
        x["y"][: n // 3] = torch.nan
        return Pool(x, torch.randint(0, 2, (n,), generator=noise))

    objective = Objective(
        transform=(InputNoise(0.5), ModalityDropout(0.3)), consistency=Consistency(gamma=0.5)
    )
    config = TrainConfig(12, batch_size=8, learning_rate=0.01)
    ready = [TrainingJob(build(i), draw(20 + i, i), objective, config, i) for i in range(3)]
    alone = fits_alone(ready)
    for one, other in zip(alone, side_by_side(ready), strict=True):
        assert isinstance(other, Fit)
        same(one, other, 1e-10)


def test_shared_draws_are_reproducible_and_other_than_own() -> None:
    ready = jobs(OBJECTIVES["mke"], CONFIGS["sgd"])
    runs = [side_by_side(fresh(ready), draws=draws) for draws in ("shared", "shared", "own")]  # type: ignore[arg-type]
    weights = []
    for run in runs:
        assert isinstance(run[1], Fit)
        weights.append(torch.cat([w.flatten() for w in run[1].model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2])


def test_without_noise_shared_draws_are_own_draws() -> None:
    ready = jobs(Objective(), CONFIGS["adamw"])
    shared, own = (side_by_side(fresh(ready), draws=d) for d in ("shared", "own"))  # type: ignore[arg-type]
    for one, other in zip(shared, own, strict=True):
        assert isinstance(one, Fit) and isinstance(other, Fit)
        same(one, other, 0.0)


def test_shared_noise_is_standard_normal_for_every_job() -> None:
    """One step of SGD from weights 0 on inputs 0 reads the noise back.

    The gradient of cross-entropy is then half the mean of the noise, so the moves are N(0, 1/n) for
    noise of σ = 2. Both bounds are at six standard errors: false alarm below 1e-8.
    """
    count, n = 400, 64
    made = []
    for i in range(count):
        net = coordinates({"a": (1,)}, 2, hidden=()).double()
        for weight in net.parameters():
            nn.init.zeros_(weight)
        samples = Pool({"a": torch.zeros(n, 1, dtype=torch.float64)}, torch.zeros(n).long())
        config = TrainConfig(1, optimizer="sgd", learning_rate=1.0)
        made.append(
            TrainingJob(net, samples, Objective(transform=(GaussianNoise(2.0),)), config, i)
        )
    moved = []
    for one in side_by_side(made, draws="shared", size=150):
        assert isinstance(one, Fit)
        moved.append(float(next(one.model.parameters()).detach()[0, 0]))
    # The gradient at 0 is −(1/2) mean(2 ξ), so a move of N(0, 1/n).
    scores = torch.tensor(moved).double() * n**0.5
    assert abs(float(scores.mean())) < 6 / count**0.5
    assert abs(float(scores.var()) - 1) < 6 * (2 / count) ** 0.5
    assert len(set(moved)) == count


def test_a_job_that_diverges_leaves_the_others_alone() -> None:
    ready = jobs(Objective(), CONFIGS["sgd"])
    wild = replace(ready[1], config=replace(ready[1].config, learning_rate=1e300))
    alone = fits_alone([ready[0], ready[2]])
    first, second, third = side_by_side([ready[0], wild, ready[2]])
    assert isinstance(second, FloatingPointError)
    assert "seed 1" in str(second) and "1e+300" in str(second)
    for one, other in zip(alone, (first, third), strict=True):
        assert isinstance(other, Fit)
        same(one, other)


def test_no_jobs_make_no_fits() -> None:
    assert side_by_side([]) == []


def test_bad_arguments_are_refused_before_any_work() -> None:
    good = jobs(Objective(), CONFIGS["sgd"])[0]
    with pytest.raises(ValueError, match="draws is 'mine'"):
        side_by_side([good], draws="mine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size is 0"):
        side_by_side([good], size=0)
    with pytest.raises(ValueError, match="memory is 0"):
        side_by_side([good], memory=0)


def test_classes_shares_are_each_jobs_own() -> None:
    """Logit adjustment, also where no label of one job names the last class."""
    ready = jobs(Objective(adjustment=0.7, transform=(InputNoise(0.5),)), CONFIGS["adamw"])
    few = ready[1].samples.labels.clone()
    few[few == 2] = 0
    ready[1] = replace(ready[1], samples=ready[1].samples.with_labels(few))
    alone = fits_alone(ready)
    for size in (None, 2):
        for one, other in zip(alone, side_by_side(fresh(ready), size=size), strict=True):
            assert isinstance(other, Fit)
            same(one, other)


def test_probabilities_in_half_precision_are_learned_as_alone() -> None:
    ready = jobs(Objective(pseudo_labels=PseudoLabelTerm(kind="soft")), CONFIGS["sgd"])
    for i, one in enumerate(ready):
        soft = torch.softmax(pool(len(one.samples), 50 + i).inputs["a"], dim=1)
        ready[i] = replace(one, samples=one.samples.with_labels(soft.half()))
    for one, other in zip(fits_alone(ready), side_by_side(ready), strict=True):
        assert isinstance(other, Fit)
        same(one, other, 1e-6)  # the loss is in single precision, as labels are read


def test_jobs_whose_labels_are_all_known_leave_room_for_others() -> None:
    """The step of the first is shorter; the second needs one that looks for what is unknown."""
    known, holed = jobs(Objective(), CONFIGS["sgd"], 2)
    labels = holed.samples.labels.clone()
    labels[::3] = UNKNOWN
    ready = [known, replace(holed, samples=holed.samples.with_labels(labels))]
    for one, other in zip(fits_alone(ready), side_by_side(ready, size=1), strict=True):
        assert isinstance(other, Fit)
        same(one, other)


def test_little_memory_is_no_error() -> None:
    ready = jobs(OBJECTIVES["mke"], CONFIGS["sgd"])
    alone = fits_alone(ready)
    for one, other in zip(alone, side_by_side(ready, memory=1), strict=True):
        assert isinstance(other, Fit)
        same(one, other)


class Custom(nn.Module):
    """A model with settings that its text does not show, and a layer that it does not use."""

    scale: torch.Tensor

    def __init__(self, seed: int, does: str = "", factor: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.out, self.spare = nn.Linear(5, 3), nn.Linear(2, 2)
        self.does, self._factor = does, factor
        self.register_buffer("scale", torch.tensor(1.0 + factor), persistent=False)
        self.double()

    def forward(self, inputs: Any) -> torch.Tensor:
        x = torch.cat([inputs["a"], inputs["b"]], dim=1) * self.scale
        if self.does == "normalise":
            x = x / x.norm(dim=1, keepdim=True)
        if self.does == "centre":
            x = x - x.mean(dim=0)
        if self.does == "drop":
            x = nn.functional.dropout(x, 0.5, self.training)
        if self.does == "look" and bool((x > 100).any()):
            x = x * 2
        return self.out(x) * self._factor


SHORT = TrainConfig(6, optimizer="sgd", learning_rate=0.1, weight_decay=0.1)


def job(i: int, net: nn.Module | None = None, **changes: Any) -> TrainingJob:
    made = TrainingJob(net or model(i), pool(20, i), Objective(), SHORT, i)
    return replace(made, **changes)


def without(given: Pool, rows: int) -> Pool:
    """The pool with modality a missing in its first rows."""
    holes = given.inputs["a"].clone()
    holes[:rows] = torch.nan
    return Pool({**given.inputs, "a": holes}, given.labels)


def pairs() -> dict[str, list[TrainingJob]]:
    compared = Objective(transform=(GaussianNoise(0.5),), consistency=Consistency(gamma=1.0))
    return {
        "another second view": [
            job(0, objective=compared),
            job(1, objective=replace(compared, anchor=Anchor(transform="same"))),
        ],
        "another way with what is missing": [
            job(0),
            job(1, model(1, "zero"), samples=without(pool(20, 1), 5)),
        ],
        "another factor and buffer": [job(0, Custom(0)), job(1, Custom(1, factor=3.0))],
        "no gradient at zero": [job(i, Custom(i, "normalise")) for i in range(2)],
    }


@pytest.mark.parametrize("name", list(pairs()))
def test_jobs_that_look_alike_and_are_not(name: str) -> None:
    ready = pairs()[name]
    alone = fits_alone(ready)
    for one, other in zip(alone, side_by_side(ready), strict=True):
        assert isinstance(other, Fit)
        same(one, other)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (job(0, Custom(0, "centre")), "other samples of its batch"),
        (job(0, Custom(0, "drop")), "drawn anew"),
        (job(0, Custom(0, "look")), "data-dependent control flow"),
        (job(0, model(0).requires_grad_(False)), "no weight that is trained"),
        (job(0, samples=without(pool(20, 0), 5)), "'a' is missing"),
        (job(0, objective=Objective(transform=(ModalityDropout(0.9),))), "is missing"),
        (job(0, nn.Sequential(model(0), nn.Dropout(0.5))), "has Dropout"),
        (job(0, nn.Sequential(model(0), nn.BatchNorm1d(3))), "has BatchNorm1d"),
        (job(0, objective=Objective(augment=(Augmentation(),))), "augment is"),
        (job(0, samples=pool(20, 0).with_labels(torch.arange(20) // 6)), "out of bounds"),
    ],
)
def test_a_job_that_cannot_be_trained_has_its_error_and_stops_no_other(
    bad: TrainingJob, message: str
) -> None:
    good = job(1)
    before = copy.deepcopy(bad.model.state_dict())
    (alone,) = fits_alone([good])
    failed, other = side_by_side([bad, good])
    assert isinstance(failed, Exception) and message in str(failed)
    assert isinstance(other, Fit)
    same(alone, other)
    for name, weight in bad.model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_one_model_for_two_jobs_is_refused() -> None:
    with pytest.raises(ValueError, match="one and the same model"):
        side_by_side([job(0), replace(job(1), model=(net := model(1))), job(2, net)])


@pytest.mark.gpu
def test_an_accelerator_agrees_with_the_processor() -> None:
    ready = jobs(Objective(), CONFIGS["adamw"])
    here, there = (side_by_side(fresh(ready), device=device) for device in ("cpu", "cuda"))
    for one, other in zip(here, there, strict=True):
        assert isinstance(one, Fit) and isinstance(other, Fit)
        same(one, other, 1e-8)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.head(self.layer(inputs["a"][:, :, None])[0][:, -1])


def test_a_recurrent_model_is_refused_before_it_is_trained() -> None:
    samples, net = Pool({"a": torch.randn(8, 3)}, torch.arange(8) % 2), Recurrent()
    before = {name: x.clone() for name, x in net.state_dict().items()}
    (found,) = side_by_side([TrainingJob(net, samples, Objective(), TrainConfig(steps=3), 0)])
    assert isinstance(found, ValueError) and "LSTM" in str(found)
    assert "train one by one" in str(found)
    assert all(torch.equal(before[name], x) for name, x in net.state_dict().items())
