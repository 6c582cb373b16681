"""One command that checks, on one GPU and in at most 8 minutes, what only a GPU can show.

    python experiments/gpu_check.py                            on the GPU, full sizes
    python experiments/gpu_check.py --device cpu               small, to see that it runs
    python experiments/gpu_check.py --checks equality features

Losses equal to those of the CPU; bf16, channels last and torch.compile beside the plain step;
torchrun with one process; 1,000 and 10,000 students side by side; pictures a second through an
EfficientNet; a step against its floor and the time it waits for samples; the tests marked gpu.

Each check runs by itself in a process beside this one. One that fails, crashes or takes too long is
a line of the report and the others go on; what does not fit into the budget is left out, and the
report says so. `gpu_check.json` and `gpu_check.md` are written anew after every check.

Hardware: one CUDA device; small, two CPU cores and about a minute, most of it the compiler's.
Expected: no GPU has been at hand yet. Goals for equality have room above what changes of order on a
CPU do to the same losses (single precision 2e-5, bf16 2e-3); limits of time are guesses.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as Overdue
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import torch
import tyro
from joblib.externals.loky import get_reusable_executor

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from device_checks import CHECKS
from device_findings import Finding, Scale

from mke_theory.command.calls import asked, refuse_unknown, refused
from mke_theory.data.console import forgiving_console
from mke_theory.study.keys import code_version
from mke_theory.study.records import write_atomic

Verdict = Literal["met", "not met", "measured", "failed", "left out"]
RESERVE = 15.0
"""Seconds of the budget that are kept for starting and ending processes and for the files."""


@dataclass(frozen=True)
class Options:
    """Check a device, and write a JSON and a Markdown file."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    """The device; "auto" is a GPU where there is one."""
    checks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Checks to run, in the order given; none means all."""
    minutes: float = 8.0
    """The most that all of it may take."""
    small: bool = False
    """Small sizes, as on a CPU: to see that every check runs."""
    out: Path = Path("results/gpu_check")
    """Folder for the two files."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= 600:  # NaN is not
            raise ValueError(f"minutes is {self.minutes}; allowed are more than 0, up to 600")


@dataclass(frozen=True)
class Outcome:
    """The findings of a check, or why there are none."""

    check: str
    seconds: float
    findings: Sequence[Finding] = ()
    error: str = ""
    left_out: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst among the findings; "measured" where none has a goal."""
        if self.error or self.left_out:
            return "failed" if self.error else "left out"
        goals = [finding.met for finding in self.findings if finding.met is not None]
        return "measured" if not goals else "met" if all(goals) else "not met"


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every goal is met or left out, 1 where one is missed or a check failed, 2, 130."""
    try:
        options = asked(Options, argv, __doc__)
        scale = scale_of(options)
        names = options.checks or tuple(CHECKS)
        refuse_unknown("check", names, CHECKS)
        options.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        return refused(problem)
    try:
        found: list[Outcome] = []
        for outcome in outcomes(names, scale, 60 * options.minutes):
            found.append(outcome)
            print(f"{outcome.check}: {outcome.verdict}, {outcome.seconds:.0f} s", flush=True)
            write(options.out, found, names, scale)
    except KeyboardInterrupt:
        print(f"\ninterrupted; what was found is in {options.out}", file=sys.stderr)
        return 130
    print((options.out / "gpu_check.md").read_text(encoding="utf-8"))
    return 1 if any(one.verdict in ("failed", "not met") for one in found) else 0


def scale_of(options: Options) -> Scale:
    """The device and the size; raises ValueError where there is no GPU but one is asked for."""
    there = torch.cuda.is_available()
    if options.device == "cuda" and not there:
        raise ValueError(
            "device is 'cuda', but torch sees no CUDA device here; use --device cpu to see that "
            "the checks run, or install a torch with CUDA"
        )
    on_gpu = there and options.device != "cpu"
    return Scale("cuda" if on_gpu else "cpu", options.small or not on_gpu)


def outcomes(names: Sequence[str], scale: Scale, budget: float) -> Iterator[Outcome]:
    """The outcome of each check, in order, within so many seconds in all."""
    end = time.monotonic() + budget - RESERVE
    with contextlib.closing(Beside()) as process:
        for name in names:
            check, left = CHECKS[name], end - time.monotonic()
            needed = min(check.seconds, 5.0) if scale.small else check.seconds
            if check.only_cuda and scale.device != "cuda":
                yield Outcome(name, 0.0, left_out="it needs a CUDA device")
            elif left < needed:
                why = f"{max(left, 0):.0f} s are left, and it takes about {needed:.0f}"
                yield Outcome(name, 0.0, left_out=why)
            else:
                # A small check is for a CPU, whose compiler is slow.
                most = left if scale.small else min(left, check.most)
                yield process.outcome(name, scale, most)


class Beside:
    """A process beside this one that carries out checks; a new one after one has failed."""

    def __init__(self) -> None:
        self.executor: Any = None
        self.work: Any = None

    def outcome(self, name: str, scale: Scale, most: float) -> Outcome:
        """The outcome of the check, which may take so many seconds."""
        findings: tuple[Finding, ...] = ()
        started, error = time.monotonic(), ""
        try:
            self.executor = get_reusable_executor(max_workers=1, timeout=None)
            self.work = self.executor.submit(carried_out, CHECKS[name].run, scale)
            findings, error = self.work.result(most)
        except Overdue:
            error = f"stopped after {most:.0f} s, the most it may take"
        except Exception as problem:  # the process ended: what it wrote last is on stderr
            error = f"{type(problem).__name__}: {problem}"
        if error:  # an error of CUDA leaves a process of no use
            self.end(at_once=True)
        return Outcome(name, time.monotonic() - started, findings, error)

    def end(self, *, at_once: bool) -> None:
        """End the process; at once with all that it started, or when its work is done."""
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=at_once)
            self.executor = None

    def close(self) -> None:
        """End the process, at once where it is at work."""
        self.end(at_once=self.work is not None and not self.work.done())


def carried_out(
    run: Callable[[Scale], list[Finding]], scale: Scale
) -> tuple[tuple[Finding, ...], str]:
    """The findings of a check, or the error that ended it."""
    torch.compiler.reset()  # else the sizes of this check are new sizes of the last one's step
    try:
        return tuple(run(scale)), ""
    except Exception:  # whatever is wrong with one check, the others go on
        return (), traceback.format_exc()
    finally:
        if scale.device == "cuda":
            torch.cuda.empty_cache()


def write(folder: Path, found: Sequence[Outcome], names: Sequence[str], scale: Scale) -> None:
    """The two files, with what is known so far."""
    where = machine(scale)
    rows = [{**asdict(one), "verdict": one.verdict} for one in found]
    document = {"machine": where, "checks": rows, "to come": list(names[len(found) :])}
    write_atomic(folder / "gpu_check.json", json.dumps(document, indent=1, ensure_ascii=False))
    write_atomic(folder / "gpu_check.md", markdown(found, names, where))


def machine(scale: Scale) -> dict[str, str]:
    """The device, the sizes and the software, in words."""
    name = "CPU"
    if scale.device == "cuda":
        name = torch.cuda.get_device_name()
    return {
        "device": name,
        "sizes": "small, which say nothing of speed" if scale.small else "full",
        "torch": torch.__version__,
        "CUDA": str(torch.version.cuda) if scale.device == "cuda" else "none",
        "code": code_version(),
        "python": sys.version.split()[0],
    }


def markdown(found: Sequence[Outcome], names: Sequence[str], where: Mapping[str, str]) -> str:
    """The report: results first, then errors, then what the checks are about."""
    verdicts = [one.verdict for one in found]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    head = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    parts = [f"# Check of one device: {head or 'nothing yet'}"]
    if where["device"] == "CPU":
        parts.append("**On a CPU: the checks run, and nothing here speaks of a GPU.**")
    rows = [row for one in found for row in rows_of(one)]
    columns = ["check", "finding", "value", "goal", ""]
    parts.append(
        pd.DataFrame(rows, columns=columns).to_markdown(index=False, disable_numparse=True)
    )
    parts.append("Values are median [least, most] of n, where several were taken.")
    parts.append("; ".join(f"{name}: {value}" for name, value in where.items()))
    if left := names[len(found) :]:
        parts.append(f"To come: {', '.join(left)}.")
    for one in found:
        if one.error:
            parts.append(f"## {one.check} failed\n\n```\n{one.error.strip()}\n```")
    about = [f"- {one.check} ({one.seconds:.0f} s): {CHECKS[one.check].about}" for one in found]
    return "\n\n".join([*parts, "## The checks", "\n".join(about)]) + "\n"


def rows_of(one: Outcome) -> list[tuple[str, ...]]:
    """The lines of a check in the table."""
    if one.error:
        return [(one.check, one.error.strip().splitlines()[-1], "", "", "failed")]
    if one.left_out:
        return [(one.check, one.left_out, "", "", "left out")]
    words = {True: "met", False: "NOT MET", None: ""}
    return [(one.check, x.name, x.value, x.goal, words[x.met]) for x in one.findings]


if __name__ == "__main__":
    sys.exit(main())
