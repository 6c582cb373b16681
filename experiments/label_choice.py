"""Labels for a certificate: those that its worst labelling points at, against random ones.

Claim. A few labels, looked up where the worst labelling that a certificate still allows is wrong,
bring its bound down by more than as many labels drawn at random. A bound holds however its labels
were chosen, so that choosing costs nothing.

    python experiments/label_choice.py --data-root data --seeds 3
    python experiments/label_choice.py --tasks digits --seeds 1

Pools and graphs are those of `certificates.py`, which trains the same students; ε and μ are the
truth's. The graph of α alone is left out, where certificates are next to trivial.

Hardware: two CPU cores, about ten minutes a seed; it can be stopped and goes on where it was.
Expected: `docs/results/generated/label_choice.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from mke_theory.command.calls import ready_tasks, refused, until_interrupted
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation.stats import summarise
from mke_theory.report.tables import cell
from mke_theory.study import records
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.keys import config_hash
from mke_theory.study.processes import available_cores, record_all
from mke_theory.study.records import Record
from mke_theory.study.study import execute, feasible, plan
from mke_theory.study.task import Task
from mke_theory.study.theory_on_runs import predictions_on_disk
from mke_theory.tasks.registry import TASKS, data_root_or_default
from mke_theory.theory.appraise import NEIGHBOURS, spaces
from mke_theory.theory.certificates import Certificate, label_free, next_labels
from mke_theory.theory.graph import edge_inconsistency, nearest_neighbours
from mke_theory.theory.labelled_pool import LabelledPool

CHOSEN = ("digits", "av_digits", "av_digits_image")
BATCHES = (5, 5, 10, 10, 20)
"""Labels chosen at a time: each batch by the certificate of all before it."""
SHOWN = (10, 20, 50)
"""The numbers of labels at which the bounds are compared."""
KINDS = ("β", "both", "own")


@dataclass(frozen=True)
class Options:
    """Train the MM students that are missing, certify them label by label, write the table."""

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = CHOSEN
    """Tasks; those whose data are not found are skipped."""
    seeds: int = 3
    """Number of seeds, 0 to seeds − 1."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/label_choice")
    """Folder for records and the table."""
    workers: int = field(default_factory=available_cores)
    """Students trained and certified at the same time."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 where all went well, 1 where something failed, 2 for a bad call, 130 after Ctrl-C."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """Do what is missing, then print and write what was found."""
    try:
        root = data_root_or_default(options.data_root)
        known = {name: task.at(root) for name, task in TASKS.items()}
        tasks = ready_tasks(known, options.tasks, insist=False)
        runs, _ = feasible(plan(tasks, [MM_STUDENT], range(options.seeds)))
        configuration = RunConfiguration(options.out, workers=options.workers)
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with kept, records.Records.open(options.out / "label_choice") as compared:
        done, failures = execute(runs, kept, configuration)
        students = [record for record in done if record.arm == MM_STUDENT.name]
        rows, lost = record_all(
            {key_of(record): record for record in sorted(students, key=lambda one: one.seed)},
            partial(compare, tasks=known, folder=options.out),
            compared,
            workers=options.workers,
            title="labels",
        )
    if rows:
        text = markdown(rows)
        print(text)
        print(records.write_atomic(options.out / "label_choice.md", text))
    lines = [f"{failure.run}: {failure.error}" for failure in failures]
    lines += [f"labels of {of.task} seed {of.seed}: {error}" for of, error in lost]
    for line in lines:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if lines else 0


def key_of(record: Record) -> str:
    """The key of the record of a student's bounds by labels."""
    return config_hash({"labels for a certificate of": record.key, "batches": list(BATCHES)})


def compare(record: Record, *, tasks: Mapping[str, Task], folder: Path) -> Record:
    """The bounds of one student by number of labels, chosen and random, on every graph."""
    problem, answers = predictions_on_disk(record, tasks[record.task], folder)
    inputs = {name: x.numpy() for name, x in problem.unlabelled.inputs.items()}
    truth = problem.truth.labels.numpy()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for _, kind, points in spaces(inputs, problem.teacher_modalities, answers["embedding"]):
        if kind not in KINDS:
            continue
        graph = nearest_neighbours(points, NEIGHBOURS)
        pool = LabelledPool(graph, answers["pseudo"], answers["student"], problem.classes, truth)
        drawn = np.random.default_rng(seed32_for(record.seed, "looked up"))
        found[kind] = {
            "chosen": of_chosen(pool),
            "random": of_random(pool, drawn.permutation(graph.n)),
        }
    return Record(
        key=key_of(record),
        task=record.task,
        title=record.title,
        arm=record.arm,
        seed=record.seed,
        config_hash=record.config_hash,
        metrics={"teacher": pool.teacher_error, "student": pool.student_error},
        extra={"bounds": found},
    )


def of_chosen(pool: LabelledPool) -> dict[str, float]:
    """The bound by number of labels, each batch chosen by the certificate before it."""
    truth, known = pool.known_truth, np.full(pool.graph.n, -1)
    certificate = certified(pool, known)
    bounds = {"0": certificate.value}
    for size in BATCHES:
        points = next_labels(pool, certificate, size, known)
        known[points] = truth[points]
        certificate = certified(pool, known)
        bounds[str(int((known >= 0).sum()))] = certificate.value
    return bounds


def of_random(pool: LabelledPool, order: NDArray[np.int64]) -> dict[str, float]:
    """The bound by number of labels, looked up in this order."""
    bounds, known = {}, np.full(pool.graph.n, -1)
    for count in SHOWN:
        known[order[:count]] = pool.known_truth[order[:count]]
        bounds[str(count)] = certified(pool, known).value
    return bounds


def certified(pool: LabelledPool, known: NDArray[np.int64]) -> Certificate:
    """The certificate with the truth's own ε and μ and these labels, −1 where there is none."""
    mu = edge_inconsistency(pool.graph, pool.known_truth)
    return label_free(pool, error=pool.teacher_error, inconsistency=mu, known_labels=known)


def markdown(rows: Sequence[Record]) -> str:
    """A table a task: the bound by graph and number of labels, in percent, mean ± sd (seeds)."""
    parts = []
    for task in dict.fromkeys(record.task for record in rows):
        own = [record for record in rows if record.task == task]
        errors = ", ".join(
            f"{name} {_shown([r.metrics[name] for r in own])}" for name in own[0].metrics
        )
        parts.append(f"## {own[0].title}\n\n{table(own).to_markdown()}\n\nErrors: {errors}.\n")
    return "\n".join(parts)


def table(own: Sequence[Record]) -> pd.DataFrame:
    """A row for each number of labels and way to choose them, a column for each graph."""
    rows: dict[str, dict[str, str]] = {}
    for kind in (one for one in KINDS if one in own[0].extra["bounds"]):
        at = [record.extra["bounds"][kind] for record in own]
        rows.setdefault("none", {})[kind] = _shown([one["chosen"]["0"] for one in at])
        for count in map(str, SHOWN):
            for how in ("random", "chosen"):
                values = [one[how][count] for one in at]
                rows.setdefault(f"{count}, {how}", {})[kind] = _shown(values)
            less = [one["random"][count] - one["chosen"][count] for one in at]
            rows.setdefault(f"{count}, random − chosen", {})[kind] = _shown(less)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("labels")


def _shown(values: Sequence[float]) -> str:
    summary = summarise(values)
    return cell({"mean": summary.mean, "sd": summary.sd, "n": summary.n})


if __name__ == "__main__":
    sys.exit(main())
