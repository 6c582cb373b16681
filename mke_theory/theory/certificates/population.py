"""From the pool to the population: a certificate's count through the limit of Clopper and Pearson.

Let the student be fixed and the pool n fresh independent draws. If the student errs on k of them,
its error on the population is at most U(k, n) with probability 1 − δ, and U grows with k. With
probability 1 − η the certificate's facts hold and k ≤ m = ⌊n · value⌋, so the error is at most
U(m, n) with probability 1 − η − δ: failures are added, for the two may come together or apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.certificates.certificate import STUDENT_ERROR, Certificate
from mke_theory.theory.certificates.side_information import EQUAL, rounded_up


@dataclass(frozen=True)
class PopulationStatement:
    """The student's error on what the pool was drawn from is at most `value`, with `level`."""

    value: float
    level: float
    points: int

    def __str__(self) -> str:
        return (
            f"With probability {self.level:.3g} or more, the student's error on what the "
            f"{self.points} points were drawn from is at most {rounded_up(self.value)}, if they "
            "are independent draws and the student was fixed before they were seen."
        )


def population_statement(certificate: Certificate, level: float = 0.975) -> PopulationStatement:
    """The statement for a student that was fixed before a pool of independent draws was seen.

    `level` is that of the step from pool to population; the certificate's own failures are added.
    A student trained on this pool was not fixed before: take a fresh one. Inconsistency that is
    assumed has level 1 and stays an assumption.

    Raises ValueError where the certificate is not of the student's error, its points do not weigh
    alike, or level is not above 1/2 and below 1. Ref: clopper1934confidence.
    """
    if certificate.quantity != STUDENT_ERROR:
        raise ValueError(f"the certificate is of {certificate.quantity}; one of an error is needed")
    if certificate.made_for is None or certificate.made_for.weights != EQUAL:
        raise ValueError("the points do not weigh alike, so mistakes cannot be counted")
    if not 0.5 < level < 1:
        raise ValueError(
            f"level is {level}; it has to be above 1/2 and below 1, for instance 0.975"
        )
    n = certificate.points
    most = min(n, math.floor(certificate.value * n + 1e-9))
    limit = clopper_pearson(most, n, 2 * level - 1).high
    return PopulationStatement(limit, max(0.0, certificate.level + level - 1), n)
