"""Many students trained at once: `fit` over stacked parameters, by the same losses and models.

A stack holds students of one shape of model, one kind of samples and one form of objective and
training; data, number of samples, initial weights, seed, learning rate and the strengths of the
perturbations are each student's own. Its step is `vmap` of the gradient of the very loss that `fit`
takes, written down once as a `Program`.

With `draws="own"` every student sees the batches and the perturbations that `fit` would show it,
and ends with the same weights up to rounding. With `draws="shared"` all noise of a step is drawn by
one generator, which is faster: a student's noise is then as good as in `fit`, but not the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from tqdm import tqdm

from mke_theory.data.pool import Batch
from mke_theory.data.rng import Stream, seed_for
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import student_loss, transforms_on
from mke_theory.models import MultimodalModel
from mke_theory.training.batches import batch_rows
from mke_theory.training.ema import share_kept
from mke_theory.training.loop import LOOK_EVERY, RULES, Fit, Moment, diverged
from mke_theory.training.vectorised.compatibility import kind_of, refuse_pools, refuse_unstackable
from mke_theory.training.vectorised.compiled_step import Program
from mke_theory.training.vectorised.hyperparameters import numbers_of, with_numbers
from mke_theory.training.vectorised.optimizers import update_rule

Draws = Literal["own", "shared"]
Outcome = Fit | Exception

_ROUND = 16  # samples are padded to a multiple of this: products of such a length are faster
_CACHE = 2**23


def side_by_side(
    students: Sequence[TrainingJob],
    *,
    draws: Draws = "own",
    size: int | None = None,
    memory: int | None = None,
    device: torch.device | str = "cpu",
    progress: str | None = None,
) -> list[Outcome]:
    """The `Fit` of every student, in order, their models trained in place.

    Students that cannot share a stack go to several. `size` is the most students of a stack; by
    default as many as keep its buffers within `memory` bytes (8 MiB on a CPU, whose cache they
    should fit, half of what is free on an accelerator). A student whose loss or weights are no
    longer finite has its FloatingPointError in place of a `Fit`; the others go on.

    Raises ValueError before any training where two students are one model, or a student cannot be
    stacked: its samples see each other in the model (batch statistics), the model draws numbers of
    its own (use the `Dropout` of `transforms`), keeps statistics, or looks at values.
    """
    if draws not in ("own", "shared"):
        raise ValueError(f"draws is {draws!r}; choose own or shared")
    for name, value in (("size", size), ("memory", memory)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it has to be at least 1, or None")
    groups: dict[Any, list[int]] = {}
    for i, student in enumerate(students):
        groups.setdefault(kind_of(student), []).append(i)
    limits = []
    for members in groups.values():
        refuse_unstackable(students[members[0]])
        for i in members:
            refuse_pools(students[i])
        fitting = _fitting(students[members[0]], memory, device)
        limits.append(size or fitting)
    if len({id(student.model) for student in students}) < len(students):
        raise ValueError("two students are one and the same model; copy it: copy.deepcopy(model)")
    outcomes: dict[int, Outcome] = {}
    total = sum(student.config.steps for student in students)
    with tqdm(total=total, desc=progress, disable=progress is None, leave=False) as bar:
        for members, limit in zip(groups.values(), limits, strict=True):
            for part in _even_parts(members, limit):
                stack = _Stack([students[i] for i in part], draws, device)
                outcomes |= zip(part, stack.train(bar), strict=True)
    return [outcomes[i] for i in range(len(students))]


def _fitting(student: TrainingJob, memory: int | None, device: torch.device | str) -> int:
    """As many students as have their buffers within the memory, measured on a stack of one.

    Raises ValueError where that one cannot be traced.
    """
    if memory is None:
        memory = _CACHE
        if torch.device(device).type == "cuda":
            memory = torch.cuda.mem_get_info(device)[0] // 2
    one = replace(student, model=copy.deepcopy(student.model))
    try:
        each = _Stack([one], "shared", device).bytes
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"a stack cannot train this student; train it by fit. {type(error).__name__}: {error}"
        ) from error
    return max(1, memory // each)


def _even_parts(members: Sequence[int], limit: int) -> list[list[int]]:
    parts = -(-len(members) // limit)
    ends = [len(members) * i // parts for i in range(parts + 1)]
    return [list(members[a:b]) for a, b in pairwise(ends)]


class _Request:
    """One draw of a step: the numbers that a transform asks for, for every student and sample."""

    def __init__(self, kind: Literal["normal", "uniform"], like: Tensor, shape: tuple[int, ...]):
        self.kind, self.shape, self.dtype = kind, shape, like.dtype


class _Listing(Stream):
    """A stream that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__(0)
        self.requests: list[_Request] = []

    def normal(self, like: Tensor) -> Tensor:
        self.requests.append(_Request("normal", like, tuple(like.shape[1:])))
        return torch.zeros_like(like)

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        self.requests.append(_Request("uniform", like, shape))
        return torch.zeros((len(like), *shape), dtype=like.dtype, device=like.device)


