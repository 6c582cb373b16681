"""The training step on a device, carried out in several ways: its losses, speed and memory.

Losses are those of `fit` on random pictures, in batches and without noise: each device has a
generator of its own, so that noise on a GPU is not that on a CPU. Durations are those of steps
after the first few, which compile and choose algorithms.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import numpy as np
import real
import torch
from device_findings import Finding, Scale, apart, measured, within
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream, torch_seed
from mke_theory.models.segmentation import segmenter
from mke_theory.training.batches import channels_last
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Moment, TrainConfig, fit

EQUAL_STEPS = 20


@dataclass
class Watch:
    """A student's loss that keeps its means, and the clock from step `warm` on."""

    warm: int = 0
    means: list[Tensor] = field(default_factory=list)
    started: float = 0.0

    def __call__(self, model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        if len(self.means) == self.warm:
            self.started = real.clock(batch.target.device)
        losses = real.LOSS(model, batch, stream, moment)
        self.means.append(losses.detach().mean())
        return losses


def pictures(scale: Scale) -> Pool:
    """Pictures of random squares with depth; the class of a square is its first depth, in bins.

    It can be learned, so that losses of later steps differ where gradients do.
    """
    n, side = (8, 16) if scale.small else (128, 224)
    draw = torch.Generator().manual_seed(0)
    x = {}
    for name, channels in real.CHANNELS.items():
        squares = torch.randn(n, channels, side // 8, side // 8, generator=draw)
        x[name] = squares.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    bins = torch.linspace(-2, 2, real.CLASSES - 1)
    return Pool(x, torch.bucketize(x["depth"][:, 0].contiguous(), bins))


def model_of(scale: Scale) -> nn.Module:
    """A segmenter, with the same weights at every call."""
    with torch_seed(0):
        return segmenter(real.CHANNELS, real.CLASSES, width=2 if scale.small else 32)


def losses(scale: Scale, hardware: Hardware, pool: Pool, steps: int = EQUAL_STEPS) -> list[float]:
    """The mean loss of every step."""
    watch = Watch()
    config = TrainConfig(steps=steps, batch_size=4 if scale.small else 8, learning_rate=1e-2)
    fit(model_of(scale), pool, watch, config, seed=0, hardware=hardware)
    return [float(mean) for mean in watch.means]


def speed(scale: Scale, hardware: Hardware, steps: int) -> tuple[float, int | None]:
    """Samples a second of a step on a batch that is on the device, and bytes in use at the most.

    The steps before the clock starts, which compile and choose algorithms, do not count.
    """
    pool, batch = pictures(scale), 4 if scale.small else 32
    first = pool[slice(0, batch)].to(scale.torch_device)
    resident = real.OnDevice(channels_last(first) if hardware.channels_last else first, len(pool))
    watch, config = Watch(warm=3), TrainConfig(steps=3 + steps, batch_size=batch)
    done = fit(model_of(scale), resident, watch, config, seed=0, hardware=hardware)
    took = real.clock(scale.torch_device) - watch.started
    return steps * batch / took, done.peak_memory


@contextlib.contextmanager
def full_products() -> Iterator[None]:
    """Inside the block convolutions in single precision are not shortened to TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def of_losses(
    how: str, found: Sequence[float], expected: Sequence[float], first: float, most: float
) -> list[Finding]:
    """Two findings: losses may be so far apart at the first step, and so far at any."""
    at_first, at_most = apart(found, expected)
    return [
        within(f"{how}: loss of the first step, relative difference", at_first, first),
        within(f"{how}: losses of {len(found)} steps, largest relative difference", at_most, most),
    ]


def equality(scale: Scale) -> list[Finding]:
    """The losses of a segmenter on the device are those of the CPU.

    AdamW for 20 steps: in double precision, in single without TF32, and as torch does it unasked.
    """
    pool, there = pictures(scale), scale.hardware
    few = pool.rows(torch.arange(min(len(pool), 16)))
    findings = []
    double = Pool({name: x.double() for name, x in few.inputs.items()}, few.labels)
    exact = [replace(on, precision="64-true") for on in (Hardware(), there)]
    on_cpu, found = (losses(scale, on, double) for on in exact)
    findings += of_losses("double", found, on_cpu, 1e-10, 1e-8)
    on_cpu = losses(scale, Hardware(), few)
    with full_products():
        found = losses(scale, there, few)
    findings += of_losses("single, no TF32", found, on_cpu, 1e-5, 1e-3)
    return findings + of_losses("single, default", losses(scale, there, few), on_cpu, 1e-3, 1e-2)


def way(
    scale: Scale, changes: Mapping[str, Any], base: Mapping[str, Any], first: float, most: float
) -> list[Finding]:
    """A way to carry out the step beside another: equal losses, speed and memory."""
    plain, other = (replace(scale.hardware, **x) for x in (base, {**base, **changes}))
    pool, name = pictures(scale), " and ".join(f"{k} {v}" for k, v in changes.items())
    found, expected = (losses(scale, x, pool) for x in (other, plain))
    findings = of_losses(name, found, expected, first, most)
    torch.compiler.reset()  # batches have another size from here on
    steps = 3 if scale.small else 30
    pairs = [(speed(scale, other, steps), speed(scale, plain, steps)) for _ in range(scale.turns)]
    ratios = [new[0] / old[0] for new, old in pairs]
    findings.append(measured(f"{name}: samples/s", [new[0] for new, _ in pairs]))
    findings.append(measured(f"{name}: speed over that without", ratios))
    bytes_ = pairs[-1][0][1], pairs[-1][1][1]
    if scale.device == "cuda" and bytes_[0] and bytes_[1]:
        share = bytes_[0] / bytes_[1]
        findings.append(Finding(f"{name}: memory over that without", f"{share:.2f}", "", None))
    return findings


HALF = {"precision": "bf16-mixed"}


def bf16(scale: Scale) -> list[Finding]:
    """bf16-mixed beside single precision: losses within 5% after 20 steps, speed, memory."""
    return way(scale, HALF, {}, 2e-2, 5e-2)


def channels_last_memory(scale: Scale) -> list[Finding]:
    """Channels side by side in memory, in bf16-mixed: losses, and what it does for speed."""
    return way(scale, {"channels_last": True}, HALF, 2e-2, 5e-2)


def compiled(scale: Scale) -> list[Finding]:
    """The model through torch.compile, in bf16-mixed: losses, and what it does for speed."""
    return way(scale, {"compile": True}, HALF, 2e-2, 5e-2)


# --- reading beside the step ---------------------------------------------------------------------


def pictures_from_disk(scale: Scale, *, compile: bool = False) -> list[Finding]:
    """`benchmarks/real.py`: the step against its floor, and the share of time that it waits."""
    asked = real.Options(scale.device, "bf16-mixed", channels_last=True, compile=compile)
    if scale.small:
        size = {"size": 16, "width": 2, "batch": 2, "pictures": 4, "loader_workers": 1}
        asked = replace(asked, **size, seconds=0.02, turns=2)  # type: ignore[arg-type]
        asked = replace(asked, quick=True)
    else:
        workers = min(8, os.cpu_count() or 1)
        asked = replace(asked, batch=64, seconds=2.0, turns=5, loader_workers=workers)
    hardware = replace(
        scale.hardware,
        precision="bf16-mixed",
        workers=asked.loader_workers,
        channels_last=True,
        compile=compile,
    )
    with tempfile.TemporaryDirectory() as folder:
        turns, work = real.measured(asked, hardware, Path(folder))
    share = real.shares(turns, work, asked)
    waiting = [turn.waiting for turn in turns]
    bound = scale.device == "cuda"
    return [
        measured(
            "floor of the step over the step",
            share,
            f"at least {real.LEAST_SHARE:g}" if bound else "",
            bool(np.median(share) >= real.LEAST_SHARE) if bound else None,
        ),
        measured(
            "share of time spent waiting for samples",
            waiting,
            f"below {real.MOST_WAITING:g}" if bound else "",
            bool(np.median(waiting) < real.MOST_WAITING) if bound else None,
        ),
        measured("step alone, samples/s", [turn.step for turn in turns]),
        measured("reading alone, samples/s", [turn.reading for turn in turns]),
        measured("both, samples/s", [turn.both for turn in turns]),
        measured("matrix product, TFLOP/s", [turn.speed / 1e12 for turn in turns]),
        measured("copy, GB/s", [turn.bandwidth / 1e9 for turn in turns]),
    ]
