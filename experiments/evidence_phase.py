"""Sweeps of worlds along which evidence students win over joint students, and along which not.

Claim: none in advance. Along seven knobs of the Gaussian world stand the accuracies of the teacher,
of evidence students, of MKE and of co-training at equal updates, beside what the sum of exact
experts reaches in closed form, and the best on α and on everything.

    python experiments/evidence_phase.py
    python experiments/evidence_phase.py --quick

The knobs: noise in common and signal in common, by which conditional independence fails; signal in
β; signal in α, which makes the teacher weak; labelled samples; classes; and how rare a class is.
MKE stands three times: hard pseudo labels alone ("copy"), with noise of strength 1 on the input
("MKE"), and as in the semi-supervised comparison, with modalities dropped and the consistency term
as well ("MKE, dropping"). All students have one network, one budget and one teacher.

Hardware: one CPU core, a quarter of an hour; it can be stopped and goes on where it was.
Expected, over 44 points of 10 seeds: evidence students are ahead of MKE at 31 and behind by more
than chance at 1, where one class of two is rare. Behind MKE that drops modalities they are at 3,
where a third or more of the signal is common; behind co-training at 4, where α and β share nearly
everything, or where 10 samples carry a label.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from evidence_on_worlds import (
    TRAINER,
    Block,
    Start,
    begun,
    evidence_students,
    files_of,
    markdown_of,
    recorded,
    sound,
    task_of,
)
from semi_supervised import gain, percent

from mke_theory.command.calls import asked, finished, refuse_below_one, until_interrupted
from mke_theory.data.console import forgiving_console
from mke_theory.data.rng import seed_for
from mke_theory.evaluation.stats import Interval, paired_difference
from mke_theory.method import relatives
from mke_theory.method.algorithm import predictions_of
from mke_theory.method.evidence import EvidenceSettings, carry_out
from mke_theory.method.relatives.method import STRONG, Method, round_job
from mke_theory.report.plots import AccuracyPanel, Curve, accuracy_along_knobs
from mke_theory.study.keys import config_hash
from mke_theory.study.processes import available_cores
from mke_theory.study.records import Record
from mke_theory.study.semi_supervised.baselines import co_training_plan
from mke_theory.study.semi_supervised.contestants import CO_TRAINING_ROUNDS, DROPPED, Contestant
from mke_theory.study.semi_supervised.setup import build
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.theory.gaussian.evidence_sum import EvidenceSum

ARM = "evidence_phase"
FIRST_SEED = 200
UNLABELLED = 440
JOINT: dict[str, Method] = {
    "copy": relatives.mke.method((), gamma=0.0),
    "MKE": relatives.mke.method(STRONG, gamma=0.0),
    "MKE, dropping": relatives.mke.method(STRONG + DROPPED),
}
"""Joint students of all modalities that learn the teacher's labels."""
OTHERS = (*JOINT, "co-training")
METHODS = ("teacher", "evidence", *OTHERS)
DRAWN = {"evidence": "evidence", "MKE": "MKE", "co-training": "co-training", "teacher": "teacher"}
"""Methods that the figure shows, and their labels there."""


@dataclass(frozen=True)
class Sweep:
    """A knob: the name of its axis, and the values of it with a world and a size of D_l each."""

    knob: str
    places: dict[float, tuple[Gaussian, int]]
    log: bool = False


def sweeps() -> dict[str, Sweep]:
    """The seven sweeps. Where nothing else is said m = (1, 1), and D_l has 60 samples."""
    even = (1.0, 1.0)
    return {
        "noise in common": Sweep(
            "correlation given y",
            {r: (Gaussian(even, correlation=r), 60) for r in (-0.8, -0.5, -0.2, 0, 0.2, 0.5, 0.8)},
        ),
        "signal in common": Sweep(
            "share of the signal that is common",
            {x: (common(x), 60) for x in (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)},
        ),
        "weak β": Sweep(
            "signal in β",
            {m: (Gaussian((1.0, m)), 60) for m in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)},
        ),
        "weak teacher": Sweep(
            "signal in α", {m: (Gaussian((m, 1.0)), 60) for m in (0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2)}
        ),
        "few labels": Sweep(
            "labelled samples",
            {float(n): (Gaussian(even), n) for n in (10, 20, 30, 60, 120, 250, 500)},
            log=True,
        ),
        "many classes": Sweep(
            "classes",
            {
                float(k): (Gaussian((1.5, 1.5), dims=(24, 24), classes=k), 200)
                for k in (2, 3, 5, 8, 12, 20)
            },
            log=True,
        ),
        "rare class": Sweep(
            "share of the rarer class",
            {
                p: (Gaussian(even, priors_given=(1 - p, p)), 60)
                for p in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
            },
        ),
    }


def common(share: float) -> Gaussian:
    """Each modality has m² + s² = 1, of which the share s² is the same numbers in both."""
    own = float(np.sqrt(1 - share))
    return Gaussian((own, own), shared=float(np.sqrt(share)))


