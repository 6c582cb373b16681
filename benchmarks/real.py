"""The speed of training on pictures: reading, the step, both at once, and the step's floor.

    python benchmarks/real.py --quick                              under a minute on two cores
    python benchmarks/real.py --device cuda --precision bf16-mixed --channels-last --compile

Pictures with depth lie on disk as bytes, as a real task keeps them (values are drawn at random); a
segmenter learns them with the project's own `fit`. Four things are measured in turns, so that a
busy machine slows all of them:

- reading: batches from disk to the device, as workers deliver them, without a step; the files have
  just been written, so the system may still hold them in memory;
- the step: `fit` on one batch that is on the device already;
- both: `fit` on the pictures; its share of time spent waiting for them, the start of the workers
  counted, should be below 5% on a GPU;
- the machine: a large matrix product in the step's precision, and a large copy.

The floor of a step is the larger of two times: its operations at the speed of the matrix product,
and its bytes at that of the copy. Operations are those of matrix products and convolutions, forward
and backward, as torch counts them. Bytes are the least that has to move: inputs once; what is kept
for the backward pass written and read once; weights read twice, gradients written once, and the
optimiser's three reads beside the gradient and three writes. The step should take at most 1/0.6 of
its floor on a GPU in bf16-mixed.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import tyro
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from mke_theory.data.lazy_arrays import Normalise, Stored
from mke_theory.data.pool import Batch, Pool, Samples
from mke_theory.data.rng import Stream, torch_seed
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.student_loss import student_loss
from mke_theory.method.transforms import Compose
from mke_theory.models.segmentation import segmenter
from mke_theory.training.batches import Plan, Reader, channels_last
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, Moment, TrainConfig, fit

CLASSES = 40
CHANNELS = {"image": 3, "depth": 2}
MOST_WAITING, LEAST_SHARE = 0.05, 0.6
LOSS = student_loss(Objective(pseudo_labels=PseudoLabelTerm(view="clean")), Compose())


@dataclass(frozen=True)
class Options:
    """Measure reading, the step, both, and the floor."""

    device: Literal["cpu", "cuda"] = "cpu"
    """The device to train on."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""
    size: int = 224
    """Pixels along a side of a picture."""
    width: int = 32
    """Channels of the segmenter's first stage."""
    batch: int = 32
    """Samples in a step."""
    pictures: int = 512
    """Samples on disk, each of 8 bytes a pixel."""
    loader_workers: int = 2
    """Processes that read ahead."""
    channels_last: bool = False
    """Keep the channels of pictures side by side in memory."""
    compile: bool = False
    """Run the model through torch.compile."""
    seconds: float = 10.0
    """The least that one measurement takes."""
    turns: int = 7
    """The times that each is measured."""
    quick: bool = False
    """Small pictures, three short turns."""

    def __post_init__(self) -> None:
        for name in ("size", "width", "batch", "turns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if self.pictures < self.batch or self.loader_workers < 0 or self.seconds <= 0:
            raise ValueError(
                f"pictures is {self.pictures} (allowed: {self.batch}, one batch, or more), "
                f"loader_workers is {self.loader_workers} (0 or more), seconds is {self.seconds} "
                "(above 0)"
            )


@dataclass(frozen=True)
class Work:
    """The least work of one step."""

    operations: float
    bytes: float

    def floor(self, speed: float, bandwidth: float) -> float:
        """Seconds, at `speed` operations and `bandwidth` bytes a second."""
        return max(self.operations / speed, self.bytes / bandwidth)


@dataclass(frozen=True)
class Turn:
    """One measurement of everything: samples or units a second, and the share of waiting."""

    reading: float
    step: float
    both: float
    waiting: float
    speed: float
    bandwidth: float


class OnDevice:
    """Samples of which every batch is the same one, on the device already."""

    def __init__(self, batch: Batch, n: int) -> None:
        self.batch, self.n = batch, n

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.batch.inputs)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Batch:
        return self.batch


def main(argv: Sequence[str] | None = None) -> int:
    """Print the machine, the table, and the verdict on the two goals; 2 for a bad call."""
    try:
        options = settled(tyro.cli(Options, args=argv, description=__doc__))
        hardware = Hardware(
            options.device,
            1,
            options.precision,
            workers=options.loader_workers,
            channels_last=options.channels_last,
            compile=options.compile,
        )
        hardware.refuse_absent()
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(machine(options))
    with tempfile.TemporaryDirectory() as folder:
        turns, work = measured(options, hardware, Path(folder))
    print(table(turns, work, options).to_markdown(disable_numparse=True))
    print(verdict(turns, work, options))
    return 0


