"""The samples that a step reads, and their way to the device.

    epoch → batch → the share of a process → pieces that are computed on at once

Rows follow from the seed and the step's number alone, so however many processes share the work and
however many workers read ahead, every sample is met at the same step.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, tee
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mke_theory.data.pool import Batch, Samples
from mke_theory.data.rng import Stream, seed_for
from mke_theory.training.hardware import Hardware

Rows = slice | Tensor


@dataclass(frozen=True)
class Piece:
    """Samples that a process computes on at once: `rows` of the data, places `at` of the batch.

    `total` is how many samples the whole batch has; `last` marks the process's last piece of it.
    """

    rows: Rows
    at: slice
    total: int
    last: bool = True

    def restart(self, stream: Stream, seed: int) -> None:
        """Let the stream draw for these samples what it draws for them in the whole batch."""
        if self.at == slice(0, self.total):
            stream.restart(seed)
        else:
            stream.restart(seed, rows=self.at, total=self.total)


@dataclass(frozen=True)
class Plan:
    """The share of n samples that one of several processes reads at every step.

    Raises ValueError where a batch has fewer samples than there are processes.
    """

    n: int
    batch_size: int | None
    seed: int
    processes: int = 1
    rank: int = 0
    micro_batch: int | None = None

    def __post_init__(self) -> None:
        n, size = self.n, self.batch_size
        smallest = n if size is None or size >= n else n % size or size
        if smallest < self.processes:
            raise ValueError(
                f"the smallest batch of an epoch has {smallest} of {n} samples and cannot be "
                f"shared by {self.processes} processes; use fewer processes or another batch_size "
                f"(now {size})"
            )

    def pieces(self, step: int) -> list[Piece]:
        """The pieces that this process reads at step 0, 1, …, of nearly the same size."""
        rows = batch_rows(self.n, self.batch_size, self.seed, step)
        total = self.n if isinstance(rows, slice) else len(rows)
        first, end = (total * rank // self.processes for rank in (self.rank, self.rank + 1))
        count = math.ceil((end - first) / (self.micro_batch or total))
        cuts = [first + (end - first) * i // count for i in range(count + 1)]
        places = [slice(start, stop) for start, stop in pairwise(cuts)]
        return [
            Piece(at if isinstance(rows, slice) else rows[at], at, total, at.stop == end)
            for at in places
        ]

    def always(self) -> Piece | None:
        """The piece that is all of every step; None where steps differ or have several pieces."""
        pieces = self.pieces(0)
        alike = batches_an_epoch(self.n, self.batch_size) == 1
        return pieces[0] if alike and len(pieces) == 1 else None


def batches_an_epoch(n: int, batch_size: int | None) -> int:
    """The number of batches that visit n samples once; 1 where every batch is all of them."""
    return 1 if batch_size is None or batch_size >= n else math.ceil(n / batch_size)


def batch_rows(n: int, batch_size: int | None, seed: int, step: int) -> Rows:
    """The rows of step 0, 1, …: every epoch goes once through a new permutation of the n samples.

    The last batch of an epoch is smaller where `batch_size` does not divide n.
    """
    if batch_size is None or batch_size >= n:
        return slice(0, n)
    epoch, position = divmod(step, batches_an_epoch(n, batch_size))
    return _order(n, seed, epoch)[position * batch_size : (position + 1) * batch_size]


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed_for(seed, "order", epoch))
    return torch.randperm(n, generator=draw)


class Reader:
    """The pieces of `steps` with their batches, in order, on the device.

    A piece that is all of every step is read `once`: nothing may change it in place. `waited`
    is the time in seconds that the caller has waited for samples so far.
    """

    def __init__(
        self,
        samples: Samples,
        plan: Plan,
        steps: range,
        hardware: Hardware,
        device: torch.device,
    ) -> None:
        self.once = plan.always() is not None
        self._kept: tuple[Piece, Batch] | None = None
        asked = steps[:1] if self.once else steps
        pieces, ahead = tee(piece for step in asked for piece in plan.pieces(step))
        self._pieces = pieces
        self._batches = read_ahead(
            samples,
            (piece.rows for piece in ahead),
            workers=hardware.workers,
            pin=device.type == "cuda",
        )
        self._device, self._channels_last = device, hardware.channels_last
        self.waited = 0.0

    def next(self) -> tuple[Piece, Batch]:
        """The next piece and its batch."""
        if self._kept is not None:
            return self._kept
        started = time.perf_counter()
        batch = next(self._batches)
        self.waited += time.perf_counter() - started
        batch = batch.to(self._device)
        found = next(self._pieces), channels_last(batch) if self._channels_last else batch
        if self.once:
            self._kept = found
        return found

    def close(self) -> None:
        """Let the workers go."""
        self._batches.close()


def channels_last(batch: Batch) -> Batch:
    """The same numbers, those of pictures [b, c, h, w] with the channels side by side in memory."""
    pictures = {
        name: x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        for name, x in batch.inputs.items()
    }
    return Batch(pictures, batch.target)


def read_ahead(
    samples: Samples, rows: Iterable[Rows], *, workers: int = 0, pin: bool = False
) -> Generator[Batch, None, None]:
    """`samples[r]` for each r in `rows`, in their order, read ahead by worker processes.

    Without workers they are read when asked for. Close the iterator to let the workers go. `pin`
    puts what workers read into memory from which a GPU copies while it computes.
    """
    if workers == 0:
        for some in rows:
            yield samples[some]
        return
    # Arrays are sent to workers as bytes; a tensor would take a file handle each.
    wanted = (some if isinstance(some, slice) else some.numpy() for some in rows)
    loader = DataLoader(
        _Reading(samples),
        batch_size=None,
        sampler=wanted,
        num_workers=workers,
        collate_fn=_as_tuple,
        pin_memory=pin,
        generator=torch.Generator(),  # torch's own is left alone
        # A forked worker shares memory and mapped files; another would be sent a copy of all.
        multiprocessing_context="fork" if sys.platform == "linux" else None,
    )
    for inputs, target in loader:
        yield Batch(inputs, target)


class _Reading(Dataset[Batch]):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Batch:
        return self.samples[rows if isinstance(rows, slice) else torch.from_numpy(rows)]


def _as_tuple(batch: Any) -> tuple[dict[str, Tensor], Tensor]:
    return batch.inputs, batch.target  # what a loader knows how to pin
