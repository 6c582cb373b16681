"""The page on one answer: all from data is escaped, the verdict is first, and it stands alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from mke_theory.report.verdict_page import write_verdict

BAD = "<script>alert(1)</script>\"'&"


def page(tmp_path: Path, first: str = "The student is better.", **changes: Any) -> str:
    given: dict[str, Any] = {
        "tables": {f"By class {BAD}": pd.DataFrame({BAD: {BAD: BAD}}).rename_axis(BAD)},
        "assumed": [BAD],
        "unchecked": [BAD],
        "command": f"mke audit '{BAD}'",
    }
    path = write_verdict(tmp_path / "page.html", f"Title {BAD}", [first, BAD], **(given | changes))
    return path.read_text(encoding="utf-8")


def test_nothing_from_data_is_markup(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<script" not in text and text.count("&lt;script&gt;") >= 9


def test_it_needs_nothing_beside_itself(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text) and "url(" not in text
    assert 'name="viewport"' in text and 'lang="en"' in text


def test_only_what_was_shown_stands_out(tmp_path: Path) -> None:
    assert '<p class="good">The student is better.</p>' in page(tmp_path)
    assert '<p class="good">' not in page(tmp_path, "The student gives another class to 3 of 9.")
    assert page(tmp_path) == page(tmp_path)
