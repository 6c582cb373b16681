"""The main job leaves records, tables and figures, survives every death, and refuses bad calls.

Runs here take a few steps each: what they learn does not matter, only what is kept of it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from mke_theory.command import run as run_real
from mke_theory.data.answer_files import file_name, save_answers
from mke_theory.method import job
from mke_theory.study import records, theory_on_runs, trainers
from mke_theory.study.arms import ARMS
from mke_theory.study.processes import available_cores
from mke_theory.tasks.registry import TASKS
from mke_theory.theory import appraise
from mke_theory.training.hardware import Hardware
from tests.study.toys import Toy, close

ROOT = Path(__file__).parents[2]
RECORDS = "records.jsonl"
RUN = [name for name in ARMS if name != "um_teacher_adjusted"]  # nothing here is adjusted


def steps(teacher: int, student: int) -> list[str]:
    return [
        f"{task}.recipe.{who}.steps={count}"
        for task in ("twomoon", "digits")
        for who, count in (("teacher", teacher), ("student", student))
    ]


BOTH = ["--tasks", "twomoon", "digits", "--seeds", "2", "--set", *steps(20, 20)]
SMALL = ["--tasks", "twomoon", "--set", *steps(5, 5)]
KILLED = ["--tasks", "twomoon", "--arms", "mm_student", "noisy_student", "--seeds", "3"]
KILLED += ["--one-by-one", "--set"]
KILLED_RUNS = 9  # two arms and the teacher, three seeds


def call(out: Path, *args: str, workers: int = 1) -> int:
    """The exit code of the main job; a mistake in the command line itself exits from within.

    Without its appraisals, which have tests of their own.
    """
    options = ["--theory", "0", "--workers", str(workers), "--out", str(out)]
    try:
        return run_real.main([*args, *options])
    except SystemExit as exit_:
        assert isinstance(exit_.code, int)
        return exit_.code


def lines(out: Path) -> list[str]:
    path = out / RECORDS
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def recorded(out: Path) -> dict[str, dict[str, Any]]:
    """The records by key, but for the time that runs took."""
    return {one.key: {**one.to_dict(), "seconds": 0, "training": 0} for one in records.read(out)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished job: two tasks, all arms, two seeds. Tests change copies of it."""
    out = tmp_path_factory.mktemp("made") / "out"
    assert call(out, *BOTH) == 0
    return out


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_training(monkeypatch)


def refuse_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((job, "fit"), (trainers, "side_by_side")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("something was trained"))


# The output of a finished job


def test_every_run_is_recorded_once(made: Path) -> None:
    found = [(r["task"], r["arm"], r["seed"]) for r in map(json.loads, lines(made))]
    assert sorted(found) == sorted(product(("twomoon", "digits"), RUN, (0, 1)))


def test_the_summary_is_task_arm_metric_and_means_over_seeds(made: Path) -> None:
    summary = json.loads((made / "summary.json").read_text())
    assert list(summary) == ["twomoon", "digits"]
    runs = [json.loads(line) for line in lines(made)]
    for task, arm in product(summary, RUN):
        cells = summary[task][arm]
        assert set(cells) >= {"test", "unlabelled", "corrected", "damaged", "agreement"}
        own = [r["metrics"] for r in runs if (r["task"], r["arm"]) == (task, arm)]
        for metric, cell in cells.items():
            values = [metrics[metric] for metrics in own if metrics[metric] is not None]
            spread = statistics.stdev(values) if len(values) > 1 else None
            assert set(cell) == {"mean", "sd", "n"} and cell["n"] == len(values)
            assert cell["mean"] == pytest.approx(statistics.mean(values))
            assert cell["sd"] == pytest.approx(spread, abs=1e-12)


def test_a_teacher_agrees_with_itself(made: Path) -> None:
    for task in json.loads((made / "summary.json").read_text()).values():
        cells = {metric: cell["mean"] for metric, cell in task["um_teacher"].items()}
        assert (cells["agreement"], cells["corrected"], cells["damaged"]) == (1, 0, 0)
        assert cells["unlabelled"] == cells["pseudo_labels"]
        for arm in task.values():  # every arm learned from the same teacher
            if arm is not task["mm_student_flips"]:
                assert arm["pseudo_labels"]["mean"] == cells["pseudo_labels"]