def sum_error(world: Gaussian) -> float | None:
    """The error of the sum of both exact experts, or None where there is no closed form.

    Where they are independent given y it is the Bayes classifier, of any classes; else two classes
    have one.
    """
    m_alpha, m_beta = world.signal
    both = EvidenceSum(m_alpha, m_beta, world.shared, world.correlation)
    if both.overlap == 0:
        return float(world.bayes_error())
    return both.error(share=float(world.priors[1])) if world.classes == 2 else None


@dataclass(frozen=True)
class Options:
    """Measure along the knobs: table, figure and records."""

    quick: bool = False
    """Two points of two sweeps, three seeds and few steps: does everything work?"""
    seeds: int = 10
    """Seeds of every point, 200 and on."""
    out: Path = Path("results/evidence_phase")
    """Folder for records, table and figure."""
    workers: int = available_cores()
    """Points carried out at the same time, each in a process of its own."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where one failed, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(finished, partial(run, options)))


def run(options: Options) -> list[Path]:
    """The files evidence_phase.csv, .md and .png, from records.

    Raises ValueError and OSError before any work where something is wrong with the call, and
    RuntimeError where a run failed; what is recorded stays.
    """
    refuse_below_one(options, "seeds", "workers")
    rows = recorded(list(settings(options)), ARM, carried_out, options.out, options.workers)
    text = markdown(rows)
    print(text)
    return files_of(rows, text, figure(rows), options.out, "evidence_phase")


def settings(options: Options) -> Iterator[Block]:
    """Every point of every sweep."""
    quick = options.quick
    count = min(options.seeds, 3) if quick else options.seeds
    for title, sweep in list(sweeps().items())[: 2 if quick else None]:
        for value, (world, labelled) in list(sweep.places.items())[: 2 if quick else None]:
            exact = sum_error(world)
            yield Block(
                task_of(
                    world,
                    f"{title}, {value:g}",
                    labelled=labelled,
                    unlabelled=UNLABELLED,
                    steps=60 if quick else 600,
                ),
                tuple(range(FIRST_SEED, FIRST_SEED + count)),
                {
                    "sweep": title,
                    "value": float(value),
                    "best on α": 1 - float(world.bayes_error(("x1",))),
                    "best on all": 1 - float(world.bayes_error()),
                    "sum of exact experts": np.nan if exact is None else 1 - exact,
                },
            )


def carried_out(block: Block) -> list[Record]:
    """The record of every seed: each method's accuracy on test, and its mean over classes."""
    starts = begun(block)
    evidence = evidence_students(block, starts, EvidenceSettings())
    answers: dict[str, list[Tensor]] = {
        "teacher": [predictions_of(s.teacher, s.problem.test) for s in starts],
        "evidence": [
            predictions_of(found.student, s.problem.test)
            for found, s in zip(evidence, starts, strict=True)
        ],
        **{name: joint_students(block, starts, method) for name, method in JOINT.items()},
        "co-training": co_trained(block, starts),
    }
    done = []
    for i, start in enumerate(starts):
        truth = start.problem.test.labels
        metrics = {name: accuracy(found[i], truth) for name, found in answers.items()}
        metrics |= {
            f"balanced {name}": balanced(found[i], truth) for name, found in answers.items()
        }
        done.append(
            Record(
                key=block.key(ARM, start.seed),
                task=block.task.name,
                arm=ARM,
                seed=start.seed,
                config_hash=config_hash(block.task),
                metrics=metrics,
                extra={"verdict": evidence[i].verdicts["x2"]},
            )
        )
    return done


def joint_students(block: Block, starts: Sequence[Start], method: Method) -> list[Tensor]:
    """The classes of test [n] by a joint student of every start."""
    jobs = []
    for start in starts:
        problem = start.problem
        jobs.append(
            round_job(
                method,
                problem.blind,
                start.teacher,
                build(start.task, problem.blind, problem.modalities, start.seed),
                modalities=problem.modalities,
                config=start.task.recipe.student,
                seed=seed_for(start.seed, "student"),
            )
        )
    fits = sound(TRAINER(jobs), block)
    return [predictions_of(f.model, s.problem.test) for f, s in zip(fits, starts, strict=True)]


