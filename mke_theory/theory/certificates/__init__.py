"""Certificates: the largest error of a student that a graph and side information still allow."""

from mke_theory.theory.certificates.audited_edges import (
    AuditedInconsistency,
    draw_edges,
    inconsistency_from_audit,
)
from mke_theory.theory.certificates.breakdown_point import Breakdown, breakdown
from mke_theory.theory.certificates.certificate import Certificate, label_free, truth_known
from mke_theory.theory.certificates.infeasible import Infeasible
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
    "PoolKey",
    "PopulationStatement",
    "breakdown",
    "class_shares",
    "class_shares_from_validation",
    "confusion_between",
    "confusion_from_validation",
    "draw_edges",
    "inconsistency_from_audit",
    "label_free",
    "pool_key",
    "population_statement",
    "teacher_error_at_least",
    "teacher_error_at_most",
    "teacher_error_from_validation",
    "truth_known",
]