def test_tables_and_figures_are_there(made: Path) -> None:
    tables = {f"results_{t}.{e}" for t in ("twomoon", "digits") for e in ("md", "csv", "tex")}
    figures = {f"{kind}.png" for kind in ("gain_by_arm", "account_by_class", "reliability")}
    figures |= {"regions_twomoon.png"}
    files = {path.name for path in made.iterdir() if path.is_file()}
    others = {"overview.md", "summary.json", "report.html", RECORDS, "records.lock"}
    assert files == tables | figures | others
    for name in figures:
        assert (made / name).read_bytes().startswith(b"\x89PNG")
    table = (made / "results_digits.md").read_text()
    assert all(f"| {arm} " in table for arm in RUN)


def test_a_run_that_can_be_drawn_names_the_file_of_its_regions(made: Path) -> None:
    for record in records.read(made):
        assert ("regions" in record.artifacts) is (record.task == "twomoon")
    for record in records.read(made):
        if record.task == "digits":
            continue
        with np.load(made / record.artifacts["regions"]) as drawn:
            assert drawn["prediction"].shape == (len(drawn["y"]), len(drawn["x"]))
            assert len(drawn["points"]) == len(drawn["labels"]) == 200


def test_a_students_checkpoint_goes_and_a_teachers_stays(tmp_path: Path) -> None:
    alone = ["--arms", "mm_student", "--seeds", "2", "--one-by-one"]
    assert call(tmp_path, *SMALL, *alone) == 0
    teachers = {one.key for one in records.read(tmp_path) if one.arm == "um_teacher"}
    assert {path.stem for path in (tmp_path / "checkpoints").iterdir()} == teachers
    assert len(teachers) == 2 and len(lines(tmp_path)) == 4


def test_one_by_one_gives_the_same_numbers_under_other_keys(made: Path, tmp_path: Path) -> None:
    args = ["--tasks", "twomoon", "--arms", "mm_student", "--seeds", "2", "--set", *steps(20, 20)]
    assert call(tmp_path, *args, "--one-by-one") == 0
    together = {
        (one["arm"], one["seed"]): one
        for one in recorded(made).values()
        if one["task"] == "twomoon"
    }
    for key, alone in recorded(tmp_path).items():
        other = together[alone["arm"], alone["seed"]]
        assert other["environment"] == alone["environment"] | {"trainer": "vectorised, own draws"}
        assert key != other["key"]
        apart = ("key", "environment", "artifacts")
        assert close(*({k: v for k, v in one.items() if k not in apart} for one in (alone, other)))


# Doing it again, and more of it


def contents(out: Path) -> dict[str, bytes]:
    """The files of a folder by name, as if they lay elsewhere."""
    found = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    return {name: text.replace(str(out).encode(), b"out") for name, text in found.items()}


