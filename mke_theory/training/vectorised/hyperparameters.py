"""Settings as numbers: a transform whose strengths are tensors, so that jobs can differ in them.

A job beside others has a strength, a scale and a probability of its own. `numbers_of` reads
them off a tree of frozen dataclasses and tuples, `with_numbers` puts others in their places, and
trees of equal `form_of` differ in those numbers alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def numbers_of(tree: Any) -> list[float]:
    """Every float and whole number of the tree (truth values excepted), in order of its fields."""
    if _is_number(tree):
        return [float(tree)]
    return [number for part in _parts(tree) for number in numbers_of(part)]


def form_of(tree: Any) -> Any:
    """The tree with every number forgotten; two trees of equal form take the same numbers."""
    if _is_number(tree):
        return "number"
    if isinstance(tree, tuple):
        return tuple(form_of(part) for part in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return (type(tree), *(form_of(part) for part in _parts(tree)))
    return tree


def with_numbers(tree: T, numbers: Sequence[Tensor]) -> T:
    """The tree with its numbers replaced, in the order of `numbers_of`; nothing is checked again.

    Raises ValueError where there are more numbers, or fewer, than places.
    """
    left = iter(numbers)
    try:
        filled = _filled(tree, left)
    except StopIteration:
        raise ValueError(f"{len(numbers)} numbers are too few for {tree!r}") from None
    if next(left, None) is not None:
        raise ValueError(f"{len(numbers)} numbers are too many for {tree!r}")
    return filled


def _filled(tree: Any, numbers: Iterator[Tensor]) -> Any:
    if _is_number(tree):
        return next(numbers)
    if isinstance(tree, tuple):
        return tuple([_filled(part, numbers) for part in tree])
    if is_dataclass(tree) and not isinstance(tree, type):
        filled = copy.copy(tree)
        for field in fields(tree):
            # Not `replace`: the checks of a value's range would look at the tensors.
            object.__setattr__(filled, field.name, _filled(getattr(tree, field.name), numbers))
        return filled
    return tree


def _parts(tree: Any) -> list[Any]:
    if isinstance(tree, tuple):
        return list(tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return [getattr(tree, field.name) for field in fields(tree)]
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
