"""The loss from taking the noise that the perturbation law estimates, instead of the best.

Claim: in the Gaussian world the law's σ̂, estimated without a label on β, costs less than a point of
the student's error against the best σ of a sweep, and none to speak of unless a weak teacher stands
beside a strong β; there it also refuses up to a quarter of draws. Beyond that world it is a guess
of the right size: on test no loss that shows on TwoMoon (within two points; 30 labels leave it
silent in a quarter of draws or more) and with an audio teacher (on D_u 1.5 points), up to three
points with an image teacher, and no answer at all on digits, whose two halves hang together within
a class.

Which variants to report was decided at seeds 100 to 111; nothing was tuned on those reported.

    python experiments/perturbation_law.py --data-root DATA      everything
    python experiments/perturbation_law.py --quick               smaller, without real data

Noise is on α alone, without consistency term. "errors": m_t from the teacher's cross-validated
errors on D_l; "values": from t on D_l; "confusion": from its confusion by class. "truth" is not an
estimate: the law of least squares fed with the truth of D_u, which separates its own failure from
that of its estimate.

Hardware: two CPU cores, 25 minutes beside other work; it can be stopped and goes on where it was.
Expected: `docs/results/generated/perturbation_law.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
import torch
import tyro
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from mke_theory.command.calls import asked, refuse_below_one, refused, until_interrupted
from mke_theory.data.console import forgiving_console
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for, seed_for, torch_seed
from mke_theory.evaluation import stats
from mke_theory.evaluation.account import accuracy
from mke_theory.method.algorithm import expand, fit_teacher
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import GaussianNoise, InputNoise
from mke_theory.models import coordinates
from mke_theory.study import records
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.keys import config_hash, run_key, versions
from mke_theory.study.processes import available_cores, record_all
from mke_theory.study.records import Record
from mke_theory.study.result import Cell, Failure, Run
from mke_theory.study.runner import run, train_teachers
from mke_theory.study.task import Task
from mke_theory.tasks.av_digits import AVDigits
from mke_theory.tasks.registry import data_root_or_default
from mke_theory.tasks.toy.digits import Digits
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.theory import gaussian as law
from mke_theory.theory.gaussian import noise_calibration as calibration
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    LinearStudent,
    fit_least_squares,
    sample,
)
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import predict

Found = dict[str, float | None]
StudentError = Callable[[float], dict[str, float]]


@dataclass(frozen=True)
class World:
    """A Gaussian pair, `pairs` unlabelled pairs, and `labelled` samples that judge the teacher."""

    m_t: float
    m_b: float
    pairs: int
    labelled: int
    network: bool = False
    """True for a linear network under `expand` as student, instead of the exact least squares."""
    grid: tuple[float, ...] = (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16)
    unit: ClassVar[str] = "σ"

    @property
    def name(self) -> str:
        student = "network" if self.network else "least squares"
        return f"Gaussian {self.m_t:g}, {self.m_b:g}; n = {self.pairs}; {student}"


@dataclass(frozen=True)
class Real:
    """A task, with the strengths of noise on α that are tried."""

    task: Task
    grid: tuple[float, ...]
    unit: str

    @property
    def name(self) -> str:
        return self.task.title


Study = World | Real

MOONS = Real(TwoMoon(), (0, 0.25, 0.5, 1, 1.5, 2, 3, 5, 8), "sd of x₁")
DIGITS = tuple(
    Real(task, (0, 0.5, 1, 2, 4, 8, 16, 32), "strength")
    for task in (Digits(), AVDigits(), AVDigits(teacher="image"))
)
WORLDS = tuple(
    World(m_t, m_b, pairs, 200)
    for m_t, m_b in ((0.5, 1.5), (1, 0.5), (1.5, 1.5))
    for pairs in (300, 1000)
)
NETWORKS = tuple(World(m_t, m_b, 1000, 200, True) for m_t, m_b in ((0.5, 1.5), (1.5, 1.5)))


ALONE = RunConfiguration(trainer="one by one")
"""Sweeps are spread over processes; inside, one student is trained after the other."""


@dataclass(frozen=True)
class Options:
    """Do what is missing of the study, print its table."""

    studies: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Any of worlds, networks, twomoon, digits, av_digits; none means all whose data are found."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/perturbation_law")
    """Folder for the records."""
    workers: int = field(default_factory=available_cores)
    """Runs carried out at the same time."""
    first_seed: int = 0
    """The first of the seeds."""
    quick: bool = False
    """A tenth of the seeds, and no study that needs data."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """Do what is missing, then print what all records of the plan show."""
    try:
        refuse_below_one(options, "workers")
        root = data_root_or_default(options.data_root)
        wanted = list(planned(options, root))
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with kept:
        by_key = {key_of(study, seed): (study, seed) for study, seed in wanted}
        done, lost = record_all(by_key, carry_out, kept, workers=options.workers, title="sweeps")
    for (study, seed), error in lost:
        print(f"failed: {study.name} seed {seed}: {error}", file=sys.stderr)
    for part in ("test", "unlabelled"):
        print(f"\n## Error on {part}, percent\n\n{markdown(done, part)}")
    return 1 if lost else 0


def planned(options: Options, root: Path) -> Iterator[tuple[Study, int]]:
    """Every (study, seed) that is wanted and whose data are found; others are named on the way."""
    plans: dict[str, tuple[tuple[Study, ...], int]] = {
        "worlds": (WORLDS, 40),
        "networks": (NETWORKS, 10),
        "twomoon": ((MOONS,), 20),
        "digits": (DIGITS[:1], 5),
        "av_digits": (DIGITS[1:], 8),
    }
    for name in options.studies:
        if name not in plans:
            raise ValueError(f"there is no study {name!r}; there are {', '.join(plans)}")
    for name in options.studies or plans:
        studies, seeds = plans[name]
        seeds = max(2, seeds // 10) if options.quick else seeds
        for study in studies:
            lacking = None
            if isinstance(study, Real):
                study = replace(study, task=study.task.at(root))
                lacking = study.task.missing()
            if lacking or (options.quick and name == "av_digits"):
                print(f"skipped {study.name}: {lacking or 'quick'}", file=sys.stderr)
                continue
            yield from ((study, options.first_seed + seed) for seed in range(seeds))


def key_of(study: Study, seed: int) -> str:
    """The key of a sweep's record."""
    return run_key(
        task=study.name,
        arm="perturbation_law",
        seed=seed,
        config_hash=config_hash(study),
        data_hash=study.task.data_hash() if isinstance(study, Real) else None,
        environment=versions(),
    )


