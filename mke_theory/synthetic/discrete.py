"""Finite worlds: a table P(y, x₁, …, x_m), so that every error is a sum.

A modality of v values is given one-hot, [n, v]. Gates draw the values of all modalities evenly and
make the label from them; `noise` is the probability that the label is then another class, drawn
evenly from the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.synthetic.checks import (
    checked_count,
    checked_inputs,
    chosen,
    refuse_strange,
)
from mke_theory.synthetic.world import Draw, Exact, Floats, Ints

MOST_CELLS = 100_000
"""A table with more cells is refused: its settings are part of every record."""

_TOLERANCE = 1e-3
"""The most that a one-hot vector may be off by: single precision, or a view that was undone."""

PAIR = ("alpha", "beta")


@dataclass(frozen=True)
class Discrete:
    """A table of probabilities, flat in the order of `sizes` = (classes, values of each modality).

    `Discrete.of(table)` reads an array. Raises MemoryError beyond 100,000 cells, and ValueError
    where entries are negative or do not sum to 1 within 1e-9, a class never occurs, or sizes and
    modalities do not fit.
    """

    probabilities: tuple[float, ...]
    sizes: tuple[int, ...]
    modalities: tuple[str, ...] = PAIR

    def __post_init__(self) -> None:
        _refuse_sizes(self.sizes, self.modalities)
        if len(self.probabilities) != math.prod(self.sizes):
            raise ValueError(
                f"there are {len(self.probabilities)} probabilities; sizes {self.sizes} need "
                f"{math.prod(self.sizes)}"
            )
        p = np.array(self.probabilities, dtype=np.float64)
        if not (p >= 0).all():  # also where they are NaN
            raise ValueError(f"the smallest probability is {p.min()}; none may be negative")
        if abs(p.sum() - 1) > 1e-9:
            raise ValueError(f"the table sums to {p.sum():.10g}; divide it by its sum")
        never = np.flatnonzero(self.priors == 0)
        if len(never):
            raise ValueError(f"class {never[0]} has probability 0; leave it out of the table")

    @classmethod
    def of(cls, table: ArrayLike, modalities: tuple[str, ...] = PAIR) -> Discrete:
        """The world of an array P(y, x₁, …, x_m), [classes, values of x₁, …, values of x_m]."""
        p = np.asarray(table, dtype=np.float64)
        _refuse_sizes(p.shape, modalities)
        return cls(tuple(p.ravel().tolist()), p.shape, modalities)

    @cached_property
    def table(self) -> Floats:
        """P(y, x₁, …, x_m), [classes, values of x₁, …, values of x_m]; not to be written to."""
        p = np.array(self.probabilities, dtype=np.float64).reshape(self.sizes)
        p.setflags(write=False)
        return p

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: (v,) for name, v in zip(self.modalities, self.sizes[1:], strict=True)}

    @property
    def classes(self) -> int:
        return self.sizes[0]

    @property
    def priors(self) -> Floats:
        return self.table.sum(axis=tuple(range(1, len(self.sizes))))

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        checked_count("n", n, 1)
        cells = rng.choice(self.table.size, size=n, p=self.table.ravel() / self.table.sum())
        labels, *values = np.unravel_index(cells, self.sizes)
        inputs = {
            name: np.eye(size)[x]
            for name, size, x in zip(self.modalities, self.sizes[1:], values, strict=True)
        }
        return Draw(inputs, labels.astype(np.int64))

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """P(y | the given modalities), [n, classes]; P(y) where the input cannot occur.

        Raises ValueError where a row is not one-hot.
        """
        found = checked_inputs(inputs, self.shapes)
        joint = self.marginal(tuple(found))
        at = tuple(_values(name, x) for name, x in found.items())
        rows = np.moveaxis(joint, 0, -1)[at]
        total = rows.sum(axis=1, keepdims=True)
        return np.where(total > 0, rows / np.where(total > 0, total, 1), self.priors)

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """1 − Σ_x max_y P(y, x)."""
        best = self.marginal(chosen(modalities, self.modalities)).max(axis=0).sum()
        return Exact(max(0.0, float(1 - best)), 0.0, "enumeration")

    def marginal(self, modalities: Iterable[str]) -> Floats:
        """P(y, x) of the named modalities, in the world's order; of none of them P(y)."""
        wanted = set(modalities)
        refuse_strange([*wanted, *self.modalities], self.modalities)
        gone = [i for i, name in enumerate(self.modalities, start=1) if name not in wanted]
        return self.table.sum(axis=tuple(gone))


