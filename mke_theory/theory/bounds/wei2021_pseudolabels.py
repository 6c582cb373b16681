"""Pseudo labels are denoised where small sets expand: Wei et al., Theorem 4.3, and what it implies.

P expands with (a, c) when in each class i every V with P_i(V) ≤ a has P_i(N(V)) ≥ min{c P_i(V), 1}.
Let ā be the teacher's error in its worst class, let P expand with (ā, c̄) and c = min{1/ā, c̄}; the
min cannot be spared. The theorem asks for ā < 1/3 and c̄ > 3 and gives for every student f

    Err(f) ≤ (c+1)/(c−1) · L01(f, ỹ) + 2c/(c−1) · R_B(f) − Err(ỹ),

and that the f with the smallest right side has Err(f) ≤ 2/(c−1) · Err(ỹ) + 2c/(c−1) · R_B(y).

A direct argument needs less and gives more. In a class let W be the mass where teacher and student
are both wrong, D the mass where only the student is, ρ the mass where it is not robust. The robust
part V of W has P(V) ≤ ā, so c P(V) ≤ 1 and N(V) has mass c P(V) at least. A robust point of N(V)
has the label of a point of V, which is wrong: D ≥ (c−1) W − c ρ. Point by point,
Err(f) + Err(ỹ) − L01(f, ỹ) ≤ 2W, and D ≤ L01(f, ỹ). So the first inequality holds whenever c > 1.
As also D ≤ L01(f, ỹ) − Err(ỹ) + W, it follows for c > 2 that

    Err(f) ≤ c/(c−2) · (L01(f, ỹ) − Err(ỹ)) + 2c/(c−2) · R_B(f),

which is below the first one wherever that is below the trivial L01(f, ỹ) + Err(ỹ). Where half of a
class is wrong c is 2 and there is nothing to divide by, so c has to exceed 2, as it has to exceed
1, by more than rounding can make of an equality.

The argument expands V alone, which lies inside the teacher's mistakes M_i of its class. So c need
only hold for the subsets of M_i: min P_i(N(U)) / P_i(U), ∅ ≠ U ⊆ M_i, over all classes. All of them
are small, U = M_i makes c ≤ 1/ā, and the minimum is a relative expansion: exact, and found in
polynomial time, where that of all small sets is NP-hard (`teachers_mistakes`).
Ref: wei2021theoretical; the direct argument is derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mke_theory.theory.bounds.bound import (
    Bound,
    Hypothesis,
    Measured,
    checked_share,
    compared,
    exceeds,
    lower_end,
    student_error_on,
    trivial_error,
)
from mke_theory.theory.expansion.relative import relative_expansion_between
from mke_theory.theory.expansion.set_expansion import small_set_expansion
from mke_theory.theory.graph import vertex_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool, worst_class_error

_REFERENCE = "wei2021theoretical, Theorem 4.3"


def effective_expansion(worst_class_error: float, expansion: float) -> float:
    """The expansion that the bounds may use, c = min{1/ā, c̄}; infinite where ā = 0 and c̄ is.

    Raises ValueError for ā outside [0, 1] or c̄ that is negative or NaN. Ref: wei2021theoretical,
    Theorem 4.3.
    """
    a = checked_share("worst_class_error", worst_class_error)
    if not expansion >= 0:
        raise ValueError(f"expansion is {expansion}; it is a ratio of masses, so at least 0")
    return min(1 / a if a > 0 else math.inf, float(expansion))


def student_error_bound(
    disagreement: float, inconsistency: float, teacher_error: float, expansion: float
) -> float:
    """At least Err(f) of a student with these shares; `expansion` is c = min{1/ā, c̄} > 1.

    (c+1)/(c−1) · L01(f, ỹ) + 2c/(c−1) · R_B(f) − Err(ỹ). Raises ValueError for a share outside
    [0, 1] or c that does not exceed 1 clearly. Ref: wei2021theoretical, Theorem 4.3.
    """
    apart, rough, wrong = _shares(disagreement, inconsistency, teacher_error)
    spare = _above(expansion, 1)
    return (1 + 2 / spare) * apart + (2 + 2 / spare) * rough - wrong


def sharper_error_bound(
    disagreement: float, inconsistency: float, teacher_error: float, expansion: float
) -> float:
    """At least Err(f) of a student with these shares; `expansion` is c = min{1/ā, c̄} > 2.

    c/(c−2) · (L01(f, ỹ) − Err(ỹ)) + 2c/(c−2) · R_B(f). Raises ValueError for a share outside
    [0, 1] or c that does not exceed 2 clearly.
    Ref: derived here, from the expansion of wei2021theoretical.
    """
    apart, rough, wrong = _shares(disagreement, inconsistency, teacher_error)
    growth = 1 + 2 / _above(expansion, 2)
    return growth * (apart - wrong) + 2 * growth * rough


def minimiser_error_bound(
    teacher_error: float, truth_inconsistency: float, expansion: float
) -> float:
    """At least Err(f), for f whose `student_error_bound` is at most the truth's.

    2/(c−1) · Err(ỹ) + 2c/(c−1) · R_B(y). Raises ValueError for a share outside [0, 1] or c that
    does not exceed 1 clearly. Ref: wei2021theoretical, Theorem 4.3.
    """
    return student_error_bound(teacher_error, truth_inconsistency, teacher_error, expansion)


def teachers_worst_class_error(pool: LabelledPool) -> float:
    """ā, the teacher's error in its worst class. Raises ValueError where the truth is not known."""
    return worst_class_error(pool.graph.weights, pool.known_truth, pool.pseudo)


