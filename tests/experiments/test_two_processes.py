"""Two processes carry out the main job as one does: the same losses, the same numbers, one record.

The processes are real ones that torchrun starts on this machine.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from experiments import run_real
from mke_theory.study import records
from mke_theory.study.records import Record

ROOT = Path(__file__).parents[2]
MAIN = str(ROOT / "experiments" / "run_real.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
TORCHRUN += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
ARM = "mm_student"


def args(out: Path, *more: str, steps: int = 60, precision: str = "64-true") -> list[str]:
    return [
        MAIN,
        *("--tasks", "digits", "--arms", ARM, "--seeds", "1", "--theory", "0"),
        *("--precision", precision, "--out", str(out), *more),
        *("--set", "digits.recipe.teacher.steps=60", f"digits.recipe.student.steps={steps}"),
    ]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def call(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200)


def alone(out: Path, **changes: Any) -> str:
    """The output of one process, this one."""
    with redirect_stdout(io.StringIO()) as printed:
        assert run_real.main(args(out, "--workers", "1", **changes)[1:]) == 0
    return printed.getvalue()


def student(out: Path) -> Record:
    found = {record.arm: record for record in records.read(out)}
    assert set(found) == {"um_teacher", ARM}
    return found[ARM]


def losses(record: Record) -> tuple[list[float], list[float]]:
    return [step for step, _ in record.history], [loss for _, loss in record.history]


def assert_same(two: Record, one: Record, tolerance: float) -> None:
    assert losses(two)[0] == losses(one)[0] != []
    assert losses(two)[1] == pytest.approx(losses(one)[1], rel=0.0, abs=tolerance)
    assert two.metrics == pytest.approx(one.metrics, rel=0.0, abs=tolerance)
    assert two.scores == one.scores and two.counts == one.counts


def test_two_processes_of_torchrun_do_what_one_does(tmp_path: Path) -> None:
    said = alone(tmp_path / "one")
    shared = call([*TORCHRUN, *args(tmp_path / "two", "--devices", "2", "--micro-batch", "40")])
    assert shared.returncode == 0, shared.stderr
    one, two = student(tmp_path / "one"), student(tmp_path / "two")
    assert_same(two, one, 1e-9)
    assert two.environment["processes"] == "2"
    # One process speaks and writes: every table is printed once, and all files are there.
    assert shared.stdout.count("## digits") == said.count("## digits") == 1
    files = [sorted(p.name for p in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert files[0] == files[1]


def test_processes_that_were_not_stated_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_real.main(args(tmp_path / "out")[1:]) == 2
    assert "torchrun started 2 processes, but devices=1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_runs_beside_each_other_are_refused_where_processes_share_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_real.main(args(tmp_path / "out", "--devices", "2", "--workers", "3")[1:]) == 2
    assert "workers is 3, but 2 processes train each run together" in capsys.readouterr().err


def test_a_process_that_follows_says_what_is_wrong_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert run_real.main([*args(tmp_path / "out", "--devices", "2")[1:], "digits.hidden=x"]) == 2
    assert "'x'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_single_precision_too(tmp_path: Path) -> None:
    alone(tmp_path / "one", precision="32-true")
    two = [*TORCHRUN, *args(tmp_path / "two", "--devices", "2", precision="32-true")]
    shared = call(two)
    assert shared.returncode == 0, shared.stderr
    assert_same(student(tmp_path / "two"), student(tmp_path / "one"), 1e-6)


@pytest.mark.slow
def test_a_second_process_can_be_started_by_the_first(tmp_path: Path) -> None:
    alone(tmp_path / "one")
    shared = call([sys.executable, *args(tmp_path / "two", "--devices", "2")])
    assert shared.returncode == 0, shared.stderr
    assert_same(student(tmp_path / "two"), student(tmp_path / "one"), 1e-9)


@pytest.mark.slow
def test_processes_that_are_killed_go_on_where_they_stopped(tmp_path: Path) -> None:
    shared, steps = ("--devices", "2"), 3000
    command = [*TORCHRUN, *args(tmp_path / "two", *shared, steps=steps)]
    running = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list((tmp_path / "two" / "checkpoints").glob("*.pt"))) == 2)
    finally:
        # torchrun answers this by ending its processes, which have no time to put things in order.
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) != 0
    recorded = (tmp_path / "two" / records.FILE).read_bytes()
    assert recorded.count(b"\n") == 1  # the teacher
    again = call(command)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "two" / records.FILE).read_bytes().startswith(recorded)
    whole = call([*TORCHRUN, *args(tmp_path / "whole", *shared, steps=steps)])
    assert whole.returncode == 0, whole.stderr
    assert_same(student(tmp_path / "two"), student(tmp_path / "whole"), 0.0)


def wait_for(happened: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
