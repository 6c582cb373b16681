"""Work spread over processes, and recorded as it comes in: the one way in which studies do both."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from multiprocessing import current_process
from typing import TypeVar

import torch
from joblib import Parallel, delayed
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from mke_theory.study.records import Record, Records

Part = TypeVar("Part")
Done = TypeVar("Done")


class WorkerKilledError(RuntimeError):
    """The process of some work was killed, also when nothing else was carried out beside it."""


def over_processes(
    parts: Sequence[Part],
    work: Callable[[Part], Done],
    workers: int,
    threads: int = 1,
    *,
    killed: Callable[[Part, WorkerKilledError], Done] | None = None,
) -> Iterator[tuple[Part, Done]]:
    """Each part with `work(part)`, in the order in which they end, `workers` at the same time.

    Processes are those of this machine, or wherever joblib's backend sends them (a dask cluster).
    Where one is killed, by the system for want of memory for instance, the parts that had not ended
    are done again by half as many. A part whose process is killed when it is the only one comes
    with `killed(part, error)`; without `killed` the error is raised.
    """
    if workers == 1 or len(parts) < 2:
        for part in parts:
            torch.set_num_threads(threads)
            yield part, work(part)
        return
    left = dict(enumerate(parts))
    try:
        while workers > 1 and left:
            try:
                for i, done in _at_once(left, work, workers, threads):
                    yield left.pop(i), done
            except TerminatedWorkerError:
                workers //= 2
                _say_killed(workers)
        yield from _one_after_another(list(left.values()), work, threads, killed)
    except BaseException:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)  # nobody waits for them
        raise


def _at_once(
    parts: Mapping[int, Part], work: Callable[[Part], Done], workers: int, threads: int
) -> Iterator[tuple[int, Done]]:
    processes = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    me, asked = os.getpid(), list(parts.items())
    numbered = (delayed(_numbered)(work, threads, me, i, part) for i, part in asked)
    found: Iterator[tuple[int, Done]] = processes(numbered)
    return found


def _one_after_another(
    parts: Sequence[Part],
    work: Callable[[Part], Done],
    threads: int,
    killed: Callable[[Part, WorkerKilledError], Done] | None,
) -> Iterator[tuple[Part, Done]]:
    """Each part with `work(part)`, by a process beside which no other works."""
    executor = ProcessPoolExecutor(max_workers=1)
    try:
        for part in parts:
            try:
                yield (
                    part,
                    executor.submit(_numbered, work, threads, os.getpid(), 0, part).result()[1],
                )
            except TerminatedWorkerError:
                executor = ProcessPoolExecutor(max_workers=1)
                error = WorkerKilledError(
                    "its process was killed, also when it was the only one: by the system for "
                    "want of memory, or by a crash in a library; make room and start again"
                )
                if killed is None:
                    raise error from None
                yield part, killed(part, error)
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def _say_killed(workers: int) -> None:
    tqdm.write(
        "a worker process was killed, perhaps for want of memory; what it did is done again, "
        f"{workers} at the same time",
        file=sys.stderr,
    )


def _numbered(
    work: Callable[[Part], Done], threads: int, parent: int, i: int, part: Part
) -> tuple[int, Done]:
    _end_with(parent)
    torch.set_num_threads(threads)
    return i, work(part)


@cache
def _end_with(parent: int) -> None:
    """Let this process end when its parent does, as it would wait for more work for minutes."""
    if os.getppid() != parent:
        if current_process().name.startswith("LokyProcess"):  # the parent was killed meanwhile
            os._exit(1)
        return  # a process of a cluster, which has a life of its own

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def record_all(
    wanted: Mapping[str, Part],
    work: Callable[[Part], Record],
    records: Records,
    *,
    workers: int,
    title: str,
    resume: bool = True,
) -> tuple[list[Record], list[tuple[Part, str]]]:
    """The records of all that is wanted by key, in order, and what failed with its error.

    Only what has no record is done; with `resume` off all is. One piece of work that fails, for
    whatever reason, ends no other.
    """
    todo = [part for key, part in wanted.items() if not (resume and records.has(key))]
    failures: list[tuple[Part, str]] = []
    attempt = partial(_attempt, work)
    with tqdm(total=len(todo), desc=title, disable=not todo) as bar:
        for part, outcome in over_processes(todo, attempt, workers, killed=_line_of_killed):
            if isinstance(outcome, Record):
                records.append(outcome)
            else:
                failures.append((part, outcome))
            bar.update()
    return records.of(wanted), failures


def _attempt(work: Callable[[Part], Record], part: Part) -> Record | str:
    try:
        return work(part)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _line_of_killed(_: object, error: WorkerKilledError) -> Record | str:
    return str(error)


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