def small_sets(pool: LabelledPool, most: float, *, seconds: float = 10.0) -> Measured:
    """The c of all sets of weight up to `most` in every class: a number, or certain ends.

    `seconds` is what a class may take where quick methods leave an interval. A set reaches itself,
    so [1, ∞] is the answer where two steps of the graph are too many edges to hold.

    Raises ValueError where the truth is not known. Ref: wei2021theoretical, Definition 3.1.
    """
    if most == 0:
        return math.inf
    graph, truth = pool.graph, pool.known_truth
    try:
        found = small_set_expansion(graph, most, truth, seconds=0)
        if found.lower < found.upper and found.upper > 1:
            found = small_set_expansion(graph, most, truth, seconds=seconds)
    except MemoryError:
        return 1.0, math.inf
    if found.upper <= 1:
        return 1.0
    return found.lower if found.lower == found.upper else (found.lower, found.upper)


def teachers_mistakes(pool: LabelledPool) -> float:
    """The least P_i(N(U)) / P_i(U) over nonempty U inside the teacher's mistakes of a class i.

    At least 1, at most 1/ā, and infinite for a teacher without mistakes. Raises ValueError where
    the truth is not known. Ref: derived here, by the relative expansion of lang2024theoretical.
    """
    graph, p = pool.graph, pool.graph.weights
    near = graph.adjacency + sparse.eye_array(graph.n, format="csr")
    found = math.inf
    for label in range(pool.classes):
        inside = np.flatnonzero((pool.known_truth == label) & (p > 0))
        wrong = inside[pool.pseudo[inside] != label]
        if len(wrong) == 0:
            continue
        reached = sparse.csr_array(near[wrong] @ near[:, inside])
        least = relative_expansion_between(reached, p[wrong], p[inside]).lower
        # P(N(U) | S_i) / P(U | M_i), and P_i(U) = P(M_i | S_i) P(U | M_i).
        found = min(found, least * float(p[inside].sum() / p[wrong].sum()))
    return max(1.0, found)


def for_any_student(
    pool: LabelledPool,
    *,
    expansion: Measured = None,
    worst_class_error: float | None = None,
    teacher_error: float | None = None,
) -> Bound:
    """The theorem's bound on the error of the student of a pool.

    `expansion` is c̄, by default `small_sets` up to ā. Where the truth is not known, it and ā and
    Err(ỹ) may be assumed; the hypotheses are then at best not checkable.
    Ref: wei2021theoretical, Theorem 4.3.
    """
    known = _constants(pool, expansion, worst_class_error, teacher_error)
    value = None
    if known.teacher_error is not None and exceeds(known.c, 1):
        value = student_error_bound(*known.shares(pool), known.c)
    return known.bound(pool, "Wei 4.3, any student", _REFERENCE, value, known.published())


def for_minimiser(
    pool: LabelledPool,
    *,
    expansion: Measured = None,
    worst_class_error: float | None = None,
    teacher_error: float | None = None,
    truth_inconsistency: float | None = None,
) -> Bound:
    """The theorem's bound for the student that minimises its objective; for this one, if it does.

    The truth's objective is at most as large where it is in the student's class, and that is all
    that the proof uses: the last hypothesis compares the two. Assumed numbers are as in
    `for_any_student`. Ref: wei2021theoretical, Theorem 4.3.
    """
    known = _constants(pool, expansion, worst_class_error, teacher_error)
    rough = truth_inconsistency
    if pool.truth is not None:
        if rough is not None:
            raise ValueError("the truth is known, so its inconsistency is measured; assume none")
        rough = vertex_inconsistency(pool.graph, pool.truth)
    value = excess = None
    if known.teacher_error is not None and rough is not None and exceeds(known.c, 1):
        value = minimiser_error_bound(known.teacher_error, rough, known.c)
        excess = student_error_bound(*known.shares(pool), known.c) - value
    minimal = compared(
        "objective of the student, less the truth's", excess, "≤", 0, checked=known.measured
    )
    hypotheses = (*known.published(), minimal)
    return known.bound(pool, "Wei 4.3, minimiser", _REFERENCE, value, hypotheses, rough)