def carry_out(wanted: tuple[Study, int]) -> Record:
    """The record of one sweep: the estimates, and the student's error at them and on the grid."""
    study, seed = wanted
    known, found, student_error = (
        prepare_world(study, seed) if isinstance(study, World) else prepare_task(study.task, seed)
    )
    metrics: dict[str, float | None] = dict(known)
    for source, value in found.items():
        metrics[f"noise, {source}"] = value
        errors = {} if value is None else student_error(value)
        metrics |= {f"{part} at {source}": errors.get(part) for part in ("test", "unlabelled")}
    for value in study.grid:
        metrics |= {f"{part} at {value:g}": error for part, error in student_error(value).items()}
    return Record(
        key=key_of(study, seed),
        task=study.name,
        arm="perturbation_law",
        seed=seed,
        config_hash=config_hash(study),
        metrics=metrics,
        extra={"unit": study.unit, "grid": list(study.grid)},
    )


# The Gaussian world


def prepare_world(study: World, seed: int) -> tuple[Found, Found, StudentError]:
    """The world's own numbers, the law's estimates on a draw of it, and the student's error."""
    pair = GaussianPair(study.m_t, study.m_b)
    rng = np.random.default_rng(seed_for(seed, "world", study.name))
    y, own, _ = sample(pair, study.labelled, rng)
    _, t, b = sample(pair, study.pairs, rng)
    teacher = partial(law.strength_from_errors, int((np.sign(own) != y).sum()), study.labelled)
    found = {"errors, squared": or_none(lambda: law.estimate_noise(t, b, teacher()).value)}
    if study.network:
        found["errors, logistic"] = or_none(
            lambda: law.estimate_noise(t, b, teacher(), "logistic").value
        )

    def student_error(sigma: float) -> dict[str, float]:
        if study.network:
            return {"test": network_error(pair, t, b, sigma, seed)}
        return {"test": fit_least_squares(t, b, np.sign(t), sigma).error(pair)}

    known: Found = {
        "teacher": pair.teacher_error,
        "law": law.best_noise(pair),
        "best": pair.bayes_error,
    }
    return known, found, student_error


