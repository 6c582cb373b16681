"""A student corrects its teacher inside a class where good points expand onto bad ones.

S_i holds the points of true class i, S_good those that the teacher labels right, S_bad the others,
a = P(S_bad | S_i). The subsets U of S_good expand with (c, q) on S_bad when P(U | S_good) > q
implies P(N(U) | S_bad) ≥ c P(U | S_good). With c' = c/(1 − a + ca), a student f that satisfies
P(f ≠ ỹ or f not robust | S_i) ≤ 1 − q − a has

    Err(f | S_i) ≤ [L01(f, ỹ | S_i) − a (2c' − 1) + 2c'a P(f not robust | S_i)] / (1 − 2c'a).

Robust at x means constant on N(x), with the *same* N that expands: one step of the graph for both
(`steps` = 1) or two for both. To expand by two steps and ask for robustness within one is false.
The robust points of S_good that f labels right are the set U that the proof expands; every point of
N(U) is then labelled right as well, so on S_bad the student has left its teacher.
Ref: lang2024theoretical, Theorem B.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mke_theory.theory.bounds.bound import (
    ROUNDING,
    Bound,
    Hypothesis,
    Mask,
    Measured,
    checked_share,
    compared,
    exceeds,
    lower_end,
    number,
    student_error_on,
    trivial_error,
)
from mke_theory.theory.expansion.relative import (
    RelativeExpansionProfile,
    certified_constant,
    relative_expansion_profile,
)
from mke_theory.theory.graph import Graph, Ints, inconsistent
from mke_theory.theory.labelled_pool import LabelledPool


def corrected_error_bound(
    disagreement: float, not_robust: float, wrong_share: float, expansion: float
) -> float:
    """At least Err(f | S_i); `wrong_share` is a, `expansion` c, the other two shares of S_i.

    [L01 − a (2c' − 1) + 2c'a P(not robust)] / (1 − 2c'a), c' = c/(1 − a + ca). Raises ValueError
    for a share outside [0, 1], a not clearly below 1/2, c outside [0, 1] (S_good itself expands by
    at most 1).
    Ref: lang2024theoretical, Theorem B.1.
    """
    apart = checked_share("disagreement", disagreement)
    rough = checked_share("not_robust", not_robust)
    a = checked_share("wrong_share", wrong_share)
    if not exceeds(0.5, a):
        raise ValueError(f"wrong_share is {a}; the formula needs less than 1/2, clearly")
    c = checked_share("expansion", expansion)
    relative = c / (1 - a + c * a)
    return (apart - a * (2 * relative - 1) + 2 * relative * a * rough) / (1 - 2 * relative * a)


def for_class(
    pool: LabelledPool,
    label: int,
    *,
    expansion: Measured = None,
    q: float | None = None,
    steps: Literal[1, 2] = 1,
) -> Bound:
    """The bound on the student's error in one class of a pool.

    `q` is by default the largest that the student allows, 1 − a − P(f ≠ ỹ or not robust | S_i), or
    0 where that is negative: the larger q, the better c. `expansion` is c for the sets above q; by
    default it is computed. Without the truth nobody knows the class, and there is no value.

    Raises ValueError where the class weighs nothing. Ref: lang2024theoretical, Theorem B.1.
    """
    if pool.truth is None:
        return _bound(label, None, _hypotheses(None, None, None))
    found = _in_class(pool, label, steps)
    a = found.wrong
    used = max(0.0, 1 - a - found.restless) if q is None else checked_share("q", q)
    if expansion is None and 0 < a < 0.5:
        bad = found.inside & (pool.pseudo != label)
        profile = relative_expansion_profile(pool.graph, bad, found.inside & ~bad, steps=steps)
        expansion = expansion_above(profile, used)
    # At a = 0 there is nothing to correct, and the formula reads Err(f) = L01(f, ỹ).
    lowest, value = 0.0 if a == 0 else lower_end(expansion), None
    if exceeds(0.5, a) and lowest is not None:
        value = corrected_error_bound(found.apart, found.rough, a, min(lowest, 1.0))
    hypotheses = _hypotheses(found, used, expansion)[: 1 if a == 0 else None]
    constants = {"a": a, "q": used, "L01(f, ỹ)": found.apart, "P(not robust)": found.rough}
    if lowest is not None and a > 0:
        constants["c"] = lowest
    return replace(
        _bound(label, value, hypotheses),
        constants=constants,
        trivial=trivial_error(a, found.apart),
        measured=student_error_on(pool, found.inside),
    )


def over_classes(pool: LabelledPool, bounds: Sequence[Bound]) -> Bound:
    """The bound on the whole pool that the bounds of all its classes add up to.

    Σ_i P(y = i) · (value of class i where its hypotheses hold and it is below the trivial one, the
    trivial one otherwise). `bounds` holds `for_class` of every class that weighs something, in the
    order of the classes. It is valid in any case, and below the trivial one where one class holds.

    Raises ValueError where their number is another, or the truth is not known.
    Ref: derived here, from lang2024theoretical, Theorem B.1.
    """
    shares = pool.class_weights()
    shares = shares[shares > 0]
    if len(bounds) != len(shares):
        raise ValueError(f"there are {len(bounds)} bounds for {len(shares)} classes; give one each")
    useful = [b.status == "holds" and not b.vacuous for b in bounds]
    values = [
        b.value if use and b.value is not None else b.trivial
        for b, use in zip(bounds, useful, strict=True)
    ]
    error = pool.teacher_error
    return Bound(
        "Lang B.1, all classes",
        "derived here, from lang2024theoretical, Theorem B.1",
        "pool",
        "student error",
        float(shares @ np.array(values)),
        (compared("classes where the theorem helps", float(sum(useful)), "≥", 1),),
        {"Err(ỹ)": error, "L01(f, ỹ)": pool.disagreement},
        trivial_error(error, pool.disagreement),
        student_error_on(pool),
    )


@dataclass(frozen=True)
class _InClass:
    """Shares of S_i: a, L01(f, ỹ | S_i), P(f not robust | S_i) and P(f ≠ ỹ or not robust | S_i)."""

    inside: Mask
    wrong: float
    apart: float
    rough: float
    restless: float


def _in_class(pool: LabelledPool, label: int, steps: Literal[1, 2]) -> _InClass:
    inside = pool.known_truth == label
    mass = pool.share(inside)
    if mass == 0:
        raise ValueError(f"class {label} weighs nothing in this pool; leave it out")
    rough = not_constant(pool.graph, pool.student, steps)
    apart = pool.student != pool.pseudo
    wrong = pool.pseudo != label
    shares = [pool.share(inside & x) / mass for x in (wrong, apart, rough, apart | rough)]
    return _InClass(inside, *shares)


def expansion_above(profile: RelativeExpansionProfile, q: float) -> Measured:
    """The c of all sets above q < 1: a number where it is certain, else certified and attained."""
    certain = certified_constant(profile, q)
    above = profile.shares > q + ROUNDING
    above[-1] = True  # all of S_good is above q, even where rounding cannot tell q from 1
    attained = float((profile.values[above] / profile.shares[above]).min())
    return certain if attained - certain <= 1e-9 else (certain, attained)


def not_constant(graph: Graph, labels: Ints, steps: Literal[1, 2]) -> Mask:
    """True [n] where `labels` [n] are not constant within `steps` steps of the graph."""
    if steps == 1:
        return inconsistent(graph, labels)
    seen = np.zeros(graph.n, np.int64)
    for kind in np.unique(labels):
        seen += graph.neighbourhood(labels == kind)
    return seen > 1


def _hypotheses(
    found: _InClass | None, q: float | None, expansion: Measured
) -> tuple[Hypothesis, ...]:
    a = None if found is None else found.wrong
    spared = "the teacher is right on all of the class" if a == 0 else ""
    limit = 0.0 if found is None or q is None else 1 - q - found.wrong
    label = "1 − q − a" if found is None else f"1 − q − a = {number(limit)}"
    name = "expansion c (sets above q)" if q is None else f"expansion c (sets above q = {q:.3g})"
    return (
        compared("teacher's error in the class a", a, "<", 0.5, label="1/2", why=spared),
        compared(name, expansion, ">", 0),
        compared(
            "P(f ≠ ỹ or f not robust)",
            None if found is None else found.restless,
            "≤",
            limit,
            label=label,
        ),
    )


def _bound(label: int, value: float | None, hypotheses: tuple[Hypothesis, ...]) -> Bound:
    return Bound(
        "Lang B.1, correction",
        "lang2024theoretical, Theorem B.1",
        f"class {label}",
        "student error",
        value,
        hypotheses,
    )
