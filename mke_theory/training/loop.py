"""One plain training loop, for teachers and students, toys and real tasks.

    for each step: rows → batch → loss of each sample → gradient of their mean → update

A run is a pure function of (model weights, samples, loss, config, seed). Every random choice of a
step is seeded by the step's number, so a run that was killed continues from its last checkpoint to
the same weights, bit for bit on a CPU. Layers that draw for themselves (dropout) read torch's own
generators, which a run seeds once and keeps in its checkpoint. Several processes, and batches cut
into pieces, see the samples and perturbations that one process sees in one piece (`batches`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mke_theory.data.pool import Batch, Samples
from mke_theory.data.rng import Stream, numbered_seeds, seed_for
from mke_theory.models.multimodal import unwatched
from mke_theory.training.batches import Plan, Reader
from mke_theory.training.checkpoint import Checkpoint, State, outline, resumed, save
from mke_theory.training.ema import RunningAverage
from mke_theory.training.hardware import (
    Hardware,
    arranged,
    forget_peak,
    generators_of,
    memory_explained,
    own_generators,
    peak_memory,
    set_generators,
)
from mke_theory.training.optimizers import Rule, optimizer_of
from mke_theory.training.stepper import Stepper, stepper_for


@dataclass(frozen=True)
class Moment:
    """The state of training, for losses that change on the way.

    progress: the share of all steps that are done, in [0, 1]: 0 at the first step.
    average: the model with the running average of its weights, where one is kept.
    """

    progress: float | Tensor = 1.0
    average: nn.Module | None = None


LossFunction = Callable[[nn.Module, Batch, Stream, Moment], Tensor]
"""(model, batch, stream, moment) to one loss for each sample, [b], not averaged."""

Weights = Literal["student", "average"]

LOOK_EVERY = 50
"""Steps between two looks at the loss."""


@dataclass(frozen=True)
class TrainConfig:
    """The length and speed of training. `batch_size` None takes all samples at every step."""

    steps: int = 1000
    batch_size: int | None = None
    optimizer: Rule = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it has to be at least 1")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it has to be at least 1, or None")
        if not 0.0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}; it has to be positive")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum is {self.momentum}; it has to lie in [0, 1)")
        if self.momentum > 0.0 and self.optimizer == "adamw":
            raise ValueError(f"momentum is {self.momentum}, but adamw has none; use sgd or 0")
        if not 0.0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}; it has to be 0 or positive")
        if self.clip_norm is not None and not self.clip_norm > 0.0:
            raise ValueError(f"clip_norm is {self.clip_norm}; it has to be positive, or None")
        if not 0 <= self.warmup_steps <= self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; allowed are 0 to {self.steps}")
        for name, allowed in (
            ("optimizer", get_args(Rule)),
            ("schedule", ("constant", "cosine")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {allowed}")

    def rate_at(self, step: int) -> float:
        """The learning rate of step 0, 1, …: linear warm-up, then constant or half a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Fit:
    """A trained model and how it came about.

    `history` is (step, mean loss of its batch before the update), every 50 steps and at the end.
    The cost of this call alone is in `seconds`, `samples_per_second` of all processes, `waiting`,
    the share of the seconds spent waiting for samples, and `peak_memory` in bytes (see
    `hardware.peak_memory`); None where no step was taken.
    """

    model: nn.Module
    steps: int
    history: tuple[tuple[int, float], ...]
    seconds: float | None = field(default=None, compare=False)
    samples_per_second: float | None = field(default=None, compare=False)
    waiting: float | None = field(default=None, compare=False)
    peak_memory: int | None = field(default=None, compare=False)


def fit(
    model: nn.Module,
    samples: Samples,
    loss: LossFunction,
    config: TrainConfig,
    *,
    seed: int,
    hardware: Hardware | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
    average_decay: float | None = None,
    answers: Weights = "student",
) -> Fit:
    """The model trained in place on `samples`, and what it took.

    `average_decay` keeps a running average of the weights, which `loss` meets as `moment.average`;
    `answers` "average" makes it the result. `progress` is the name of a progress bar. A batch that
    holds all samples is read once, so `loss` must not change it in place.

    The generators of `random`, NumPy and torch are left as they were found.

    Raises ValueError where the checkpoint is damaged or that of another run, or a batch has fewer
    samples than there are processes; FloatingPointError where the loss or a weight is no longer
    finite; MemoryError where a step does not fit into memory; OSError where the checkpoint cannot
    be written.
    """
    _refuse_average(average_decay, answers)
    started, hardware = time.perf_counter(), hardware or Hardware()
    stepper = stepper_for(hardware)
    share = stepper.processes, stepper.rank, hardware.micro_batch
    plan = Plan(len(samples), config.batch_size, seed, *share)
    fingerprint = f"{config} seed={seed} samples={len(samples)} model={outline(model)}"
    if hardware.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a gap in stubs
    optimizer = _optimizer(model, config)
    stepper.take(model, optimizer)
    average = None
    if average_decay is not None:
        average = RunningAverage(model, average_decay)
        fingerprint += f" average={average_decay} answers={answers}"
    run = _Run(model, average, optimizer, stepper, loss, config, seed, checkpoint, fingerprint)
    state = resumed(stepper, checkpoint, run.kept, optimizer, fingerprint)
    left = range(state.step, config.steps)
    reader = Reader(samples, plan, left, hardware, stepper.device)
    with closing(reader), arranged(hardware, *run.models):
        seen = _train(run, state, reader, hardware, progress)
    if average is not None and answers == "average":
        model.load_state_dict(average.model.state_dict())
    model.eval()
    done = Fit(model, state.step, tuple(state.history))
    if not seen:
        return done
    seconds = time.perf_counter() - started
    return replace(
        done,
        seconds=seconds,
        samples_per_second=seen / seconds,
        waiting=reader.waited / seconds,
        peak_memory=peak_memory(stepper.device),
    )


