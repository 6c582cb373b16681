"""Libraries of the extras, for media and for foreign networks, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

_PACKAGES = {"PIL": "pillow"}  # where a package has another name than its module
_EXTRAS = {"onnxruntime": "pretrained"}  # all others are of the extra "data"


def library(module: str, use: str) -> Any:
    """The module, imported; ImportError that names the use and the remedy where it is not there."""
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a package without its C library
        raise ImportError(f"{use} {_package(module)}; {_remedy(module)}") from error


def lacking(*modules: str) -> str | None:
    """The remedy for a task that needs these modules; None where all are installed."""
    for module in modules:
        if find_spec(module) is None:
            return f"{_package(module)} is not installed: {_remedy(module)}"
    return None


def versions_of(*modules: str) -> dict[str, str]:
    """The package of each module and its version, or "none"."""
    versions = {}
    for name in map(_package, modules):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    return versions


def _package(module: str) -> str:
    top = module.partition(".")[0]
    return _PACKAGES.get(top, top)


def _remedy(module: str) -> str:
    extra = _EXTRAS.get(module.partition(".")[0], "data")
    return f'pip install "mke_theory[{extra}]"'
