"""The page on audits, followed to the letter by somebody with a spreadsheet."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from mke_theory.command.main import main
from tests.audit.made_pools import fill, rows_of
from tests.docs.test_pages import BLOCK, TEXTS, run_blocks

TEXT = TEXTS["docs/audit.md"]


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCK.findall(TEXT) if name == kind]


def test_what_python_prints_is_what_the_page_shows(tmp_path: Path) -> None:
    printed = [(found, shown) for found, shown in run_blocks("docs/audit.md", tmp_path) if shown]
    assert len(printed) == 3
    for found, shown in printed:
        assert found == shown


def test_the_spreadsheet_leads_to_the_verdict_that_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_blocks("docs/audit.md", tmp_path)
    (command,) = blocks("bash")
    _, first, table, last, _ = blocks("text")
    with contextlib.chdir(tmp_path):
        truth = truth_of_the_page()
        assert main(shlex.split(command)[1:]) == 3
        assert capsys.readouterr().out == first
        path = Path("to_label.csv")
        assert path.read_text(encoding="utf-8-sig").startswith(table)
        for code in (3, 0):  # two rounds
            capsys.readouterr()
            fill(path, lambda row: truth[int(row["id"].split()[1])])
            assert main(shlex.split(command)[1:]) == code
        assert capsys.readouterr().out == last
        assert len(rows_of(path)) == 40


def truth_of_the_page() -> list[str]:
    """The names of the true classes, drawn as the page draws them."""
    source = blocks("python")[0]
    names: dict[str, object] = {}
    exec(source[: source.index("with open")], names)
    return [str(names["names"][i]) for i in names["truth"]]  # type: ignore[index, attr-defined]


def test_the_page_says_what_an_audit_does_not_say() -> None:
    last = TEXT[TEXT.index("What it does not say") :]
    assert len(re.findall(r"^- ", last, re.MULTILINE)) == 5
