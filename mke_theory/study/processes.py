"""Work spread over processes, and recorded as it comes in: the one way in which studies do both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import torch
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from mke_theory.study.records import Record, Records

Part = TypeVar("Part")
Done = TypeVar("Done")


def over_processes(
    parts: Sequence[Part], work: Callable[[Part], Done], workers: int, threads: int = 1
) -> Iterator[tuple[Part, Done]]:
    """Each part with `work(part)`, in the order in which they end, `workers` at the same time.

    Processes are those of this machine, or wherever joblib's backend sends them (a dask cluster).
    """
    if workers == 1 or len(parts) < 2:
        for part in parts:
            torch.set_num_threads(threads)
            yield part, work(part)
        return
    processes = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    numbered = (delayed(_numbered)(work, threads, i, part) for i, part in enumerate(parts))
    try:
        for i, done in processes(numbered):
            yield parts[i], done
    except BaseException:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)  # nobody waits for them
        raise


def _numbered(work: Callable[[Part], Done], threads: int, i: int, part: Part) -> tuple[int, Done]:
    torch.set_num_threads(threads)
    return i, work(part)


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
        for part, outcome in over_processes(todo, attempt, workers):
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


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
