"""A student goes beyond its teacher inside a class: points that the teacher leaves unlabelled.

T_i holds the unlabelled points of true class i; S_i, S_good, S_bad and a are as in
`lang2024_correction`, over the labelled ones. Subsets U of T_i with P(U | T_i) > q reach
P(N(U) | S_good) ≥ c₁ P(U | T_i) and P(N(U) | S_bad) ≥ c₂ P(U | T_i). A student f has

    Err(f | T_i) ≤ (1 + a / (c_min/c_max − 2a)) P(f not robust | T_i)
                   + max{q, (L01(f, ỹ | S_i) − c₂a) / (c₁ − (c₁ + c₂)a)},

c_min and c_max the smaller and the larger of c₁ and c₂. It needs c_min/c_max > 2a and, for q > 0, a
student that is not mostly wrong: L01(f, ỹ | S_i) + P(f not robust | T_i) < c₁ (1 − q − a). What
that does: were the robust points of T_i that f labels right no more than q, those that it labels
wrong would reach so much of S_good that it fails. Without it the bound is false for q > 0.

The proof expands two sets of the student at hand, by c₁ the robust points U₁ of T_i that f labels
wrong and by c₂ the robust points U₂ that it labels right. `for_class` takes these, at q = 0;
`for_any_student` takes all subsets of T_i, which is more than is needed. Proof at q = 0, with u₁,
u₂ their shares of T_i, ρ = P(f not robust | T_i) and L = L01(f, ỹ | S_i): f is wrong on N(U₁) and
right on N(U₂), so it leaves its teacher on N(U₁) ∩ S_good and on N(U₂) ∩ S_bad, and
L ≥ (1 − a) c₁ u₁ + a c₂ u₂, also where one is empty. As u₁ + u₂ + ρ = 1, u₁ is at most
(L − c₂a (1 − ρ)) / (c₁ − (c₁ + c₂)a), and Err(f | T_i) ≤ u₁ + ρ; the factor of ρ is at most the
one above.

With the first term alone, c₂ = 0, L ≥ (1 − a) c₁ u₁ needs no balance of c₁ and c₂:

    Err(f | T_i) ≤ P(f not robust | T_i) + max{q, L01(f, ỹ | S_i) / (c₁ (1 − a))}.

"Robust" and N go by the same number of steps, as in `lang2024_correction`.
Ref: lang2024theoretical, Theorem B.2; the form with c₁ alone and q = 0 as derived here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.bounds.bound import (
    ROUNDING,
    Bound,
    Hypothesis,
    Mask,
    Measured,
    Status,
    checked_share,
    compared,
    covered_points,
    exceeds,
    lower_end,
    number,
    student_error_on,
)
from mke_theory.theory.bounds.lang2024_correction import (
    expansion_above,
    not_constant,
    own_expansion,
)
from mke_theory.theory.expansion.relative import relative_expansion_profile
from mke_theory.theory.labelled_pool import LabelledPool

_ANY = "Lang B.2, any student"


def uncovered_error_bound(
    disagreement: float,
    not_robust: float,
    wrong_share: float,
    to_good: float,
    to_bad: float,
    q: float,
) -> float:
    """At least Err(f | T_i), from L01(f, ỹ | S_i), P(f not robust | T_i), a, c₁, c₂ and q.

    Where a = 0 there is no S_bad, and `to_bad` does not matter. Raises ValueError for a share (all
    but c₁ and c₂ are) outside [0, 1], a negative or infinite c₁ or c₂, or c₁ or c_min/c_max that
    does not exceed 0 or 2a clearly.
    Ref: lang2024theoretical, Theorem B.2.
    """
    apart = checked_share("disagreement", disagreement)
    rough = checked_share("not_robust", not_robust)
    a, least = checked_share("wrong_share", wrong_share), checked_share("q", q)
    c1, c2 = _ratio("to_good", to_good), _ratio("to_bad", to_bad)
    if not exceeds(c1, 0):
        raise ValueError(f"to_good is {c1}; the formula divides by it")
    if a == 0:
        return rough + max(least, apart / c1)
    if not exceeds(balance(c1, c2), 2 * a):
        raise ValueError(
            f"to_good and to_bad are {c1} and {c2}; their ratio has to exceed 2a = {2 * a}, clearly"
        )
    spare = balance(c1, c2) - 2 * a
    return (1 + a / spare) * rough + max(least, (apart - c2 * a) / (c1 - (c1 + c2) * a))


def onto_right_error_bound(
    disagreement: float, not_robust: float, wrong_share: float, to_good: float, q: float = 0.0
) -> float:
    """At least Err(f | T_i), from L01(f, ỹ | S_i), P(f not robust | T_i), a, c₁ and q.

    P(not robust) + max{q, L01/(c₁ (1 − a))}. Raises ValueError for a share outside [0, 1], or c₁
    or 1 − a that does not exceed 0 clearly. Ref: derived here, as lang2024theoretical, Theorem B.2.
    """
    apart = checked_share("disagreement", disagreement)
    rough = checked_share("not_robust", not_robust)
    a, least = checked_share("wrong_share", wrong_share), checked_share("q", q)
    c1 = _ratio("to_good", to_good)
    if not (exceeds(c1, 0) and exceeds(1, a)):
        raise ValueError(f"to_good is {c1} and wrong_share {a}; the formula divides by c₁ (1 − a)")
    return rough + max(least, apart / (c1 * (1 - a)))


def balance(to_good: float, to_bad: float) -> float:
    """c_min/c_max, in [0, 1], and 0 where both are."""
    larger = max(to_good, to_bad)
    return min(to_good, to_bad) / larger if larger > 0 else 0.0


def for_class(
    pool: LabelledPool, label: int, covered: ArrayLike, *, steps: Literal[1, 2] = 1
) -> Bound:
    """The bound on unlabelled points of a class, by the two sets that the proof expands.

    `covered` [n] is true where the teacher gave a label; what `pseudo` holds elsewhere is ignored.
    Where one of the sets is empty it expands by any ratio; 1 is taken. Without the truth nobody
    knows the sets, and there is no value.

    Raises ValueError where S_i or T_i weighs nothing. Ref: lang2024theoretical, Theorem B.2.
    """
    mask = covered_points(pool, covered)
    if pool.truth is None:
        return _bound(label, None, _hypotheses(None, None, "violated"))
    found = _in_class(pool, label, mask, steps)
    wrong = pool.student != label
    of = found.outside
    reach = _Reach(
        0.0,
        own_expansion(pool, of & found.robust & wrong, of, found.good, steps),
        own_expansion(pool, of & found.robust & ~wrong, of, found.bad, steps),
    )
    return _filled(pool, found, reach, _bound(label, None, _hypotheses(found, reach, "violated")))


def for_class_onto_right(
    pool: LabelledPool, label: int, covered: ArrayLike, *, steps: Literal[1, 2] = 1
) -> Bound:
    """The bound on unlabelled points of a class with c₁ alone, by the robust wrong points of T_i.

    Where there are none the student errs at most where it is not robust. Arguments and errors as
    for `for_class`. Ref: derived here, as lang2024theoretical, Theorem B.2.
    """
    mask, reference = covered_points(pool, covered), "derived here, as lang2024theoretical, B.2"
    bound = replace(_bound(label, None, ()), name="Lang B.2, c₁ only", reference=reference)
    if pool.truth is None:
        unknown = compared("expansion c₁ of the own set", None, ">", 0)
        return replace(bound, hypotheses=(unknown,))
    found = _in_class(pool, label, mask, steps)
    own = found.outside & found.robust & (pool.student != label)
    c1 = own_expansion(pool, own, found.outside, found.good, steps)
    value = None
    if pool.share(own) == 0:
        value = found.rough
    elif exceeds(c1, 0) and exceeds(1, found.wrong):
        value = onto_right_error_bound(found.apart, found.rough, found.wrong, c1)
    return replace(
        bound,
        value=value,
        hypotheses=(compared("expansion c₁ of the own set", c1, ">", 0),),
        constants={"a": found.wrong, "c₁": c1, "L01(f, ỹ)": found.apart}
        | {"P(not robust)": found.rough},
        measured=student_error_on(pool, found.outside),
    )


def for_any_student(
    pool: LabelledPool,
    label: int,
    covered: ArrayLike,
    *,
    to_good: Measured = None,
    to_bad: Measured = None,
    q: float | None = None,
    steps: Literal[1, 2] = 1,
) -> Bound:
    """The bound on unlabelled points of a class, with c₁ and c₂ for all subsets of T_i above q.

    `covered` is as for `for_class`, and `q` is 0 unless given. Where neither `to_good` nor `to_bad`
    is given they are computed, for the `q` with the smallest value unless that is given. Where as
    much expansion is not there the status is "not shown": the theorem asks for less.

    Raises ValueError where S_i or T_i weighs nothing. Ref: lang2024theoretical, Theorem B.2.
    """
    mask = covered_points(pool, covered)
    if q is not None:
        checked_share("q", q)
    if pool.truth is None:
        return _bound(label, None, _hypotheses(None, None), _ANY)
    found = _in_class(pool, label, mask, steps)
    if to_good is None and to_bad is None:
        reach = _best(pool, found, q, steps)
    else:
        reach = _Reach(q or 0.0, to_good, to_bad)
    return _filled(pool, found, reach, _bound(label, None, _hypotheses(found, reach), _ANY))


def _filled(pool: LabelledPool, found: _InClass, reach: _Reach, bound: Bound) -> Bound:
    """The same with its value, constants and the measured error."""
    constants = {"a": found.wrong, "q": reach.q}
    constants |= {"L01(f, ỹ)": found.apart, "P(not robust)": found.rough}
    reached = {"c₁": lower_end(reach.to_good), "c₂": lower_end(reach.to_bad)}
    constants |= {name: given for name, given in reached.items() if given is not None}
    return replace(
        bound,
        value=_value(found, reach),
        constants=constants,
        measured=student_error_on(pool, found.outside),
    )


@dataclass(frozen=True)
class _Reach:
    """The relative expansion of the subsets of T_i above q onto S_good and onto S_bad."""

    q: float
    to_good: Measured
    to_bad: Measured


def _value(found: _InClass, reach: _Reach) -> float | None:
    c1, c2, a = lower_end(reach.to_good), lower_end(reach.to_bad), found.wrong
    if a == 0:
        c2 = 0.0
    if c1 is None or c2 is None or not exceeds(c1, 0):
        return None
    if a > 0 and not exceeds(balance(c1, c2), 2 * a):
        return None
    return uncovered_error_bound(found.apart, found.rough, a, c1, c2, reach.q)


def _best(pool: LabelledPool, found: _InClass, q: float | None, steps: Literal[1, 2]) -> _Reach:
    """Both expansions at q, or at the corner of their profiles whose bound is best."""
    onto = {}
    for name, side in (("good", found.good), ("bad", found.bad)):
        if pool.share(side) > 0:
            onto[name] = relative_expansion_profile(pool.graph, side, found.outside, steps=steps)
    corners = {float(x) for profile in onto.values() for x in profile.shares if x < 1 - ROUNDING}
    tried = []
    for at in sorted(corners) if q is None else [q]:
        ends = {name: expansion_above(profile, at) for name, profile in onto.items()}
        reach = _Reach(at, ends.get("good"), ends.get("bad"))
        value = _value(found, reach)
        sound = all(h.status == "holds" for h in _hypotheses(found, reach))
        tried.append((not sound, np.inf if value is None else value, at, reach))
    return min(tried, key=lambda one: one[:3])[3]


@dataclass(frozen=True)
class _InClass:
    """S_good, S_bad, T_i and where f is robust; a and L01(f, ỹ) on S_i; P(f not robust | T_i)."""

    good: Mask
    bad: Mask
    outside: Mask
    robust: Mask
    wrong: float
    apart: float
    rough: float


def _in_class(pool: LabelledPool, label: int, covered: Mask, steps: Literal[1, 2]) -> _InClass:
    inside = (pool.known_truth == label) & covered
    outside = (pool.known_truth == label) & ~covered
    labelled, free = pool.share(inside), pool.share(outside)
    if labelled == 0 or free == 0:
        raise ValueError(
            f"class {label} weighs {labelled:.3g} where the teacher labels and {free:.3g} where it "
            "does not; the bound is about classes that have both, so leave this one out"
        )
    bad = inside & (pool.pseudo != label)
    rough = not_constant(pool.graph, pool.student, steps)
    return _InClass(
        inside & ~bad,
        bad,
        outside,
        ~rough,
        pool.share(bad) / labelled,
        pool.share(inside & (pool.student != pool.pseudo)) / labelled,
        pool.share(outside & rough) / free,
    )


def _hypotheses(
    found: _InClass | None, reach: _Reach | None, failure: Status = "not shown"
) -> tuple[Hypothesis, ...]:
    to_good = None if reach is None else reach.to_good
    good = compared("expansion c₁ onto right labels", to_good, ">", 0, failure=failure)
    wrong = None if found is None else found.wrong
    half = compared("teacher's error in the class a", wrong, "<", 0.5, label="1/2")
    if found is None or reach is None:
        return half, good, compared("c_min/c_max", None, ">", 0, label="2a")
    if found.wrong == 0:
        return half, good
    c1, c2, a = lower_end(to_good), lower_end(reach.to_bad), found.wrong
    ends = None if c1 is None or c2 is None else balance(c1, c2)
    label = f"2a = {number(2 * a)}"
    balanced = compared("c_min/c_max", ends, ">", 2 * a, label=label, failure=failure)
    if reach.q == 0:  # the student cannot miss what is above nothing
        return half, good, balanced
    room = (c1 or 0.0) * (1 - reach.q - a)
    near = compared(
        "L01(f, ỹ) + P(not robust)",
        None if c1 is None else found.apart + found.rough,
        "<",
        room,
        label=f"c₁(1 − q − a) = {number(room)}",
        failure=failure,
    )
    return half, good, balanced, near


def _ratio(name: str, value: float) -> float:
    """`value`; raises ValueError where it is negative or not finite."""
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value}; it is a ratio of shares, at least 0 and finite")
    return float(value)


def _bound(
    label: int,
    value: float | None,
    hypotheses: tuple[Hypothesis, ...],
    name: str = "Lang B.2, coverage",
) -> Bound:
    return Bound(
        name,
        "lang2024theoretical, Theorem B.2",
        f"unlabelled class {label}",
        "student error",
        value,
        hypotheses,
    )
