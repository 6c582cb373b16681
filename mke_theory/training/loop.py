"""One plain training loop on Lightning Fabric, for teachers and students, toys and real tasks.

    for each step: rows → batch → loss of each sample → mean → gradient → update

A run is a pure function of (model weights, samples, loss, config, seed). Every random choice of a
step is seeded by the step's number, so a run that was killed continues from its last checkpoint to
the same weights, bit for bit on CPU. Several processes, and batches cut into pieces, see the
samples and perturbations that one process sees in one piece (`loading`, `hardware`).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mke_theory.data.pool import UNKNOWN, Batch, Samples
from mke_theory.data.rng import Stream, seed_for
from mke_theory.evaluation.account import accuracy
from mke_theory.training.batches import Piece, Plan, Reader
from mke_theory.training.checkpoint import Checkpoint, State, outline, resumed, save
from mke_theory.training.ema import RunningAverage
from mke_theory.training.hardware import (
    Hardware,
    arranged,
    forget_peak,
    launched,
    memory_told,
    peak_memory,
)
from mke_theory.training.predict import fitting, predict

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Moment:
    """Where training stands, for losses that change on the way.

    progress: the share of all steps that are done, in [0, 1]: 0 at the first step.
    average: the model with the running average of its weights, where one is kept.
    """

    progress: float | Tensor = 1.0
    average: nn.Module | None = None


LossFunction = Callable[[nn.Module, Batch, Stream, Moment], Tensor]
"""(model, batch, stream, moment) to one loss for each sample, [b], not averaged."""

Weights = Literal["student", "average"]

Select = Literal["last", "agreement", "labelled"]

RULES: dict[Select, str] = {
    "last": "last step",
    "agreement": "best agreement with the teacher on held-out unlabelled data",
    "labelled": "best accuracy on labelled validation data",
}
"""How the weights that count are chosen, in the words of the report. None of them sees test."""

AS_THE_TEACHER = "as the teacher"
"""The rule of an arm that uses the teacher and trains no student."""

LOOK_EVERY = 50
"""Steps between two looks at the loss."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train. `batch_size` None takes all samples at every step."""

    steps: int = 1000
    batch_size: int | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None
    select: Select = "last"
    evaluate_every: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
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
            ("optimizer", ("adamw", "sgd")),
            ("schedule", ("constant", "cosine")),
            ("select", tuple(RULES)),
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
    What it took, in this call alone: `seconds` in all, `samples_per_second` of all processes,
    `waiting`, the share of the seconds spent waiting for samples, and `peak_memory` in bytes (see
    `hardware.peak_memory`); None where no step was taken.
    """

    model: nn.Module
    steps: int
    history: tuple[tuple[int, float], ...]
    rule: str
    selected_step: int
    selected_score: float | None
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
    select_on: Samples | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
    average_decay: float | None = None,
    answers: Weights = "student",
) -> Fit:
    """The model trained in place on `samples`.

    `select_on` holds what `config.select` needs: held-out samples whose targets are the teacher's
    pseudo labels ("agreement") or the truth ("labelled"). A checkpoint of the same run is continued
    and a finished one is only loaded; a change of `loss`, of initial weights or of the samples'
    content is not noticed, so give every run a path of its own. `progress` names a progress bar.

    With `average_decay` the loss also sees the running average of the weights (`RunningAverage`);
    `answers` says whose weights are selected by and left in the model: those or the student's own.

    Raises ValueError where `select_on` is needed and absent, the checkpoint is damaged or that of
    another run, or a batch has fewer samples than there are processes; FloatingPointError where the
    loss or a weight is no longer finite; MemoryError where a step does not fit into memory; OSError
    where the checkpoint cannot be written.
    """
    refuse_selection(config, select_on)
    _refuse_average(average_decay, answers)
    started, seen = time.perf_counter(), 0
    hardware = hardware or Hardware()
    fabric = launched(hardware)
    shares = (fabric.world_size, fabric.global_rank)
    plan = Plan(len(samples), config.batch_size, seed, *shares, hardware.micro_batch)
    fingerprint = f"{asdict(config)} seed={seed} samples={len(samples)} model={outline(model)}"
    if hardware.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a gap in stubs
    optimizer = _optimizer(model, config)
    wrapped, stepper = fabric.setup(model, optimizer)
    average, kept, judged = None, model, model  # kept: all that a checkpoint holds
    if average_decay is not None:
        average = RunningAverage(model, average_decay)
        kept = nn.ModuleList([model, average])
        judged = average.model if answers == "average" else model
        fingerprint += f" average={average_decay} answers={answers}"
    state = resumed(fabric, checkpoint, kept, optimizer, fingerprint)
    reader = Reader(samples, plan, range(state.step, config.steps), hardware, fabric.device)
    bar = tqdm(
        total=config.steps, initial=state.step, desc=progress, disable=progress is None, leave=False
    )
    kept.train()
    forget_peak(fabric.device)
    generators = [fabric.device] if fabric.device.type == "cuda" else []
    running = arranged(hardware, model, *([] if average is None else [average.model]))
    with bar, running, closing(reader), torch.random.fork_rng(devices=generators):
        while state.step < config.steps:
            pieces, moment = plan.pieces(state.step), Moment(state.step / config.steps, average)
            for group in stepper.param_groups:
                group["lr"] = config.rate_at(state.step)
            own = seed_for(seed, "step", state.step)
            with memory_told(config.batch_size, hardware):
                value = _step(wrapped, stepper, pieces, reader, loss, config, own, fabric, moment)
            state.step += 1
            seen += pieces[0].total
            if average is not None:
                average.follow(model, state.step)
            bar.update()
            last = state.step == config.steps
            if last or state.step % LOOK_EVERY == 0:
                mean: Any = fabric.all_reduce(value, reduce_op="mean")
                _refuse_nonfinite(float(mean), model, state.step, config)
                state.history.append((state.step, float(mean)))
            if select_on is not None and (last or state.step % config.evaluate_every == 0):
                _keep_best(judged, select_on, state)
            if checkpoint is not None and (last or state.step % checkpoint.every == 0):
                save(fabric, checkpoint.path, kept, optimizer, state, fingerprint)
    if state.best_weights is not None:
        model.load_state_dict(state.best_weights)
    elif judged is not model:
        model.load_state_dict(judged.state_dict())
    model.eval()
    seconds = time.perf_counter() - started
    return Fit(
        model,
        state.step,
        tuple(state.history),
        RULES[config.select],
        state.best_step if select_on is not None else state.step,
        state.best_score,
        seconds if seen else None,
        seen / seconds if seen else None,
        reader.waited / seconds if seen else None,
        peak_memory(fabric.device) if seen else None,
    )


def refuse_selection(config: TrainConfig, select_on: Samples | None) -> None:
    """Raise ValueError where the rule of selection and what it is to look at do not fit."""
    if (config.select != "last") != (select_on is not None):
        raise ValueError(
            f"select is {config.select!r}: "
            + ("it needs select_on" if select_on is None else "select_on would not be used")
        )
    if select_on is not None and bool((_targets(select_on) == UNKNOWN).all()):
        raise ValueError("select_on has no known label; there is nothing to select by")


def _refuse_average(decay: float | None, answers: Weights) -> None:
    if answers not in ("student", "average"):
        raise ValueError(f"answers is {answers!r}; choose student or average")
    if answers == "average" and decay is None:
        raise ValueError("answers is 'average', but none is kept; set average_decay, 0.999 say")


def _step(
    model: Any,
    optimizer: Any,
    pieces: Sequence[Piece],
    reader: Reader,
    loss: LossFunction,
    config: TrainConfig,
    seed: int,
    fabric: Fabric,
    moment: Moment,
) -> Tensor:
    """One update; returns this process's part of the batch's mean loss, times their number."""
    _seed_layers(seed_for(seed, fabric.global_rank), fabric.device)
    optimizer.zero_grad()
    parts: list[Tensor] = []
    for piece in pieces:
        batch, stream = reader.next(), piece.stream(seed, fabric.device)
        with fabric.no_backward_sync(model, enabled=piece is not pieces[-1]):
            with fabric.autocast():  # the loss in the precision of the model
                values = loss(model, batch, stream, moment)
            # Processes average their gradients: each divides by the whole batch, times their number
            mean = values.sum() * (fabric.world_size / piece.total)
            fabric.backward(mean)
        parts.append(mean.detach())
    if config.clip_norm is not None:
        # In half precision a gradient may overflow: the scaler then leaves the update out.
        fabric.clip_gradients(model, optimizer, max_norm=config.clip_norm, error_if_nonfinite=False)
    optimizer.step()
    return sum(parts[1:], parts[0])


def _seed_layers(seed: int, device: torch.device) -> None:
    """Dropout layers inside a model read torch's own generators."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _keep_best(model: nn.Module, samples: Samples, state: State) -> None:
    """Remember the weights if they score at least as well as any before; later ones win ties."""
    target = _targets(samples)
    answers = predict(model, samples, then=lambda logits: _decided(logits, target.dim()))
    found = float(accuracy(answers, target))
    if state.best_score is None or found >= state.best_score:
        state.best_score, state.best_step = found, state.step
        state.best_weights = copy.deepcopy(model.state_dict())