def settled(options: Options) -> Options:
    """The options, made small where that is asked for."""
    if not options.quick:
        return options
    batch = min(options.batch, 4)
    return replace(
        options,
        size=min(options.size, 32),
        width=min(options.width, 8),
        batch=batch,
        pictures=max(batch, min(options.pictures, 32)),
        seconds=min(options.seconds, 0.5),
        turns=min(options.turns, 3),
    )


def machine(options: Options) -> str:
    """The clock, and the work that it times."""
    where = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if options.device == "cuda":
        where = torch.cuda.get_device_name()
    asked = [n for n in ("channels_last", "compile") if getattr(options, n)]
    return (
        f"torch {torch.__version__}, numpy {np.__version__}, {where}\n"
        f"{options.precision}, {options.size} × {options.size} pixels, width {options.width}, "
        f"batches of {options.batch}, {options.loader_workers} loader workers"
        + "".join(f", {name}" for name in asked)
    )


def pictures(folder: Path, options: Options) -> Pool:
    """Random pictures with depth on disk as bytes and halves, a class for every pixel."""
    n, side = options.pictures, options.size
    draw = np.random.default_rng(0)
    np.save(folder / "image.npy", draw.integers(0, 256, (n, 3, side, side), dtype=np.uint8))
    np.save(folder / "depth.npy", draw.normal(size=(n, 2, side, side)).astype(np.float16))
    mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in CHANNELS}
    image = Stored(mapped["image"], Normalise((124.0, 116.0, 104.0), (58.0, 57.0, 57.0)))
    labels = torch.from_numpy(draw.integers(0, CLASSES, (n, side, side), dtype=np.int8))
    return Pool({"image": image, "depth": Stored(mapped["depth"])}, labels)


def measured(options: Options, hardware: Hardware, folder: Path) -> tuple[list[Turn], Work]:
    """All turns, after one round that warms up and is not counted; and the work of a step."""
    pool, fabric = pictures(folder, options), hardware.fabric()
    with torch_seed(0):
        model = segmenter(CHANNELS, CLASSES, width=options.width)
    model.to(fabric.device)
    first = pool[slice(0, options.batch)].to(fabric.device)
    resident = OnDevice(channels_last(first) if options.channels_last else first, options.pictures)
    work = work_of(model, first, fabric)

    def trained(samples: Samples, steps: int, on: Hardware) -> Fit:
        config = TrainConfig(steps=steps, batch_size=options.batch)
        return fit(model, samples, LOSS, config, seed=0, hardware=on)

    def seconds(steps: int) -> float:
        took = trained(resident, steps, without).seconds
        assert took is not None  # at least one step was taken
        return took

    without = replace(hardware, workers=0)  # what is on the device is not for workers to read
    seconds(3)
    steps = max(3, round(options.seconds / (seconds(3) / 3)))
    turns = []
    for _ in range(options.turns):
        alone, both = trained(resident, steps, without), trained(pool, steps, hardware)
        assert alone.samples_per_second and both.samples_per_second and both.waiting is not None
        turns.append(
            Turn(
                read_alone(pool, options, hardware, fabric.device),
                alone.samples_per_second,
                both.samples_per_second,
                both.waiting,
                speed_of(options, fabric.device),
                bandwidth_of(options, fabric.device),
            )
        )
    return turns, work


def read_alone(pool: Pool, options: Options, hardware: Hardware, device: torch.device) -> float:
    """Samples a second from disk to the device, the start of the workers not counted."""
    plan = Plan(len(pool), options.batch, 0)
    reader = Reader(pool, plan, range(10**9), hardware, device)
    try:
        reader.next()
        return rate(lambda: len(reader.next()), options.seconds, device)
    finally:
        reader.close()


def speed_of(options: Options, device: torch.device) -> float:
    """Operations a second of a large matrix product in the precision of the step."""
    side = 8192 if device.type == "cuda" else 512 if options.quick else 2048
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(options.precision)
    a, b = (torch.randn(side, side, device=device, dtype=kind or torch.float32) for _ in "ab")
    found = torch.empty_like(a)
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, which convolutions use unasked

    def product() -> int:
        torch.mm(a, b, out=found)
        return 2 * side**3

    try:
        product()
        return rate(product, options.seconds / 5, device)
    finally:
        torch.set_float32_matmul_precision(before)


