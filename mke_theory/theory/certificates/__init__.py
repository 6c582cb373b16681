"""Certificates: the largest error of a student that a graph and side information still allow."""

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
from mke_theory.theory.certificates.side_information import (
    Fact,
    class_shares,
    confusion_between,
    teacher_error_at_least,
    teacher_error_at_most,
    teacher_error_from_validation,
)

__all__ = [
    "Breakdown",
    "Certificate",
    "Fact",
    "Infeasible",
    "Interval",
    "breakdown",
    "class_shares",
    "confusion_between",
    "difference_interval",
    "error_interval",
    "expected_error_interval",
    "label_free",
    "next_labels",
    "teacher_error_at_least",
    "teacher_error_at_most",
    "teacher_error_from_validation",
    "truth_known",
]
