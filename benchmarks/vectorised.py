"""The time of a training job beside others, against one at a time.

    python benchmarks/vectorised.py --quick      about a minute on an idle machine
    python benchmarks/vectorised.py              some minutes: more jobs and turns, and every core

The protocol is that of TwoMoon: 270 samples, 2,000 full-batch steps, two hidden layers of 16, noise
on the input. Four ways to train the same jobs, all on one thread:

- the published style of loop: one model, torch.optim.SGD, noise and gradient of every step in turn;
- the project's single loop, `one_by_one`;
- torch.func as it is, `vmap` of the gradient called at every step, for 64 jobs;
- `side_by_side`, some jobs at a time, with shared and with own noise: writing the step down and
  back included.

Seconds are those of the processor, and loop and `side_by_side` take turns, so that a busy machine
slows both; their ratio is the median of the turns'. A second table tells where training side by
side pays: five jobs of a network with two modalities, by its width and batch, and of one with
convolutions. The last line is the ratio.
"""

from __future__ import annotations

import copy
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from joblib import Parallel, delayed
from scipy import stats as scipy_stats
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import Stream, torch_seed
from mke_theory.evaluation.account import accuracy
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Objective
from mke_theory.method.student_loss import loss_on
from mke_theory.method.transforms import InputNoise
from mke_theory.models import MLP, ConvEncoder, MultimodalModel, coordinates, multimodal
from mke_theory.study.processes import available_cores
from mke_theory.study.records import write_atomic
from mke_theory.tasks.toy.twomoon import TwoMoonPublished
from mke_theory.training.loop import Fit, Moment, TrainConfig
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import Draws, side_by_side
from mke_theory.training.vectorised.kernels import products_chosen

STEPS = 2000
DRAWS: tuple[Draws, ...] = ("shared", "own")
SIZES = (4, 16, 32, 64, 128, 256)
SHAPES = ((16, 128), (64, 64), (64, 512), (256, 64), (256, 512), (1024, 64))
"""Widths and batches of the networks with two modalities."""
SIDES = (28, 56, 112)
"""Pixels a side of the pictures that networks with convolutions read."""


@dataclass(frozen=True)
class Options:
    """Compare the ways to train many jobs."""

    quick: bool = False
    """Fewer jobs and turns."""
    write: Path | None = None
    """Also write the figures as tables in Markdown to this file."""
    device: str = "cpu"
    """The device of `side_by_side`; the loop stays on one thread of the processor."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; the last line is the ratio."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    torch.set_num_threads(1)
    where = f"{processor()}, torch {torch.__version__}, numpy {np.__version__}, one thread"
    print(where)
    problem, ready = protocol()
    timed(replace(ready, config=replace(ready.config, steps=2)), 2, "own", device=options.device)
    by_size = table_of_sizes(ready, options)
    print(by_size.to_markdown(index=False, disable_numparse=True))
    turns = [turn(ready, i, options) for i in range(3 if options.quick else 9)]
    ways = table_of_ways(ready, turns, options)
    print(ways.to_markdown(disable_numparse=True))
    print(f"products of small matrices, by library chosen: {dict(products_chosen())}")
    note = compare(problem, *zip(*[(one.looped, one.trained) for one in turns], strict=True))
    print(note)
    pays = table_of_shapes(options)
    print(pays.to_markdown(index=False, disable_numparse=True))
    if not options.quick:
        print(on_every_core(ready))
    if options.write is not None:
        tables = [ways.to_markdown(disable_numparse=True)]
        tables += [x.to_markdown(index=False, disable_numparse=True) for x in (by_size, pays)]
        write_atomic(options.write, "\n\n".join([f"{where}.", tables[0], note, *tables[1:]]) + "\n")
    print(f"speedup: {np.median([one.ratio for one in turns]):.1f}")
    return 0


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def protocol() -> tuple[Problem, TrainingJob]:
    """The published draw of TwoMoon, and a job on its points and true labels."""
    task = TwoMoonPublished()
    problem = task.problem(0)
    samples = problem.unlabelled.with_labels(problem.truth.labels)
    model = task.model(problem, problem.modalities)
    return problem, TrainingJob(model, samples, task.recipe.objective, task.recipe.student, 0)


def fresh(ready: TrainingJob, seed: int) -> TrainingJob:
    """The same job with weights and noise of its own."""
    with torch_seed(seed):
        model = coordinates({"x1": (1,), "x2": (1,)}, 2, hidden=(16, 16))
    return replace(ready, model=model, seed=seed)


@dataclass(frozen=True)
class Turn:
    """Seconds a job of loop and `side_by_side`, taken one after the other, and their models."""

    loop: float
    vectorised: float
    looped: Sequence[nn.Module]
    trained: Sequence[nn.Module]

    @property
    def ratio(self) -> float:
        """The loop's time over that of `side_by_side`."""
        return self.loop / self.vectorised


