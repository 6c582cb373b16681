"""The checks of a device, by name and in order of worth; `gpu_check.py` runs them.

A check measures on the device it is given and returns findings. Times are taken in turns with what
they are compared with, and stand as median [least, most], n. Small sizes, for a CPU, exercise the
same code and say nothing of a GPU.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import device_steps as steps
import real
import torch
import vectorised
from device_findings import Finding, Scale, apart, measured, within
from torch import Tensor

from mke_theory.data.rng import torch_seed
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.models.efficientnet_lite import EfficientNetLite
from mke_theory.study import records
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit
from mke_theory.training.vectorised.engine import side_by_side

ROOT = Path(__file__).parents[1]


# --- vectorised training -------------------------------------------------------------------------


def vectorised_equal(scale: Scale) -> list[Finding]:
    """Eight of TwoMoon's students side by side on the device have the losses of the plain loop.

    Without noise those of the loop on the CPU, and with it those of the loop on the device.
    """
    _, ready = vectorised.protocol()
    quiet = replace(ready, objective=replace(ready.objective, transform=()))
    findings = []
    for how, job, device in (
        ("without noise, beside the loop on the CPU", quiet, "cpu"),
        ("with noise, beside the loop on the device", ready, scale.device),
    ):
        hardware = Hardware("cuda" if device == "cuda" else "cpu")
        alone = fits(one_by_one(eight(job), hardware=hardware))
        together = fits(side_by_side(eight(job), draws="own", device=scale.device))
        pairs = zip(together, alone, strict=True)
        off = [apart([x for _, x in a.history], [x for _, x in b.history])[1] for a, b in pairs]
        name = f"8 students, losses of 100 steps {how}, relative difference"
        findings.append(within(name, max(off), 1e-4))
    return findings


def eight(ready: TrainingJob) -> list[TrainingJob]:
    """Eight jobs like this one, with weights and noise of their own, of 100 steps."""
    config = replace(ready.config, steps=100)
    return [replace(vectorised.fresh(ready, seed), config=config) for seed in range(8)]


def vectorised_students(scale: Scale, count: int) -> list[Finding]:
    """TwoMoon's students side by side on the device, all of their 2,000 steps, noise shared.

    Small: a 250th of the students, 400 steps.
    """
    if scale.small:
        count = count // 250
    short, long = (10, 400) if scale.small else (100, vectorised.STEPS)
    turns = 1 if scale.small or count > 1000 else 3
    _, ready = vectorised.protocol()
    started = time.perf_counter()
    jobs = [vectorised.fresh(ready, seed) for seed in range(count)]
    built = time.perf_counter() - started

    def took(steps: int) -> float:
        part = [replace(job, config=replace(job.config, steps=steps)) for job in jobs]
        began = real.clock(scale.torch_device)
        fits(side_by_side(part, draws="shared", device=scale.device))
        return real.clock(scale.torch_device) - began

    took(short)  # what is compiled and chosen once in a process
    pairs = [(took(short), took(long)) for _ in range(turns)]
    rates = [count * (long - short) / max(b - a, 1e-9) for a, b in pairs]
    whole, name = [b for _, b in pairs], f"{count} students"
    return [
        measured(f"{name}, {long} steps: s, all in all", whole),
        measured(
            f"{name}, {long} steps: ms a student, all in all", [1e3 * x / count for x in whole]
        ),
        measured(f"{name}: steps of students/s, once under way", rates),
        Finding(f"{name}: making them", f"{built:.2f} s, n = 1"),
    ]


def fits(outcomes: Sequence[Fit | Exception]) -> list[Fit]:
    """The fits; raises the first error among them."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Fit)]


# --- features ------------------------------------------------------------------------------------


def features(scale: Scale) -> list[Finding]:
    """EfficientNet-Lite2 with random weights: maps as on the CPU, and pictures a second.

    Pictures are bytes; making them numbers counts.
    """
    with torch_seed(0):
        net = EfficientNetLite("lite2").eval().requires_grad_(False)
    sizes = [(32, 48)] if scale.small else [(240, 320), (480, 640)]
    draw = torch.Generator().manual_seed(0)
    few = torch.randint(0, 256, (2, 3, *sizes[0]), generator=draw, dtype=torch.uint8)
    expected = maps(net, few, None)
    findings = []
    net.to(scale.torch_device)
    with steps.full_products():
        found = maps(net, few.to(scale.torch_device), None)
    findings.append(within("maps in single precision, no TF32", furthest(found, expected), 1e-4))
    found = maps(net, few.to(scale.torch_device), torch.bfloat16)
    findings.append(within("maps in bf16", furthest(found, expected), 1e-1))
    for size in sizes:
        findings += feature_rates(scale, net, size)
    return findings


def maps(net: EfficientNetLite, pictures: Tensor, kind: torch.dtype | None) -> list[Tensor]:
    """The maps of byte pictures, in this precision."""
    with torch.inference_mode(), torch.autocast(pictures.device.type, kind, enabled=bool(kind)):
        scaled = (pictures.float() - 127.0) / 128.0
        return net(scaled.contiguous(memory_format=torch.channels_last))


