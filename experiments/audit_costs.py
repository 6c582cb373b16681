"""Labels that it takes to show that a student is better, on every task with committed records.

Claim: an audit shows at 95% that a student is better than its teacher by fewer labels than the same
test on labels drawn from all samples, and without choosing their number in advance.

    python experiments/audit_costs.py

A pool is D_u of one task, student and seed. Its record says on how many samples the student alone
is right, the teacher alone, and neither while they differ: that is all that an audit depends on,
beside the order, of which 400 are drawn for each pool. Columns:

labels: of `compare`, one-sided at 95%; where the student gains nothing they lead to no verdict.
uniform: the same test, its labels drawn from all of D_u instead of where the two differ.
McNemar: the smallest number at which the exact one-sided test, made once on so many samples that
differ, rejects in half (in 90%) of the orders: to choose it one has to know the answer.

Records of tasks with a class for each pixel count pixels, while the sample of an audit is a
picture: they are left out.

Hardware: one CPU core, two minutes.
Expected, medians over seeds: 6 to 46 labels wherever the gain is above 5 points (90% of orders: 6
to 97), a half to a thirteenth of uniform ones, and 1.2 to 1.7 times the number that McNemar's test
would need if one knew it beforehand. Of pools without a gain about 1% of orders end in "better".
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import bdtrc
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from semi_supervised import percent

from mke_theory.audit.betting import Floats, log_evidence
from mke_theory.command.calls import asked, finished, refuse_below_one
from mke_theory.data.console import forgiving_console
from mke_theory.data.rng import seed_for
from mke_theory.study.arms import ARMS, EVIDENCE, MM_STUDENT
from mke_theory.study.records import Record

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "paper" / "results"
SOURCES = {"evidence": "", "few": ", 5 labels a class"}
"""Files of records, and what is added to the names of their tasks."""
STUDENTS = (MM_STUDENT.name, EVIDENCE.name)
ALPHA = 0.05
COUNTS = ("corrected", "damaged", "inherited", "copied", "n")


@dataclass(frozen=True)
class Options:
    """Draw orders of every pool with a committed record, and count labels."""

    orders: int = 400
    """Orders drawn for each pool."""
    out: Path = Path("results/audit_costs")
    """Folder for the table."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 for a bad call or where there are no records."""
    options = asked(Options, argv, __doc__)
    return finished(partial(run, options))


def run(options: Options) -> list[Path]:
    """The file audit_costs.csv, a row a pool, and its table."""
    refuse_below_one(options, "orders")
    found = [row for row in pools() if row["differing"]]
    rows = pd.DataFrame(
        [pool | costs(pool, options.orders) for pool in tqdm(found, desc="pools", unit="pool")]
    )
    options.out.mkdir(parents=True, exist_ok=True)
    table, page = options.out / "audit_costs.csv", options.out / "audit_costs.md"
    rows.to_csv(table, index=False)
    text = markdown(rows)
    print(text)
    page.write_text(text, encoding="utf-8")
    return [table, page]


