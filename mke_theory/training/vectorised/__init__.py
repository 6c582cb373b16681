"""The same step for thousands of jobs at once."""

from mke_theory.training.vectorised.compatibility import reason_against
from mke_theory.training.vectorised.engine import side_by_side

__all__ = ["reason_against", "side_by_side"]
