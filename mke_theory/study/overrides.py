"""Settings by path: `digits.recipe.student.steps=100` in a tree of frozen dataclasses.

A path that does not exist and a value of the wrong type are errors that list what would do.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_Change = tuple[list[str], str, str]
"""The rest of a path, the text, and the whole path for messages."""


def changed(value: T, *assignments: str) -> T:
    """A copy of a dataclass with every `path=text` carried out; paths are relative to `value`.

    All are carried out together, so that settings which depend on each other come in any order; of
    two for one path the later counts.

    >>> from mke_theory.training.loop import TrainConfig
    >>> changed(TrainConfig(), "warmup_steps=2000", "steps=5000").warmup_steps
    2000
    """
    wanted: list[_Change] = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise ValueError(f"{assignment!r} is not of the form path=value")
        wanted.append((path.split("."), text, path))
    return _changed(value, wanted)


def _changed(value: Any, wanted: list[_Change]) -> Any:
    """A copy of a dataclass or a tuple of them; no path of `wanted` is empty."""
    if isinstance(value, tuple):
        return _changed_items(value, wanted)
    if not is_dataclass(value) or isinstance(value, type):
        (head, *_), _, whole = wanted[0]
        raise ValueError(f"{whole}: {type(value).__name__} has no field {head!r}")
    known = [f.name for f in fields(value)]
    found: dict[str, Any] = {}
    for head, own in _by_head(wanted).items():
        if head not in known:
            raise ValueError(f"{own[0][2]}: there is no {head!r}; there are {', '.join(known)}")
        for _, text, whole in (one for one in own if not one[0]):
            found[head] = parsed(text, get_type_hints(type(value))[head], whole)
        if deeper := [one for one in own if one[0]]:
            found[head] = _changed(found.get(head, getattr(value, head)), deeper)
    return replace(value, **found)


def _changed_items(value: tuple[Any, ...], wanted: list[_Change]) -> tuple[Any, ...]:
    listed = ", ".join(f"{i} ({type(item).__name__})" for i, item in enumerate(value)) or "none"
    items = list(value)
    for head, own in _by_head(wanted).items():
        for rest, _, whole in own:
            if not head.isdecimal() or int(head) >= len(value) or not rest:
                raise ValueError(
                    f"{whole}: name an item by its number and a field of it; items: {listed}"
                )
        items[int(head)] = _changed(items[int(head)], own)
    return tuple(items)


def _by_head(wanted: list[_Change]) -> dict[str, list[_Change]]:
    """The changes by the first name of their paths, which is taken off."""
    found: dict[str, list[_Change]] = {}
    for (head, *rest), text, whole in wanted:
        found.setdefault(head, []).append((rest, text, whole))
    return found


def parsed(text: str, kind: Any, whole: str) -> Any:
    """`text` as a value of the annotated type: int, float, bool, str, None, choices, or a tuple."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _parsed_union(text, get_args(kind), whole)
    if origin is Literal:
        if text not in get_args(kind):
            raise ValueError(f"{whole}: {text!r} is not one of {_listed(get_args(kind))}")
        return text
    if origin is tuple and get_args(kind)[1:] == (...,):
        return tuple(parsed(part, get_args(kind)[0], whole) for part in text.split(",") if part)
    if origin is tuple and len(set(get_args(kind))) == 1:
        kinds, parts = get_args(kind), text.split(",")
        if len(parts) != len(kinds):
            raise ValueError(f"{whole}: {text!r} has {len(parts)} parts; {len(kinds)} are needed")
        return tuple(parsed(part, one, whole) for part, one in zip(parts, kinds, strict=True))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{whole}: {text!r} is not true or false")
        return text.lower() == "true"
    if kind in (int, float):
        return _parsed_number(text, kind, whole)
    if kind is str:
        return text
    raise ValueError(f"{whole}: a {getattr(kind, '__name__', kind)} is set field by field")


def _parsed_number(text: str, kind: type[int] | type[float], whole: str) -> int | float:
    noun = "a whole number" if kind is int else "a number"
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f"{whole}: {text!r} is not {noun}")
    return value


def _parsed_union(text: str, kinds: tuple[Any, ...], whole: str) -> Any:
    if type(None) in kinds and text.lower() == "none":
        return None
    problems = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return parsed(text, kind, whole)
            except ValueError as problem:
                problems.append(str(problem))
    if type(None) in kinds:
        problems.append("none")
    raise ValueError(", or ".join(problems))


def _listed(names: Iterable[object]) -> str:
    return ", ".join(repr(name) for name in names)
