"""A run's key: what a run is, and everything that decides what it computes.

A run whose key is recorded is done; a rerun skips it. The key changes with the task, the arm, the
seed, a setting, the data, the code that computes, a version and the device. A docstring, a comment,
a figure or a theorem does not change it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import numpy as np

COMPUTES = ("data", "models", "evaluation", "training", "method", "study", "synthetic", "tasks")
"""The rooms whose code decides what a run computes; the others only read what came out."""


def canonical(value: object) -> Any:
    """The plain JSON form of `value`; equal configurations have equal forms.

    A dataclass becomes a dictionary of its fields, with its class name under "class". Fields
    declared with `compare=False` or as a "place" (where data lie, how many workers read them) are
    no part of what a run is and are left out. Tuples become lists, enums their value, paths text
    with slashes.

    Raises TypeError for every other type and ValueError for NaN and infinity.
    """
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, np.generic):
        return canonical(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a configuration holds finite numbers only; got {value}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, Mapping):
        return {_text(name): canonical(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        settings = [f for f in fields(value) if f.compare and "place" not in f.metadata]
        names = [f.name for f in settings]  # none of which can be called class
        return {"class": type(value).__name__} | {n: canonical(getattr(value, n)) for n in names}
    raise TypeError(
        f"{type(value).__name__} has no plain form; a configuration is made of dataclasses, "
        "mappings, sequences, enums, paths, numbers, text and None"
    )


def config_hash(value: object) -> str:
    """16 hexadecimal digits that depend on `canonical(value)`, and not on the order of its keys."""
    return _digest(canonical(value))


@cache
def code_version(package: Path = Path(__file__).parents[1]) -> str:
    """16 hexadecimal digits that change with the code or a manifest of the rooms that compute.

    Docstrings, comments and layout are no part of it. Read from disk once a process.
    """
    found = {}
    for room in COMPUTES:
        for path in sorted((package / room).rglob("*")):
            name = path.relative_to(package).as_posix()
            if path.suffix == ".py":
                found[name] = _hash(_bare(path.read_text(encoding="utf-8")).encode())
            elif path.parent.name == "manifests" and path.is_file():
                found[name] = _hash(path.read_bytes())
    return config_hash(found)


def _bare(source: str) -> str:
    """The syntax tree of some code as text, without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a text that stands alone does nothing, wherever it stands
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    packages = ("torch", "numpy", "scikit-learn")
    return (
        ("python", platform.python_version()),
        *((name, version(name)) for name in packages),
        ("platform", f"{platform.system()}-{platform.machine()}"),
    )


def versions() -> dict[str, str]:
    """Versions of Python and torch and the kind of machine; nothing that names a host or user."""
    return dict(_versions())


def run_key(
    *,
    task: str,
    arm: str,
    seed: int,
    config_hash: str,
    environment: Mapping[str, str],
    data_hash: str | None = None,
    code: str | None = None,
) -> str:
    """16 hexadecimal digits that change with each of the parts; `code` None is `code_version()`."""
    code = code_version() if code is None else code
    return _digest([task, arm, seed, config_hash, data_hash, code, dict(environment)])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(plain: object) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return _hash(text.encode())[:16]


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the keys of a mapping have to be text; got {name!r}")
    return name
