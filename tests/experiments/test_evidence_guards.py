"""The study of the guards: both errors by hand, and a run that goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from experiments import evidence_guards as experiment
from mke_theory.method.evidence import EvidenceSettings

SETTING = {
    "kind": "a kind",
    "labelled": 60,
    "unlabelled": 440,
    "best on α": 0.8,
    "best on all": 0.9,
}
MEASURED = {"shared": 0.2, "ratio": 1.5, "usefulness": 5.0}


def rows() -> pd.DataFrame:
    """Two settings of two seeds: without guards one loses 5 points on average, the other gains 3.

    In the first one seed of two is called redundant, and saved 8 points by that. In the second one
    is called weak, and that costs 2.
    """
    given = [
        ("loses", 0, "redundant", 0.70, 0.70, 0.62),
        ("loses", 1, "trusted", 0.70, 0.68, 0.68),
        ("gains", 0, "weak", 0.70, 0.72, 0.74),
        ("gains", 1, "trusted", 0.70, 0.72, 0.72),
    ]
    names = ("world", "seed", "verdict", "teacher", "guarded", "unguarded")
    return pd.DataFrame(
        [{**SETTING, **MEASURED, **dict(zip(names, one, strict=True))} for one in given]
    )


def test_both_errors_by_hand() -> None:
    found = experiment.by_setting(rows())
    assert found["needed"].tolist() == [True, True, False, False]
    redundant, weak, either = experiment.errors(found).to_dict("records")
    assert redundant["calls, needed"] == "50.0% (1 of 2)"
    assert redundant["calls, not needed"] == "0.0% (0 of 2)"
    assert redundant["guarded − unguarded, needed"] == "+8.0 (1)"
    assert redundant["per seed, needed"] == "+4.0"
    assert redundant["guarded − unguarded, not needed"] == "none"
    assert (weak["calls, needed"], weak["calls, not needed"]) == (
        "0.0% (0 of 2)",
        "50.0% (1 of 2)",
    )
    assert weak["guarded − unguarded, not needed"] == "-2.0 (1)"
    assert (either["calls, needed"], either["settings, needed"]) == ("50.0% (1 of 2)", "1")


def test_a_guard_is_needed_by_the_mean_of_its_setting() -> None:
    # −0.9 points on average is no more than a point: the seed that loses 4 does not decide alone.
    one = rows().iloc[:2].assign(teacher=0.7, unguarded=[0.66, 0.722])
    assert not experiment.by_setting(one)["needed"].any()
    assert experiment.by_setting(one.assign(unguarded=[0.66, 0.718]))["needed"].all()


def test_kinds_of_worlds_show_their_worst_setting() -> None:
    (line,) = experiment.by_kind(experiment.by_setting(rows())).to_dict("records")
    # The first setting is 1 point below its teacher with guards, no more than that.
    assert (line["settings"], line["needed"], line["below −1, guarded"]) == ("2", "1", "0")
    assert (line["trusted"], line["weak"], line["redundant"]) == ("50%", "25%", "25%")
    assert (line["worst setting, guarded"], line["worst setting, unguarded"]) == ("-1.0", "-5.0")


def test_the_verdict_is_that_of_the_modality_which_loses_most() -> None:
    shared = {"b": 0.3, "c": 0.1, "d": 0.2}

    def found(**verdicts: str) -> Any:
        redundancy = {name: SimpleNamespace(shared=shared[name]) for name in verdicts}
        return SimpleNamespace(verdicts=verdicts, redundancy=redundancy)

    assert experiment.verdict(found(b="trusted", c="redundant", d="weak")) == ("redundant", "c")
    assert experiment.verdict(found(b="trusted", c="trusted", d="trusted")) == ("trusted", "b")
    assert experiment.verdict(found(b="trusted", c="weak", d="weak")) == ("weak", "d")


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "SMALL", ("m = (1, 0)",))


def test_without_guards_every_modality_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    (block,) = experiment.settings(experiment.Options(quick=True))
    block = replace(block, seeds=(200,))
    (start,) = experiment.begun(block)
    settings = EvidenceSettings(), EvidenceSettings(guards=False)
    guarded, free = (experiment.evidence_students(block, [start], one)[0] for one in settings)
    assert (guarded.verdicts, free.verdicts) == ({"x2": "weak"}, {"x2": "trusted"})
    assert guarded.usefulness == free.usefulness  # it is measured all the same
    assert (len(guarded.rounds), len(free.rounds)) == (1, 3)


def test_the_study_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    call = ["--quick", "--workers", "1", "--out", str(tmp_path)]
    assert experiment.main(call) == 0
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    table = pd.read_csv(tmp_path / "evidence_guards.csv")
    assert len(lines) == len(table) == 3
    same = table["verdict"] == "trusted"
    assert (table.loc[same, "guarded"] == table.loc[same, "unguarded"]).all()
    monkeypatch.setattr(experiment, "carried_out", None)  # nothing is left to carry out
    assert experiment.main(call) == 0
    assert (tmp_path / "records.jsonl").read_text().splitlines() == lines
    assert (tmp_path / "evidence_guards.md").read_text() == experiment.markdown(table)
    assert (tmp_path / "evidence_guards.png").exists()
    assert experiment.main([*call, "--seeds", "0"]) == 2


def test_worlds_have_names_of_their_own() -> None:
    blocks = list(experiment.settings(experiment.Options()))
    names = [block.task.name for block in blocks]
    assert len(set(names)) == len(names) == 4 * sum(map(len, experiment.WORLDS.values()))
    assert set(experiment.SMALL) <= {block.about["world"] for block in blocks}
    assert all(min(block.seeds) > 115 for block in blocks)  # thresholds were chosen on 100 to 115