def for_any_student_directly(
    pool: LabelledPool,
    *,
    expansion: Measured = None,
    worst_class_error: float | None = None,
    teacher_error: float | None = None,
) -> Bound:
    """The bound of the direct argument, which needs c > 1 only.

    c is `teachers_mistakes` unless `expansion`, a c̄ of all small sets, is given. The sharper
    formula counts where c clearly exceeds 2 and its value is smaller; at c = 2 it says nothing,
    however rounding puts it. Assumed numbers are as in `for_any_student`.
    Ref: derived here, from the expansion of wei2021theoretical.
    """
    name = "expansion c = min{1/ā, c̄}"
    if expansion is None and pool.truth is not None:
        expansion, name = teachers_mistakes(pool), "expansion c of the teacher's mistakes"
    known = _constants(pool, expansion, worst_class_error, teacher_error)
    value = None
    if known.teacher_error is not None and exceeds(known.c, 1):
        shares = known.shares(pool)
        value = student_error_bound(*shares, known.c)
        if exceeds(known.c, 2):
            value = min(value, sharper_error_bound(*shares, known.c))
    expands = compared(name, known.effective(), ">", 1, checked=known.measured)
    reference = "derived here, from the expansion of wei2021theoretical"
    return known.bound(pool, "small sets, directly", reference, value, (expands,))


@dataclass(frozen=True)
class _Constants:
    """ā, Err(ỹ) and c̄, measured where the truth is known and assumed where it is not."""

    worst_class_error: float | None
    teacher_error: float | None
    expansion: Measured
    measured: bool

    def effective(self) -> Measured:
        if self.worst_class_error is None or self.expansion is None:
            return None
        if not isinstance(self.expansion, tuple):
            return effective_expansion(self.worst_class_error, self.expansion)
        low, high = (effective_expansion(self.worst_class_error, end) for end in self.expansion)
        return low, high

    @property
    def c(self) -> float:
        """The certain value of c; 0 where there is none."""
        return lower_end(self.effective()) or 0.0

    def shares(self, pool: LabelledPool) -> tuple[float, float, float]:
        """L01(f, ỹ), R_B(f) and Err(ỹ), in the order that the formulas take them."""
        rough = pool.share(pool.student_inconsistent())
        assert self.teacher_error is not None
        return pool.disagreement, rough, self.teacher_error

    def published(self) -> tuple[Hypothesis, Hypothesis]:
        return (
            compared(
                "teacher's worst class error ā",
                self.worst_class_error,
                "<",
                1 / 3,
                label="1/3",
                checked=self.measured,
            ),
            compared("expansion c̄ (sets up to ā)", self.expansion, ">", 3, checked=self.measured),
        )

    def bound(
        self,
        pool: LabelledPool,
        name: str,
        reference: str,
        value: float | None,
        hypotheses: tuple[Hypothesis, ...],
        truth_inconsistency: float | None = None,
    ) -> Bound:
        constants = {
            "ā": self.worst_class_error,
            "c": self.c or None,
            "Err(ỹ)": self.teacher_error,
            "R_B(y)": truth_inconsistency,
            "L01(f, ỹ)": pool.disagreement,
            "R_B(f)": pool.share(pool.student_inconsistent()),
        }
        return Bound(
            name,
            reference,
            "pool",
            "student error",
            value,
            hypotheses,
            {key: given for key, given in constants.items() if given is not None},
            trivial_error(self.teacher_error, pool.disagreement),
            student_error_on(pool),
        )


def _constants(
    pool: LabelledPool,
    expansion: Measured,
    worst_class_error: float | None,
    teacher_error: float | None,
) -> _Constants:
    """The constants, measured where the truth is known and assumed where it is not."""
    if pool.truth is None:
        for name, given in (
            ("worst_class_error", worst_class_error),
            ("teacher_error", teacher_error),
        ):
            if given is not None:
                checked_share(name, given)
        return _Constants(worst_class_error, teacher_error, expansion, False)
    if worst_class_error is not None or teacher_error is not None:
        raise ValueError("the truth is known, so the teacher's error is measured; assume none")
    worst = teachers_worst_class_error(pool)
    if expansion is None:
        expansion = small_sets(pool, worst)
    return _Constants(worst, pool.teacher_error, expansion, True)


def _shares(
    disagreement: float, inconsistency: float, teacher_error: float
) -> tuple[float, float, float]:
    return (
        checked_share("disagreement", disagreement),
        checked_share("inconsistency", inconsistency),
        checked_share("teacher_error", teacher_error),
    )


def _above(expansion: float, limit: int) -> float:
    """The denominator of the formula."""
    if not exceeds(expansion, limit):
        raise ValueError(f"expansion is {expansion}; the formula needs more than {limit}, clearly")
    return expansion - limit