@dataclass(frozen=True)
class _Run:
    """All that the steps of a run share."""

    model: nn.Module
    average: RunningAverage | None
    optimizer: torch.optim.Optimizer
    stepper: Stepper
    loss: LossFunction
    config: TrainConfig
    seed: int
    checkpoint: Checkpoint | None
    fingerprint: str

    @property
    def models(self) -> list[nn.Module]:
        """The model, and the one with its averaged weights."""
        return [self.model] if self.average is None else [self.model, self.average.model]

    @property
    def kept(self) -> nn.Module:
        """The module whose weights and buffers a checkpoint holds."""
        return self.model if self.average is None else nn.ModuleList([self.model, self.average])


def _train(
    run: _Run, state: State, reader: Reader, hardware: Hardware, progress: str | None
) -> int:
    """All steps that are left; returns how many samples they saw."""
    config, stepper, seen = run.config, run.stepper, 0
    first, device = state.step, stepper.device
    stream, layers = Stream(run.seed, device=device), seed_for(run.seed, "layers", stepper.rank)
    seed_of = numbered_seeds(run.seed, "step")
    seeds = [seed_of(step) for step in range(first, config.steps)]
    bar = tqdm(total=config.steps, desc=progress, disable=progress is None, leave=False)
    with ExitStack() as held, bar, own_generators(device, layers):
        held.enter_context(memory_explained(config.batch_size, hardware))
        _begin(run, state, bar)
        for seed in seeds:
            if reader.once and state.step == first + 1:
                # A batch that is the same at every step was searched for missing modalities.
                held.enter_context(unwatched(*run.models))
            for group in run.optimizer.param_groups:
                group["lr"] = config.rate_at(state.step)
            losses, total = _gradient(run, state.step, seed, reader, stream)
            stepper.update(config.clip_norm)
            state.step += 1
            seen += total
            if run.average is not None:
                run.average.follow(run.model, state.step)
            bar.update()
            last = state.step == config.steps
            if last or state.step % LOOK_EVERY == 0:
                _look(run, state, losses, total)
            if run.checkpoint is not None and (last or state.step % run.checkpoint.every == 0):
                state.generators = _generators(stepper)
                save(stepper, run.checkpoint.path, run.kept, run.optimizer, state, run.fingerprint)
    return seen


def _begin(run: _Run, state: State, bar: tqdm[Any]) -> None:
    """Go on from the state: the generators, the bar, the models in training."""
    stepper = run.stepper
    if len(state.generators) == stepper.processes:
        set_generators(stepper.device, state.generators[stepper.rank])
    bar.update(state.step)
    run.kept.train()
    forget_peak(stepper.device)


def _gradient(
    run: _Run, step: int, seed: int, reader: Reader, stream: Stream
) -> tuple[list[Tensor], int]:
    """Leave the gradient of the batch's mean loss in the weights.

    Returns the losses of this process's pieces, each [b], and how many samples the batch has.
    """
    moment, losses = Moment(step / run.config.steps, run.average), []
    while True:
        piece, batch = reader.next()
        piece.restart(stream, seed)
        given = (batch, stream, moment)
        losses.append(run.stepper.differentiate(run.loss, given, piece.total, last=piece.last))
        if piece.last:
            return losses, piece.total


def _look(run: _Run, state: State, losses: Sequence[Tensor], total: int) -> None:
    """Note the batch's mean loss, from before the update; refuse one that is not finite."""
    parts = [values.detach().sum() * (run.stepper.processes / total) for values in losses]
    mean = float(run.stepper.mean(sum(parts[1:], parts[0])))
    _refuse_nonfinite(mean, run.model, state.step, run.config)
    state.history.append((state.step, mean))


def _generators(stepper: Stepper) -> list[list[Tensor]]:
    """The generators' states of every process."""
    by_kind = [stepper.gathered(state) for state in generators_of(stepper.device)]
    return [list(states) for states in zip(*by_kind, strict=True)]


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    return optimizer_of(
        model.parameters(),
        config.optimizer,
        learning_rate=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


def _refuse_average(decay: float | None, answers: Weights) -> None:
    if answers not in get_args(Weights):
        raise ValueError(f"answers is {answers!r}; choose student or average")
    if answers == "average" and decay is None:
        raise ValueError("answers is 'average', but none is kept; set average_decay, 0.999 say")


def _refuse_nonfinite(loss: float, model: nn.Module, step: int, config: TrainConfig) -> None:
    sound = all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    if not (math.isfinite(loss) and sound):
        what = "a weight" if math.isfinite(loss) else "the loss"
        raise diverged(what, f"step {step} (loss {loss})", config)


def diverged(what: str, where: str, config: TrainConfig) -> FloatingPointError:
    """The error of a job whose loss or weights are no longer finite."""
    return FloatingPointError(
        f"{what} is no longer finite at {where}; lower learning_rate (now "
        f"{config.learning_rate}), set clip_norm (now {config.clip_norm}) or, "
        "if a modality may be missing (NaN), take a model that handles that"
    )
