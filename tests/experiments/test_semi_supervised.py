"""The study of semi-supervised methods: tables and figure are what its records say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import semi_supervised
from experiments.semi_supervised import Options, all_tasks, main, main_study, markdown
from mke_theory.study import records, runner, study
from mke_theory.study.keys import canonical
from mke_theory.study.records import Record
from mke_theory.study.result import Run
from mke_theory.study.semi_supervised.contestants import contestants

ENTERED = {one.name: one for one in contestants()}
FEW = ("um_teacher", "mke_alpha", "mke_both", "pi_model_both", "label_spreading_alpha")
FEW += ("experts_rounds_both", "experts_distilled_both", "late_average_both")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight contestants and five steps."""
    chosen = tuple(ENTERED[name] for name in FEW)
    monkeypatch.setattr(semi_supervised, "contestants", lambda: chosen)
    monkeypatch.setattr(semi_supervised, "QUICK_STEPS", 5)


def call(out: Path, *tasks: str, **changed: Any) -> int:
    options = Options(quick=True, tasks=tasks or ("twomoon_fair",), out=out, workers=1)
    return main_study(replace(options, **changed))


# --- the run -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few")
def test_a_quick_run_leaves_records_table_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path, "twomoon_fair", "gaussian") == 0
    found = records.read(tmp_path)
    assert len(found) == 2 * len(FEW) * 2
    assert {row.arm for row in found if "evidence" in row.extra} == {
        "experts_rounds_both",
        "experts_distilled_both",
    }
    assert {row.extra["sees"] for row in found} == {"α", "α and β"}
    assert {(row.task, row.arm, row.seed) for row in found} == {
        (task, name, seed)
        for task in ("twomoon_fair", "gaussian")
        for name in FEW
        for seed in (0, 1)
    }
    text = (tmp_path / "semi_supervised.md").read_text()
    tasks = ("twomoon_fair", "gaussian")
    found.sort(key=lambda row: (tasks.index(row.task), FEW.index(row.arm), row.seed))
    assert text == markdown(found)
    assert text in capsys.readouterr().out
    assert (tmp_path / "semi_supervised.png").stat().st_size > 10_000


@pytest.mark.usefixtures("few")
def test_what_is_recorded_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(tmp_path, seeds=1) == 0
    first = (tmp_path / "records.jsonl").read_bytes()
    asked: list[tuple[str, int]] = []
    once = study.run

    def spy(runs: Sequence[Run], *rest: Any, **named: Any) -> Any:
        asked.extend((one.arm.name, one.seed) for one in runs)
        return once(runs, *rest, **named)

    monkeypatch.setattr(study, "run", spy)
    assert call(tmp_path, seeds=1) == 0
    assert asked == [] and (tmp_path / "records.jsonl").read_bytes() == first
    assert call(tmp_path, seeds=2) == 0
    assert sorted(asked) == sorted((name, 1) for name in FEW)
    assert (tmp_path / "records.jsonl").read_bytes().startswith(first)
    asked.clear()
    assert call(tmp_path, seeds=1, resume=False) == 0
    assert sorted(asked) == sorted((name, 0) for name in FEW)


@pytest.mark.usefixtures("few")
def test_a_failure_is_named_and_the_rest_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    once = runner.student_of_round

    def breaks(one: Run, *rest: Any) -> Any:
        if one.arm.name == "pi_model_both":
            raise MemoryError("too much")
        return once(one, *rest)

    monkeypatch.setattr(runner, "student_of_round", breaks)
    assert call(tmp_path) == 1
    shown = capsys.readouterr()
    assert "failed: twomoon_fair pi_model_both seed 1: MemoryError: too much" in shown.err
    assert "| Label spreading |" in shown.out and "| Π-model |" not in shown.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tasks", "imagenet"], "there is no task 'imagenet'"),
        (["--seeds", "0"], "seeds is 0"),
        (["--workers", "0"], "workers is 0"),
        (["--data-root", "nowhere"], "nowhere"),
        (["--tasks", "av_digits", "--data-root", "."], "av_digits"),
    ],
)
def test_bad_calls_are_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "out"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interruption_ends_with_130_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: Options) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(semi_supervised, "run_all", interrupted)
    assert call(tmp_path) == 130
    assert "goes on from there" in capsys.readouterr().err


def test_one_budget_a_task() -> None:
    for task in all_tasks().values():
        assert task.recipe.teacher == task.recipe.student
        assert task.recipe.objective.transform == ()


# --- the report, from records made by hand --------------------------------------------------------

TESTS = {
    "um_teacher": (0.60, 0.62, 0.64),
    "mke_both": (0.80, 0.83, 0.83),
    "fixmatch_both": (0.81, 0.82, 0.83),
    "fixmatch_alpha": (0.61, 0.63, 0.66),
    "uda_both": (0.70, 0.73, 0.73),
}


def made_up() -> list[Record]:
    task = all_tasks()["gaussian"]
    return [
        Record(
            key=f"{name}{seed}",
            task="gaussian",
            title="simulated: gaussian",
            arm=name,
            arm_title=ENTERED[name].title,
            seed=seed,
            config=canonical({"task": task}),
            config_hash=name,
            varies="everything",
            counts={"labelled": 60, "unlabelled": 440, "test": 2000},
            metrics={"test": value, "unlabelled": value},
            seconds=2.0,
            extra={"sees": ENTERED[name].sees},
        )
        for name, values in TESTS.items()
        for seed, value in enumerate(values)
    ]


def test_the_table_by_hand() -> None:
    lines = [line for line in markdown(made_up()).splitlines() if line.startswith("| ")]
    # Both lead with 82.0; the differences −1, 1, 0 have mean 0, so they are tied.
    ahead = ["| 1 | MKE | α and β | 82.0 ± 1.7 (3)", "| 2= | FixMatch | α and β | 82.0 ± 1.0 (3)"]
    assert [line[: len(start)] for line, start in zip(lines[2:], ahead, strict=False)] == ahead
    # UDA is exactly 10 points behind MKE at each seed: no spread, so no interval.
    assert lines[4].startswith("| 3= | UDA | α and β | 72.0 ± 1.7 (3)")
    # Gains 1, 1, 2: mean 4/3, sd 0.577, t(2) = 4.303, reach 1.434.
    fixmatch = next(line for line in lines if "| FixMatch | α |" in line)
    assert "| 4 |" in fixmatch and "| +1.3 [-0.1, 2.8] (3) |" in fixmatch
    assert any(line.endswith("| reference | 2.00 |") and "| 5 |" in line for line in lines)
    assert "| FixMatch | +0.0 [-2.5, 2.5] (3) |" in lines


def test_a_difference_whose_interval_leaves_out_zero_is_bold() -> None:
    rows = made_up()
    assert rows[12].arm == "uda_both"
    rows[12] = replace(rows[12], metrics={"test": 0.71, "unlabelled": 0.71})
    text = markdown(rows)
    assert "| UDA | **+9.7 [8.2, 11.1] (3)** |" in text