@pytest.mark.usefixtures("no_training")
def test_a_rerun_trains_nothing_and_says_the_same(
    made: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(made)
    assert call(finished, *BOTH) == 0
    assert contents(finished) == before
    printed = capsys.readouterr().out
    for task in ("twomoon", "digits"):
        assert f"{TASKS[task].title} ({task})" in printed
    assert printed.count("In settings, arms differ") + printed.count("Undeclared differences") == 2
    assert printed.count("The evidence student:") == 2
    assert len(printed.splitlines()) < 100
    for name in before.keys() - {RECORDS, "records.lock"}:
        assert str(finished / name) in printed


@pytest.mark.usefixtures("no_training")
def test_a_damaged_artifact_is_one_line_that_names_it(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = next(one for one in records.read(finished) if "regions" in one.artifacts)
    path = finished / record.artifacts["regions"]
    path.write_bytes(path.read_bytes()[:-40])
    others = {name: (finished / name).read_bytes() for name in ("gain_by_arm.png", "overview.md")}
    for name in (*others, "report.html", "regions_twomoon.png"):
        (finished / name).unlink()
    assert call(finished, *BOTH) == 1
    said = capsys.readouterr()
    error = said.err.splitlines()[-1]
    assert f"failed: figure regions_twomoon.png could not be written: {path} is damaged" in error
    assert "--no-resume" in error and "(twomoon)" in said.out
    assert {name: (finished / name).read_bytes() for name in others} == others
    assert (finished / "report.html").exists() and not (finished / "regions_twomoon.png").exists()


def test_another_arm_or_seed_only_adds(tmp_path: Path) -> None:
    kept, all_ = "", 2 * len(RUN)
    for arms, seeds, runs in (("mm_student", 1, 2), ("um_student mm_student", 1, 3), ("", 2, all_)):
        chosen = ["--arms", *arms.split()] if arms else []
        assert call(tmp_path, *SMALL, *chosen, "--seeds", str(seeds)) == 0
        assert len(lines(tmp_path)) == runs
        now = (tmp_path / RECORDS).read_text()
        assert now.startswith(kept)
        kept = now
    fresh = tmp_path / "fresh"
    assert call(fresh, *SMALL, "--seeds", "2") == 0
    assert close(recorded(fresh), recorded(tmp_path))


def test_a_changed_setting_is_another_run_and_the_report_is_about_what_was_asked(
    tmp_path: Path,
) -> None:
    args = ["--tasks", "twomoon", "--arms", "mm_student", "--seeds", "1", "--set"]
    for count, runs in ((5, 2), (6, 3), (5, 3)):  # the teacher is not trained otherwise...
        assert call(tmp_path, *args, f"twomoon.recipe.student.steps={count}", *steps(5, 5)[:1]) == 0
        cell = json.loads((tmp_path / "summary.json").read_text())["twomoon"]["mm_student"]["test"]
        assert cell["n"] == 1 and cell["sd"] is None
        assert len(lines(tmp_path)) >= runs


def test_no_resume_does_everything_again_with_the_same_outcome(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, count = recorded(finished), len(lines(finished))
    args = ["--tasks", "twomoon", "--arms", "mm_student", "--seeds", "2", "--set", *steps(20, 20)]
    assert call(finished, *args, "--no-resume") == 0
    assert len(lines(finished)) == count + 4
    assert close(recorded(finished), before)


@pytest.mark.parametrize("arm", ["um_teacher", "um_student", "mm_student"])
def test_one_arm_alone_is_enough(arm: str, tmp_path: Path) -> None:
    assert call(tmp_path, *SMALL, "--arms", arm, "--seeds", "1") == 0
    assert set(json.loads((tmp_path / "summary.json").read_text())["twomoon"]) == {
        "um_teacher",
        arm,
    }


def test_an_arm_that_runs_on_some_tasks_alone_is_named_for_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--tasks", "twomoon", "digits", "--arms", "um_teacher_adjusted", "--seeds", "1"]
    changes = [*steps(5, 5), "digits.recipe.objective.adjustment=0.5"]
    assert call(tmp_path, *args, "--set", *changes) == 0
    assert "left out twomoon um_teacher_adjusted: it would repeat" in capsys.readouterr().err
    found = sorted((r["task"], r["arm"]) for r in map(json.loads, lines(tmp_path)))
    assert found == [
        ("digits", "um_teacher"),
        ("digits", "um_teacher_adjusted"),
        ("twomoon", "um_teacher"),
    ]


def test_a_name_given_twice_counts_once(tmp_path: Path) -> None:
    args = ["--tasks", "twomoon", "twomoon", "--arms", "mm_student", "mm_student", "--seeds", "1"]
    assert call(tmp_path, *args, "--set", *steps(5, 5)) == 0
    assert len(lines(tmp_path)) == 2


def test_the_main_job_appraises_the_seeds_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appraise, "SECONDS", 0.05)
    short = [f"twomoon_fair.recipe.{who}.steps=5" for who in ("teacher", "student")]
    args = ["--tasks", "twomoon_fair", "--arms", "mm_student", "--seeds", "2", "--workers", "1"]
    changes = ["--set", "twomoon_fair.points=80", *short]
    assert run_real.main([*args, "--out", str(tmp_path), *changes]) == 0
    assert "- twomoon_fair: In percent" in capsys.readouterr().out
    assert [one.seed for one in records.read(tmp_path / theory_on_runs.FOLDER)] == [0]
    assert {"theory.md", "ledger_twomoon_fair.md"} <= {path.name for path in tmp_path.iterdir()}
    without = tmp_path / "without"
    assert run_real.main([*args, "--theory", "0", "--out", str(without), *changes]) == 0
    assert "- twomoon_fair: In percent" not in capsys.readouterr().out
    assert not (without / "theory.md").exists()


# Bad calls: refused before any work


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "task": (["--tasks", "moon"], ["no task 'moon'", *TASKS]),
    "arm": (["--arms", "mm"], ["no arm 'mm'", *ARMS]),
    "arm that repeats another": (
        ["--tasks", "twomoon", "--arms", "um_teacher_adjusted"],
        ["um_teacher_adjusted would repeat another arm", "(twomoon); leave it out"],
    ),
    "setting of no task": (["--set", "moon.points=3"], ["'moon.points=3'", *TASKS]),
    "setting without a task": (["--set", "points=3"], ["'points=3'", "twomoon"]),
    "setting without a value": (["--set", "digits.hidden"], ["'hidden'", "path=value"]),
    "setting of no such name": (
        ["--set", "digits.recipe.student.step=3"],
        ["no 'step'", "steps", "batch_size", "learning_rate"],
    ),
    "setting of another type": (
        ["--set", "digits.recipe.student.steps=many"],
        ["recipe.student.steps", "'many'", "whole number"],
    ),
    "setting out of range": (
        ["--set", "digits.recipe.student.steps=0"],
        ["steps is 0", "at least"],
    ),
    "setting of no such choice": (
        ["--set", "digits.recipe.student.optimizer=lion"],
        ["'lion'", "adamw", "sgd"],
    ),
    "no seeds": (["--seeds", "0"], ["seeds is 0", "at least 1"]),
    "seeds in words": (["--seeds", "two"], ["seeds", "two"]),
    "device": (["--device", "tpu"], ["device", "cpu", "cuda", "auto"]),
    "option": (["--colour", "red"], ["colour"]),
    "no file": (["--tasks", "arrays"], ["--set arrays.file"]),
    "absent file": (["--tasks", "arrays", "--set", "arrays.file=none.npz"], ["none.npz"]),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("no_training")
def test_a_bad_call_is_refused_and_lists_what_exists(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args, words = REFUSED[case]
    assert call(tmp_path / "out", *args) == 2
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_training")
def test_too_few_workers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "out", workers=0) == 2
    assert "workers is 0; it has to be at least 1" in capsys.readouterr().err


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("from_environment", [False, True])
def test_a_missing_data_root_is_refused(
    from_environment: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    absent = tmp_path / "absent"
    args = [] if from_environment else ["--data-root", str(absent)]
    if from_environment:
        monkeypatch.setenv("MKE_DATA_ROOT", str(absent))
    assert call(tmp_path / "out", *args) == 2
    said = capsys.readouterr().err
    assert str(absent) in said and "--data-root" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_training")
def test_data_asked_for_and_not_there_are_an_error_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--tasks", "digits", "av_digits", "--data-root", str(tmp_path)]
    assert call(tmp_path / "out", *args) == 2
    assert "prepare --data-root" in capsys.readouterr().err


def test_data_not_asked_for_and_not_there_are_left_out_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = run_real.chosen_tasks(run_real.Options(data_root=tmp_path))
    assert [task.name for task in chosen] == ["twomoon", "twomoon_fair", "digits"]
    said = capsys.readouterr().err
    assert all(f"skipped {name}: " in said for name in TASKS.keys() - {t.name for t in chosen})


def test_long_tasks_run_when_they_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nyudv2").mkdir()
    short = [task.name for task in run_real.chosen_tasks(run_real.Options(data_root=tmp_path))]
    assert short == ["twomoon", "twomoon_fair", "digits"]
    assert "left out nyu_depth: it takes long" in capsys.readouterr().err
    everything = run_real.chosen_tasks(run_real.Options(tasks=("all",), data_root=tmp_path))
    long = ["nyu_depth", "nyu_depth_from_depth", "nyu_depth_pretrained"]
    assert [task.name for task in everything] == [*short, *long]
    named = run_real.chosen_tasks(run_real.Options(tasks=("nyu_depth",), data_root=tmp_path))
    assert [task.name for task in named] == ["nyu_depth"]


def test_damaged_files_are_skipped_by_the_tasks_that_can(tmp_path: Path) -> None:
    (tmp_path / "nyudv2").mkdir()
    options = run_real.Options(tasks=("digits", "nyu_depth"), data_root=tmp_path, skip_bad=True)
    digits, nyu = run_real.chosen_tasks(options)
    assert digits == TASKS["digits"] and nyu == replace(TASKS["nyu_depth"], skip_bad=True)


@pytest.mark.usefixtures("no_training")
def test_a_file_that_is_no_data_is_refused_before_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.npz").write_text("not arrays")
    args = ["--tasks", "digits", "arrays", "--set", f"arrays.file={tmp_path / 'own.npz'}"]
    assert call(tmp_path / "out", *args) == 2
    assert "own.npz cannot be read" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.usefixtures("no_training")
def test_a_device_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path / "out", *SMALL, "--device", "cuda") == 2
    assert "cuda" in capsys.readouterr().err.lower()


@pytest.mark.usefixtures("no_training")
def test_a_file_in_the_way_of_the_output_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "deeper"):
        assert call(out, *SMALL) == 2
        assert "a file is in the way; choose another folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.usefixtures("no_training")
def test_a_read_only_output_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The mode of a folder does not stop an administrator, as who tests often run.
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert call(tmp_path, *SMALL) == 2
    assert f"cannot write to {tmp_path}" in capsys.readouterr().err


@pytest.mark.usefixtures("no_training")
def test_a_full_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 0))
    assert call(tmp_path, *SMALL) == 2
    assert "0 MiB free" in capsys.readouterr().err


