"""Labels for a certificate: the points to look up next, where the worst labelling errs.

A certificate's worst labelling is the adversary's case against the student. A looked-up label that
contradicts it takes the case away, and with it its neighbours, whom the edges tie to the point. So
the next points are those that cover most of what the worst labelling calls wrong: greedily, each
point counts the weight of itself and of its neighbours that are wrong in it and not yet covered.

A certificate holds for every truth that the assumptions allow, and a looked-up label is one more
assumption, which is true. So points may be chosen in any way, also by looking at earlier labels,
and the bound costs nothing in probability. An audit that counts labels, in contrast, has to draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.certificate import Certificate, worst_truth
from mke_theory.theory.certificates.one_against_rest import OneAgainstRest
from mke_theory.theory.certificates.relaxation import Relaxed
from mke_theory.theory.certificates.worst_case import WorstCase
from mke_theory.theory.graph import Floats, Ints
from mke_theory.theory.labelled_pool import LabelledPool

_STEPS_AT_PRICES = 3
"""Calls of the relaxation at the last prices; each goes on from where the last one ended."""


def next_labels(
    pool: LabelledPool,
    certificate: Certificate,
    count: int,
    known_labels: ArrayLike | None = None,
) -> Ints:
    """Up to `count` points of the pool to look up next, most useful first: [at most count].

    `certificate` is `label_free` of this pool with the `known_labels` [n] so far, −1 elsewhere.
    Points that cover nothing of its worst labelling come last, in the order of their weight; there
    are fewer than `count` where fewer are unknown. The answer is deterministic.

    Raises ValueError where count is below 1, where the certificate is of a pool of another size,
    and for known labels as `label_free`.
    """
    if count < 1:
        raise ValueError(f"count is {count}; ask for at least one label")
    if certificate.points != pool.graph.n:
        raise ValueError(
            f"the certificate is of a pool of {certificate.points} points, this one has "
            f"{pool.graph.n}; give the certificate of this pool"
        )
    error, *facts = certificate.facts
    problem = worst_truth(
        pool,
        error,
        certificate.inconsistency,
        certificate.form,
        tuple(facts),
        known_labels,
        gain=False,
    )
    wrong = _wrong_in_the_worst_case(problem, certificate, pool.student)
    return _covering(pool, wrong, problem.fixed == UNKNOWN, count)


def _wrong_in_the_worst_case(problem: WorstCase, certificate: Certificate, student: Ints) -> Floats:
    """The share in [0, 1] [n] to which each point is not of the student's class at the worst.

    It is read off the relaxation at the prices that prove the certificate.
    """
    price = certificate.inconsistency_price
    if not np.isfinite(price):  # μ = 0: whole components are alike, and the labelling is whole
        if certificate.labelling is None:
            return np.zeros(len(student))
        return np.asarray(certificate.labelling != student, dtype=np.float64)
    theta, oracle = problem.theta(certificate.prices), Relaxed(problem)
    if problem.form == "edge":
        cuts = OneAgainstRest(problem)
        cuts(theta, price)
        oracle.begin(cuts.flows.ravel(), price)
    labellings = [oracle(theta, price).labellings[0] for _ in range(_STEPS_AT_PRICES)]
    return np.asarray(np.mean([y != student for y in labellings], axis=0), dtype=np.float64)


def _covering(pool: LabelledPool, wrong: Floats, unknown: NDArray[np.bool_], count: int) -> Ints:
    """Up to `count` unknown points that cover most of the weight of `wrong` [n], greedily."""
    left = pool.graph.weights * wrong
    near = sparse.csr_array(pool.graph.adjacency != 0, dtype=np.float64)
    # Only a point that is itself wrong in the worst case contradicts it when it is looked up.
    contradicts = wrong > 0
    unknown = unknown.copy()
    chosen: list[int] = []
    while len(chosen) < count and unknown.any():
        worth = np.where(unknown & contradicts, left + near @ left, 0.0)
        at = int(worth.argmax())
        if worth[at] <= 0:  # nothing is left to cover: the heaviest of the rest
            at = int(np.where(unknown, pool.graph.weights, -1.0).argmax())
        chosen.append(at)
        unknown[at] = False
        left[at] = 0
        left[near[[at]].indices] = 0
    return np.array(chosen, dtype=np.int64)
