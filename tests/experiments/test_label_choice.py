"""The study of labels for a certificate compares what its runs left, goes on, and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import label_choice
from mke_theory.study import records
from mke_theory.tasks.registry import TASKS
from tests.experiments.test_certificates import Moons


def test_the_study_of_labels_runs_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "moons", Moons(points=80))
    monkeypatch.setattr(label_choice, "BATCHES", (2, 3))
    monkeypatch.setattr(label_choice, "SHOWN", (2, 5))
    call = ["--tasks", "moons", "--seeds", "1", "--workers", "1", "--out", str(tmp_path)]
    assert label_choice.main(call) == 0
    first = capsys.readouterr().out
    assert "| 5, random − chosen" in first
    (row,) = records.read(tmp_path / "label_choice")
    for bounds in row.extra["bounds"].values():
        chosen, drawn = bounds["chosen"], bounds["random"]
        assert list(chosen) == ["0", "2", "5"] and list(drawn) == ["2", "5"]
        assert row.metrics["student"] <= min(chosen["5"], drawn["5"]) + 1e-9
        assert chosen["5"] <= chosen["2"] + 1e-6 <= chosen["0"] + 2e-6
    monkeypatch.setattr(label_choice, "compare", lambda *_, **__: pytest.fail("computed again"))
    assert label_choice.main(call) == 0
    assert capsys.readouterr().out == first


def test_a_task_that_does_not_exist_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label_choice.main(["--tasks", "nothing", "--out", str(tmp_path)]) == 2
    assert "there is no task 'nothing'" in capsys.readouterr().err