@pytest.mark.usefixtures("no_training")
def test_two_jobs_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with records.Records.open(tmp_path):
        assert call(tmp_path, *SMALL) == 2
    assert "another run is writing" in capsys.readouterr().err


# Tasks and run configurations that a call asks for


@dataclass(frozen=True)
class OneFile(Toy):
    name: ClassVar[str] = "one_file"


@dataclass(frozen=True)
class ManyFiles(Toy):
    name: ClassVar[str] = "many_files"
    skip_bad: bool = False


def test_bad_files_are_left_out_where_a_task_reads_many(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {task.name: task for task in (OneFile(), ManyFiles())}
    monkeypatch.setattr(run_real, "TASKS", tasks)
    chosen = run_real.chosen_tasks(run_real.Options(tasks=("one_file", "many_files")))
    assert chosen == [OneFile(), ManyFiles()]
    asked = run_real.Options(tasks=("one_file", "many_files"), skip_bad=True)
    assert run_real.chosen_tasks(asked) == [OneFile(), ManyFiles(skip_bad=True)]


def test_every_option_of_the_hardware_reaches_the_runs(tmp_path: Path) -> None:
    options = run_real.Options(
        out=tmp_path,
        device="auto",
        precision="bf16-mixed",
        devices=1,
        micro_batch=16,
        loader_workers=3,
        channels_last=True,
        compile=True,
        deterministic=True,
        workers=2,
    )
    configuration = run_real.configuration_of(options)
    assert configuration.hardware == Hardware(
        "auto",
        1,
        "bf16-mixed",
        micro_batch=16,
        workers=3,
        channels_last=True,
        compile=True,
        deterministic=True,
    )
    assert (configuration.workers, configuration.folder) == (2, tmp_path)
    unasked = run_real.configuration_of(run_real.Options())
    assert unasked.hardware == Hardware() and unasked.workers == available_cores()
    assert unasked.trainer == "auto"
    alone = run_real.configuration_of(run_real.Options(one_by_one=True))
    assert alone.trainer == "one by one"
    shared = run_real.configuration_of(run_real.Options(devices=2, nodes=3))
    assert (shared.hardware.processes, shared.workers) == (6, 1)
    assert len(fields(Hardware)) == 9  # a new one needs an option too


def test_all_tasks_and_some_are_not_asked_for_together() -> None:
    with pytest.raises(ValueError, match="--tasks all stands alone"):
        run_real.chosen_tasks(run_real.Options(tasks=("all", "digits")))


# Trouble on the way


def test_a_run_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diverging = "digits.recipe.student.learning_rate=1e30"
    args = ["--tasks", "twomoon", "digits", "--arms", "mm_student", "--seeds", "1", "--set"]
    assert call(tmp_path, *args, *steps(5, 5), diverging) == 1
    said = capsys.readouterr().err
    assert "failed: digits mm_student seed 0: FloatingPointError" in said
    assert "twomoon mm_student" not in said.replace("\r", "\n").splitlines()[-1]
    found = {(one.task, one.arm) for one in records.read(tmp_path)}
    assert found == {("twomoon", "um_teacher"), ("twomoon", "mm_student"), ("digits", "um_teacher")}


def test_a_disk_that_fills_up_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    append, room = records.Records.append, iter(range(3))

    def full(self: records.Records, record: records.Record) -> None:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "run could not be recorded (No space left on device)")
        append(self, record)

    args = [*SMALL, "--arms", "mm_student", "--seeds", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(records.Records, "append", full)
        assert call(tmp_path, *args) in (1, 2)
    assert "No space left" in capsys.readouterr().err
    assert len(lines(tmp_path)) == 3
    assert call(tmp_path, *args) == 0
    assert len(lines(tmp_path)) == 4


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(
    ("at", "alone"),
    [(0, True), (2, True), (5, True), (0, False), (1, False)],  # of six fits, or of two calls
)
def test_ctrl_c_ends_with_130_and_the_next_call_goes_on(
    at: int,
    alone: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ["--tasks", "twomoon", "--arms", "mm_student", "noisy_student", "--seeds", "2"]
    args += ["--one-by-one", "--set", *steps(20, 20)] if alone else ["--set", *steps(20, 20)]
    begun = iter(range(100))
    module, name = (job, "fit") if alone else (trainers, "side_by_side")
    once, stopped = getattr(module, name), tmp_path / "stopped"

    def pressed(*given: Any, **named: Any) -> Any:
        if next(begun) == at:
            signal.raise_signal(signal.SIGINT)
        return once(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, pressed)
        assert call(stopped, *args) == 130
    assert len(lines(stopped)) == (at if alone else 0)  # each run is recorded as it ends
    said = capsys.readouterr().err
    assert "interrupted" in said and str(stopped) in said and "Traceback" not in said
    for out in (stopped, tmp_path / "whole"):
        assert call(out, *args) == 0
        assert len(lines(out)) == 6
    assert recorded(stopped) == recorded(tmp_path / "whole")


@pytest.mark.parametrize("left", [1, 200])
def test_half_a_line_at_the_end_is_done_again(left: int, finished: Path) -> None:
    before, path = recorded(finished), finished / RECORDS
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[: start + left])
    assert call(finished, *BOTH) == 0
    assert close(recorded(finished), before)  # trained in other company: equal up to rounding
    assert len(lines(finished)) == len(before)


# Killed. The processes below get no chance to tidy up.


def ended_by(number: int, out: Path, ready: Callable[[], bool], *args: str) -> int:
    """The exit code of the main job with two workers, all of them sent a signal once `ready`."""
    script = [sys.executable, str(ROOT / "experiments" / "run_real.py")]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [*script, *args, "--workers", "2", "--out", str(out)],
        env={**os.environ, "PYTHONPATH": path, "JOBLIB_TEMP_FOLDER": str(out.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as job:
        try:
            while not ready():
                assert job.poll() is None, f"the job ended by itself, with {job.returncode}"
                time.sleep(0.02)
        finally:
            group = members(job.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, number)
        code = job.wait(100)
    for pid in group:  # what joblib leaves behind when it cannot tidy up
        for semaphore in Path("/dev/shm").glob(f"sem.loky-{pid}-*"):
            semaphore.unlink()
    return code


def members(group: int) -> list[int]:
    """The processes of a process group, where the system shows them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(int(path.name)) == group:
                found.append(int(path.name))
    return found


def test_a_killed_job_ends_like_one_that_was_not(tmp_path: Path) -> None:
    args = [*KILLED, *steps(100, 400)]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    code = ended_by(signal.SIGKILL, killed, lambda: len(lines(killed)) >= 4, *args)
    assert code == -signal.SIGKILL
    assert 4 <= len(lines(killed)) < KILLED_RUNS
    assert call(killed, *args) == 0
    assert call(whole, *args) == 0
    assert recorded(killed) == recorded(whole) and len(recorded(whole)) == KILLED_RUNS
    for name in ("summary.json", "results_twomoon.csv", "gain_by_arm.png", "regions_twomoon.png"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_a_job_killed_three_times_ends_like_one_that_was_not(tmp_path: Path) -> None:
    args = [*KILLED, *steps(300, 1500)]
    killed, whole = tmp_path / "killed", tmp_path / "whole"

    def student_has_a_checkpoint() -> bool:  # beside those of the three teachers
        return len(list((killed / "checkpoints").glob("*.pt"))) > 3

    moments = (
        lambda: len(lines(killed)) >= 1,
        student_has_a_checkpoint,
        lambda: len(lines(killed)) >= 6,
    )
    for ready in moments:
        assert ended_by(signal.SIGKILL, killed, ready, *args) == -signal.SIGKILL
        assert len(lines(killed)) < KILLED_RUNS
    assert call(killed, *args) == 0
    assert call(whole, *args) == 0
    assert recorded(killed) == recorded(whole)


@pytest.mark.slow
def test_ctrl_c_reaches_all_workers_and_ends_with_130(tmp_path: Path) -> None:
    args = [*KILLED, *steps(100, 1000)]
    assert ended_by(signal.SIGINT, tmp_path, lambda: len(lines(tmp_path)) >= 4, *args) == 130
    assert 3 <= len(lines(tmp_path)) < KILLED_RUNS  # a line being written is taken back
    assert call(tmp_path, *args) == 0
    assert len(recorded(tmp_path)) == len(lines(tmp_path)) == KILLED_RUNS


# --- a teacher that is its answers alone ----------------------------------------------------------


def write_answers(folder: Path, seeds: int = 2, draw: int = 0, task: str = "twomoon") -> list[str]:
    """Answers drawn at random for a task, and the options of small runs of `twomoon` by them."""
    for seed in range(seeds):
        problem, random = TASKS[task].problem(seed), np.random.default_rng(draw)
        parts = {part: len(getattr(problem, part)) for part in ("unlabelled", "test")}
        classes = np.ones(problem.classes)
        given: Any = {part: random.dirichlet(classes, size=n) for part, n in parts.items()}
        save_answers(folder / file_name(task, seed), problem, **given)
    arms = ["--arms", "um_student", "mm_student", "mm_student_evidence"]
    return [*SMALL, *arms, "--seeds", "2", "--teacher-answers", str(folder)]


def test_answers_take_the_place_of_teachers(tmp_path: Path) -> None:
    args = write_answers(tmp_path / "answers")
    assert call(tmp_path / "out", *args) == 0
    found = records.read(tmp_path / "out")
    assert len(found) == 8
    for one in found:
        assert one.extra["teacher"]["cross_fitted"] is False
        assert one.config["teacher"] == "its answers alone"
        assert str(tmp_path) not in json.dumps(one.to_dict())
    assert len({one.extra["teacher"]["answers"] for one in found}) == 2  # a file a seed
    teachers = [one for one in found if one.arm == "um_teacher"]
    assert {one.training.get("seconds") for one in teachers} == {None}
    said = (tmp_path / "out" / "results_twomoon.md").read_text(encoding="utf-8")
    assert "The teacher is its answers alone, without any on D_l" in said
    before = lines(tmp_path / "out")
    assert call(tmp_path / "out", *args) == 0 and lines(tmp_path / "out") == before
    write_answers(tmp_path / "answers", seeds=1, draw=1)  # other answers at seed 0 are other runs
    assert call(tmp_path / "out", *args) == 0
    assert len(lines(tmp_path / "out")) == 12
    assert call(tmp_path / "out", *args[:-2]) == 0  # and so are those of teachers that are trained
    assert len(lines(tmp_path / "out")) == 20


@pytest.mark.usefixtures("no_training")
def test_answers_that_are_not_there_or_of_others_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "out", tmp_path / "answers"
    args = write_answers(folder)
    assert call(out, *args[:-3], "3", *args[-2:]) == 2
    assert "lacks twomoon_2.npz; write the teacher's answers there" in capsys.readouterr().err
    digits = ["--tasks", "digits", *args[-4:]]
    assert call(out, *digits) == 2
    assert "digits: " in capsys.readouterr().err
    write_answers(folder, task="digits")
    shutil.copy(folder / "digits_0.npz", folder / "digits_1.npz")
    assert call(out, *digits) == 2
    assert "digits_1.npz answers another problem: its split is" in capsys.readouterr().err
    assert call(out, "--teacher-answers", str(tmp_path / "absent")) == 2
    assert "has answers for none of the tasks" in capsys.readouterr().err


@pytest.mark.usefixtures("no_training")
def test_tasks_without_answers_are_left_out_unless_they_were_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = run_real.Options(teacher_answers=tmp_path, seeds=2, out=tmp_path / "out")
    write_answers(tmp_path)
    tasks, _ = run_real.planned(options)
    assert [task.name for task in tasks] == ["twomoon"]
    assert f"skipped digits: {tmp_path} has no digits_0.npz" in capsys.readouterr().err
