"""`mke report`: tables, figures and the page of a folder of records, made anew."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mke_theory.command.calls import asked, refused
from mke_theory.data.console import forgiving_console
from mke_theory.report import page, summary
from mke_theory.report.attempts import Attempts
from mke_theory.study import records
from mke_theory.study.theory_on_runs import FOLDER as THEORY


@dataclass(frozen=True)
class Options:
    """Make tables, figures and the page of a folder of records anew; nothing is trained."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Output folder of `mke run`, or of any study that records runs."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where all was made, 1 where a part failed, 2 for a folder without records."""
    folder = asked(Options, argv, None, "mke report").folder
    try:
        done = records.read(folder)
        theory = folder / THEORY
        appraisals = records.read(theory) if theory.is_dir() else []
    except (OSError, ValueError) as problem:
        return refused(problem)
    made = Attempts()
    made.write("tables", lambda: summary.write(done, folder))
    drawn = summary.figures(done, folder)
    made.files += drawn.files
    made.troubles += drawn.troubles
    command = f"mke report {folder}"
    made.write(
        page.NAME,
        lambda: page.write(done, appraisals, folder, figures=drawn.files, command=command),
    )
    print(*made.files, sep="\n")
    for line in made.troubles:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if made.troubles else 0
