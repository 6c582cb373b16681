"""Docstrings of the package as reStructuredText.

They are written to be read in an editor: indented blocks are formulas or commands, `name` is code,
a line "name: …" speaks of the parameter or field of that name, and "Ref: key" names an entry of the
bibliography. All of it becomes markup here, and whatever else would be markup is escaped.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from textwrap import dedent
from typing import Any, TypeVar, get_type_hints

from bibliography import linked
from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasNamespace, stringify_signature

LONGEST_DEFAULT = 30
"""A longer default of a field is shown as an ellipsis: the source says it."""

Target = Callable[[str], str | None]

_ITEM = re.compile(r"(?:-|\d+\.) +(?=\S)")
_TOPIC = re.compile(r"([a-z_]+(?:, [a-z_]+)*): ")
_CODE = re.compile(r"(`[^`]+`)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*\w[^*]*\*)(?![\w*])")
_SPECIAL = re.compile(r"[\\*|`]|_(?!\w)")
_NAME = re.compile(r"[A-Za-z_][\w.]*")


def to_rest(
    lines: Iterable[str],
    topics: frozenset[str] = frozenset(),
    target: Target = lambda name: None,
) -> list[str]:
    """A docstring's lines as reStructuredText.

    `topics` are the parameters or fields that a line may begin with; `target` gives the full name
    of what a name in backticks stands for, or None.
    """
    rest, found = list(lines), []
    while rest:
        if not rest[0].strip():
            rest.pop(0)
        elif rest[0].startswith(" "):
            found += _literal(_taken(rest, lambda line: not line.strip() or line.startswith(" ")))
        elif rest[0].startswith("|"):
            found += _table(_taken(rest, lambda line: line.startswith("|")), target)
        elif rest[0].startswith(">>> "):
            found += [*_taken(rest, lambda line: bool(line.strip())), ""]
        elif item := _ITEM.match(rest[0]):
            found += _item(_taken_item(rest, item.end()), item.end(), target)
        else:
            text = [rest.pop(0)]
            text += _taken(rest, lambda line: bool(line.strip()) and not _ITEM.match(line))
            found += _paragraph(text, topics, target)
    return found


def _taken(rest: list[str], belongs: Callable[[str], bool]) -> list[str]:
    """The first lines that belong together, taken out of `rest`."""
    taken = []
    while rest and belongs(rest[0]):
        taken.append(rest.pop(0))
    return taken


def _taken_item(rest: list[str], width: int) -> list[str]:
    first = rest.pop(0)
    return [first, *_taken(rest, lambda line: not line.strip() or line.startswith(" " * width))]


def _literal(block: list[str]) -> list[str]:
    shown = dedent("\n".join(block)).strip("\n").splitlines()
    return [".. code-block:: text", "", *_indented(shown, 3), ""]


def _item(block: list[str], width: int, target: Target) -> list[str]:
    marker, first = block[0][:width].rstrip(), block[0][width:]
    inside = to_rest([first, *(line[width:] for line in block[1:])], target=target)
    shown = _indented(inside, len(marker) + 1)
    return [marker + shown[0][len(marker) :], *shown[1:]]


def _table(rows: list[str], target: Target) -> list[str]:
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    cells = [row for row in cells if not all(set(cell) <= set("-: ") for cell in row) or not row[0]]
    found = [".. list-table::", "   :header-rows: 1", ""]
    for row in cells:
        for i, cell in enumerate(row):
            found.append(f"   {'* -' if i == 0 else '  -'} {_inline(cell, target)}".rstrip())
    return [*found, ""]


def _paragraph(lines: Sequence[str], topics: frozenset[str], target: Target) -> list[str]:
    """The paragraph; lines that begin with a parameter's name become items of a list."""
    parts: list[list[str]] = [[]]
    for line in lines:
        named = _TOPIC.match(line)
        if named and topics.issuperset(named[1].split(", ")):
            parts.append([])
        parts[-1].append(line.strip())
    found = [_inline(" ".join(parts[0]), target), ""] if parts[0] else []
    for part in parts[1:]:
        names, _, text = " ".join(part).partition(": ")
        literal = ", ".join(f"``{name}``" for name in names.split(", "))
        found.append(f"- {literal}: {_inline(text, target)}")
    return [*found, ""] if len(parts) > 1 else found


