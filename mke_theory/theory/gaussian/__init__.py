"""Gaussian worlds: errors by formula, the noise that is right, and evidence counted twice."""

from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    LinearStudent,
    fit_least_squares,
    gain,
    least_squares_student,
    logistic_student,
    phase_diagram,
    sample,
)
from mke_theory.theory.gaussian.evidence_sum import EvidenceSum
from mke_theory.theory.gaussian.noise_calibration import (
    estimate_by_class,
    log_odds,
    median_strength,
    response_to_noise,
    second_statistic,
)
from mke_theory.theory.gaussian.noise_estimate import NoiseEstimate, estimate_noise
from mke_theory.theory.gaussian.perturbation_law import Loss, best_noise, best_noise_from_truth
from mke_theory.theory.gaussian.teacher_strength import (
    TeacherStrength,
    strength_from_confusion,
    strength_from_errors,
    strength_from_values,
)

__all__ = [
    "EvidenceSum",
    "GaussianPair",
    "LinearStudent",
    "Loss",
    "NoiseEstimate",
    "TeacherStrength",
    "best_noise",
    "best_noise_from_truth",
    "estimate_by_class",
    "estimate_noise",
    "fit_least_squares",
    "gain",
    "least_squares_student",
    "log_odds",
    "logistic_student",
    "median_strength",
    "phase_diagram",
    "response_to_noise",
    "sample",
    "second_statistic",
    "strength_from_confusion",
    "strength_from_errors",
    "strength_from_values",
]
