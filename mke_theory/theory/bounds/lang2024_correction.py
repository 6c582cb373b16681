"""A student corrects its teacher inside a class where good points expand onto bad ones.

S_i holds the points of true class i, S_good those that the teacher labels right, S_bad the others,
a = P(S_bad | S_i). A family of subsets U of S_good expands with (c, q) on S_bad when P(U | S_good)
> q implies P(N(U) | S_bad) ≥ c P(U | S_good). With c' = c/(1 − a + ca), a student f has

    Err(f | S_i) ≤ [L01(f, ỹ | S_i) − a (2c' − 1) + 2c'a P(f not robust | S_i)] / (1 − 2c'a)

if P(f ≠ ỹ or f not robust | S_i) ≤ 1 − q − a. The family that the theorem asks for is M'(S_good, F)
and all that its proof expands is one set of it, V = robust ∩ right ∩ S_good of the student at hand.
Where the truth is known V is known, and `for_class` takes its c; `for_any_student` takes the c of
all subsets of S_good, which is more than is needed: where that fails, nothing is violated.

Proof, with v = P(V | S_good), ρ = P(f not robust | S_i), e = Err(f | S_i). All points of N(V) are
labelled right, so f leaves ỹ on N(V) ∩ S_bad and on a mass r ≥ a c v of S_bad f is right. What is
right and robust weighs w ≥ 1 − e − ρ in S_i and at most (1 − a) v + r, hence r ≥ a c' w. On S_good
f errs only where it leaves ỹ, on S_bad on a − r: e ≤ (L01 − r) + (a − r). Solve for e.

The condition on f only ensures that v > q. At q = 0 it can be left out: if v is 0, r ≥ a c v holds
for any c. And c may exceed 1 for a single set, as long as c < (1 − a)/a, which is 2c'a < 1; beyond
it L01 + ρ ≥ 1 − a follows, where no c improves on c = 0, the triangle inequality.

Robust at x means constant on N(x), with the *same* N that expands: one step of the graph for both
(`steps` = 1) or two for both. To expand by two steps and ask for robustness within one is false.
Ref: lang2024theoretical, Theorem B.1; that q = 0 needs no condition is derived here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

_OWN = "expansion c of the student's own set"
_ANY = "Lang B.1, any student"


def corrected_error_bound(
    disagreement: float, not_robust: float, wrong_share: float, expansion: float
) -> float:
    """At least Err(f | S_i); `wrong_share` is a, `expansion` c, the other two shares of S_i.

    [L01 − a (2c' − 1) + 2c'a P(not robust)] / (1 − 2c'a), c' = c/(1 − a + ca). Raises ValueError
    for a share outside [0, 1], a not clearly below 1/2, c negative or not clearly below (1 − a)/a.
    Ref: lang2024theoretical, Theorem B.1.
    """
    apart = checked_share("disagreement", disagreement)
    rough = checked_share("not_robust", not_robust)
    a = checked_share("wrong_share", wrong_share)
    if not exceeds(0.5, a):
        raise ValueError(f"wrong_share is {a}; the formula needs less than 1/2, clearly")
    c = float(expansion)
    if not 0 <= c < math.inf:
        raise ValueError(f"expansion is {c}; it is a ratio of shares, at least 0 and finite")
    if not exceeds(1 - a, a * c):
        raise ValueError(f"expansion is {c}; the formula needs less than (1 − a)/a, clearly")
    relative = c / (1 - a + c * a)
    return (apart - a * (2 * relative - 1) + 2 * relative * a * rough) / (1 - 2 * relative * a)


def for_class(pool: LabelledPool, label: int, *, steps: Literal[1, 2] = 1) -> Bound:
    """The bound on the student's error in one class, by the one set V that the proof expands.

    c is P(N(V) | S_bad) / P(V | S_good), or less where less is better, so the only hypotheses are
    a < 1/2 and c > 0. A student without a robust right point expands by any c; 1 is taken. Without
    the truth nobody knows V, and there is no value.

    Raises ValueError where the class weighs nothing. Ref: lang2024theoretical, Theorem B.1.
    """
    half = compared("teacher's error in the class a", None, "<", 0.5, label="1/2")
    if pool.truth is None:
        return _bound(label, None, (half, compared(_OWN, None, ">", 0)))
    found = _in_class(pool, label, steps)
    if found.wrong == 0:
        return _without_mistakes(pool, label, found)
    right = found.inside & (pool.pseudo == label)
    own = right & (pool.student == label) & found.robust
    expansion = own_expansion(pool, own, right, found.inside & ~right, steps)
    a, value = found.wrong, None
    if exceeds(0.5, a):
        used = expansion if exceeds(1 - a, a * expansion) else 1.0
        tried = (corrected_error_bound(found.apart, found.rough, a, c) for c in (0.0, used))
        value = min(tried)  # whatever V reaches, it also reaches nothing at least
    half = compared("teacher's error in the class a", a, "<", 0.5, label="1/2")
    return _measured(
        pool,
        found,
        _bound(label, value, (half, compared(_OWN, expansion, ">", 0))),
        {"c": expansion},
    )


def own_expansion(
    pool: LabelledPool, own: Mask, of: Mask, onto: Mask, steps: Literal[1, 2]
) -> float:
    """P(N(U) | A) / P(U | C) of one set U = `own`, C = `of` and A = `onto` (masks [n]).

    1 where U weighs nothing: the empty set expands by any ratio. 0 where A weighs nothing.
    """
    weight, target = pool.share(own), pool.share(onto)
    if weight == 0:
        return 1.0
    if target == 0:
        return 0.0
    graph = pool.graph
    reached = graph.reach(own) if steps == 1 else graph.neighbourhood(own)
    return pool.share(reached & onto) / target / (weight / pool.share(of))


def for_any_student(
    pool: LabelledPool,
    label: int,
    *,
    expansion: Measured = None,
    q: float | None = None,
    steps: Literal[1, 2] = 1,
) -> Bound:
    """The bound on the student's error in one class, with a c for all subsets of S_good above q.

    `q` is by default the largest that the student allows, 1 − a − P(f ≠ ỹ or not robust | S_i), or
    0 where that is negative, which needs no condition on the student. `expansion` is c for the sets
    above q; by default it is computed. Where that much is not there the status is "not shown": the
    theorem asks for less.

    Raises ValueError where the class weighs nothing. Ref: lang2024theoretical, Theorem B.1.
    """
    if q is not None:
        checked_share("q", q)
    if pool.truth is None:
        return _bound(label, None, _hypotheses(None, None, None), _ANY)
    found = _in_class(pool, label, steps)
    a = found.wrong
    if a == 0:
        return _without_mistakes(pool, label, found, _ANY)
    used = max(0.0, 1 - a - found.restless) if q is None else q
    if expansion is None and a < 0.5:
        bad = found.inside & (pool.pseudo != label)
        profile = relative_expansion_profile(pool.graph, bad, found.inside & ~bad, steps=steps)
        expansion = expansion_above(profile, used)
    lowest, value = lower_end(expansion), None
    if exceeds(0.5, a) and lowest is not None:
        value = corrected_error_bound(found.apart, found.rough, a, min(lowest, 1.0))
    bound = _bound(label, value, _hypotheses(found, used, expansion), _ANY)
    known = {"q": used} | ({} if lowest is None else {"c": lowest})
    return _measured(pool, found, bound, known)


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
    """Shares of S_i: a, L01(f, ỹ | S_i), P(f not robust | S_i) and P(f ≠ ỹ or not robust | S_i).

    `robust` [n] is true where f is constant on N(x), over the whole pool.
    """

    inside: Mask
    robust: Mask
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
    return _InClass(inside, ~rough, *shares)


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
    name = "expansion c (sets above q)" if q is None else f"expansion c (sets above q = {q:.3g})"
    both = (
        compared("teacher's error in the class a", a, "<", 0.5, label="1/2"),
        compared(name, expansion, ">", 0, failure="not shown"),
    )
    if found is None or not q:  # at q = 0 there is nothing that the student could miss
        return both
    limit = 1 - q - found.wrong
    near = compared(
        "P(f ≠ ỹ or f not robust)",
        found.restless,
        "≤",
        limit,
        label=f"1 − q − a = {number(limit)}",
        failure="not shown",
    )
    return (*both, near)


def _without_mistakes(
    pool: LabelledPool, label: int, found: _InClass, name: str = "Lang B.1, correction"
) -> Bound:
    """Err(f) = L01(f, ỹ) where the teacher makes no mistake in the class."""
    why = "the teacher is right on all of the class"
    half = compared("teacher's error in the class a", 0.0, "<", 0.5, label="1/2", why=why)
    return _measured(pool, found, _bound(label, found.apart, (half,), name), {})


def _measured(
    pool: LabelledPool, found: _InClass, bound: Bound, constants: Mapping[str, float]
) -> Bound:
    """The same with its constants, the trivial bound and the measured error."""
    shares = {"a": found.wrong, "L01(f, ỹ)": found.apart, "P(not robust)": found.rough}
    return replace(
        bound,
        constants=shares | dict(constants),
        trivial=trivial_error(found.wrong, found.apart),
        measured=student_error_on(pool, found.inside),
    )


def _bound(
    label: int,
    value: float | None,
    hypotheses: tuple[Hypothesis, ...],
    name: str = "Lang B.1, correction",
) -> Bound:
    return Bound(
        name,
        "lang2024theoretical, Theorem B.1",
        f"class {label}",
        "student error",
        value,
        hypotheses,
    )
