"""Certificates: the largest error of a student that a graph and side information still allow.

Label-free. Given are the pool, its graph, the pseudo labels ỹ and the student's predictions f.
Assumed is that the teacher errs on at most ε and the truth is inconsistent on at most μ. Then

    Err(f) ≤ max over labellings y of L01(f, y)   subject to   L01(y, ỹ) ≤ ε,  R(y) ≤ μ.

Truth known, for studying students: the largest error that any classifier f with the measured
L01(f, ỹ) ≤ δ and R(f) ≤ ρ could have. Both are one problem (`worst_case`) with roles exchanged, and
the bound is the least of its Lagrangian values that was met, valid wherever the search stopped.

A certificate speaks of the pool, not of points outside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.audited_edges import AuditedInconsistency, graph_key
from mke_theory.theory.certificates.infeasible import Infeasible, contradiction
from mke_theory.theory.certificates.methods import every_method
from mke_theory.theory.certificates.side_information import (
    Fact,
    PoolKey,
    level_of,
    pool_key,
    rounded_down,
    rounded_up,
    teacher_error_at_most,
)
from mke_theory.theory.certificates.without_graph import without_graph
from mke_theory.theory.certificates.worst_case import Form, WorstCase
from mke_theory.theory.graph import Floats, Ints, edge_inconsistency, vertex_inconsistency
from mke_theory.theory.labelled_pool import LabelledPool

STUDENT_ERROR = "the student's error"


@dataclass(frozen=True, eq=False)
class Certificate:
    """A bound on a share of the pool, what proves it, and how bad things could be at worst.

    `value` bounds `quantity`; `trivial` is the bound of the same facts and known labels without the
    graph: with the teacher's error alone, the triangle inequality.
    `attained` is the quantity of `labelling` [n], the worst one met that is allowed: the best
    possible bound lies in [attained, value]. `by_method` has the value of every method tried;
    `prices` are the multipliers of the facts, `inconsistency_price` that of R (infinite at μ = 0).
    `known_labels` counts the points whose label is fixed. `inconsistency_level` is the probability
    with which the truth's inconsistency is at most `inconsistency`, 1 where it is assumed.
    `made_for` is the pool that it speaks of.
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
    known_labels: int = 0
    inconsistency_level: float = 1.0
    made_for: PoolKey | None = None

    @property
    def method(self) -> str:
        """The method whose bound is the smallest."""
        return min(self.by_method, key=lambda name: self.by_method[name])

    @property
    def vacuous(self) -> bool:
        """True where the graph added nothing to the bound without it."""
        return self.value >= self.trivial - 1e-9

    @property
    def level(self) -> float:
        """The probability with which all facts hold at least; 1 where they are assumed.

        Failures of distinct sources are added, that of an audited inconsistency among them.
        """
        return max(0.0, level_of(self.facts) - (1 - self.inconsistency_level))

    @property
    def guarantee(self) -> str:
        """The certified statement in words, with its assumptions and its probability."""
        limit, likely = rounded_down(self.inconsistency), ""
        if self.inconsistency_level < 1:
            limit = rounded_up(self.inconsistency)
            likely = f" with probability {self.inconsistency_level:g}"
        return (
            f"On this pool of {self.points} points, {self.quantity} is at most "
            f"{rounded_up(self.value)} (without the graph: {rounded_up(self.trivial)}). "
            + assumptions(self.facts, limit, self.form, self.known_labels, self.level, likely)
        )

    def __str__(self) -> str:
        return self.guarantee


def assumptions(
    facts: tuple[Fact, ...],
    limit: str,
    form: Form,
    known_labels: int,
    level: float,
    likely: str = "",
) -> str:
    """The assumptions of a statement on a pool, the probability that they hold, and its reach.

    `limit` is μ in digits, `likely` what to add where it has a probability of its own.
    """
    edges = "the edge weight" if form == "edge" else "the points"
    given = [str(fact) for fact in facts]
    given.append(f"the truth is inconsistent on at most {limit} of {edges}{likely}")
    if known_labels:
        given.append(f"the labels of {known_labels} points are known")
    sure = "" if level == 1 else f" With probability {level:.3g} or more the facts hold."
    return f"Assumed: {'; '.join(given)}.{sure} It does not extend to points outside the pool."


