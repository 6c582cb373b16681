"""Is it better, and how many labels settle it."""

from mke_theory.audit.comparison import Comparison, compare
from mke_theory.audit.diagnosis import Diagnosis, diagnose
from mke_theory.audit.error_rate import ErrorRate, error
from mke_theory.audit.selection import Selection, best
from mke_theory.audit.sheet import Sheet

__all__ = [
    "Comparison",
    "Diagnosis",
    "ErrorRate",
    "Selection",
    "Sheet",
    "best",
    "compare",
    "diagnose",
    "error",
]
