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


def changed(value: T, assignment: str) -> T:
    """A copy of a dataclass with `path=text` carried out; the path is relative to `value`.

    >>> from mke_theory.train import TrainConfig
    >>> changed(TrainConfig(), "steps=5").steps
    5
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise ValueError(f"{assignment!r} is not of the form path=value")
    return _changed(value, path.split("."), text, path)


def _changed(value: Any, path: list[str], text: str, whole: str) -> Any:
    head, rest = path[0], path[1:]
    if isinstance(value, tuple):
        return _changed_item(value, head, rest, text, whole)
    if not is_dataclass(value) or isinstance(value, type):
        raise ValueError(f"{whole}: {type(value).__name__} has no field {head!r}")
    known = [f.name for f in fields(value)]
    if head not in known:
        raise ValueError(f"{whole}: there is no {head!r}; there are {', '.join(known)}")
    if rest:
        return replace(value, **{head: _changed(getattr(value, head), rest, text, whole)})
    kind = get_type_hints(type(value))[head]
    return replace(value, **{head: parsed(text, kind, whole)})


def _changed_item(
    value: tuple[Any, ...], head: str, rest: list[str], text: str, whole: str
) -> tuple[Any, ...]:
    listed = ", ".join(f"{i} ({type(item).__name__})" for i, item in enumerate(value)) or "none"
    if not head.isdecimal() or int(head) >= len(value) or not rest:
        raise ValueError(f"{whole}: name an item by its number and a field of it; items: {listed}")
    at = int(head)
    return (*value[:at], _changed(value[at], rest, text, whole), *value[at + 1 :])


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
