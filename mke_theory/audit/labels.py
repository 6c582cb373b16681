"""Classes by number or by name, and what may be answered when a label is looked up."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.data.pool import UNKNOWN

Labels = NDArray[np.int64]
Answer = int | Labels | None
"""A class number, a map of class numbers [h, w] (−1 for unknown), or None for "cannot tell"."""

CANNOT_TELL = ("?", "cannot tell")
"""The answers, written in a file, of somebody who cannot tell the class."""

_WHOLE = re.compile(r"([0-9]+)[.,]0+")


@dataclass(frozen=True)
class Classes:
    """The classes 0 … count − 1, with a name each where they have any."""

    count: int
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, classes: int | Sequence[str]) -> Classes:
        """From their number or their names.

        Raises ValueError where there are fewer than two, or a name is empty, stands twice, or means
        "cannot tell", and TypeError where `classes` is neither.
        """
        if isinstance(classes, str):
            raise TypeError(f"classes is {classes!r}; give their number or a list of names")
        if not isinstance(classes, Sequence | np.ndarray):
            return cls(_at_least_two(operator.index(classes)))
        if not all(isinstance(name, str) for name in classes):
            raise TypeError("names of classes have to be text; without names, give their number")
        names = tuple(name.strip() for name in classes)
        _refuse_unusable(names)
        return cls(_at_least_two(len(names)), names)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names or map(str, range(self.count)))}

    @cached_property
    def _numbers_in_any_case(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, number in self._numbers.items():
            found[name.casefold()] = -1 if name.casefold() in found else number
        return {name: number for name, number in found.items() if number >= 0}

    def number_of(self, text: str) -> int:
        """The number of a class that somebody wrote down; KeyError where it is none.

        Spaces around it and its case are forgiven, and a spreadsheet's "3.0" or "3,0" for 3.
        """
        name = text.strip()
        whole = _WHOLE.fullmatch(name)
        for known, key in (
            (self._numbers, name),
            (self._numbers_in_any_case, name.casefold()),
            (self._numbers, whole[1] if whole else name),
        ):
            if key in known:
                return known[key]
        raise KeyError(text)

    def name_of(self, number: int) -> str:
        """The name of a class, or its number as text."""
        return self.names[number] if self.names else str(number)

    def answer(self, value: Any, where: str) -> int | None:
        """The class number of an answer, None for "cannot tell" (None or −1).

        Raises TypeError where it is no class number (nor a name, where classes have names), and
        ValueError where it is none of the classes. where: begins the message.
        """
        if value is None:
            return None
        if isinstance(value, str):
            if value.strip().casefold() in CANNOT_TELL:
                return None
            try:
                return self.number_of(value)
            except KeyError:
                raise ValueError(f"{where} is {value!r}; {self.allowed()}") from None
        if isinstance(value, bool | np.bool_):
            raise TypeError(f"{where} is {value}; {self.allowed()}")
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{where} is {value!r}; {self.allowed()}") from None
        if number == UNKNOWN:
            return None
        if not 0 <= number < self.count:
            raise ValueError(f"{where} is {number}; {self.allowed()}")
        return number

    def label_map(self, value: Any, shape: tuple[int, ...], where: str) -> Labels | None:
        """The label map of an image, None for "cannot tell", which a map of −1 alone is too.

        Raises TypeError where it is no array of whole numbers, and ValueError where it has another
        shape than predictions or holds what is no class.
        """
        if value is None:
            return None
        found = np.asarray(value)
        if found.dtype.kind not in "iu":
            raise TypeError(f"{where} is {found.dtype}; give a map {shape} of class numbers")
        if found.shape != shape:
            raise ValueError(f"{where} has shape {found.shape}, predictions have {shape}")
        found = found.astype(np.int64)
        outside = found[(found < UNKNOWN) | (found >= self.count)]
        if outside.size:
            raise ValueError(f"{where} holds {outside[0]}; {self.allowed()}")
        return None if (found == UNKNOWN).all() else found

    def allowed(self) -> str:
        """The end of a message: all that may be answered."""
        if not self.names:
            return f"allowed are class numbers 0 to {self.count - 1}, and None for 'cannot tell'"
        shown = ", ".join(repr(name) for name in self.names[:8])
        more = f" and {self.count - 8} more" if self.count > 8 else ""
        return f"the classes are {shown}{more}; '?' says 'cannot tell'"


def predicted(name: str, values: ArrayLike, classes: Classes) -> Labels:
    """Predictions as class numbers [n] or, of pixels, [n, h, w].

    values: whole numbers, or the classes' names where they have any.

    Raises TypeError where they are of another kind, ValueError where one is NaN, missing or no
    class, where there are none, or where they are scores or one-hot: what to do about it is said.
    """
    x = np.asarray(values)
    if x.size == 0:
        raise ValueError(f"{name} has no predictions (shape {x.shape}); give at least one")
    if x.dtype.kind == "f" and np.isnan(x).any():
        at = ", ".join(str(i) for i in np.argwhere(np.isnan(x))[0])
        raise ValueError(f"{name}[{at}] is NaN; give a prediction for every sample")
    if x.ndim not in (1, 3):
        raise ValueError(f"{name} has shape {x.shape}: {_advice(x)}")
    if x.dtype.kind in "UTO":
        return _by_name(name, x, classes)
    if x.dtype.kind not in "iu":
        raise TypeError(
            f"{name} is {x.dtype}; give class numbers as integers, for instance by .astype(int)"
        )
    outside = np.argwhere((x < 0) | (x >= classes.count))
    if len(outside):
        at = ", ".join(str(i) for i in outside[0])
        raise ValueError(
            f"{name}[{at}] is {x[tuple(outside[0])]}; allowed are 0 to {classes.count - 1}, and "
            "every sample needs a prediction"
        )
    return x.astype(np.int64)


def _by_name(name: str, x: NDArray[Any], classes: Classes) -> Labels:
    if x.ndim != 1 or not all(isinstance(one, str) for one in x):
        cells = x.ravel().tolist()
        i = next((i for i, one in enumerate(cells) if not isinstance(one, str)), 0)
        raise TypeError(
            f"{name} mixes text with other things (at {i}: {cells[i]!r}); give class numbers as "
            "integers, or names throughout, one a sample"
        )
    if not classes.names:
        raise TypeError(
            f"{name} holds text ({x.tolist()[0]!r}); give the names of all classes as `classes`"
        )
    found = np.empty(len(x), dtype=np.int64)
    for i, text in enumerate(x.tolist()):
        try:
            found[i] = classes.number_of(text)
        except KeyError:
            raise ValueError(f"{name}[{i}] is {text!r}; {classes.allowed()}") from None
    return found


def _advice(x: NDArray[Any]) -> str:
    """A remedy for predictions of a wrong shape, by what they look like."""
    if x.ndim != 2 or x.dtype.kind not in "iufb":
        return "give class numbers [n], one a sample, or [n, h, w], one a pixel"
    if x.shape[1] == 1:
        return "a column; give class numbers [n], by .ravel()"
    if x.dtype.kind != "f" or np.isin(x, (0, 1)).all():
        one_hot = bool((x.astype(np.int64).sum(axis=1) == 1).all())
        kind = "one-hot labels" if one_hot else "several answers a sample"
        remedy = "give class numbers [n], by .argmax(axis=1)"
        return f"{kind}; " + (remedy if one_hot else "audit one question, [n], at a time")
    if (x >= 0).all() and (x <= 1).all():
        sums = x.sum(axis=1)
        if np.allclose(sums, 1, atol=1e-3):
            return "probabilities; give class numbers [n], by .argmax(axis=1)"
        i = int(np.abs(sums - 1).argmax())
        return (
            f"probabilities that do not sum to 1 (row {i}: {sums[i]:.3g}), so look where they come "
            "from; then give class numbers [n], by .argmax(axis=1)"
        )
    return "scores such as logits; give class numbers [n], by .argmax(axis=1)"


def _at_least_two(count: int) -> int:
    if count < 2:
        raise ValueError(f"classes is {count}; at least 2 are needed")
    return count


def _refuse_unusable(names: tuple[str, ...]) -> None:
    for i, name in enumerate(names):
        if not name or name.casefold() in CANNOT_TELL:
            raise ValueError(f"class {i} is named {name!r}, which stands for no answer; rename it")
        if name in names[:i]:
            raise ValueError(f"two classes are named {name!r}; give each a name of its own")
