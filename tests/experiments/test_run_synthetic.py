"""Studies in simulated worlds: bad calls end before any work, and what was stopped goes on.

Runs here take a few steps each: what they learn does not matter, only what is made of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mke_theory.study.vectorised_runs import execute_stacked

from mke_theory.evaluation.stats import paired_difference
from mke_theory.method.objective import Consistency, PseudoLabelTerm
from mke_theory.method.transforms import GaussianNoise, InputNoise
from mke_theory.study import records
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.theory.gaussian.closed_form import GaussianPair, logistic_student

ROOT = Path(__file__).parents[2]
SIBLINGS = ("cluster", "closed_form", "dependence", "phase", "placebo", "run_synthetic", "worlds")


@pytest.fixture(scope="module", autouse=True)
def _experiments_on_the_path() -> Iterator[None]:
    """Scripts find the files beside them, as they do when they are run."""
    sys.path.insert(0, str(ROOT / "experiments"))
    yield
    sys.path.remove(str(ROOT / "experiments"))


def sibling(name: str) -> Any:
    """The module of that name in experiments/."""
    assert name in SIBLINGS
    return __import__(name)


def call(*args: str) -> int:
    """The exit code; a mistake in the command line itself exits from within."""
    try:
        return int(sibling("run_synthetic").main(args))
    except SystemExit as exit_:
        assert isinstance(exit_.code, int)
        return exit_.code


STEPS = [f"recipe.{who}.steps=5" for who in ("teacher", "student")]
TINY = ["--set", *STEPS, "labelled=20", "unlabelled=50", "test=60", "--sides", "3"]
SMALL = [*TINY, "--halvings", "1", "--no-agreement", "--workers", "1"]


# Bad calls


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
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out" / "records.jsonl").exists() or words == "workers is 0"


@pytest.mark.parametrize("command", ["placebo", "dependence"])
def test_a_single_seed_has_no_interval(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command, "--seeds", "1", "--out", str(tmp_path / "out")) == 2
    assert "at least 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_command_and_a_strange_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 2
    assert call("everything") == 2
    assert "phase" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["phase", "placebo", "dependence", "all"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    said = capsys.readouterr().out
    assert all(option in said for option in ("--quick", "--out", "--workers", "--cluster"))


def test_ctrl_c_is_130_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sibling("phase"), "run", interrupted)
    assert call("phase") == 130
    assert "goes on from there" in capsys.readouterr().err


# Knobs


def test_knobs_reach_what_they_name() -> None:
    worlds = sibling("worlds")
    task = worlds.LINEAR
    assert worlds.moved(task, "m_alpha", 0.3).world.signal == (0.3, 1.0)
    assert worlds.moved(task, "world.signal.1", 0.1 + 0.2).world.signal == (1.0, 0.1 + 0.2)
    assert worlds.moved(task, "rho", -0.25).world.correlation == -0.25
    assert worlds.moved(task, "correlation", -0.25) == worlds.moved(task, "rho", -0.25)
    assert worlds.moved(task, "sigma", 2).recipe.objective.transform[0].sigma == 2.0
    assert worlds.moved(task, "unlabelled", 300.0).unlabelled == 300
    assert worlds.moved(task, "recipe.student.steps", 7.0).recipe.student.steps == 7
    assert worlds.moved(worlds.WORLDS["moons"], "sd", 0.2).world.sd == 0.2


def test_every_world_s_noise_is_on_its_teacher_s_modality() -> None:
    for name, task in sibling("worlds").WORLDS.items():
        (noise,) = task.recipe.objective.transform
        assert noise.only == task.alpha, name


# The sweep


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each request carried out, beyond those that were recorded."""
    carried: list[int] = []

    def counted(jobs: Any, book: records.Records, *args: Any, **keywords: Any) -> Any:
        before = len(book)
        found = execute_stacked(jobs, book, *args, **keywords)
        carried.append(len(book) - before)
        return found

    monkeypatch.setattr(sibling("cluster"), "execute_stacked", counted)
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
    for record in sorted(records.read(out), key=lambda r: r["seed"]):
        task = record["config"]["task"]
        place = (
            task["world"]["signal"][1],
            task["recipe"]["objective"]["transform"][0]["sigma"],
        )
        tests.setdefault(place, {}).setdefault(record["arm"], []).append(record["metrics"]["test"])
    for row in cells.to_dict("records"):
        own = tests[row["m_beta"], row["sigma"]]
        gain = paired_difference(own["mm_student"], own["um_teacher"])
        assert row["mean"] == pytest.approx(gain.mean, abs=1e-12)
        pair = GaussianPair(1.0, row["m_beta"])
        formula = pair.teacher_error - logistic_student(pair, row["sigma"]).error(pair)
        assert row["cross-entropy"] == pytest.approx(formula, abs=1e-12)
    seeds = [record["seed"] for record in records.read(out) if record["arm"] == "um_teacher"]
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
    def one_failed(jobs: Any, *args: Any) -> Any:
        return [], [SimpleNamespace(job=jobs[0], error="ValueError: lost")]

    monkeypatch.setattr(sibling("cluster"), "execute_stacked", one_failed)
    assert call("phase", *SMALL, "--out", str(tmp_path)) == 1
    assert "ValueError: lost; what is recorded stays" in capsys.readouterr().err