class Threshold(nn.Module):
    """The teacher of the Gaussian world: class 1 where t is positive."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return torch.cat([-inputs["t"], inputs["t"]], dim=1)


def network_error(
    pair: GaussianPair, t: np.ndarray, b: np.ndarray, sigma: float, seed: int
) -> float:
    """The exact error of a linear network that `expand` trained under noise on t."""
    x = {"t": t, "b": b}
    inputs = {name: torch.tensor(v[:, None], dtype=torch.float32) for name, v in x.items()}
    with torch_seed(seed_for(seed, "init", "student")):
        student = coordinates({"t": (1,), "b": (1,)}, 2, hidden=())
    noise = Objective(transform=(GaussianNoise(sigma, only=("t",)),))
    config = TrainConfig(steps=600, learning_rate=0.03, schedule="cosine")
    pool = Pool(inputs, torch.full((len(t),), -1))
    expand(Threshold(), pool, student, objective=noise, config=config, seed=seed)
    layer = next(part for part in student.modules() if isinstance(part, nn.Linear))
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    w_t, w_b = (weight[1] - weight[0]).tolist()
    return LinearStudent(w_t, w_b, float(bias[1] - bias[0])).error(pair)


# Tasks


def prepare_task(task: Task, seed: int) -> tuple[Found, Found, StudentError]:
    """The teacher's errors, the law's estimates, and the error of the package's own student."""
    problem = task.problem(seed)
    (fit,) = train_teachers([Cell(task, seed)], ALONE).values()
    if isinstance(fit, Failure):
        raise RuntimeError(fit.error)
    teacher = fit.model
    scalar = isinstance(task, TwoMoon)
    (alpha,) = problem.teacher_modalities

    def student_error(strength: float) -> dict[str, float]:
        noise = GaussianNoise(strength, (alpha,)) if scalar else InputNoise(strength, (alpha,))
        recipe = replace(task.recipe, objective=Objective(transform=(noise,)))
        noisy = Run(replace(task, recipe=recipe), MM_STUDENT, seed)
        (made,) = run([noisy], ALONE, teachers={noisy.cell: fit})
        if isinstance(made, Failure):
            raise RuntimeError(made.error)
        return {
            "test": 1 - made.test_accuracy,
            "unlabelled": 1 - float(accuracy(made.predictions["unlabelled"], problem.truth.labels)),
        }

    truths = {"test": problem.test.labels, "unlabelled": problem.truth.labels}
    pools = {"test": problem.test, "unlabelled": problem.unlabelled}
    wrong = {
        part: float((predict(teacher, pool).argmax(dim=1) != truths[part]).double().mean())
        for part, pool in pools.items()
    }
    known: Found = {"teacher": wrong["test"], "teacher, unlabelled": wrong["unlabelled"]}
    estimates = scalar_estimates if scalar else class_estimates
    return known, estimates(task, seed, problem, teacher), student_error


def scalar_estimates(task: Task, seed: int, problem: Problem, teacher: nn.Module) -> Found:
    """σ̂ in the unit of x₁, where t is x₁ and b is x₂."""
    t, b = (x.double().numpy().ravel() for x in problem.unlabelled.inputs.values())
    own = problem.labelled.inputs["x1"].double().numpy().ravel()
    y = problem.labelled.labels.numpy()
    counts = confusion(task, seed, problem)
    wrong = int(counts.sum() - np.trace(counts))
    pseudo = predict(teacher, problem.unlabelled).argmax(dim=1).numpy()
    truth = problem.truth.labels.numpy()

    def noise(teacher: law.TeacherStrength) -> float:
        return law.estimate_noise(t, b, teacher, "logistic").in_units

    return {
        "values, logistic": or_none(lambda: noise(law.strength_from_values(own, 2 * y - 1))),
        "errors, logistic": or_none(lambda: noise(law.strength_from_errors(wrong, len(y)))),
        "truth, squared": or_none(
            lambda: law.best_noise_from_truth(t, b, 2 * pseudo - 1, 2 * truth - 1)
        ),
    }


def class_estimates(task: Task, seed: int, problem: Problem, teacher: nn.Module) -> Found:
    """The strength of InputNoise, where t is the log-odds of a class against the rest."""
    (alpha,), pool = problem.teacher_modalities, problem.unlabelled
    (beta,) = (name for name in problem.modalities if name != alpha)

    def statistic(inputs: Any) -> np.ndarray:
        moved = Pool({alpha: inputs[alpha]}, pool.labels)
        return calibration.log_odds(predict(teacher, moved).numpy())

    t = statistic(pool.inputs)
    b = calibration.second_statistic(t, pool.inputs[beta].numpy(), seed=seed)
    response = calibration.response_to_noise(statistic, pool, alpha, seed=seed)
    counts = confusion(task, seed, problem)
    pseudo, truth = t.argmax(axis=1), problem.truth.labels.numpy()

    def strength(targets: Sequence[float | None]) -> float:
        wanted = [float("inf") if target is None else target for target in targets]
        return calibration.median_strength(wanted, response)

    def by_class(loss: law.Loss) -> list[float | None]:
        found = calibration.estimate_by_class(t, b, counts, loss)
        return [None if isinstance(one, str) else one.in_units for one in found]

    def from_truth(k: int) -> float:
        sides = (np.where(labels == k, 1, -1) for labels in (pseudo, truth))
        return law.best_noise_from_truth(t[:, k], b[:, k], *sides)

    truths = [or_none(partial(from_truth, k)) for k in range(t.shape[1])]
    return {
        "confusion, logistic": or_none(lambda: strength(by_class("logistic"))),
        "confusion, squared": or_none(lambda: strength(by_class("squared"))),
        "truth, squared": or_none(lambda: strength(truths)),
    }


