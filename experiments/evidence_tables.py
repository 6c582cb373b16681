"""Tables of evidence students: beside MKE with its tuned recipe, and among the other methods.

Not a study of its own: `publish.py` makes both from records of `run_real.py` and
`semi_supervised.py`. Differences are in percentage points on test, paired by seed, with Student's
95% interval, not corrected for the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from semi_supervised import difference, gain, percent, table

from mke_theory.evaluation.stats import summarise
from mke_theory.report.tables import named
from mke_theory.study.arms import EVIDENCE, MM_STUDENT, REFERENCE
from mke_theory.study.records import Record

EQUAL = (
    ("noisy_student_both", "co_training_both"),
    (
        "experts_both",
        "experts_corrected_both",
        "experts_rounds_both",
        "experts_distilled_both",
        "late_average_both",
    ),
)
"""Rivals and entrants of equal updates: one budget, shared out."""
MORE = (("noisy_student_more_both", "co_training_more_both"), ("experts_rounds_more_both",))
"""Those with the whole budget in each of their trainings."""


def beside_mke(rows: Sequence[Record]) -> str:
    """A line a task: teacher, MM student and evidence student on test, and their differences."""
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        teacher, plain, evidence = (
            of_arm(rows, task, arm) for arm in (REFERENCE, MM_STUDENT.name, EVIDENCE.name)
        )
        if not (teacher and plain and evidence):
            continue
        lines.append(
            {
                "task": named(plain[0]),
                "UM teacher": percent(tests(teacher)),
                MM_STUDENT.title: percent(tests(plain)),
                EVIDENCE.title: percent(tests(evidence)),
                "gain of evidence": gain(difference(evidence, teacher)),
                "evidence over MKE": gain(difference(evidence, plain)),
            }
        )
    return table(pd.DataFrame(lines))


def among_methods(rows: Sequence[Record]) -> str:
    """A line a problem: the best of Noisy Student and co-training, and each entrant's difference.

    At equal updates first, then with the whole budget in each training. The best is that of the
    greatest mean on test: chosen with test in sight, in its favour.
    """
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        line = {"problem": task, "teacher": percent(tests(of_arm(rows, task, REFERENCE)))}
        for title, (rivals, entrants) in (("best rival", EQUAL), ("best, more updates", MORE)):
            found = [own for arm in rivals if (own := of_arm(rows, task, arm))]
            if not found:
                continue
            best = max(found, key=lambda own: summarise(tests(own)).mean)
            line[title] = f"{percent(tests(best))}, {best[0].arm_title}"
            for arm in entrants:
                if own := of_arm(rows, task, arm):
                    line[own[0].arm_title] = gain(difference(own, best))
        lines.append(line)
    return table(pd.DataFrame(lines).fillna("not available"))


def of_arm(rows: Sequence[Record], task: str, arm: str) -> list[Record]:
    """The records of an arm on a task."""
    return [row for row in rows if row.task == task and row.arm == arm]


def tests(rows: Sequence[Record]) -> list[float]:
    """Accuracies on test."""
    return [row.metrics["test"] for row in rows]
