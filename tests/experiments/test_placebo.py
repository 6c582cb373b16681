"""Placebos beside the exact errors."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.experiments.synthetic_calls import call, sibling, tiny


def test_placebo_has_every_arm_beside_the_exact_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placebo = sibling("placebo")
    worlds = {name: tiny(task) for name, task in placebo.tasks().items()}
    assert [*worlds] == [task.name for task in worlds.values()]
    assert len(worlds) == 7
    assert {task.world.private for name, task in worlds.items() if "decisive" in name} == {
        (0.7, 0.1),
        (0.4, 0.4),
        (0.1, 0.7),
    }
    chosen = {name: worlds[name] for name in ("XOR",)}
    monkeypatch.setattr(placebo, "tasks", lambda: chosen)
    assert call("placebo", "--seeds", "2", "--workers", "1", "--out", str(tmp_path)) == 0
    page = (tmp_path / "placebo.md").read_text()
    assert "| XOR " in page
    assert "50.0" in page  # α alone says nothing of an XOR
    table = pd.read_csv(tmp_path / "placebo.csv")
    assert len(table) == 12  # every arm but the teacher, and the rival that repeats it here
    assert (tmp_path / "placebo.png").exists()
