"""Labels for a certificate: those that its worst labelling points at, against random ones.

Claim: none in advance. A bound holds however its labels were chosen, so that choosing costs
nothing. The table says whether labels that are looked up where the worst labelling is wrong bring
it down by more than as many drawn at random.

    python experiments/label_choice.py --data-root data --seeds 3
    python experiments/label_choice.py --tasks digits --seeds 1

Pools and graphs are those of `certificates.py`, which trains the same students; ε and μ are the
truth's. The graph of α alone is left out, where certificates are next to trivial.

Hardware: two CPU cores, about ten minutes a student on a busy machine; it can be stopped and goes
on where it was. Nothing is published of it yet.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out

import certificates

from mke_theory.command.calls import asked, until_interrupted
from mke_theory.data.console import forgiving_console
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation.stats import summarise
from mke_theory.report.tables import cell
from mke_theory.study.keys import config_hash
from mke_theory.study.records import Record
from mke_theory.study.task import Task
from mke_theory.study.theory_on_runs import predictions_on_disk
from mke_theory.theory.appraise import NEIGHBOURS, spaces
from mke_theory.theory.certificates import Certificate, label_free, next_labels
from mke_theory.theory.graph import edge_inconsistency, nearest_neighbours
from mke_theory.theory.labelled_pool import LabelledPool

BATCHES = (5, 5, 10, 10, 20)
"""Labels chosen at a time: each batch by the certificate of all before it."""
SHOWN = (10, 20, 50)
"""The numbers of labels at which the bounds are compared."""
KINDS = ("β", "both", "own")


@dataclass(frozen=True)
class Options(certificates.Options):
    """Train the MM students that are missing, certify them label by label, write the table."""

    seeds: int = 3
    """Number of seeds, 0 to seeds − 1."""
    out: Path = Path("results/label_choice")
    """Folder for records and the table."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where all went well, 1 where something failed, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """Do what is missing, then print and write what was found."""
    return certificates.on_students(options, "label_choice", key_of, compare, markdown)


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
