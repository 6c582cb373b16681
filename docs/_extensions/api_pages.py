"""The pages of the API reference: one for each room, written before the site is built.

A room's page has its sign, the names that it offers, the rooms inside, and everything public in
each of its files.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import plain_docstrings
from sphinx.application import Sphinx

PACKAGE = "mke_theory"
FOLDER = "api"


def packages(package: str = PACKAGE) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every package, itself first: its full name, the packages and the files inside it."""
    found = [
        child
        for child in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
        if not child.name.endswith(".__main__")  # a command line, which would run
    ]
    rooms = [child.name for child in found if child.ispkg]
    yield package, rooms, [child.name for child in found if not child.ispkg]
    for room in rooms:
        yield from packages(room)


def page(package: str, rooms: list[str], files: list[str]) -> str:
    """The page of a package: its sign, public names, rooms inside, and its files in full."""
    lines = [*_title(_short(package), "="), f".. automodule:: {package}", "   :members:"]
    lines += ["   :ignore-module-all:", "", ".. py:currentmodule:: None", ""]
    offered = plain_docstrings.exports(package)
    if offered:
        lines += [".. rubric:: Public names", "", *_table(offered)]
    if rooms:
        lines += [".. rubric:: Rooms inside", "", *_table(rooms)]
        lines += [".. toctree::", "   :hidden:", "", *(f"   {room}" for room in rooms), ""]
    for file in files:
        lines += _title(f"{file.rpartition('.')[2]}.py", "-")
        lines += [f".. automodule:: {file}", "   :members:", "", ".. py:currentmodule:: None", ""]
    return "\n".join(lines)


def _title(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _short(package: str) -> str:
    return package if package == PACKAGE else package.removeprefix(f"{PACKAGE}.")


def _table(names: Iterable[str]) -> list[str]:
    lines = [".. list-table::", "   :class: prose", "   :widths: auto", ""]
    for full in names:
        shown = full.rpartition(".")[2]
        lines += [f"   * - :py:obj:`{shown} <{full}>`", f"     - {first_line(full)}"]
    return [*lines, ""]


def first_line(full: str) -> str:
    """The first line of what a name's docstring says."""
    text = inspect.getdoc(_named(full)) or ""
    return " ".join(plain_docstrings.to_rest(text.splitlines()[:1])).strip()


def _named(full: str) -> Any:
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError:
        home, _, name = full.rpartition(".")
        return getattr(_named(home), name)


def write(app: Sphinx) -> None:
    """Write the pages that differ from what is there; remove those of rooms that are gone."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{found[0]}.rst": page(*found) for found in packages()}
    for path, text in pages.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in set(folder.glob("*.rst")) - pages.keys():
        path.unlink()


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
