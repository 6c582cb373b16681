"""The bibliography as a page, and links to it from the keys that docstrings name.

{bibliography}    in a page: every entry of paper/references.bib, by its key
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

SOURCE = Path(__file__).resolve().parents[2] / "paper" / "references.bib"
PAGE = "bibliography"

_ENTRY = re.compile(r"^@\w+\{(\S+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
_KEY = re.compile(r"\b[a-z]+(?:19|20)\d\d[a-z]+\b")
_ACCENT = re.compile(r"\\(['\"`^~])(\w)")
_COMBINING = {"'": "\u0301", '"': "\u0308", "`": "\u0300", "^": "\u0302", "~": "\u0303"}


@cache
def entries() -> dict[str, dict[str, str]]:
    """Every entry by its key, in the order of the keys: its fields, in plain text."""
    found = {
        key: {name: plain(value) for name, value in _FIELD.findall(body)}
        for key, body in _ENTRY.findall(SOURCE.read_text(encoding="utf-8"))
    }
    return dict(sorted(found.items()))


def plain(value: str) -> str:
    """A field's text without the marks of BibTeX."""
    value = value.replace("{", "").replace("}", "").replace("--", "–")
    accented = _ACCENT.sub(lambda m: m[2] + _COMBINING[m[1]], value)
    return unicodedata.normalize("NFC", accented)


def linked(text: str) -> str:
    """`text` with every key of the bibliography as a link to its entry."""
    return _KEY.sub(lambda m: f":ref:`{m[0]}`" if m[0] in entries() else m[0], text)


def citation(entry: dict[str, str]) -> str:
    """Authors, year, title and where it appeared, as one line."""
    authors = [" ".join(reversed(who.split(", "))) for who in entry["author"].split(" and ")]
    names = ", ".join(authors[:-1]) + " and " + authors[-1] if len(authors) > 1 else authors[0]
    place = next((entry[x] for x in ("booktitle", "journal", "howpublished") if x in entry), "")
    parts = (f"{names} ({entry['year']})", entry["title"], place, entry.get("note", ""))
    return ". ".join(part for part in parts if part) + "."


class Bibliography(Directive):
    """Every entry: its key, and what it names."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        found = nodes.definition_list()
        for key, entry in entries().items():
            name = nodes.literal(text=key)
            term = nodes.term("", "", name, ids=[key], names=[key])
            text = nodes.paragraph(text=citation(entry))
            found += nodes.definition_list_item("", term, nodes.definition("", text))
        return [found]


def label(app: Sphinx, *_: Any) -> None:
    """Make every key a target of `:ref:`."""
    standard = app.env.domains.standard_domain
    for key in entries():
        standard.anonlabels[key] = (PAGE, key)
        standard.labels[key] = (PAGE, key, key)


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_directive("bibliography", Bibliography)
    app.connect("env-updated", label)
    app.connect("env-check-consistency", label)
