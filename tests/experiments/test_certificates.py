"""The study of certificates certifies what its runs left, goes on, and refuses a bad call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from experiments import certificates
from mke_theory.study import records
from mke_theory.tasks.toy.twomoon import TwoMoon


@dataclass(frozen=True)
class Moons(TwoMoon):
    """A small TwoMoon, so that theory takes a moment."""

    name: ClassVar[str] = "moons"
    points: int = 120


def test_the_study_of_certificates_runs_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(certificates.TASKS, "moons", Moons())
    monkeypatch.setattr(certificates, "LOOKED_UP", 10)
    call = ["--tasks", "moons", "--seeds", "2", "--workers", "1", "--out", str(tmp_path)]
    assert certificates.main(call) == 0
    first = capsys.readouterr().out
    assert "| ε, μ " in first and "no graph: ε + L01(f, ỹ)" in first
    rows = records.read(tmp_path / "certificates")
    assert [row.seed for row in rows] == [0, 1]
    for row in rows:
        assert list(row.extra["rungs"].pop("α")) == ["ε, μ"]
        for rungs in row.extra["rungs"].values():
            assert row.metrics["student"] <= rungs["ε, μ"] <= rungs["ε, 2 μ"] + 1e-6
            assert rungs["ε, μ, class shares"] <= rungs["ε, μ"] + 1e-6
    monkeypatch.setattr(certificates, "certify", lambda *_, **__: pytest.fail("computed again"))
    assert certificates.main(call) == 0
    assert capsys.readouterr().out == first


def test_the_study_of_certificates_refuses_a_task_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certificates.main(["--tasks", "nothing", "--out", str(tmp_path)]) == 2
    assert "there is no task 'nothing'" in capsys.readouterr().err


def test_too_few_workers_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["--tasks", "twomoon_fair", "--workers", "0", "--out", str(tmp_path / "out")]
    assert certificates.main(call) == 2
    assert "workers is 0; it has to be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
