"""The breakdown point: the largest ε or μ at which a student is still certified to be better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.certificates.certificate import worst_truth
from mke_theory.theory.certificates.methods import every_method
from mke_theory.theory.certificates.side_information import Fact, teacher_error_at_most
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.labelled_pool import LabelledPool

_NEXT_TO_NONE = 1e-6
_MARGIN = 1e-6
"""A student that is better by less does not count as better."""


@dataclass(frozen=True)
class Breakdown:
    """At every value up to `limit` the student is certified to err less than its teacher.

    None where it is not certified at any. `of` names the assumption that is varied.
    """

    of: str
    limit: float | None


def breakdown(
    pool: LabelledPool,
    of: Literal["inconsistency", "error"],
    *,
    error: float,
    inconsistency: float,
    form: Form = "edge",
    facts: tuple[Fact, ...] = (),
    known_labels: ArrayLike | None = None,
    steps: int = 8,
) -> Breakdown:
    """The largest μ (or ε) at which Err(f) < Err(ỹ) is still certified, the other held fixed.

    The certified bound is concave in each limit, and its multiplier is a tangent that bounds it
    everywhere: below the place where a tangent crosses zero the student is certified. The search
    goes on from there, or from the middle of the interval left where that is nearer; every step
    leaves a valid limit, and `steps` are made at most. Raises ValueError where `of` names neither,
    and as `label_free` does.
    """
    if of not in ("inconsistency", "error"):
        raise ValueError(f"of is {of!r}; choose 'inconsistency' or 'error'")
    problem = worst_truth(pool, error, inconsistency, form, facts, known_labels, gain=True)
    # At μ = 0 whole components are alike, whatever ν: that is no tangent.
    least = _NEXT_TO_NONE if of == "inconsistency" else 0.0
    now = error if of == "error" else max(inconsistency, least)
    best: float | None = None
    # Nothing is certified from `high` on, and nothing new is found up to `low`.
    low, high = least - _MARGIN, 1.0
    for _ in range(steps):
        if of == "error":
            limit = teacher_error_at_most(now, pool.classes)
            problem = replace(problem, facts=(limit, *facts))
        else:
            problem = replace(problem, most=now)
        found = min(every_method(problem, pool.student, 1), key=lambda one: one.value)
        if found.value == -np.inf:
            low, now = now, (now + high) / 2  # there is nothing to certify here or below
            continue
        slope = float(found.prices[0]) if of == "error" else found.inconsistency_price
        over = found.value + _MARGIN
        crossing = now - over / slope if slope > 0 else np.copysign(np.inf, -over)
        crossing = min(max(crossing, least), 1.0)
        if over > 0:
            high = now
        else:  # a labelling that is allowed here is allowed at every larger limit
            low = best = max(now, crossing)
        if high - low <= _MARGIN or -_MARGIN <= over <= 0:
            break
        usable = now < crossing if over <= 0 else low < crossing < high
        now = crossing if usable else (max(low, least) + high) / 2
    return Breakdown(of, best)
