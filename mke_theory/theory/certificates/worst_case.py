"""The worst labelling that graph and side information allow: the problem behind every certificate.

    max_y  Σ_i reward[i, y_i]   subject to   Σ_i p_i table_m[ỹ_i, y_i] ≤ limit_m  for every fact m,
                                              R(y) ≤ most,   y_i = fixed_i where fixed.

With prices λ_m, ν ≥ 0 on the constraints, every value of

    D(λ, ν) = max_y Σ_i θ[i, y_i] − ν R(y)  +  Σ_m λ_m limit_m + ν most,
    θ[i, k] = reward[i, k] − p_i Σ_m λ_m table_m[ỹ_i, k],

is at least the maximum sought, so the least of them is a valid bound, however it was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mke_theory.data.pool import UNKNOWN
from mke_theory.theory.certificates.side_information import Fact
from mke_theory.theory.graph import Floats, Graph, Ints, edge_inconsistency, vertex_inconsistency

Form = Literal["edge", "vertex"]

Measured = tuple[float, Floats, float]
"""(reward, the left side of every fact, R) of a labelling, or of a fraction of labellings."""

_ROUNDING = 1e-12
"""A labelling that exceeds a limit by no more than this counts as allowed."""


@dataclass(frozen=True, eq=False)
class WorstCase:
    """A reward [n, classes] to maximise over labellings that the facts and R(y) ≤ most allow.

    `pseudo` [n] are the pseudo labels that the facts speak of; `fixed` [n] are labels that y has to
    take, −1 where it is free. `form` chooses R: the edge or the vertex inconsistency of the graph.

    Raises ValueError where shapes do not fit or `most` is no share.
    """

    graph: Graph
    reward: Floats
    pseudo: Ints
    facts: tuple[Fact, ...]
    most: float
    form: Form
    fixed: Ints

    def __post_init__(self) -> None:
        if self.form not in ("edge", "vertex"):
            raise ValueError(f"form is {self.form!r}; choose edge or vertex")
        n = self.graph.n
        if self.reward.ndim != 2 or len(self.reward) != n or not np.isfinite(self.reward).all():
            raise ValueError(
                f"reward has shape {self.reward.shape}; give a finite number for each of {n} "
                "points and each class"
            )
        for name, labels in (("pseudo", self.pseudo), ("fixed", self.fixed)):
            if labels.shape != (n,):
                raise ValueError(f"{name} has shape {labels.shape}; the pool has {n} points")
        if not 0 <= self.most <= 1:
            raise ValueError(f"the inconsistency is at most {self.most}; it is a share in [0, 1]")
        for fact in self.facts:
            if fact.table.shape != (self.classes, self.classes):
                raise ValueError(
                    f"the table of {fact.name!r} is {fact.table.shape} for {self.classes} classes"
                )

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.reward.shape[1]

    @cached_property
    def limits(self) -> Floats:
        """The limit of every fact."""
        return np.array([fact.at_most for fact in self.facts], dtype=np.float64)

    @cached_property
    def allowed(self) -> np.ndarray:
        """True [n, classes] where a point may have a class."""
        free = (self.fixed == UNKNOWN)[:, None]
        return free | (np.arange(self.classes) == self.fixed[:, None])

    def theta(self, prices: Floats) -> Floats:
        """θ [n, classes] at the prices λ of the facts; −∞ is not among it, see `allowed`."""
        if not self.facts:
            return self.reward
        table = np.tensordot(prices, np.stack([fact.table for fact in self.facts]), axes=1)
        return self.reward - self.graph.weights[:, None] * table[self.pseudo]

    def measure(self, labels: Ints) -> Measured:
        """(reward, the left side of every fact, R) of a labelling [n]."""
        joint = np.bincount(
            self.pseudo * self.classes + labels, self.graph.weights, self.classes**2
        ).reshape(self.classes, self.classes)
        sides = np.array([float((fact.table * joint).sum()) for fact in self.facts])
        return (
            float(self.reward[np.arange(len(labels)), labels].sum()),
            sides,
            self.inconsistency(labels),
        )

    def inconsistency(self, labels: Ints) -> float:
        """R of a labelling, in the form asked for."""
        measured = edge_inconsistency if self.form == "edge" else vertex_inconsistency
        return measured(self.graph, labels)

    def allows(self, labels: Ints, measured: Measured | None = None) -> bool:
        """True where the labelling satisfies every constraint, up to rounding."""
        _, sides, inconsistency = self.measure(labels) if measured is None else measured
        return bool(
            (sides <= self.limits + _ROUNDING).all()
            and inconsistency <= self.most + _ROUNDING
            and ((self.fixed == UNKNOWN) | (self.fixed == labels)).all()
        )


@dataclass(frozen=True, eq=False)
class Bounded:
    """The result of a method on a worst case.

    `value` is at least its maximum (−∞ proves that no labelling is allowed), proved by the prices
    of the facts [m] and of R. `labelling` [n] is the worst allowed one met on the way, `attained`
    its reward, both None where none was met: the maximum lies in [attained, value].
    """

    value: float
    prices: Floats
    inconsistency_price: float
    labelling: Ints | None
    attained: float | None
    method: str
    steps: int
