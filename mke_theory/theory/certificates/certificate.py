"""Certificates: the largest error of a student that the graph and what is known still allow.

Label-free. Known are the pool, its graph, the pseudo labels ỹ and the student's answers f. Assumed
is that the teacher errs on at most ε and the truth is inconsistent on at most μ. Then

    Err(f) ≤ max over labellings y of L01(f, y)   subject to   L01(y, ỹ) ≤ ε,  R(y) ≤ μ.

Truth known, for studying students: the largest error that any classifier f with the measured
L01(f, ỹ) ≤ δ and R(f) ≤ ρ could have. Both are one problem (`worst_case`) with roles exchanged, and
the bound is the least of its Lagrangian values that was met, valid wherever the search stopped.

A certificate speaks of the pool, not of points outside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.theory.certificates.cuts import Components, Cuts
from mke_theory.theory.certificates.one_against_rest import OneAgainstRest
from mke_theory.theory.certificates.planes import solve_by_planes
from mke_theory.theory.certificates.relaxation import Relaxed
from mke_theory.theory.certificates.roof import Roof, fits
from mke_theory.theory.certificates.side_information import (
    Fact,
    level_of,
    rounded_down,
    rounded_up,
    teacher_error_at_most,
)
from mke_theory.theory.certificates.worst_case import NOT_KNOWN, Bounded, Form, WorstCase
from mke_theory.theory.graph import Floats, Ints, edge_inconsistency, vertex_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool

_RELAXED_TOLERANCE = 5e-4
_RELAXED_STEPS = 40
_ROUGH_STEPS = 10
_NEXT_TO_NONE = 1e-6
_MARGIN = 1e-6
"""A student that is better by less does not count as better."""
Method = Literal["cuts", "roof duality", "one against the rest", "linear programme"]


class Infeasible(ValueError):
    """What was assumed contradicts itself on this pool: no labelling satisfies all of it."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """A bound on a share of the pool, what proves it, and how bad things could be at worst.

    `value` bounds `quantity`; `trivial` is what the triangle inequality gives without the graph.
    `attained` is the quantity of `labelling` [n], the worst one met that is allowed: the best
    possible bound lies in [attained, value]. `by_method` has the value of every method tried;
    `prices` are the multipliers of the facts, `inconsistency_price` that of R (infinite at μ = 0).
    """

    quantity: str
    value: float
    trivial: float
    facts: tuple[Fact, ...]
    inconsistency: float
    form: Form
    prices: Floats
    inconsistency_price: float
    labelling: Ints | None
    attained: float | None
    by_method: Mapping[str, float]
    points: int
    known: int = 0

    @property
    def method(self) -> str:
        """The method whose bound is the smallest."""
        return min(self.by_method, key=lambda name: self.by_method[name])

    @property
    def vacuous(self) -> bool:
        """Whether the graph added nothing to the trivial bound."""
        return self.value >= self.trivial - 1e-9

    @property
    def level(self) -> float:
        """The probability with which all facts hold at least; 1 where they are assumed."""
        return level_of(self.facts)

    @property
    def guarantee(self) -> str:
        """What is certified, of what, assuming what, and with what probability."""
        edges = "the edge weight" if self.form == "edge" else "the points"
        given = [str(fact) for fact in self.facts]
        given.append(
            f"the truth is inconsistent on at most {rounded_down(self.inconsistency)} of {edges}"
        )
        if self.known:
            given.append(f"the labels of {self.known} points are known")
        sure = (
            "" if self.level == 1 else f" With probability {self.level:.3g} or more the facts hold."
        )
        return (
            f"On this pool of {self.points} points, {self.quantity} is at most "
            f"{rounded_up(self.value)} (without the graph: {rounded_up(self.trivial)}). "
            f"Assumed: {'; '.join(given)}.{sure} "
            "Nothing is said of points outside the pool."
        )

    def __str__(self) -> str:
        return self.guarantee


def label_free(
    pool: LabelledPool,
    *,
    error: float | Fact,
    inconsistency: float,
    form: Form = "edge",
    facts: tuple[Fact, ...] = (),
    known: ArrayLike | None = None,
    gain: bool = False,
    workers: int = 1,
) -> Certificate:
    """The largest error of the student that ε, μ and further facts allow; no label is read.

    `error` is ε, a share or a `Fact` from validation data; `inconsistency` is μ, the most that the
    truth is inconsistent in the given form. `facts` are further knowledge (`knowledge`), `known`
    [n] are labels that somebody has looked up, −1 elsewhere. With `gain` the quantity is
    Err(f) − Err(ỹ): below zero, the student is better than its teacher whatever the truth.

    Two classes are solved by minimum cuts, more by a linear programme that starts from cuts, and
    the best of all methods tried is returned. Raises Infeasible where no labelling satisfies what
    is assumed, ValueError for shares outside [0, 1], labels outside their range, and an `error`
    that is a fact about something else.
    """
    problem = _about_the_truth(pool, error, inconsistency, form, facts, known, gain)
    quantity = "the student's error minus its teacher's" if gain else "the student's error"
    # y ≠ f needs y ≠ ỹ or f ≠ ỹ; and Err(f) − Err(ỹ) cannot exceed L01(f, ỹ).
    trivial = pool.disagreement + (0 if gain else problem.facts[0].at_most)
    return _certified(problem, quantity, min(trivial, 1.0), pool.student, workers)


def _about_the_truth(
    pool: LabelledPool,
    error: float | Fact,
    inconsistency: float,
    form: Form,
    facts: tuple[Fact, ...],
    known: ArrayLike | None,
    gain: bool,
) -> WorstCase:
    """The worst truth for the student: Err(f), or Err(f) − Err(ỹ), is what it earns."""
    limit = error if isinstance(error, Fact) else teacher_error_at_most(error, pool.classes)
    wrong = 1 - np.eye(pool.classes)
    if not np.array_equal(limit.table, wrong):
        raise ValueError(
            f"error is the fact {limit.name!r}, which does not bound the teacher's error from "
            "above; give it among facts, and as error a share or teacher_error_from_validation"
        )
    return WorstCase(
        pool.graph,
        pool.graph.weights[:, None] * (wrong[pool.student] - (wrong[pool.pseudo] if gain else 0)),
        pool.pseudo,
        (limit, *facts),
        inconsistency,
        form,
        _known(known, pool),
    )


def truth_known(
    pool: LabelledPool,
    *,
    form: Form = "edge",
    disagreement: float | None = None,
    inconsistency: float | None = None,
    workers: int = 1,
) -> Certificate:
    """The largest error of any classifier that is as near to ỹ and as consistent as the student.

    δ = L01(f, ỹ) and ρ = R(f) are those of the student unless given. Raises ValueError where the
    truth of the pool is not known.
    """
    truth, graph = pool.known_truth, pool.graph
    measured = edge_inconsistency if form == "edge" else vertex_inconsistency
    delta = pool.disagreement if disagreement is None else disagreement
    fact = replace(teacher_error_at_most(delta, pool.classes), name="L01(f, ỹ)")
    problem = WorstCase(
        graph,
        graph.weights[:, None] * (1 - np.eye(pool.classes))[truth],
        pool.pseudo,
        (fact,),
        measured(graph, pool.student) if inconsistency is None else inconsistency,
        form,
        np.full(graph.n, NOT_KNOWN),
    )
    trivial = min(pool.teacher_error + delta, 1.0)
    return _certified(problem, "the error of such a classifier", trivial, truth, workers)


@dataclass(frozen=True)
class Breakdown:
    """How much more than assumed may be true before the student is no longer certified.

    At every value up to `limit` the student is certified to err less than its teacher; None where
    it is not certified at any. `of` names what is varied.
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
    known: ArrayLike | None = None,
    steps: int = 8,
) -> Breakdown:
    """The largest μ (or ε) at which Err(f) < Err(ỹ) is still certified, the other held fixed.

    The certified bound is concave in each limit, and its multiplier is a tangent that bounds it
    everywhere: below the place where a tangent crosses zero the student is certified. The search
    goes on from there, or from the middle of what is left where that is nearer; every step leaves a
    valid limit, and `steps` are made at most. Raises ValueError where `of` names neither, and for
    what `label_free` refuses.
    """
    if of not in ("inconsistency", "error"):
        raise ValueError(f"of is {of!r}; choose 'inconsistency' or 'error'")
    problem = _about_the_truth(pool, error, inconsistency, form, facts, known, gain=True)
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
        found = min(_tried(problem, pool.student, 1), key=lambda one: one.value)
        if found.value == -np.inf:
            low, now = now, (now + high) / 2  # there is nothing to certify here or below
            continue
        slope = float(found.prices[0]) if of == "error" else found.inconsistency_price
        over = found.value + _MARGIN
        crossing = now - over / slope if slope > 0 else np.copysign(np.inf, -over)
        crossing = min(max(crossing, least), 1.0)
        if over > 0:
            high = now
        else:  # what is allowed here is allowed at every larger limit
            low = best = max(now, crossing)
        if high - low <= _MARGIN or -_MARGIN <= over <= 0:
            break
        usable = now < crossing if over <= 0 else low < crossing < high
        now = crossing if usable else (max(low, least) + high) / 2
    return Breakdown(of, best)


