"""The interface of a synthetic world: draws, the exact posterior and the exact Bayes error.

A world is a frozen dataclass whose fields are its parameters. Modalities are named, the teacher's
first; every array is float64. `simulated.Simulated` turns a world into a task, so that the study,
the arms and the training of the real tasks run on it unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Draw:
    """n samples: `inputs[modality]` is [n, d], `labels` is [n] in 0..classes−1."""

    inputs: dict[str, Floats]
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Exact:
    """A number that is known: |value − truth| ≤ tolerance (0: closed form up to rounding)."""

    value: float
    tolerance: float
    method: Literal["closed form", "enumeration", "quadrature"]

    def __float__(self) -> float:
        return self.value


class World(Protocol):
    """A distribution of (inputs by modality, label).

    `posterior` reads exactly the modalities it is given, any non-empty subset of them; further
    keys that are no modality of the world are an error (ValueError naming them).
    """

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names, the teacher's (α) first."""
        ...

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one sample of each modality."""
        ...

    @property
    def classes(self) -> int:
        """The number of classes, at least 2."""
        ...

    @property
    def priors(self) -> Floats:
        """P(y = k), [classes], each positive."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        """Independent draws, n of them."""
        ...

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """P(y = k | the given modalities), [n, classes], rows that sum to 1."""
        ...

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """The error of the best classifier on the named modalities; None means all of them."""
        ...
