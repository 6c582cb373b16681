"""The sweep over two knobs: bad calls end before any work, and what was stopped goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mke_theory.evaluation.stats import paired_difference
from mke_theory.method.objective import Consistency, PseudoLabelTerm
from mke_theory.method.transforms import GaussianNoise, InputNoise
from mke_theory.study import records
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Failure
from mke_theory.study.study import execute
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.theory.gaussian.closed_form import GaussianPair, logistic_student
from tests.experiments.synthetic_calls import SMALL, call, sibling


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--knobs", "m_gamma", "sigma"], "there is no 'm_gamma'"),
        (["--knobs", "m_beta", "recipe.student.stride"], "there is no 'stride'"),
        (["--knobs", "m_beta", "recipe.objective.transform.1.sigma"], "items: 0 (GaussianNoise)"),
        (["--knobs", "m_beta", "m_beta"], "both knobs are m_beta"),
        (["--knobs", "m_beta", "rho", "--high", "2", "1.5"], "inside (-1, 1)"),
        (["--knobs", "m_beta", "sigma", "--low", "-1", "0"], "has to be at least 0"),
        (["--knobs", "m_beta", "unlabelled", "--high", "2", "9.7"], "not a whole number"),
        (["--low", "1", "1", "--high", "1", "2"], "low < high"),
        (["--budget", "100"], "need at least 196"),
        (["--world", "sun"], "there is no world 'sun'; there are gaussian, moons"),
        (["--set", "world.signal=one"], "'one' is not a number"),
        (["--first", "1"], "at least 2 draws"),
        (["--workers", "0"], "workers is 0"),
    ],
)
def test_a_bad_sweep_ends_before_any_work(
    args: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("phase", *args, "--out", str(tmp_path / "out")) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out" / "records.jsonl").exists() or words == "workers is 0"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of runs that each request carried out, beyond those that were recorded."""
    carried: list[int] = []

    def counted(asked: Any, kept: records.Records, configuration: RunConfiguration) -> Any:
        before = len(kept)
        found = execute(asked, kept, configuration)
        carried.append(len(kept) - before)
        return found

    monkeypatch.setattr(sibling("cluster"), "execute", counted)
    return carried


def test_half_a_budget_and_then_all_is_all_at_once(tmp_path: Path, runs: list[int]) -> None:
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    assert call("phase", *SMALL, "--budget", "42", "--out", str(parts)) == 0
    first = sum(runs)
    assert 72 <= first <= 84  # two runs a draw
    assert call("phase", *SMALL, "--budget", "60", "--out", str(parts)) == 0
    both = sum(runs)
    assert first < both <= 120
    assert call("phase", *SMALL, "--budget", "60", "--out", str(whole)) == 0
    assert sum(runs) - both == both  # nothing was done twice
    one, other = (pd.read_csv(out / "cells.csv") for out in (parts, whole))
    pd.testing.assert_frame_equal(one, other)
    assert call("phase", *SMALL, "--budget", "60", "--out", str(whole)) == 0
    assert sum(runs) == 2 * both


def test_cells_are_the_records_and_the_formula(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("phase", *SMALL, "--budget", "36", "--out", str(out)) == 0
    cells = pd.read_csv(out / "cells.csv")
    assert cells["n"].tolist() == [4] * 9
    assert (cells["m_beta"].min(), cells["sigma"].max()) == (0.1, 6.5)
    tests: dict[tuple[float, float], dict[str, list[float]]] = {}
    for record in sorted(records.read(out), key=lambda r: r.seed):
        task = record.config["task"]
        place = (
            task["world"]["signal"][1],
            task["recipe"]["objective"]["transform"][0]["sigma"],
        )
        tests.setdefault(place, {}).setdefault(record.arm, []).append(record.metrics["test"])
    for row in cells.to_dict("records"):
        own = tests[row["m_beta"], row["sigma"]]
        gain = paired_difference(own["mm_student"], own["um_teacher"])
        assert row["mean"] == pytest.approx(gain.mean, abs=1e-12)
        pair = GaussianPair(1.0, row["m_beta"])
        formula = pair.teacher_error - logistic_student(pair, row["sigma"]).error(pair)
        assert row["cross-entropy"] == pytest.approx(formula, abs=1e-12)
    seeds = [record.seed for record in records.read(out) if record.arm == "um_teacher"]
    assert len(set(seeds)) == 36  # no two cells share a draw
    assert (out / "phase.png").stat().st_size > 10_000
    assert "| " in (out / "cells.md").read_text()


def test_worlds_without_a_formula_have_none(tmp_path: Path) -> None:
    knobs = ["--knobs", "sd", "sigma", "--low", "0.1", "0.5", "--high", "0.4", "2"]
    out = tmp_path / "out"
    args = [*SMALL, *knobs, "--world", "moons", "--budget", "36", "--out", str(out)]
    assert call("phase", *args) == 0
    assert [*pd.read_csv(out / "cells.csv")] == [
        "sd",
        "sigma",
        "n",
        "mean",
        "spread",
        "low",
        "high",
    ]


def test_a_run_that_fails_ends_the_sweep_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_failed(asked: Any, *_: Any) -> Any:
        return [], [Failure.of(asked[0], ValueError("lost"))]

    monkeypatch.setattr(sibling("cluster"), "execute", one_failed)
    assert call("phase", *SMALL, "--out", str(tmp_path)) == 1
    assert "ValueError: lost; what is recorded stays" in capsys.readouterr().err


def test_tasks_that_the_closed_form_is_about() -> None:
    phase, task = sibling("phase"), sibling("worlds").LINEAR
    assert phase.pair_of(task) == (GaussianPair(1.0, 1.0), 1.0)
    noise, recipe = GaussianNoise(1.0, only=("x1",)), task.recipe

    def learning(**changes: Any) -> Any:
        return replace(task, recipe=replace(recipe, objective=replace(recipe.objective, **changes)))

    for other in (
        replace(task, hidden=(8,)),
        replace(task, teacher_modalities=("x2",)),
        replace(task, mismatched=0.1),
        replace(task, world=Gaussian((1.0, 1.0), shared=0.5)),
        replace(task, world=Gaussian((1.0, 1.0), classes=3)),
        replace(task, world=Gaussian((0.0, 1.0))),
        learning(consistency=Consistency(gamma=1.0)),
        learning(pseudo_labels=PseudoLabelTerm(kind="soft")),
        learning(transform=()),
        learning(transform=(noise, noise)),
        learning(transform=(GaussianNoise(1.0),)),
        learning(transform=(InputNoise(1.0, only=("x1",)),)),
    ):
        assert phase.pair_of(other) is None
