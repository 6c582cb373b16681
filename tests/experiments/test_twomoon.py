"""The study of TwoMoon prints both its tables, goes on where it was, and draws its regions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from experiments import twomoon
from mke_theory.method import job
from mke_theory.study import records, trainers
from mke_theory.study.task import Recipe
from mke_theory.tasks.toy.twomoon import TwoMoon, TwoMoonPublished
from mke_theory.training.loop import TrainConfig

FEW = TrainConfig(steps=5, optimizer="sgd", learning_rate=0.01)
SHORT = replace(TwoMoon().recipe, teacher=FEW, student=FEW)


@dataclass(frozen=True)
class ShortFair(TwoMoon):
    recipe: Recipe = SHORT


@dataclass(frozen=True)
class ShortPublished(TwoMoonPublished):
    recipe: Recipe = SHORT


def test_the_twomoon_study_prints_both_tables_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(twomoon, "TwoMoon", ShortFair)
    monkeypatch.setattr(twomoon, "TwoMoonPublished", ShortPublished)
    args = ["--draws", "3", "--seeds", "2", "--workers", "1", "--out", str(tmp_path)]
    assert twomoon.main(args) == 0
    printed = capsys.readouterr().out
    assert "TwoMoon as published" in printed and "TwoMoon, fair" in printed
    for value in (*twomoon.PUBLISHED.values(), *twomoon.FIRST_STUDY.values()):
        assert str(value) in printed
    assert len(records.read(tmp_path)) == 2 * len(twomoon.PUBLISHED) + 3 * (
        1 + len(twomoon.fair_arms())
    )
    for name in ("summary.json", "gain_by_arm.png", f"regions_{TwoMoonPublished.name}.png"):
        assert (tmp_path / name).is_file()
    for module, name in ((job, "fit"), (trainers, "side_by_side")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("something was trained"))
    assert twomoon.main(args) == 0
    assert capsys.readouterr().out == printed


def test_the_twomoon_study_needs_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert twomoon.main(["--out", str(tmp_path / "file")]) == 2
    assert "a file is in the way" in capsys.readouterr().err
    assert twomoon.main(["--workers", "0", "--out", str(tmp_path / "out")]) == 2
    assert "workers is 0; it has to be at least 1" in capsys.readouterr().err
