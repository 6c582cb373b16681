"""What a reader of an evidence student should know, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from mke_theory.data.pool import UNKNOWN

if TYPE_CHECKING:
    from mke_theory.method.evidence.state import State

COPIED = 0.995
"""A student that agrees with its teacher on so much of D_u has copied it."""
FEW = 5
"""A class with fewer labels than this has an uncertain share."""


def messages(state: State) -> Iterator[str]:
    """A line for everything that went another way than it should, or rests on little."""
    alpha = " and ".join(state.job.alpha)
    yield from _calibration(state)
    for beta in state.betas:
        name, z = beta[0], state.usefulness[beta]
        verdict = state.verdicts[beta]
        if z < -2:
            yield (
                f"{name} speaks against the teacher's answers (z = {z:.1f}): its expert is worse "
                "than chance; are the pairs matched?"
            )
        elif verdict == "weak":
            yield (
                f"{name} says nothing of the teacher's answers that can be told from chance "
                f"(z = {z:.1f}): its expert is no better than the classes' shares, and it took no "
                "part in rounds"
            )
        if verdict == "redundant":
            found = state.redundancy[beta]
            yield (
                f"{name} mostly repeats what {alpha} says: within a class {found.shared:.0%} of "
                f"its evidence can be foretold, {found.ratio:.1f} times what the class explains; "
                "in full it would count twice, so the student keeps close to its teacher; look "
                "up about twenty labels to know more"
            )
    named = state.posterior().argmax(1)
    agrees = float((named == state.logits.argmax(1)).double().mean())
    if agrees >= COPIED:
        yield (
            f"it has copied its teacher: on {agrees:.1%} of the unlabelled samples it names the "
            "same class"
        )
    absent = sorted(set(range(state.classes)) - set(named.unique().tolist()))
    if absent:
        yield f"no round names class {', '.join(map(str, absent))} for any unlabelled sample"


def _calibration(state: State) -> Iterator[str]:
    if state.honest is None:
        yield (
            "the teacher's temperature was chosen without labels, by the pairs: nobody answered "
            "labels that were not trained on"
        )
    labelled = state.job.labelled
    if state.prior_from != "labels of D_l" or labelled is None:
        return
    counts = torch.bincount(labelled.labels[labelled.labels != UNKNOWN], minlength=state.classes)
    few = [f"{k} ({int(n)})" for k, n in enumerate(counts) if n < FEW]
    if few:
        yield f"classes with fewer than {FEW} labels have uncertain shares: {', '.join(few)}"
