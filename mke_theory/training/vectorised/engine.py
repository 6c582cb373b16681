"""Vectorised training: `fit` for many jobs at once, by the same losses and models.

Jobs of one kind, that is one form of model, samples, objective and training, take every step
together; data, number of samples, initial weights, seed, learning rate and the strengths of the
perturbations are each job's own. Their step is `vmap` of the gradient of the very loss that `fit`
takes, written down once as a `Program`.

With `draws="own"` every job meets the batches and the perturbations that `fit` would show it, and
ends with the same weights up to rounding; rounding itself may differ between processes, which
choose how to carry out a product by measuring (`kernels`), and between sets of jobs. Where it may
not, train one by one. With `draws="shared"` all noise of a step is drawn by one
generator, which is faster: a job's noise is then as good as in `fit`, but not the same.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, grad_and_value, vmap
from tqdm import tqdm

from mke_theory.data.pool import Batch
from mke_theory.data.rng import numbered_seeds, seed_for
from mke_theory.method.job import Outcome, TrainingJob
from mke_theory.method.student_loss import student_loss
from mke_theory.models.multimodal import unwatched
from mke_theory.training.ema import share_kept
from mke_theory.training.loop import LOOK_EVERY, Fit, Moment, diverged
from mke_theory.training.vectorised.batches import Batches
from mke_theory.training.vectorised.compatibility import (
    Ready,
    error_of,
    ready,
    refuse_company,
)
from mke_theory.training.vectorised.compiled_step import Program
from mke_theory.training.vectorised.draws import Draw, Handed, Noise, Notes
from mke_theory.training.vectorised.hyperparameters import numbers_of, with_numbers
from mke_theory.training.vectorised.optimizers import update_rule

Draws = Literal["own", "shared"]

_CACHE = 2**21
"""Bytes of a processor's cache that a step should fit into."""
_FEW = 4
"""Jobs that take a step together even where they do not fit into the cache."""