# Gates


def gate(
    label: Callable[[Ints], Ints],
    classes: int,
    modalities: tuple[str, ...] = PAIR,
    *,
    values: int = 2,
    noise: float = 0.0,
) -> Discrete:
    """The world of inputs that are even and independent, and a label made from them.

    `label` maps inputs [cells, m] to classes [cells]. AND, whose class is 1 where every bit is 1:

    >>> gate(lambda bits: bits.min(axis=1), 2).priors.tolist()
    [0.75, 0.25]

    Raises ValueError for a noise outside [0, (K − 1)/K), and where `label` gives anything but one
    class a cell.
    """
    sizes = (classes, *(values for _ in modalities))
    _refuse_sizes(sizes, modalities)
    cells = np.stack(np.unravel_index(np.arange(values ** len(modalities)), sizes[1:]), axis=1)
    classed = np.asarray(label(cells))
    if classed.shape != (len(cells),) or classed.dtype.kind not in "iu":
        raise ValueError(
            f"label gives {classed.dtype} of shape {classed.shape}; it has to give {len(cells)} "
            "whole numbers, one for each row of inputs"
        )
    if classed.min() < 0 or classed.max() >= classes:
        raise ValueError(
            f"label gives {classed.min()} to {classed.max()}; allowed are 0 to {classes - 1}"
        )
    flat = np.zeros((classes, len(cells)))
    flat[classed, np.arange(len(cells))] = 1 / len(cells)
    return Discrete.of(_noisy(flat, noise).reshape(sizes), modalities)


def exclusive(modalities: tuple[str, ...] = PAIR, *, noise: float = 0.0) -> Discrete:
    """XOR: class 1 where the number of ones is odd; with a modality fewer the class is a coin."""
    return gate(lambda bits: bits.sum(axis=1) % 2, 2, modalities, noise=noise)


def _noisy(table: Floats, noise: float) -> Floats:
    """The table after the class has turned into another with probability `noise`, evenly."""
    classes = len(table)
    if not 0 <= noise < (classes - 1) / classes:
        raise ValueError(
            f"noise is {noise}; with {classes} classes it has to lie in "
            f"[0, {classes - 1}/{classes})"
        )
    channel = np.full((classes, classes), noise / (classes - 1))
    np.fill_diagonal(channel, 1 - noise)
    return np.asarray(np.tensordot(channel.T, table, axes=1))


def _values(name: str, x: Floats) -> Ints:
    """The number of the value that each row marks."""
    at = x.argmax(axis=1)
    off = np.abs(x - np.eye(x.shape[1])[at])
    if off.max(initial=0) > _TOLERANCE:
        row = int(off.max(axis=1).argmax())
        raise ValueError(f"modality {name!r} is not one-hot in sample {row}: {x[row].tolist()}")
    return at


def _refuse_sizes(sizes: tuple[int, ...], modalities: Sequence[str]) -> None:
    if isinstance(modalities, str):
        raise TypeError(f"modalities is the text {modalities!r}; give a tuple: ({modalities!r},)")
    if not modalities or len(set(modalities)) < len(modalities):
        raise ValueError(f"modalities are {modalities}; name at least one, each once")
    if len(sizes) != 1 + len(modalities):
        raise ValueError(
            f"sizes are {sizes}; {len(modalities)} modalities need the number of classes and "
            f"{len(modalities)} numbers of values"
        )
    for size in sizes:
        checked_count("a size", size, 1)
    if sizes[0] < 2:
        raise ValueError(f"sizes are {sizes}; at least 2 classes and 1 value are needed")
    if math.prod(sizes) > MOST_CELLS:
        raise MemoryError(
            f"a table of sizes {sizes} has {math.prod(sizes):,} cells; the limit is {MOST_CELLS:,}"
            ": use fewer values or modalities"
        )