def turn(ready: TrainingJob, number: int, options: Options) -> Turn:
    """Some jobs by the loop, and more than the cache holds side by side."""
    few, many = (2, 128) if options.quick else (12, 256)
    loop, looped = timed_loop(ready, few, first=1000 + number * few)
    took, trained = timed(ready, many, "shared", device=options.device)
    return Turn(loop, took, looped, trained)


def table_of_ways(ready: TrainingJob, turns: Sequence[Turn], options: Options) -> pd.DataFrame:
    """Each way's seconds a job, and the loop's time over it."""
    few = 1 if options.quick else 5
    singles = [seconds(lambda: one_by_one([fresh(ready, 0)])) for _ in range(few)]
    mapped = [of_vmap(ready, 64, 40 if options.quick else 100) for _ in range(few)]
    count = len(turns[0].trained)
    own = [timed(ready, count, "own", device=options.device)[0] for _ in range(few)]
    loops = [one.loop for one in turns]
    base = float(np.median(loops))
    ways = {
        "published style of loop": (loops, [1.0]),
        "`one_by_one`": (singles, [base / x for x in singles]),
        "`vmap` at every step, 64 jobs": (mapped, [base / x for x in mapped]),
        f"`side_by_side`, own noise, {count} jobs": (own, [base / x for x in own]),
        f"`side_by_side`, shared noise, {count} jobs": (
            [one.vectorised for one in turns],
            [one.ratio for one in turns],
        ),
    }
    rows = {
        name: {
            "s a job": spread(values),
            "times": str(len(values)),
            "loop's time over it": f"{np.median(ratios):.1f}",
        }
        for name, (values, ratios) in ways.items()
    }
    return pd.DataFrame(rows).T


def table_of_sizes(ready: TrainingJob, options: Options) -> pd.DataFrame:
    """Seconds a job by how many take a step together; the default is what the cache holds."""
    rows = []
    for size in (*SIZES[: 2 if options.quick else None], None):
        jobs = size or 128
        repeats = range(1 if options.quick else 3)
        shared, own = (
            min(timed(ready, jobs, draws, size=size, device=options.device)[0] for _ in repeats)
            for draws in DRAWS
        )
        rows.append(
            {
                "jobs at a time": str(size or "default"),
                "jobs": str(jobs),
                "s a job, shared noise": f"{shared:.4f}",
                "s a job, own noise": f"{own:.4f}",
                "own / shared": f"{own / shared:.2f}",
            }
        )
    return pd.DataFrame(rows)


def table_of_shapes(options: Options) -> pd.DataFrame:
    """Five jobs alone and side by side: milliseconds a step and job, and what is spent once."""
    shapes = SHAPES[:2] if options.quick else SHAPES
    jobs = [(f"MLP, width {w}, batch {b}", mlp_jobs(w, b)) for w, b in shapes]
    sides = SIDES[:1] if options.quick else SIDES
    jobs += [
        (f"convolutions, {side} × {side}, batch 48", convolutional_jobs(side)) for side in sides
    ]
    rows = []
    for name, ready in jobs:
        _, alone = once_and_a_step(ready[:1], one_by_one, options)
        once, together = once_and_a_step(ready, side_by_side, options)
        rows.append(
            {
                "five jobs": name,
                "weights": str(sum(x.numel() for x in ready[0].model.parameters())),
                "ms alone": f"{1e3 * alone:.3f}",
                "ms side by side": f"{1e3 * together / len(ready):.3f}",
                "ratio": f"{alone * len(ready) / together:.1f}",
                "once, ms": f"{1e3 * once:.0f}",
            }
        )
    return pd.DataFrame(rows)


