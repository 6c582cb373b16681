"""Certificates: the largest error of a student that a graph and side information still allow."""

from mke_theory.theory.certificates.audited_edges import (
    AuditedInconsistency,
    draw_edges,
    inconsistency_from_audit,
)
from mke_theory.theory.certificates.breakdown_point import Breakdown, breakdown
from mke_theory.theory.certificates.certificate import Certificate, label_free, truth_known
from mke_theory.theory.certificates.chosen_labels import next_labels
from mke_theory.theory.certificates.infeasible import Infeasible
from mke_theory.theory.certificates.intervals import (
    Interval,
    difference_interval,
    error_interval,
    expected_error_interval,
)
from mke_theory.theory.certificates.population import PopulationStatement, population_statement
from mke_theory.theory.certificates.side_information import (
    Fact,
    PoolKey,
    class_shares,
    class_shares_from_validation,
    confusion_between,
    confusion_from_validation,
    pool_key,
    teacher_error_at_least,
    teacher_error_at_most,
    teacher_error_from_validation,
)

__all__ = [
    "AuditedInconsistency",
    "Breakdown",
    "Certificate",
    "Fact",
    "Infeasible",
    "Interval",
    "PoolKey",
    "PopulationStatement",
    "breakdown",
    "class_shares",
    "class_shares_from_validation",
    "confusion_between",
    "confusion_from_validation",
    "difference_interval",
    "draw_edges",
    "error_interval",
    "expected_error_interval",
    "inconsistency_from_audit",
    "label_free",
    "next_labels",
    "pool_key",
    "population_statement",
    "teacher_error_at_least",
    "teacher_error_at_most",
    "teacher_error_from_validation",
    "truth_known",
]
