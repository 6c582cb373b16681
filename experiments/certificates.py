"""The size of label-free certificates, by side information: digits and av_digits, both ways.

Claim. With the teacher's error ε and the truth's inconsistency μ on a nearest-neighbour graph, and
no label of D_u, the student of MKE is certified to err less than its teacher. The table shows on
which graph, by how much, what further side information adds, and how far μ may be off.

    python experiments/certificates.py --data-root data       all tasks whose data are found
    python experiments/certificates.py --seeds 2 --tasks digits

ε and μ are handed over from the truth, except in the row in which ε comes from validated samples.
The last row needs no theory: the same number of looked-up labels, used directly.

Hardware: two CPU cores, about fifteen minutes; it can be stopped and goes on where it was.
Expected: `docs/results/generated/certificates.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro

from mke_theory.command.calls import asked, ready_tasks, refused, until_interrupted
from mke_theory.data.console import forgiving_console
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation.stats import clopper_pearson, summarise
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
from mke_theory.theory.certificates import (
    Infeasible,
    breakdown,
    class_shares,
    confusion_between,
    label_free,
    teacher_error_from_validation,
)
from mke_theory.theory.graph import edge_inconsistency, nearest_neighbours
from mke_theory.theory.labelled_pool import LabelledPool

CHOSEN = ("digits", "av_digits", "av_digits_image")
LOOKED_UP = 50
"""Pairs of D_u whose class somebody looks up, in the row of that name."""
VALIDATED = 0.2
"""The share of D_u whose α samples are validated, in the row of that name."""
CONFUSION = 0.005
"""The error allowed in each cell of the confusion matrix, a share of the pool."""
KINDS = ("α", "β", "both", "own")
DIRECT = f"no graph: {LOOKED_UP} labels, 95% limit"


@dataclass(frozen=True)
class Options:
    """Train the MM students that are missing, certify them, print and write the table."""

    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = CHOSEN
    """Tasks; those whose data are not found are skipped."""
    seeds: int = 5
    """Number of seeds, 0 to seeds − 1."""
    data_root: Path | None = None
    """Folder with one sub-folder a data set. Default: $MKE_DATA_ROOT, else ./data."""
    out: Path = Path("results/certificates")
    """Folder for records and the table."""
    workers: int = field(default_factory=available_cores)
    """Students trained and certified at the same time."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where all went well, 1 where something failed, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """Do what is missing, then print and write what was found."""
    return on_students(options, "certificates", key_of, certify, markdown)


def on_students(
    options: Options,
    name: str,
    key_of: Callable[[Record], str],
    work: Callable[..., Record],
    markdown: Callable[[Sequence[Record]], str],
) -> int:
    """The exit code of a study of MM students, which are trained where they are missing.

    `work` makes the record of `key_of` from a student's, given `tasks` by name and the `folder` of
    its predictions. These records go to the sub-folder `name`, and the table to `name`.md.
    """
    try:
        root = data_root_or_default(options.data_root)
        known = {name: task.at(root) for name, task in TASKS.items()}
        tasks = ready_tasks(known, options.tasks, insist=False)
        runs, _ = feasible(plan(tasks, [MM_STUDENT], range(options.seeds)))
        configuration = RunConfiguration(options.out, workers=options.workers)
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    with kept, records.Records.open(options.out / name) as finished:
        done, failures = execute(runs, kept, configuration)
        students = {key_of(record): record for record in done if record.arm == MM_STUDENT.name}
        rows, lost = record_all(
            students,
            partial(work, tasks=known, folder=options.out),
            finished,
            workers=options.workers,
            title=name,
        )
    if rows:
        text = markdown(rows)
        print(text)
        print(records.write_atomic(options.out / f"{name}.md", text))
    lines = [f"{failure.run}: {failure.error}" for failure in failures]
    lines += [f"{name} of {of.task} seed {of.seed}: {error}" for of, error in lost]
    for line in lines:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if lines else 0


def key_of(record: Record) -> str:
    """The key of the record of a student's certificates."""
    return config_hash({"certificates of": record.key})


def certify(record: Record, *, tasks: Mapping[str, Task], folder: Path) -> Record:
    """All certificates of one student, on every graph."""
    problem, answers = predictions_on_disk(record, tasks[record.task], folder)
    inputs = {name: x.numpy() for name, x in problem.unlabelled.inputs.items()}
    found = {}
    for _, kind, points in spaces(inputs, problem.teacher_modalities, answers["embedding"]):
        graph = nearest_neighbours(points, NEIGHBOURS)
        truth = problem.truth.labels.numpy()
        pool = LabelledPool(graph, answers["pseudo"], answers["student"], problem.classes, truth)
        climbed = rungs(pool, record.seed)
        # On α alone even the first certificate is next to the trivial one; no more is tried there.
        found[kind] = dict([next(climbed)] if kind == "α" else climbed)
    numbers = {
        "teacher": pool.teacher_error,
        "student": pool.student_error,
        "trivial": pool.teacher_error + pool.disagreement,
        DIRECT: directly(pool, record.seed),
    }
    return Record(
        key=key_of(record),
        task=record.task,
        title=record.title,
        arm=record.arm,
        seed=record.seed,
        config_hash=record.config_hash,
        metrics=numbers,
        extra={"rungs": found},
    )


