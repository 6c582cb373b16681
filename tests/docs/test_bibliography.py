from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = re.compile(r"\b[a-z]+(?:19|20)\d\d[a-z]+\b")


def test_every_reference_in_a_docstring_is_in_the_bibliography() -> None:
    known = set(re.findall(r"@\w+\{(\S+),", (ROOT / "paper/references.bib").read_text()))
    assert "xue2021mke" in known
    used = {
        key
        for folder in ("mke_theory", "experiments")
        for path in (ROOT / folder).rglob("*.py")
        for key in KEY.findall(path.read_text())
    }
    assert "hinton2015distilling" in used
    assert used <= known