def pools() -> list[dict[str, object]]:
    """The counts of every pool: D_u of a task, a student and a seed."""
    found = []
    for source, added in SOURCES.items():
        lines = (COMMITTED / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()
        for record in map(Record.of, map(json.loads, lines)):
            if record.arm in STUDENTS and not of_pixels(record):
                found.append({"task": record.task + added, **counted(record)})
    return found


def of_pixels(record: Record) -> bool:
    """True where the account counts more than samples."""
    by_class = record.account["unlabelled"]["by_class"]
    return sum(part["n"] for part in by_class) > record.counts["unlabelled"]


def counted(record: Record) -> dict[str, object]:
    """Student, seed, and the samples on which it, its teacher or neither is right."""
    parts = record.account["unlabelled"]["by_class"]
    total = {name: sum(part[name] for part in parts) for name in COUNTS}
    neither = total["inherited"] - total["copied"]
    return {
        "arm": record.arm,
        "seed": record.seed,
        "samples": total["n"],
        "differing": total["corrected"] + total["damaged"] + neither,
        "student right": total["corrected"],
        "teacher right": total["damaged"],
        "neither": neither,
    }


# Labels


def costs(pool: Mapping[str, Any], orders: int) -> dict[str, float]:
    """The median and the 90% quantile of labels over orders; infinite where none is enough."""
    counts = [pool[name] for name in ("student right", "teacher right", "neither")]
    values = np.repeat([1.0, 0.0, 0.5], counts)
    random = np.random.default_rng(seed_for(pool["seed"], "audit costs", pool["task"], pool["arm"]))
    drawn = random.permuted(np.tile(values, (orders, 1)), axis=1)
    places = random.permuted(np.tile(np.arange(pool["samples"]) < len(values), (orders, 1)), axis=1)
    labels = np.array([labels_needed(order, ALPHA) for order in drawn])
    either = np.array([labels_needed(order, ALPHA / 2) for order in drawn])
    uniform = np.array(
        [
            np.flatnonzero(place)[int(n) - 1] + 1 if n < math.inf else n
            for place, n in zip(places, labels, strict=True)
        ]
    )
    half, most = mcnemar_sizes(drawn, (0.5, 0.9))
    return {
        "shown": float((labels < math.inf).mean()),
        "labels": middle(labels, 0.5),
        "labels, 90%": middle(labels, 0.9),
        "two-sided": middle(either, 0.5),
        "uniform": middle(uniform, 0.5),
        "uniform, 90%": middle(uniform, 0.9),
        "McNemar": half,
        "McNemar, 90%": most,
    }


def labels_needed(order: Floats, alpha: float) -> float:
    """The labels in this order until the student is shown to be better, or infinity."""
    path = log_evidence(order, len(order) / 2, len(order))
    reached = np.flatnonzero(path >= -math.log(alpha))
    return float(reached[0] + 1) if len(reached) else math.inf


def mcnemar_sizes(drawn: Floats, powers: Sequence[float]) -> list[float]:
    """For each power the smallest number of labels at which a test made once rejects so often.

    The test is McNemar's, exact and one-sided; drawn: orders of all values [orders, m].
    """
    right, wrong = (np.cumsum(drawn == value, axis=1) for value in (1.0, 0.0))
    # P(at least `right` of right + wrong fair coins): those that only one of them gets right count.
    p = np.where(right > 0, bdtrc(right - 1, right + wrong, 0.5), 1.0)
    power = (p <= ALPHA).mean(axis=0)
    found = [np.flatnonzero(power >= share) for share in powers]
    return [float(at[0] + 1) if len(at) else math.inf for at in found]


def middle(labels: Floats, share: float) -> float:
    """The smallest number that this share of the orders does not exceed."""
    return float(np.sort(labels)[math.ceil(share * len(labels)) - 1])


# Tables


def markdown(rows: pd.DataFrame) -> str:
    """The page of results: labels by task and student, then the pools without a gain."""
    gain = (rows["student right"] - rows["teacher right"]) / rows["samples"]
    found = rows.assign(gain=gain)
    return "\n\n".join(
        [
            "### Pools with a gain",
            _markdown(by_task(found[found["gain"] > 0])),
            "### Pools without a gain",
            _markdown(without_gain(found[found["gain"] <= 0])),
            "",
        ]
    )


def by_task(found: pd.DataFrame) -> pd.DataFrame:
    """A line for each task and student, over its seeds."""
    lines = []
    for (task, arm), own in found.groupby(["task", "arm"], sort=False):
        shares = [
            f"{100 * own[name].sum() / own['differing'].sum():.0f}"
            for name in ("student right", "teacher right", "neither")
        ]
        lines.append(
            {
                "task": task,
                "student": ARMS[str(arm)].title,
                "gain": percent(own["gain"].tolist()),
                "differ": percent((own["differing"] / own["samples"]).tolist()),
                "right: student / teacher / neither": " / ".join(shares),
                "labels": spread(own["labels"]),
                "90% of orders": spread(own["labels, 90%"]),
                "two-sided": spread(own["two-sided"]),
                "uniform": spread(own["uniform"]),
                "uniform, 90%": spread(own["uniform, 90%"]),
                "McNemar": spread(own["McNemar"]),
                "McNemar, 90%": spread(own["McNemar, 90%"]),
            }
        )
    return pd.DataFrame(lines)


def without_gain(found: pd.DataFrame) -> pd.DataFrame:
    """A line for each task and student: how often its pools without a gain seemed to have one."""
    lines = []
    for (task, arm), own in found.groupby(["task", "arm"], sort=False):
        lines.append(
            {
                "task": task,
                "student": ARMS[str(arm)].title,
                "gain": percent(own["gain"].tolist()),
                'orders that end in "better", mean': f"{100 * own['shown'].mean():.1f}%",
                "most of a pool": f"{100 * own['shown'].max():.1f}%",
            }
        )
    return pd.DataFrame(lines)


def spread(values: pd.Series) -> str:
    """The median over pools with the lowest and the highest; "none" where no number is enough."""
    ends = (middle(values.to_numpy(), 0.5), values.min(), values.max())
    center, low, high = ("none" if math.isinf(x) else f"{x:.0f}" for x in ends)
    return f"{center} [{low}, {high}]"


def _markdown(table: pd.DataFrame) -> str:
    return table.to_markdown(index=False, disable_numparse=True)


if __name__ == "__main__":
    sys.exit(main())
