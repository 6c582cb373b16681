"""The study of arrays of one's own: its tables are what its records say, and it can be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import own_data
from experiments.own_data import Options, main, markdown, run_all
from mke_theory.study import records, study
from mke_theory.study.arms import ARMS, REFERENCE
from mke_theory.study.records import Record
from mke_theory.study.result import Run
from mke_theory.tasks.toy.arrays import RECIPE, Arrays

FEW = (REFERENCE, "um_student", "mm_student")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three arms and three steps."""
    monkeypatch.setattr(own_data, "COMPARED", tuple(ARMS[name] for name in FEW))
    monkeypatch.setattr(own_data, "QUICK_STEPS", 3)


def call(out: Path, *sets: str, **changed: Any) -> int:
    options = Options(quick=True, sets=sets or ("wine",), out=out, workers=1)
    return run_all(replace(options, **changed))


def test_the_teacher_and_the_students_are_compared() -> None:
    assert {arm.name for arm in own_data.COMPARED} >= set(FEW)
    assert own_data.COMPARED[0].name == REFERENCE


# --- the run -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few")
def test_a_quick_run_leaves_files_records_table_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path, "wine", "iris") == 0
    found = records.read(tmp_path)
    assert {(row.task, row.arm, row.seed) for row in found} == {
        (name, arm, seed) for name in ("wine", "iris") for arm in FEW for seed in (0, 1)
    }
    text = (tmp_path / "own_data.md").read_text()
    assert text == markdown(found) and text in capsys.readouterr().out
    assert "| wine, six columns → + seven columns | 15 / 104 / 59 " in text
    assert (tmp_path / "own_data.png").stat().st_size > 10_000
    # Anybody may give the files in this folder to the arrays task.
    for row in found:
        file = tmp_path / "files" / f"{row.task}_{row.seed}.npz"
        assert Arrays(file=str(file)).problem(0).split_hash == row.split_hash
        recipe = row.config["task"]["recipe"]
        assert recipe["student"]["learning_rate"] == RECIPE.student.learning_rate


@pytest.mark.usefixtures("few")
def test_what_is_recorded_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(tmp_path / "a", seeds=1) == 0
    asked: list[tuple[str, int]] = []
    once = study.run

    def spy(runs: Sequence[Run], *rest: Any, **named: Any) -> Any:
        asked.extend((one.arm.name, one.seed) for one in runs)
        return once(runs, *rest, **named)

    monkeypatch.setattr(study, "run", spy)
    assert call(tmp_path / "a", seeds=1) == 0
    assert asked == []
    # Records that were moved hold: where the files lie is no part of a run.
    (tmp_path / "a").rename(tmp_path / "b")
    assert call(tmp_path / "b", seeds=2) == 0
    assert sorted(asked) == sorted((name, 1) for name in FEW)
    asked.clear()
    assert call(tmp_path / "b", first_seed=1, seeds=2) == 0
    assert sorted(asked) == sorted((name, 2) for name in FEW)
    asked.clear()
    assert call(tmp_path / "b", seeds=1, resume=False) == 0
    assert sorted(asked) == sorted((name, 0) for name in FEW)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sets", "imagenet"], "there is no task 'imagenet'"),
        (["--seeds", "0"], "seeds is 0"),
        (["--workers", "0"], "workers is 0"),
        (["--first-seed", "-1"], "first_seed is -1"),
        (["--data-root", "nowhere"], "nowhere"),
        (["--sets", "nyu_cells", "--data-root", "."], "nyu_cells"),
    ],
)
def test_bad_calls_are_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "out"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("few")
def test_sets_whose_data_are_missing_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(data_root=tmp_path, out=tmp_path / "out")
    ready = own_data.chosen_tasks(options, tmp_path)
    told = capsys.readouterr().err.splitlines()
    assert [task.name for task in ready] == list(own_data.TASKS)[:5]
    assert [line.split(":")[0] for line in told] == [
        f"skipped {name}" for name in list(own_data.TASKS)[5:]
    ]


@pytest.mark.usefixtures("few")
def test_a_failure_is_named_and_the_rest_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    once = study.record_of

    def breaks(result: Any, *rest: Any) -> Any:
        if result.run.arm.name == "um_student":
            raise MemoryError("too much")
        return once(result, *rest)

    monkeypatch.setattr(study, "record_of", breaks)
    assert call(tmp_path) == 1
    shown = capsys.readouterr()
    assert "failed: wine um_student seed 1: MemoryError: too much" in shown.err
    assert "MM student (MKE)" in shown.out and "UM student" not in shown.out


def test_an_interruption_ends_with_130_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: Options) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(own_data, "run_all", interrupted)
    assert main(["--out", str(tmp_path)]) == 130
    assert "goes on from there" in capsys.readouterr().err


# --- the report, from records made by hand --------------------------------------------------------

TESTS = {
    ("wine", REFERENCE): (0.60, 0.62, 0.64),
    ("wine", "mm_student"): (0.70, 0.71, 0.75),
    ("iris", REFERENCE): (0.90, 0.91, 0.92),
    ("iris", "mm_student"): (0.88, 0.89, 0.90),
}


def made_up() -> list[Record]:
    return [
        Record(
            key=f"{name}{arm}{seed}",
            task=name,
            title=own_data.TASKS[name].title,
            arm=arm,
            arm_title=ARMS[arm].title,
            seed=seed,
            config_hash=name,
            varies="everything",
            confusion=[[1, 0, 0]] * 3,
            counts={"labelled": 15, "unlabelled": 100, "test": 50},
            metrics={"test": value, "corrected": value / 2, "damaged": 0.05},
        )
        for (name, arm), values in TESTS.items()
        for seed, value in enumerate(values)
    ]


def test_the_tables_by_hand() -> None:
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown(made_up()).splitlines()
        if line.startswith("| ")
    ]
    wine, iris = (own_data.TASKS[name].title for name in ("wine", "iris"))
    # Gains of wine 10, 9, 11: mean 10, sd 1, t(2) = 4.303, reach 2.48; of iris −2 at each seed,
    # no spread and so no interval. Over the sets: mean 4, sd √72 = 8.5.
    assert lines == [
        ["data set", "labelled / unlabelled / test", "classes", "UM teacher", "MM student (MKE)"],
        [wine, "15 / 100 / 50", "3", "62.0 ± 2.0 (3)", "72.0 ± 2.6 (3)"],
        [iris, "15 / 100 / 50", "3", "91.0 ± 1.0 (3)", "89.0 ± 1.0 (3)"],
        ["data set", "MM student (MKE)"],
        [wine, "+10.0 [7.5, 12.5] (3)"],
        [iris, "-2.0 (3)"],
        ["mean of the sets", "+4.0 ± 8.5 (2 sets)"],
        ["least of the sets", "-2.0 (2 sets)"],
        ["data set", "MM student (MKE)"],
        [wine, "36.0 ± 1.3 (3) / 5.0 ± 0.0 (3)"],
        [iris, "44.5 ± 0.5 (3) / 5.0 ± 0.0 (3)"],
    ]