def rungs(pool: LabelledPool, seed: int) -> Iterator[tuple[str, float | None]]:
    """(side information, the certificate), each one label-free but for the labels it names.

    None stands where the assumptions contradict each other, which true ones cannot.
    """
    graph, truth, classes = pool.graph, pool.known_truth, pool.classes
    error, mu = pool.teacher_error, edge_inconsistency(graph, truth)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (pool.pseudo, truth), graph.weights)
    shares = joint.sum(axis=0)
    drawn = np.random.default_rng(seed32_for(seed, "looked up"))
    known = np.full(graph.n, -1)
    looked_up = drawn.choice(graph.n, LOOKED_UP, replace=False)
    known[looked_up] = truth[looked_up]
    with_known = partial(bound, pool, known_labels=known)
    yield "ε, μ", bound(pool, error=error, inconsistency=mu)
    for factor in (1.25, 1.5, 2.0):
        yield f"ε, {factor:g} μ", bound(pool, error=error, inconsistency=min(1, factor * mu))
    yield "ε validated, μ", bound(pool, error=validated(pool, seed), inconsistency=mu)
    yield f"ε, μ, {LOOKED_UP} labels", with_known(error=error, inconsistency=mu)
    at_shares = class_shares(shares, np.minimum(shares, 1))
    yield "ε, μ, class shares", bound(pool, error=error, inconsistency=mu, facts=at_shares)
    cells = confusion_between(np.maximum(joint - CONFUSION, 0), np.minimum(joint + CONFUSION, 1))
    yield "ε, μ, confusion", bound(pool, error=error, inconsistency=mu, facts=cells)
    stands = breakdown(pool, "inconsistency", error=error, inconsistency=mu, steps=4)
    yield "breakdown μ/μ", None if stands.limit is None or mu == 0 else stands.limit / mu


def bound(pool: LabelledPool, **assumed: Any) -> float | None:
    """The value of the certificate, None where its assumptions contradict each other."""
    try:
        return label_free(pool, **assumed).value
    except Infeasible:
        return None


def validated(pool: LabelledPool, seed: int) -> Any:
    """The 95% limit on ε after a random fifth of the pool has been validated."""
    drawn = np.random.default_rng(seed32_for(seed, "validated"))
    n = pool.graph.n
    rows = drawn.choice(n, round(VALIDATED * n), replace=False)
    errors = int((pool.pseudo != pool.known_truth)[rows].sum())
    return teacher_error_from_validation(errors, len(rows), n, pool.classes)


def directly(pool: LabelledPool, seed: int) -> float:
    """The one-sided 95% limit on the student's error from the looked-up labels alone."""
    drawn = np.random.default_rng(seed32_for(seed, "looked up"))
    rows = drawn.choice(pool.graph.n, LOOKED_UP, replace=False)
    wrong = int((pool.student != pool.known_truth)[rows].sum())
    return clopper_pearson(wrong, LOOKED_UP, level=0.9).high


def markdown(rows: Sequence[Record]) -> str:
    """A table a task: side information by graph, in percent, mean ± sd (seeds)."""
    parts = []
    for task in dict.fromkeys(record.task for record in rows):
        own = [record for record in rows if record.task == task]
        parts.append(f"## {own[0].title}\n\n{table(own).to_markdown()}\n")
    return "\n".join(parts)


def table(own: Sequence[Record]) -> pd.DataFrame:
    """A row for each rung and column for each graph; * marks means below the teacher's error."""
    teacher = np.mean([record.metrics["teacher"] for record in own])
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS[::-1]:  # the longest ladders first, so that rows keep their order
        for rung in own[0].extra["rungs"].get(kind, {}):
            values = [record.extra["rungs"][kind][rung] for record in own]
            found.setdefault(rung, {})[kind] = _shown(rung, values, float(teacher))
    result = pd.DataFrame.from_dict(found, orient="index")[[*KINDS]].fillna("not tried")
    for name in ("trivial", DIRECT, "teacher", "student"):
        values = [record.metrics[name] for record in own]
        label = {"trivial": "no graph: ε + L01(f, ỹ)"}.get(name, name)
        result.loc[label] = [_shown(name, values, float(teacher))] * len(result.columns)
    return result.rename_axis("known")


def _shown(rung: str, values: Sequence[float | None], teacher: float) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return f"none (of {len(values)})"
    summary = summarise(there)
    if rung.startswith("breakdown"):
        spread = "" if summary.sd is None else f" ± {summary.sd:.2f}"
        return f"{summary.mean:.2f}{spread} ({summary.n} of {len(values)})"
    below = "*" if summary.mean < teacher and rung not in ("student", "teacher") else ""
    return cell({"mean": summary.mean, "sd": summary.sd, "n": summary.n}) + below


if __name__ == "__main__":
    sys.exit(main())