def label_free(
    pool: LabelledPool,
    *,
    error: float | Fact,
    inconsistency: float | AuditedInconsistency,
    form: Form = "edge",
    facts: tuple[Fact, ...] = (),
    known_labels: ArrayLike | None = None,
    gain: bool = False,
    workers: int = 1,
) -> Certificate:
    """The largest error of the student that ε, μ and further facts allow; no label is read.

    `error` is ε, a share or a `Fact` from validation data; `inconsistency` is μ, the most that the
    truth is inconsistent in the given form, or an audit of this graph's edges, whose labels are
    then known (`inconsistency_from_audit`). `facts` are further side information
    (`side_information`), `known_labels` [n] labels that somebody has looked up, −1 elsewhere. With
    `gain` the quantity is Err(f) − Err(ỹ): below zero, the student is better than its teacher
    whatever the truth.

    Two classes are solved by minimum cuts, more by a linear programme that starts from cuts, and
    the best of all methods tried is returned. Raises Infeasible where no labelling satisfies the
    assumptions, ValueError for shares outside [0, 1], labels outside their range, an `error` that
    is a fact about something else, and a fact or an audit made for another pool.
    """
    if isinstance(inconsistency, AuditedInconsistency):
        known_labels = _with_audited(pool, inconsistency, form, known_labels)
        most, level = inconsistency.at_most, inconsistency.level
    else:
        most, level = inconsistency, 1.0
    problem = worst_truth(pool, error, most, form, facts, known_labels, gain)
    quantity = "the student's error minus its teacher's" if gain else STUDENT_ERROR
    # y ≠ f needs y ≠ ỹ or f ≠ ỹ; and Err(f) − Err(ỹ) cannot exceed L01(f, ỹ).
    trivial = min(1.0, pool.disagreement + (0 if gain else problem.facts[0].at_most))
    if len(problem.facts) > 1 or (problem.fixed != UNKNOWN).any():
        trivial = min(trivial, without_graph(problem))
    found = _certified(problem, quantity, trivial, pool.student, workers)
    return replace(found, inconsistency_level=level)


def _with_audited(
    pool: LabelledPool, audit: AuditedInconsistency, form: Form, known_labels: ArrayLike | None
) -> Ints:
    """The known labels and those of the audit; raises ValueError where it was of something else."""
    if form != "edge":
        raise ValueError(f"form is {form!r}; an audit of edges bounds the edge inconsistency")
    if audit.graph_key != graph_key(pool.graph):
        raise ValueError("the audit was of another graph's edges; draw edges of this one")
    known = _fixed(known_labels, pool)
    both = (known != UNKNOWN) & (audit.known != UNKNOWN)
    if (known[both] != audit.known[both]).any():
        point = int(np.flatnonzero(both & (known != audit.known))[0])
        raise ValueError(f"point {point} has one class among known_labels and another in the audit")
    return np.where(audit.known != UNKNOWN, audit.known, known)


def worst_truth(
    pool: LabelledPool,
    error: float | Fact,
    inconsistency: float,
    form: Form,
    facts: tuple[Fact, ...],
    known_labels: ArrayLike | None,
    gain: bool,
) -> WorstCase:
    """The problem of the truth that is worst for the student: its reward is the certified quantity.

    Raises ValueError where `error` is no bound on the teacher's error, a fact was made for another
    pool, or a known label is none.
    """
    limit = error if isinstance(error, Fact) else teacher_error_at_most(error, pool.classes)
    wrong = 1 - np.eye(pool.classes)
    if not np.array_equal(limit.table, wrong):
        raise ValueError(
            f"error is the fact {limit.name!r}, which does not bound the teacher's error from "
            "above; give it among facts, and as error a share or teacher_error_from_validation"
        )
    own = pool_key(pool.graph.weights)
    for fact in (limit, *facts):
        if fact.made_for not in (None, own):
            raise ValueError(
                f"the fact {fact.name!r} was made for a pool of {fact.made_for}, and this one has "
                f"{own}; make it for this pool"
            )
    return WorstCase(
        pool.graph,
        pool.graph.weights[:, None] * (wrong[pool.student] - (wrong[pool.pseudo] if gain else 0)),
        pool.pseudo,
        (limit, *facts),
        inconsistency,
        form,
        _fixed(known_labels, pool),
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
        np.full(graph.n, UNKNOWN),
    )
    trivial = min(pool.teacher_error + delta, 1.0)
    return _certified(problem, "the error of such a classifier", trivial, truth, workers)


def _certified(
    problem: WorstCase, quantity: str, trivial: float, reference: Ints, workers: int
) -> Certificate:
    tried = every_method(problem, reference, workers)
    best = min(tried, key=lambda found: found.value)
    if best.value == -np.inf:
        raise Infeasible(contradiction(problem, workers))
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
        int((problem.fixed != UNKNOWN).sum()),
        made_for=pool_key(problem.graph.weights),
    )


def _fixed(known_labels: ArrayLike | None, pool: LabelledPool) -> Ints:
    if known_labels is None:
        return np.full(pool.graph.n, UNKNOWN)
    labels = np.asarray(known_labels)
    if labels.shape != (pool.graph.n,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"known_labels has shape {labels.shape} and type {labels.dtype}; give a class number "
            f"for each of the {pool.graph.n} points, {UNKNOWN} where it is not known"
        )
    if labels.min() < UNKNOWN or labels.max() >= pool.classes:
        outside = labels.min() if labels.min() < UNKNOWN else labels.max()
        raise ValueError(
            f"known_labels holds {outside}; allowed is {UNKNOWN} to {pool.classes - 1}"
        )
    return labels.astype(np.int64)
