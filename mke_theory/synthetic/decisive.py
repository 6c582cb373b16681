"""A world in which one knob moves what decides the class between modalities, and nothing else.

    y = 1[w₁·z₁ + … + w_m·z_m + w_γ·z_γ > 0],   all z standard normal, ‖w_i‖² = v_i, Σ v = 1

Modality i sees (z_i, z_γ): a private part and the part that all of them share. The inputs are
N(0, I) whatever the shares v, so their dimension, their energy and their look never change; only
who holds the decision does. All modalities together decide the class without error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from mke_theory.synthetic.checks import (
    checked_count,
    checked_inputs,
    chosen,
    numbered,
    refuse_infinite,
    refuse_no_numbers,
    refuse_unequal_copies,
)
from mke_theory.synthetic.world import Draw, Exact, Floats


@dataclass(frozen=True)
class Decisive:
    """The world: v_i = `private[i]` ≥ 0 and v_γ = `shared` ≥ 0, which sum to 1.

    z_i has `dims[i]` coordinates (by default 8 each) and z_γ `shared_dims`; within a part every
    coordinate weighs the same, w = √(v/d) (1, …, 1). A part with a positive share needs at least
    one coordinate. Modality x1 (the teacher's) has z_1 in its first `dims[0]` columns, z_γ after.

    The teacher's best error is arccos(√(v_1 + v_γ))/π: `bayes_error(("x1",))`.

    Raises ValueError where a share is negative, they do not sum to 1 within 1e-9, there are fewer
    than two modalities, or a dimension is out of range.
    """

    private: tuple[float, ...] = (0.4, 0.4)
    shared: float = 0.2
    dims: tuple[int, ...] | None = None
    shared_dims: int = 8

    def __post_init__(self) -> None:
        refuse_no_numbers("private", self.private)
        refuse_infinite("shared", self.shared)
        shares = (*self.private, self.shared)
        if len(self.private) < 2:
            raise ValueError(f"private is {self.private}; give a share for at least 2 modalities")
        if min(shares) < 0:
            raise ValueError(f"shares (private, shared) are {shares}; each has to be at least 0")
        if abs(sum(shares) - 1) > 1e-9:
            raise ValueError(
                f"shares (private, shared) sum to {sum(shares)}; they have to sum to 1"
            )
        if self.dims is not None:
            refuse_no_numbers("dims", self.dims)
        if self.dims is not None and len(self.dims) != len(self.private):
            raise ValueError(f"dims is {self.dims}; {len(self.private)} modalities need one each")
        sizes = (*self._private_dims, checked_count("shared_dims", self.shared_dims, 0))
        for share, size in zip(shares, sizes, strict=True):
            if checked_count("dims", size, 0) == 0 and share > 0:
                raise ValueError(f"a part with share {share} has no coordinate; give it at least 1")
        if min(self._private_dims) + self.shared_dims == 0:
            raise ValueError("a modality has no coordinate; raise its dims or shared_dims")

    @property
    def _private_dims(self) -> tuple[int, ...]:
        return (8,) * len(self.private) if self.dims is None else self.dims

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names x1 (the teacher's), x2 and so on."""
        return numbered(len(self.private))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Private coordinates first, then the shared ones."""
        sizes = zip(self.modalities, self._private_dims, strict=True)
        return {name: (size + self.shared_dims,) for name, size in sizes}

    @property
    def classes(self) -> int:
        """Two."""
        return 2

    @property
    def priors(self) -> Floats:
        """(1/2, 1/2)."""
        return np.array([0.5, 0.5])

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        """Independent draws, n of them. Raises ValueError for n < 1."""
        checked_count("n", n, 1)
        shared = rng.normal(size=(n, self.shared_dims))
        inputs = {
            name: np.concatenate([rng.normal(size=(n, size)), shared], axis=1)
            for name, size in zip(self.modalities, self._private_dims, strict=True)
        }
        return Draw(inputs, (self._score(inputs) > 0).astype(np.int64))

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """P(y = 1) = Φ(score of what is seen / √(share of what is not)), [n, 2].

        Where everything that has a share is seen it is 0 or 1. Raises ValueError as
        `checks.checked_inputs` does, and where modalities disagree about the shared part.
        """
        found = checked_inputs(inputs, self.shapes)
        if self.shared_dims:
            refuse_unequal_copies({name: x[:, -self.shared_dims :] for name, x in found.items()})
        score, unseen = self._score(found), self._unseen(tuple(found))
        one = ndtr(score / np.sqrt(unseen)) if unseen > 0 else (score > 0).astype(np.float64)
        return np.stack([1 - one, one], axis=1)

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """arccos(√seen)/π, with `seen` the share of the parts seen: the angle between the scores.

        Signs of two normal numbers with correlation r differ with probability arccos(r)/π.
        """
        unseen = self._unseen(chosen(modalities, self.modalities))
        # The angle from its two sides: arccos alone would lose half the digits near 0.
        angle = np.arctan2(np.sqrt(unseen), np.sqrt(max(1 - unseen, 0.0)))
        return Exact(float(angle / np.pi), 0.0, "closed form")

    def _unseen(self, seen: tuple[str, ...]) -> float:
        pairs = zip(self.modalities, self.private, strict=True)
        return float(sum(share for name, share in pairs if name not in seen))

    def _score(self, inputs: Mapping[str, Floats]) -> Floats:
        """The part of Σ w·z that the given modalities hold, [n], the shared part once."""
        total = np.zeros(len(next(iter(inputs.values()))))
        sizes = zip(self.modalities, self.private, self._private_dims, strict=True)
        for name, share, size in sizes:
            if name in inputs and share > 0:
                total += np.sqrt(share / size) * inputs[name][:, :size].sum(axis=1)
        if self.shared > 0:
            shared = next(iter(inputs.values()))[:, -self.shared_dims :]
            total += np.sqrt(self.shared / self.shared_dims) * shared.sum(axis=1)
        return total


__all__ = ["Decisive"]