def _certified(
    problem: WorstCase, quantity: str, trivial: float, reference: Ints, workers: int
) -> Certificate:
    tried = _tried(problem, reference, workers)
    best = min(tried, key=lambda found: found.value)
    if best.value == -np.inf:
        raise Infeasible(_what_has_to_give(problem, workers))
    met = [found for found in tried if found.attained is not None]
    worst = max(met, key=lambda found: found.attained or 0.0, default=best)
    return Certificate(
        quantity,
        min(best.value, trivial),
        trivial,
        problem.facts,
        problem.most,
        problem.form,
        best.prices,
        best.inconsistency_price,
        worst.labelling,
        worst.attained,
        {found.method: found.value for found in tried},
        problem.graph.n,
        int((problem.known != NOT_KNOWN).sum()),
    )


def _tried(problem: WorstCase, reference: Ints, workers: int) -> list[Bounded]:
    """What every method that fits the problem found."""
    if problem.most == 0:
        found = solve_by_planes(problem, Components(problem), "connected components")
        return [replace(found, inconsistency_price=np.inf)]
    if problem.classes == 2:
        return [solve_by_planes(problem, Cuts(problem, workers), "minimum cuts")]
    return solve_many_classes(problem, reference)


def solve_many_classes(problem: WorstCase, reference: Ints | None = None) -> list[Bounded]:
    """Roof duality and one class against the rest where they apply, then the linear programme.

    The first two are fast; the last starts from the flows of the second and is tightest. What is
    known beyond ε comes in last, from where the search without it ended, so that more knowledge
    never gives a worse bound.
    """
    error_alone = replace(problem, facts=problem.facts[:1])
    found, relaxed = [], Relaxed(error_alone)
    start = np.ones(len(error_alone.facts) + 1)
    if problem.form == "edge":
        if reference is not None and fits(error_alone, reference):
            found.append(solve_by_planes(error_alone, Roof(error_alone, reference), "roof duality"))
        cuts = OneAgainstRest(error_alone)
        rough = solve_by_planes(
            error_alone, cuts, "one against the rest", start=start, most_steps=_ROUGH_STEPS
        )
        found.append(rough)
        start = _where(rough)
        cuts(error_alone.theta(rough.prices), rough.inconsistency_price)
        relaxed.begin(cuts.flows.ravel(), rough.inconsistency_price)
    found.append(_relaxed(error_alone, relaxed, start))
    found = [_of_all_facts(problem, one) for one in found]
    more = len(problem.facts) > len(error_alone.facts)
    if more and all(one.value > -np.inf for one in found):
        found.append(_relaxed(problem, relaxed.about(problem), _where(found[-1])))
    return found


