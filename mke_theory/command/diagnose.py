"""`mke diagnose`: is a second modality worth training on, before any of its labels are known."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from mke_theory.audit import Diagnosis, diagnose
from mke_theory.command.calls import asked, interrupted, refused
from mke_theory.command.fit import Input, print_found
from mke_theory.command.tables import Data
from mke_theory.data.answers import as_logits
from mke_theory.data.console import forgiving_console
from mke_theory.report.verdict_page import write_verdict

ASSUMED = (
    "The teacher's answers on labelled samples are of models that were not trained on them.",
    "The predicted gain is that of the sum of the teacher's and the second modality's evidence, if "
    "the two are independent given the class. Where they are not it is too large, often by much.",
)
UNCHECKED = (
    "Dependence that is too weak to be seen at this size: the last lines say what would be.",
    "What a student gains: train it, and audit it.",
)


@dataclass(frozen=True)
class Options(Input):
    """Ask what a second modality promises, from a teacher's answers and a few labels.

    Without --teacher-answers a teacher is trained on the labelled samples, and cross-fitted.
    """

    page: Path | None = None
    """Write the answer as a page of HTML too, into this file."""


@forgiving_console()
def main(argv: Sequence[str]) -> int:
    """0 with a diagnosis, 1 without its page, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, None, "mke diagnose")
    try:
        data = options.read()
        print_found(data)
        found, classes = diagnosis_of(options, data)
    except (OSError, TypeError, ValueError) as problem:
        return refused(problem)
    except KeyboardInterrupt:
        return interrupted()
    print(found)
    if options.page is None:
        return 0
    shares = {
        name: "none" if share is None else f"{share:.1%}"
        for name, share in zip(classes, found.changed_by_class, strict=True)
    }
    try:
        print(
            write_verdict(
                options.page,
                "Is the second modality worth training on?",
                str(found).splitlines(),
                tables={
                    "Samples that would change, by the teacher's class": pd.DataFrame(
                        {"share": shares}
                    ).rename_axis("class")
                },
                assumed=ASSUMED,
                unchecked=UNCHECKED,
                command=shlex.join(["mke", "diagnose", *argv]),
            )
        )
    except OSError as problem:
        print(f"failed: {problem}", file=sys.stderr)
        return 1
    return 0


def diagnosis_of(options: Options, data: Data) -> tuple[Diagnosis, list[str]]:
    """The diagnosis, and the names of the classes."""
    if data.answers is None:
        student = options.student(data)
        return student.diagnose(), [str(one) for one in student.classes_]
    names = list(data.modalities)
    alpha = options.alpha or names[0]
    if alpha not in names or len(names) < 2:
        raise ValueError(f"alpha is {alpha!r} of {', '.join(names)}; one other has to be there too")
    p = softmax(as_logits("answers", data.answers).double().numpy(), axis=1)
    betas = [x for name, x in data.modalities.items() if name != alpha]
    beta = np.concatenate([x.reshape(len(x), -1).astype(np.float64) for x in betas], axis=1)
    known = np.array([label is not None for label in data.labels])
    classes = sorted({label for label in data.labels if label is not None})
    if known.any() and len(classes) != p.shape[1]:
        raise ValueError(
            f"there are answers for {p.shape[1]} classes, but labels of {len(classes)}: "
            f"{', '.join(map(str, classes))}; give a label of each"
        )
    labelled = None
    if known.any():
        numbers = {label: number for number, label in enumerate(classes)}
        labelled = p[known], np.array([numbers[label] for label in data.labels[known]])
    found = diagnose(p[~known], beta[~known], labelled=labelled, seed=options.seed)
    return found, [str(one) for one in classes] or [str(k) for k in range(p.shape[1])]