def score(logits: Tensor, target: Tensor) -> Tensor:
    """What weights are selected by: the share of the known targets that logits [n, k, ...] meet."""
    return accuracy(_decided(logits, target.dim()), target)


def _decided(logits: Tensor, axes: int) -> Tensor:
    """Answers to targets of so many axes: classes, or 0 and 1 where there are as many as logits."""
    # Multi-label targets have the shape of the logits: each entry is a question of its own.
    return (logits >= 0).long() if logits.dim() == axes else logits.argmax(1)


def _targets(samples: Samples) -> Tensor:
    """All targets, read some at a time: samples on disk need not fit into memory together."""
    size = fitting(samples)
    starts = range(0, len(samples), size)
    return torch.cat([samples[slice(start, start + size)].target for start in starts])


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    return torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def _refuse_nonfinite(loss: float, model: nn.Module, step: int, config: TrainConfig) -> None:
    sound = all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    if not (math.isfinite(loss) and sound):
        what = "a weight" if math.isfinite(loss) else "the loss"
        raise diverged(what, f"step {step} (loss {loss})", config)


def diverged(what: str, where: str, config: TrainConfig) -> FloatingPointError:
    """The error of a student whose loss or weights are no longer finite."""
    return FloatingPointError(
        f"{what} is no longer finite at {where}; lower learning_rate (now "
        f"{config.learning_rate}), set clip_norm (now {config.clip_norm}) or, "
        "if a modality may be missing (NaN), take a model that handles that"
    )
