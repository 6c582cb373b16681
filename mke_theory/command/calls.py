"""The part that calls of all studies share: exit codes, one line an error, tasks by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import tyro
from joblib.externals.loky import get_reusable_executor

from mke_theory.data.typed_paths import with_homes
from mke_theory.study.task import Task

T = TypeVar("T", bound=Task)
Options = TypeVar("Options")


def asked(
    kind: type[Options], argv: Sequence[str] | None, doc: str | None, called: str | None = None
) -> Options:
    """The options of a call, with home folders for `~` in its paths.

    `called` is the command in its help, by default the script's path. Ends the process with 2,
    after a line on it, where the call is wrong.
    """
    options = tyro.cli(kind, args=argv, description=doc, prog=called)
    try:
        return with_homes(options)
    except ValueError as problem:
        raise SystemExit(refused(problem)) from problem


def interrupted(folder: Path | None = None) -> int:
    """130, after Ctrl-C: processes are ended and one line tells how to go on.

    `folder` is where the records are, if there is one alone.
    """
    get_reusable_executor().shutdown(wait=True, kill_workers=True)  # nobody waits for them
    where = "" if folder is None else f" in {folder}"
    print(
        f"\ninterrupted; what is recorded{where} stays, and the same command goes on from there",
        file=sys.stderr,
    )
    return 130


def until_interrupted(folder: Path, study: Callable[[], int]) -> int:
    """The exit code of a study whose records are in `folder`; 130 where Ctrl-C ends it."""
    try:
        return study()
    except KeyboardInterrupt:
        return interrupted(folder)


def finished(study: Callable[[], Iterable[Path]]) -> int:
    """Do a study and print its files: 0, 1 where it failed half-way, 2 for a bad call."""
    try:
        for path in study():
            print(path)
    except (OSError, ValueError, TypeError, MemoryError) as problem:
        return refused(problem)
    except RuntimeError as problem:
        print(f"failed: {problem}; what is recorded stays", file=sys.stderr)
        return 1
    return 0


def refused(problem: Exception) -> int:
    """2, after one line on what is wrong with the call."""
    print(f"error: {problem}", file=sys.stderr)
    return 2


def refuse_below_one(options: object, *names: str) -> None:
    """Raise ValueError where one of the numbers is below 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"{name} is {getattr(options, name)}; it has to be at least 1")


def refuse_unknown(noun: str, names: Iterable[str], known: Mapping[str, object]) -> None:
    """Raise ValueError for a name that does not exist, and list those that do."""
    for name in names:
        if name not in known:
            raise ValueError(f"there is no {noun} {name!r}; there are {', '.join(known)}")


def ready_tasks(tasks: Mapping[str, T], names: Sequence[str], *, insist: bool) -> list[T]:
    """The tasks of these names, each once, whose data are found.

    The others are named on the way or, where the caller insists, refused with FileNotFoundError.
    Raises ValueError for a name that does not exist.
    """
    refuse_unknown("task", names, tasks)
    found = []
    for name in dict.fromkeys(names):
        lacking = tasks[name].missing()
        if lacking is None:
            found.append(tasks[name])
        elif insist:
            raise FileNotFoundError(f"{name}: {lacking}")
        else:
            print(f"skipped {name}: {lacking}", file=sys.stderr)
    return found


def answered_tasks(tasks: Sequence[T], folder: Path, seeds: int, *, insist: bool) -> list[T]:
    """The tasks, each with the answers of its teacher in `folder`, a file for each seed from 0 on.

    A task without any file is named on the way or, where the caller insists, refused. Raises
    FileNotFoundError where no task has one, or a task lacks those of some seeds.
    """
    found = []
    for task in tasks:
        bound = task.answered_by(folder)
        files = [file for seed in range(seeds) if (file := bound.answers_file(seed)) is not None]
        absent = [file.name for file in files if not file.is_file()]
        if len(absent) == len(files) and not insist:
            print(f"skipped {task.name}: {folder} has no {files[0].name}", file=sys.stderr)
        elif absent:
            raise FileNotFoundError(
                f"{task.name}: {folder} lacks {', '.join(absent)}; write the teacher's answers "
                "there by mke_theory.data.answer_files.save_answers, or run fewer seeds"
            )
        else:
            found.append(bound)
    if not found:
        raise FileNotFoundError(
            f"{folder} has answers for none of the tasks; its files are TASK_SEED.npz, such as "
            "digits_0.npz"
        )
    return found
