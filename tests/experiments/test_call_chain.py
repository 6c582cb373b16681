"""The way from the command line to the training step, as CONTRIBUTING.md tells it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from experiments import run_real
from mke_theory.training import loop

ROOT = Path(__file__).parents[2]


class Reached(Exception):
    """The step of a student is reached."""


def written() -> list[str]:
    """The hops of CONTRIBUTING.md, as file: function."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    part = text.partition("<!-- call chain: begin")[2].partition("<!-- call chain: end")[0]
    return [
        f"{file}: {name}"
        for file, name in re.findall(r"^\d+\. `(.+?)`: `(\w+)`", part, re.MULTILINE)
    ]


def test_the_chain_is_the_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    once = loop._gradient

    def noting(run: Any, *given: Any) -> Any:
        frames = traceback.extract_stack()[:-1]
        own = [
            f for f in frames if Path(f.filename).is_relative_to(ROOT) and ".venv" not in f.filename
        ]
        names = [f"{Path(f.filename).relative_to(ROOT).as_posix()}: {f.name}" for f in own]
        if any(name.endswith(": of_round") for name in names):
            found.extend(names[names.index("mke_theory/command/run.py: main") :])
            raise Reached
        return once(run, *given)

    monkeypatch.setattr(loop, "_gradient", noting)
    steps = [f"twomoon_fair.recipe.{who}.steps=1" for who in ("teacher", "student")]
    alone = ["--one-by-one", "--workers", "1", "--theory", "0", "--out", str(tmp_path)]
    chosen = ["--tasks", "twomoon_fair", "--arms", "mm_student", "--seeds", "1"]
    run_real.main([*chosen, *alone, "--set", *steps])
    assert found == written()
    assert len(found) - 1 <= 10