def _relaxed(problem: WorstCase, oracle: Relaxed, start: Floats) -> Bounded:
    method = "linear programme" if len(problem.facts) == 1 else "linear programme, all facts"
    return solve_by_planes(
        problem,
        oracle,
        method,
        start=start,
        tolerance=_RELAXED_TOLERANCE,
        most_steps=_RELAXED_STEPS,
    )


def _of_all_facts(problem: WorstCase, found: Bounded) -> Bounded:
    """What was found without the further facts: they cost nothing, and may forbid its labelling."""
    prices = np.append(found.prices, np.zeros(len(problem.facts) - len(found.prices)))
    if found.labelling is not None and not problem.allows(found.labelling):
        found = replace(found, labelling=None, attained=None)
    return replace(found, prices=prices)


def _where(found: Bounded) -> Floats:
    """The prices at which a search ended, ν last."""
    return np.append(found.prices, found.inconsistency_price)


def _what_has_to_give(problem: WorstCase, workers: int) -> str:
    """The message for assumptions that contradict each other: the least ε, or the least μ."""
    error, *others = problem.facts
    least = _least_error(replace(problem, facts=tuple(others)), workers)
    told = (
        f"no labelling of this pool satisfies what is assumed ({error}; inconsistency at most "
        f"{rounded_down(problem.most)}"
        + ("; " + "; ".join(map(str, others)) if others else "")
        + ("; known labels" if (problem.known != NOT_KNOWN).any() else "")
        + "). "
    )
    if least is not None:
        told += f"With that inconsistency the error has to be at least {rounded_down(least)}. "
    low, high = problem.most, 1.0
    if _is_refuted(replace(problem, most=high), workers):
        return told + "No inconsistency is large enough: ε, a fact or a known label is wrong."
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _is_refuted(replace(problem, most=middle), workers) else (low, middle)
        )
    return told + f"With that error the inconsistency has to be more than {rounded_down(low)}."


def _least_error(problem: WorstCase, workers: int) -> float | None:
    """A lower bound on L01(y, ỹ) over all that is allowed; None where nothing is."""
    table = 1 - np.eye(problem.classes)
    cost = -problem.graph.weights[:, None] * table[problem.said]
    found = _tried(replace(problem, reward=cost), problem.said, workers)
    value = min(one.value for one in found)
    return None if value == -np.inf else -value


def _is_refuted(problem: WorstCase, workers: int) -> bool:
    found = _tried(replace(problem, reward=np.zeros_like(problem.reward)), problem.said, workers)
    return any(one.value == -np.inf for one in found)


def _known(known: ArrayLike | None, pool: LabelledPool) -> Ints:
    if known is None:
        return np.full(pool.graph.n, NOT_KNOWN)
    labels = np.asarray(known)
    if labels.shape != (pool.graph.n,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"known has shape {labels.shape} and type {labels.dtype}; give a class number for each "
            f"of the {pool.graph.n} points, {NOT_KNOWN} where it is not known"
        )
    if labels.min() < NOT_KNOWN or labels.max() >= pool.classes:
        outside = labels.min() if labels.min() < NOT_KNOWN else labels.max()
        raise ValueError(f"known holds {outside}; allowed is {NOT_KNOWN} to {pool.classes - 1}")
    return labels.astype(np.int64)