def _inline(text: str, target: Target) -> str:
    parts = _CODE.split(text)
    return "".join(
        _code(part[1:-1], target) if i % 2 else linked(_escaped(part))
        for i, part in enumerate(parts)
    )


def _code(code: str, target: Target) -> str:
    full = target(code) if _NAME.fullmatch(code) else None
    return f"``{code}``" if full is None else f":py:obj:`{code} <{full}>`"


def _escaped(text: str) -> str:
    parts = _EMPHASIS.split(text)
    return "".join(
        part if i % 2 else _SPECIAL.sub(lambda m: "\\" + m[0], part) for i, part in enumerate(parts)
    )


def _indented(lines: Iterable[str], by: int) -> list[str]:
    return [" " * by + line if line else line for line in lines]


def full_name(name: str, module: str, package: str = "mke_theory") -> str | None:
    """The full name of what `name` stands for in a module: a module, class or function of ours."""
    try:
        value: Any = importlib.import_module(module)
        for part in name.removeprefix(f"{module}.").split("."):
            value = getattr(value, part)
    except (AttributeError, ImportError):
        return name if name.startswith(f"{package}.") and _is_module(name) else None
    if inspect.ismodule(value):
        home = value.__name__
        return home if home.startswith(f"{package}.") else None
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return None
    home, own = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "")
    public = not any(part.startswith("_") for part in own.split("."))
    return f"{home}.{own}" if home.startswith(f"{package}.") and public and value.__doc__ else None


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def exports(package: str) -> list[str]:
    """The full names of what a room's `__init__` offers, where they live."""
    module = importlib.import_module(package)
    names = (full_name(name, package) for name in getattr(module, "__all__", ()))
    return [name for name in names if name is not None]


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn the docstring into markup, in place."""
    module = name if what == "module" else getattr(obj, "__module__", None) or ""
    if not str(module).startswith("mke_theory"):
        module = next((m for m in _prefixes(name) if _is_module(m)), "mke_theory")
    lines[:] = to_rest(lines, _topics(obj), lambda code: full_name(code, module))


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]


def _topics(obj: Any) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return frozenset()


@dataclasses.dataclass(frozen=True)
class _Ellipsis:
    def __repr__(self) -> str:
        return "…"


def _is_long(default: Any) -> bool:
    return default is not inspect.Parameter.empty and len(repr(default)) > LONGEST_DEFAULT


def process_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str | None
) -> tuple[str, str | None] | None:
    """Array types by their short names; of a dataclass, no long text of defaults."""
    if not signature:
        return None
    returns = returns and _by_name(returns)
    if what != "class" or not dataclasses.is_dataclass(obj):
        return _by_name(signature), returns
    found = inspect.signature(obj)  # type: ignore[arg-type]  # a class, which is called
    try:
        # Each field's as the module of its own class reads it.
        hints = get_type_hints(obj, localns=TypeAliasNamespace(app.config.autodoc_type_aliases))
    except NameError:  # a name that type checkers alone import
        hints = {}
    short = [
        parameter.replace(
            annotation=hints.get(parameter.name, parameter.annotation),
            default=_Ellipsis() if _is_long(parameter.default) else parameter.default,
        )
        for parameter in found.parameters.values()
    ]
    shown = found.replace(parameters=short, return_annotation=inspect.Signature.empty)
    return _by_name(stringify_signature(shown, unqualified_typehints=True)), returns


def _by_name(signature: str) -> str:
    return re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature)


def without_page(app: Sphinx, env: Any, node: Any, shown: Any) -> Any:
    """Text in place of a link to what has no entry by intention: a type variable, or no docstring.

    Whatever else is not found stays a warning.
    """
    home, _, name = str(node.get("reftarget", "")).rpartition(".")
    if not home.startswith("mke_theory") or not _is_module(home):
        return None
    value = getattr(importlib.import_module(home), name, None)
    if isinstance(value, TypeVar) or name.startswith("_") or not inspect.getdoc(value):
        return shown
    return None


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("missing-reference", without_page)
