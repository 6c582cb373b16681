"""How long a student takes in a stack, against one at a time.

    python benchmarks/ensemble.py --quick      under a minute
    python benchmarks/ensemble.py              some minutes: more students, and every core at once

The protocol is that of TwoMoon: 270 samples, 2,000 full-batch steps, two hidden layers of 16, noise
on the input. Four ways to train the same students, all on one thread:

- the published style of loop: one model, torch.optim.SGD, noise and gradient of every step in turn;
- the project's single `fit`, which also resumes, selects and runs on several devices;
- torch.func as it is, `vmap` of the gradient called at every step, in a stack of 64;
- `side_by_side`, in stacks of 4 to 4,096: tracing, drawing of noise and writing back included.

Loop and best stack take turns, so that a busy machine slows both. Without `--quick` they also run
on every core at once, a process each. The last line is the ratio of their medians.
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
from mke_theory.method.job import TrainingJob, fit_alone
from mke_theory.method.student_loss import loss_on
from mke_theory.models import MultimodalModel, coordinates
from mke_theory.study.arm_setup import student_to_be
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.records import write_atomic
from mke_theory.study.runner import Place, train_teacher
from mke_theory.study.study import available_cores
from mke_theory.tasks.toy.twomoon import TwoMoonPublished
from mke_theory.training.loop import Moment
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import side_by_side

STEPS = 2000
SIZES = (4, 16, 64, 128, 256, 1024, 4096)


@dataclass(frozen=True)
class Options:
    """Compare the ways to train many students."""

    quick: bool = False
    """Fewer students and repetitions."""
    write: Path | None = None
    """Also write the figures as a table in Markdown to this file."""
    device: str = "cpu"
    """Where the stacks are trained; the loop stays on one thread of the processor."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; the last line is the ratio."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    torch.set_num_threads(1)
    where = f"torch {torch.__version__}, numpy {np.__version__}, {platform.machine()}"
    print(f"{where}, one thread")
    problem, ready = protocol()
    singles = [
        seconds(lambda: fit_alone(fresh(ready, 0))) for _ in range(2 if options.quick else 5)
    ]
    print(f"single fit of the project, {len(singles)} times: {spread(singles)} s a student")
    mapped = [of_vmap(ready, 64, 40 if options.quick else 100) for _ in range(3)]
    print(f"vmap at every step, stack of 64, 3 times: {spread(mapped)} s a student")
    table = pd.DataFrame([of_stack(ready, size, options) for size in SIZES])
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4f}"))
    tried = table[table["stack"] <= 128] if options.quick else table
    best = int(table.loc[tried["s a student"].idxmin(), "stack"])
    print(f"best stack: {best}")

    turns, each = (3, 4) if options.quick else (7, 12)
    loops: list[float] = []
    stacks: list[float] = []
    looped: list[nn.Module] = []
    for turn in range(turns):
        time_a_loop, models = timed_loop(ready, each, first=1000 + turn * each)
        time_a_stack, students = timed_stack(ready, best, options.device)
        loops.append(time_a_loop)
        stacks.append(time_a_stack)
        looped += models
    print(f"loop, {turns} × {each} students of {STEPS} steps: {spread(loops)} s a student")
    print(f"stack of {best}, {turns} times: {spread(stacks)} s a student")
    accuracy = compare(problem, looped, [student.model for student in students])
    print(accuracy)
    if options.quick:
        print("(few students on the side of the loop: the whole benchmark compares more)")
    else:
        print(on_every_core(ready, best))
    if options.write is not None:
        ways = {
            "published style of loop": loops,
            "`fit`, one student": singles,
            "`vmap` at every step, 64": mapped,
            f"`side_by_side`, {best}": stacks,
        }
        write_atomic(options.write, markdown(ways, table, f"{accuracy[0].upper()}{accuracy[1:]}."))
    print(f"speedup: {np.median(loops) / np.median(stacks):.1f}")
    return 0


def markdown(ways: dict[str, list[float]], table: pd.DataFrame, note: str) -> str:
    """The figures as tables: ways beside the loop, then stacks by size."""
    base = float(np.median(ways["published style of loop"]))
    rows = {
        name: {
            "s a student": spread(values),
            "times": len(values),
            "loop's time over it": f"{base / float(np.median(values)):.1f}",
        }
        for name, values in ways.items()
    }
    stacks = table.set_index("stack").map(lambda x: f"{x:.4f}")
    return (
        f"{pd.DataFrame(rows).T.to_markdown(disable_numparse=True)}\n\n{note}\n\n"
        f"{stacks.to_markdown(disable_numparse=True)}\n"
    )


def protocol() -> tuple[Problem, TrainingJob]:
    """The published draw of TwoMoon, and its MM student before training."""
    task = TwoMoonPublished()
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, Place()).model
    ready, _ = student_to_be(task, MM_STUDENT, 0, problem, teacher)
    return problem, ready


def fresh(ready: TrainingJob, seed: int) -> TrainingJob:
    """The same lessons for a student with weights and noise of its own."""
    with torch_seed(seed):
        model = coordinates({"x1": (1,), "x2": (1,)}, 2, hidden=(16, 16))
    return replace(ready, model=model, seed=seed)