def furthest(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference in a map over the largest number in it, at the most."""
    pairs = zip(found, expected, strict=True)
    return max(float((x.cpu().float() - y).abs().max() / y.abs().max()) for x, y in pairs)


def feature_rates(scale: Scale, net: EfficientNetLite, size: tuple[int, int]) -> list[Finding]:
    """Pictures a second by precision, from the memory of the host and of the device."""
    batch = 2 if scale.small else 64
    host = torch.zeros(batch, 3, *size, dtype=torch.uint8)
    if scale.device == "cuda":
        host = host.pin_memory()
    device, rows = scale.torch_device, []
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
    for kind, precision in ((None, "single"), (torch.bfloat16, "bf16")):
        for given, place in ((host.to(device), "device"), (host, "host")):

            def work(given: Tensor = given, kind: torch.dtype | None = kind) -> int:
                maps(net, given.to(device, non_blocking=True), kind)
                return batch

            work()
            seconds = 0.02 if scale.small else 0.5
            rates = [real.rate(work, seconds, device) for _ in range(scale.turns)]
            name = f"{size[0]} × {size[1]}, {precision}, from the {place}: pictures/s"
            rows.append(measured(name, rates))
    return rows


# --- other processes -----------------------------------------------------------------------------


def torchrun(scale: Scale) -> list[Finding]:
    """`run_real.py` on digits under torchrun with one process, beside the same call without it."""
    import run_real  # it reads every task, which no other check needs

    learn = 60
    call = ["--tasks", "digits", "--arms", "mm_student", "--seeds", "1", "--theory", "0"]
    call += ["--device", scale.device, "--precision", "64-true", "--workers", "1", "--one-by-one"]
    call += ["--set", *(f"digits.recipe.{who}.steps={learn}" for who in ("teacher", "student"))]
    with tempfile.TemporaryDirectory() as folder:
        out = [Path(folder) / name for name in ("alone", "torchrun")]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            if run_real.main([*call, "--out", str(out[0])]) != 0:
                raise RuntimeError(f"run_real.py alone: {said.getvalue()[-2000:]}")
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1"]
        command += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
        script = str(ROOT / "experiments" / "run_real.py")
        started = time.perf_counter()
        completed([*command, script, *call, "--out", str(out[1])])
        took = time.perf_counter() - started
        one, other = ({r.arm: r for r in records.read(path)} for path in out)
    if set(one) != set(other) or len(one) != 2:
        raise RuntimeError(f"arms are {sorted(one)} alone and {sorted(other)} under torchrun")
    off = max(
        apart(*([x for _, x in side[arm].history] for side in (other, one)))[1] for arm in one
    )
    return [
        within("torchrun, one process: losses beside those without it", off, 1e-8),
        measured("torchrun, one process: s, all in all", [took]),
    ]


def marked_tests(scale: Scale) -> list[Finding]:
    """The package's own tests that need a GPU: `pytest -m gpu`."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
    files = [str(p) for p in sorted((ROOT / "tests").rglob("test_*.py")) if marked(p)]
    said = completed([*command, *files], codes=(0, 1))
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error|skipped)", said)}
    bad = counts.get("failed", 0) + counts.get("error", 0)
    passed = counts.get("passed", 0)
    value = ", ".join(f"{n} {word}" for word, n in counts.items()) or "none ran"
    names = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return [
        Finding("tests marked gpu", "; ".join([value, *names]), "all pass", not bad and passed > 0)
    ]


def marked(path: Path) -> bool:
    """True for a file of tests some of which need a GPU."""
    return "@pytest.mark.gpu" in path.read_text(encoding="utf-8")


def completed(command: Sequence[str], codes: Sequence[int] = (0,)) -> str:
    """The output of a command; RuntimeError with the end of it where its exit code is another."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode not in codes:
        end = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{' '.join(command[:4])} …: exit code {done.returncode}\n{end}")
    return done.stdout


@dataclass(frozen=True)
class Check:
    """A check, the seconds that it is likely to take at full size, and the most it may take.

    Both are guesses, as none has been run on a GPU; a small check has the same limit.
    """

    run: Callable[[Scale], list[Finding]]
    seconds: float
    most: float
    only_cuda: bool = False

    @property
    def about(self) -> str:
        """The subject of the check, in the words of its function."""
        function = self.run.func if isinstance(self.run, partial) else self.run
        return " ".join((function.__doc__ or "").split())


CHECKS: dict[str, Check] = {
    "equality": Check(steps.equality, 20, 60),
    "bf16": Check(steps.bf16, 15, 45),
    "features": Check(features, 20, 60),
    "vectorised_equal": Check(vectorised_equal, 10, 45),
    "pictures": Check(steps.pictures_from_disk, 45, 90),
    "vectorised_1000": Check(partial(vectorised_students, count=1000), 30, 90),
    "torchrun": Check(torchrun, 20, 60),
    "channels_last": Check(steps.channels_last_memory, 15, 45),
    "compile": Check(steps.compiled, 45, 120),
    "vectorised_10000": Check(partial(vectorised_students, count=10000), 60, 120),
    "tests": Check(marked_tests, 30, 90, only_cuda=True),
    "pictures_compiled": Check(partial(steps.pictures_from_disk, compile=True), 60, 120),
}
"""By name, in order of worth: what does not fit into the budget is left out, later ones first."""