def co_trained(block: Block, starts: Sequence[Start]) -> list[Tensor]:
    """The classes of test [n] by co-training, as the semi-supervised comparison runs it."""

    def fresh(start: Start) -> Callable[[tuple[str, ...]], torch.nn.Module]:
        return lambda view: build(start.task, start.problem.blind, view, start.seed)

    config = Contestant("co_training", "α and β").budget(block.task.recipe.student)
    plans = [
        co_training_plan(
            start.problem.blind,
            fresh(start),
            rounds=CO_TRAINING_ROUNDS,
            per_class=max(1, len(start.problem.unlabelled) // (10 * start.problem.classes)),
            config=config,
            seed=start.seed,
        )
        for start in starts
    ]
    return [found.predictions.test for found in sound(carry_out(plans, TRAINER), block)]


def accuracy(found: Tensor, truth: Tensor) -> float:
    """The share of the classes that is right."""
    return float((found == truth).double().mean())


def balanced(found: Tensor, truth: Tensor) -> float:
    """The mean over classes of the share that is right."""
    return float(np.mean([accuracy(found[truth == k], truth[truth == k]) for k in truth.unique()]))


# Tables and figure


def markdown(rows: pd.DataFrame) -> str:
    """The page of results: won and lost, then a table for every sweep."""
    parts = ["### Points won and lost", markdown_of(won(rows))]
    for title, own in rows.groupby("sweep", sort=False):
        parts += [
            f"### {str(title).capitalize()}",
            markdown_of(accuracies(own, sweeps()[str(title)])),
        ]
    rare = rows[rows["sweep"] == "rare class"]
    if len(rare):
        text = "Along the same knob, the mean over both classes of the share that is right:"
        parts += [text, markdown_of(accuracies(rare, sweeps()["rare class"], "balanced "))]
    return "\n\n".join(parts) + "\n"


def won(rows: pd.DataFrame) -> pd.DataFrame:
    """A line a method: points at which evidence students are ahead, behind, or neither.

    Ahead and behind: the paired 95% interval of the difference leaves out 0 (not corrected for the
    number of points). The mean difference is over points, with its spread between them. A point
    that several sweeps have in common counts once.
    """
    rows, lines = rows.drop_duplicates(["seed", *METHODS]), []
    for other in ("teacher", *OTHERS):
        signs, means = [], []
        for _, own in rows.groupby(["sweep", "value"], sort=False):
            found = paired_difference(own["evidence"], own[other])
            signs.append(_side(found.interval))
            means.append(found.mean)
        lines.append(
            {
                "evidence against": other,
                "ahead": str(signs.count(1)),
                "undecided": str(signs.count(0)),
                "behind": str(signs.count(-1)),
                "mean difference": percent(means),
                "worst": f"{100 * min(means):+.1f}",
                "best": f"{100 * max(means):+.1f}",
            }
        )
    return pd.DataFrame(lines)


def _side(interval: Interval | None) -> int:
    """1 above 0, −1 below, 0 where the interval holds it or there is none."""
    if interval is None or interval.low <= 0 <= interval.high:
        return 0
    return 1 if interval.low > 0 else -1


def accuracies(own: pd.DataFrame, sweep: Sweep, kind: str = "") -> pd.DataFrame:
    """A line a value of the knob; accuracies in percent, differences in points."""
    lines = []
    for value, cell in own.groupby("value", sort=False):
        line = {sweep.knob: f"{value:g}"}
        if not kind:
            exact = cell["sum of exact experts"].iloc[0]
            line |= {
                name: f"{100 * cell[name].iloc[0]:.1f}" for name in ("best on α", "best on all")
            }
            line["sum of exact experts"] = "" if np.isnan(exact) else f"{100 * exact:.1f}"
        line |= {name: percent(cell[f"{kind}{name}"].tolist()) for name in METHODS}
        line |= {
            f"evidence − {name}": gain(
                paired_difference(cell[f"{kind}evidence"], cell[f"{kind}{name}"])
            )
            for name in ("MKE", "MKE, dropping", "co-training")
        }
        line["trusted"] = f"{100 * (cell['verdict'] == 'trusted').mean():.0f}%"
        lines.append(line)
    return pd.DataFrame(lines)


def figure(rows: pd.DataFrame) -> Figure:
    """A panel a sweep: accuracy of every method, and the closed form as a line."""
    shown = []
    for title, own in rows.groupby("sweep", sort=False):
        sweep, by_value = sweeps()[str(title)], own.groupby("value", sort=True)
        x = np.array(list(by_value.groups), dtype=float)
        exact = {
            name: by_value[name].first().to_numpy()
            for name in ("sum of exact experts", "best on all", "best on α")
        }
        curves = [curve(label, x, by_value[name]) for name, label in DRAWN.items()]
        shown.append(AccuracyPanel(str(title), sweep.knob, curves, exact, sweep.log))
    n = rows.groupby(["sweep", "value"]).size()
    caption = f"means of {n.min()} seeds and 95% intervals"
    return accuracy_along_knobs(shown, caption)


def curve(label: str, x: np.ndarray, values: pd.core.groupby.SeriesGroupBy) -> Curve:
    """The means of one method, with Student's interval."""
    middle, low, high = [], [], []
    for _, own in values:
        found = paired_difference(own, np.zeros(len(own)))
        ends = found.interval or Interval(found.mean, found.mean, 0.95)
        middle.append(found.mean)
        low.append(ends.low)
        high.append(ends.high)
    return Curve(label, x, np.array(middle), np.array(low), np.array(high))


if __name__ == "__main__":
    sys.exit(main())
