"""The random numbers of a step, for many jobs: those of the single loop, or all from one draw.

What a step draws is found by running the loss once on a stream that takes notes (`Notes`). The
traced step is handed its numbers as arguments (`Handed`), from places that `Noise` fills.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mke_theory.data.rng import Stream


@dataclass(frozen=True)
class Draw:
    """One draw of a step: numbers of this shape for every sample."""

    kind: Literal["normal", "uniform"]
    shape: tuple[int, ...]
    dtype: torch.dtype


class Notes(Stream):
    """A stream that notes what is asked of it; its numbers are all 1/2."""

    def __init__(self) -> None:
        super().__init__(0)
        self.draws: list[Draw] = []

    def normal(self, like: Tensor) -> Tensor:
        return self._note(Draw("normal", tuple(like.shape[1:]), like.dtype), like)

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        return self._note(Draw("uniform", shape, like.dtype), like)

    def _note(self, draw: Draw, like: Tensor) -> Tensor:
        self.draws.append(draw)
        return torch.full((len(like), *draw.shape), 0.5, dtype=like.dtype, device=like.device)


class Handed(Stream):
    """A stream that hands out what has been drawn, in the order in which it was asked for."""

    def __init__(self, numbers: Sequence[Tensor]) -> None:
        self._left = iter(numbers)

    def normal(self, like: Tensor) -> Tensor:
        return next(self._left)

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        return next(self._left)


class Noise:
    """Places [jobs, rows, ...] for the numbers of each draw of a step."""

    def __init__(self, draws: Sequence[Draw], jobs: int, rows: int, device: torch.device) -> None:
        self.draws = draws
        self.places = [
            torch.empty((jobs, rows, *one.shape), dtype=one.dtype, device=device) for one in draws
        ]
        self._generator = torch.Generator(device)
        self._fills: dict[tuple[int, int], list[Callable[..., Tensor]]] = {}
        self.share(torch.Generator(device).manual_seed(0))  # what a step is tried on

    def share(self, generator: torch.Generator) -> None:
        """All numbers of a step, from one generator."""
        for draw, place in zip(self.draws, self.places, strict=True):
            _fill(draw, place)(generator=generator)

    def own(self, job: int, rows: int, seed: int) -> None:
        """A job's numbers for its first rows, as a `Stream` of this seed would draw them."""
        fills = self._fills.get((job, rows))
        if fills is None:
            own = zip(self.draws, self.places, strict=True)
            fills = self._fills[job, rows] = [_fill(draw, place[job, :rows]) for draw, place in own]
        self._generator.manual_seed(seed)
        for fill in fills:
            fill(generator=self._generator)


def _fill(draw: Draw, place: Tensor) -> Callable[..., Tensor]:
    return place.normal_ if draw.kind == "normal" else place.uniform_