class _Drawn(Stream):
    """A stream that hands out what has been drawn, in the order in which it was asked for."""

    def __init__(self, numbers: Sequence[Tensor]) -> None:
        self._left = iter(numbers)

    def normal(self, like: Tensor) -> Tensor:
        return next(self._left)

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        return next(self._left)


class _Stack:
    """Students of one kind: stacked weights [S, …], buffers for a batch of each, and the step."""

    def __init__(
        self, students: Sequence[TrainingJob], draws: Draws, device: torch.device | str
    ) -> None:
        first = students[0]
        self.students, self.draws, self.device = students, draws, torch.device(device)
        self.objective, self.config = first.objective, first.config
        self.template = copy.deepcopy(first.model).to(device).train()
        for module in self.template.modules():
            if isinstance(module, MultimodalModel):
                module.inspects = False
        self._lay_out()
        trained = self._look_ahead()
        self.weights = self._stacked(trained)
        self.fixed = self._stacked(_tensors(first.model).keys() - set(trained))
        self.average = None
        if self.objective.kept_average is not None:
            self.average = {name: weight.clone() for name, weight in self.weights.items()}
        self._write_step()

    def _stacked(self, names: Iterable[str]) -> dict[str, Tensor]:
        every = [_tensors(student.model) for student in self.students]
        return {
            name: torch.stack([own[name].detach() for own in every]).to(self.device)
            for name in sorted(names)
        }

    def _lay_out(self) -> None:
        """Buffers for what a step reads: batches, weights of samples, noise, settings."""
        self.sizes = [len(student.samples) for student in self.students]
        batch = self.config.batch_size
        self.whole = batch is None or batch >= max(self.sizes)
        rows = max(self.sizes) if batch is None or self.whole else batch
        padded = -(-rows // _ROUND) * _ROUND
        samples, count = self.students[0].samples, len(self.students)

        def room(shape: Sequence[int], dtype: torch.dtype, value: float = 0.0) -> Tensor:
            return torch.full((count, padded, *shape), value, dtype=dtype, device=self.device)

        self.inputs = {n: room(x.shape[1:], x.dtype) for n, x in samples.inputs.items()}
        self.target = room(samples.labels.shape[1:], samples.labels.dtype)
        kind = next(iter(samples.inputs.values())).dtype
        self.share = room((), kind)
        self.transforms = [transforms_on(s.objective, s.samples) for s in self.students]
        own = [numbers_of(pair) for pair in self.transforms]
        self.numbers = torch.tensor(own, dtype=kind, device=self.device)
        self.done = torch.zeros((), dtype=torch.float64, device=self.device)
        self._fill_batch(0)
        seeds = [student.seed for student in self.students]
        self.generator = torch.Generator(self.device).manual_seed(seed_for(seeds[0], *seeds))

    def _look_ahead(self) -> list[str]:
        """Room for the numbers that a step draws, and the names of the weights that it changes."""
        listing, model = _Listing(), self.template
        loss = student_loss(self.objective, *self.transforms[0])
        inputs = {name: x[0] for name, x in self.inputs.items()}
        average = model if self.objective.kept_average is not None else None
        with torch.enable_grad():
            values = loss(model, Batch(inputs, self.target[0]), listing, Moment(0.0, average))
        if not values.requires_grad:
            raise ValueError("the loss depends on no weight that is trained; unfreeze one")
        self.requests = listing.requests
        self.noise = [
            torch.full((*self.share.shape, *one.shape), 0.5, dtype=one.dtype, device=self.device)
            for one in self.requests
        ]
        # torch's optimisers leave a weight that the loss does not reach as it is: no decay either.
        named = {n: weight for n, weight in model.named_parameters() if weight.requires_grad}
        slopes = torch.autograd.grad(values.sum(), list(named.values()), allow_unused=True)
        return [n for n, slope in zip(named, slopes, strict=True) if slope is not None]

    def _write_step(self) -> None:
        arguments = (
            self.weights,
            self.average or {},
            self.fixed,
            self.inputs,
            self.target,
            self.share,
            self.noise,
            self.numbers,
            self.done,
        )
        constant = [self.numbers, *self.fixed.values()]
        if self.whole:
            constant += [*self.inputs.values(), self.target, self.share]
        axes = (0, 0, 0, 0, 0, 0, 0, 0, None)
        self.gradient = Program(vmap(grad(self._loss), in_dims=axes), arguments, constant)
        self.look = lambda: Program(vmap(self._loss, in_dims=axes), arguments, constant)

    def _loss(
        self,
        weights: dict[str, Tensor],
        average: dict[str, Tensor],
        fixed: dict[str, Tensor],
        inputs: dict[str, Tensor],
        target: Tensor,
        share: Tensor,
        noise: list[Tensor],
        numbers: Tensor,
        done: Tensor,
    ) -> Tensor:
        """The mean loss of one student's batch: what `fit` differentiates."""
        pair = with_numbers(self.transforms[0], list(numbers.unbind(0)))
        loss = student_loss(self.objective, *pair)

        def model(*given: Any) -> Tensor:
            return functional_call(self.template, (weights, fixed), given)

        def followed(*given: Any) -> Tensor:
            return functional_call(self.template, (average, fixed), given)

        moment: Any = Moment(done, followed if average else None)  # type: ignore[arg-type]
        values = loss(model, Batch(inputs, target), _Drawn(noise), moment)  # type: ignore[arg-type]
        return (values * share).sum()

    @property
    def bytes(self) -> int:
        """What one more student would take, for a stack of one."""
        held = [*self.inputs.values(), self.target, self.share, *self.noise]
        return self.gradient.bytes + sum(x.numel() * x.element_size() for x in held)

    def train(self, bar: tqdm[Any]) -> list[Outcome]:
        """All steps, then every student's weights back in its model."""
        config, steps = self.config, self.config.steps
        history: list[tuple[int, Tensor]] = []
        rule = update_rule(config, list(self.weights.values()))
        rates = torch.tensor([s.config.learning_rate for s in self.students], dtype=torch.float64)
        gradients = list(self.gradient.result.values())
        value = self.look()
        for step in range(steps):
            self._prepare(step)
            look = (step + 1) % LOOK_EVERY == 0 or step + 1 == steps
            if look:
                value.run()
                history.append((step + 1, value.result.cpu().clone()))
            self.gradient.run()
            rule.step(gradients, rates * (config.rate_at(step) / config.learning_rate))
            if self.average is not None:
                self._follow(step + 1)
            bar.update(len(self.students))
        return self._outcomes(history)

    def _prepare(self, step: int) -> None:
        self.done.fill_(step / self.config.steps)
        if not self.whole:
            self._fill_batch(step)
        if self.draws == "shared":
            for request, place in zip(self.requests, self.noise, strict=True):
                fill = place.normal_ if request.kind == "normal" else place.uniform_
                fill(generator=self.generator)
            return
        for i, student in enumerate(self.students):
            stream = Stream(seed_for(student.seed, "step", step), device=self.device)
            for request, place in zip(self.requests, self.noise, strict=True):
                own = place[i, : self.rows[i]]
                if request.kind == "normal":
                    own.copy_(stream.normal(own))
                else:
                    own.copy_(stream.uniform(own, *request.shape))

    def _fill_batch(self, step: int) -> None:
        """The rows that `fit` would take at this step; rows that only fill up have no share."""
        self.rows = []
        self.share.zero_()
        for i, student in enumerate(self.students):
            rows = batch_rows(self.sizes[i], self.config.batch_size, student.seed, step)
            batch = student.samples[rows].to(self.device)
            self.rows.append(len(batch))
            for name, x in batch.inputs.items():
                self.inputs[name][i, : len(batch)] = x
            self.target[i, : len(batch)] = batch.target
            if step == 0:  # a row of zeros might have no gradient: fill up with a sample
                for name, x in batch.inputs.items():
                    self.inputs[name][i, len(batch) :] = x[0]
                self.target[i, len(batch) :] = batch.target[0]
            self.share[i, : len(batch)] = 1.0 / len(batch)

    def _follow(self, update: int) -> None:
        assert self.average is not None and self.objective.kept_average is not None
        kept = share_kept(update, self.objective.kept_average)
        for name, mine in self.average.items():
            mine.lerp_(self.weights[name], 1.0 - kept)

    def answering(self) -> dict[str, Tensor]:
        """The weights that answer: the students' own, or their running averages."""
        return (
            self.average if self.average and self.objective.answers == "average" else self.weights
        )

    def _outcomes(self, history: list[tuple[int, Tensor]]) -> list[Outcome]:
        final = self.answering()
        outcomes: list[Outcome] = []
        for i, student in enumerate(self.students):
            own = {name: weight[i] for name, weight in final.items()}
            told = tuple((step, float(values[i])) for step, values in history)
            lost = [step for step, value in told if not torch.isfinite(torch.tensor(value))]
            last = [weight[i] for weight in self.weights.values()]
            if lost or not all(bool(torch.isfinite(x).all()) for x in [*own.values(), *last]):
                where = f"step {lost[0] if lost else self.config.steps} (seed {student.seed})"
                outcomes.append(diverged("the loss or a weight", where, student.config))
                continue
            student.model.load_state_dict(own, strict=False)
            student.model.eval()
            steps = self.config.steps
            outcomes.append(Fit(student.model, steps, told, RULES["last"], steps, None))
        return outcomes


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _padded(x: Tensor, length: int, value: float) -> Tensor:
    more = torch.full((length - len(x), *x.shape[1:]), value, dtype=x.dtype, device=x.device)
    return torch.cat([x, more])
