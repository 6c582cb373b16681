"""Parts of an HTML page that needs nothing beside itself: text escaped, pictures inside."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path

import pandas as pd

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff;
  --band: #f3f6f9; --good: #0a5c36; --bad: #9a3412; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #a0a8b2; --line: #3b434d;
  --paper: #14171b; --band: #1d2228; --good: #6fd3a3; --bad: #ffab7a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 3rem; border-top: 2px solid var(--line); padding-top: 1.25rem; }
h3 { margin-top: 1.75rem; font-size: 1.05rem; }
p, li { max-width: 46rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
nav ul { columns: 18rem; padding-left: 1.2rem; }
a { color: inherit; }
.note { color: var(--soft); font-size: .9rem; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums;
  margin: .75rem 0; }
th, td { padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 400; }
tbody th { min-width: 8rem; }
tr.strong th, tr.strong td { font-weight: 600; background: var(--band); }
figure { margin: 1.25rem 0; break-inside: avoid; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; padding: .5rem; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--soft); }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  h2, h3 { break-after: avoid; }
  tr { break-inside: avoid; }
  .wide { overflow: visible; }
  table { font-size: 7.5pt; }
  figure img { max-height: 21cm; width: auto; }
}
"""
DOTS_PER_PIXEL = 200 / 96
"""Figures are saved with 200 dots an inch; a page has 96 pixels an inch."""


def document(title: str, body: Iterable[str]) -> str:
    """A whole page."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def text(tag: str, content: str, kind: str = "", anchor: str = "") -> str:
    """An element with text, which is escaped."""
    attributes = (f' class="{kind}"' if kind else "") + (
        f' id="{escape(anchor)}"' if anchor else ""
    )
    return f"<{tag}{attributes}>{escape(content)}</{tag}>"


def paragraphs(*lines: str) -> list[str]:
    """A paragraph for each line that says anything."""
    return [text("p", line) for line in lines if line]


def bullets(lines: Iterable[str], kind: str = "") -> str:
    """A list; each line is escaped."""
    return "\n".join(["<ul>", *(text("li", line, kind) for line in lines), "</ul>"])


def links(anchors: Iterable[tuple[str, str]]) -> str:
    """A list of (anchor, text) that leads to parts of the page."""
    lines = [f'<li><a href="#{escape(to)}">{escape(words)}</a></li>' for to, words in anchors]
    return "\n".join(["<nav><ul>", *lines, "</ul></nav>"])


def table(
    frame: pd.DataFrame, strong: Collection[str] = (), kinds: Mapping[str, str] | None = None
) -> str:
    """A table whose first column is the index.

    The rows named in `strong` stand out; a cell whose text is a key of `kinds` has that class.
    """
    heads = [str(frame.index.name or ""), *map(str, frame.columns)]
    # A long name in snake case may be broken after an underscore.
    head = "".join(f'<th scope="col">{escape(name).replace("_", "_<wbr>")}</th>' for name in heads)
    lines = ['<div class="wide"><table>', f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for name, *cells in frame.itertuples(name=None):
        row = '<tr class="strong">' if name in strong else "<tr>"
        shown = "".join(_cell(str(cell), kinds or {}) for cell in cells)
        lines.append(f'{row}<th scope="row">{escape(str(name))}</th>{shown}</tr>')
    return "\n".join([*lines, "</tbody>", "</table></div>"])


def _cell(content: str, kinds: Mapping[str, str]) -> str:
    """A cell; a mean stays on one line with its spread, and an interval with itself."""
    kind = kinds.get(content, "")
    return text("td", re.sub(r" (?=±)|(?<=±) |(?<=\d,) (?=-?\d)", "\u00a0", content), kind)


def picture(path: Path, caption: str) -> str:
    """A PNG file inside the page, at its own size or that of the page."""
    content = path.read_bytes()
    width, height = (round(side / DOTS_PER_PIXEL) for side in struct.unpack(">II", content[16:24]))
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(caption)}">\n<figcaption>{escape(caption)}</figcaption></figure>'
    )


def folded(title: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>\n{content}\n</details>"