def loop(model: nn.Module, ready: TrainingJob, steps: int = STEPS) -> None:
    """The published style: noise, loss, gradient, update, one model at a time."""
    x, labels = stacked(ready.samples)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.SGD(net.parameters(), lr=ready.config.learning_rate)
    criterion = nn.CrossEntropyLoss()
    for _ in range(steps):
        optimizer.zero_grad()
        noisy = x + torch.mean(torch.abs(x)) * torch.randn(x.shape)
        criterion(net(noisy), labels).backward()
        optimizer.step()


def stacked(pool: Pool) -> tuple[Tensor, Tensor]:
    """All coordinates side by side, and the labels."""
    return torch.cat(list(pool.inputs.values()), dim=1), pool.labels


def of_stack(ready: TrainingJob, size: int, options: Options) -> dict[str, float]:
    """Seconds a student and 2,000 steps: what a step costs, and what every stack costs once."""
    few, many, repeats = (4, 12, 1) if size > 256 else (50, 150, 2)
    if not options.quick:
        many, repeats = 2 * many, 3 * repeats

    students = [fresh(ready, i) for i in range(size)]

    def train(steps: int) -> float:
        config = replace(ready.config, steps=steps)
        taught = [replace(student, config=config) for student in students]
        return seconds(
            lambda: side_by_side(taught, draws="shared", size=size, device=options.device)
        )

    # The least of some: what else the machine does can only add.
    short, long = (min(train(steps) for _ in range(repeats)) for steps in (few, many))
    a_step = max(long - short, 0.0) / (many - few)
    once = max(short - few * a_step, 0.0)
    whole = once + STEPS * a_step
    return {
        "stack": size,
        "s a student": whole / size,
        "of it steps": STEPS * a_step / size,
        "µs a step": 1e6 * a_step / size,
    }


class Fresh(Stream):
    """Noise from torch's own generator, which vmap draws anew for every student."""

    def normal(self, like: Tensor) -> Tensor:
        return torch.randn_like(like)


def of_vmap(ready: TrainingJob, size: int, steps: int) -> float:
    """Seconds a student and 2,000 steps where vmap of the gradient is called at every step."""
    students = [fresh(ready, i) for i in range(size)]
    template = copy.deepcopy(ready.model).train()
    for module in template.modules():
        if isinstance(module, MultimodalModel):
            module.inspects = False
    stacks, _ = stack_module_state([student.model for student in students])
    weights = {name: weight.detach() for name, weight in stacks.items()}
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
    return seconds(train) * STEPS / steps / size


def compare(problem: Problem, looped: list[nn.Module], trained: list[nn.Module]) -> str:
    """Whether loop and stack make students of the same accuracy: Welch's interval, 95%."""
    accuracy = [
        np.array([accuracy_of(model, problem.test) for model in models])
        for models in (looped, trained)
    ]
    test = scipy_stats.ttest_ind(*accuracy, equal_var=False)
    low, high = (100 * x for x in test.confidence_interval())
    means = [f"{100 * a.mean():.2f} ± {100 * a.std(ddof=1):.2f} ({len(a)})" for a in accuracy]
    return (
        f"test accuracy in %, mean ± sd (students): loop {means[0]}, stack {means[1]}; "
        f"difference [{low:.2f}, {high:.2f}] points"
    )


def accuracy_of(model: nn.Module, pool: Pool) -> float:
    """The share of the pool that the model gets right."""
    return float(accuracy(predict(model, pool).argmax(dim=1), pool.labels))


def on_every_core(ready: TrainingJob, best: int) -> str:
    """Loop and stack again, as many processes at once as there are cores."""
    cores = available_cores()
    workers = Parallel(n_jobs=cores)
    loops = [took for took, _ in workers(delayed(timed_loop)(ready, 8) for _ in range(cores))]
    stacks = [took for took, _ in workers(delayed(timed_stack)(ready, best) for _ in range(cores))]
    return (
        f"{cores} processes at once, a core each: loop {spread(loops)}, stack {spread(stacks)} s a "
        f"student and core; ratio {np.median(loops) / np.median(stacks):.1f}"
    )


def timed_loop(ready: TrainingJob, count: int, first: int = 0) -> tuple[float, list[nn.Module]]:
    """Seconds a student of the loop, on one thread, and the students."""
    torch.set_num_threads(1)
    models = [fresh(ready, first + i).model for i in range(count)]

    def train() -> None:
        for model in models:
            loop(model, ready)

    return seconds(train) / count, models


def timed_stack(
    ready: TrainingJob, size: int, device: str = "cpu"
) -> tuple[float, list[TrainingJob]]:
    """Seconds a student of the stack, on one thread, and the students."""
    torch.set_num_threads(1)
    students = [fresh(ready, i) for i in range(size)]
    took = seconds(lambda: side_by_side(students, draws="shared", size=size, device=device))
    return took / size, students


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spread(values: Sequence[float]) -> str:
    """Median, with the range behind it."""
    return f"{np.median(values):.4f} [{min(values):.4f}, {max(values):.4f}]"


if __name__ == "__main__":
    sys.exit(main())
