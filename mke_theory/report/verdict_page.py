"""One page on one answer, of an audit, a diagnosis or a student: what is shown, and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mke_theory.report import html
from mke_theory.study.records import write_atomic

SHOWN = ("The student is better", "Ship ")
"""The beginnings of verdicts that stand out as good."""


def write_verdict(
    path: Path,
    title: str,
    sentences: Sequence[str],
    *,
    tables: Mapping[str, pd.DataFrame],
    assumed: Sequence[str],
    unchecked: Sequence[str],
    command: str,
) -> Path:
    """The path of a page that needs nothing beside itself.

    sentences: the verdict first. tables: by their heading. assumed, unchecked: what the answer
    rests on, and what nobody looked at. command: the call that makes the page again. All of it is
    escaped; equal input gives an equal file.
    """
    body = [
        html.text("h1", title),
        html.text("p", sentences[0], "good" if sentences[0].startswith(SHOWN) else ""),
        *html.paragraphs(*sentences[1:]),
    ]
    for heading, table in tables.items():
        body += [html.text("h2", heading), html.table(table)]
    body += [
        html.text("h2", "What was assumed"),
        html.bullets(assumed),
        html.text("h2", "What was not checked"),
        html.bullets(unchecked),
        html.text("h2", "How to make it again"),
        html.text("p", "The command, in the folder it was given in:"),
        html.text("code", command),
    ]
    return write_atomic(path, html.document(title, body))
