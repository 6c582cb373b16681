"""Every study in simulated worlds, where the best that teacher and student could do is known.

    python experiments/run_synthetic.py phase         gain over two knobs, beside the closed form
    python experiments/run_synthetic.py placebo       six arms and three placebos on several worlds
    python experiments/run_synthetic.py ssl           semi-supervised methods side by side
    python experiments/run_synthetic.py dependence    gain as conditional independence fails
    python experiments/run_synthetic.py all           all of them, as they are by default

`--quick` makes any of them small, `--help` after a command lists its options; each study's file
states its claim, its cost and what to expect. A study that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from tyro.conf import subcommand

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
import dependence
import phase
import placebo
from worlds import StudyOptions

from mke_theory.command.calls import asked, finished, interrupted
from mke_theory.data.console import forgiving_console


@dataclass(frozen=True)
class Ssl:
    """Stands for the options of `semi_supervised`, which is imported when it is asked for."""


@dataclass(frozen=True)
class All(StudyOptions):
    """Every study, each in a folder of its own below `out`."""

    out: Path = Path("results")
    """Folder for the folders of the studies."""


Command = (
    Annotated[phase.Options, subcommand("phase")]
    | Annotated[placebo.Options, subcommand("placebo")]
    | Annotated[dependence.Options, subcommand("dependence")]
    | Annotated[All, subcommand("all")]
    | Annotated[Ssl, subcommand("ssl", description="Semi-supervised methods side by side.")]
)


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return called(arguments)
    except KeyboardInterrupt:
        return interrupted()


def called(arguments: Sequence[str]) -> int:
    """The exit code of the command that the arguments name."""
    if arguments[:1] == ["ssl"]:
        return semi_supervised(arguments[1:])
    options: Command = asked(Command, arguments, __doc__)  # type: ignore[arg-type]  # a union
    return carried_out(options)


def carried_out(options: Command) -> int:
    """The exit code of one command."""
    if isinstance(options, phase.Options):
        return finished(lambda: phase.run(options))
    if isinstance(options, placebo.Options):
        return finished(lambda: placebo.run(options))
    if isinstance(options, dependence.Options):
        return finished(lambda: dependence.run(options))
    if isinstance(options, All):
        return everything(options)
    return semi_supervised([])


def semi_supervised(arguments: Sequence[str]) -> int:
    """The exit code of the study of semi-supervised methods."""
    import semi_supervised as study

    options = asked(study.Options, list(arguments), study.__doc__)
    return int(study.main_study(options))


def everything(options: All) -> int:
    """Every study in turn; the worst exit code."""
    shared = {f.name: getattr(options, f.name) for f in fields(StudyOptions)}
    commands = (
        phase.Options(**shared, out=options.out / "phase"),
        placebo.Options(**shared, out=options.out / "placebo"),
        dependence.Options(**shared, out=options.out / "dependence"),
    )
    codes = []
    for command in commands:
        codes.append(carried_out(command))
        if codes[-1] == 2:  # a bad call is bad for all of them
            return 2
    flags = ["--quick"] if options.quick else []
    flags += ["--workers", str(options.workers), "--out", str(options.out / "semi_supervised")]
    flags += [] if options.cluster is None else ["--cluster", options.cluster]
    return max(*codes, semi_supervised(flags))


if __name__ == "__main__":
    sys.exit(main())
