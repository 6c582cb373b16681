"""The command `mke`: a word for the job, then that job's options.

mke run --tasks digits            the comparison of the paper, as experiments/run_real.py
mke fit mine.csv --modality a=a_* b=b_* --labels label
mke diagnose mine.csv --modality a=a_* b=b_* --labels label
mke audit compare results/fit/to_audit.csv
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

JOBS = {
    "run": "Compare arms on tasks: records, tables, figures and a page.",
    "report": "Make tables, figures and the page of a folder of records anew.",
    "fit": "Train a student on a file of yours, and write its predictions.",
    "diagnose": "Ask what a second modality promises, before any student is trained.",
    "audit": "Show by a few labels whether a student is better than its teacher.",
    "features": "Compute the features of a trained network once, into a folder.",
}
"""A line on each job, whose code is the module of its name in this room."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of a job: 0 well, 1 failed, 2 a bad call, 3 labels wanted, 130 after Ctrl-C."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given and given[0] in JOBS:
        job = import_module(f"mke_theory.command.{given[0]}")
        return int(job.main(given[1:]))
    wanted = "\n".join(f"  mke {name:<10}{what}" for name, what in JOBS.items())
    usage = f"usage: mke JOB [OPTIONS]\n\n{wanted}\n\nmke JOB --help lists a job's options."
    if given and given[0] in ("-h", "--help"):
        print(usage)
        return 0
    if given and given[0] == "--version":
        from mke_theory import __version__

        print(__version__)
        return 0
    if given:
        print(f"error: there is no job {given[0]!r}", file=sys.stderr)
    print(usage, file=sys.stderr)
    return 2
