"""The command line of a data set: `python -m mke_theory.tasks.NAME prepare --data-root DIR`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def run_command(module: str, commands: Mapping[str, Callable[..., Any]]) -> None:
    """One of the commands by name, its options from its signature; one line for what is wrong."""
    import tyro

    try:
        tyro.extras.subcommand_cli_from_dict(
            dict(commands), prog=f"python -m mke_theory.tasks.{module}"
        )
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
