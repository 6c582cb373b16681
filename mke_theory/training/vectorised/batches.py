"""The batches of many jobs, in one place for each modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mke_theory.data.pool import Pool
from mke_theory.training.batches import Rows, batch_rows, batches_an_epoch
from mke_theory.training.vectorised.compatibility import Ready

_ROUND = 16  # batches are padded to a multiple of this: products of such a length are faster


class Batches:
    """Room [jobs, rows, ...] for a batch of each job: the rows that `fit` would take at a step.

    `share` [jobs, rows] is the weight of a row in the job's mean loss; rows that only fill up have
    none. `taken` has the length of each job's batch. With `whole` a batch is all of its samples.
    """

    def __init__(self, jobs: Sequence[Ready], longest: int, device: torch.device) -> None:
        first = jobs[0].job
        self.whole = batches_an_epoch(len(first.samples), first.config.batch_size) == 1
        self.rows = -(-longest // _ROUND) * _ROUND
        batch = first.samples[slice(0, 1)]

        def room(like: Tensor) -> Tensor:
            shape = (len(jobs), self.rows, *like.shape[1:])
            return torch.zeros(shape, dtype=like.dtype, device=device)

        self.inputs = {name: room(x) for name, x in batch.inputs.items()}
        self.target = room(batch.target)
        self.share = room(next(iter(batch.inputs.values())).new_empty(1))
        self.taken: list[int] = []

    def load(self, jobs: Sequence[Ready]) -> None:
        """Begin with the first batches of these jobs."""
        self._jobs = [one.job for one in jobs]
        self._ahead: list[list[Rows]] = [[] for _ in jobs]
        self.taken = [0] * len(jobs)
        for i, job in enumerate(self._jobs):
            filler = job.samples[slice(0, 1)]  # a row of zeros might have no gradient
            for name, x in filler.inputs.items():
                self.inputs[name][i] = x
            self.target[i] = filler.target
        self._fill(0)

    def turn_to(self, step: int) -> None:
        """Hold the batches of step 0, 1, …, asked for in order."""
        if not self.whole and step > 0:  # the first ones are here
            self._fill(step)

    def _fill(self, step: int) -> None:
        for i, job in enumerate(self._jobs):
            rows = self._rows_of(i, step)
            length = len(job.samples) if isinstance(rows, slice) else len(rows)
            self._copy(i, job.samples, rows, length)
            if length != self.taken[i]:
                self.taken[i] = length
                self.share[i, :length] = 1.0 / length
                self.share[i, length:] = 0.0

    def _copy(self, i: int, samples: Pool, rows: Rows, length: int) -> None:
        on_cpu = self.target.device.type == "cpu"
        for name, place in self.inputs.items():
            x, into = samples.inputs[name], place[i, :length]
            if on_cpu and isinstance(rows, Tensor) and isinstance(x, Tensor):
                torch.index_select(x, 0, rows, out=into)
            else:
                into.copy_(x[rows])
        self.target[i, :length] = samples.labels[rows]

    def _rows_of(self, i: int, step: int) -> Any:
        """The rows of a job's batch: an epoch's at a time, whose order is drawn once."""
        job = self._jobs[i]
        n, size = len(job.samples), job.config.batch_size
        if not self._ahead[i]:
            later = range(step, step + batches_an_epoch(n, size))
            self._ahead[i] = [batch_rows(n, size, job.seed, at) for at in later][::-1]
        return self._ahead[i].pop()