def confusion(task: Task, seed: int, problem: Problem, folds: int = 5) -> np.ndarray:
    """Counts [k, k] on D_l: the truth by the predictions of a teacher of the other folds."""
    counts = np.zeros((problem.classes, problem.classes), dtype=np.int64)
    y = problem.labelled.labels.numpy()
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed32_for(seed, "validation"))
    for fold, (rest, out) in enumerate(cut.split(y, y)):
        with torch_seed(task.init_seed("teacher", seed)):
            model = task.model(problem, problem.teacher_modalities)
        part, config = problem.labelled.rows(rest), task.recipe.teacher
        judged = fit_teacher(model, part, config, seed=seed_for(seed, "fold", fold)).model
        predicted = predict(judged, problem.labelled.rows(out)).argmax(dim=1).numpy()
        np.add.at(counts, (y[out], predicted), 1)
    return counts


def or_none(estimate: Callable[[], float]) -> float | None:
    """The estimate, or None where the law refuses one."""
    try:
        return estimate()
    except ValueError:
        return None


# Tables of the records


def table(done: Sequence[Record], part: str) -> pd.DataFrame:
    """One row for each study and source of σ̂; errors in percent, regret paired over seeds.

    The best of the sweep is the one value that is best on average over all seeds of the study; it
    is chosen by the errors that are compared, so it is a little too good, and regret too large.
    """
    rows = []
    for name in dict.fromkeys(record.task for record in done):
        ran = [record for record in done if record.task == name]
        grid = [f"{value:g}" for value in ran[0].extra["grid"]]
        errors = pd.DataFrame([record.metrics for record in ran])
        if f"{part} at {grid[0]}" not in errors:
            continue
        swept = errors[[f"{part} at {value}" for value in grid]].astype(float).mean()
        best = grid[int(swept.to_numpy().argmin())]
        for source in [c.removeprefix("noise, ") for c in errors if c.startswith("noise, ")]:
            rows.append({"task": name} | row_of(errors, part, source, best, ran[0].extra["unit"]))
    return pd.DataFrame(rows)


def row_of(errors: pd.DataFrame, part: str, source: str, best: str, unit: str) -> dict[str, str]:
    """The cells of one row, over the seeds that have an estimate, or all where none has one."""
    kept = errors[errors[f"noise, {source}"].notna()]
    rows = errors if kept.empty else kept
    teacher = rows["teacher" if part == "test" else "teacher, unlabelled"].mean()
    cells = {
        "σ̂ from": source,
        "best of sweep": f"{best} {unit}",
        "teacher": f"{100 * teacher:.1f}",
        "no noise": f"{100 * rows[f'{part} at 0'].mean():.1f}",
        "at best": f"{100 * rows[f'{part} at {best}'].mean():.1f}",
        "given": f"{len(kept)} of {len(errors)}",
    }
    if kept.empty:
        return cells | {"σ̂": "none", "at σ̂": "none", "regret": "none"}
    noise, at = (kept[name].astype(float) for name in (f"noise, {source}", f"{part} at {source}"))
    regret = stats.paired_difference(100 * at, 100 * kept[f"{part} at {best}"])
    spread, reach = stats.summarise(noise), regret.interval
    return cells | {
        "σ̂": f"{spread.mean:.2f}" + ("" if spread.sd is None else f" ± {spread.sd:.2f}"),
        "at σ̂": f"{100 * at.mean():.1f}",
        "regret": f"{regret.mean:+.2f}"
        + (f" [{reach.low:.2f}, {reach.high:.2f}]" if reach else ""),
    }


COLUMNS = "task, σ̂ from, given, σ̂, best of sweep, teacher, no noise, at σ̂, at best, regret".split(
    ", "
)


def markdown(done: Sequence[Record], part: str) -> str:
    """The table as it is printed and published."""
    found = table(done, part)
    if found.empty:
        return "no records"
    return found[COLUMNS].to_markdown(index=False, disable_numparse=True)


def compact(record: Record) -> Record:
    """The record without key, numbers to five digits; None is an estimate that was refused."""
    metrics = {
        name: None if value is None else float(f"{value:.5g}")
        for name, value in record.metrics.items()
        if value is not None or name.startswith("noise")
    }
    return replace(record, metrics=metrics)


def text_of(done: Sequence[Record]) -> str:
    """Both tables, error on test and on D_u, with studies in the order of the plan."""
    studies: tuple[Study, ...] = (*WORLDS, *NETWORKS, MOONS, *DIGITS)
    names = [study.name for study in studies]
    done = sorted(done, key=lambda record: (names.index(record.task), record.seed))
    return f"Error on test, percent\n\n{markdown(done, 'test')}\n\nError on D_u, percent\n\n" + (
        f"{markdown(done, 'unlabelled')}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