def once_and_a_step(
    jobs: Sequence[TrainingJob], trainer: Callable[..., Any], options: Options
) -> tuple[float, float]:
    """Seconds that jobs take once, and at each step of all of them: the least of some runs."""

    def took(steps: int) -> float:
        config = replace(jobs[0].config, steps=steps)
        own = [replace(job, model=copy.deepcopy(job.model), config=config) for job in jobs]
        return seconds(lambda: trainer(own))

    took(2)
    steps = 4
    while (short := took(steps)) < (0.1 if options.quick else 0.2):
        steps *= 2
    repeats = 2 if options.quick else 4
    short = min(short, *(took(steps) for _ in range(repeats)))
    long = min(took(4 * steps) for _ in range(repeats))
    a_step = max(long - short, 1e-9) / (3 * steps)
    return max(short - steps * a_step, 0.0), a_step


def mlp_jobs(width: int, batch: int) -> list[TrainingJob]:
    """Networks with a hidden layer for each of two modalities and one for both."""
    draw = torch.Generator().manual_seed(0)
    x = {name: torch.randn(1024, 64, generator=draw) for name in ("a", "b")}
    pool = Pool(x, torch.randint(0, 10, (1024,), generator=draw))

    def model() -> nn.Module:
        encoders = {name: MLP([64, width], activate=True) for name in x}
        return multimodal(encoders, 10, hidden=(width,))

    return jobs_on(pool, model, batch)


def convolutional_jobs(side: int) -> list[TrainingJob]:
    """Networks like those for spoken and written digits, on pictures of so many pixels a side."""
    draw = torch.Generator().manual_seed(0)
    x = {name: torch.randn(256, 1, side, side, generator=draw) for name in ("a", "b")}
    pool = Pool(x, torch.randint(0, 10, (256,), generator=draw))

    def model() -> nn.Module:
        encoders = {name: ConvEncoder((1, side, side), strides=(4, 2)) for name in x}
        return multimodal(encoders, 10)

    return jobs_on(pool, model, 48)


def jobs_on(pool: Pool, model: Callable[[], nn.Module], batch: int) -> list[TrainingJob]:
    """Five jobs with AdamW and noise on the input."""
    jobs = []
    for seed in range(5):
        with torch_seed(seed):
            made = model()
        objective = Objective(transform=(InputNoise(0.5),))
        jobs.append(TrainingJob(made, pool, objective, TrainConfig(2, batch), seed))
    return jobs


def loop(model: nn.Module, ready: TrainingJob, steps: int = STEPS) -> None:
    """The published style: noise, loss, gradient, update, one model at a time."""
    x, labels = torch.cat(list(ready.samples.inputs.values()), dim=1), ready.samples.labels
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.SGD(net.parameters(), lr=ready.config.learning_rate)
    criterion = nn.CrossEntropyLoss()
    for _ in range(steps):
        optimizer.zero_grad()
        noisy = x + torch.mean(torch.abs(x)) * torch.randn(x.shape)
        criterion(net(noisy), labels).backward()
        optimizer.step()


class Fresh(Stream):
    """Noise from torch's own generator, which vmap draws anew for every job."""

    def normal(self, like: Tensor) -> Tensor:
        return torch.randn_like(like)


