"""A tilde that no shell has read stands for a home folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from mke_theory.data.typed_paths import at_home, with_homes


@dataclass(frozen=True)
class Options:
    out: Path = Path("~/out put")
    files: tuple[Path, ...] = (Path("a~b"), Path("~/x"))
    name: str = "~"
    root: Path | None = None


def test_paths_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert at_home("~") == tmp_path
    assert at_home("~/a") == tmp_path / "a"
    assert at_home("a/~") == Path("a/~") and at_home("a~b") == Path("a~b")
    assert with_homes(Options()) == Options(
        tmp_path / "out put", (Path("a~b"), tmp_path / "x"), "~", None
    )


def test_a_home_that_is_not_known_is_a_line() -> None:
    with pytest.raises(ValueError, match=r"~nobody-of-this-name/a begins with a home folder"):
        at_home("~nobody-of-this-name/a")
