"""The theory of one student: a ledger and a certificate on each view of its pool.

A view is a graph: nearest neighbours by α alone, by β alone, by both, and by the student's own
embedding. On each the truth hands over two numbers, the teacher's error ε and its own inconsistency
μ, and nothing else; the certificate is the largest error of the student that these still allow. The
theorems' hypotheses are checked against the truth. So an appraisal is for studying a student on
data whose truth is known: it shows the worth of ε and μ to somebody who had only those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mke_theory.data.rng import seed32_for
from mke_theory.theory.bounds.bound import Bound, compared, student_error_on
from mke_theory.theory.bounds.ledgers import Ledger, ledger
from mke_theory.theory.certificates.certificate import Certificate, label_free
from mke_theory.theory.graph import (
    Floats,
    Ints,
    edge_inconsistency,
    nearest_neighbours,
    vertex_inconsistency,
)
from mke_theory.theory.labelled_pool import LabelledPool

NEIGHBOURS = 5
MOST_POINTS = 2000
"""A larger pool is appraised on a random part of it: theory on 2,000 points takes seconds."""
SECONDS = 0.3
"""For the expansion of small sets, a class; an interval that is still open then stays open."""
EMBEDDING = "student's embedding"


@dataclass(frozen=True, eq=False)
class View:
    """One graph on the pool, the certificate on it, and the ledger; `kind` is α, β, both or own."""

    name: str
    kind: str
    pool: LabelledPool
    certificate: Certificate
    ledger: Ledger

    def to_dict(self) -> dict[str, Any]:
        """Numbers and text alone, as a record holds them."""
        rows = self.ledger.to_frame().astype(object)
        return {
            "view": self.name,
            "kind": self.kind,
            "points": self.pool.graph.n,
            "edges": len(self.pool.graph.edges),
            "teacher_error": self.pool.teacher_error,
            "student_error": self.pool.student_error,
            "disagreement": self.pool.disagreement,
            "inconsistency": self.certificate.inconsistency,
            "certificate": self.certificate.value,
            "trivial": self.certificate.trivial,
            "attained": self.certificate.attained,
            "by_method": dict(self.certificate.by_method),
            "ledger": rows.where(rows.notna(), None).to_dict("records"),
            "text": str(self.ledger),
        }


def appraise(
    inputs: Mapping[str, NDArray[np.floating[Any]]],
    teacher_modalities: Sequence[str],
    embedding: NDArray[np.floating[Any]] | None,
    *,
    pseudo: Ints,
    student: Ints,
    truth: Ints,
    classes: int,
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    most_points: int = MOST_POINTS,
) -> list[View]:
    """The views of a pool: inputs {modality: [n, ...]}, embedding [n, d], labels [n] each.

    Views that need a modality which some sample lacks (NaN) are left out. Of more than
    `most_points` points a random part is taken. Raises ValueError where fewer than
    neighbours + 1 points are left.
    """
    rows = np.arange(len(truth))
    if len(rows) > most_points:
        drawn = np.random.default_rng(seed32_for(seed, "appraisal"))
        rows = np.sort(drawn.choice(rows, most_points, replace=False))
    labels = [np.asarray(labels)[rows] for labels in (pseudo, student, truth)]
    views = []
    for name, kind, points in spaces(inputs, teacher_modalities, embedding):
        if not np.isfinite(points).all():
            continue
        graph = nearest_neighbours(points[rows], neighbours)
        pool = LabelledPool(graph, labels[0], labels[1], classes, labels[2])
        certificate = label_free(
            pool,
            error=pool.teacher_error,
            inconsistency=edge_inconsistency(graph, labels[2]),
        )
        row = certificate_row(certificate, pool)
        found = ledger(pool, seconds=SECONDS, extra=[row])
        views.append(View(name, kind, pool, certificate, found))
    return views


def certificate_row(certificate: Certificate, pool: LabelledPool) -> Bound:
    """The certificate as a row of the ledger; its assumptions are checked where truth is known."""
    form = edge_inconsistency if certificate.form == "edge" else vertex_inconsistency
    truth = pool.truth
    error = None if truth is None else pool.teacher_error
    measured = None if truth is None else form(pool.graph, truth)
    limit = certificate.facts[0].at_most
    return Bound(
        name="certificate",
        reference=f"derived here; {certificate.method}",
        scope="pool",
        quantity="student error",
        value=certificate.value,
        hypotheses=(
            compared("teacher's error", error, "≤", limit),
            compared("truth's inconsistency", measured, "≤", certificate.inconsistency),
        ),
        trivial=certificate.trivial,
        measured=student_error_on(pool),
    )


def spaces(
    inputs: Mapping[str, NDArray[np.floating[Any]]],
    teacher_modalities: Sequence[str],
    embedding: NDArray[np.floating[Any]] | None,
) -> Iterator[tuple[str, str, Floats]]:
    """(name, kind, points [n, d]) of every view: α, β, both, and the embedding where given."""
    alpha = [name for name in inputs if name in teacher_modalities]
    beta = [name for name in inputs if name not in teacher_modalities]
    for kind, names in (("α", alpha), ("β", beta), ("both", [*alpha, *beta])):
        yield f"{kind}: {', '.join(names)}", kind, _joined([inputs[name] for name in names])
    if embedding is not None:
        yield EMBEDDING, "own", np.asarray(embedding, dtype=np.float64).reshape(len(embedding), -1)


def _joined(parts: Sequence[NDArray[np.floating[Any]]]) -> Floats:
    """Modalities side by side, each scaled to mean square 1 a sample so that they weigh alike."""
    flat = [np.asarray(part, dtype=np.float64).reshape(len(part), -1) for part in parts]
    sizes = [np.sqrt((x**2).sum(axis=1).mean()) for x in flat]
    return np.concatenate([x / (size or 1.0) for x, size in zip(flat, sizes, strict=True)], axis=1)