def of_vmap(ready: TrainingJob, count: int, steps: int) -> float:
    """Seconds a job and 2,000 steps where vmap of the gradient is called at every step."""
    jobs = [fresh(ready, i) for i in range(count)]
    template = copy.deepcopy(ready.model).train()
    for module in template.modules():
        if isinstance(module, MultimodalModel):
            module.inspects = False
    states, _ = stack_module_state([job.model for job in jobs])
    weights = {name: weight.detach() for name, weight in states.items()}
    loss = loss_on(ready.objective, ready.samples)
    batch, stream, moment = ready.samples[:], Fresh(0), Moment()

    def of_one(weights: dict[str, Tensor]) -> Tensor:
        def model(*given: Any) -> Tensor:
            return functional_call(template, weights, given)

        return loss(model, batch, stream, moment).mean()  # type: ignore[arg-type]

    step = vmap(grad(of_one), randomness="different")

    def train() -> None:
        for _ in range(steps):
            for name, gradient in step(weights).items():
                weights[name].sub_(gradient, alpha=ready.config.learning_rate)

    step(weights)
    return seconds(train) * STEPS / steps / count


def compare(
    problem: Problem, looped: Sequence[Sequence[nn.Module]], trained: Sequence[Sequence[nn.Module]]
) -> str:
    """Test accuracy of both ways, and Welch's 95% interval of the difference.

    Models of later turns side by side are those of the first.
    """
    accuracy = [
        np.array([accuracy_of(model, problem.test) for model in models])
        for models in ([model for models in looped for model in models], trained[0])
    ]
    test = scipy_stats.ttest_ind(*accuracy, equal_var=False)
    low, high = (100 * x for x in test.confidence_interval())
    means = [f"{100 * a.mean():.2f} ± {100 * a.std(ddof=1):.2f} ({len(a)})" for a in accuracy]
    return (
        f"Test accuracy in %, mean ± sd (jobs): loop {means[0]}, side by side {means[1]}; "
        f"difference [{low:.2f}, {high:.2f}] points."
    )


def accuracy_of(model: nn.Module, pool: Pool) -> float:
    """The share of the pool that the model gets right."""
    return float(accuracy(predict(model, pool).argmax(dim=1), pool.labels))


def on_every_core(ready: TrainingJob) -> str:
    """Loop and `side_by_side` again, as many processes at once as there are cores."""
    cores = available_cores()
    workers = Parallel(n_jobs=cores)
    loops = [took for took, _ in workers(delayed(timed_loop)(ready, 8) for _ in range(cores))]
    ours = [took for took, _ in workers(delayed(timed)(ready, 256, "shared") for _ in range(cores))]
    return (
        f"{cores} processes at once, a core each: loop {spread(loops)}, side by side "
        f"{spread(ours)} s a job and core; ratio {np.median(loops) / np.median(ours):.1f}"
    )


def timed_loop(ready: TrainingJob, count: int, first: int = 0) -> tuple[float, list[nn.Module]]:
    """Seconds a job of the loop, on one thread, and the models."""
    torch.set_num_threads(1)
    models = [fresh(ready, first + i).model for i in range(count)]

    def train() -> None:
        for model in models:
            loop(model, ready)

    return seconds(train) / count, models


def timed(
    ready: TrainingJob,
    count: int,
    draws: Draws,
    *,
    size: int | None = None,
    device: str = "cpu",
) -> tuple[float, list[nn.Module]]:
    """Seconds a job of `side_by_side`, on one thread, and the models."""
    torch.set_num_threads(1)
    jobs = [fresh(ready, i) for i in range(count)]
    outcomes: list[Any] = []
    took = seconds(
        lambda: outcomes.extend(side_by_side(jobs, draws=draws, size=size, device=device))
    )
    for outcome in outcomes:
        if not isinstance(outcome, Fit):
            raise outcome
    return took / count, [job.model for job in jobs]


def seconds(work: Callable[[], object]) -> float:
    """The seconds of the processor that the work takes; those of the clock where a GPU does it."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    work()
    return clock() - start


def spread(values: Sequence[float]) -> str:
    """Median, with the range behind it."""
    return f"{np.median(values):.4f} [{min(values):.4f}, {max(values):.4f}]"


if __name__ == "__main__":
    sys.exit(main())
