"""The time of the single loop over that of a plain loop of torch, for the same steps.

    python benchmarks/loop.py --quick      three turns, about a minute on an idle machine
    python benchmarks/loop.py              eleven turns, some minutes

The protocol is that of TwoMoon as published: full batches of 30 (teacher) or 270 samples, two
hidden layers of 32 (one modality) or 16 (two). Three ways to take the same number of steps, all on
one thread of the processor:

- the published style of loop: bare layers on one matrix of all modalities, one draw of noise a
  step, torch's cross-entropy and optimiser, and nothing else;
- the same loop of torch around this project's model, which takes a dictionary of modalities;
- `one_by_one`, as studies call it: seeds by step, checkpoints every 1,000 steps, a progress bar,
  a look at loss and weights every 50 steps.

The ways take turns, so that a busy machine slows all of them; a ratio is that of one turn, and the
table has the median of the turns with their range. Seconds are those of the processor. Without
noise the first and the last way end with the same weights to the last bit, which is checked.
"""

from __future__ import annotations

import contextlib
import copy
import io
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from torch import Tensor, nn

from mke_theory.data.rng import torch_seed
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Consistency, Objective, PseudoLabelTerm
from mke_theory.tasks.toy.twomoon import TwoMoonPublished
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.loop import Fit, TrainConfig

STUDENT = "MM student"
"""The row whose ratio is the last line."""


@dataclass(frozen=True)
class Options:
    """Compare the single loop with plain loops of torch."""

    quick: bool = False
    """Three turns instead of eleven."""
    steps: int = 2000
    """Steps of every run; a few hundred are too few to be trusted."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it has to be at least 1")


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table; the last line is the ratio of the MM student."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    torch.set_num_threads(1)
    turns = 3 if options.quick else 11
    print(f"torch {torch.__version__}, one thread, {options.steps} steps, {turns} turns")
    rows: dict[str, dict[str, str]] = {}
    for name, job in jobs(options.steps).items():
        taken = [turn(job) for _ in range(turns + 1)][1:]  # the first one warms up
        rows[name] = row(taken)
    print(pd.DataFrame(rows).T.to_markdown(disable_numparse=True))
    exact = ends_alike(jobs(options.steps)["teacher"])
    print(f"weights of the teacher, published loop and fit: {'equal' if exact else 'NOT equal'}")
    print(f"fit / published loop, {STUDENT}: {rows[STUDENT]['fit / published']}")
    return 0 if exact else 1


def jobs(steps: int) -> dict[str, TrainingJob]:
    """The teacher and students of TwoMoon; the labels to be learned are the true ones."""
    task = TwoMoonPublished()
    problem = task.problem(0)
    pairs = problem.unlabelled.with_labels(problem.truth.labels)
    sgd = TrainConfig(steps, optimizer="sgd", learning_rate=0.01)
    noisy = task.recipe.objective

    def job(modalities: tuple[str, ...], objective: Objective, config: TrainConfig) -> TrainingJob:
        with torch_seed(0):
            model = task.model(problem, modalities)
        return TrainingJob(model, pairs.only(modalities), objective, config, seed=0)

    alpha, both = problem.teacher_modalities, problem.modalities
    clean = Objective(pseudo_labels=PseudoLabelTerm(view="clean"))
    regularised = replace(noisy, consistency=Consistency(gamma=1.0))
    return {
        "teacher": replace(job(alpha, clean, sgd), samples=problem.labelled),
        "UM student": job(alpha, noisy, sgd),
        STUDENT: job(both, noisy, sgd),
        "MM student, L_reg": job(both, regularised, sgd),
        "MM student, AdamW": job(both, noisy, replace(sgd, optimizer="adamw")),
    }


def turn(job: TrainingJob) -> dict[str, float]:
    """Seconds of the processor by each way, one after the other."""
    return {
        "published": seconds(lambda: published_loop(job)),
        "same model": seconds(lambda: same_model_loop(job)),
        "fit": seconds(lambda: by_fit(job)),
    }


def published_loop(job: TrainingJob) -> nn.Module:
    """The published style: noise, loss, gradient, update on bare layers; returns the model."""
    model = copy.deepcopy(job.model)
    x = torch.cat(list(job.samples.inputs.values()), dim=1)
    perturbed = bool(job.objective.transform)

    def noisy() -> Tensor:
        return x + torch.mean(torch.abs(x)) * torch.randn(x.shape) if perturbed else x

    descend(job, bare(model), x, noisy)
    return model


def same_model_loop(job: TrainingJob) -> None:
    """A plain loop of torch around the project's model, with noise for each modality."""
    model, inputs = copy.deepcopy(job.model), job.samples.inputs
    size = torch.cat(list(inputs.values())).abs().mean()
    perturbed = bool(job.objective.transform)

    def noisy() -> Mapping[str, Tensor]:
        if not perturbed:
            return inputs
        return {name: x + size * torch.randn(x.shape) for name, x in inputs.items()}

    descend(job, model, inputs, noisy)


def descend(job: TrainingJob, net: nn.Module, clean: Any, noisy: Callable[[], Any]) -> None:
    """All steps of a plain loop of torch."""
    config, labels = job.config, job.samples.labels
    kind = torch.optim.SGD if config.optimizer == "sgd" else torch.optim.AdamW
    optimizer = kind(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    criterion, gamma = nn.CrossEntropyLoss(), job.objective.consistency.gamma
    for _ in range(config.steps):
        optimizer.zero_grad()
        logits = net(noisy())
        loss = criterion(logits, labels)
        if gamma > 0:
            apart = torch.softmax(net(clean), dim=1) - torch.softmax(logits, dim=1)
            loss = loss + gamma * apart.square().sum(dim=1).mean()
        loss.backward()
        optimizer.step()


def bare(model: nn.Module) -> nn.Sequential:
    """The model's own linear layers with ReLU between them, and nothing around them."""
    layers: list[nn.Module] = []
    for module in model.modules():
        if isinstance(module, nn.Linear):
            layers += [module, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def by_fit(job: TrainingJob) -> nn.Module:
    """The project's way, with a checkpoint and a progress bar that nobody sees."""
    job = replace(job, model=copy.deepcopy(job.model))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        checkpoint = Checkpoint(Path(folder) / "run.pt", every=1000)
        (outcome,) = one_by_one([job], checkpoints=[checkpoint], progress="loop")
    if not isinstance(outcome, Fit):
        raise outcome
    return outcome.model


def ends_alike(job: TrainingJob) -> bool:
    """True where the published loop and `fit` end with the same weights to the last bit."""
    both = zip(published_loop(job).parameters(), by_fit(job).parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in both)


def row(turns: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Medians of the seconds, and of the ratios of each turn with their range."""
    ways = {f"{way}, s": f"{np.median([one[way] for one in turns]):.3f}" for way in turns[0]}
    ratios = {
        f"fit / {way}": spread([one["fit"] / one[way] for one in turns])
        for way in turns[0]
        if way != "fit"
    }
    return {**ways, **ratios}


def seconds(work: Callable[[], object]) -> float:
    """The processor's time that it took."""
    start = time.process_time()
    work()
    return time.process_time() - start


def spread(values: Sequence[float]) -> str:
    """Median, with the range behind it."""
    return f"{np.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


if __name__ == "__main__":
    sys.exit(main())