def bandwidth_of(options: Options, device: torch.device) -> float:
    """Bytes a second, read and written, of a large copy."""
    size = 2**30 if device.type == "cuda" else 2**25 if options.quick else 2**28
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> int:
        target.copy_(source)
        return 2 * size

    copy()
    return rate(copy, options.seconds / 5, device)


def rate(work: Callable[[], int], seconds: float, device: torch.device) -> float:
    """Units a second of work that says how many it has done."""
    done, started, now = 0, clock(device), 0.0
    while now < seconds:
        for _ in range(10):  # a look at the clock of a GPU waits for it
            done += work()
        now = clock(device) - started
    return done / now


def clock(device: torch.device) -> float:
    """Seconds, once the device has done all work that waits for it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def work_of(model: nn.Module, batch: Batch, fabric: Any) -> Work:
    """The least work of a step on the batch (see above)."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    given = {x.untyped_storage().data_ptr() for x in batch.inputs.values()}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own | given:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda x: x):
        with fabric.autocast():
            values = LOSS(model, batch, Stream(0, device=batch.target.device), Moment())
        values.sum().backward()
    model.zero_grad(set_to_none=True)
    moved = sum(x.numel() * x.element_size() for x in [*batch.inputs.values(), batch.target])
    of_weights = sum(weight.numel() * weight.element_size() for weight in weights)
    # Twice read, gradient written; then weight, gradient and two averages read, all but it written.
    return Work(counter.get_total_flops(), moved + 2 * sum(kept.values()) + 10 * of_weights)


def table(turns: Sequence[Turn], work: Work, options: Options) -> pd.DataFrame:
    """A row for each measurement: median, quartiles and number of turns."""
    rows = {
        "reading alone, samples/s": [turn.reading for turn in turns],
        "step alone, samples/s": [turn.step for turn in turns],
        "both, samples/s": [turn.both for turn in turns],
        "waiting for samples, % of both": [100 * turn.waiting for turn in turns],
        "step, ms": [1000 * options.batch / turn.step for turn in turns],
        "floor of the step, ms": [1000 * work.floor(t.speed, t.bandwidth) for t in turns],
        "floor / step, %": [100 * share for share in shares(turns, work, options)],
        "matrix product, GFLOP/s": [turn.speed / 1e9 for turn in turns],
        "copy, GB/s": [turn.bandwidth / 1e9 for turn in turns],
    }
    cells = {
        name: [f"{np.median(values):.4g}", quartiles(values), str(len(values))]
        for name, values in rows.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index", columns=["median", "quartiles", "n"])


def quartiles(values: Sequence[float]) -> str:
    """The first and the third."""
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{low:.4g} to {high:.4g}"


def shares(turns: Sequence[Turn], work: Work, options: Options) -> list[float]:
    """The floor over the step, turn by turn, at the speeds of the same turn."""
    return [work.floor(t.speed, t.bandwidth) * t.step / options.batch for t in turns]


def verdict(turns: Sequence[Turn], work: Work, options: Options) -> str:
    """The work of a step, and the two goals, which are goals for a GPU."""
    waiting = float(np.median([turn.waiting for turn in turns]))
    share = float(np.median(shares(turns, work, options)))
    speed = float(np.median([turn.speed for turn in turns]))
    bandwidth = float(np.median([turn.bandwidth for turn in turns]))
    bound = "operations" if work.operations / speed > work.bytes / bandwidth else "bytes"
    lines = [
        f"A step has {work.operations / 1e9:.4g} GFLOP and moves {work.bytes / 1e9:.4g} GB; its "
        f"floor is that of its {bound}."
    ]
    if options.device != "cuda":
        return f"{lines[0]}\nThe goals (waiting, and floor over step) are for a GPU."
    for name, met in (
        (f"waiting {100 * waiting:.1f}% (goal: below {MOST_WAITING:.0%})", waiting < MOST_WAITING),
        (f"floor / step {share:.0%} (goal: {LEAST_SHARE:.0%} or more)", share >= LEAST_SHARE),
    ):
        lines.append(f"{name}: {'met' if met else 'not met'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