def side_by_side(
    jobs: Sequence[TrainingJob],
    *,
    draws: Draws = "own",
    size: int | None = None,
    memory: int | None = None,
    device: torch.device | str = "cpu",
    progress: str | None = None,
) -> list[Outcome]:
    """The `Fit` of every job, in order, their models trained in place.

    `size` is the most jobs that take a step together; by default as many as keep a step within
    `memory` bytes (2 MiB on a CPU, whose cache it should fit, half of what is free on an
    accelerator). A job that fails has its error in place of a `Fit`, and keeps its weights:
    FloatingPointError where its loss or weights are no longer finite, ValueError where its samples
    do not suit its model, or where the model does not allow it: samples see each other in it (batch
    statistics), it draws numbers of its own (use the `Dropout` of `transforms`), keeps statistics,
    or looks at values. The others go on.

    Raises ValueError where an argument is out of range or two jobs have one model.
    """
    if draws not in ("own", "shared"):
        raise ValueError(f"draws is {draws!r}; choose own or shared")
    for name, value in (("size", size), ("memory", memory)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it has to be at least 1, or None")
    if len({id(job.model) for job in jobs}) < len(jobs):
        raise ValueError("two jobs have one and the same model; copy it: copy.deepcopy(model)")
    outcomes: dict[int, Outcome] = {}
    kinds: dict[Any, list[tuple[int, Ready]]] = {}
    for i, job in enumerate(jobs):
        try:
            one = ready(job)
        except Exception as error:  # whatever is wrong with one job, the others go on
            outcomes[i] = error
        else:
            kinds.setdefault(one.kind, []).append((i, one))
    total = sum(job.config.steps for job in jobs)
    with tqdm(total=total, desc=progress, disable=progress is None, leave=False) as bar:
        for members in kinds.values():
            places, alike = zip(*members, strict=True)
            done = _of_a_kind(alike, draws, size, memory, torch.device(device), bar)
            outcomes |= zip(places, done, strict=True)
    return [outcomes[i] for i in range(len(jobs))]


def _of_a_kind(
    jobs: Sequence[Ready],
    draws: Draws,
    size: int | None,
    memory: int | None,
    device: torch.device,
    bar: tqdm[Any],
) -> list[Outcome]:
    """The outcomes of jobs of one kind, some at a time, all by one traced step."""
    engine: Engine | None = None
    outcomes: list[Outcome] = []
    try:
        refuse_company(jobs[0])
        form = _form_of(jobs, device)
        for part in _even_parts(jobs, size or form.fitting(memory, device)):
            if engine is None or not engine.load(part):
                engine = Engine(form, part, draws, device)
            outcomes += engine.train(bar)
    except Exception as error:  # whatever is wrong, the jobs of other kinds go on
        left = jobs[len(outcomes) :]
        own = [error_of(one) for one in left]
        if not any(own):
            return [*outcomes, *[_as_refusal(error)] * len(left)]
        sound = [one for one, fault in zip(left, own, strict=True) if fault is None]
        again = iter(_of_a_kind(sound, draws, size, memory, device, bar) if sound else [])
        outcomes += [next(again) if fault is None else fault for fault in own]
    return outcomes


def _as_refusal(error: Exception) -> Exception:
    """The error of a model that plain training can take: torch says by RuntimeError what it lacks.

    Weights are as they were, since they are written back when all steps are done.
    """
    if not isinstance(error, RuntimeError) or isinstance(error, torch.OutOfMemoryError):
        return error
    refusal = ValueError(
        f"vectorised training cannot carry out a step of this model ({error}): train one by one"
    )
    refusal.__cause__ = error
    return refusal


def _even_parts(members: Sequence[Ready], limit: int) -> list[list[Ready]]:
    """Parts of nearly the same size, larger ones first."""
    parts = -(-len(members) // limit)
    ends = [-(-len(members) * i // parts) for i in range(parts + 1)]
    return [list(members[a:b]) for a, b in pairwise(ends)]


@dataclass(frozen=True)
class _Form:
    """The parts that jobs of a kind share: a model, the samples of a batch, and the step.

    template: the model, on the device, whose weights do not matter. rows: of the longest batch.
    draws: the numbers that a step draws. trained: the weights that a step changes. bytes: what a
    step takes of memory for each job, by a rough estimate.
    """

    template: nn.Module
    rows: int
    draws: Sequence[Draw]
    trained: Sequence[str]
    bytes: int

    def fitting(self, memory: int | None, device: torch.device) -> int:
        """As many jobs as have their step within the memory."""
        if memory is not None:
            return max(1, memory // self.bytes)
        if device.type == "cuda":
            return max(1, torch.cuda.mem_get_info(device)[0] // 2 // self.bytes)
        return max(_FEW, _CACHE // self.bytes)


def _form_of(jobs: Sequence[Ready], device: torch.device) -> _Form:
    """Found by the loss of one batch of the first job, and its gradient."""
    job = jobs[0].job
    template = copy.deepcopy(job.model).to(device).train()
    size, longest = job.config.batch_size, max(len(one.job.samples) for one in jobs)
    rows = longest if size is None else min(size, longest)
    batch = job.samples[slice(0, min(rows, len(job.samples)))].to(device)
    notes = Notes()
    loss = jobs[0].loss
    average = template if job.objective.kept_average is not None else None
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with unwatched(template), torch.enable_grad(), saved_tensors_hooks(keep, lambda x: x):
        values = loss(template, batch, notes, Moment(0.0, average))
        if not values.requires_grad:
            raise ValueError("the loss depends on no weight that is trained; unfreeze one")
        # torch's optimisers leave a weight that the loss does not reach as it is: no decay either.
        named = {n: weight for n, weight in template.named_parameters() if weight.requires_grad}
        slopes = torch.autograd.grad(values.sum(), list(named.values()), allow_unused=True)
    trained = sorted(n for n, slope in zip(named, slopes, strict=True) if slope is not None)
    of_weights = sum(named[name].nbytes for name in trained)
    of_noise = sum(len(batch) * math.prod(one.shape) * one.dtype.itemsize for one in notes.draws)
    given = sum(x.nbytes for x in batch.inputs.values()) + of_noise
    # Beside what the gradient reads: its own buffers, the weights' gradients and moments.
    each = given + sum(kept.values()) * 3 // 2 + 3 * of_weights
    return _Form(template, rows, notes.draws, trained, each)


class Engine:
    """Jobs of one kind in one place: weights [S, …], a batch of each, and the step of all."""

    def __init__(
        self, form: _Form, jobs: Sequence[Ready], draws: Draws, device: torch.device
    ) -> None:
        first = jobs[0].job
        self.form, self.count, self.draws, self.device = form, len(jobs), draws, device
        self.objective = first.objective
        self.transforms, self.complete = jobs[0].transforms, jobs[0].complete
        self.batches = Batches(jobs, form.rows, device)
        self.noise = Noise(form.draws, self.count, self.batches.rows, device)
        fixed = _tensors(first.model).keys() - set(form.trained)
        self.weights = self._room(first.model, form.trained)
        self.fixed = self._room(first.model, sorted(fixed))
        keeps = self.objective.kept_average is not None
        self.average = self._room(first.model, form.trained) if keeps else {}
        kind = self.batches.share.dtype
        count = len(numbers_of(self.transforms))
        self.numbers = torch.zeros(self.count, count, dtype=kind, device=device)
        self.shares = _shares_of(jobs, device)
        self.done = torch.zeros((), dtype=torch.float64, device=device)
        self.load(jobs, renew=False)
        self._write_step()

    def _room(self, model: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
        own = _tensors(model)
        return {
            name: torch.empty((self.count, *own[name].shape), dtype=own[name].dtype).to(self.device)
            for name in names
        }

    def load(self, jobs: Sequence[Ready], *, renew: bool = True) -> bool:
        """Let these jobs take the place of the present ones; False where a new engine is needed.

        Fewer jobs than there are places are filled up by copies of the last one.
        """
        if len(jobs) > self.count:
            return False
        self.jobs = [one.job for one in jobs]
        filled = [*jobs, *[jobs[-1]] * (self.count - len(jobs))]
        for i, one in enumerate(filled):
            own = _tensors(one.job.model)
            for place in (self.weights, self.fixed, self.average):
                for name, x in place.items():
                    x[i].copy_(own[name].detach())
            self.numbers[i] = torch.tensor(numbers_of(one.transforms), dtype=self.numbers.dtype)
        if self.shares is not None:
            shares = _shares_of(filled, self.device)
            if shares is None or shares.shape != self.shares.shape:
                return False
            self.shares.copy_(shares)
        self.batches.load(filled)
        self.config = self.jobs[0].config
        self.one_rate = len({job.config.learning_rate for job in self.jobs}) == 1
        seeds = [job.seed for job in self.jobs]
        self.seeds = [numbered_seeds(seed, "step") for seed in seeds]
        self.generator = torch.Generator(self.device).manual_seed(seed_for(seeds[0], *seeds))
        return self.program.renew() if renew else True

    def _write_step(self) -> None:
        given = {
            "average": self.average,
            "fixed": self.fixed,
            "inputs": self.batches.inputs,
            "target": self.batches.target,
            "share": self.batches.share,
            "noise": self.noise.places,
            "numbers": self.numbers,
            "shares": {} if self.shares is None else {"": self.shares},
            "done": self.done,
        }
        constant = [self.numbers, *self.fixed.values()]
        if self.shares is not None:
            constant.append(self.shares)
        if self.batches.whole:
            constant += [*self.batches.inputs.values(), self.batches.target, self.batches.share]
        axes = {name: None if name == "done" else 0 for name in given}
        function = vmap(grad_and_value(self._loss), in_dims=(0, axes))
        with unwatched(self.form.template):
            self.program = Program(function, (self.weights, given), constant)
        self.gradients, self.values = self.program.result
        self.without_values = self.program.only(lambda result: result[0])

    def _loss(self, weights: dict[str, Tensor], given: dict[str, Any]) -> Tensor:
        """The mean loss of one job's batch: what `fit` differentiates."""
        pair = with_numbers(self.transforms, list(given["numbers"].unbind(0)))
        shares = given["shares"].get("")
        loss = student_loss(self.objective, *pair, shares, complete=self.complete)

        def model(*inputs: Any) -> Tensor:
            return functional_call(self.form.template, (weights, given["fixed"]), inputs)

        def averaged(*inputs: Any) -> Tensor:
            return functional_call(self.form.template, (given["average"], given["fixed"]), inputs)

        moment: Any = Moment(given["done"], averaged if self.average else None)  # type: ignore[arg-type]
        batch = Batch(given["inputs"], given["target"])
        values = loss(model, batch, Handed(given["noise"]), moment)  # type: ignore[arg-type]
        return (values * given["share"]).sum()

    def train(self, bar: tqdm[Any]) -> list[Outcome]:
        """All steps, then every job's weights back in its model."""
        config, steps = self.config, self.config.steps
        history: list[tuple[int, Tensor]] = []
        rule = update_rule(config, list(self.weights.values()))
        gradients = [self.gradients[name] for name in self.weights]
        for step in range(steps):
            self.done.fill_(step / steps)
            self.batches.turn_to(step)
            self._draw(step)
            if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
                self.program.run()
                history.append((step + 1, self.values.cpu().clone()))
            else:
                self.without_values()
            rule.step(gradients, self._rates(step))
            if self.average:
                self._follow(step + 1)
            bar.update(len(self.jobs))
        return self._outcomes(history)

    def _draw(self, step: int) -> None:
        if not self.noise.draws:
            return
        if self.draws == "shared":
            self.noise.share(self.generator)
            return
        for i, seed_at in enumerate(self.seeds):
            self.noise.own(i, self.batches.taken[i], seed_at(step))

    def _rates(self, step: int) -> list[float]:
        if self.one_rate:
            return [self.config.rate_at(step)] * self.count
        rates = [job.config.rate_at(step) for job in self.jobs]
        return rates + rates[-1:] * (self.count - len(rates))

    def _follow(self, update: int) -> None:
        assert self.objective.kept_average is not None
        kept = share_kept(update, self.objective.kept_average)
        mine, theirs = list(self.average.values()), list(self.weights.values())
        torch._foreach_lerp_(mine, theirs, 1.0 - kept)

    def _outcomes(self, history: Sequence[tuple[int, Tensor]]) -> list[Outcome]:
        final = self.average if self.objective.answers == "average" else self.weights
        values = torch.stack([value for _, value in history], dim=1)
        outcomes: list[Outcome] = []
        for i, job in enumerate(self.jobs):
            losses = [(step, float(x)) for (step, _), x in zip(history, values[i], strict=True)]
            lost = [step for step, value in losses if not math.isfinite(value)]
            held = [x[i] for x in (*final.values(), *self.weights.values())]
            if lost or not all(bool(torch.isfinite(x).all()) for x in held):
                where = f"step {lost[0] if lost else self.config.steps} (seed {job.seed})"
                outcomes.append(diverged("the loss or a weight", where, job.config))
                continue
            job.model.load_state_dict({n: x[i] for n, x in final.items()}, strict=False)
            job.model.eval()
            outcomes.append(Fit(job.model, self.config.steps, tuple(losses)))
        return outcomes


def _shares_of(jobs: Sequence[Ready], device: torch.device) -> Tensor | None:
    """The classes' shares of every job, [S, k]; 0 for a class without a label, None if unused."""
    own = [one.shares for one in jobs if one.shares is not None]
    if not own:
        return None
    return nn.utils.rnn.pad_sequence(own, batch_first=True).to(device)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
