"""The parts of the main job: seconds of import, reading, training, accounts, theory and figures.

    python benchmarks/main_job.py                        tasks that need no data
    python benchmarks/main_job.py --data-root DIR        all short tasks whose data are found
    python benchmarks/main_job.py --more=--tasks --more=twomoon

`experiments/run_real.py` runs in this process, with one worker and a folder of its own. Its parts
are timed from outside, by the functions in `PARTS`: a part's seconds are those spent in its
functions, less what they spend in those of another part. The rest is what belongs to none.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

PARTS = {
    "reading": [
        ("mke_theory.study.task", "Task.problem"),
        ("mke_theory.study.task", "Task.data_hash"),
    ],
    "training": [
        ("mke_theory.training.loop", "fit"),
        ("mke_theory.training.vectorised.engine", "side_by_side"),
    ],
    "predictions and accounts": [
        ("mke_theory.training.predict", "predict"),
        ("mke_theory.evaluation.account", "account"),
        ("mke_theory.study.recording", "record_of"),
    ],
    "theory": [("mke_theory.study.theory_on_runs", "appraise_all")],
    "tables": [
        ("mke_theory.report.summary", "show"),
        ("mke_theory.report.summary", "show_overview"),
        ("mke_theory.report.summary", "write"),
        ("mke_theory.report.theory", "show"),
        ("mke_theory.report.theory", "write"),
        ("mke_theory.report.page", "write"),
    ],
    "figures": [("mke_theory.report.summary", "figures")],
}
"""The functions at the borders of each part; a method stands for those of all subclasses too."""


@dataclass
class Clock:
    """Seconds and calls of parts that may lie inside each other.

    `now` tells the seconds of the clock and of the processor.
    """

    now: Callable[[], tuple[float, float]] = lambda: (time.perf_counter(), time.process_time())
    seconds: dict[str, list[float]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _last: tuple[float, float] = (0.0, 0.0)

    def enter(self, part: str) -> None:
        """Begin a part; the one around it waits."""
        self._count()
        self._open.append(part)
        self.calls[part] = self.calls.get(part, 0) + 1

    def leave(self) -> None:
        """End the innermost part."""
        self._count()
        self._open.pop()

    def _count(self) -> None:
        now = self.now()
        if self._open:
            spent = self.seconds.setdefault(self._open[-1], [0.0, 0.0])
            for i in range(2):
                spent[i] += now[i] - self._last[i]
        self._last = now


@dataclass(frozen=True)
class Options:
    """Time the parts of the main job."""

    data_root: Path | None = None
    """The data of tasks that need some; without it only those run that need none."""
    more: tuple[str, ...] = ()
    """Further arguments of the main job, each as --more=ARGUMENT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print what the main job prints, and the table; returns its exit code."""
    clock = Clock()
    clock.enter("rest")
    clock.enter("import")
    import pandas as pd
    import tyro

    options = tyro.cli(Options, args=argv, description=__doc__)  # before anything is watched
    sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
    run_real = importlib.import_module("run_real")
    for part, functions in PARTS.items():
        for module, name in functions:
            watch(clock, part, module, name)
    clock.leave()

    with tempfile.TemporaryDirectory() as folder:
        root = options.data_root or Path(folder)
        asked = ["--out", f"{folder}/out", "--data-root", str(root), "--workers", "1"]
        code: int = run_real.main([*asked, *options.more])
    clock.leave()
    print(table(clock, pd).to_markdown(disable_numparse=True))
    return code


def table(clock: Clock, pd: Any) -> Any:
    """A row a part: seconds, its share of all, seconds of the processor, and calls."""
    whole = sum(spent[0] for spent in clock.seconds.values())
    order = ["import", *PARTS, "rest"]
    rows = {
        part: {
            "s": f"{clock.seconds[part][0]:.1f}",
            "share, %": f"{100 * clock.seconds[part][0] / whole:.0f}",
            "s of the processor": f"{clock.seconds[part][1]:.1f}",
            "calls": str(clock.calls[part]),
        }
        for part in order
        if part in clock.seconds
    }
    rows["all"] = {
        "s": f"{whole:.1f}",
        "share, %": "100",
        "s of the processor": f"{sum(spent[1] for spent in clock.seconds.values()):.1f}",
        "calls": "",
    }
    return pd.DataFrame(rows).T


def watch(clock: Clock, part: str, module: str, name: str) -> None:
    """Have the calls of a function, or of a method and its overrides, counted as this part."""
    owner: Any = importlib.import_module(module)
    head, _, method = name.partition(".")
    if method:
        for kind in _family(getattr(owner, head)):
            if method in vars(kind):
                setattr(kind, method, watched(clock, part, vars(kind)[method]))
        return
    function = getattr(owner, head)
    new = watched(clock, part, function)
    for one in list(sys.modules.values()):  # wherever it has been imported to
        for key, value in list(getattr(one, "__dict__", {}).items()):
            if value is function:
                setattr(one, key, new)


def _family(kind: Any) -> Iterator[Any]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def watched(clock: Clock, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its calls counted."""

    @wraps(function)
    def counted(*given: Any, **named: Any) -> Any:
        clock.enter(part)
        try:
            return function(*given, **named)
        finally:
            clock.leave()

    return counted


if __name__ == "__main__":
    sys.exit(main())
