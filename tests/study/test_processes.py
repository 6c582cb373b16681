"""Work over processes comes back with its part, and one that fails ends no other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from mke_theory.study.processes import (
    WorkerKilledError,
    available_cores,
    over_processes,
    record_all,
)
from mke_theory.study.records import Record, Records


def square(number: int) -> tuple[int, int, int]:
    return number * number, os.getpid(), torch.get_num_threads()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_part_comes_back_with_what_was_made_of_it(workers: int) -> None:
    before = torch.get_num_threads()
    found = list(over_processes([3, 1, 2], square, workers, threads=2))
    torch.set_num_threads(before)
    assert sorted((part, made[0]) for part, made in found) == [(1, 1), (2, 4), (3, 9)]
    assert {made[2] for _, made in found} == {2}
    elsewhere = {made[1] for _, made in found} - {os.getpid()}
    assert bool(elsewhere) is (workers == 2)
    if workers == 1:
        assert [part for part, _ in found] == [3, 1, 2]


def test_a_single_part_stays_in_this_process() -> None:
    ((_, made),) = over_processes([3], square, workers=4)
    assert made[1] == os.getpid() and list(over_processes([], square, workers=4)) == []


def failing(number: int) -> int:
    if number == 1:
        raise KeyError("one")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_work_that_raises_ends_the_loop(workers: int) -> None:
    with pytest.raises(KeyError, match="one"):
        list(over_processes([1, 2, 3], failing, workers))


def deadly(number: int, folder: Path, times: int) -> int:
    """The number; 1 kills its own process the first `times` times."""
    (folder / f"{number}-{len(list(folder.iterdir()))}").touch()
    if number == 1 and len(list(folder.glob("1-*"))) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("times", [1, 99])
def test_a_worker_that_is_killed_costs_nothing_but_its_own_work(
    times: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = partial(deadly, folder=tmp_path, times=times)
    found = dict(over_processes([0, 1, 2, 3], work, 2, killed=lambda part, error: str(error)))
    assert "a worker process was killed" in capsys.readouterr().err
    assert {part: made for part, made in found.items() if part != 1} == {0: 0, 2: 2, 3: 3}
    assert found[1] == 1 if times == 1 else "its process was killed" in str(found[1])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_worker_that_is_always_killed_is_an_error_where_nobody_asks_for_its_part(
    tmp_path: Path,
) -> None:
    work = partial(deadly, folder=tmp_path, times=99)
    with pytest.raises(WorkerKilledError, match="its process was killed"):
        list(over_processes([0, 1], work, 2))


ENDLESS = """
import time
from mke_theory.study.processes import over_processes
def work(seconds):
    print("working", flush=True)
    time.sleep(seconds)

for _ in over_processes([60, 60, 60], work, 2):
    pass
"""


def alive(group: int) -> list[int]:
    """The processes of a group that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            if os.getpgid(int(path.name)) == group and state != "Z":
                found.append(int(path.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_no_worker_outlives_the_process_that_it_works_for(name: str) -> None:
    given = [sys.executable, "-c", ENDLESS]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        given, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as main:
        assert main.stdout is not None
        for _ in range(2):  # each worker has taken up some work
            main.stdout.readline()
        main.send_signal(getattr(signal, name))
        main.wait(60)
        until = time.monotonic() + 10
        while alive(main.pid) and time.monotonic() < until:
            time.sleep(0.1)
        left = alive(main.pid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert left == []


# --- recorded work -------------------------------------------------------------------------------


def made(number: int, done: list[int] | None = None) -> Record:
    if done is not None:
        done.append(number)
    if number == 2:
        raise MemoryError("too many")
    return Record(str(number), "task", "arm", number, "hash", {"test": number / 10})


WANTED = {str(number): number for number in (3, 1, 2, 0)}


@pytest.mark.parametrize("workers", [1, 2])
def test_records_come_in_the_order_of_the_plan_and_failures_beside(
    workers: int, tmp_path: Path
) -> None:
    with Records.open(tmp_path) as records:
        found, failures = record_all(WANTED, made, records, workers=workers, title="work")
    assert [record.seed for record in found] == [3, 1, 0]
    assert failures == [(2, "MemoryError: too many")]


def test_what_is_recorded_is_not_done_again_but_where_that_is_asked_for(tmp_path: Path) -> None:
    done: list[int] = []
    work: Callable[[int], Record] = partial(made, done=done)
    with Records.open(tmp_path) as records:
        first, _ = record_all({"1": 1}, work, records, workers=1, title="work")
        again, _ = record_all(WANTED, work, records, workers=1, title="work")
        assert done == [1, 3, 2, 0] and again[1] == first[0]
        assert record_all(WANTED, work, records, workers=1, title="work")[0] == again
        assert done == [1, 3, 2, 0, 2]  # what failed is tried again
        record_all({"1": 1}, work, records, workers=1, title="work", resume=False)
    assert done == [1, 3, 2, 0, 2, 1]


def test_the_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1
