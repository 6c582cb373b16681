"""The messages of an evidence student: all that its reader should know, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.method.evidence.arithmetic import HOTTEST

if TYPE_CHECKING:
    from mke_theory.method.evidence.state import EvidenceState

COPIED = 0.995
"""A student that agrees with its teacher on so much of D_u has copied it."""
FEW = 5
"""A class with fewer labels than this has an uncertain share."""
SHIFTED = 4.0
"""Z of a class's mean probability on D_u against D_l above which their shares seem to differ. In 60
draws of `arrays` without a difference (40 or 140 labels, 2 or 3 classes, a third of them with
shares of 0.85, 0.12 and 0.03) it never passed 3; with shares of 0.15 and 0.85 on D_u for halves on
D_l it passed 4 in 12 of 20."""
MANY = 10.0
"""A ratio above this rests on pairs that tell next to nothing of the class: no number is given."""


def messages(state: EvidenceState) -> Iterator[str]:
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
                f"(z = {z:.1f}): its expert is no better than the classes' shares, and drops out"
            )
        if verdict == "redundant":
            found = state.redundancy[beta]
            more = f"{found.ratio:.1f} times" if found.ratio < MANY else "many times"
            yield (
                f"{name} mostly repeats what {alpha} says: within a class {found.shared:.0%} of "
                f"its evidence can be foretold, {more} what the class explains; in full it would "
                "count twice, so the student keeps close to its teacher; pairs with labels would "
                "tell more"
            )
    named = state.posterior().argmax(-1)
    known = state.sites.repeated(state.present[state.job.alpha])
    agrees = float((named == state.site_scores.argmax(-1))[known].double().mean())
    if agrees >= COPIED:
        yield (
            f"it has copied its teacher: on {agrees:.1%} of the unlabelled samples that the "
            "teacher can read it names the same class"
        )
    absent = sorted(set(range(state.classes)) - set(state.classes_among(named)))
    if absent:
        yield f"it names class {', '.join(map(str, absent))} for no unlabelled sample"


def _calibration(state: EvidenceState) -> Iterator[str]:
    if state.honest is None and state.settings.calibrated:
        how = "is 1, since pairs tell nothing" if state.all_weak else "was chosen by the pairs"
        yield (
            f"the teacher's temperature {how}: nobody answered labels that were not trained on, by "
            "which it is else found"
        )
    elif state.honest is not None and state.temperature >= HOTTEST:
        yield (
            f"the teacher's temperature is at its limit of {HOTTEST:.0f}: on the "
            f"{len(state.honest.labels)} labels that it was not trained on its confidence says "
            "next to nothing of the class"
        )
    yield from _shift(state)
    labelled = state.job.labelled
    if labelled is None or not state.prior_from.startswith("labels of D_l"):
        return
    what = "questions" if state.job.multilabel else "classes"
    few = [f"{k} ({int(n)})" for k, n in enumerate(_counts(state, labelled)) if n < FEW]
    if few:
        yield f"{what} with fewer than {FEW} labels have uncertain shares: {', '.join(few)}"


def _counts(state: EvidenceState, labelled: Pool) -> list[int]:
    """The labels of each class in D_l, or for several questions the fewer of yes and no."""
    labels = labelled.labels
    if state.job.multilabel:
        yes, no = (labels >= 0.5).sum(0), ((labels >= 0) & (labels < 0.5)).sum(0)
        return torch.minimum(yes, no).tolist()
    return torch.bincount(labels[labels != UNKNOWN].long(), minlength=state.classes).tolist()


def _shift(state: EvidenceState) -> Iterator[str]:
    """A line where the honest answers on D_l have other means than the same models' on D_u.

    The teacher itself would not do: it has seen D_l, and is surer than those models. For one class
    a sample alone, as neighbouring pixels are no independent samples.
    """
    honest = state.honest
    if honest is None or honest.on_unlabelled is None or state.prior_from != "labels of D_l":
        return
    on_l, on_u = torch.softmax(honest.logits / honest.temperature, 1), honest.on_unlabelled
    if min(len(on_l), len(on_u)) < 2:
        return
    spread = (on_l.var(0) / len(on_l) + on_u.var(0) / len(on_u)).sqrt().clamp(min=1e-9)
    z = (on_u.mean(0) - on_l.mean(0)) / spread
    k = int(z.abs().argmax())
    if abs(float(z[k])) > SHIFTED:
        yield (
            f"the teacher gives class {k} {float(on_u[:, k].mean()):.0%} on D_u and "
            f"{float(on_l[:, k].mean()):.0%} on D_l (z = {float(z[k]):.1f}): shares of the classes "
            "may differ there, and those of D_l were counted; where they are known, give prior"
        )
