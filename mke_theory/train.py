"""One plain training loop on Lightning Fabric, for teachers and students, toys and real tasks.

    for each step: rows → batch → loss of each sample → mean → gradient → update

A run is a pure function of (model weights, samples, loss, config, seed). Every random choice of a
step is seeded by the step's number, so a run that was killed continues from its last checkpoint to
the same weights, bit for bit on CPU, and several processes see the batches and perturbations that
one process sees (dropout layers inside a model excepted: each process draws its own).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mke_theory.accounting import accuracy
from mke_theory.checkpoint import Checkpoint, State, load, outline, save
from mke_theory.hardware import Hardware
from mke_theory.prediction import predict
from mke_theory.rng import Stream, seed_for
from mke_theory.running_average import RunningAverage
from mke_theory.types import UNKNOWN, Batch, Samples

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
    """

    model: nn.Module
    steps: int
    history: tuple[tuple[int, float], ...]
    rule: str
    selected_step: int
    selected_score: float | None


def fit(
    model: nn.Module,
    samples: Samples,
    loss: LossFunction,
    config: TrainConfig,
    *,
    seed: int,
    fabric: Fabric | None = None,
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
    loss or a weight is no longer finite; OSError where the checkpoint cannot be written.
    """
    refuse_selection(config, select_on)
    _refuse_average(average_decay, answers)
    fabric = fabric or Hardware().fabric()
    _refuse_tiny_batches(len(samples), config.batch_size, fabric.world_size)
    fingerprint = f"{asdict(config)} seed={seed} samples={len(samples)} model={outline(model)}"
    optimizer = _optimizer(model, config)
    wrapped, stepper = fabric.setup(model, optimizer)
    average, kept, judged = None, model, model  # kept: all that a checkpoint holds
    if average_decay is not None:
        average = RunningAverage(model, average_decay)
        kept = nn.ModuleList([model, average])
        judged = average.model if answers == "average" else model
        fingerprint += f" average={average_decay} answers={answers}"
    state = State()
    if checkpoint is not None and checkpoint.path.exists():
        state = load(checkpoint.path, kept, optimizer, fingerprint)
    bar = tqdm(
        total=config.steps, initial=state.step, desc=progress, disable=progress is None, leave=False
    )
    kept.train()
    generators = [fabric.device] if fabric.device.type == "cuda" else []
    with bar, torch.random.fork_rng(devices=generators):
        while state.step < config.steps:
            moment = Moment(state.step / config.steps, average)
            value = _step(wrapped, stepper, samples, loss, config, seed, state.step, fabric, moment)
            state.step += 1
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
    return Fit(
        model,
        state.step,
        tuple(state.history),
        RULES[config.select],
        state.best_step if select_on is not None else state.step,
        state.best_score,
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


def _refuse_tiny_batches(n: int, batch_size: int | None, processes: int) -> None:
    smallest = n if batch_size is None or batch_size >= n else n % batch_size or batch_size
    if smallest < processes:
        raise ValueError(
            f"the smallest batch of an epoch has {smallest} of {n} samples and cannot be shared by "
            f"{processes} processes; use fewer processes or another batch_size (now {batch_size})"
        )


def _step(
    model: Any,
    optimizer: Any,
    samples: Samples,
    loss: LossFunction,
    config: TrainConfig,
    seed: int,
    step: int,
    fabric: Fabric,
    moment: Moment,
) -> Tensor:
    """One update; returns this process's part of the batch's mean loss, times their number."""
    rows = batch_rows(len(samples), config.batch_size, seed, step)
    total = len(samples) if isinstance(rows, slice) else len(rows)
    own, stream = _share(rows, total, seed_for(seed, "step", step), fabric)
    for group in optimizer.param_groups:
        group["lr"] = config.rate_at(step)
    with fabric.autocast():  # the loss in the precision of the model
        values = loss(model, samples[own].to(fabric.device), stream, moment)
    # Processes average their gradients, so each divides by the whole batch, times their number.
    mean = values.sum() * (fabric.world_size / total)
    optimizer.zero_grad()
    fabric.backward(mean)
    if config.clip_norm is not None:
        # In half precision a gradient may overflow: the scaler then leaves the update out.
        fabric.clip_gradients(model, optimizer, max_norm=config.clip_norm, error_if_nonfinite=False)
    optimizer.step()
    return mean.detach()


def batch_rows(n: int, batch_size: int | None, seed: int, step: int) -> slice | Tensor:
    """The rows of step 0, 1, …: every epoch goes once through a new permutation of the n samples.

    The last batch of an epoch is smaller where `batch_size` does not divide n.
    """
    if batch_size is None or batch_size >= n:
        return slice(0, n)
    a_epoch = math.ceil(n / batch_size)
    epoch, position = divmod(step, a_epoch)
    order = _permutation(n, seed_for(seed, "order", epoch))
    return order[position * batch_size : (position + 1) * batch_size]


@lru_cache(maxsize=2)
def _permutation(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def _share(
    rows: slice | Tensor, total: int, seed: int, fabric: Fabric
) -> tuple[slice | Tensor, Stream]:
    """This process's rows of the batch, and the stream that draws for them."""
    # Dropout layers inside a model read torch's own generator: the step seeds it too.
    torch.default_generator.manual_seed(seed_for(seed, fabric.global_rank))
    if fabric.device.type == "cuda":
        torch.cuda.manual_seed(seed_for(seed, fabric.global_rank))
    if fabric.world_size == 1:
        return rows, Stream(seed, device=fabric.device)
    start, stop = (
        total * rank // fabric.world_size for rank in (fabric.global_rank, fabric.global_rank + 1)
    )
    own = slice(start, stop)
    stream = Stream(seed, device=fabric.device, rows=own, total=total)
    return (own if isinstance(rows, slice) else rows[own]), stream


def _keep_best(model: nn.Module, samples: Samples, state: State) -> None:
    """Remember the weights if they score at least as well as any before; later ones win ties."""
    found = float(score(predict(model, samples), _targets(samples)))
    if state.best_score is None or found >= state.best_score:
        state.best_score, state.best_step = found, state.step
        state.best_weights = copy.deepcopy(model.state_dict())


def score(logits: Tensor, target: Tensor) -> Tensor:
    """What weights are selected by: the share of the known targets that logits [n, k, ...] meet."""
    # Multi-label targets have the shape of the logits: each entry is a question of its own.
    decided = (logits >= 0).to(target.dtype) if logits.shape == target.shape else logits.argmax(1)
    return accuracy(decided, target)


def _targets(samples: Samples) -> Tensor:
    return samples[slice(0, len(samples))].target


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
