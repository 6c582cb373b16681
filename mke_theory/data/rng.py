"""Sub-seeds derived from names, so that a new source of randomness moves no other.

Every random choice of a run has a name: the draw of the data, the split, the initial weights, the
order of the batches, the perturbation at a step. Its seed is a hash of the run's seed and the name.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_SEED_LIMIT = 2**63


def seed_for(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) that depends on `seed` and on every name, in order.

    Whole numbers of NumPy count as Python's; anything else that is no text raises TypeError.

    >>> seed_for(0, "init") == seed_for(0, "init")
    True
    >>> seed_for(0, "init") == seed_for(0, "order")
    False
    """
    return _folded(hashlib.sha256(_text(seed, names).encode()))


def numbered_seeds(seed: int, *names: str | int) -> Callable[[int], int]:
    """`number → seed_for(seed, *names, number)`: the hash of all but the number is taken once."""
    begun = hashlib.sha256(f"{_text(seed, names)}\x1fint:".encode())

    def of(number: int) -> int:
        digest = begun.copy()
        digest.update(b"%d" % number)
        return _folded(digest)

    return of


def _text(seed: int, names: Iterable[str | int]) -> str:
    parts = [
        f"str:{name}" if isinstance(name, str) else f"int:{operator.index(name)}" for name in names
    ]
    return "\x1f".join([str(operator.index(seed)), *parts])


def _folded(digest: hashlib._Hash) -> int:
    return int.from_bytes(digest.digest()[:8], "big") % _SEED_LIMIT


def seed32_for(seed: int, *names: str | int) -> int:
    """`seed_for` folded into [0, 2**32), all that NumPy's and scikit-learn's older seeds allow."""
    return seed_for(seed, *names) % 2**32


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Inside the block torch's global CPU generator starts from `seed`; afterwards it is as before.

    The generators of accelerators are left alone.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class Stream:
    """The random numbers of one training step, the same however the batch is spread over processes.

    A process that holds rows `rows` of a batch of `total` samples draws for the whole batch and
    keeps its own rows: one process and several then perturb a sample alike.
    """

    def __init__(
        self,
        seed: int,
        *,
        device: torch.device | str = "cpu",
        rows: slice | None = None,
        total: int | None = None,
    ) -> None:
        import torch

        self.generator = torch.Generator(device=device)
        self.restart(seed, rows=rows, total=total)

    def restart(self, seed: int, *, rows: slice | None = None, total: int | None = None) -> None:
        """Go on as a new stream of this seed, rows and total would, with the same generator."""
        if (rows is None) != (total is None):
            raise ValueError("Stream takes rows and total together, or neither")
        self.generator.manual_seed(seed)
        self._part = None if rows is None or total is None else (rows, total)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers in the shape and type of `like` (first axis: samples)."""
        if self._part is None:
            return like.new_empty(like.shape).normal_(generator=self.generator)
        rows, total = self._part
        whole = like.new_empty((total, *like.shape[1:])).normal_(generator=self.generator)
        return _as_many(whole[rows], like)

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), one row for each row of `like`, each row of shape `shape`."""
        if self._part is None:
            return like.new_empty((len(like), *shape)).uniform_(generator=self.generator)
        rows, total = self._part
        whole = like.new_empty((total, *shape)).uniform_(generator=self.generator)
        return _as_many(whole[rows], like)


def _as_many(numbers: Tensor, like: Tensor) -> Tensor:
    if len(numbers) != len(like):
        raise ValueError(f"this stream draws for {len(numbers)} samples; got {len(like)}")
    return numbers