def test_which_tasks_the_closed_form_is_about() -> None:
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


# The other studies


def test_dependence_keeps_its_teacher_as_it_was() -> None:
    dependence = sibling("dependence")
    asked = dependence.points(dependence.Options(points=7))
    assert len(asked) == 2 * 7 + 2 * 4
    for point in asked:
        assert float(point.task.teacher_bayes) == pytest.approx(0.158655, abs=1e-6)
        known = point.student == "linear" and point.knob == dependence.CORRELATION
        assert (point.formula is not None) == known
    copies = [point for point in asked if point.knob == dependence.SHARED and point.value == 1]
    assert [float(p.task.student_bayes) for p in copies] == pytest.approx([0.158655] * 2, abs=1e-6)


def tiny(task: Any) -> Any:
    config = replace(task.recipe.student, steps=5)
    small = replace(task.recipe, teacher=config, student=config)
    return replace(task, recipe=small, labelled=20, unlabelled=40, test=50)


def test_dependence_is_the_records_and_the_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sibling("dependence"), "LINEAR", tiny(sibling("dependence").LINEAR))
    args = ["--seeds", "3", "--points", "3", "--workers", "1", "--out", str(tmp_path)]
    assert call("dependence", *args) == 0
    found = pd.read_csv(tmp_path / "dependence.csv")
    assert len(found) == 2 * 3 + 2 * 2
    assert set(found["n"]) == {3}
    linear = found[(found["student"] == "linear") & found["formula"].notna()]
    for row in linear.to_dict("records"):
        pair = GaussianPair(1.0, 1.0, row["value"])
        formula = pair.teacher_error - logistic_student(pair, 1.5).error(pair)
        assert row["formula"] == pytest.approx(formula)
    assert (tmp_path / "dependence.png").exists()
    assert "noise" not in (tmp_path / "dependence.md").read_text()


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
    assert len(table) == 8  # every arm but the teacher
    assert (tmp_path / "placebo.png").exists()


@dataclass(frozen=True)
class SslOptions:
    """Stands for the options of the study of semi-supervised methods."""

    quick: bool = False
    workers: int = 1
    out: Path = Path("x")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SslOptions]:
    """What the study of semi-supervised methods is called with."""
    calls: list[SslOptions] = []
    study = ModuleType("semi_supervised", "Semi-supervised methods.")

    def main_study(options: SslOptions) -> int:
        calls.append(options)
        return 1

    study.Options, study.main_study = SslOptions, main_study  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "semi_supervised", study)
    return calls


def test_ssl_is_handed_its_own_options(asked: list[SslOptions]) -> None:
    assert call("ssl", "--quick", "--out", "there") == 1
    assert asked == [SslOptions(True, 1, Path("there"))]


def test_all_is_every_study_in_its_folder(
    asked: list[SslOptions], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called = []
    for name in ("phase", "placebo", "dependence"):

        def run(options: Any, name: str = name) -> list[Path]:
            called.append((name, options.quick, options.workers, options.out))
            return []

        monkeypatch.setattr(sibling(name), "run", run)
    assert call("all", "--quick", "--workers", "2", "--out", str(tmp_path)) == 1  # ssl's
    assert called == [
        (name, True, 2, tmp_path / name) for name in ("phase", "placebo", "dependence")
    ]
    assert asked == [SslOptions(True, 2, tmp_path / "semi_supervised")]


# Clusters


@pytest.mark.parametrize(
    ("address", "words"),
    [("nowhere", "give local, or an address"), ("tcp://127.0.0.1:1", "no cluster answers")],
)
def test_a_cluster_that_does_not_answer_ends_the_call(
    address: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(sibling("cluster"), "PATIENCE", 1)
    assert call("phase", *SMALL, "--cluster", address, "--out", str(tmp_path)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert list(records.read(tmp_path)) == []


def test_without_dask_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert call("phase", *SMALL, "--cluster", "local", "--out", str(tmp_path)) == 2
    assert "mke_theory[cluster]" in capsys.readouterr().err


def test_work_is_cut_for_every_worker() -> None:
    stacking = sibling("cluster").stacking
    assert [stacking(n, 2).runs for n in (10, 400, 10_000)] == [32, 100, 512]
    assert [stacking(n, 1).runs for n in (10, 400, 10_000)] == [32, 400, 512]
    assert stacking(400, 2).draws == "own"


@pytest.mark.slow
def test_a_local_cluster_finds_what_one_process_finds(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    here, there = tmp_path / "here", tmp_path / "there"
    args = [*TINY, "--halvings", "1", "--no-agreement", "--budget", "40"]
    assert call("phase", *args, "--workers", "1", "--out", str(here)) == 0
    args += ["--workers", "2", "--cluster", "local"]
    assert call("phase", *args, "--out", str(there)) == 0
    one, other = (pd.read_csv(out / "cells.csv") for out in (here, there))
    assert np.array_equal(one["n"], other["n"])
    pd.testing.assert_frame_equal(one, other)
