"""The command line of a data set: `python -m mke_theory.tasks.NAME prepare --data-root DIR`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from mke_theory.data.console import forgiving_console
from mke_theory.data.typed_paths import at_home


class WrongRootError(FileNotFoundError):
    """A data root that is not the folder above the data set."""


def run_command(name: str, commands: Mapping[str, Callable[..., Any]]) -> None:
    """Carry out one of a data set's commands, its options taken from its signature.

    Errors are one line; the exit code is 2 where the call is wrong, its data root included, and 1
    where the data are, or a library is not installed.
    """
    import tyro

    with _in_one_line():
        tyro.extras.subcommand_cli_from_dict(
            {each: _at_home(call) for each, call in commands.items()},
            prog=f"python -m mke_theory.tasks.{name}",
        )


def run_alone(called: str, command: Callable[..., Any], argv: Sequence[str] | None = None) -> None:
    """Carry out a command that stands alone, as `run_command` does; `called` is how it is typed."""
    import tyro

    with _in_one_line():
        tyro.cli(_at_home(command), prog=called, args=argv)


def _at_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with home folders for `~` in the paths that it is given."""

    @wraps(command)
    def called(*values: Any, **named: Any) -> Any:
        return command(*map(typed, values), **{name: typed(x) for name, x in named.items()})

    def typed(value: Any) -> Any:
        return at_home(value) if isinstance(value, Path) else value

    return called


@contextmanager
def _in_one_line() -> Iterator[None]:
    """End the process with an error's message alone; printing itself raises nothing."""
    try:
        with forgiving_console():
            yield
    except WrongRootError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error


def data_set(data_root: Path, name: str, holds: Sequence[str], remedy: str) -> Path:
    """The folder `<data_root>/<name>`, which has to hold something that one of `holds` matches.

    Raises WrongRootError, ending with the remedy, and makes nothing.
    """
    _refuse_no_root(data_root, name)
    folder = data_root / name
    if not data_root.exists():
        raise WrongRootError(f"data root {data_root}: no such folder; {remedy}")
    if not folder.is_dir():
        raise WrongRootError(f"data root {data_root}: has no folder {name}; {remedy}")
    if not any(any(folder.glob(pattern)) for pattern in holds):
        raise WrongRootError(f"{folder}: has none of {', '.join(holds)}; {remedy}")
    return folder


def refuse_root_to_fill(data_root: Path, name: str) -> None:
    """Raise WrongRootError where `<data_root>/<name>` is no place to fetch the data set to.

    The root itself may be missing, but not the folder above it, or a slip of the pen would fill the
    disk in a place of its own.
    """
    _refuse_no_root(data_root, name)
    above = data_root.absolute().parent
    if not above.is_dir():
        raise WrongRootError(
            f"data root {data_root}: no such folder, and none above it either; make {above}, or "
            f"name the folder that {name} shall be in"
        )


def _refuse_no_root(data_root: Path, name: str) -> None:
    if data_root.exists() and not data_root.is_dir():
        raise WrongRootError(f"data root {data_root}: is a file; name the folder above {name}")
    if data_root.absolute().name == name and not (data_root / name).exists():
        raise WrongRootError(
            f"data root {data_root}: is the data set itself; name the folder above it, "
            f"{data_root.absolute().parent}"
        )
