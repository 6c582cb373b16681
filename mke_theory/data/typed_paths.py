"""Paths as people type them where no shell reads them first: `--out=~/results`."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

Options = TypeVar("Options")


def at_home(path: str | Path) -> Path:
    """The path, with `~` and `~name` at its beginning as home folders.

    Raises ValueError where there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{path} begins with a home folder, and none is known here ({error}); write the path "
            "out, or ./ before a folder of that name"
        ) from error


def with_homes(options: Options) -> Options:
    """The same dataclass, with `at_home` of each of its fields that is a path or a tuple of paths.

    Raises as `at_home` does.
    """
    changed: dict[str, Any] = {}
    for one in fields(options):  # type: ignore[arg-type]  # a dataclass, which has no type
        value = getattr(options, one.name)
        if isinstance(value, Path):
            changed[one.name] = at_home(value)
        elif isinstance(value, tuple) and value and all(isinstance(x, Path) for x in value):
            changed[one.name] = tuple(map(at_home, value))
    return replace(options, **changed)  # type: ignore[type-var]
